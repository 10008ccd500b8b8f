//! A kernel on the host port with a small system in it, and what state that is in the model's terms.

mod fast;
pub(crate) mod processor;
mod stopping;

use std::collections::BTreeMap;

use pecan_abi::{CapRights, MessageInfo, constants::tcb_flag, ipc::buffer};
use pecan_arch::{IoapicPin, IrqSource, PT_LEVELS, PhysAddr, host, reg};
use pecan_core::{
    base::message,
    cap::derivation,
    entry::{
        exception,
        fast::{Resumed, fault_other_form},
        sequence::{self, Exit, Outgoing},
        syscall,
    },
    invariants,
    sched::{budget, choose, next::Next, ready, refill, switch, units},
};
use pecan_mem::{
    self as mem, CNodeRef, Link, Mapping, Tcb, ThreadState,
    retype::ObjectKind,
    testing::{Machine, Saved, forge, insert_new, set_pool, set_root},
};

use crate::abstraction::{self, Memo, Origin};
use crate::digest::{Digest, Symmetry};
use crate::model::{self, CODE, Cap, Doing, Event, Name, State, Thread, register};
use crate::translate::{link_name, name, object_name};

/// Memory of the machine in bytes, log2.
const MEMORY_BITS: u32 = 18;
/// The time at which systems begin, in ticks.
const START: u64 = 1 << 30;
/// Time slice and period of scheduling contexts, in microseconds.
const SLICE_US: u64 = 5_000;

/// Slots of the keeper; the first holds the capability that all others descend from.
const VSPACE: u64 = 1;
const BUFFERS: u64 = 2;
const CSPACE: u64 = 3;
const POOL: u64 = 4;

/// How the kernel is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// By the entry sequence that ships: the fast path, or what it leaves things to.
    Entry,
    /// By the other form of the fast path alone.
    OtherForm,
    /// By the slow path alone.
    Slow,
}

/// Watches how the kernel is left: true where the first form of a fast path has done it.
struct Watch;

impl Exit for Watch {
    type Left = bool;

    fn user(k: &mem::Kernel, outgoing: Outgoing) -> bool {
        outgoing.settle(k);
        false
    }

    fn resumed(k: &mem::Kernel, resumed: Resumed) -> bool {
        resumed.settle(k);
        true
    }

    fn idle(_: &mut mem::Kernel) -> bool {
        false
    }
}

/// A state of a system that steps are made from, and to which it can be brought back.
pub struct Here {
    origin: Origin,
    saved: Saved,
}

impl Here {
    /// The state in the model's terms.
    pub fn state(&self) -> &State {
        self.origin.state()
    }
}

/// A kernel with a system of a few threads and objects in it.
pub struct System {
    /// The kernel.
    pub k: Machine,
    /// The CSpace that all threads share.
    cspace: CNodeRef,
    /// Holds a capability to everything that must stay. No thread can get at it.
    keeper: CNodeRef,
    kept: u64,
    buffers: mem::Cap,
    buffers_slot: u64,
    cspace_slot: u64,
    threads: u64,
    contexts: Vec<Link<mem::SchedContext>>,
    /// The threads that lived when somebody last looked at the state.
    live: Vec<Link<Tcb>>,
    /// Frames that can be IPC buffers.
    frames: Vec<mem::Cap>,
    /// Interrupts that can get a handler.
    irqs: Vec<usize>,
    /// Nothing is forgotten between steps.
    remembers: bool,
    /// I/O ports whose owner is looked at.
    ports: Vec<u16>,
    names: BTreeMap<Name, String>,
    /// What was found in slots.
    memo: Memo,
    /// A digest of what the state does not show.
    hidden: Digest,
    /// Lines of memory that a step has changed.
    changed: Vec<u32>,
    /// They still are the only ones.
    looked: bool,
    /// Classes of things that nothing distinguishes.
    alike: Vec<Vec<Vec<u64>>>,
}

impl System {
    /// A system whose CSpace is a CNode of `2^radix` slots.
    pub fn new(radix: u8) -> System {
        System::with_memory(radix, MEMORY_BITS)
    }

