//! Capabilities: two words in memory, one enum in code. Packing and unpacking happen here and nowhere else.
//!
//! [`Words`] *are* a capability: only this crate makes them, out of objects that it has made. [`Cap`] says what they
//! mean. It is a description, which anybody may write down and which nothing takes for a capability.
//!
//! Word 0 holds an address in bits 16..63 (of kernel objects, or physical of untyped memory and frames), so that one
//! arithmetic shift gives it in canonical form, the tag in 11..15, and eleven bits of the kind's own below. Word 1 is the
//! kind's own.

pub mod arch;
mod new;
mod relation;
mod table;
pub mod tag;
mod zombie;

pub use arch::{ArchCap, ArchControl};
pub use new::{Control, NewCap};
pub(crate) use table::{ANY_LEVELS, NO_LEVEL, table_level};
pub use tag::Tag;
pub use zombie::{Zombie, ZombieKind};

use pecan_abi::CapRights;
use pecan_arch::PhysAddr;

use crate::{
    Kernel,
    link::{ADDR_MASK, Link},
    object::{Endpoint, Notification, PageTable, Reply, SchedContext, Tcb},
    slot::{CNodeRef, Slot},
    vspace::AsidPool,
};

/// A packed capability.
///
/// There are such words for what `retype` has made, for the authorities of [`Control`], and for what the methods below
/// derive from these. None of them makes one to another object, or to more memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Words {
    pub(crate) w0: u64,
    pub(crate) w1: u64,
}

/// What the holder of an endpoint capability may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EndpointRights {
    /// Send and call.
    pub send: bool,
    /// Receive.
    pub receive: bool,
    /// Transfer capabilities with a message.
    pub grant: bool,
    /// Give the receiver a reply capability that may transfer capabilities.
    pub grant_reply: bool,
}

/// Access that a frame capability allows its mappings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FrameRights {
    /// The kernel only: a mapping that user level cannot touch.
    KernelOnly = 1,
    /// Read only.
    ReadOnly = 2,
    /// Read and write.
    ReadWrite = 3,
}

/// Where a frame or a paging structure is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The address space; never 0.
    pub asid: u16,
    /// The user address, aligned to what is mapped.
    pub vaddr: u64,
}

/// What a [`Cap::Ending`] is the last of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// An endpoint that many threads wait at.
    Endpoint(Link<Endpoint>),
    /// A notification that many threads wait for.
    Notification(Link<Notification>),
    /// The handler of an interrupt whose notification ends.
    IrqHandler(u16),
}

