//! The machine's memory, in untypeds, and the slots for what is made of them.

use alloc::vec::Vec;

use pecan::{
    Cap, Result, Slot,
    abi::{boot::SlotRegion, constants::LARGE_PAGE_BITS},
    alloc::Objects,
    boot::{self, BootInfo},
    cspace::{CSpace, Slots},
    memory::Region,
    thread::{Thread, ThreadParams},
    types::{CNode, Endpoint, SmallPage},
    vspace::{OwnSpace, PAGE_SIZE, Window},
};
use pecan_manifest::layout;
use pecan_service::shared;
use pecan_supervision::{Keeper, Piece, Room, Rooms, Stock, Untypeds};

use crate::output::say;

/// Where the initial task maps things: far from its image and from what the kernel mapped beside it.
const OWN_ADDRESSES: core::ops::Range<u64> = 0x10_0000_0000..0x10_4000_0000;
/// log2 of the bytes set aside for the objects that outlive components: endpoints, shared pages, the log.
const SHARED_BITS: u32 = 21;
/// log2 of the most components that there can be at once, and the initial task's own room.
const ROOMS_BITS: u32 = 12;
/// Slots of the initial task's own room: for what outlives components, and two for each piece of memory.
const OWN_SLOTS: u64 = 1 << 14;

/// How many capabilities to what a component is made of are deleted at once.
const STEP: u64 = 256;

/// All that components are made of.
pub struct Memory {
    /// Free slots of the initial task's own room.
    pub cspace: CSpace,
    /// The rooms of the components.
    rooms: Rooms,
    /// The initial task's own address space.
    pub space: OwnSpace,
    /// A page of it through which it looks into frames of components.
    window: Window,
    /// Untypeds from which nothing is made.
    stock: Stock,
    /// For objects that outlive components.
    shared: Region,
}

/// What a component is made of: memory, and slots in a CNode that is made of that memory.
pub struct Home {
    pieces: Vec<Piece>,
    /// Where objects are made of it.
    pub regions: Vec<Region>,
    room: Room,
}

impl Home {
    /// Where objects are made of it.
    pub fn objects(&mut self) -> Objects<'_> {
        Objects::new(&mut self.room.slots, &mut self.regions)
    }

    /// Deletes some of what was made of it, the last first; whether so little is left that it can be given back at once.
    pub fn shrink(&mut self) -> bool {
        let SlotRegion { start, end } = self.room.slots.used();
        for index in ((start + STEP).max(end.saturating_sub(STEP))..end).rev() {
            let slot = self.room.slots.slot_of(index);
            // SAFETY: the component has ended, and is only taken apart from now on: the names of what it was made of are used
            // for that. What cannot be deleted goes when its memory is revoked.
            let _ = unsafe { slot.delete() };
            self.room.slots.give_back(slot);
        }
        self.room.slots.used().len() <= STEP
    }

    /// All of its bytes, and what is left of them.
    pub fn memory(&self) -> (u64, u64) {
        let sum = |of: fn(&Region) -> u64| self.regions.iter().map(of).sum();
        (sum(Region::size), sum(Region::available))
    }
}

impl Memory {
    /// Takes what the kernel left.
    pub fn new(boot: &BootInfo) -> Result<Self> {
        let mut first = CSpace::new(boot::CNODE, boot.raw().empty);
        let mut stock = Stock::new();
        for (untyped, desc) in boot.untypeds().filter(|(_, desc)| desc.is_device == 0) {
            stock.add(untyped, desc.paddr, desc.size_bits.into());
        }
        let mut shared = stock.take(SHARED_BITS, &mut Untypeds(&mut first))?.region();
        let regions = core::slice::from_mut(&mut shared);
        let keeper = Keeper {
            tcb: boot::TCB,
            vspace: boot::VSPACE,
            cnode: boot::CNODE,
            cnode_bits: boot.raw().init_thread_cnode_size_bits as u32,
        };
        let mut rooms = Rooms::found(keeper, &mut Objects::new(&mut first, regions), ROOMS_BITS)?;
        let scratch = Slot::in_node(rooms.root(), first.take(1)?.index, Rooms::SLOT_BITS);
        let own = rooms.make(regions, OWN_SLOTS, scratch)?;
        let start = own.slots.used().start;
        let slots = SlotRegion { start, end: start + OWN_SLOTS };
        // SAFETY: it is the initial task's own, and the kernel maps nothing there.
        let mut space = unsafe { OwnSpace::new(boot::VSPACE, OWN_ADDRESSES.start, OWN_ADDRESSES.end) };
        let window = Window::new(&mut space)?;
        let cspace = CSpace::in_node(rooms.root(), slots, Rooms::SLOT_BITS);
        Ok(Self { cspace, rooms, space, window, stock, shared })
    }

    /// Takes `bytes` for a component, with at least `slots` slots that are made of it.
    pub fn take(&mut self, bytes: u64, slots: u64) -> Result<Home> {
        let pieces = self.take_pieces(bytes)?;
        self.home(pieces, slots).map_err(|(error, pieces)| {
            self.give_back_pieces(pieces);
            error
        })
    }

    /// The same, out of memory that is not the machine's stock, in pieces that are large pages at most: in a larger one, what
    /// lies before the first large page would be lost.
    pub fn take_from(&mut self, stock: &mut Stock, bytes: u64, slots: u64) -> Result<Home> {
        let pieces = stock.take_bytes_in(bytes, LARGE_PAGE_BITS, &mut Untypeds(&mut self.cspace))?;
        self.home(pieces, slots).map_err(|(error, pieces)| {
            give_back(&mut self.cspace, stock, pieces);
            error
        })
    }

