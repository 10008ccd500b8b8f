//! The interface of the kernel.
#![no_std]
