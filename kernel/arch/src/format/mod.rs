//! Formats that a processor defines, as pure code: page tables, registers, interrupts. Nothing here touches hardware, so
//! all of it is tested on any host.

pub mod x86_64;