    /// The same with `2^bits` bytes of memory.
    pub fn with_memory(radix: u8, bits: u32) -> System {
        let mut k = Machine::small(bits);
        host::set_time(START);
        host::machine().live.set([0, 0]);
        budget::start(&k);
        let mut cnode = |radix| match k.boot_object(ObjectKind::CNode { radix }) {
            mem::Cap::CNode { cnode, .. } => cnode,
            _ => unreachable!("a CNode was made"),
        };
        let (cspace, keeper) = (cnode(radix), cnode(5));
        let mem::Cap::AsidPool { pool, .. } = k.boot_object(ObjectKind::AsidPool { base: 0 }) else {
            unreachable!("an ASID pool was made")
        };
        let level = PT_LEVELS as u8 - 1;
        let mem::Cap::PageTable { table, .. } = k.boot_object(ObjectKind::PageTable { level }) else {
            unreachable!("a page table was made")
        };
        set_pool(&k, 0, Some(pool));
        set_root(pool.get(&k), 1, Some(table));
        let mapping = Some(Mapping { asid: 1, vaddr: 0 });
        let vspace = mem::Cap::PageTable { table, level: Some(level), mapping };
        let buffers = k.boot_object(ObjectKind::Frame { level: 0 });
        let mut s = System {
            k,
            cspace,
            keeper,
            kept: 0,
            buffers,
            buffers_slot: BUFFERS,
            cspace_slot: CSPACE,
            threads: 0,
            contexts: vec![],
            live: vec![],
            frames: vec![buffers],
            irqs: vec![],
            remembers: false,
            ports: vec![],
            names: BTreeMap::new(),
            memo: Memo::default(),
            hidden: 0,
            changed: vec![],
            looked: false,
            alike: vec![],
        };
        // Everything descends from one capability, as it does from what a kernel finds when it boots.
        let all = mem::Cap::Untyped { base: PhysAddr(0), bits: bits as u8, device: false, used: 1 << bits };
        s.keep(all);
        s.keep(vspace);
        s.keep(buffers);
        s.keep(mem::Cap::CNode { cnode: cspace, guard: 0, guard_bits: 64 - radix });
        s.keep(mem::Cap::AsidPool { pool, base: 0 });
        s.names.insert(name(keeper.addr()), "keeper".into());
        s.names.insert(name(cspace.addr()), "cspace".into());
        s
    }

    /// The CNode that nobody can get at.
    pub fn keeper(&self) -> Name {
        name(self.keeper.addr())
    }

    /// Makes another CSpace, for the threads and capabilities that come now.
    pub fn other_cspace(&mut self, radix: u8) {
        let cap = self.k.boot_object(ObjectKind::CNode { radix });
        let mem::Cap::CNode { cnode, .. } = cap else { unreachable!("a CNode was made") };
        self.cspace = cnode;
        self.keep(mem::Cap::CNode { cnode, guard: 0, guard_bits: 64 - radix });
        self.cspace_slot = self.kept - 1;
        self.call_it(cap, "cspace2");
    }

    /// Makes the CNode in slot `node` the first level of a CSpace whose second is the one that there is: the same
    /// addresses name the same slots in both. What comes back is for [`System::enter_by`].
    pub fn two_levels(&mut self, node: u64) -> u64 {
        let (from, second) = (self.cspace.slot(node), self.cspace);
        let mem::Cap::CNode { cnode: first, .. } = from.get(&self.k).cap() else {
            panic!("no CNode is in slot {node}")
        };
        let copy = |from: Link<mem::Slot>, guard_bits, to| {
            let cap = from.get(&self.k).words().with_guard(0, guard_bits).expect("a CNode");
            derivation::insert(&self.k, cap, from, to);
        };
        copy(self.keeper.slot(self.cspace_slot), 0, first.slot(0));
        copy(from, 64 - (first.radix() + second.radix()), self.keeper.slot(self.kept));
        self.kept += 1;
        self.kept - 1
    }

