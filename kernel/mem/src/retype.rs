//! Memory becoming objects.
//!
//! The invariant that makes this sound: the memory of an untyped capability above its watermark (`used`) is
//! all zero (unless it is device memory) and nothing refers to it. [`reset_step`] lowers the watermark, and may
//! only be called when nothing was derived from the capability; [`carve`] raises it.

use core::ptr::addr_of_mut;

use pecan_arch::{FpuState, PhysAddr, UserContext, phys_to_virt};

use crate::{
    Kernel,
    cap::{Cap, EndpointRights, FrameRights, Words, ZombieKind},
    link::Link,
    object::{Fault, IpcBuffer, PageTable, Refill, SchedContext, Tcb, ThreadState},
    slot::{CNodeRef, Slot},
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
    /// A paging structure.
    PageTable {
        /// 0 for the lowest; `PT_LEVELS - 1` for the root.
        level: u8,
    },
    /// An ASID pool.
    AsidPool {
        /// The first identifier in it.
        base: u16,
    },
}

impl ObjectKind {
    /// Size in bytes, log2.
    #[inline]
    pub fn bits(self) -> u32 {
        match self {
            ObjectKind::Untyped { bits } | ObjectKind::SchedContext { bits } => bits as u32,
            ObjectKind::Tcb => {
                if pecan_config::XSAVE_SIZE >= 832 {
                    12
                } else {
                    11
                }
            }
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

/// Zeroes up to `2^chunk_bits` bytes below the watermark of an untyped capability and lowers it by as much.
/// True once the watermark is 0.
///
/// The caller has checked that the capability has no children.
pub fn reset_step(k: &mut Kernel, slot: Link<Slot>, chunk_bits: u32) -> bool {
    let slot = slot.get(k);
    let words = slot.words();
    let Some((base, bits, device, used)) = words.untyped() else { return true };
    let used = used.min(1 << bits);
    let rest = if device || used == 0 { 0 } else { (used - 1) >> chunk_bits << chunk_bits };
    if !device {
        let start = phys_to_virt(PhysAddr(base.0 + rest)) as *mut u64;
        // SAFETY: the memory is this capability's, RAM (hence mapped), and nothing else refers to it: no
        // capability was derived from it (the caller's check). Sizes and chunks are multiples of 8 bytes.
        unsafe { start.write_bytes(0, ((used - rest) / 8) as usize) }
    }
    slot.set_words(words.with_used(rest));
    rest == 0
}

/// Objects that have been cut from an untyped capability and await their capabilities.
pub struct Batch {
    kind: ObjectKind,
    /// The size of each.
    size: u64,
    next: PhysAddr,
    left: u64,
    device: bool,
}

/// Where `count` objects of `kind` would lie in an untyped capability with `used` bytes in use: the offset of
/// the first and of the end, or `None` if they do not fit.
#[inline]
fn placement(bits: u8, used: u64, kind: ObjectKind, count: u64) -> Option<(u64, u64)> {
    let size = 1u64.checked_shl(kind.bits()).filter(|_| kind.bits() < 63)?;
    let start = used.checked_add(size - 1)? & !(size - 1);
    let end = start.checked_add(count.checked_mul(size)?)?;
    (end <= 1 << bits).then_some((start, end))
}

/// Cuts `count` objects of `kind` from an untyped capability, raising its watermark. `None`, and nothing
/// changed, if they do not fit or may not lie in device memory.
#[inline(always)]
pub fn carve(k: &mut Kernel, slot: Link<Slot>, kind: ObjectKind, count: u64) -> Option<Batch> {
    let slot = slot.get(k);
    let words = slot.words();
    let (base, bits, device, used) = words.untyped()?;
    if device && !kind.allowed_in_device() {
        return None;
    }
    let (start, end) = placement(bits, used, kind, count)?;
    slot.set_words(words.with_used(end));
    Some(Batch { kind, size: 1 << kind.bits(), next: PhysAddr(base.0 + start), left: count, device })
}

impl Batch {
    /// Makes the next object and the first capability to it.
    #[inline]
    pub fn next(&mut self, _k: &mut Kernel) -> Option<Cap> {
        self.left = self.left.checked_sub(1)?;
        let at = self.next;
        self.next = PhysAddr(at.0 + self.size);
        // SAFETY: `carve` took this memory from an untyped capability, so it is zero, aligned to its size and
        // nothing refers to it.
        Some(unsafe { create(self.kind, at, self.device) })
    }
}

/// Makes an object.
///
/// # Safety
/// 1. The memory at `at`, `2^kind.bits()` bytes and aligned to that, is mapped and zero unless `device`.
/// 2. Nothing refers to it.
pub(crate) unsafe fn create(kind: ObjectKind, at: PhysAddr, device: bool) -> Cap {
    // Device memory has no address in the kernel's window, and needs none.
    let addr = || phys_to_virt(at);
    macro_rules! link {
        () => {
            // SAFETY: not null and aligned by obligation 1 (objects are no larger than their size class);
            // zeroed memory is a valid object (see `object`), completed below where it is not.
            unsafe { Link::from_addr(addr()) }
        };
    }
    match kind {
        // Nothing of it is used: its memory is zero by obligation 1.
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
        ObjectKind::Tcb => {
            // SAFETY: obligations 1 and 2.
            unsafe { init_tcb(addr() as *mut Tcb) };
            Cap::Tcb { tcb: link!() }
        }
        ObjectKind::SchedContext { bits } => {
            let more = ((1usize << bits) - size_of::<SchedContext>()) / size_of::<Refill>();
            let sc = addr() as *mut SchedContext;
            // SAFETY: obligations 1 and 2; the refills counted here fit into the object.
            unsafe { (*sc).refill_capacity.set((2 + more).min(u16::MAX as usize) as u16) };
            Cap::SchedContext { sc: link!(), bits }
        }
        ObjectKind::PageTable { level } => {
            if level as usize == pecan_arch::PT_LEVELS - 1 {
                let table = addr() as *const PageTable;
                for index in pecan_arch::ROOT_USER_ENTRIES..1 << pecan_arch::PT_INDEX_BITS {
                    let entry = pecan_arch::kernel_root_entry(index);
                    if entry.is_present() {
                        // SAFETY: obligations 1 and 2; entries are atomics.
                        unsafe { (*table).set_entry(index, entry) };
                    }
                }
            }
            Cap::PageTable { table: link!(), level, mapping: None }
        }
        ObjectKind::AsidPool { base } => Cap::AsidPool { pool: link!(), base },
    }
}

/// Completes a TCB in zeroed memory.
///
/// # Safety
/// `tcb` points to zeroed memory for a TCB that nothing refers to.
pub(crate) unsafe fn init_tcb(tcb: *mut Tcb) {
    // SAFETY: by the obligation; only the fields for which zero is not the initial value are written.
    unsafe {
        addr_of_mut!((*tcb).context).write(UserContext::new());
        addr_of_mut!((*tcb).fpu).write(FpuState::init());
        addr_of_mut!((*tcb).state).write(core::cell::Cell::new(ThreadState::Inactive));
        addr_of_mut!((*tcb).fault).write(core::cell::Cell::new(Fault::None));
    }
}

/// The IPC buffer at user address `vaddr` in a frame: `None` if the capability is not one to a frame of memory
/// that user level may read, and write if `write`.
#[inline(always)]
pub fn ipc_buffer(frame: Words, vaddr: u64, write: bool) -> Option<Link<IpcBuffer>> {
    match frame.user_page(write) {
        // SAFETY: it is such a frame.
        Some(base) => Some(unsafe { buffer_in(base, 0, vaddr) }),
        None => buffer_in_large_frame(frame, vaddr, write),
    }
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

impl ZombieKind {
    /// Slots of what was deleted.
    pub fn slots(self) -> u64 {
        match self {
            ZombieKind::Tcb => Tcb::SLOTS as u64,
            ZombieKind::CNode { radix } => 1 << radix,
        }
    }

    /// The slot at `index` (below [`ZombieKind::slots`]) of the zombie that begins at `first`.
    pub fn slot(self, k: &Kernel, first: Link<Slot>, index: u64) -> Link<Slot> {
        match self {
            ZombieKind::Tcb => Tcb::from_first_slot(first).get(k).slots[index as usize % Tcb::SLOTS].link(),
            ZombieKind::CNode { radix } => CNodeRef { first, radix }.slot(index),
        }
    }
}
