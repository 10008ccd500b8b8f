//! RISC-V, 64 bits: page-table format, registers and message orders.

pub mod context;
pub mod paging;