    /// Threads that are made now have this CSpace. Gives the one that they had before.
    pub fn enter_by(&mut self, cspace: u64) -> u64 {
        std::mem::replace(&mut self.cspace_slot, cspace)
    }

    /// Puts a copy of the capability in slot `from` into slot `index` of the CNode in slot `node`.
    pub fn nest(&mut self, node: u64, index: u64, from: u64) {
        let mem::Cap::CNode { cnode, .. } = self.cspace.get(&self.k, node).cap() else {
            panic!("no CNode is in slot {node}")
        };
        let words = self.cspace.get(&self.k, from).words();
        derivation::insert(&self.k, words, self.cspace.slot(from), cnode.slot(index));
    }

    /// Puts a thread that has not been started into a domain.
    pub fn domain(&mut self, thread: Link<Tcb>, domain: u8) {
        thread.get(&self.k).domain.set(domain);
    }

    /// Puts domains and their ticks behind the first entry of the domain schedule, which does not end before somebody
    /// sets another start.
    pub fn domains(&mut self, entries: &[(u8, u64)]) {
        for (entry, &(domain, ticks)) in self.k.global().domain_schedule[1..].iter().zip(entries) {
            entry.domain.set(domain);
            entry.duration.set(ticks);
        }
    }

    /// Puts the original capability to an object into the keeper.
    fn keep(&mut self, cap: mem::Cap) -> Link<mem::Slot> {
        let slot = self.keeper.slot(self.kept);
        self.kept += 1;
        if self.kept == 1 {
            derivation::insert_root(&self.k, forge(cap), slot);
        } else {
            insert_new(&self.k, self.keeper.slot(0), slot, cap);
        }
        slot
    }

    /// Puts the only capability to a new object into slot `index` of the CSpace.
    pub fn make(&mut self, index: u64, kind: ObjectKind, what: &str) -> mem::Cap {
        let cap = self.k.boot_object(kind);
        insert_new(&self.k, self.keeper.slot(0), self.cspace.slot(index), cap);
        self.frames.extend(matches!(cap, mem::Cap::Frame { .. }).then_some(cap));
        self.call_it(cap, what);
        cap
    }

    /// Makes an object that nobody has a capability to until it is given one.
    pub fn share(&mut self, kind: ObjectKind, what: &str) -> Link<mem::Slot> {
        let cap = self.k.boot_object(kind);
        self.call_it(cap, what);
        self.keep(cap)
    }

    /// Puts a copy of the capability to a shared object into slot `index`, with these rights and this badge.
    pub fn give(&mut self, shared: Link<mem::Slot>, index: u64, rights: CapRights, badge: u64) {
        let words = shared.get(&self.k).words().with_rights(rights).with_badge(badge);
        derivation::insert(&self.k, words, shared, self.cspace.slot(index));
    }

    /// Puts an authority that does not descend from memory into slot `index` of the CSpace.
    pub fn control(&mut self, index: u64, cap: mem::Cap) {
        derivation::insert_root(&self.k, forge(cap), self.cspace.slot(index));
    }

    /// Puts a capability to `2^bits` bytes of device memory into slot `index`.
    pub fn device(&mut self, index: u64, base: u64, bits: u8) {
        self.control(index, mem::Cap::Untyped { base: PhysAddr(base), bits, device: true, used: 0 });
    }

    /// Puts a capability to a frame of device memory into slot `index`.
    pub fn frame(&mut self, index: u64, base: u64, level: u8, what: &str) {
        let rights = mem::FrameRights::ReadWrite;
        let cap = mem::Cap::Frame { base: PhysAddr(base), level, rights, device: true, mapping: None };
        self.control(index, cap);
        self.call_it(cap, what);
    }

    /// Interrupts of these vectors can get handlers.
    pub fn interrupts(&mut self, vectors: &[u64]) {
        self.irqs = vectors.iter().map(|v| (model::FIRST_INTERRUPT + v) as usize).collect();
    }

