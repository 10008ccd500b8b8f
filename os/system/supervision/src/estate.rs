//! What a component has that makes others: its own memory, CSpace and time, as its start page lists them.

use alloc::{format, vec::Vec};

use pecan::{
    Cap, CapRights, Error, Result, Slot,
    abi::boot::SlotRegion,
    alloc::Objects,
    cspace::{CSpace, Slots},
    memory::Region,
    startup::{Startup, well_known},
    types::{AsidPool, CNode, Endpoint, Reply, SchedContext, SmallPage, Tcb, Untyped, VSpace},
    vspace::{OwnSpace, Window},
};

use crate::{Piece, Room, Rooms, Stock, Untypeds};

/// Names in the start page of a component that may make others.
pub mod names {
    /// Capability: the table of its rooms, the root of its CSpace. Parameter: log2 of how many rooms there are.
    pub const ROOMS: &str = "rooms";
    /// Parameter: the first of its slots in room 0 that are empty.
    pub const FIRST_SLOT: &str = "slots.first";
    /// Parameter: how many there are.
    pub const SLOTS: &str = "slots";
    /// Capability: gives address spaces their identifiers.
    pub const ASID_POOL: &str = "asid-pool";
    /// Beginning of the names of the scheduling contexts for those that it makes, which are numbered from 0.
    pub const TIME: &str = "time.";
    /// Beginning of the names of the untypeds, which are numbered from 0. As a parameter it is log2 of the bytes of one.
    pub const UNTYPED: &str = "untyped.";
    /// Memory: the ELF file of the program itself.
    pub const PROGRAM: &str = "program";
}

/// log2 of the bytes that are set aside for what the component itself needs: endpoint, reply object, page tables.
const OWN_BITS: u32 = 16;
/// Where the component looks into frames of its children: far from everything that its own supervisor maps.
const WINDOW: core::ops::Range<u64> = 0x60_0000_0000..0x60_0100_0000;

/// What a component with children may do for them.
#[derive(Clone, Copy, Debug)]
pub struct Authority {
    /// The thread whose maximum controlled priority bounds the children's.
    pub thread: Cap<Tcb>,
    /// Gives address spaces their identifiers.
    pub asid_pool: Cap<AsidPool>,
}

/// The memory, the slots and the authority of a component that makes others.
pub struct Estate {
    pub(crate) cspace: CSpace,
    pub(crate) authority: Authority,
    rooms: Rooms,
    stock: Stock,
    /// The time that no child has.
    times: Vec<Cap<SchedContext>>,
    own: Region,
    window: Window,
    endpoint: Cap<Endpoint>,
    reply: Cap<Reply>,
}

/// What a child is made of: memory, and slots in a CNode that is made of that memory.
pub struct Home {
    pub(crate) pieces: Vec<Piece>,
    regions: Vec<Region>,
    room: Room,
}

impl Home {
    /// Where objects are made of it.
    pub fn objects(&mut self) -> Objects<'_> {
        Objects::new(&mut self.room.slots, &mut self.regions)
    }
}

/// How much of an estate is in use: two of them are equal if everything that was made in between is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ledger {
    /// Bytes of free memory.
    pub memory: u64,
    /// Untypeds that it consists of.
    pub fragments: usize,
    /// Free slots of room 0.
    pub slots: u64,
    /// Rooms that are open.
    pub rooms: u64,
    /// Scheduling contexts that no child has.
    pub times: usize,
}

impl Estate {
    /// What a start page gives; `None` if it gives no authority to make components.
    ///
    /// # Safety
    /// The page must be the program's own, and this must be called once: what it lists is used here from now on.
    pub unsafe fn of(startup: &Startup<'_>) -> Option<Result<Self>> {
        // SAFETY: the supervisor put these capabilities there, by these names; the caller vouches for the page.
        let root = unsafe { startup.cap::<CNode>(names::ROOMS) }?;
        let table_bits = u32::try_from(startup.parameter(names::ROOMS)?).ok()?;
        let start = startup.parameter(names::FIRST_SLOT)?;
        let slots = SlotRegion { start, end: start.checked_add(startup.parameter(names::SLOTS)?)? };
        // SAFETY: as above.
        let (authority, vspace) = unsafe {
            let authority = Authority {
                thread: startup.cap(well_known::TCB)?,
                asid_pool: startup.cap(names::ASID_POOL)?,
            };
            (authority, startup.cap(well_known::VSPACE)?)
        };
        // SAFETY: as above.
        let times = (0..).map_while(|n| unsafe { startup.cap(&format!("{}{n}", names::TIME)) }).collect();
        let mut stock = Stock::new();
        for n in 0.. {
            let name = format!("{}{n}", names::UNTYPED);
            // SAFETY: as above.
            let untyped = unsafe { startup.cap::<Untyped>(&name) };
            let (Some(untyped), Some(bits)) = (untyped, startup.parameter(&name)) else { break };
            // The physical address does not matter: a component has no device that it would be told to.
            stock.add(untyped, 0, u32::try_from(bits).ok()?);
        }
        let cspace = CSpace::in_node(root, slots, Rooms::SLOT_BITS);
        Some(Self::new(cspace, Rooms::in_table(root, table_bits), stock, times, authority, vspace))
    }

