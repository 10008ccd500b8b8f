//! Messages: the message information word and the layout of the IPC buffer.

/// log2 of the size of an IPC buffer in bytes; a buffer is aligned to its size and so never crosses a page.
pub const IPC_BUFFER_BITS: u32 = 10;
/// The most words a message has.
pub const MSG_MAX_LENGTH: usize = 120;
/// The most capabilities a message carries besides the one invoked.
pub const MSG_MAX_EXTRA_CAPS: usize = 3;
/// How many message words travel in registers; the rest are in the IPC buffers.
pub const MESSAGE_REGISTERS: usize = crate::arch::MESSAGE_REGISTERS;

/// Offsets in the IPC buffer, in words from its start.
pub mod buffer {
    /// The message information of the last message (written by user level only).
    pub const TAG: usize = 0;
    /// The first message word; message word `i` is at `MSG + i`.
    pub const MSG: usize = 1;
    /// A word that is the user's own.
    pub const USER_DATA: usize = 121;
    /// Capabilities to send; after a receive, the badges of those that were unwrapped. Three words.
    pub const CAPS_OR_BADGES: usize = 122;
    /// The root of the CSpace in which a received capability is stored.
    pub const RECEIVE_CNODE: usize = 125;
    /// The address of the slot for it, in that CSpace.
    pub const RECEIVE_INDEX: usize = 126;
    /// How many bits of that address count.
    pub const RECEIVE_DEPTH: usize = 127;
    /// The size of the buffer in words.
    pub const WORDS: usize = 128;
}

/// The IPC buffer as user level sees it.
#[repr(C, align(1024))]
#[derive(Clone, Copy, Debug)]
pub struct IpcBuffer {
    /// Message information of the last message; user level's own note.
    pub tag: u64,
    /// Message words. Those that travel in registers are not kept here by the kernel.
    pub msg: [u64; MSG_MAX_LENGTH],
    /// The user's own word.
    pub user_data: u64,
    /// Capabilities to send, or the badges of unwrapped ones after a receive.
    pub caps_or_badges: [u64; MSG_MAX_EXTRA_CAPS],
    /// The root of the CSpace in which a received capability is stored.
    pub receive_cnode: u64,
    /// The address of the slot for it.
    pub receive_index: u64,
    /// How many bits of that address count.
    pub receive_depth: u64,
}

const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    assert!(size_of::<IpcBuffer>() == 1 << IPC_BUFFER_BITS);
    assert!(align_of::<IpcBuffer>() == 1 << IPC_BUFFER_BITS);
    assert!(size_of::<IpcBuffer>() == 8 * buffer::WORDS);
    assert!(offset_of!(IpcBuffer, tag) == 8 * buffer::TAG);
    assert!(offset_of!(IpcBuffer, msg) == 8 * buffer::MSG);
    assert!(offset_of!(IpcBuffer, user_data) == 8 * buffer::USER_DATA);
    assert!(offset_of!(IpcBuffer, caps_or_badges) == 8 * buffer::CAPS_OR_BADGES);
    assert!(offset_of!(IpcBuffer, receive_cnode) == 8 * buffer::RECEIVE_CNODE);
    assert!(offset_of!(IpcBuffer, receive_index) == 8 * buffer::RECEIVE_INDEX);
    assert!(offset_of!(IpcBuffer, receive_depth) == 8 * buffer::RECEIVE_DEPTH);
};

/// The word that describes a message: its length in words (bits 0..=6), the number of extra capabilities
/// (7..=8), which of them were unwrapped to their badges (9..=11), and the label (12..=63).
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct MessageInfo(pub u64);

impl MessageInfo {
    /// Width of the length field.
    pub const LENGTH_BITS: u32 = 7;
    /// Width of the field that counts extra capabilities.
    pub const EXTRA_CAPS_BITS: u32 = 2;
    /// Width of the field that marks unwrapped capabilities.
    pub const CAPS_UNWRAPPED_BITS: u32 = 3;
    /// Width of the label field.
    pub const LABEL_BITS: u32 = 52;

    /// A word from its parts, in the order label, unwrapped, extra capabilities, length. Bits that do not fit
    /// a field are dropped.
    #[inline]
    pub const fn new(label: u64, caps_unwrapped: u64, extra_caps: u64, length: u64) -> Self {
        Self(length & 0x7f | (extra_caps & 3) << 7 | (caps_unwrapped & 7) << 9 | label << 12)
    }

    /// The length of the message in words. A user can put up to 127 here.
    #[inline]
    pub const fn length(self) -> usize {
        (self.0 & 0x7f) as usize
    }

    /// The length, cut to what a message can hold.
    #[inline]
    pub const fn length_capped(self) -> usize {
        let length = self.length();
        if length > MSG_MAX_LENGTH { MSG_MAX_LENGTH } else { length }
    }

    /// How many capabilities come with the message.
    #[inline]
    pub const fn extra_caps(self) -> usize {
        (self.0 >> 7 & 3) as usize
    }

    /// A bit for each extra capability that arrived as a badge instead of a capability.
    #[inline]
    pub const fn caps_unwrapped(self) -> u64 {
        self.0 >> 9 & 7
    }

    /// The label: what an invocation asks for, the error in its reply, the fault in a fault message, or
    /// whatever two components agree on.
    #[inline]
    pub const fn label(self) -> u64 {
        self.0 >> 12
    }

    /// The same word with another length.
    #[inline]
    pub const fn with_length(self, length: u64) -> Self {
        Self(self.0 & !0x7f | length & 0x7f)
    }
}