    /// Looks at who owns these ports, and gives the devices behind them and all others something to answer.
    pub fn ports(&mut self, ports: &[u16]) {
        self.ports = ports.to_vec();
        let mut values = host::machine().io_values.borrow_mut();
        if values.is_empty() {
            values.extend((0..=u16::MAX).map(|port| (port, model::device_word(port))));
        }
    }

    /// From now on nothing is forgotten between steps.
    pub fn remember(&mut self) {
        self.remembers = true;
    }

    /// Puts the CSpace's own capability into its slot `index`.
    pub fn own_cspace(&mut self, index: u64) {
        derivation::insert(
            &self.k,
            self.keeper.get(&self.k, self.cspace_slot).words(),
            self.keeper.slot(self.cspace_slot),
            self.cspace.slot(index),
        );
    }

    /// Puts a copy of the capability to the address space that all threads share into slot `index`.
    pub fn own_vspace(&mut self, index: u64) {
        let vspace = self.keeper.get(&self.k, VSPACE).words();
        derivation::insert(&self.k, vspace, self.keeper.slot(VSPACE), self.cspace.slot(index));
    }

    /// Puts a copy of the capability to the ASID pool that the shared address space is of into slot `index`.
    pub fn own_pool(&mut self, index: u64) {
        let pool = self.keeper.get(&self.k, POOL).words();
        derivation::insert(&self.k, pool, self.keeper.slot(POOL), self.cspace.slot(index));
    }

    /// Puts a copy of the capability in slot `from` into slot `to`, with these rights and this badge.
    pub fn mint(&mut self, from: u64, to: u64, rights: CapRights, badge: u64) {
        let words = self.cspace.get(&self.k, from).words().with_rights(rights);
        let words = if badge == 0 { words } else { words.with_badge(badge) };
        derivation::insert(&self.k, words, self.cspace.slot(from), self.cspace.slot(to));
    }

    /// Makes a thread that is not started and has no scheduling context; its capability goes to slot `index` if
    /// there is one. It stays alive whatever happens to that.
    pub fn thread(&mut self, index: Option<u64>, priority: u8, what: &str) -> Link<Tcb> {
        let cap = self.k.boot_object(ObjectKind::Tcb);
        let mem::Cap::Tcb { tcb } = cap else { unreachable!("a thread was made") };
        let original = self.keep(cap);
        if self.threads > 0 && self.threads.is_multiple_of(4) {
            // A frame holds four buffers.
            self.buffers = self.k.boot_object(ObjectKind::Frame { level: 0 });
            self.keep(self.buffers);
            self.frames.push(self.buffers);
            self.buffers_slot = self.kept - 1;
        }
        if let Some(index) = index {
            derivation::insert(&self.k, original.get(&self.k).words(), original, self.cspace.slot(index));
        }
        let k = &*self.k;
        let t = tcb.get(k);
        let install = |from: u64, to: usize| {
            let cap = self.keeper.get(k, from).words();
            derivation::insert(k, cap, self.keeper.slot(from), t.slots[to].link());
        };
        install(VSPACE, Tcb::SLOT_VSPACE);
        install(self.buffers_slot, Tcb::SLOT_IPC_BUFFER);
        install(self.cspace_slot, Tcb::SLOT_CSPACE);
        t.ipc_buffer.set(0x10_0000 + 1024 * (self.threads % 4));
        t.priority.set(priority);
        t.mcp.set(100);
        t.set_flags(tcb_flag::FPU_DISABLED as u8);
        t.context.set(reg::FAULT_IP, CODE);
        t.context.set(reg::NEXT_IP, CODE);
        self.threads += 1;
        self.call_it(cap, what);
        tcb
    }

    /// Gives a thread a round-robin scheduling context, whose capability goes to slot `index` if there is one,
    /// and starts it.
    pub fn start(&mut self, thread: Link<Tcb>, index: Option<u64>, what: &str) {
        self.start_with(thread, index, what, (SLICE_US, 0), false);
    }

