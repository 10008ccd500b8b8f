//! Memory becoming objects.
//!
//! The invariant that makes this sound: the memory of an untyped capability above its watermark (`used`) is
//! all zero (unless it is device memory) and nothing refers to it. [`reset_step`] lowers the watermark, and may
//! only be called when nothing was derived from the capability; [`carve`] raises it.

use pecan_abi::constants::{MIN_SCHED_CONTEXT_BITS, MIN_UNTYPED_BITS, tcb_bits};
use pecan_arch::{
    FpuState, KERNEL_ROOT_ENTRIES, MAX_FRAME_LEVEL, PageTableEntry, PhysAddr, Pte, phys_to_virt,
};
use pecan_config::RESET_CHUNK_BITS;

use crate::{
    Kernel,
    cap::{ANY_LEVELS, Cap, EndpointRights, FrameRights, NO_LEVEL, NewCap, Words, table_level},
    derivation,
    link::Link,
    object::{IpcBuffer, PageTable, Refill, SchedContext, Tcb},
    slot::{CNodeRef, Slot},
    vspace::{self, ROOT_LEVEL, has_own_type},
};

/// What memory can be retyped into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectKind {
    /// Untyped memory of `2^bits` bytes.
    Untyped {
        /// Size in bytes, log2.
        bits: u8,
    },
    /// A thread.
    Tcb,
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A CNode of `2^radix` slots.
    CNode {
        /// Slots, log2.
        radix: u8,
    },
    /// A scheduling context of `2^bits` bytes.
    SchedContext {
        /// Size in bytes, log2; at least 7.
        bits: u8,
    },
    /// A reply object.
    Reply,
    /// A frame.
    Frame {
        /// 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB.
        level: u8,
    },
    /// A paging structure: see [`ObjectKind::table`].
    PageTable {
        /// 0 for the lowest; `PT_LEVELS - 1` for the root; [`ObjectKind::ANY_LEVEL`].
        level: u8,
    },
    /// An ASID pool.
    AsidPool {
        /// The first identifier in it.
        base: u16,
    },
}

impl ObjectKind {
    /// Of a paging structure whose level depends on where it is mapped.
    pub const ANY_LEVEL: u8 = NO_LEVEL as u8;

    /// A table that can be one of this level: of the level's own type, if it has one ([`has_own_type`]).
    pub const fn table(level: usize) -> ObjectKind {
        ObjectKind::PageTable { level: if has_own_type(level) { level as u8 } else { Self::ANY_LEVEL } }
    }

    /// Of no object: larger than any memory.
    pub const IMPOSSIBLE: u32 = 64;

    /// Size in bytes, log2; [`ObjectKind::IMPOSSIBLE`] for what cannot be.
    #[inline]
    pub fn bits(self) -> u32 {
        match self {
            ObjectKind::Untyped { bits } if (bits as u32) < MIN_UNTYPED_BITS => Self::IMPOSSIBLE,
            ObjectKind::SchedContext { bits } if (bits as u32) < MIN_SCHED_CONTEXT_BITS => Self::IMPOSSIBLE,
            ObjectKind::CNode { radix: 0 } => Self::IMPOSSIBLE,
            ObjectKind::Frame { level } if level as usize > MAX_FRAME_LEVEL => Self::IMPOSSIBLE,
            ObjectKind::PageTable { level: Self::ANY_LEVEL } if !ANY_LEVELS => Self::IMPOSSIBLE,
            ObjectKind::PageTable { level } if level != Self::ANY_LEVEL && !has_own_type(level.into()) => {
                Self::IMPOSSIBLE
            }
            ObjectKind::Untyped { bits } | ObjectKind::SchedContext { bits } => bits as u32,
            ObjectKind::Tcb => tcb_bits(size_of::<FpuState>()),
            ObjectKind::Endpoint => 4,
            ObjectKind::Notification => 6,
            ObjectKind::CNode { radix } => radix as u32 + 5,
            ObjectKind::Reply => 5,
            ObjectKind::Frame { level } => pecan_arch::level_shift(level as usize),
            ObjectKind::PageTable { .. } | ObjectKind::AsidPool { .. } => 12,
        }
    }

    /// True for what may lie in device memory.
    #[inline]
    pub fn allowed_in_device(self) -> bool {
        matches!(self, ObjectKind::Untyped { .. } | ObjectKind::Frame { .. })
    }
}

