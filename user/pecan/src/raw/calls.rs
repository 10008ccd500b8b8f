//! The system calls, in terms of what each architecture does by assembly ([`crate::arch`]).

use pecan_abi::{CPtr, MessageInfo, Syscall};

use super::{Registers, Reply};
use crate::arch::{any_call, receive_only, send_only};

#[inline]
fn send_and_receive(
    syscall: Syscall,
    cap: CPtr,
    info: MessageInfo,
    regs: Registers,
    reply: CPtr,
    dest: CPtr,
) -> Reply {
    any_call(syscall.number(), cap, info, regs, reply, dest)
}

/// Sends; blocks until there is a receiver. On a notification this signals; on a reply object it replies.
///
/// # Safety
/// A message to a kernel object is an invocation. What it does must leave this program's memory and threads what their code
/// relies on; a message to a thread always does.
#[inline]
pub unsafe fn send(dest: CPtr, info: MessageInfo, regs: Registers) {
    send_only(Syscall::Send, dest, info, regs);
}

/// Sends if a receiver is waiting; otherwise the message is dropped.
///
/// # Safety
/// A message to a kernel object is an invocation. What it does must leave this program's memory and threads what their code
/// relies on; a message to a thread always does.
#[inline]
pub unsafe fn nb_send(dest: CPtr, info: MessageInfo, regs: Registers) {
    send_only(Syscall::NBSend, dest, info, regs);
}

/// Sends and waits for the reply.
///
/// # Safety
/// A message to a kernel object is an invocation. What it does must leave this program's memory and threads what their code
/// relies on; a message to a thread always does.
#[inline]
pub unsafe fn call(dest: CPtr, info: MessageInfo, regs: Registers) -> Reply {
    send_and_receive(Syscall::Call, dest, info, regs, 0, 0)
}

/// Receives; the right to reply goes to the reply object.
#[inline]
pub fn recv(src: CPtr, reply: CPtr) -> Reply {
    receive_only(Syscall::Recv, src, reply)
}

/// Receives if there is something to receive; otherwise returns badge 0.
#[inline]
pub fn nb_recv(src: CPtr, reply: CPtr) -> Reply {
    receive_only(Syscall::NBRecv, src, reply)
}

/// Receives without a reply object.
#[inline]
pub fn wait(src: CPtr) -> Reply {
    receive_only(Syscall::Wait, src, 0)
}

/// Receives without a reply object if there is something to receive; otherwise returns badge 0.
#[inline]
pub fn nb_wait(src: CPtr) -> Reply {
    receive_only(Syscall::NBWait, src, 0)
}

/// Replies through the reply object, then receives into it.
#[inline]
pub fn reply_recv(src: CPtr, info: MessageInfo, regs: Registers, reply: CPtr) -> Reply {
    send_and_receive(Syscall::ReplyRecv, src, info, regs, reply, 0)
}

/// Sends to `dest` if a receiver is waiting there, then receives from `src` in any case.
///
/// # Safety
/// A message to a kernel object is an invocation. What it does must leave this program's memory and threads what their code
/// relies on; a message to a thread always does.
#[inline]
pub unsafe fn nb_send_recv(dest: CPtr, info: MessageInfo, regs: Registers, src: CPtr, reply: CPtr) -> Reply {
    send_and_receive(Syscall::NBSendRecv, src, info, regs, reply, dest)
}

/// Sends to `dest` if a receiver is waiting there, then receives from `src` without a reply object.
///
/// # Safety
/// A message to a kernel object is an invocation. What it does must leave this program's memory and threads what their code
/// relies on; a message to a thread always does.
#[inline]
pub unsafe fn nb_send_wait(dest: CPtr, info: MessageInfo, regs: Registers, src: CPtr) -> Reply {
    // Of the two registers for a second capability this call uses the one that holds the reply object elsewhere.
    send_and_receive(Syscall::NBSendWait, src, info, regs, dest, 0)
}

/// Gives up the rest of the current budget.
#[inline]
pub fn yield_now() {
    send_only(Syscall::Yield, 0, MessageInfo(0), [0; 4]);
}

/// A debug call with one parameter; returns what comes back in its place.
#[inline]
pub(super) fn debug_call(syscall: Syscall, parameter: u64) -> u64 {
    send_and_receive(syscall, parameter, MessageInfo(0), [0; 4], 0, 0).badge
}

/// Writes a byte on the kernel's console (kernels with printing).
pub fn debug_put_char(byte: u8) {
    debug_call(Syscall::DebugPutChar, byte as u64);
}

/// Prints the state of all threads on the kernel's console (debug kernels).
pub fn debug_dump_scheduler() {
    debug_call(Syscall::DebugDumpScheduler, 0);
}

/// Stops the machine (debug kernels).
pub fn debug_halt() {
    debug_call(Syscall::DebugHalt, 0);
}

/// The number of the kind of a capability, 0 for an empty slot (debug kernels).
pub fn debug_cap_identify(cap: CPtr) -> u64 {
    debug_call(Syscall::DebugCapIdentify, cap)
}

/// Prints the CSpace of this thread on the kernel's console (debug kernels).
pub fn debug_snapshot() {
    debug_call(Syscall::DebugSnapshot, 0);
}

/// How many instructions (clock ticks) the kernel kept interrupts off at most since this was last called, the cause as
/// `kernel/core/src/base/latency.rs` packs it, and the bytes of stack that it has used. Debug kernels; all 0 from one that does not measure
/// itself.
pub fn latency_report() -> (u64, u64, u64) {
    let reply = any_call(pecan_abi::extension::LATENCY_REPORT, 0, MessageInfo(0), [0; 4], 0, 0);
    (reply.badge, reply.regs[0], reply.regs[1])
}

/// A system call with any number and any registers, for tests of what the kernel does with them.
///
/// # Safety
/// What the call does must leave this program's memory and threads what their code relies on: there is one that sets the TLS
/// base, and a message to a kernel object is an invocation.
#[inline]
pub unsafe fn any_syscall(
    number: i64,
    cap: CPtr,
    info: MessageInfo,
    regs: Registers,
    reply: CPtr,
    dest: CPtr,
) -> Reply {
    any_call(number, cap, info, regs, reply, dest)
}
