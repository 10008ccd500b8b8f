//! A round: everything that random threads have, made of one untyped, and the look after it that all of it has come
//! back.

use pecan::{Error, Result, raw::invocations as inv};
use pecan_abi::{CapRights, Label, ObjectType, boot::slot};

use crate::{
    generator::{self, TABLE_OF},
    house::{
        DEPTH, House, In, ROOT, Step, WORLD_BITS, WORLD_SLOTS, code_pages, copy, map_tables, registers,
        retype, shared_address,
    },
    plan::PRIORITY,
    rng::Rng,
    shared::{
        self, AREA_PAGES, AREA_STRIDE, AREAS, DIRECTOR, GENERATORS, PUPPETS, SHARED, SHARED_PAGES, THREADS,
        WINDOW, shared,
    },
    slots::{self, Entry, Kind},
};

/// CNodes of random threads.
const CNODES: usize = 3;
/// log2 of their slots.
const RADIX: u8 = 8;
/// The guard that makes addresses in them have 64 bits.
const GUARD: u64 = 56;

/// Priorities of the random threads: two that take turns, one above them and one below; puppets at and below them.
const PRIORITIES: [u64; THREADS] = [100, 100, 110, 90, 120, 100, 80, 60];
/// Budgets and periods, in microseconds.
const TIMES: [(u64, u64); THREADS] =
    [(200, 200), (300, 300), (100, 300), (100, 100), (20, 500), (50, 1000), (50, 1000), (30, 300)];

/// I/O ports that nobody has between two rounds, and a vector range.
const PORTS: (u64, u64) = (0x1000, 0x10ff);
const VECTORS: u64 = 108;

/// A capability that a CSpace is given, and given again if it has lost it.
#[derive(Clone, Copy)]
struct Gift {
    table: usize,
    index: usize,
    source: u64,
    /// The guard or badge that it gets; 0 for none.
    badge: u64,
    entry: Entry,
}

/// The first slots of endpoints and of reply objects, and how many each CSpace gets.
pub const ENDPOINT: usize = 30;
pub const REPLY: usize = 38;
const ENDPOINTS: [u64; CNODES] = [4, 2, 1];

const GIFTS: usize = 96;

/// A round.
pub struct World {
    next: u64,
    end: u64,
    infra: u64,
    spare: u64,
    spares: u64,
    director: u64,
    park: u64,
    parked: u64,
    /// The CNodes of the random threads.
    pub cnodes: [u64; CNODES],
    vspaces: [u64; 2],
    tcbs: [u64; THREADS],
    scs: [u64; THREADS],
    gifts: [Option<Gift>; GIFTS],
    gift_count: usize,
    /// Full repairs of threads, and replacements of those that could not be repaired.
    pub repairs: u64,
    /// Threads made anew.
    pub replaced: u64,
}

impl World {
    /// Makes everything; the random threads do not run yet.
    pub fn new(house: &House, rng: &mut Rng) -> Step<Self> {
        let first = house.world_slots;
        let mut world = World {
            next: first,
            end: first + WORLD_SLOTS,
            infra: 0,
            spare: 0,
            spares: 0,
            director: Self::director_base(house),
            park: 0,
            parked: 0,
            cnodes: [0; CNODES],
            vspaces: [0; 2],
            tcbs: [0; THREADS],
            scs: [0; THREADS],
            gifts: [None; GIFTS],
            gift_count: 0,
            repairs: 0,
            replaced: 0,
        };
        let shared = shared();
        shared.slots.iter().flatten().for_each(|s| s.store(0, core::sync::atomic::Ordering::Relaxed));
        world.infra = world.untyped(house.world, 20)?;
        world.spare = world.untyped(house.world, 17)?;
        world.park = world.make(ObjectType::CNode, 9)?;
        for cnode in 0..CNODES {
            world.cnodes[cnode] = world.make(ObjectType::CNode, RADIX.into())?;
        }
        for i in 0..2 {
            world.vspaces[i] = world.vspace(house)?;
        }
        for i in 0..THREADS {
            world.tcbs[i] = world.make(ObjectType::Tcb, 0)?;
            world.scs[i] = world.make(ObjectType::SchedContext, 8)?;
        }
        world.choose_gifts(house)?;
        world.give_untypeds(house)?;
        for index in 0..world.gift_count {
            world.give(index)?;
        }
        for index in 0..THREADS {
            let words = shared::words(index);
            use core::sync::atomic::Ordering::Relaxed;
            words.rng.store(rng.next(), Relaxed);
            words.in_flight.store(0, Relaxed);
            words.owes.store(0, Relaxed);
        }
        Ok(world)
    }