    /// The same with a budget and a period in microseconds, and the sporadic flag.
    pub fn start_with(
        &mut self,
        thread: Link<Tcb>,
        index: Option<u64>,
        what: &str,
        (budget, period): (u64, u64),
        sporadic: bool,
    ) {
        let cap = self.k.boot_object(ObjectKind::SchedContext { bits: 8 });
        let mem::Cap::SchedContext { sc, .. } = cap else { unreachable!("a scheduling context was made") };
        match index {
            Some(index) => {
                insert_new(&self.k, self.keeper.slot(0), self.cspace.slot(index), cap);
            }
            None => drop(self.keep(cap)),
        }
        self.call_it(cap, what);
        self.contexts.push(sc);
        let k = &*self.k;
        let (t, s) = (thread.get(k), sc.get(k));
        let refills = if period == 0 { refill::MIN_REFILLS } else { s.refill_capacity() };
        let [budget, period] = [budget, period].map(pecan_arch::us_to_ticks);
        refill::start(s, refills, budget, period, START);
        s.sporadic.set(sporadic);
        s.badge.set(9);
        t.sched_context.set(Some(sc));
        s.tcb.set(Some(thread));
        t.state.set(ThreadState::Running);
        ready::append(k, t);
    }

    /// [`System::start_with`] a scheduling context that has room for two refills.
    pub fn start_short(&mut self, thread: Link<Tcb>, what: &str, time: (u64, u64), sporadic: bool) {
        self.start_with(thread, None, what, time, sporadic);
        if let Some(sc) = self.contexts.last() {
            sc.get(&self.k).refill_max.set(refill::MIN_REFILLS as u16);
        }
    }

    /// Sets a thread's handler for faults, or for timeouts, to a copy of the capability in slot `index`.
    pub fn handler(&mut self, thread: Link<Tcb>, index: u64, timeouts: bool) {
        let handler = if timeouts { Tcb::SLOT_TIMEOUT_HANDLER } else { Tcb::SLOT_FAULT_HANDLER };
        let slot = thread.get(&self.k).slots[handler].link();
        derivation::insert(&self.k, self.cspace.get(&self.k, index).words(), self.cspace.slot(index), slot);
    }

    /// Lets the scheduler choose who begins.
    pub fn boot(mut self) -> System {
        choose::schedule(&self.k, Next::Choose);
        let state = self.state();
        self.forget(&state);
        self
    }

    /// Lets events happen, so that the system begins in the state that they lead to.
    pub fn play(mut self, events: &[Event]) -> System {
        for event in events {
            self.enter(event, Way::Slow);
            let state = self.state();
            self.forget(&state);
        }
        self
    }

    fn call_it(&mut self, cap: mem::Cap, what: &str) {
        if let Some(name) = object_name(cap) {
            self.names.insert(name, what.to_string());
        }
    }

    /// True if nothing is forgotten between steps.
    pub fn remembers(&self) -> bool {
        self.remembers
    }

    /// What objects are called in stories.
    pub fn names(&self) -> &BTreeMap<Name, String> {
        &self.names
    }

