//! x86_64: register layout, message orders, page-table format and interrupt numbers, for the port and the `host` port.

pub mod boot;
pub mod breakpoint;
pub mod context;
pub mod irq;
pub mod paging;