    fn slot(&mut self) -> u64 {
        let slot = self.next.min(self.end - 1);
        self.next += 1;
        slot
    }

    fn make(&mut self, what: ObjectType, bits: u64) -> Step<u64> {
        let dest = self.slot();
        retype(self.infra, what, bits, dest, 1).during("making an object of the world")?;
        Ok(dest)
    }

    fn untyped(&mut self, parent: u64, bits: u64) -> Step<u64> {
        let dest = self.slot();
        retype(parent, ObjectType::Untyped, bits, dest, 1).during("splitting the world's untyped")?;
        Ok(dest)
    }

    /// An address space with the program's code and the shared memory.
    fn vspace(&mut self, house: &House) -> Step<u64> {
        let vspace = self.make(ObjectType::VSPACE, 0)?;
        inv::asid_pool_assign(slot::INIT_THREAD_ASID_POOL, vspace).during("giving an ASID")?;
        let infra = self.infra;
        map_tables(vspace, code_pages().start, infra, || self.slot())?;
        map_tables(vspace, SHARED, infra, || self.slot())?;
        map_tables(vspace, WINDOW, infra, || self.slot())?;
        for address in code_pages().step_by(4096) {
            self.map(house.image_page(address)?, vspace, address, CapRights::READ)?;
        }
        for page in 0..SHARED_PAGES + THREADS as u64 * AREA_PAGES {
            self.map(house.frames + page, vspace, shared_address(page), CapRights::READ_WRITE)?;
        }
        Ok(vspace)
    }

    /// Maps a copy of a frame that stays in a CNode of the world's, so that it goes with the world.
    fn map(&mut self, frame: u64, vspace: u64, address: u64, rights: CapRights) -> Step<()> {
        let scratch = self.end - 1;
        copy(frame, scratch, rights).during("copying a frame")?;
        inv::page_map(scratch, vspace, address, rights, 0).during("mapping a page")?;
        inv::cnode_move(self.park, self.parked, 9, ROOT, scratch, DEPTH).during("parking a frame")?;
        self.parked += 1;
        Ok(())
    }

    fn gift(&mut self, table: usize, index: usize, source: u64, badge: u64, entry: Entry) {
        if let Some(place) = self.gifts.get_mut(self.gift_count) {
            *place = Some(Gift { table, index, source, badge, entry });
            self.gift_count += 1;
        }
    }

