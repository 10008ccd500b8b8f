//! The threads of a component beside its first.

use alloc::{format, vec::Vec};

use pecan::{
    CSpaceRoot, Cap, CapRights, Priorities, SchedParams, UserContext,
    abi::{Syscall, constants::tcb_flag},
    boot,
    types::{Notification, SchedContext, Tcb},
    vspace::PAGE_SIZE,
};
use pecan_manifest::{Badge, layout::resource};
use pecan_protocols::Granted;

use super::{Given, Live, Maker, Pages, SCHED_CONTEXT_BITS, StartError, promise};

/// A thread of a component beside its first.
pub struct OtherThread {
    tcb: Cap<Tcb>,
    sched_context: Cap<SchedContext>,
    /// The address of its capability in the component's CSpace.
    cptr: u64,
    /// Where its memory begins.
    start: u64,
}

impl OtherThread {
    /// Where its stack ends. The page below is never mapped.
    const fn bottom(&self) -> u64 {
        self.start + 2 * PAGE_SIZE
    }
}

impl Live {
    /// One of its threads, by the address of its capability in the component's CSpace; 0 for the first.
    pub fn thread(&self, cptr: u64) -> Option<Cap<Tcb>> {
        if cptr == 0 {
            return Some(self.tcb);
        }
        self.threads.iter().find(|t| t.cptr == cptr).map(|t| t.tcb)
    }

    /// One of its threads beside the first, by the number in the badge of its faults.
    fn other(&self, number: u16) -> Option<&OtherThread> {
        usize::from(number).checked_sub(1).and_then(|at| self.threads.get(at))
    }

    /// One of its threads, by that number.
    pub fn numbered(&self, number: u16) -> Cap<Tcb> {
        self.other(number).map_or(self.tcb, |t| t.tcb)
    }

    /// The lowest address of the stack of one of its threads, by that number.
    pub fn bottom(&self, number: u16) -> u64 {
        self.other(number).map_or(self.bottom, OtherThread::bottom)
    }

    /// All of its threads.
    pub fn tcbs(&self) -> impl Iterator<Item = Cap<Tcb>> {
        core::iter::once(self.tcb).chain(self.threads.iter().map(|t| t.tcb))
    }

    /// Those of its threads that are in a call to the endpoint at an address, or were just now.
    pub fn calling(&self, cptr: u64) -> Vec<Cap<Tcb>> {
        let calls = |r: UserContext| r.rdx as i64 == Syscall::Call.number() && r.rdi == cptr;
        self.tcbs().filter(|tcb| tcb.read_registers(false).is_ok_and(calls)).collect()
    }

    /// The time of each of its threads.
    pub fn times(&self) -> impl Iterator<Item = Cap<SchedContext>> {
        core::iter::once(self.sched_context).chain(self.threads.iter().map(|t| t.sched_context))
    }
}

impl Maker<'_> {
    /// Makes its threads beside the first. They do not run: the component says what they are to do.
    pub(super) fn give_threads(&mut self, given: &Given<'_>, cspace: CSpaceRoot) -> Result<(), StartError> {
        let settings = &self.component.settings;
        for (n, (name, thread)) in settings.threads.iter().enumerate() {
            let pages = thread.stack.0.div_ceil(PAGE_SIZE);
            let bytes = (2 + pages) * PAGE_SIZE;
            let start = self.live.space.reserve(bytes, PAGE_SIZE)?;
            let buffer = self.frame(start, CapRights::READ_WRITE, None)?;
            self.live.frames.insert(start, buffer);
            self.live.to_do.push_back(Pages::zero(start + 2 * PAGE_SIZE, start + bytes, false));
            let tcb = self.objects().make::<Tcb>()?;
            let sched_context = self.objects().make_sized::<SchedContext>(SCHED_CONTEXT_BITS)?;
            let done = self.objects().make::<Notification>()?;
            let badge = Badge::fault(given.id, n as u16 + 1).word();
            let fault_ep = self.objects().mint(given.supervisor, CapRights::ALL, badge)?;
            let (budget, period) = thread.time_us();
            let promised = thread.period_ms.is_some();
            let params = if promised { promise(budget, period) } else { SchedParams::round_robin(budget) };
            given.sched_control.configure(sched_context, params.with_badge(given.id))?;
            let priorities = Priorities { authority: boot::TCB, mcp: 0, priority: settings.priority };
            // SAFETY: the thread is the component's, which is another program.
            unsafe {
                tcb.configure(cspace, self.live.space.cap(), start, buffer)?;
                tcb.set_sched_params(priorities, sched_context, fault_ep)?;
                if promised && settings.overrun_ms.is_some() {
                    tcb.set_timeout_endpoint(fault_ep)?;
                }
            }
            if !settings.fpu {
                tcb.set_flags(0, tcb_flag::FPU_DISABLED)?;
            }
            let (resource, vectors) = (format!("{}{name}", resource::THREAD), settings.fpu);
            let cptr = self.next;
            self.give_copy(self.memory.slot_of(tcb), &resource, |slot| Granted::Thread { slot, vectors })?;
            let done_name = format!("{}{name}", resource::THREAD_DONE);
            self.give_copy(self.memory.slot_of(done), &done_name, |slot| Granted::ThreadDone { slot })?;
            self.live.granted.push(Granted::Time { slot: 0, budget, period });
            self.page.add_memory(&resource, start, bytes);
            self.page.add_parameter(&resource, n as u64);
            self.live.threads.push(OtherThread { tcb, sched_context, cptr, start });
        }
        Ok(())
    }
}
