//! What a copy of a capability becomes. The list of which capability was made from which is `pecan_mem`'s
//! ([`pecan_mem::derivation`]).
//!
//! All rules about what may be copied are here, and none of the structure: deriving changes nothing. CNode
//! invocations, messages and the slots of threads call `derive` while they decode. Each match names every
//! kind, so a new one is a compile error here until it is decided.

use pecan_abi::CNodeCapData;
use pecan_mem::{ArchCap, Kernel, Link, Slot, Words, cap::tag};

use crate::base::error::{Decoded, SyscallError};

pub use pecan_mem::derivation::{
    first_child, has_children, insert, insert_arch, insert_badged, insert_irq_handler, insert_root, is_final,
    is_parent, move_cap, place, remove, swap,
};

/// Fails with `RevokeFirst` if capabilities descend from the one in `slot`.
pub fn ensure_no_children(k: &Kernel, slot: Link<Slot>) -> Decoded<()> {
    if has_children(k, slot) { Err(SyscallError::RevokeFirst) } else { Ok(()) }
}

/// What a copy of `cap`, which is in `slot` (perhaps with other rights), becomes. `Null` for capabilities that
/// cannot be copied.
///
/// # Errors
/// `RevokeFirst` for untyped memory with children; `IllegalOperation` for a paging structure that is not
/// mapped, as its copies could not know where the others get mapped.
pub fn derive(k: &Kernel, slot: Link<Slot>, cap: Words) -> Decoded<Words> {
    match cap.tag() {
        tag::UNTYPED => ensure_no_children(k, slot).map(|()| cap),
        tag::FRAME => Ok(cap.unmapped_frame()),
        tag::PAGE_TABLE if !cap.is_mapped_table() => Err(SyscallError::IllegalOperation),
        tag::ZOMBIE | tag::ENDING | tag::ENDING_IRQ_HANDLER | tag::IRQ_CONTROL => Ok(Words::NULL),
        tag::ARCH if !cap.arch_cap().is_some_and(ArchCap::can_be_copied) => Ok(Words::NULL),
        tag::NULL
        | tag::PAGE_TABLE
        | tag::ENDPOINT
        | tag::ASID_CONTROL
        | tag::NOTIFICATION
        | tag::ASID_POOL
        | tag::REPLY
        | tag::ARCH
        | tag::CNODE
        | tag::TCB
        | tag::IRQ_HANDLER
        | tag::DOMAIN
        | tag::SCHED_CONTEXT
        | tag::SCHED_CONTROL => Ok(cap),
    }
}

/// The capability with the badge or guard that `data` describes; `Null` where that cannot be: the badge of a
/// badged endpoint or notification, any badge where `preserve` is asked for (the capability is moved, not
/// copied), a guard that leaves no room for the index. Other capabilities have no such data and stay as they
/// are.
pub fn update_data(cap: Words, data: u64, preserve: bool) -> Words {
    match cap.tag() {
        tag::ENDPOINT | tag::NOTIFICATION => {
            if preserve || cap.badge() != 0 {
                Words::NULL
            } else {
                cap.with_badge(data)
            }
        }
        tag::CNODE => {
            // The data word has room for 58 bits of guard; the bits of a longer one above them are zero.
            let data = CNodeCapData(data);
            cap.with_guard(data.guard(), data.guard_size() as u32).unwrap_or(Words::NULL)
        }
        tag::NULL
        | tag::ARCH
        | tag::FRAME
        | tag::UNTYPED
        | tag::PAGE_TABLE
        | tag::ASID_CONTROL
        | tag::ASID_POOL
        | tag::REPLY
        | tag::TCB
        | tag::IRQ_CONTROL
        | tag::IRQ_HANDLER
        | tag::ZOMBIE
        | tag::ENDING
        | tag::ENDING_IRQ_HANDLER
        | tag::DOMAIN
        | tag::SCHED_CONTEXT
        | tag::SCHED_CONTROL => cap,
    }
}