    fn new(
        mut cspace: CSpace,
        rooms: Rooms,
        mut stock: Stock,
        times: Vec<Cap<SchedContext>>,
        authority: Authority,
        vspace: Cap<VSpace>,
    ) -> Result<Self> {
        let mut own = stock.take(OWN_BITS, &mut Untypeds(&mut cspace))?.region();
        // SAFETY: it is the program's own, and supervisors map nothing there.
        let mut space = unsafe { OwnSpace::new(vspace, WINDOW.start, WINDOW.end) };
        let window = Window::new(&mut space)?;
        let mut objects = Objects::new(&mut cspace, core::slice::from_mut(&mut own));
        let (endpoint, reply) = (objects.make()?, objects.make()?);
        let frame = objects.make::<SmallPage>()?;
        let mut estate = Self { cspace, authority, rooms, stock, times, own, window, endpoint, reply };
        // The first use of the window makes its page tables, which stay: no child is to pay for them.
        estate.write(frame, &[])?;
        Ok(estate)
    }

    /// Where children call, and the kernel reports their faults; and the reply object to receive with.
    pub const fn endpoint(&self) -> (Cap<Endpoint>, Cap<Reply>) {
        (self.endpoint, self.reply)
    }

    /// How much of it is in use.
    pub fn ledger(&self) -> Ledger {
        Ledger {
            memory: self.stock.available(),
            fragments: self.stock.fragments(),
            slots: self.cspace.available(),
            rooms: self.rooms.open(),
            times: self.times.len(),
        }
    }

    /// The slot of a capability.
    pub fn slot_of<T>(&self, cap: Cap<T>) -> Slot {
        self.cspace.slot_of(cap.cptr())
    }

    /// Takes so many parts of the time that no child has. If there are fewer, the error says how many there are.
    pub(crate) fn take_times(&mut self, count: usize) -> Result<Vec<Cap<SchedContext>>> {
        let left = self.times.len();
        let first = left.checked_sub(count).ok_or(Error::RangeError { min: 0, max: left as u64 })?;
        Ok(self.times.split_off(first))
    }

    /// Takes the time of children back, which are gone.
    pub(crate) fn give_back_times(&mut self, times: Vec<Cap<SchedContext>>) {
        self.times.extend(times);
    }

    /// Takes memory, in as few pieces as there are.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<Vec<Piece>> {
        self.stock.take_bytes(bytes, &mut Untypeds(&mut self.cspace))
    }

    /// Takes memory for a child, with at least so many slots that are made of it.
    pub fn home(&mut self, bytes: u64, slots: u64) -> Result<Home> {
        let pieces = self.take(bytes)?;
        let mut regions: Vec<_> = pieces.iter().map(Piece::region).collect();
        let scratch = self.cspace.take(1);
        let room = scratch.and_then(|scratch| {
            let room = self.rooms.make(&mut regions, slots, scratch);
            self.cspace.give_back(scratch);
            room
        });
        match room {
            Ok(room) => Ok(Home { pieces, regions, room }),
            Err(error) => {
                // The error that matters is the first one.
                let _ = self.give_back(pieces);
                Err(error)
            }
        }
    }

    /// Destroys all that was made of a child's memory, and takes the memory back.
    pub fn give_back_home(&mut self, home: Home) -> Result<()> {
        self.give_back(home.pieces)?;
        self.rooms.give_back(home.room);
        Ok(())
    }

    /// Destroys all that was made of some memory, and takes it back.
    pub(crate) fn give_back(&mut self, pieces: Vec<Piece>) -> Result<()> {
        for piece in pieces {
            // SAFETY: the child ends with what it is made of; whoever has names of that gives them up. Nothing of it is mapped here.
            unsafe { self.slot_of(piece.untyped()).revoke() }?;
            let taken = self.stock.give_back(piece, &mut Untypeds(&mut self.cspace));
            taken.map_err(|_| Error::IllegalOperation)?;
        }
        Ok(())
    }

    /// Writes to the start of a frame that was made just now, for a child that does not run yet.
    pub(crate) fn write(&mut self, frame: Cap<SmallPage>, content: &[u8]) -> Result<()> {
        let mut objects = Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.own));
        // SAFETY: nobody else has the frame yet: it was made just now for a child that does not run.
        unsafe {
            self.window.with(&mut objects, frame, |page| page[..content.len()].copy_from_slice(content))
        }
    }

    /// A copy of a capability to the endpoint, for children.
    pub(crate) fn mint(&self, dest: Slot, rights: CapRights, badge: u64) -> Result<()> {
        dest.mint_from(self.slot_of(self.endpoint), rights, badge)
    }
}
