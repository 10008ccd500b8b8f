//! The component is in C, in `main.c`.
#![no_std]
#![no_main]

pecan_c::main!();