/// A capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cap {
    /// Nothing.
    Null,
    /// Memory that can be retyped.
    Untyped {
        /// Start of the memory, aligned to its size.
        base: PhysAddr,
        /// Size in bytes, log2.
        bits: u8,
        /// Device memory: never touched by the kernel, can only become frames and smaller untypeds.
        device: bool,
        /// Bytes from the start that are in use (the watermark).
        used: u64,
    },
    /// A synchronous endpoint.
    Endpoint {
        /// The endpoint.
        ep: Link<Endpoint>,
        /// Handed to the receiver with each message.
        badge: u64,
        /// What the holder may do.
        rights: EndpointRights,
    },
    /// A notification.
    Notification {
        /// The notification.
        ntfn: Link<Notification>,
        /// Or-ed into the notification's word by a signal.
        badge: u64,
        /// The holder may signal.
        send: bool,
        /// The holder may wait.
        receive: bool,
    },
    /// A reply object.
    Reply {
        /// The reply object.
        reply: Link<Reply>,
        /// Replies may transfer capabilities.
        grant: bool,
    },
    /// A CNode.
    CNode {
        /// The slots.
        cnode: CNodeRef,
        /// The guard's value, right-aligned.
        guard: u64,
        /// The guard's length in bits, at most 63; of a guard longer than 58 bits the upper ones are zero.
        guard_bits: u8,
    },
    /// A thread.
    Tcb {
        /// The thread.
        tcb: Link<Tcb>,
    },
    /// A scheduling context.
    SchedContext {
        /// The scheduling context.
        sc: Link<SchedContext>,
        /// Size in bytes, log2.
        bits: u8,
    },
    /// Authority to set the parameters of scheduling contexts on a core.
    SchedControl {
        /// The core.
        core: u8,
    },
    /// A frame of memory.
    Frame {
        /// Start of the frame.
        base: PhysAddr,
        /// Page-table level at which it maps: 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB.
        level: u8,
        /// The most its mappings allow.
        rights: FrameRights,
        /// Device memory.
        device: bool,
        /// Where this capability has mapped it.
        mapping: Option<Mapping>,
    },
    /// A paging structure; at the highest level, an address space.
    PageTable {
        /// The table.
        table: Link<PageTable>,
        /// Its level: 0 holds pages, `PT_LEVELS - 1` is the root. `None` while it is not mapped, of one whose level
        /// depends on where that is (see [`vspace`](crate::vspace)).
        level: Option<u8>,
        /// Where it is mapped; for a root the address is 0 and the ASID is its own.
        mapping: Option<Mapping>,
    },
    /// Authority to create ASID pools.
    AsidControl,
    /// A pool of address-space identifiers.
    AsidPool {
        /// The pool.
        pool: Link<AsidPool>,
        /// The first identifier in it.
        base: u16,
    },
    /// Authority to create interrupt handlers.
    IrqControl,
    /// Authority over one interrupt.
    IrqHandler {
        /// The interrupt.
        irq: u16,
    },
    /// What only this architecture has.
    Arch(ArchCap),
    /// Authority over scheduling domains.
    Domain,
    /// The rest of a CNode or a thread whose deletion is under way.
    Zombie {
        /// What is left.
        zombie: Zombie,
        /// Slots not yet emptied.
        remaining: u64,
    },
    /// The last capability to an object without slots whose deletion is under way. See [`Slot::become_ending`](crate::Slot::become_ending).
    Ending {
        /// What goes.
        what: Ending,
    },
}

const ADDR_SHIFT: u32 = u64::BITS - pecan_arch::ADDRESS_BITS;
const TAG_SHIFT: u32 = 11;
const OWN_SHIFT: u32 = 0;
/// Bits of word 0 that are not the address: the tag and the kind's own.
const KIND: u64 = (1 << ADDR_SHIFT) - 1;
/// Word 1 of a CNode's: the guard's value above the bits that guard and index take, less one.
const LEVEL_SIZE_BITS: u32 = 6;
const LEVEL_MASK: u64 = (1 << LEVEL_SIZE_BITS) - 1;
/// In the bits of a CNode's own, above the radix: it has a guard.
const GUARDED: u64 = 1 << 6;
/// Where a frame capability has its rights in word 0.
const RIGHTS_SHIFT: u32 = OWN_SHIFT + 2;
/// `ZombieKind::Tcb` in the bits that hold the radix of a CNode.
const ZOMBIE_TCB: u64 = 63;
/// In the bits of its own: `Ending::Notification` rather than `Ending::Endpoint`.
const ENDING_NOTIFICATION: u64 = 1;

const fn word0(tag: Tag, own: u64, addr: u64) -> u64 {
    addr << ADDR_SHIFT | tag.number() << TAG_SHIFT | own << OWN_SHIFT
}

pub(crate) const fn mapping_word(mapping: Option<Mapping>) -> u64 {
    match mapping {
        Some(m) => (m.asid as u64) << 48 | m.vaddr & ADDR_MASK,
        None => 0,
    }
}

const fn word_mapping(word: u64) -> Option<Mapping> {
    if word >> 48 == 0 { None } else { Some(Mapping { asid: (word >> 48) as u16, vaddr: word & ADDR_MASK }) }
}

impl Words {
    /// The capability's tag.
    #[inline(always)]
    pub const fn tag(self) -> Tag {
        // SAFETY: words are made by this module only, and all begin with `word0` of a tag.
        unsafe { core::mem::transmute((self.w0 >> TAG_SHIFT & 31) as u8) }
    }

    const fn own(self) -> u64 {
        self.w0 >> OWN_SHIFT & 0x7ff
    }

