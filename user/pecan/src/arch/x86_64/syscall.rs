//! The system calls of x86_64.
//!
//! The kernel's way in keeps neither rcx and r11 (the processor overwrites them) nor rsp, which it takes from
//! rbx. The compiler reserves rbx, so it is saved in r14 meanwhile. All other registers come back as they were,
//! except those that carry results.

use core::arch::asm;

use pecan_abi::{CPtr, MessageInfo, Syscall};

use crate::raw::{Registers, Reply};

/// A system call; the operands that all calls have in common are added to those given.
macro_rules! syscall {
    ($($operands:tt)*) => {
        // SAFETY: the kernel keeps to the register contract above, and touches no memory of this program but
        // the IPC buffer, which is only accessed volatile.
        unsafe {
            asm!(
                "mov r14, rbx",
                "mov rbx, rsp",
                "syscall",
                "mov rsp, rbx",
                "mov rbx, r14",
                $($operands)*
                out("rcx") _,
                out("r11") _,
                out("r14") _,
                options(nostack),
            )
        }
    };
}

/// A call that gives nothing back.
#[inline]
pub fn send_only(syscall: Syscall, dest: CPtr, info: MessageInfo, regs: Registers) {
    syscall!(
        in("rdx") syscall.number(),
        in("rdi") dest,
        in("rsi") info.0,
        in("r10") regs[0],
        in("r8") regs[1],
        in("r9") regs[2],
        in("r15") regs[3],
    );
}

/// A call that sends nothing.
#[inline]
pub fn receive_only(syscall: Syscall, src: CPtr, reply: CPtr) -> Reply {
    let (badge, info);
    let mut regs = [0; 4];
    syscall!(
        in("rdx") syscall.number(),
        inlateout("rdi") src => badge,
        lateout("rsi") info,
        lateout("r10") regs[0],
        lateout("r8") regs[1],
        lateout("r9") regs[2],
        lateout("r15") regs[3],
        in("r12") reply,
    );
    Reply { badge, info: MessageInfo(info), regs }
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
    syscall!(
        in("rdx") number,
        inlateout("rdi") cap => badge,
        inlateout("rsi") info.0 => info_out,
        inlateout("r10") regs[0],
        inlateout("r8") regs[1],
        inlateout("r9") regs[2],
        inlateout("r15") regs[3],
        in("r12") reply,
        in("r13") dest,
    );
    Reply { badge, info: MessageInfo(info_out), regs }
}

/// Sets the TLS base of the running thread.
///
/// # Safety
/// `base` must be the address of a [`ThreadBlock`](crate::raw::ThreadBlock) that is filled in and that lives as long as the
/// thread.
#[inline]
pub unsafe fn set_tls_base(base: u64) {
    send_only(Syscall::SetTLSBase, base, MessageInfo(0), [0; 4]);
}