    /// What the CSpaces get. The first has nearly everything, the second little, the third next to nothing.
    fn choose_gifts(&mut self, house: &House) -> Step<()> {
        let cnode = |guard: u64, table: usize| Entry::new(Kind::CNode, guard as u8, table as u16 + 1);
        let [all, few, little] = self.cnodes;
        self.gift(0, 1, all, GUARD, cnode(GUARD, 0));
        self.gift(0, 2, few, 0, cnode(0, 1));
        self.gift(0, 3, little, 0, cnode(0, 2));
        self.gift(0, 4, all, 0, cnode(0, 0));
        self.gift(0, 5, few, GUARD, cnode(GUARD, 1));
        self.gift(1, 1, few, GUARD, cnode(GUARD, 1));
        let plain = |kind| Entry::new(kind, 0, 0);
        let control = house.boot.sched_control(0).during("looking for the time")?.cptr();
        for i in 0..2 {
            self.gift(0, 6 + i, self.vspaces[i], 0, Entry::new(Kind::VSpace, 1, 0));
        }
        self.gift(1, 6, self.vspaces[1], 0, Entry::new(Kind::VSpace, 1, 0));
        self.gift(0, 8, control, 0, plain(Kind::SchedControl));
        self.gift(0, 9, slot::ASID_CONTROL, 0, plain(Kind::AsidControl));
        self.gift(0, 10, slot::INIT_THREAD_ASID_POOL, 0, plain(Kind::AsidPool));
        for i in 0..THREADS {
            let tcb = Entry::new(Kind::Tcb, 0, i as u16 + 1);
            self.gift(0, 11 + i, self.tcbs[i], 0, tcb);
            self.gift(0, 20 + i, self.scs[i], 0, plain(Kind::SchedContext));
            if i == 2 || i >= GENERATORS + 2 {
                self.gift(1, 11 + i, self.tcbs[i], 0, tcb);
            }
            if i >= GENERATORS + 2 {
                self.gift(1, 20 + i, self.scs[i], 0, plain(Kind::SchedContext));
                self.gift(DIRECTOR, 10 + i, self.tcbs[i], 0, tcb);
            }
        }
        for i in 0..4 {
            let ep = self.make(ObjectType::Endpoint, 0)?;
            let ntfn = self.make(ObjectType::Notification, 0)?;
            let reply = self.make(ObjectType::Reply, 0)?;
            let frame = self.make(ObjectType::Page4K, 0)?;
            let badge = |table: usize| if i % 2 == 0 { 0 } else { 1 << table };
            for (table, some) in ENDPOINTS.into_iter().enumerate() {
                if (i as u64) < some {
                    self.gift(table, ENDPOINT + i, ep, badge(table), plain(Kind::Endpoint));
                    self.gift(table, ENDPOINT + 4 + i, ntfn, badge(table), plain(Kind::Notification));
                    self.gift(table, REPLY + i, reply, 0, plain(Kind::Reply));
                }
            }
            self.gift(i % 2, 42 + i, frame, 0, plain(Kind::Page));
        }
        // The supervisor's own table: the authorities, and CNodes to put into what comes of them.
        for (i, kind) in [Kind::IrqControl, Kind::IoPortControl, Kind::DomainSet].into_iter().enumerate() {
            slots::set(DIRECTOR, 1 + i, plain(kind));
        }
        self.gift(DIRECTOR, 4, all, 0, cnode(0, 0));
        self.gift(DIRECTOR, 5, few, 0, cnode(0, 1));
        Ok(())
    }

    /// Where the table of the supervisor's own calls begins: index 1 is the first authority.
    pub fn director_base(house: &House) -> u64 {
        house.controls - 1
    }

    /// Untypeds, right into the CNodes: only one has them.
    fn give_untypeds(&mut self, house: &House) -> Step<()> {
        let mut index = 50;
        for (bits, count, table) in [(22, 1, 0), (16, 4, 0), (14, 4, 0), (12, 8, 0), (14, 1, 1), (12, 2, 1)] {
            for _ in 0..count {
                self.give_untyped(house.world, table, index, bits, 0)?;
                index += 1;
            }
        }
        if let Some(device) = house.device {
            self.give_untyped(device, 0, index, 31, 1)?;
        }
        Ok(())
    }

    fn give_untyped(&mut self, from: u64, table: usize, index: u64, bits: u64, device: u16) -> Step<()> {
        inv::untyped_retype(from, ObjectType::Untyped.word(), bits, self.cnodes[table], 0, 0, index, 1)
            .during("giving an untyped")?;
        slots::set(table, index as usize, Entry::new(Kind::Untyped, bits as u8, device));
        Ok(())
    }