    /// The physical address of untyped memory or a frame.
    #[inline(always)]
    const fn base(self) -> PhysAddr {
        PhysAddr(self.w0 >> ADDR_SHIFT)
    }

    /// True if these bits of word 0, below the address, have this value, which has no others.
    #[inline(always)]
    const fn has(self, mask: u64, value: u64) -> bool {
        // The same as `w0 & mask == value`, in an instruction less: what is subtracted without a borrow leaves zeros.
        (self.w0 as u32).wrapping_sub(value as u32) & mask as u32 == 0
    }

    /// The first capability to an object, at an address that is so many bytes higher.
    #[inline(always)]
    pub(crate) const fn moved(self, bytes: u64) -> Words {
        Words { w0: self.w0.wrapping_add(bytes << ADDR_SHIFT), w1: self.w1 }
    }

    #[inline(always)]
    const fn addr(self) -> usize {
        (self.w0 as i64 >> ADDR_SHIFT) as usize
    }

    /// The object that word 0 names.
    ///
    /// # Safety
    /// The tag says that the object is a `T`; then the link that was packed was one to a `T`.
    #[inline(always)]
    const unsafe fn link<T>(self) -> Link<T> {
        // SAFETY: 1. and 2. hold of every link, and the packed link was a `Link<T>` (this function's obligation).
        unsafe { Link::from_addr(self.addr()) }
    }
}

// Fast decoding of the kinds that the fast paths meet; `unpack` serves everything else.
impl Words {
    /// The endpoint, if this is an endpoint capability with the right to send.
    #[inline(always)]
    pub fn endpoint_for_send(self) -> Option<Link<Endpoint>> {
        const SEND: u64 = 1 << OWN_SHIFT;
        const MASK: u64 = 31 << TAG_SHIFT | SEND;
        // SAFETY: the tag is an endpoint's.
        self.has(MASK, tag::ENDPOINT.number() << TAG_SHIFT | SEND).then(|| unsafe { self.link() })
    }

    /// The endpoint, if this is an endpoint capability with the rights to send and to grant-reply.
    #[inline(always)]
    pub fn endpoint_for_call(self) -> Option<Link<Endpoint>> {
        const RIGHTS: u64 = 9 << OWN_SHIFT;
        const MASK: u64 = 31 << TAG_SHIFT | RIGHTS;
        // SAFETY: the tag is an endpoint's.
        self.has(MASK, tag::ENDPOINT.number() << TAG_SHIFT | RIGHTS).then(|| unsafe { self.link() })
    }

    /// The endpoint, if this is an endpoint capability with the right to receive.
    #[inline(always)]
    pub fn endpoint_for_receive(self) -> Option<Link<Endpoint>> {
        const RECEIVE: u64 = 2 << OWN_SHIFT;
        const MASK: u64 = 31 << TAG_SHIFT | RECEIVE;
        // SAFETY: the tag is an endpoint's.
        self.has(MASK, tag::ENDPOINT.number() << TAG_SHIFT | RECEIVE).then(|| unsafe { self.link() })
    }

    /// The endpoint, if this is an endpoint capability.
    #[inline(always)]
    pub fn endpoint(self) -> Option<Link<Endpoint>> {
        // SAFETY: the tag is an endpoint's.
        (self.tag() == tag::ENDPOINT).then(|| unsafe { self.link() })
    }

    /// The thread, if this is a thread capability.
    #[inline(always)]
    pub fn tcb(self) -> Option<Link<Tcb>> {
        // SAFETY: the tag is a thread's.
        (self.tag() == tag::TCB).then(|| unsafe { self.link() })
    }

    /// The scheduling context, if this is a scheduling-context capability.
    #[inline(always)]
    pub fn sched_context(self) -> Option<Link<SchedContext>> {
        // SAFETY: the tag is a scheduling context's.
        (self.tag() == tag::SCHED_CONTEXT).then(|| unsafe { self.link() })
    }

    /// The notification, if this is a notification capability.
    #[inline(always)]
    pub fn notification(self) -> Option<Link<Notification>> {
        // SAFETY: the tag is a notification's.
        (self.tag() == tag::NOTIFICATION).then(|| unsafe { self.link() })
    }

