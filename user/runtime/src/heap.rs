//! The heap: an allocator on the memory that the linker script sets aside, and on what the supervisor gives when that has
//! run out.

use pecan::{
    Message,
    startup::{GROW_LABEL, well_known},
    types::Endpoint,
};
use talc::{
    TalcLock,
    base::{Talc, binning::Binning},
    source::Source,
};

#[cfg(target_os = "none")]
use core::sync::atomic::AtomicU8;
use core::{alloc::Layout, ptr::NonNull};

use crate::sync::YieldLock;

/// Memory from the supervisor: where what it gave last ends.
#[derive(Debug)]
struct Supervisor {
    end: Option<NonNull<u8>>,
}

// SAFETY: the address is used by who holds the heap's lock.
unsafe impl Send for Supervisor {}

/// What the allocator needs beside an allocation of its own.
const OVERHEAD: usize = 256;

// SAFETY: it asks the supervisor by a message of one word, and touches no heap but the one it is given.
unsafe impl Source for Supervisor {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let mut wanted =
            layout.size().checked_add(layout.align()).and_then(|n| n.checked_add(OVERHEAD)).ok_or(())?;
        while wanted > 0 {
            let (start, bytes) = ask(wanted).ok_or(())?;
            let end = start.wrapping_add(bytes);
            let behind = talc.source.end.filter(|end| end.as_ptr() == start);
            // SAFETY: the supervisor mapped this memory for the program's heap just now; it is writable and nobody else's.
            let new_end = unsafe {
                match behind {
                    Some(behind) => Some(talc.extend(behind, end)),
                    None => talc.claim(start, bytes),
                }
            };
            talc.source.end = new_end;
            wanted = wanted.saturating_sub(bytes);
        }
        Ok(())
    }
}

/// Asks the supervisor for memory; returns where it begins, and its bytes. Request and answer fit into registers, so a
/// message that is being made or read at the moment is not disturbed.
fn ask(bytes: usize) -> Option<(*mut u8, usize)> {
    // SAFETY: it is the page that this program was started with, and the name means the same in every program.
    let supervisor = unsafe { crate::startup()?.cap::<Endpoint>(well_known::SUPERVISOR) }?;
    let reply = supervisor.call(&Message::new(GROW_LABEL, [bytes as u64]));
    let given = usize::try_from(reply.word(1)).ok().filter(|bytes| *bytes > 0)?;
    (reply.label() == 0 && reply.len() == 2).then_some((reply.word(0) as *mut u8, given))
}

#[cfg_attr(target_os = "none", global_allocator)]
static HEAP: TalcLock<YieldLock, Supervisor> = TalcLock::new(Supervisor { end: None });

#[cfg(target_os = "none")]
unsafe extern "C" {
    safe static __heap_start: AtomicU8;
    safe static __heap_end: AtomicU8;
}

/// Gives the heap its first memory. Called once, before `main`.
#[cfg(target_os = "none")]
pub(crate) fn init() {
    let (start, end) = (__heap_start.as_ptr(), __heap_end.as_ptr());
    // SAFETY: the linker script sets this memory aside for nothing else, and nobody calls this twice.
    unsafe { add_heap(start, end as usize - start as usize) };
}

/// Adds memory to the heap. Does nothing if it is too little to be of use.
///
/// # Safety
/// From `start` on there must be `bytes` of mapped, writable memory that is used for nothing else from now on.
pub unsafe fn add_heap(start: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the caller vouches for the memory. That there is too little shows when it is used.
        let _ = unsafe { HEAP.lock().claim(start, bytes) };
    }
}