    /// Gives a capability, unless there is something in its slot.
    fn give(&self, index: usize) -> Step<()> {
        let Some(Some(gift)) = self.gifts.get(index) else { return Ok(()) };
        let (root, slot, depth) = match self.cnodes.get(gift.table) {
            Some(&cnode) => (cnode, gift.index as u64, RADIX),
            None => (ROOT, self.director + gift.index as u64, DEPTH),
        };
        let rights = CapRights::ALL;
        let given = match gift.badge {
            0 => inv::cnode_copy(root, slot, depth, ROOT, gift.source, DEPTH, rights),
            badge => inv::cnode_mint(root, slot, depth, ROOT, gift.source, DEPTH, rights, badge),
        };
        match given {
            Ok(()) => slots::set(gift.table, gift.index, gift.entry),
            // It may well be there still, and have been taken for something else.
            Err(Error::DeleteFirst) if slots::get(gift.table, gift.index) == Entry::UNKNOWN => {
                slots::set(gift.table, gift.index, gift.entry);
            }
            Err(Error::DeleteFirst) => {}
            Err(error) => return Err(("giving a capability", error)),
        }
        Ok(())
    }

    /// Gives a random capability again.
    pub fn give_again(&self, rng: &mut Rng) -> Step<()> {
        self.give(rng.below(self.gift_count as u64) as usize)
    }

    /// Puts a random thread on its feet, whatever has been done to it.
    pub fn repair(&mut self, house: &House, index: usize) -> Step<()> {
        self.repairs += 1;
        if self.try_repair(house, index).is_err() {
            // It may be bound to a scheduling context that only random threads know.
            self.replaced += 1;
            let tcb = self.tcbs[index];
            inv::cnode_revoke(ROOT, tcb, DEPTH).during("revoking a thread")?;
            inv::cnode_delete(ROOT, tcb, DEPTH).during("deleting a thread")?;
            if retype(self.spare, ObjectType::Tcb, 0, tcb, 1).is_err() {
                inv::cnode_revoke(ROOT, self.spare, DEPTH).during("revoking spare threads")?;
                return Err(("replacing a thread", Error::NoMemory { size_bits: 12 }));
            }
            self.spares += 1;
            self.try_repair(house, index).during("repairing a new thread")?;
        }
        Ok(())
    }

    /// How many more threads can be replaced.
    pub fn spares_left(&self) -> bool {
        self.spares < 24
    }

    fn try_repair(&self, house: &House, index: usize) -> Result<()> {
        let (tcb, sc) = (self.tcbs[index], self.scs[index]);
        let control = house.boot.sched_control(0)?.cptr();
        inv::sched_context_unbind(sc)?;
        let (budget, period) = TIMES[index];
        inv::sched_control_configure_flags(control, sc, budget, period, 0, index as u64, 0)?;
        let fault_ep = house.fault_eps + index as u64;
        inv::tcb_set_sched_params(tcb, slot::INIT_THREAD_TCB, PRIORITY, PRIORITIES[index], sc, fault_ep)?;
        // Half of them tell when their budget runs out; the others just wait for more.
        let timeout_ep = if index.is_multiple_of(2) { fault_ep } else { 0 };
        inv::tcb_set_timeout_endpoint(tcb, timeout_ep)?;
        if Label::TcbUnsetBreakpoint.exists() {
            // A thread that stops at every instruction, or at its first, never gets to its next call.
            let _ = inv::tcb_configure_single_stepping(tcb, 0, 0);
            (0..4).for_each(|breakpoint| _ = inv::tcb_unset_breakpoint(tcb, breakpoint));
        }
        let table = TABLE_OF[index % TABLE_OF.len()];
        let area = AREAS + index as u64 * AREA_STRIDE;
        let frame = house.frames + SHARED_PAGES + index as u64 * AREA_PAGES;
        inv::tcb_configure(tcb, self.cnodes[table], GUARD, self.vspaces[index / 2 % 2], 0, area, frame)?;
        self.restart(index)
    }

    /// Lets a thread that chooses calls begin again; sets puppets to what they are to do first.
    pub fn restart(&self, index: usize) -> Result<()> {
        if index >= GENERATORS {
            return Ok(());
        }
        let top = AREAS + index as u64 * AREA_STRIDE + AREA_PAGES * 4096;
        let context = registers(generator::run as *const () as u64, top, [index as u64, 0], 0);
        inv::tcb_write_registers(self.tcbs[index], true, 0, 20, &context)
    }

