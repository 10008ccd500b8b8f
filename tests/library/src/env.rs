//! What a test is given.

use core::sync::atomic::{AtomicU64, Ordering};

use pecan::{
    CSpaceRoot, Cap, Priorities, Result, SchedParams,
    alloc::Objects,
    boot::{self, BootInfo},
    cspace::{CSpace, SlotRange},
    memory::{Region, UntypedPool},
    thread::{Thread, ThreadParams},
    types::{Endpoint, SchedControl},
    vspace::OwnSpace,
};

/// The addresses that tests map things at; each test goes on where the last one stopped.
static NEXT_ADDRESS: AtomicU64 = AtomicU64::new(0x10_0000_0000);
const ADDRESSES_PER_TEST: u64 = 1 << 32;

/// What a test is given.
pub struct Env<'a> {
    /// The boot information.
    pub boot: BootInfo,
    /// The program's address space; addresses no test has used.
    pub space: OwnSpace,
    /// Slots that are emptied after the test.
    pub slots: &'a mut SlotRange,
    /// Memory that is taken back after the test.
    pub memory: &'a mut Region,
    /// All untypeds; what is taken here stays taken.
    pub pool: &'a mut UntypedPool,
    /// Slots that stay.
    pub cspace: &'a mut CSpace,
}

impl<'a> Env<'a> {
    /// The surroundings of the next test.
    pub fn new(
        boot: BootInfo,
        slots: &'a mut SlotRange,
        memory: &'a mut Region,
        pool: &'a mut UntypedPool,
        cspace: &'a mut CSpace,
    ) -> Self {
        let start = NEXT_ADDRESS.fetch_add(ADDRESSES_PER_TEST, Ordering::Relaxed);
        // SAFETY: it is this program's address space, and each test has a part of it to itself.
        let space = unsafe { OwnSpace::new(boot::VSPACE, start, start + ADDRESSES_PER_TEST) };
        Self { boot, space, slots, memory, pool, cspace }
    }

    /// Where the test makes its objects.
    pub fn objects(&mut self) -> Objects<'_> {
        Objects::new(self.slots, core::slice::from_mut(self.memory))
    }

    /// A thread of this program, a little below the test's own priority.
    pub fn thread(
        &mut self,
        entry: extern "C" fn(usize) -> !,
        argument: usize,
        fault_ep: Cap<Endpoint>,
    ) -> Result<Thread> {
        self.thread_with(entry, argument, fault_ep, SchedParams::round_robin(10_000))
    }

    /// A passive thread of this program, a little below the test's own priority.
    pub fn params(&self, entry: extern "C" fn(usize) -> !, argument: usize) -> ThreadParams {
        let priorities = Priorities { authority: boot::TCB, mcp: 0, priority: 100 };
        ThreadParams::new(entry, argument, CSpaceRoot::new(boot::CNODE), priorities)
    }

    /// Authority over time.
    pub fn time(&self) -> Result<Cap<SchedControl>> {
        self.boot.sched_control(0)
    }

    /// A thread, with its time.
    pub fn thread_with(
        &mut self,
        entry: extern "C" fn(usize) -> !,
        argument: usize,
        fault_ep: Cap<Endpoint>,
        time: SchedParams,
    ) -> Result<Thread> {
        let params = self.params(entry, argument).with_time(self.time()?, time);
        // SAFETY: tests answer a fault of such a thread after they have mended what it faulted on, or not at all.
        let params = unsafe { params.with_fault_endpoint(fault_ep) };
        let mut objects = Objects::new(self.slots, core::slice::from_mut(self.memory));
        Thread::create(&mut objects, &mut self.space, &params)
    }
}
