//! The abstract machine: what the kernel does, without how.
//!
//! [`step`] takes a state and an event and gives the next state. The functions follow the manual: system calls
//! (2.2) here, capability spaces (3) in `cspace`, `derivation` and `cnode`, messages (4) in `ipc`, notifications
//! (5) in `notification`, threads and time (6) in `thread`, `sched_context`, `schedule`, `time` and `fault`, address
//! spaces (7) in `vspace`, retyping (2.4) in `untyped`. Nothing is packed, cached or counted.
//! What is long in a kernel is one step here, too; `stop` says what it may have come to when something stops it.

mod asid;
mod cnode;
mod cspace;
mod delete;
mod derivation;
mod domain;
mod fault;
mod interrupts;
mod ipc;
mod notification;
mod ports;
mod registers;
mod sched_context;
mod schedule;
pub mod state;
mod stop;
mod thread;
mod time;
mod untyped;
mod vspace;

use pecan_abi::{Error, MessageInfo, Syscall};

pub use derivation::children;
pub use interrupts::{FIRST_INTERRUPT, INTERRUPTS};
pub use ports::device_word;
use schedule::Woken;
pub use state::*;
pub use stop::stopped;
use stop::{Stop, Stopped};
pub use vspace::{space_of, translations};

/// Something that happens to the machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// The running thread makes a system call.
    Syscall(Call),
    /// The running thread raises an exception of the processor.
    Exception {
        /// Exception number.
        number: u64,
        /// Error code.
        code: u64,
    },
    /// The running thread touches memory that its address space does not let it.
    PageFault {
        /// The address.
        address: u64,
        /// It wanted to execute what is there.
        instruction: bool,
        /// The processor's description.
        status: u64,
    },
    /// The running thread makes a system call that does not exist.
    UnknownSyscall {
        /// Its number.
        number: i64,
    },
    /// A device interrupts.
    Interrupt {
        /// The interrupt.
        irq: u64,
    },
    /// Time passes, and the timer interrupts.
    Tick {
        /// How many ticks of the clock.
        ticks: u64,
    },
    /// The running thread makes a system call, and before that is done something else comes: see [`stopped`].
    Stopped {
        /// The system call.
        call: Call,
        /// How many times the kernel looks for it until it is there: 1 for the first.
        point: u64,
        /// What comes.
        by: Arrival,
    },
}

/// What a long operation is stopped for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arrival {
    /// This interrupt.
    Interrupt(u64),
    /// The end of the caller's time slice: so many ticks of the clock have passed.
    Time(u64),
}

/// Where threads are when they enter the kernel.
pub const CODE: u64 = 0x1000;
/// Bytes of the instruction that makes a system call.
const SYSCALL_LENGTH: u64 = 2;

/// A system call and its arguments (manual 2.2; the registers are the ABI's).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Call {
    /// Which.
    pub call: Syscall,
    /// The capability sent to, or received from.
    pub cap: u64,
    /// The reply object, or the capability sent to first by `NBSendWait`.
    pub reply: u64,
    /// The capability sent to first by `NBSendRecv`.
    pub dest: u64,
    /// The label of the message.
    pub label: u64,
    /// Its words.
    pub words: Vec<u64>,
    /// The addresses of the capabilities that go with it.
    pub extra: Vec<u64>,
    /// Where a capability may be received: CNode, index, depth.
    pub receive: Option<[u64; 3]>,
    /// Ticks of the clock that pass before.
    pub after: u64,
}

impl Call {
    /// A system call with an empty message, and nothing else that it names.
    pub const fn new(call: Syscall, cap: u64) -> Call {
        Call { call, cap, reply: 0, dest: 0, label: 0, words: vec![], extra: vec![], receive: None, after: 0 }
    }
}

/// Why an invocation failed: the ABI's error with its details.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Failure(pub Error, pub Vec<u64>);

/// What an invocation gives: the words of the answer.
pub type Answer = Result<Vec<u64>, Failure>;

/// What came of an event, beyond the state.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Outcome {
    /// What an invocation answered, whether or not somebody wanted to know.
    pub answer: Option<Answer>,
    /// What was written to I/O ports: port, bytes, value.
    pub written: Vec<(u16, u32, u32)>,
}