    /// True if an endpoint capability has the right to grant.
    #[inline(always)]
    pub fn endpoint_grant(self) -> bool {
        self.w0 >> OWN_SHIFT & 4 != 0
    }

    /// True if an endpoint capability has the right to grant-reply.
    #[inline(always)]
    pub fn endpoint_grant_reply(self) -> bool {
        self.w0 >> OWN_SHIFT & 8 != 0
    }

    /// True if an endpoint capability has the right to grant or to grant-reply.
    #[inline(always)]
    pub fn endpoint_grant_or_grant_reply(self) -> bool {
        self.w0 >> OWN_SHIFT & 12 != 0
    }

    /// The badge of an endpoint or notification capability.
    #[inline(always)]
    pub fn badge(self) -> u64 {
        self.w1
    }

    /// The notification, if this is a notification capability with the right to signal.
    #[inline(always)]
    pub fn notification_for_signal(self) -> Option<Link<Notification>> {
        const SEND: u64 = 1 << OWN_SHIFT;
        // SAFETY: the tag is a notification's.
        self.has(TAG_MASK | SEND, tag::NOTIFICATION.number() << TAG_SHIFT | SEND)
            .then(|| unsafe { self.link() })
    }

    /// The notification, if this is a notification capability with the right to wait.
    #[inline(always)]
    pub fn notification_for_wait(self) -> Option<Link<Notification>> {
        const RECEIVE: u64 = 2 << OWN_SHIFT;
        // SAFETY: the tag is a notification's.
        self.has(TAG_MASK | RECEIVE, tag::NOTIFICATION.number() << TAG_SHIFT | RECEIVE)
            .then(|| unsafe { self.link() })
    }

    /// True if a reply capability lets answers transfer capabilities.
    #[inline(always)]
    pub fn reply_grant(self) -> bool {
        self.w0 >> OWN_SHIFT & 1 != 0
    }

    /// The reply object, if this is a reply capability.
    #[inline(always)]
    pub fn reply(self) -> Option<Link<Reply>> {
        const MASK: u64 = 31 << TAG_SHIFT;
        // SAFETY: the tag is a reply's.
        self.has(MASK, tag::REPLY.number() << TAG_SHIFT).then(|| unsafe { self.link() })
    }

    /// The CNode, its guard's value, and the bits of an address that guard and index take, if this is a CNode capability.
    #[inline(always)]
    pub fn cnode(self) -> Option<(CNodeRef, u64, u32)> {
        // Another tag makes more of it than a radix and the bit for the guard.
        let own = (self.w0 & KIND).wrapping_sub(tag::CNODE.number() << TAG_SHIFT);
        (own < 2 * GUARDED).then(|| {
            // SAFETY: the tag is a CNode's.
            let cnode = CNodeRef { first: unsafe { self.link() }, radix: own as u8 & 63 };
            (cnode, self.w1 >> LEVEL_SIZE_BITS, (self.w1 & LEVEL_MASK) as u32 + 1)
        })
    }

    /// The slot that the low `depth` bits of an address name, if this is the capability to a CNode that takes just so many
    /// of them, with a guard of zeros or none, and `index` has no others.
    #[inline(always)]
    pub fn slot_at(self, index: u64, depth: u64) -> Option<Link<Slot>> {
        const ABOVE_GUARDED: u32 = OWN_SHIFT + GUARDED.ilog2() + 1;
        let less_one = depth.wrapping_sub(1);
        // A depth that is too great would look like a guard; another capability may have the same word 1.
        if self.w1 != less_one
            || less_one > LEVEL_MASK
            || (self.w0 & KIND) >> ABOVE_GUARDED != tag::CNODE.number() << (TAG_SHIFT - ABOVE_GUARDED)
        {
            return None;
        }
        // SAFETY: the tag is a CNode's.
        let cnode = CNodeRef { first: unsafe { self.link() }, radix: (self.w0 >> OWN_SHIFT) as u8 & 63 };
        cnode.slot_if(index)
    }

