//! AArch64: page-table format.

pub mod paging;