/// A step of the machine that is under way.
pub(crate) struct Step {
    /// The state so far.
    pub s: State,
    /// Who became ready.
    pub woken: Woken,
    /// Whose time passes in this step.
    pub charged: Option<Name>,
    /// Whose invocation it is.
    pub invoker: Option<Name>,
    /// The time of the domain whose turn it was is up.
    pub over: bool,
    /// What was written to I/O ports.
    pub written: Vec<(u16, u32, u32)>,
    /// Whether and when it is stopped.
    pub stop: Stop,
}

/// What comes of an event. If it is [`Event::Stopped`]: where the system call is done before it can be stopped.
pub fn step(state: &State, event: &Event) -> (State, Outcome) {
    if let Event::Stopped { call, .. } = event {
        return step(state, &Event::Syscall(call.clone()));
    }
    let mut m = Step::of(state.clone());
    let mut outcome = Outcome::default();
    if let Some(current) = m.s.current {
        m.load(current, event);
        if let Event::Syscall(Call { call: Syscall::SetTLSBase, cap, .. }) = event {
            // Manual 2.2: takes no time, and nothing else happens.
            m.thread(current).registers.set(register::TLS, *cap);
            return (m.s, outcome);
        }
    }
    let in_time = m.pass(event);
    match (event, m.s.current) {
        (&Event::Interrupt { irq }, _) => m.interrupt(irq),
        (Event::Syscall(call), Some(current)) if in_time => outcome.answer = m.system_call(current, call),
        (event, Some(current)) if in_time => {
            if let Some(fault) = event.fault() {
                m.raise(current, fault);
            }
        }
        _ => {}
    }
    m.choose();
    outcome.written = m.written;
    (m.s, outcome)
}

/// The capability at an address of a thread's CSpace, and where it is.
pub fn find(state: &State, thread: Name, address: u64) -> Option<(Slot, Cap)> {
    let m = Step::looking_at(state);
    let slot = m.lookup(thread, address).ok()?;
    Some((slot, m.cap(slot)?))
}

/// The capability that an index and a depth name in a CNode.
pub fn find_in(state: &State, root: Cap, index: u64, depth: u64) -> Option<Cap> {
    let m = Step::looking_at(state);
    m.cap(m.target(true, Some(root), index, depth).ok()?)
}

impl Event {
    /// The system call that it is, stopped or not.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Event::Syscall(call) | Event::Stopped { call, .. } => Some(call),
            _ => None,
        }
    }

    /// The fault that it is, if it is one (manual 6.2).
    fn fault(&self) -> Option<Fault> {
        match *self {
            Event::Exception { number, code } => Some(Fault::UserException { number, code }),
            Event::PageFault { address, instruction, status } => {
                Some(Fault::Vm { address, instruction, status })
            }
            Event::UnknownSyscall { number } => Some(Fault::UnknownSyscall { number: number as u64 }),
            _ => None,
        }
    }
}

impl Step {
    fn looking_at(state: &State) -> Step {
        Step { charged: None, ..Step::of(state.clone()) }
    }

    fn of(s: State) -> Step {
        let (woken, stop) = (Woken::default(), Stop::default());
        let charged = s.current.and_then(|current| s.threads[&current].sc);
        Step { s, woken, charged, invoker: None, over: false, written: vec![], stop }
    }

    /// The running thread is at [`CODE`] and enters the kernel; the arguments of a system call are where the ABI
    /// wants them.
    fn load(&mut self, current: Name, event: &Event) {
        let thread = self.thread(current);
        match event {
            Event::Tick { .. } | Event::Interrupt { .. } => {
                thread.registers[register::IP] = thread.goes_on_at
            }
            Event::Syscall(_) | Event::UnknownSyscall { .. } => {
                (thread.registers[register::IP], thread.goes_on_at) = (CODE, CODE + SYSCALL_LENGTH);
            }
            _ => (thread.registers[register::IP], thread.goes_on_at) = (CODE, CODE),
        }
        let Event::Syscall(call) = event else { return };
        let info = MessageInfo::new(call.label, 0, call.extra.len() as u64, call.words.len() as u64);
        let registers = &mut self.thread(current).registers;
        let named = [(register::CAP, call.cap), (register::INFO, info.0), (register::REPLY, call.reply)];
        named.iter().for_each(|&(r, word)| registers[r] = word);
        registers[register::DEST] = call.dest;
        for (i, &word) in call.words.iter().enumerate() {
            self.put_word(current, i, word);
        }
        let extra =
            call.extra.iter().enumerate().map(|(i, &c)| (pecan_abi::ipc::buffer::CAPS_OR_BADGES + i, c));
        let receive = call
            .receive
            .iter()
            .flat_map(|r| r.iter().enumerate().map(|(i, &w)| (pecan_abi::ipc::buffer::RECEIVE_CNODE + i, w)));
        for (i, word) in extra.chain(receive) {
            self.put_buffer(current, i, word);
        }
    }