    /// The CNode, if this is the capability to one of two slots, without a guard.
    #[inline(always)]
    pub fn cnode_of_two(self) -> Option<CNodeRef> {
        (self.w0 & KIND == word0(tag::CNODE, 1, 0)).then(|| {
            // SAFETY: the tag is a CNode's.
            let first = unsafe { self.link() };
            CNodeRef { first, radix: 1 }
        })
    }
}

const TAG_MASK: u64 = 31 << TAG_SHIFT;

// What copies become of, on the packed form: most copies differ from their source in nothing.
impl Words {
    /// The packed `Cap::Null`.
    pub const NULL: Words = Words { w0: 0, w1: 0 };

    /// True if unpacking and packing again gives the same words, which is always so.
    pub fn is_packed(self) -> bool {
        Cap::unpack(self).pack() == self
    }

    /// True for the packed `Cap::Null`.
    #[inline(always)]
    pub const fn is_null(self) -> bool {
        self.w0 == 0
    }

    /// The capability with no more than the given rights.
    #[inline]
    pub fn with_rights(self, rights: CapRights) -> Words {
        // The ABI's bits: write 0, read 1, grant 2, grant-reply 3. Endpoints and notifications have theirs in
        // this order, see `Cap::pack`.
        if rights.0 & 15 == 15 {
            return self;
        }
        let mut w0 = self.w0;
        match self.tag() {
            tag::ENDPOINT => w0 &= !((!rights.0 & 15) << OWN_SHIFT),
            tag::NOTIFICATION => w0 &= !((!rights.0 & 3) << OWN_SHIFT),
            tag::REPLY => w0 &= !((!rights.grant() as u64) << OWN_SHIFT),
            tag::FRAME => {
                // Kernel only is 1, read only 2, read and write 3.
                let most = if !rights.read() { 1 } else { 2 | rights.write() as u64 };
                let now = w0 >> RIGHTS_SHIFT & 3;
                w0 = w0 & !(3 << RIGHTS_SHIFT) | now.min(most) << RIGHTS_SHIFT;
            }
            tag::NULL
            | tag::UNTYPED
            | tag::PAGE_TABLE
            | tag::ASID_CONTROL
            | tag::ASID_POOL
            | tag::ARCH
            | tag::CNODE
            | tag::TCB
            | tag::IRQ_CONTROL
            | tag::IRQ_HANDLER
            | tag::ZOMBIE
            | tag::ENDING
            | tag::ENDING_IRQ_HANDLER
            | tag::DOMAIN
            | tag::SCHED_CONTEXT
            | tag::SCHED_CONTROL => {}
        }
        Words { w0, w1: self.w1 }
    }

    /// [`Words::with_rights`] of a capability to an endpoint or a notification; `None` of others.
    #[inline(always)]
    pub fn badged_with_rights(self, rights: CapRights) -> Option<Words> {
        // A notification's has zeros where it has no rights.
        let w0 = self.w0 & (rights.0 << OWN_SHIFT | !(15 << OWN_SHIFT));
        if self.is_badged() { Some(Words { w0, w1: self.w1 }) } else { None }
    }

    /// The endpoint or notification capability with this badge; others stay as they are.
    #[inline(always)]
    pub fn with_badge(self, badge: u64) -> Words {
        match self.tag() {
            tag::ENDPOINT | tag::NOTIFICATION => Words { w0: self.w0, w1: badge },
            _ => self,
        }
    }

    /// The CNode capability with another guard: the low `bits` bits of `guard`. `None` for other capabilities, and if
    /// guard and index together have more bits than an address.
    pub fn with_guard(self, guard: u64, bits: u32) -> Option<Words> {
        let (cnode, ..) = self.cnode()?;
        // An index has a bit at least.
        if bits > u64::BITS - cnode.radix() {
            return None;
        }
        let guard = guard & ((1 << bits) - 1);
        Some(Cap::CNode { cnode, guard, guard_bits: bits as u8 }.pack())
    }