    /// Puts the arguments of an event into the registers and the buffer of the running thread, then enters the
    /// kernel. True if the first form of a fast path has done it ([`Way::Entry`]), the other form does not decline it
    /// ([`Way::OtherForm`]), or it is the slow path.
    pub fn enter(&mut self, event: &Event, way: Way) -> bool {
        self.looked = false;
        let current = self.k.core().current.get();
        self.enter_at(event);
        match event {
            Event::Syscall(call) => {
                let info = MessageInfo::new(call.label, 0, call.extra.len() as u64, call.words.len() as u64);
                {
                    let (k, t) = (&*self.k, current.get(&self.k));
                    let c = &t.context;
                    let registers = [
                        (reg::CAP, call.cap),
                        (reg::INFO, info.0),
                        (reg::REPLY, call.reply),
                        (reg::SEND_DEST, call.dest),
                    ];
                    registers.iter().for_each(|&(r, word)| c.set(r, word));
                    for (i, &word) in call.words.iter().enumerate() {
                        message::put(k, t, i, word);
                    }
                    if let Some(b) = message::buffer_for_writing(k, t) {
                        let extra = call.extra.iter().enumerate();
                        extra.for_each(|(i, &cptr)| b.set(buffer::CAPS_OR_BADGES + i, cptr));
                        let receive = call.receive.iter().flatten().enumerate();
                        receive.for_each(|(i, &word)| b.set(buffer::RECEIVE_CNODE + i, word));
                    }
                }
                match way {
                    Way::Entry => return self.enter_as_shipped(call, info.0),
                    Way::OtherForm => return self.enter_fast(call),
                    Way::Slow => {}
                }
                host::advance_time(call.after);
                syscall::syscall::<syscall::Scheduled>(&mut self.k, call.call as i64);
            }
            &Event::Exception { number, code } => {
                return self.exception(pecan_arch::Exception::User { number, code }, way);
            }
            &Event::PageFault { address, instruction, status } => {
                let exception = pecan_arch::Exception::PageFault { address, instruction, status };
                return self.exception(exception, way);
            }
            &Event::Interrupt { irq } => {
                sequence::interrupt::<Watch>(self.k.entered_by_current(), irq);
            }
            &Event::UnknownSyscall { number } => {
                sequence::special_syscall::<Watch>(self.k.entered_by_current(), number);
            }
            &Event::Tick { ticks } => {
                host::advance_time(ticks);
                sequence::interrupt::<Watch>(self.k.entered_by_current(), pecan_arch::IRQ_TIMER as u64);
            }
            Event::Stopped { call, .. } => return self.enter(&Event::Syscall(call.clone()), way),
        }
        way == Way::Slow
    }

    fn exception(&mut self, exception: pecan_arch::Exception, way: Way) -> bool {
        match way {
            Way::Slow => {
                exception::exception(&mut self.k, exception);
                true
            }
            Way::Entry => {
                let (vector, error, address) = pecan_arch::host::encode_exception(exception);
                sequence::exception::<Watch>(self.k.entered_by_current(), vector, error, address)
            }
            Way::OtherForm => {
                fault_other_form(&self.k, self.k.running(), exception::fault_of(exception)).is_ok()
            }
        }
    }

    /// What the processor and the entry stubs do before the kernel's logic runs.
    fn enter_at(&self, event: &Event) {
        let current = self.k.core().current.get();
        if current == self.k.core().idle_thread.link() {
            return;
        }
        let context = &current.get(&self.k).context;
        let (ip, next) = match event {
            Event::Tick { .. } | Event::Interrupt { .. } => {
                (context.get(reg::NEXT_IP), context.get(reg::NEXT_IP))
            }
            Event::Syscall(_) | Event::Stopped { .. } | Event::UnknownSyscall { .. } => (CODE, CODE + 2),
            Event::Exception { .. } | Event::PageFault { .. } => (CODE, CODE),
        };
        context.set(reg::FAULT_IP, ip);
        context.set(reg::NEXT_IP, next);
    }

    /// Makes the emulated devices and the processor what they are in a state, which the kernel's memory is already
    /// in.
    pub fn restore(&mut self, s: &State) {
        let machine = host::machine();
        machine.flush_log.borrow_mut().clear();
        machine.io_writes.borrow_mut().clear();
        while pecan_arch::take_pending_irq().is_some() {}
        for &irq in &self.irqs {
            let interrupt = s.interrupts.get(&(irq as u64));
            if let Some(pin) = interrupt.and_then(|i| i.pin) {
                let pin = IoapicPin {
                    ioapic: pin.chip as usize,
                    pin: pin.pin as usize,
                    level: pin.level,
                    active_low: pin.low,
                };
                pecan_arch::irq_connect(irq, IrqSource::Pin(pin));
            } else {
                pecan_arch::irq_connect(irq, IrqSource::Message);
            }
            pecan_arch::irq_mask(irq, interrupt.is_none_or(|i| i.masked));
        }
        let current = self.k.core().current.get();
        machine.vspace.set(None);
        if current != self.k.core().idle_thread.link() {
            let thread = current.get(&self.k);
            switch::load_vspace(&self.k, thread);
            units::load_units(&self.k, thread);
            pecan_arch::load_context(&thread.context);
        }
    }

