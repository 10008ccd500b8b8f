//! The system calls of AArch64. All registers come back as they were, except those that carry results.

use core::arch::asm;

use pecan_abi::{CPtr, MessageInfo, Syscall};

use crate::raw::{Registers, Reply};

/// A call that gives nothing back.
#[inline]
pub fn send_only(syscall: Syscall, dest: CPtr, info: MessageInfo, regs: Registers) {
    // Where nothing is received the registers come back as they were; that some do not cannot be said for every call.
    any_call(syscall.number(), dest, info, regs, 0, 0);
}

/// A call that sends nothing.
#[inline]
pub fn receive_only(syscall: Syscall, src: CPtr, reply: CPtr) -> Reply {
    any_call(syscall.number(), src, MessageInfo(0), [0; 4], reply, 0)
}

/// A call with any number.
#[inline]
pub fn any_call(
    number: i64,
    cap: CPtr,
    info: MessageInfo,
    regs: Registers,
    reply: CPtr,
    dest: CPtr,
) -> Reply {
    let (badge, info_out);
    let mut regs = regs;
    // SAFETY: the kernel keeps to the register contract above, and touches no memory of this program but the IPC buffer, which
    // is only accessed volatile.
    unsafe {
        asm!(
            "svc #0",
            inlateout("x0") cap => badge,
            inlateout("x1") info.0 => info_out,
            inlateout("x2") regs[0],
            inlateout("x3") regs[1],
            inlateout("x4") regs[2],
            inlateout("x5") regs[3],
            in("x6") reply,
            in("x7") number,
            in("x8") dest,
            options(nostack),
        );
    }
    Reply { badge, info: MessageInfo(info_out), regs }
}

/// Sets the TLS base of the running thread.
///
/// # Safety
/// `base` must be the address of a [`ThreadBlock`](crate::raw::ThreadBlock) that is filled in and that lives as long as the
/// thread.
#[inline]
pub unsafe fn set_tls_base(base: u64) {
    // SAFETY: the caller vouches for the block.
    unsafe { asm!("msr tpidr_el0, {}", in(reg) base, options(nostack, preserves_flags)) };
}