/// Zeroes up to `2^RESET_CHUNK_BITS` bytes below the watermark of an untyped capability and lowers it by as much.
/// True once there is nothing more to do: the watermark is 0, or the memory is not free, as capabilities descend
/// from this one.
pub fn reset_step(k: &mut Kernel, slot: Link<Slot>) -> bool {
    // Whole words, or the watermark would go down and leave behind what is not zero.
    const {
        assert!(RESET_CHUNK_BITS >= size_of::<u64>().ilog2());
        assert!(RESET_CHUNK_BITS < u64::BITS);
    }
    if derivation::has_children(k, slot) {
        return true;
    }
    let slot = slot.get(k);
    let words = slot.words();
    let Some((base, bits, device, used)) = words.untyped() else { return true };
    let used = used.min(1 << bits);
    let rest = if device || used == 0 { 0 } else { (used - 1) >> RESET_CHUNK_BITS << RESET_CHUNK_BITS };
    if !device {
        let start = phys_to_virt(PhysAddr(base.0 + rest)) as *mut u64;
        // SAFETY: the memory is this capability's, RAM (hence mapped), and nothing else refers to it: no
        // capability in any slot was derived from it, and what an object without capabilities leaves behind has
        // been unlinked (the invariant of `Link`). Sizes and chunks are multiples of 8 bytes.
        unsafe { pecan_arch::zero(start, ((used - rest) / 8) as usize) }
    }
    slot.set_words(words.with_used(rest));
    rest == 0
}

/// New objects of one kind, side by side, that await their capabilities. It has the lock: until it is placed
/// ([`derivation::place`]) or given back nothing else happens to the memory, nor to the capability that they descend from.
pub struct Batch<'k> {
    pub(crate) k: &'k mut Kernel,
    /// What they are.
    kind: ObjectKind,
    /// The first capability to the first of them.
    pub(crate) words: Words,
    /// The size of each, by which the address in the next one's capability is higher.
    pub(crate) size: u64,
    /// How many there are; none if they are lost.
    pub(crate) count: u64,
    /// The untyped memory that they were made of: the capability is in this slot.
    pub(crate) parent: Link<Slot>,
    /// How much of that was in use before.
    used: u64,
    /// What has been left in its slot.
    left: Words,
    /// See [`Batch::is_work`].
    is_work: bool,
}

impl Batch<'_> {
    /// Lends the lock. If the capability to the memory has left its slot afterwards, the objects are lost: nobody gets a
    /// capability to them, and the memory stays in use until it is reset.
    #[inline(always)]
    pub fn lend<R>(&mut self, work: impl FnOnce(&Kernel) -> R) -> R {
        // They are lost, too, if the work does not end.
        let count = core::mem::take(&mut self.count);
        let result = work(self.k);
        if self.parent.get(self.k).words() == self.left {
            self.count = count;
        }
        result
    }

    /// True for objects that are not all zero at first: making them took its time, for each.
    #[inline(always)]
    pub fn is_work(&self) -> bool {
        self.is_work
    }

    /// Puts the capability to a new ASID pool into an empty slot, and its identifiers into use.
    #[inline(always)]
    pub fn place_pool(self, dest: Link<Slot>) {
        let Batch { k, kind, words, size, count, parent, used, left, is_work } = self;
        let batch = Batch { k: &mut *k, kind, words, size, count, parent, used, left, is_work };
        derivation::place_one(batch, dest);
        if dest.get(k).words() == words {
            vspace::register(k, words);
        }
    }

    /// Gives the memory back: it is free and zero, as it was before the objects were made. Nothing happens if they are lost.
    #[inline(always)]
    pub fn give_back(self) {
        let Batch { k, kind, count, parent, used, .. } = self;
        if count == 0 {
            return;
        }
        // SAFETY: nothing has happened to this memory since `carve` has made these objects: the batch had the lock, and
        // its capability was back in its slot whenever it had been lent (`lend`).
        unsafe { undo(k, parent, kind, count, used) }
    }
}

/// Undoes [`carve`]. Its arguments are in registers.
///
/// # Safety
/// `carve` has just made so many objects of this kind, at the end of the memory that is in use, of which `used` bytes
/// were in use before. There are no capabilities to them, and there will be none.
#[cold]
#[inline(never)]
unsafe fn undo(k: &mut Kernel, parent: Link<Slot>, kind: ObjectKind, count: u64, used: u64) {
    let (slot, size) = (parent.get(k), 1u64 << kind.bits());
    let words = slot.words();
    let Some((base, _, _, end)) = words.untyped() else { return };
    // SAFETY: by the obligation, this is where they are, and what has happened to the memory.
    unsafe { revert(kind, PhysAddr(base.0 + end - count * size), size as usize, count) };
    slot.set_words(words.with_used(used));
}

