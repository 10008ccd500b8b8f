//! RISC-V, 64 bits: page-table format.

pub mod paging;