    /// Puts a room into some memory. Without it, the memory comes back.
    fn home(
        &mut self,
        pieces: Vec<Piece>,
        slots: u64,
    ) -> core::result::Result<Home, (pecan::Error, Vec<Piece>)> {
        let mut regions: Vec<_> = pieces.iter().map(Piece::region).collect();
        match self.room(&mut regions, slots) {
            Ok(room) => Ok(Home { pieces, regions, room }),
            Err(error) => Err((error, pieces)),
        }
    }

    /// Takes memory as it is, in as few pieces as there are.
    pub fn take_pieces(&mut self, bytes: u64) -> Result<Vec<Piece>> {
        self.stock.take_bytes(bytes, &mut Untypeds(&mut self.cspace))
    }

    fn room(&mut self, regions: &mut [Region], slots: u64) -> Result<Room> {
        let scratch = self.cspace.take(1)?;
        let room = self.rooms.make(regions, slots, scratch);
        self.cspace.give_back(scratch);
        room
    }

    /// Destroys all that was made of a component's memory, and takes the memory back.
    pub fn give_back(&mut self, home: Home) {
        self.give_back_pieces(home.pieces);
        self.rooms.give_back(home.room);
    }

    /// Destroys all that was made of memory out of a stock that is not the machine's, and puts it back there.
    pub fn give_back_to(&mut self, stock: &mut Stock, home: Home) {
        give_back(&mut self.cspace, stock, home.pieces);
        self.rooms.give_back(home.room);
    }

    /// Destroys all that was made of some memory, and takes it back.
    pub fn give_back_pieces(&mut self, pieces: Vec<Piece>) {
        give_back(&mut self.cspace, &mut self.stock, pieces);
    }

    /// The slot of a capability of the initial task.
    pub fn slot_of<T>(&self, cap: Cap<T>) -> Slot {
        self.cspace.slot_of(cap.cptr())
    }

    /// Bytes that are free.
    pub fn available(&self) -> u64 {
        self.stock.available()
    }

    /// The region for objects that outlive components: its bytes, and what is left of them.
    pub fn shared(&self) -> (u64, u64) {
        (self.shared.size(), self.shared.available())
    }

    /// Where objects that outlive components are made.
    pub fn objects(&mut self) -> Objects<'_> {
        Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.shared))
    }

    /// An endpoint that outlives components.
    pub fn endpoint(&mut self) -> Result<Cap<Endpoint>> {
        self.objects().make()
    }

    /// A thread of the initial task itself.
    pub fn thread(&mut self, params: &ThreadParams) -> Result<Thread> {
        let mut objects = Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.shared));
        Thread::create(&mut objects, &mut self.space, params)
    }

    /// The root of the initial task's CSpace.
    pub const fn root(&self) -> Cap<CNode> {
        self.rooms.root()
    }

    /// Makes pages that outlive components.
    pub fn pages(&mut self, bytes: u64) -> Result<Vec<Cap<SmallPage>>> {
        (0..bytes / PAGE_SIZE).map(|_| self.objects().make::<SmallPage>()).collect()
    }

    /// Maps new pages in the initial task itself; returns the address and the first capability.
    pub fn map_own(&mut self, bytes: u64) -> Result<(u64, Cap<SmallPage>)> {
        let mut objects = Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.shared));
        self.space.map_new(&mut objects, bytes)
    }

    /// Writes to a frame of a component that does not run yet, from a place in it on.
    pub fn write_frame(&mut self, frame: Cap<SmallPage>, at: usize, content: &[u8]) -> Result<()> {
        let mut objects = Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.shared));
        // SAFETY: nobody else has the frame yet.
        unsafe {
            self.window.with(&mut objects, frame, |page| {
                page[at..at + content.len()].copy_from_slice(content);
            })
        }
    }

    /// Lets `action` read and write the words of a frame that is mapped somewhere, and that others may write meanwhile.
    pub fn with_mapped_frame<R>(
        &mut self,
        frame: Cap<SmallPage>,
        action: impl FnOnce(shared::Memory<'_>) -> R,
    ) -> Result<R> {
        let copy = self.objects().copy(frame, pecan::CapRights::READ_WRITE)?;
        let mut objects = Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.shared));
        // SAFETY: frames of components, and those that are shared with them, are accessed in no other way.
        unsafe {
            let result =
                self.window.with_shared(&mut objects, copy, |words| action(shared::Memory::new(words)));
            // The copy was made just now and is ours alone.
            let _ = objects.delete(copy);
            result
        }
    }
}

/// Destroys all that was made of some memory, and puts it back into its stock.
fn give_back(cspace: &mut CSpace, stock: &mut Stock, pieces: Vec<Piece>) {
    for piece in pieces {
        // SAFETY: the component ends with what it is made of; whoever has names of that gives them up with its home. The
        // initial task has mapped nothing of it.
        let revoked = unsafe { cspace.slot_of(piece.untyped().cptr()).revoke() };
        if let Err(error) = revoked {
            // Nothing else may be made of it; it stays out of use.
            say!("*** memory of a component cannot be revoked: {error}");
        } else if stock.give_back(piece, &mut Untypeds(cspace)).is_err() {
            say!("*** memory of a component was given back twice");
        }
    }
}

const _: () = assert!(layout::LOG_SIZE + layout::BACKLOG_SIZE + layout::LOG_KEPT_SIZE < 1 << SHARED_BITS);