/// Where `count` objects of a size would lie in an untyped capability with `used` bytes in use: the offset of
/// the first and of the end, or `None` if they do not fit.
#[inline]
fn placement(bits: u8, used: u64, object_bits: u32, count: u64) -> Option<(u64, u64)> {
    let size = 1u64.checked_shl(object_bits).filter(|_| object_bits < 63)?;
    let start = used.checked_add(size - 1)? & !(size - 1);
    let end = start.checked_add(count.checked_mul(size)?)?;
    (end <= 1 << bits).then_some((start, end))
}

/// Makes `count` objects of `kind` out of an untyped capability, raising its watermark. `None`, and nothing changed, if
/// they do not fit or may not lie in device memory.
#[inline(always)]
pub fn carve(k: &mut Kernel, parent: Link<Slot>, kind: ObjectKind, count: u64) -> Option<Batch<'_>> {
    let slot = parent.get(k);
    let words = slot.words();
    let (base, bits, device, used) = words.untyped()?;
    if device && !kind.allowed_in_device() {
        return None;
    }
    let object_bits = kind.bits();
    let (start, end) = placement(bits, used, object_bits, count)?;
    let left = words.with_used(end);
    slot.set_words(left);
    let (first, size) = (PhysAddr(base.0 + start), 1 << object_bits);
    // SAFETY: this memory is the untyped capability's, so it is zero, aligned to the object's size, and nothing refers to it.
    let is_work = unsafe { complete(kind, first, size as usize, count) };
    // SAFETY: such an object lies there now.
    let words = unsafe { first_cap(kind, first, device) }.pack();
    Some(Batch { k, kind, words, size, count, parent, used, left, is_work })
}

/// Makes an object.
///
/// # Safety
/// 1. The memory at `at`, `2^kind.bits()` bytes and aligned to that, is mapped and zero unless `device`.
/// 2. Nothing refers to it.
#[cfg_attr(target_os = "none", inline)]
pub(crate) unsafe fn create(kind: ObjectKind, at: PhysAddr, device: bool) -> NewCap {
    // SAFETY: the caller's obligations.
    unsafe {
        complete(kind, at, 1 << kind.bits(), 1);
        NewCap(first_cap(kind, at, device).pack())
    }
}

/// The capability with all rights to an object.
///
/// # Safety
/// The memory is that of such an object, or nobody follows the link before it is.
unsafe fn first_cap(kind: ObjectKind, at: PhysAddr, device: bool) -> Cap {
    // Device memory has no address in the kernel's window, and needs none.
    let addr = || phys_to_virt(at);
    macro_rules! link {
        () => {
            // SAFETY: not null and aligned (objects are no larger than their size class), by the obligation.
            unsafe { Link::from_addr(addr()) }
        };
    }
    match kind {
        // Nothing of it is used: its memory is zero.
        ObjectKind::Untyped { bits } => Cap::Untyped { base: at, bits, device, used: 0 },
        ObjectKind::Frame { level } => {
            Cap::Frame { base: at, level, rights: FrameRights::ReadWrite, device, mapping: None }
        }
        ObjectKind::Endpoint => Cap::Endpoint {
            ep: link!(),
            badge: 0,
            rights: EndpointRights { send: true, receive: true, grant: true, grant_reply: true },
        },
        ObjectKind::Notification => Cap::Notification { ntfn: link!(), badge: 0, send: true, receive: true },
        ObjectKind::Reply => Cap::Reply { reply: link!(), grant: true },
        ObjectKind::CNode { radix } => {
            Cap::CNode { cnode: CNodeRef { first: link!(), radix }, guard: 0, guard_bits: 0 }
        }
        ObjectKind::Tcb => Cap::Tcb { tcb: link!() },
        ObjectKind::SchedContext { bits } => Cap::SchedContext { sc: link!(), bits },
        ObjectKind::PageTable { level } => {
            Cap::PageTable { table: link!(), level: table_level(level.into()), mapping: None }
        }
        ObjectKind::AsidPool { base } => Cap::AsidPool { pool: link!(), base },
    }
}

/// Does something with each of `count` objects of `size` bytes, side by side, of which it is given the address.
#[inline(always)]
fn each(first: PhysAddr, size: usize, count: u64, object: impl Fn(usize)) {
    let mut at = phys_to_virt(first);
    for _ in 0..count {
        object(at);
        at += size;
    }
}

/// Sets the entries that root tables have for the kernel.
///
/// # Safety
/// As for [`create`], of each table; zero or not.
#[inline(always)]
unsafe fn set_kernel_entries(first: PhysAddr, size: usize, count: u64, entry: impl Fn(usize) -> Pte) {
    // One entry of all tables after another: a loop over the entries of each table would cost three times as much.
    for index in KERNEL_ROOT_ENTRIES {
        let entry = entry(index);
        each(first, size, count, |at| {
            // SAFETY: the caller's obligations; entries are atomics.
            let table = unsafe { &*(at as *const PageTable) };
            table.set_entry(index, entry);
        });
    }
}