    /// What is left of a CNode or a thread when it is deleted, with all of its slots; others stay as they are.
    pub(crate) fn zombie(self, k: &Kernel) -> Words {
        if let Some((cnode, ..)) = self.cnode() {
            let own = cnode.radix as u64;
            Words { w0: word0(tag::ZOMBIE, own, cnode.addr() as u64), w1: 1 << own }
        } else if let Some(tcb) = self.tcb() {
            let first = tcb.get(k).first_slot();
            Words { w0: word0(tag::ZOMBIE, ZOMBIE_TCB, first.addr() as u64), w1: Tcb::SLOTS as u64 }
        } else {
            self
        }
    }

    /// The capability to an interrupt's handler.
    #[inline(always)]
    pub(crate) fn irq_handler(irq: u16) -> Words {
        Cap::IrqHandler { irq }.pack()
    }

    /// The last capability to an endpoint, a notification or an interrupt handler whose deletion has begun and cannot be
    /// done at one go: nobody can use or copy it, only move it and delete it. Others stay as they are.
    pub(crate) fn ending(self) -> Words {
        let ending = |own| Words { w0: word0(tag::ENDING, own, self.base().0), w1: 0 };
        match self.tag() {
            tag::ENDPOINT => ending(0),
            tag::NOTIFICATION => ending(ENDING_NOTIFICATION),
            tag::IRQ_HANDLER => Words { w0: word0(tag::ENDING_IRQ_HANDLER, 0, 0), w1: self.w1 },
            // These end at one go, or as zombies.
            tag::NULL
            | tag::UNTYPED
            | tag::FRAME
            | tag::PAGE_TABLE
            | tag::ASID_CONTROL
            | tag::ASID_POOL
            | tag::REPLY
            | tag::ARCH
            | tag::CNODE
            | tag::TCB
            | tag::IRQ_CONTROL
            | tag::ZOMBIE
            | tag::ENDING
            | tag::ENDING_IRQ_HANDLER
            | tag::DOMAIN
            | tag::SCHED_CONTEXT
            | tag::SCHED_CONTROL => self,
        }
    }

    /// Start, size (log2), whether it is device memory, and bytes in use of untyped memory.
    #[inline(always)]
    pub(crate) fn untyped(self) -> Option<(PhysAddr, u8, bool, u64)> {
        let (base, own) = (self.base(), self.own());
        (self.tag() == tag::UNTYPED).then_some((base, own as u8 & 63, own >> 6 & 1 != 0, self.w1))
    }

    /// The untyped capability with so many bytes in use.
    #[inline(always)]
    pub(crate) fn with_used(self, used: u64) -> Words {
        debug_assert!(self.tag() == tag::UNTYPED);
        Words { w0: self.w0, w1: used }
    }

    /// The untyped capability with all of its bytes in use.
    #[inline(always)]
    pub(crate) fn used_up(self) -> Words {
        self.with_used(1 << (self.own() & 63))
    }

    /// True for the capability to a frame of memory, not of a device.
    #[inline(always)]
    pub fn is_memory(self) -> bool {
        const DEVICE: u64 = 1 << (OWN_SHIFT + 4);
        self.w0 & (TAG_MASK | DEVICE) == tag::FRAME.number() << TAG_SHIFT
    }

    /// True for the capability to a frame of memory of the smallest size that is not mapped.
    #[inline(always)]
    pub fn is_unmapped_page(self) -> bool {
        const OTHER: u64 = 3 << OWN_SHIFT | 1 << (OWN_SHIFT + 4);
        self.has(TAG_MASK | OTHER, tag::FRAME.number() << TAG_SHIFT) && self.w1 == 0
    }

    /// The capability to a frame, not mapped; others stay as they are.
    #[inline(always)]
    pub fn unmapped_frame(self) -> Words {
        if self.tag() == tag::FRAME { Words { w0: self.w0, w1: 0 } } else { self }
    }

    /// [`Words::user_memory`] for frames of the smallest size only.
    #[inline(always)]
    pub fn user_page(self, write: bool) -> Option<PhysAddr> {
        const OTHER: u64 = 3 << OWN_SHIFT | 1 << (OWN_SHIFT + 4);
        let rights = if write { 3 } else { 2 } << RIGHTS_SHIFT;
        (self.w0 & (TAG_MASK | OTHER | rights) == tag::FRAME.number() << TAG_SHIFT | rights)
            .then_some(self.base())
    }

