//! Starting threads in the program's own address space, and ending them.

use pecan_abi::{
    CapRights,
    constants::{
        LARGE_PAGE_BITS, MAX_UNTYPED_BITS, MIN_SCHED_CONTEXT_BITS, max_extra_refills, vm_attributes,
    },
    ipc::IPC_BUFFER_BITS,
};

use crate::{
    CSpaceRoot, Cap, Error, FixedSize, Priorities, Result, SchedParams,
    alloc::Objects,
    cspace::{SlotRange, Slots},
    memory::Region,
    raw::ThreadBlock,
    types::{Endpoint, SchedContext, SchedControl, SmallPage, Tcb},
    vspace::{OwnSpace, PAGE_SIZE},
};

/// What a thread is to be.
#[derive(Clone, Copy, Debug)]
pub struct ThreadParams {
    /// Where it starts. It must not return: there is nothing to return to.
    pub entry: extern "C" fn(usize) -> !,
    /// What it is given.
    pub argument: usize,
    /// Pages of its stack; below them is one that is never mapped.
    pub stack_pages: u64,
    /// Its CSpace.
    pub cspace: CSpaceRoot,
    /// Its priorities.
    pub priorities: Priorities,
    /// Its time; without it the thread is passive and runs on the time of its callers.
    pub time: Option<(Cap<SchedControl>, SchedParams)>,
    /// Who is told of its faults.
    fault_ep: Cap<Endpoint>,
}

impl ThreadParams {
    /// A passive thread with four pages of stack, of whose faults nobody is told.
    pub const fn new(
        entry: extern "C" fn(usize) -> !,
        argument: usize,
        cspace: CSpaceRoot,
        priorities: Priorities,
    ) -> Self {
        Self { entry, argument, stack_pages: 4, cspace, priorities, time: None, fault_ep: Cap::NULL }
    }

    /// The same with time of its own.
    pub const fn with_time(self, control: Cap<SchedControl>, time: SchedParams) -> Self {
        Self { time: Some((control, time)), ..self }
    }

    /// The same with somebody who is told of its faults.
    ///
    /// # Safety
    /// An answer to a fault can set the thread's registers. Whoever receives on the endpoint must leave them what the
    /// thread's code relies on.
    pub const unsafe fn with_fault_endpoint(self, fault_ep: Cap<Endpoint>) -> Self {
        Self { fault_ep, ..self }
    }
}

/// The thread block lies behind the IPC buffer in the same frame.
const BLOCK_OFFSET: u64 = 2 << IPC_BUFFER_BITS;

/// Slots of what a thread is made of beside its pages: the thread, its scheduling context, and one to spare.
const SLOTS: u64 = 3;

/// What a thread is made of: memory, slots, and addresses with their paging structures. One thread at a time; when that is
/// destroyed, the room is as it was, and another can have it.
#[derive(Debug)]
pub struct Room {
    region: Region,
    slots: SlotRange,
    /// The page of the IPC buffer and the thread block. The stack follows after a page that is never mapped.
    start: u64,
    stack_pages: u64,
}

impl Room {
    /// Room for a thread with a stack of so many pages. Its memory is an untyped of its own.
    pub fn new(objects: &mut Objects<'_>, space: &mut OwnSpace, stack_pages: u64) -> Result<Self> {
        let none = Error::NoMemory { size_bits: MAX_UNTYPED_BITS };
        // The pages, the thread, and the largest scheduling context; the latter two are each no larger than a page.
        let pages = stack_pages.checked_add(3).ok_or(none)?;
        let bits = pages.checked_next_power_of_two().ok_or(none)?.ilog2() + SmallPage::SIZE_BITS;
        let addresses = pages.checked_mul(PAGE_SIZE).ok_or(none)?;
        let start = space.reserve(addresses, PAGE_SIZE)?;
        let region = objects.split(bits)?;
        let first = match objects.slots.take(pages + SLOTS) {
            Ok(first) => first,
            Err(error) => {
                // SAFETY: it was made just now, and nobody else has its name.
                let _ = unsafe { objects.delete(region.untyped) };
                return Err(error);
            }
        };
        let mut room = Self { region, slots: SlotRange::of(first, pages + SLOTS), start, stack_pages };
        match room.make_tables(objects, space, addresses) {
            Ok(()) => Ok(room),
            Err(error) => Err(room.abandon(objects, error)),
        }
    }

    /// Has the paging structures made that the room's addresses need: with pages that are mapped for that and go again.
    fn make_tables(&mut self, objects: &mut Objects<'_>, space: &OwnSpace, addresses: u64) -> Result<()> {
        let mut at = self.start;
        while at < self.start + addresses {
            let mut own = Objects::new(&mut self.slots, core::slice::from_mut(&mut self.region));
            let page = own.make::<SmallPage>()?;
            // SAFETY: the address was reserved for this room, and the page was made just now.
            unsafe { space.map(objects, page, at, CapRights::READ, vm_attributes::DEFAULT) }?;
            at = (at | ((1 << LARGE_PAGE_BITS) - 1)) + 1;
        }
        self.clear()
    }

    /// Gives the room up after an error, with its untyped; returns the error.
    fn abandon(mut self, objects: &mut Objects<'_>, error: Error) -> Error {
        // The error that matters is the one before.
        let _ = self.clear();
        let region = self.give_up(objects.slots);
        // SAFETY: nothing is left in the room, and nobody else has the name of its untyped.
        let _ = unsafe { objects.delete(region.untyped) };
        error
    }

