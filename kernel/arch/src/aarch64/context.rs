//! The switch between threads: what the processor keeps of one beyond the saved registers, the two thread registers. User
//! level writes one of them by itself (TPIDR_EL0) and can only read the other (TPIDRRO_EL0).

use super::cpu::{read_register, write_register};
use crate::format::aarch64::context::TPIDRRO;
use crate::{UserContext, reg};

/// A register whose value stays is not written.
#[inline(always)]
pub fn context_switch(from: &UserContext, to: &UserContext) {
    let base = read_register!("tpidr_el0");
    from.set(reg::TLS_BASE, base);
    let new = to.get(reg::TLS_BASE);
    if new != base {
        // SAFETY: 1. The register means nothing to the kernel.
        unsafe { write_register!("tpidr_el0", new) };
    }
    let new = to.get(TPIDRRO);
    if new != from.get(TPIDRRO) {
        // SAFETY: 1. As above.
        unsafe { write_register!("tpidrro_el0", new) };
    }
}

/// There is one way, which is short.
#[inline(always)]
pub fn has_short_switch() -> bool {
    true
}

#[inline(always)]
pub fn short_context_switch(from: &UserContext, to: &UserContext) -> bool {
    context_switch(from, to);
    true
}

#[inline]
pub fn load_context(to: &UserContext) {
    // SAFETY: 1. The registers mean nothing to the kernel.
    unsafe {
        write_register!("tpidr_el0", to.get(reg::TLS_BASE));
        write_register!("tpidrro_el0", to.get(TPIDRRO));
    }
}

#[inline]
pub fn sync_context(current: &UserContext) {
    current.set(reg::TLS_BASE, read_register!("tpidr_el0"));
}