    /// Manual 2.2: the system calls.
    fn system_call(&mut self, current: Name, call: &Call) -> Option<Answer> {
        let send = |m: &mut Step, cap, how| m.send_to(current, cap, how);
        let first = How { call: false, blocking: false, donate: true, first: true };
        match call.call {
            Syscall::Send => {
                send(self, call.cap, How { call: false, blocking: true, donate: false, first: false })
            }
            Syscall::NBSend => {
                send(self, call.cap, How { call: false, blocking: false, donate: false, first: false })
            }
            Syscall::Call => {
                send(self, call.cap, How { call: true, blocking: true, donate: true, first: false })
            }
            Syscall::Recv => self.receive_from(current, call, true, true),
            Syscall::NBRecv => self.receive_from(current, call, false, true),
            Syscall::Wait => self.receive_from(current, call, true, false),
            Syscall::NBWait => self.receive_from(current, call, false, false),
            Syscall::ReplyRecv => {
                send(self, call.reply, first);
                self.receive_from(current, call, true, true)
            }
            Syscall::NBSendRecv => {
                send(self, call.dest, first);
                self.receive_from(current, call, true, true)
            }
            Syscall::NBSendWait => {
                send(self, call.reply, first);
                self.receive_from(current, call, true, false)
            }
            Syscall::Yield => {
                self.yield_now(current);
                None
            }
            _ => None,
        }
    }

    /// The sending half of a system call: a message, a signal, an answer, or an invocation of a kernel object.
    fn send_to(&mut self, current: Name, address: u64, how: How) -> Option<Answer> {
        let fault = |m: &mut Step, address, failure| {
            if how.blocking {
                m.raise(current, Fault::Cap { address, receiving: false, failure });
            }
            None
        };
        let slot = match self.lookup(current, address) {
            Ok(slot) => slot,
            Err(failure) => return fault(self, address, failure),
        };
        let extra = match self.extra_caps(current) {
            Ok(extra) => extra,
            Err((address, failure)) => return fault(self, address, failure),
        };
        let answer = self.use_cap(current, slot, extra, how)?;
        if self.stop.stopped {
            return None;
        }
        if let Some(thread) = self.s.threads.get_mut(&current)
            && thread.doing == Doing::Restarting
        {
            // It has stopped and resumed itself, and goes on behind the call.
            thread.doing = Doing::Running;
        }
        let runs = self.s.threads.get(&current).is_some_and(|t| t.doing == Doing::Running);
        if how.call && (runs || answer.is_err()) {
            self.put_answer(current, &answer);
        }
        Some(answer)
    }

    /// What becomes of a message that goes to the capability in a slot. The kernel does not answer one to an endpoint.
    fn use_cap(&mut self, current: Name, slot: Slot, extra: Vec<Slot>, how: How) -> Option<Answer> {
        Some(match self.cap(slot) {
            Some(Cap::Endpoint { ep, badge, rights }) if rights.write => {
                let sending =
                    Sending { badge, grant: rights.grant, grant_reply: rights.grant_reply, call: how.call };
                self.send(current, ep, sending, how.blocking, how.donate);
                return None;
            }
            Some(Cap::Notification { ntfn, badge, rights }) if rights.write => {
                self.signal(ntfn, badge);
                Ok(vec![])
            }
            Some(Cap::Reply { reply, grant }) => {
                self.answer(current, reply, grant);
                Ok(vec![])
            }
            _ if how.first => Err(invalid_capability(0)),
            Some(cap) => {
                let info = MessageInfo(self.s.threads[&current].registers[register::INFO]);
                let length = self.sendable_length(current);
                let words = (0..length).map(|i| self.word(current, i)).collect();
                let invocation =
                    Invocation { thread: current, slot, label: info.label(), words, extra, call: how.call };
                self.invoke(cap, &invocation)
            }
            None => Err(invalid_capability(0)),
        })
    }

