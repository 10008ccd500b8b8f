//! The words of a message: the first four in registers, the rest in the IPC buffer.
//!
//! The one place that knows which word is where. A buffer is user memory, which user level can change at any
//! time: words are read once. It is found through the thread's own copy of the frame's capability, so it is
//! there as long as that is. A thread without a buffer sends and receives what fits into registers.

use pecan_abi::{
    MessageInfo,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_LENGTH, buffer},
};
use pecan_arch::reg;
use pecan_mem::{IpcBuffer, Kernel, Link, Tcb, follow, retype};

/// Length and number of extra capabilities in a message information word.
pub const INFO_SHAPE: u64 = 0x1ff;

/// Number of extra capabilities in a message information word.
pub const INFO_CAPS: u64 = 0x180;

/// The bit of [`INFO_CAPS`] that is set for more than one.
pub const INFO_SEVERAL_CAPS: u64 = 0x100;

/// The IPC buffer of a thread, to write to; `None` if it has none (or none it may write).
#[inline]
pub fn buffer_for_writing<'k>(k: &'k Kernel, thread: &Tcb) -> Option<&'k IpcBuffer> {
    follow(buffer(k, thread, true), k)
}

/// The IPC buffer of a thread, to read from.
#[inline]
pub fn buffer_for_reading<'k>(k: &'k Kernel, thread: &Tcb) -> Option<&'k IpcBuffer> {
    follow(buffer(k, thread, false), k)
}

/// The IPC buffer of a thread, to read from, or to write to as well.
#[inline]
pub fn buffer(_k: &Kernel, thread: &Tcb, write: bool) -> Option<Link<IpcBuffer>> {
    let frame = thread.slots[Tcb::SLOT_IPC_BUFFER].words();
    retype::ipc_buffer(frame, thread.ipc_buffer.get(), write)
}

/// The same, if the buffer lies in a frame of the smallest size.
#[inline(always)]
pub fn small_buffer(_k: &Kernel, thread: &Tcb, write: bool) -> Option<Link<IpcBuffer>> {
    let frame = thread.slots[Tcb::SLOT_IPC_BUFFER].words();
    retype::small_ipc_buffer(frame, thread.ipc_buffer.get(), write)
}

/// Message word `i` of a thread that sends; 0 where there is no IPC buffer to hold it.
#[inline(always)]
pub fn get(k: &Kernel, thread: &Tcb, i: usize) -> u64 {
    if i < MESSAGE_REGISTERS {
        thread.context.get(reg::MSG[i])
    } else {
        buffer_for_reading(k, thread).map_or(0, |b| b.get(buffer::MSG + i))
    }
}

/// Sets message word `i` of a thread that receives. False if there is no place for it.
#[inline]
pub fn put(k: &Kernel, thread: &Tcb, i: usize, word: u64) -> bool {
    if i < MESSAGE_REGISTERS {
        thread.context.set(reg::MSG[i], word);
        return true;
    }
    match buffer_for_writing(k, thread) {
        Some(b) if i < MSG_MAX_LENGTH => {
            b.set(buffer::MSG + i, word);
            true
        }
        _ => false,
    }
}

/// Sets the message words of a thread from the first on; returns how many had a place.
pub fn put_all(k: &Kernel, thread: &Tcb, words: impl IntoIterator<Item = u64>) -> usize {
    let buffer = buffer_for_writing(k, thread);
    let mut n = 0;
    for word in words {
        if n < MESSAGE_REGISTERS {
            thread.context.set(reg::MSG[n], word);
        } else if let Some(b) = buffer.filter(|_| n < MSG_MAX_LENGTH) {
            b.set(buffer::MSG + n, word);
        } else {
            break;
        }
        n += 1;
    }
    n
}

/// A message that all has a place, in registers and in IPC buffers in frames of the smallest size.
#[derive(Clone, Copy)]
pub struct Placed<'k> {
    /// The buffers of the sender and of the receiver, if there are words for them.
    buffers: Option<(&'k IpcBuffer, &'k IpcBuffer)>,
    /// Words.
    length: usize,
}

impl<'k> Placed<'k> {
    /// The message of a thread whose message information has this [shape](INFO_SHAPE). `None` for one with capabilities,
    /// and where there are no such buffers.
    #[inline(always)]
    pub fn new(k: &'k Kernel, from: &Tcb, to: &Tcb, shape: u64) -> Option<Self> {
        let length = shape as usize;
        let mut buffers = None;
        if length > MESSAGE_REGISTERS {
            if length > MSG_MAX_LENGTH {
                return None;
            }
            buffers = Some((small_buffer(k, from, false)?.get(k), small_buffer(k, to, true)?.get(k)));
        }
        Some(Placed { buffers, length })
    }

    /// Copies it.
    #[inline(always)]
    pub fn copy(self, from: &Tcb, to: &Tcb) {
        match self.buffers {
            Some((source, dest)) => {
                from.context.copy_message(&to.context, MESSAGE_REGISTERS);
                let rest = self.length - MESSAGE_REGISTERS;
                source.copy_tail::<{ buffer::MSG + MESSAGE_REGISTERS }>(dest, rest);
            }
            None => from.context.copy_message(&to.context, self.length),
        }
    }
}

/// Copies `length` message words from one thread to another; returns how many had a place on both sides.
#[inline(always)]
pub fn copy(k: &Kernel, from: &Tcb, to: &Tcb, length: usize) -> usize {
    from.context.copy_message(&to.context, length);
    if length <= MESSAGE_REGISTERS {
        return length;
    }
    let (Some(source), Some(dest)) = (buffer_for_reading(k, from), buffer_for_writing(k, to)) else {
        return MESSAGE_REGISTERS;
    };
    let length = length.min(MSG_MAX_LENGTH);
    source.copy_tail::<{ buffer::MSG + MESSAGE_REGISTERS }>(dest, length - MESSAGE_REGISTERS);
    length
}

/// The message information of an answer from the kernel.
pub fn kernel_info(label: u64, length: usize) -> MessageInfo {
    MessageInfo::new(label, 0, 0, length as u64)
}

/// Words of a message that a thread can really send: without an IPC buffer, those in registers.
pub fn sendable_length(k: &Kernel, sender: &Tcb, info: MessageInfo) -> usize {
    let length = info.length_capped();
    if length > MESSAGE_REGISTERS && buffer_for_reading(k, sender).is_none() {
        MESSAGE_REGISTERS
    } else {
        length
    }
}
