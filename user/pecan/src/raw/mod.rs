//! System calls as they are, and one function for each invocation of a kernel object.
//!
//! Nothing here is typed; it is what the rest of the library is made of, and what tests use to say things that
//! the typed methods cannot say. A capability address may be that of anything, and a message to a kernel object is an
//! invocation: so whatever sends is unsafe, and of the invocations those that can change the program's own memory,
//! registers or CSpace.

#[rustfmt::skip] // Generated.
pub mod invocations;
mod benchmark;
mod calls;
mod thread_block;

use core::mem::MaybeUninit;

use pecan_abi::{
    CPtr, Direction, Label, MessageInfo,
    ipc::{IpcBuffer, MESSAGE_REGISTERS, MSG_MAX_LENGTH},
};

pub use benchmark::*;
pub use calls::*;
pub use thread_block::ThreadBlock;

pub use crate::arch::set_tls_base;
use crate::{Error, Result, arch::send_only};

/// The message words that travel in registers.
pub type Registers = [u64; MESSAGE_REGISTERS];

/// What a system call that receives gives back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply {
    /// The badge of the capability that was sent on, or the bits of a notification.
    pub badge: u64,
    /// What the message is.
    pub info: MessageInfo,
    /// Its first words. The others are in the IPC buffer.
    pub regs: Registers,
}

impl Reply {
    /// A message word, from its register or from the IPC buffer of this thread.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        if index < MESSAGE_REGISTERS { self.regs[index] } else { message_word(index) }
    }
}

/// The IPC buffer of this thread.
#[inline]
pub fn ipc_buffer() -> *mut IpcBuffer {
    ThreadBlock::current().ipc_buffer
}

/// Word `index` of the message in the IPC buffer; 0 past its end. The words that travel in registers are not
/// there.
#[inline]
pub fn message_word(index: usize) -> u64 {
    if index >= pecan_abi::ipc::MSG_MAX_LENGTH {
        return 0;
    }
    // SAFETY: the thread block of a running thread points to its mapped IPC buffer, and the index is in range.
    // The kernel writes the buffer behind the compiler's back, so the access is volatile.
    unsafe { (&raw const (*ipc_buffer()).msg[index]).read_volatile() }
}

/// Sets word `index` of the message in the IPC buffer; does nothing past its end.
#[inline]
pub fn set_message_word(index: usize, word: u64) {
    if index < pecan_abi::ipc::MSG_MAX_LENGTH {
        // SAFETY: as in `message_word`.
        unsafe { (&raw mut (*ipc_buffer()).msg[index]).write_volatile(word) }
    }
}

/// Copies the words of the received message that are in the IPC buffer, from the first of them on.
#[inline]
pub(crate) fn read_message_words(into: &mut [MaybeUninit<u64>]) {
    let count = into.len().min(MSG_MAX_LENGTH - MESSAGE_REGISTERS);
    // SAFETY: the thread block of a running thread points to its mapped IPC buffer, which has these words behind those
    // of the registers, and nothing refers to it. The system call before this cannot be moved behind it by the
    // compiler: its assembly may write any memory.
    unsafe {
        let from = (&raw const (*ipc_buffer()).msg).cast::<MaybeUninit<u64>>().add(MESSAGE_REGISTERS);
        from.copy_to_nonoverlapping(into.as_mut_ptr(), count);
    }
}

/// Puts the words of a message that do not travel in registers into the IPC buffer.
#[inline]
pub(crate) fn write_message_words(words: &[u64]) {
    let count = words.len().min(MSG_MAX_LENGTH - MESSAGE_REGISTERS);
    // SAFETY: as in `read_message_words`; the system call that follows may read any memory.
    unsafe {
        let to = (&raw mut (*ipc_buffer()).msg).cast::<u64>().add(MESSAGE_REGISTERS);
        words.as_ptr().copy_to_nonoverlapping(to, count);
    }
}

/// Puts bytes into the IPC buffer from the word `index` on, with zeros up to the end of a word; those for which there is no
/// room are left out.
#[inline]
pub(crate) fn write_message_bytes(index: usize, bytes: &[u8]) {
    let room = MSG_MAX_LENGTH.saturating_sub(index) * size_of::<u64>();
    let count = bytes.len().min(room);
    if count == 0 {
        return;
    }
    set_message_word(index + (count - 1) / size_of::<u64>(), 0);
    // SAFETY: as in `write_message_words`; the bytes end with the buffer's words at the latest.
    unsafe {
        let to = (&raw mut (*ipc_buffer()).msg).cast::<u64>().add(index).cast::<u8>();
        bytes.as_ptr().copy_to_nonoverlapping(to, count);
    }
}

