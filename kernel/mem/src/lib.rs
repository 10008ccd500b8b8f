//! What lies in kernel memory: layouts of objects, capability words, slots, the kernel's own state, and the
//! few unsafe primitives that make, link and share them. What happens to objects is `pecan_core`'s.
#![cfg_attr(target_os = "none", no_std)]

pub mod boot;
pub mod cap;
pub mod derivation;
#[cfg(not(target_os = "none"))]
pub mod host;
pub mod link;
pub mod object;
pub mod retype;
#[cfg(doctest)]
mod seal;
pub mod slot;
pub mod state;
#[cfg(not(target_os = "none"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod vspace;

pub use cap::{
    ArchCap, ArchControl, Cap, Control, Ending, EndpointRights, FrameRights, Mapping, NewCap, Tag, Words,
    Zombie, ZombieKind,
};
pub use link::Link;
pub use object::{
    Debug, Endpoint, EndpointState, Fault, IpcBuffer, LookupFailure, Notification, NotificationState,
    PageTable, Refill, Reply, ReplyNext, Running, SchedContext, Tcb, ThreadState, follow,
};
pub use slot::{CNodeRef, Slot};
pub use state::{CoreState, Entered, GlobalState, IrqState, Kernel, Route};
pub use vspace::AsidPool;