    /// Checks the kernel's own invariants.
    pub fn check(&self) -> Result<(), String> {
        invariants::check(&self.k, &[mem::Cap::CNode { cnode: self.keeper, guard: 0, guard_bits: 0 }])
            .map_err(|broken| broken.to_string())
    }

    /// Forgets what no later step depends on: the registers of threads that do not send, the buffers of those
    /// that wait for nothing, the time used that nobody has asked for. [`forget`] does the same in the model,
    /// whose state is `s`.
    pub fn forget(&mut self, s: &State) {
        self.looked = false;
        let k = &*self.k;
        let current = k.core().current.get();
        if current != k.core().idle_thread.link() {
            pecan_arch::sync_context(&current.get(k).context);
        }
        if self.remembers {
            return budget::commit_time(k);
        }
        for &sc in self.contexts.iter().filter(|&&sc| s.contexts.contains_key(&link_name(sc))) {
            budget::commit_time(k);
            sc.get(k).consumed.set(0);
        }
        for tcb in &self.live {
            let t = tcb.get(k);
            t.context.set(reg::NEXT_IP, t.context.get(reg::FAULT_IP));
            if !matches!(t.state.get(), ThreadState::BlockedOnSend { .. }) {
                for r in reg::MSG.iter().chain(&[reg::CAP, reg::INFO, reg::REPLY, reg::SEND_DEST]) {
                    t.context.set(*r, 0);
                }
            }
        }
        let kept = kept_buffers(s);
        for at in s.memory.keys().filter(|at| !kept.contains(&(*at & !1023))) {
            let frame = self.frames.iter().find_map(|frame| match frame {
                mem::Cap::Frame { base, .. } if base.0 == at & !4095 => Some(forge(*frame).words()),
                _ => None,
            });
            let buffer = frame.and_then(|frame| mem::retype::ipc_buffer(frame, *at, true));
            if let Some(buffer) = buffer {
                buffer.get(k).set((at % 1024 / 8) as usize, 0);
            }
        }
    }

    /// The state of the kernel in the model's terms.
    pub fn state(&mut self) -> State {
        self.look(None).into_state()
    }

    /// The state of the kernel, as one that steps are made from.
    pub fn here(&mut self) -> Here {
        let mut here = Here { origin: self.look(None), saved: Saved::default() };
        here.saved.save(&self.k);
        here
    }

    /// Makes `here` the state of the kernel.
    pub fn leave(&mut self, here: &mut Here) {
        here.origin = self.look(None);
        here.saved.save(&self.k);
    }

    /// Makes `here` the state of the kernel after a step from it. Only what has changed is looked at.
    pub fn follow(&mut self, here: &mut Here) {
        here.origin = self.look(Some(here));
        here.saved.update(&self.k, &self.changed);
    }

    /// The state of the kernel in the model's terms, after a step from `here`.
    pub fn state_since(&mut self, here: &Here) -> State {
        self.look(Some(here)).into_state()
    }

    fn look(&mut self, here: Option<&Here>) -> Origin {
        // The kernel charges time when it must; the model at once.
        budget::commit_time(&self.k);
        if let Some(here) = here {
            self.k.changed(&here.saved, &mut self.changed);
        }
        self.looked = here.is_some();
        let before = here.map(|here| (&here.origin, &*self.changed));
        let origin = abstraction::look(&self.k, self.keeper, &self.irqs, &mut self.memo, before);
        self.live.clear();
        self.live.extend(origin.slots().live());
        self.hidden = origin.hidden(&self.k);
        origin
    }

    /// A digest of what the state does not show of operations that were stopped: how far they have come. 0 if there are
    /// none. It is that of the state that was looked at last.
    pub fn hidden(&self) -> Digest {
        self.hidden
    }

    /// Brings everything back to what it was `here`, where the steps of late have been made from.
    pub fn back(&mut self, here: &Here) {
        if !std::mem::take(&mut self.looked) {
            self.k.changed(&here.saved, &mut self.changed);
        }
        self.k.load_lines(&here.saved, &self.changed);
        host::set_time(self.k.core().time.get());
        self.restore(here.state());
    }