    /// Physical start and level of a frame of memory that user level may read, and write if `write`.
    #[inline(always)]
    pub fn user_memory(self, write: bool) -> Option<(PhysAddr, usize)> {
        const DEVICE: u64 = 1 << (OWN_SHIFT + 4);
        let rights = if write { 3 } else { 2 } << RIGHTS_SHIFT;
        let fits = self.w0 & (TAG_MASK | DEVICE | rights) == tag::FRAME.number() << TAG_SHIFT | rights;
        fits.then_some((self.base(), (self.own() & 3) as usize))
    }
}

impl Cap {
    /// Packs the capability into its two words: a capability is made, so whoever calls this has an object for it.
    #[inline]
    pub(crate) fn pack(self) -> Words {
        let (w0, w1) = match self {
            Cap::Null => (0, 0),
            Cap::Untyped { base, bits, device, used } => {
                (word0(tag::UNTYPED, bits as u64 | (device as u64) << 6, base.0), used)
            }
            Cap::Endpoint { ep, badge, rights: r } => {
                let own = r.send as u64
                    | (r.receive as u64) << 1
                    | (r.grant as u64) << 2
                    | (r.grant_reply as u64) << 3;
                (word0(tag::ENDPOINT, own, ep.addr() as u64), badge)
            }
            Cap::Notification { ntfn, badge, send, receive } => {
                (word0(tag::NOTIFICATION, send as u64 | (receive as u64) << 1, ntfn.addr() as u64), badge)
            }
            Cap::Reply { reply, grant } => (word0(tag::REPLY, grant as u64, reply.addr() as u64), 0),
            Cap::CNode { cnode, guard, guard_bits } => (
                word0(
                    tag::CNODE,
                    cnode.radix as u64 | if guard_bits == 0 { 0 } else { GUARDED },
                    cnode.addr() as u64,
                ),
                guard << LEVEL_SIZE_BITS | (guard_bits + cnode.radix - 1) as u64,
            ),
            Cap::Tcb { tcb } => (word0(tag::TCB, 0, tcb.addr() as u64), 0),
            Cap::SchedContext { sc, bits } => (word0(tag::SCHED_CONTEXT, bits as u64, sc.addr() as u64), 0),
            Cap::SchedControl { core } => (word0(tag::SCHED_CONTROL, 0, 0), core as u64),
            Cap::Frame { base, level, rights, device, mapping } => (
                word0(tag::FRAME, level as u64 | (rights as u64) << 2 | (device as u64) << 4, base.0),
                mapping_word(mapping),
            ),
            Cap::PageTable { table, level, mapping } => {
                (word0(tag::PAGE_TABLE, table::level_bits(level), table.addr() as u64), mapping_word(mapping))
            }
            Cap::AsidControl => (word0(tag::ASID_CONTROL, 0, 0), 0),
            Cap::AsidPool { pool, base } => (word0(tag::ASID_POOL, 0, pool.addr() as u64), base as u64),
            Cap::IrqControl => (word0(tag::IRQ_CONTROL, 0, 0), 0),
            Cap::IrqHandler { irq } => (word0(tag::IRQ_HANDLER, 0, 0), irq as u64),
            Cap::Arch(cap) => return Words::arch(cap),
            Cap::Domain => (word0(tag::DOMAIN, 0, 0), 0),
            Cap::Zombie { zombie, remaining } => {
                let own = match zombie.kind {
                    ZombieKind::Tcb => ZOMBIE_TCB,
                    ZombieKind::CNode { radix } => radix as u64,
                };
                (word0(tag::ZOMBIE, own, zombie.first.addr() as u64), remaining)
            }
            Cap::Ending { what: Ending::Endpoint(ep) } => (word0(tag::ENDING, 0, ep.addr() as u64), 0),
            Cap::Ending { what: Ending::Notification(ntfn) } => {
                (word0(tag::ENDING, ENDING_NOTIFICATION, ntfn.addr() as u64), 0)
            }
            Cap::Ending { what: Ending::IrqHandler(irq) } => {
                (word0(tag::ENDING_IRQ_HANDLER, 0, 0), irq as u64)
            }
        };
        Words { w0, w1 }
    }