    /// Manual 2.2: invocations of kernel objects.
    fn invoke(&mut self, cap: Cap, inv: &Invocation) -> Answer {
        self.invoker = Some(inv.thread);
        match cap {
            Cap::Untyped { .. } => self.untyped(cap, inv),
            Cap::CNode { .. } => self.cnode(cap, inv),
            Cap::Thread { thread } => self.thread_method(thread, inv),
            Cap::SchedContext { sc, .. } => self.sched_context(sc, inv),
            Cap::SchedControl => self.sched_control(inv),
            Cap::DomainSet => self.domain_set(inv),
            Cap::Frame { .. } | Cap::Table { .. } => self.vspace(cap, inv),
            Cap::AsidControl => self.asid_control(inv),
            Cap::AsidPool { pool, base } => self.asid_pool(pool, base, inv),
            Cap::IrqControl => self.irq_control(inv),
            Cap::IrqHandler { irq } => self.irq_handler(irq, inv),
            Cap::IoPortControl => self.port_control(inv),
            Cap::IoPort { first, last } => self.port((first, last), inv),
            Cap::Zombie { .. } | Cap::Ending { .. } | Cap::EndingHandler { .. } => Err(invalid_capability(0)),
            Cap::Endpoint { .. } | Cap::Notification { .. } | Cap::Reply { .. } => Err(invalid_capability(0)),
        }
    }

    /// The kernel's answer to a call.
    fn put_answer(&mut self, to: Name, answer: &Answer) {
        let (label, words) = match answer {
            Ok(words) => (0, words),
            Err(Failure(error, details)) => (*error as u64, details),
        };
        let length = self.put_words(to, words);
        let registers = &mut self.thread(to).registers;
        registers[register::CAP] = 0;
        registers[register::INFO] = MessageInfo::new(label, 0, 0, length as u64).0;
    }

    /// A thread that exists.
    fn thread(&mut self, name: Name) -> &mut Thread {
        self.s.threads.get_mut(&name).expect("the thread exists")
    }

    /// A scheduling context that exists.
    fn context(&mut self, name: Name) -> &mut SchedContext {
        self.s.contexts.get_mut(&name).expect("the scheduling context exists")
    }

    /// A notification that exists.
    fn ntfn(&mut self, name: Name) -> &mut Notification {
        self.s.notifications.get_mut(&name).expect("the notification exists")
    }

    /// The capability in a slot.
    fn cap(&self, slot: Slot) -> Option<Cap> {
        self.s.caps.get(&slot).map(|held| held.cap)
    }
}

/// How a system call sends.
#[derive(Clone, Copy)]
struct How {
    /// It wants an answer.
    call: bool,
    /// It waits for a receiver, and faults where there is no capability.
    blocking: bool,
    /// The scheduling context may go with it.
    donate: bool,
    /// It is the first half of two: only messages.
    first: bool,
}

/// An invocation of a kernel object.
pub(crate) struct Invocation {
    thread: Name,
    slot: Slot,
    label: u64,
    words: Vec<u64>,
    extra: Vec<Slot>,
    call: bool,
}

impl Invocation {
    /// Fails unless there are so many words and capabilities.
    fn need(&self, words: usize, caps: usize) -> Result<(), Failure> {
        let short = self.words.len() < words || self.extra.len() < caps;
        if short { Err(Failure(Error::TruncatedMessage, vec![])) } else { Ok(()) }
    }
}

fn invalid_capability(n: u64) -> Failure {
    Failure(Error::InvalidCapability, vec![n])
}

fn illegal() -> Failure {
    Failure(Error::IllegalOperation, vec![])
}

fn range(min: u64, max: u64) -> Failure {
    Failure(Error::RangeError, vec![min, max])
}