/// Completes `count` objects of `size` bytes, side by side, in zeroed memory: zero is a valid value of most (see `object`).
/// True if it is not of these.
///
/// # Safety
/// As for [`create`], of each.
#[inline(always)]
unsafe fn complete(kind: ObjectKind, first: PhysAddr, size: usize, count: u64) -> bool {
    match kind {
        // SAFETY: the caller's obligations.
        ObjectKind::Tcb => each(first, size, count, |at| unsafe { Tcb::complete(at as *mut Tcb) }),
        ObjectKind::SchedContext { bits } => {
            let more = ((1usize << bits) - size_of::<SchedContext>()) / size_of::<Refill>();
            let capacity = (2 + more).min(u16::MAX as usize) as u16;
            // SAFETY: the caller's obligations; the refills counted here fit into the object.
            each(first, size, count, |at| unsafe {
                (*(at as *mut SchedContext)).refill_capacity.set(capacity)
            });
        }
        ObjectKind::PageTable { level } if level as usize == ROOT_LEVEL => {
            // SAFETY: the caller's obligations.
            unsafe { set_kernel_entries(first, size, count, pecan_arch::kernel_root_entry) }
        }
        ObjectKind::Untyped { .. }
        | ObjectKind::Endpoint
        | ObjectKind::Notification
        | ObjectKind::CNode { .. }
        | ObjectKind::Reply
        | ObjectKind::Frame { .. }
        | ObjectKind::PageTable { .. }
        | ObjectKind::AsidPool { .. } => return false,
    }
    true
}

/// Makes the memory of objects all zero again that [`complete`] has completed.
///
/// # Safety
/// 1. That is all that has happened to the memory since it was zero.
/// 2. Nothing refers to the objects, and nothing will.
unsafe fn revert(kind: ObjectKind, first: PhysAddr, size: usize, count: u64) {
    match kind {
        // SAFETY: the caller's obligations.
        ObjectKind::Tcb => each(first, size, count, |at| unsafe { Tcb::revert(at as *mut Tcb) }),
        ObjectKind::SchedContext { .. } => {
            // SAFETY: the caller's obligations.
            each(first, size, count, |at| unsafe { (*(at as *mut SchedContext)).refill_capacity.set(0) })
        }
        ObjectKind::PageTable { level } if level as usize == ROOT_LEVEL => {
            // SAFETY: the caller's obligations.
            unsafe { set_kernel_entries(first, size, count, |_| Pte::EMPTY) }
        }
        ObjectKind::Untyped { .. }
        | ObjectKind::Endpoint
        | ObjectKind::Notification
        | ObjectKind::CNode { .. }
        | ObjectKind::Reply
        | ObjectKind::Frame { .. }
        | ObjectKind::PageTable { .. }
        | ObjectKind::AsidPool { .. } => {}
    }
}

/// The IPC buffer at user address `vaddr` in a frame: `None` if the capability is not one to a frame of memory
/// that user level may read, and write if `write`.
#[inline(always)]
pub fn ipc_buffer(frame: Words, vaddr: u64, write: bool) -> Option<Link<IpcBuffer>> {
    match small_ipc_buffer(frame, vaddr, write) {
        None => buffer_in_large_frame(frame, vaddr, write),
        small => small,
    }
}

/// [`ipc_buffer`] in frames of the smallest size only.
#[inline(always)]
pub fn small_ipc_buffer(frame: Words, vaddr: u64, write: bool) -> Option<Link<IpcBuffer>> {
    // SAFETY: it is such a frame.
    frame.user_page(write).map(|base| unsafe { buffer_in(base, 0, vaddr) })
}

#[inline(never)]
fn buffer_in_large_frame(frame: Words, vaddr: u64, write: bool) -> Option<Link<IpcBuffer>> {
    let (base, level) = frame.user_memory(write)?;
    // SAFETY: it is such a frame.
    Some(unsafe { buffer_in(base, level, vaddr) })
}

/// The IPC buffer at user address `vaddr` in a frame of memory.
///
/// # Safety
/// At `base` lies a frame of this level, which is RAM.
#[inline(always)]
unsafe fn buffer_in(base: PhysAddr, level: usize, vaddr: u64) -> Link<IpcBuffer> {
    let offset = vaddr & ((1 << pecan_arch::level_shift(level)) - 1) & !(size_of::<IpcBuffer>() as u64 - 1);
    // SAFETY: RAM is mapped, and the offset is aligned and inside the frame. User level writes to the same memory,
    // which the buffer's atomics allow for.
    unsafe { Link::from_addr(phys_to_virt(PhysAddr(base.0 + offset))) }
}
