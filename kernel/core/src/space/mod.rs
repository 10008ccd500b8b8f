//! Address spaces: what tables hold, which space a thread has, and what goes away with a capability.
//!
//! A capability to a frame or a paging structure remembers where it is mapped as an ASID and an address. Either may have
//! gone stale by the time it is used (the address space deleted, a table between unmapped), so every use walks the tables
//! again and looks whether what it finds there is what it expects. Invocations are in `invoke::vspace`.

pub mod known;
pub mod tables;
pub mod unmap;
