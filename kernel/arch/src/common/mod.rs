//! What the `x86_64` port and the `host` port share: register layout, message orders, page-table format and
//! interrupt numbers. Nothing here touches hardware.

pub mod breakpoint;
pub mod context;
pub mod irq;
pub mod paging;
