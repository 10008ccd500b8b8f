//! To come.
#![cfg_attr(not(test), no_std)]