    /// Brings back memory that was saved, and the time that it was then.
    pub fn load(&mut self, memory: &[u64]) {
        self.looked = false;
        self.k.load(memory);
        host::set_time(self.k.core().time.get());
    }

    /// Interrupt lines, which are not in the kernel's memory, in a word each.
    pub fn lines(&self) -> impl Iterator<Item = u64> {
        self.irqs.iter().map(|&irq| {
            let line = host::irq_line(irq);
            let route = processor::pin_of(line).map_or(0, |r| {
                (r.pin as u64) << 16
                    | (r.ioapic as u64) << 8
                    | (r.active_low as u64) << 3
                    | (r.level as u64) << 2
                    | 2
            });
            route | line.masked as u64
        })
    }

    /// Makes the interrupt lines what [`System::lines`] said, and the processor's registers those of the thread that
    /// runs.
    pub fn resume(&mut self, mut words: impl Iterator<Item = u64>) {
        let current = self.k.core().current.get();
        if current != self.k.core().idle_thread.link() {
            pecan_arch::load_context(&current.get(&self.k).context);
        }
        for &irq in &self.irqs {
            let word = words.next().expect("a word for each line");
            if word & 2 == 0 {
                pecan_arch::irq_connect(irq, IrqSource::Message);
            } else {
                let (ioapic, pin) = ((word >> 8 & 0xff) as usize, (word >> 16) as usize);
                let pin = IoapicPin { ioapic, pin, level: word & 4 != 0, active_low: word & 8 != 0 };
                pecan_arch::irq_connect(irq, IrqSource::Pin(pin));
            }
            pecan_arch::irq_mask(irq, word & 1 != 0);
        }
    }

    /// Says that nothing distinguishes the members of `class`, each of which is a few slots of the CSpace with all
    /// that the capabilities there name: threads, their scheduling contexts and buffers, endpoints, notifications,
    /// reply objects. Empty slots may be alike, too.
    pub fn alike(&mut self, class: &[&[u64]]) {
        self.alike.push(class.iter().map(|member| member.to_vec()).collect());
    }

    /// The ways to exchange what nothing distinguishes. `s` is the state at first, in which `events` can happen.
    pub fn symmetry(&self, s: &State, events: &[Event]) -> Symmetry {
        Symmetry::of(s, name(self.cspace.addr()), &self.alike, events)
    }
}

/// Forgets in the model what [`System::forget`] forgets in the kernel.
pub fn forget(s: &mut State) {
    if s.contexts.values().any(|context| context.consumed != 0) {
        s.contexts.values_mut().for_each(|context| context.consumed = 0);
    }
    for at in 0..s.threads.len() {
        let (_, thread) = s.threads.entry_at(at);
        let mut less = thread.clone();
        less.goes_on_at = less.registers[register::IP];
        if !matches!(less.doing, Doing::Sending { .. }) {
            let others = [register::CAP, register::INFO, register::REPLY, register::DEST];
            register::WORDS.into_iter().chain(others).for_each(|r| less.registers[r] = 0);
        }
        if less != *thread {
            *s.threads.at_mut(at) = less;
        }
    }
    if !s.memory.is_empty() {
        let kept = kept_buffers(s);
        s.memory.retain(|at, _| kept.contains(&(at & !1023)));
    }
}

/// The IPC buffers of the threads that wait for something: what is in them matters.
fn kept_buffers(s: &State) -> Vec<u64> {
    let waits = |t: &Thread| matches!(t.doing, Doing::Sending { .. } | Doing::Receiving { .. });
    let buffers = s.threads.iter().filter(|(_, t)| waits(t)).filter_map(|(&object, t)| {
        match s.caps.get(&model::Slot { object, index: model::thread_slot::BUFFER })?.cap {
            Cap::Frame { frame, .. } => Some(frame.0 + (t.buffer & 0xc00)),
            _ => None,
        }
    });
    buffers.collect()
}
