//! AArch64: page-table format, registers and message orders.

pub mod context;
pub mod paging;
