//! Layouts of kernel objects. Data only; what happens to them is `pecan_core`'s.
//!
//! Sizes are the ABI's and asserted below. Objects are made by [`crate::retype`] in zeroed memory, so for
//! each of them all-zero bytes are a valid initial value, or `retype` writes what differs.
//!
//! Fields are cells, as several links may lead to one object, and are ordered by who looks at them: what the
//! fast paths touch shares cache lines. `pecan_core` reads and writes them; fields on which the safety of
//! this crate rests are private, with methods that keep it. What must hold between fields of different
//! objects is in `pecan_core::invariants`.

use pecan_arch::FpuState;

use crate::{Kernel, link::Link};

mod endpoint;
mod fault;
mod ipc_buffer;
mod notification;
mod page_table;
mod reply;
mod sched_context;
mod tcb;
mod thread_state;

pub use endpoint::{Endpoint, EndpointState};
pub use fault::{Fault, LookupFailure};
pub use ipc_buffer::IpcBuffer;
pub use notification::{Notification, NotificationState};
pub use page_table::PageTable;
pub use reply::{Reply, ReplyNext};
pub use sched_context::{Refill, SchedContext};
pub use tcb::{Debug, NAME_LEN, QueueLinks, ReleaseLinks, Running, Tcb, Usage, rare};
pub use thread_state::{StateCell, ThreadState};

/// Follows an optional link.
#[inline(always)]
pub fn follow<T>(link: Option<Link<T>>, k: &Kernel) -> Option<&T> {
    link.map(|l| l.get(k))
}

const _: () = {
    // The lines that every message looks at (see `Tcb`).
    assert!(core::mem::offset_of!(Tcb, context) == 64);
    assert!(size_of::<Endpoint>() == 16);
    assert!(size_of::<Notification>() == 64);
    assert!(size_of::<Reply>() == 32);
    assert!(size_of::<Refill>() == 16);
    assert!(size_of::<Tcb>() <= 1 << pecan_abi::constants::tcb_bits(size_of::<FpuState>()));
    assert!(size_of::<PageTable>() == 4096);
    assert!(size_of::<IpcBuffer>() == 1024);
};
