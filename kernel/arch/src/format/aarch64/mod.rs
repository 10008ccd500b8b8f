pub mod boot;
pub mod breakpoint;
pub mod context;
pub mod irq;
pub mod paging;