    /// Makes a thread in this room. It does not run before [`Thread::start`]. If it cannot be made, the error comes with the
    /// room, which is as it was.
    #[allow(clippy::result_large_err, reason = "what comes with the error is to be used again")]
    pub fn thread(mut self, space: &OwnSpace, params: &ThreadParams) -> Result<Thread, (Error, Self)> {
        match self.try_thread(space, params) {
            Ok((tcb, sched_context)) => Ok(Thread { tcb, sched_context, room: self }),
            Err(error) => {
                // The error that matters is the first one. What cannot be taken back stays in this room.
                let _ = self.clear();
                Err((error, self))
            }
        }
    }

    fn try_thread(
        &mut self,
        space: &OwnSpace,
        params: &ThreadParams,
    ) -> Result<(Cap<Tcb>, Cap<SchedContext>)> {
        if params.stack_pages > self.stack_pages {
            return Err(Error::RangeError { min: 0, max: self.stack_pages });
        }
        let (buffer, bottom) = (self.start, self.start + 2 * PAGE_SIZE);
        let top = bottom + params.stack_pages * PAGE_SIZE;
        let objects = &mut Objects::new(&mut self.slots, core::slice::from_mut(&mut self.region));
        let rights = CapRights::READ_WRITE;
        // SAFETY: the addresses were reserved for this room, and nothing of an earlier thread is mapped there any more.
        let frame = unsafe {
            space.map_new_at(objects, bottom, params.stack_pages, rights)?;
            space.map_new_at(objects, buffer, 1, rights)?
        };
        let tcb = objects.make::<Tcb>()?;
        let block = ThreadBlock {
            this: (buffer + BLOCK_OFFSET) as *const ThreadBlock,
            ipc_buffer: buffer as *mut _,
            stack_bottom: bottom as usize,
            stack_top: top as usize,
            tcb: tcb.cptr(),
            ..ThreadBlock::new()
        };
        // SAFETY: the frame was mapped here just now, in this program, writable, and the place is aligned and holds a whole
        // block.
        unsafe { (block.this as *mut ThreadBlock).write(block) };
        let sched_context = match params.time {
            Some((control, time)) => {
                // Each step of size doubles the room, and extra refills need it.
                let mut bits = MIN_SCHED_CONTEXT_BITS;
                while max_extra_refills(bits) < time.extra_refills as usize && bits < 12 {
                    bits += 1;
                }
                let sched_context = objects.make_sized::<SchedContext>(bits)?;
                control.configure(sched_context, time)?;
                sched_context
            }
            None => Cap::NULL,
        };
        let registers = crate::arch::start_registers(
            params.entry as usize as u64,
            params.argument as u64,
            top,
            buffer + BLOCK_OFFSET,
        );
        // SAFETY: the thread was made just now. It gets a stack and a block of its own in this program's address space, and
        // starts as a function that is called. Whoever chose who answers its faults vouches for that.
        unsafe {
            tcb.configure(params.cspace, space.cap(), buffer, frame)?;
            tcb.set_sched_params(params.priorities, sched_context, params.fault_ep)?;
            tcb.write_registers(false, &registers)?;
        }
        Ok((tcb, sched_context))
    }

    /// Destroys what was made in the room.
    fn clear(&mut self) -> Result<()> {
        // SAFETY: all that was made of the region is a thread, which is stopped by this, its stack and its block: only it
        // used them, and the names that its `Thread` had are gone with that.
        unsafe { self.region.reset(&self.slots) }?;
        self.slots.reset();
        Ok(())
    }

    /// Gives the room up; returns its memory, empty, as a stock of its own. Its slots are free again; its addresses are not
    /// handed out again.
    pub fn give_up(self, slots: &mut dyn Slots) -> Region {
        let all = self.slots.all();
        (all.start..all.end).rev().for_each(|index| slots.give_back(slots.slot_of(index)));
        self.region
    }
}

/// A thread. Dropping this does not end it; [`Thread::destroy`] does.
#[derive(Debug)]
pub struct Thread {
    /// The thread.
    pub tcb: Cap<Tcb>,
    /// Its scheduling context; [`Cap::NULL`] for a passive thread.
    pub sched_context: Cap<SchedContext>,
    room: Room,
}

impl Thread {
    /// Makes room for a thread, and the thread in it. It does not run before [`Thread::start`]. After an error all slots are
    /// free again; the memory of the room is free again when the region that it was split from is reset. Where that matters,
    /// keep a [`Room`].
    pub fn create(objects: &mut Objects<'_>, space: &mut OwnSpace, params: &ThreadParams) -> Result<Self> {
        let room = Room::new(objects, space, params.stack_pages)?;
        room.thread(space, params).map_err(|(error, room)| room.abandon(objects, error))
    }

    /// Lets it run.
    pub fn start(&self) -> Result<()> {
        self.tcb.resume()
    }

    /// The address of its IPC buffer.
    pub const fn ipc_buffer(&self) -> u64 {
        self.room.start
    }

    /// Ends it, wherever it is, and destroys all that it was made of. Returns its room for another thread; after an error it
    /// comes back with the thread.
    #[allow(clippy::result_large_err, reason = "what comes with the error is to be used again")]
    pub fn destroy(mut self) -> Result<Room, (Error, Self)> {
        match self.room.clear() {
            Ok(()) => Ok(self.room),
            Err(error) => Err((error, self)),
        }
    }
}