    /// Sets a puppet's registers and lets it run.
    pub fn play(&self, index: usize, words: &[u64; 20]) -> Result<()> {
        inv::tcb_write_registers(self.tcbs[index], true, 0, 20, &pecan::UserContext::from_words(words))
    }

    /// Takes a thread's scheduling context away: a server goes on with those of its callers.
    pub fn make_passive(&self, index: usize) {
        let _ = inv::sched_context_unbind(self.scs[index]);
    }

    /// How many endpoints and reply objects a thread's CSpace has got.
    pub fn endpoints(index: usize) -> u64 {
        ENDPOINTS[TABLE_OF[index % TABLE_OF.len()]]
    }

    /// Stops the puppets.
    pub fn stop_puppets(&self) -> Step<()> {
        (GENERATORS..GENERATORS + PUPPETS)
            .try_for_each(|index| inv::tcb_suspend(self.tcbs[index]))
            .during("stopping the puppets")
    }

    /// Takes everything back, and looks whether it has come back.
    pub fn end(self, house: &House) -> core::result::Result<(), &'static str> {
        let gone = |result: Result<()>, what| result.map_err(|_| what);
        gone(inv::cnode_revoke(ROOT, house.world, DEPTH), "the world cannot be revoked")?;
        if let Some(device) = house.device {
            gone(inv::cnode_revoke(ROOT, device, DEPTH), "the device memory cannot be revoked")?;
        }
        let [irq, ports, domains] = [0, 1, 2].map(|i| house.controls + i);
        let all = inv::domain_set_schedule_configure(domains, 0, 0, (1 << 56) - 1);
        gone(all, "the domain schedule cannot be reset")?;
        for entry in 1..3 {
            // Kernels without domains have one entry only.
            let _ = inv::domain_set_schedule_configure(domains, entry, 0, 0);
        }
        gone(inv::domain_set_schedule_set_start(domains, 0), "the domain schedule cannot be restarted")?;
        // Every slot is empty: there is room for something in it.
        let scratch = house.world_slots;
        for slot in house.world_slots..house.world_slots + WORLD_SLOTS {
            match copy(slot, ROOT, CapRights::ALL) {
                Err(Error::DeleteFirst) => {}
                _ => return Err("a slot is not what it was"),
            }
            gone(copy(house.ep, slot, CapRights::ALL), "a capability is left in a slot")?;
            gone(inv::cnode_delete(ROOT, slot, DEPTH), "a slot cannot be emptied")?;
        }
        // The memory can be had in one piece.
        let whole = retype(house.world, ObjectType::Untyped, WORLD_BITS, scratch, 1);
        gone(whole, "memory is missing")?;
        gone(inv::cnode_delete(ROOT, scratch, DEPTH), "the memory cannot be given back")?;
        // So can the interrupts, the ports, and the ASIDs.
        for vector in 0..VECTORS {
            let issued = inv::irq_control_get_msi(irq, ROOT, scratch, DEPTH, 0, 0, 0, 0, vector);
            gone(issued, "an interrupt is still in use")?;
            gone(inv::cnode_delete(ROOT, scratch, DEPTH), "an interrupt cannot be given back")?;
        }
        let issued = inv::io_port_control_issue(ports, PORTS.0, PORTS.1, ROOT, scratch, DEPTH);
        gone(issued, "I/O ports are still in use")?;
        gone(inv::cnode_delete(ROOT, scratch, DEPTH), "I/O ports cannot be given back")?;
        if free_pools(house) != Some(7) {
            return Err("an ASID pool is still in use");
        }
        Ok(())
    }
}

/// How many ASID pools can be made; they are given back.
fn free_pools(house: &House) -> Option<u64> {
    let first = house.world_slots;
    retype(house.world, ObjectType::Untyped, 12, first, 8).ok()?;
    let made = (0..8)
        .take_while(|i| {
            inv::asid_control_make_pool(slot::ASID_CONTROL, first + i, ROOT, first + 8 + i, DEPTH).is_ok()
        })
        .count();
    inv::cnode_revoke(ROOT, house.world, DEPTH).ok()?;
    Some(made as u64)
}
