//! A CSpace of two levels: a table of rooms, each a CNode of its own.
//!
//! An address is the number of a room and, in its last [`Rooms::SLOT_BITS`] bits, that of a slot in the room. What whoever
//! keeps the rooms had before is room 0, so that the addresses of that stay as they are. A room is made of the memory of
//! the component whose capabilities it holds. So components are limited by memory, not by slots, and revoking a
//! component's memory takes its room away with all that is in it.

use alloc::collections::BTreeSet;

use pecan::{
    CNodeCapData, CSpaceRoot, Cap, Error, Result, Slot,
    abi::boot::SlotRegion,
    alloc::Objects,
    cspace::SlotRange,
    memory::{self, Region},
    types::{CNode, Endpoint, Tcb, VSpace},
};

/// The table of rooms.
#[derive(Debug)]
pub struct Rooms {
    /// The table, with the guard that it has as the root of the CSpace.
    root: Cap<CNode>,
    count: u64,
    /// The first number that was never used.
    next: u64,
    /// Numbers that are free again.
    free: BTreeSet<u64>,
}

/// A room: slots in a row that are given up together.
#[derive(Debug)]
pub struct Room {
    number: u64,
    /// Its slots.
    pub slots: SlotRange,
}

/// The thread whose CSpace it is.
#[derive(Clone, Copy, Debug)]
pub struct Keeper {
    /// The thread.
    pub tcb: Cap<Tcb>,
    /// Its address space.
    pub vspace: Cap<VSpace>,
    /// Its CSpace so far, of one level.
    pub cnode: Cap<CNode>,
    /// log2 of the slots of that.
    pub cnode_bits: u32,
}

impl Rooms {
    /// Bits of the number of a slot in its room. A room has at most so many slots, log2.
    pub const SLOT_BITS: u32 = 20;

    /// Puts a table of `2^table_bits` rooms above the CSpace of a thread, which becomes room 0.
    pub fn found(keeper: Keeper, objects: &mut Objects<'_>, table_bits: u32) -> Result<Self> {
        let table = objects.make_sized::<CNode>(table_bits)?;
        Self::furnish(table, table_bits, keeper.cnode.slot(keeper.cnode.cptr()), keeper.cnode_bits)?;
        let root = objects.slots.take(1)?;
        let from = objects.slots.slot_of(table.cptr());
        // SAFETY: the table was made just now, and its name is not used after it was moved; what is moved is a CNode. Every
        // address of the CSpace so far is the same in the new one.
        let root = unsafe {
            root.mutate_from(from, Self::guard_of_table(table_bits).0)?;
            objects.slots.give_back(from);
            let root = root.cap();
            keeper.tcb.set_space(Cap::<Endpoint>::NULL, CSpaceRoot::new(root), keeper.vspace)?;
            root
        };
        Ok(Self::in_table(root, table_bits))
    }

    /// The rooms of a table in which there is only room 0, and that is the root of the CSpace.
    pub const fn in_table(root: Cap<CNode>, table_bits: u32) -> Self {
        Self { root, count: 1 << table_bits, next: 1, free: BTreeSet::new() }
    }

    /// Puts a CNode of `2^cnode_bits` slots into a new table of `2^table_bits` rooms, as room 0.
    pub fn furnish(table: Cap<CNode>, table_bits: u32, cnode: Slot, cnode_bits: u32) -> Result<()> {
        table.slot_in(table_bits, 0).mint_cnode_from(cnode, guard(cnode_bits))
    }

    /// The guard that a table of `2^table_bits` rooms has as the root of a CSpace.
    pub const fn guard_of_table(table_bits: u32) -> CNodeCapData {
        CNodeCapData::skip_to(Self::SLOT_BITS + table_bits)
    }

    /// The root of the CSpace.
    pub const fn root(&self) -> Cap<CNode> {
        self.root
    }

    /// How many rooms there are, room 0 not counted.
    pub fn open(&self) -> u64 {
        self.next - 1 - self.free.len() as u64
    }

    /// Makes a room of at least `slots` slots out of some memory. `scratch` is an empty slot of room 0.
    pub fn make(&mut self, memory: &mut [Region], slots: u64, scratch: Slot) -> Result<Room> {
        let bits = slots.max(2).next_power_of_two().ilog2();
        if bits > Self::SLOT_BITS {
            return Err(Error::NoSlots);
        }
        let number = self.free.first().copied().unwrap_or(self.next);
        if number >= self.count {
            return Err(Error::NoSlots);
        }
        memory::retype::<CNode>(memory, bits, scratch, 1)?;
        let place = Slot::new(self.root, number, (64 - Self::SLOT_BITS) as u8);
        // SAFETY: the CNode was made just now, and nobody has its name.
        unsafe {
            if let Err(error) = place.mutate_from(scratch, guard(bits).0) {
                // The error that matters is the first one.
                let _ = scratch.delete();
                return Err(error);
            }
        }
        if !self.free.remove(&number) {
            self.next += 1;
        }
        let start = number << Self::SLOT_BITS;
        let region = SlotRegion { start, end: start + (1 << bits) };
        Ok(Room { number, slots: SlotRange::in_node(self.root, region, Self::SLOT_BITS) })
    }

    /// Takes the number of a room back. Its memory was revoked, and it is gone.
    pub fn give_back(&mut self, room: Room) {
        self.free.insert(room.number);
    }
}

/// The guard of a CNode of `2^bits` slots that is a room.
const fn guard(bits: u32) -> CNodeCapData {
    CNodeCapData::new(0, (Rooms::SLOT_BITS - bits) as u64)
}
