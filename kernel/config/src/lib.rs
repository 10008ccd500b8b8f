//! The kernel's configuration: one profile, as typed constants.
//!
//! A profile is a file in `kernel/profiles/`, chosen by the environment variable `PECAN_PROFILE` when the
//! kernel is built (`default` if it is not set). Code branches on these constants and never forks its
//! signatures on them.
#![no_std]

include!(concat!(env!("OUT_DIR"), "/profile.rs"));