/// Sets the capability that goes along with the next message as number `index` (0 to 2; others are ignored).
#[inline]
pub fn set_cap(index: usize, cap: CPtr) {
    if index < pecan_abi::ipc::MSG_MAX_EXTRA_CAPS {
        // SAFETY: as in `message_word`.
        unsafe { (&raw mut (*ipc_buffer()).caps_or_badges[index]).write_volatile(cap) }
    }
}

/// The badge of capability `index` of the message just received, if it was unwrapped; 0 past the last.
#[inline]
pub fn unwrapped_badge(index: usize) -> u64 {
    if index >= pecan_abi::ipc::MSG_MAX_EXTRA_CAPS {
        return 0;
    }
    // SAFETY: as in `message_word`.
    unsafe { (&raw const (*ipc_buffer()).caps_or_badges[index]).read_volatile() }
}

/// Sets where the next received capability is stored.
#[inline]
pub fn set_receive_slot(root: CPtr, index: CPtr, depth: u64) {
    let buffer = ipc_buffer();
    // SAFETY: as in `message_word`.
    unsafe {
        (&raw mut (*buffer).receive_cnode).write_volatile(root);
        (&raw mut (*buffer).receive_index).write_volatile(index);
        (&raw mut (*buffer).receive_depth).write_volatile(depth);
    }
}

/// Invokes a kernel object: sends capabilities and words with a label, and turns the reply's label into a
/// result. The generated functions of [`invocations`] are this with the right counts.
///
/// # Safety
/// What the invocation does must leave this program's memory and threads what their code relies on.
#[inline]
pub unsafe fn invoke<const CAPS: usize, const WORDS: usize>(
    service: CPtr,
    label: Label,
    caps: [CPtr; CAPS],
    words: [u64; WORDS],
) -> Result<Reply> {
    const {
        assert!(CAPS <= pecan_abi::ipc::MSG_MAX_EXTRA_CAPS && WORDS <= pecan_abi::ipc::MSG_MAX_LENGTH);
    }
    for (index, cap) in caps.into_iter().enumerate() {
        set_cap(index, cap);
    }
    let mut regs = [0; MESSAGE_REGISTERS];
    for (index, word) in words.into_iter().enumerate() {
        if index < MESSAGE_REGISTERS {
            regs[index] = word;
        } else {
            set_message_word(index, word);
        }
    }
    let info = MessageInfo::new(label.word(), 0, CAPS as u64, WORDS as u64);
    // SAFETY: the caller vouches for what the invocation does.
    let reply = unsafe { call(service, info, regs) };
    match reply.info.label() {
        0 => Ok(reply),
        label => Err(Error::from_reply(label, |index| reply.word(index))),
    }
}

/// Sets the name that debug kernels use for a thread. Names longer than a message are cut.
pub fn debug_name_thread(tcb: CPtr, name: &str) {
    let most = pecan_abi::ipc::MSG_MAX_LENGTH * 8 - 1;
    let bytes = &name.as_bytes()[..name.len().min(most)];
    for (index, chunk) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        set_message_word(index, u64::from_le_bytes(word));
    }
    if bytes.len().is_multiple_of(8) {
        set_message_word(bytes.len() / 8, 0);
    }
    debug_call(pecan_abi::Syscall::DebugNameThread, tcb);
}

/// Writes bytes on the kernel's console; only kernels with printing have it, others fault the thread.
pub fn debug_put_bytes(bytes: &[u8]) {
    for byte in bytes {
        debug_put_char(*byte);
    }
}

/// Keeps the generated code and this module from drifting apart: the longest invocation fits a message.
const _: () = {
    let mut i = 0;
    while i < pecan_abi::INVOCATIONS.len() {
        let invocation = &pecan_abi::INVOCATIONS[i];
        assert!(invocation.words(Direction::In) <= pecan_abi::ipc::MSG_MAX_LENGTH);
        assert!(invocation.extra_caps() <= pecan_abi::ipc::MSG_MAX_EXTRA_CAPS);
        i += 1;
    }
};
