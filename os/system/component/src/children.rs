//! What a component has that may make others.

use core::sync::atomic::{AtomicBool, Ordering};

use pecan_supervision::{Estate, names};

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The memory and the authority of which this component may make others; `None` if the description gives it none, or
/// this was asked before.
pub fn estate() -> Option<pecan::Result<Estate>> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: it is this program's own page, and this comes here once.
    unsafe { Estate::of(crate::startup()) }
}

/// The ELF file of this program, if it may make other components; empty otherwise.
pub fn program() -> &'static [u8] {
    let Some((address, bytes)) = crate::startup().memory(names::PROGRAM) else { return &[] };
    // SAFETY: the supervisor mapped a copy of the file there, which nobody can write to, for as long as the program runs.
    unsafe { core::slice::from_raw_parts(address as *const u8, bytes as usize) }
}