    /// Unpacks a capability. Only `pack` makes words, so every pair has a meaning.
    #[inline]
    pub fn unpack(words: Words) -> Cap {
        Self::unpack_tagged(words.tag(), words)
    }

    /// Unpacks a capability if it has this tag: with a constant, no more code than this kind takes.
    #[inline(always)]
    pub fn unpack_as(tag: Tag, words: Words) -> Option<Cap> {
        if tag == words.tag() { Some(Self::unpack_tagged(tag, words)) } else { None }
    }

    #[inline(always)]
    fn unpack_tagged(tag: Tag, words: Words) -> Cap {
        let (own, addr, w1) = (words.own(), words.base(), words.w1);
        let bit = |n: u32| own >> n & 1 != 0;
        // SAFETY (each `words.link()` below): the tag of the arm says what was packed; see `pack`.
        macro_rules! link {
            () => {
                // SAFETY: see above.
                unsafe { words.link() }
            };
        }
        match tag {
            tag::UNTYPED => Cap::Untyped { base: addr, bits: own as u8 & 63, device: bit(6), used: w1 },
            tag::ENDPOINT => Cap::Endpoint {
                ep: link!(),
                badge: w1,
                rights: EndpointRights { send: bit(0), receive: bit(1), grant: bit(2), grant_reply: bit(3) },
            },
            tag::NOTIFICATION => {
                Cap::Notification { ntfn: link!(), badge: w1, send: bit(0), receive: bit(1) }
            }
            tag::REPLY => Cap::Reply { reply: link!(), grant: bit(0) },
            tag::CNODE => {
                let cnode = CNodeRef { first: link!(), radix: own as u8 & 63 };
                let guard_bits = ((w1 & LEVEL_MASK) as u8 + 1).wrapping_sub(cnode.radix);
                Cap::CNode { cnode, guard: w1 >> LEVEL_SIZE_BITS, guard_bits }
            }
            tag::TCB => Cap::Tcb { tcb: link!() },
            tag::SCHED_CONTEXT => Cap::SchedContext { sc: link!(), bits: own as u8 & 63 },
            tag::SCHED_CONTROL => Cap::SchedControl { core: w1 as u8 },
            tag::FRAME => Cap::Frame {
                base: addr,
                level: own as u8 & 3,
                rights: match own >> 2 & 3 {
                    1 => FrameRights::KernelOnly,
                    2 => FrameRights::ReadOnly,
                    _ => FrameRights::ReadWrite,
                },
                device: bit(4),
                mapping: word_mapping(w1),
            },
            tag::PAGE_TABLE => {
                Cap::PageTable { table: link!(), level: table_level(own), mapping: word_mapping(w1) }
            }
            tag::ASID_CONTROL => Cap::AsidControl,
            tag::ASID_POOL => Cap::AsidPool { pool: link!(), base: w1 as u16 },
            tag::IRQ_CONTROL => Cap::IrqControl,
            tag::IRQ_HANDLER => Cap::IrqHandler { irq: w1 as u16 },
            tag::ARCH => words.arch_cap().map_or(Cap::Null, Cap::Arch),
            tag::DOMAIN => Cap::Domain,
            tag::ZOMBIE => {
                let kind = match own & 63 {
                    ZOMBIE_TCB => ZombieKind::Tcb,
                    radix => ZombieKind::CNode { radix: radix as u8 },
                };
                Cap::Zombie { zombie: Zombie { kind, first: link!() }, remaining: w1 }
            }
            tag::ENDING if own == ENDING_NOTIFICATION => Cap::Ending { what: Ending::Notification(link!()) },
            tag::ENDING => Cap::Ending { what: Ending::Endpoint(link!()) },
            tag::ENDING_IRQ_HANDLER => Cap::Ending { what: Ending::IrqHandler(w1 as u16) },
            tag::NULL => Cap::Null,
        }
    }
}
