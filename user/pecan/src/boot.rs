//! What a root task is given.

use core::slice;

use pecan_abi::{
    boot::{self as abi, BootInfoHeader, BootInfoId, SlotRegion, UntypedDesc, slot},
    constants::{MIN_SCHED_CONTEXT_BITS, SLOT_BITS},
};

#[allow(unused_imports, reason = "not every architecture has some of its own")]
pub use crate::arch::boot::*;
use crate::{
    Cap, Error, Result,
    cap::FixedSize,
    types::{
        AsidControl, AsidPool, CNode, DomainSet, IrqControl, SchedContext, SchedControl, SmallPage, Tcb,
        Untyped, VSpace,
    },
};

/// The root task's own thread.
pub const TCB: Cap<Tcb> = Cap::at(slot::INIT_THREAD_TCB);
/// Its CSpace, of one level.
pub const CNODE: Cap<CNode> = Cap::at(slot::INIT_THREAD_CNODE);
/// Its address space.
pub const VSPACE: Cap<VSpace> = Cap::at(slot::INIT_THREAD_VSPACE);
/// Authority over interrupts.
pub const IRQ_CONTROL: Cap<IrqControl> = Cap::at(slot::IRQ_CONTROL);
/// Authority to create ASID pools.
pub const ASID_CONTROL: Cap<AsidControl> = Cap::at(slot::ASID_CONTROL);
/// The ASID pool its address space is in.
pub const ASID_POOL: Cap<AsidPool> = Cap::at(slot::INIT_THREAD_ASID_POOL);
/// The frame of the boot information.
pub const BOOT_INFO_FRAME: Cap<SmallPage> = Cap::at(slot::BOOT_INFO_FRAME);
/// The frame of its IPC buffer.
pub const IPC_BUFFER: Cap<SmallPage> = Cap::at(slot::INIT_THREAD_IPC_BUFFER);
/// Authority over domains.
pub const DOMAIN: Cap<DomainSet> = Cap::at(slot::DOMAIN);
/// Its scheduling context.
pub const SCHED_CONTEXT: Cap<SchedContext> = Cap::at(slot::INIT_THREAD_SC);

/// The boot information, as the kernel mapped it.
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    info: &'static abi::BootInfo,
}

/// A chunk of the extra boot information.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    /// What it is; a number that is not a [`BootInfoId`] is something newer.
    pub id: u64,
    /// All of it, head included.
    pub bytes: &'static [u8],
}

impl BootInfo {
    /// The boot information at an address.
    ///
    /// # Safety
    /// It must be the address that the kernel started the root task with, and nobody may write there.
    pub unsafe fn at(address: usize) -> Self {
        // SAFETY: the caller vouches for it.
        Self { info: unsafe { &*(address as *const abi::BootInfo) } }
    }

    /// The structure itself.
    pub const fn raw(&self) -> &'static abi::BootInfo {
        self.info
    }

    /// Each untyped, and what is behind it.
    pub fn untypeds(&self) -> impl Iterator<Item = (Cap<Untyped>, UntypedDesc)> + use<> {
        let info = self.info;
        (info.untyped.start..info.untyped.end).map(Cap::at).zip(info.untyped_list.iter().copied())
    }

    /// The authority over the time of a core.
    pub fn sched_control(&self, node: u64) -> Result<Cap<SchedControl>> {
        nth(self.info.sched_control, node)
    }

    /// The frame of this program's own image that holds an address; `image` is where the image starts.
    pub fn image_frame(&self, image: usize, address: usize) -> Result<Cap<SmallPage>> {
        let page = address.checked_sub(image & !0xfff).ok_or(Error::NoSlots)? >> 12;
        nth(self.info.user_image_frames, page as u64)
    }

    /// The chunks of the extra boot information, padding left out.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk> + use<> {
        let start = self.info as *const abi::BootInfo as usize + (1 << abi_frame_bits());
        // SAFETY: the kernel maps the extra boot information right after the frame of the boot information and
        // says how long it is.
        let bytes = unsafe { slice::from_raw_parts(start as *const u8, self.info.extra_len as usize) };
        chunks_of(bytes).filter(|chunk| chunk.id != BootInfoId::Padding.word())
    }

    /// The chunk of one kind.
    pub fn chunk(&self, id: BootInfoId) -> Option<Chunk> {
        self.chunks().find(|chunk| chunk.id == id.word())
    }

    /// Bytes of memory in untypeds.
    pub fn untyped_memory(&self) -> u64 {
        self.untypeds().filter(|(_, desc)| desc.is_device == 0).map(|(_, desc)| 1 << desc.size_bits).sum()
    }

    /// Bytes of memory in the objects that the root task consists of, at least.
    pub fn own_memory(&self) -> u64 {
        let info = self.info;
        // Besides those counted: IPC buffer, boot information, root table, ASID pool.
        let pages =
            4 + info.user_image_frames.len() + info.extra_bi_pages.len() + info.user_image_paging.len();
        let bits = info.init_thread_cnode_size_bits as u32 + SLOT_BITS;
        (pages << SmallPage::SIZE_BITS)
            + (1 << bits)
            + (1 << Tcb::SIZE_BITS) / 2
            + (1 << MIN_SCHED_CONTEXT_BITS)
    }
}

const fn abi_frame_bits() -> u32 {
    pecan_abi::constants::BOOT_INFO_FRAME_BITS
}

fn nth<T>(region: SlotRegion, n: u64) -> Result<Cap<T>> {
    if n < region.len() { Ok(Cap::at(region.start + n)) } else { Err(Error::NoSlots) }
}

/// Walks chunks; stops at one whose length makes no sense.
fn chunks_of(mut bytes: &'static [u8]) -> impl Iterator<Item = Chunk> {
    core::iter::from_fn(move || {
        const HEAD: usize = size_of::<BootInfoHeader>();
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let (id, len) = (word(0)?, usize::try_from(word(8)?).ok()?);
        if len < HEAD || len > bytes.len() {
            return None;
        }
        let (chunk, rest) = bytes.split_at(len);
        bytes = rest;
        Some(Chunk { id, bytes: chunk })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_walked_until_one_makes_no_sense() {
        static BYTES: [u8; 64] = {
            let mut bytes = [0; 64];
            bytes[0] = 5;
            bytes[8] = 20;
            bytes[20] = 3;
            bytes[28] = 16;
            bytes[36] = 1;
            bytes[44] = 200;
            bytes
        };
        let mut chunks = chunks_of(&BYTES);
        let first = chunks.next().unwrap();
        assert_eq!((first.id, first.bytes.len()), (5, 20));
        let second = chunks.next().unwrap();
        assert_eq!((second.id, second.bytes.len()), (3, 16));
        assert!(chunks.next().is_none());
    }
}
