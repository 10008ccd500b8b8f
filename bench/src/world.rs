//! What the measurements are given: objects to work on, a second address space, helper threads, and the clock.

use core::sync::atomic::{AtomicU64, Ordering};

use pecan::{
    CSpaceRoot, Cap, CapRights, Priorities, Result, SchedParams,
    abi::constants::vm_attributes::DEFAULT,
    alloc::Objects,
    boot::{self, BootInfo},
    thread::{Thread, ThreadParams},
    types::{Endpoint, SmallPage},
    vspace::{AddressSpace, PAGE_SIZE},
};
/// Priority of the thread that measures.
pub const NORMAL: u8 = 200;
/// Above the thread that measures.
pub const HIGH: u8 = 210;
/// Below the thread that measures.
pub const LOW: u8 = 190;
/// Below all of them.
pub const LOWEST: u8 = 180;

/// How often each operation is run; the smallest figure counts.
const RUNS: usize = 8;

/// Pages of a helper's stack.
const STACK_PAGES: u64 = 2;

/// A time that a helper read.
pub static STAMP: AtomicU64 = AtomicU64::new(0);

/// Reads the clock: under instruction counting, the number of instructions so far.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: reading the time-stamp counter is allowed at user level and changes nothing.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Notes the time, for the thread that measures.
#[inline(always)]
pub fn stamp() {
    STAMP.store(now(), Ordering::Relaxed);
}

/// Everything that a measurement needs.
pub struct World<'a> {
    /// Slots and memory.
    pub objects: Objects<'a>,
    /// The root task's address space.
    pub own: AddressSpace,
    /// The second one, in which the program's image is mapped, too.
    pub other: AddressSpace,
    boot: BootInfo,
    /// What reading the clock twice takes.
    clock: u64,
}

/// Where a helper lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the root task's address space.
    Here,
    /// In the other one.
    There,
}

/// What a helper is to be, once it waits for the first time.
pub struct Helper {
    /// Where it starts; it is given the address of `caps`.
    pub entry: extern "C" fn(usize) -> !,
    /// Capability addresses, as it wants them.
    pub caps: &'static [AtomicU64; 2],
    /// Its priority.
    pub priority: u8,
    /// Whether it runs only on the time of those who call it.
    pub passive: bool,
    /// Its address space.
    pub place: Place,
    /// Who is told of its faults.
    pub fault_ep: Cap<Endpoint>,
}

impl<'a> World<'a> {
    /// Sets up; the calling thread gets the priority [`NORMAL`].
    pub fn new(boot: BootInfo, mut objects: Objects<'a>, own: AddressSpace) -> Result<Self> {
        boot::TCB.set_priority(boot::TCB, NORMAL)?;
        let other = AddressSpace::create(&mut objects, boot::ASID_POOL, 0)?;
        let mut world = World { objects, own, other, boot, clock: 0 };
        let image = pecan_runtime::image_start();
        let frames = boot.raw().user_image_frames;
        for n in 0..frames.end - frames.start {
            world.share(Cap::new(frames.start + n), image as u64 + n * PAGE_SIZE)?;
        }
        world.clock = (0..RUNS).map(|_| now().wrapping_sub(now()).wrapping_neg()).min().unwrap_or(0);
        Ok(world)
    }

    /// Maps a frame of this address space into the other one, at the same address.
    fn share(&mut self, frame: Cap<SmallPage>, address: u64) -> Result<()> {
        let copy = self.objects.copy(frame, CapRights::ALL)?;
        self.other.map(&mut self.objects, copy, address, CapRights::READ_WRITE, DEFAULT)
    }

    /// Starts a helper and lets it run until it waits for the first time.
    pub fn start(&mut self, helper: &Helper) -> Result<Thread> {
        let params = ThreadParams {
            entry: helper.entry,
            argument: helper.caps as *const _ as usize,
            stack_pages: STACK_PAGES,
            cspace: CSpaceRoot::new(boot::CNODE),
            priorities: Priorities { authority: boot::TCB, mcp: 0, priority: HIGH },
            fault_ep: helper.fault_ep,
            time: Some((self.boot.sched_control(0)?, SchedParams::round_robin(10_000))),
        };
        let thread = Thread::create(&mut self.objects, &mut self.own, &params)?;
        if helper.place == Place::There {
            self.share(thread.ipc_frame, thread.ipc_buffer)?;
            // The stack is mapped behind the IPC buffer, with a page between them that is not.
            for n in 0..STACK_PAGES {
                let frame = Cap::new(thread.stack_frames.cptr() + n);
                self.share(frame, thread.ipc_buffer + (2 + n) * PAGE_SIZE)?;
            }
            thread.tcb.set_space(helper.fault_ep, CSpaceRoot::new(boot::CNODE), self.other.cap())?;
        }
        thread.start()?;
        if helper.passive {
            thread.sched_context.unbind()?;
        }
        thread.tcb.set_priority(boot::TCB, helper.priority)?;
        Ok(thread)
    }

    /// Lets every helper run until it waits again, whatever its priority.
    pub fn settle(&self) -> Result<()> {
        boot::TCB.set_priority(boot::TCB, LOWEST)?;
        boot::TCB.set_priority(boot::TCB, NORMAL)
    }

    /// Instructions of an operation, from the call to the return.
    pub fn time(&self, mut operation: impl FnMut() -> Result<()>) -> Result<u64> {
        self.time_with(|| {
            let start = now();
            operation()?;
            Ok(now() - start)
        })
    }

    /// Instructions from the start of an operation to the [`stamp`] of a helper.
    pub fn time_to_stamp(&self, mut operation: impl FnMut() -> Result<()>) -> Result<u64> {
        self.time_with(|| {
            let start = now();
            operation()?;
            Ok(STAMP.load(Ordering::Relaxed) - start)
        })
    }

    /// Instructions of an operation that reads the clock itself, once before and once after what counts.
    pub fn time_with(&self, mut operation: impl FnMut() -> Result<u64>) -> Result<u64> {
        let mut least = u64::MAX;
        for _ in 0..RUNS {
            least = least.min(operation()?);
        }
        Ok(least.saturating_sub(self.clock))
    }
}
