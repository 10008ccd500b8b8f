//! The state of the abstract machine: plain data, maps from names to objects.
//!
//! An object's name is the physical address of its memory, which is what untyped memory promises about it;
//! nothing depends on the number otherwise.

use std::hash::{Hash, Hasher};

use crate::map::Map as BTreeMap;

pub use super::registers::{Registers, register};

/// The name of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub u64);

/// As a word of 128 bits, which nothing else is, so that a hasher can tell names from numbers.
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0 as u128);
    }
}

/// A place for a capability: slot `index` of a CNode, or of a thread (see [`thread_slot`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Slot {
    /// The CNode or thread.
    pub object: Name,
    /// Which of its slots.
    pub index: u64,
}

/// As a signed word of 128 bits, which nothing else is.
impl Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i128((self.object.0 as i128) << 64 | self.index as i128);
    }
}

/// The slots of a thread (manual 6.1.1).
pub mod thread_slot {
    /// The root of the thread's CSpace.
    pub const CSPACE: u64 = 0;
    /// The root of its VSpace.
    pub const VSPACE: u64 = 1;
    /// The frame with its IPC buffer.
    pub const BUFFER: u64 = 2;
    /// The endpoint that its faults go to.
    pub const FAULT: u64 = 3;
    /// The endpoint that its timeouts go to.
    pub const TIMEOUT: u64 = 4;
    /// How many there are.
    pub const COUNT: u64 = 5;
}

/// What the holder of a capability may do with the object (manual 3.1.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rights {
    /// Send, signal, write.
    pub write: bool,
    /// Receive, wait, read.
    pub read: bool,
    /// Pass capabilities on.
    pub grant: bool,
    /// Give the receiver of a call a way to answer.
    pub grant_reply: bool,
}

/// A capability.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the fields are the manual's")]
pub enum Cap {
    Untyped { base: Name, bits: u32, device: bool, used: u64 },
    Endpoint { ep: Name, badge: u64, rights: Rights },
    Notification { ntfn: Name, badge: u64, rights: Rights },
    Reply { reply: Name, grant: bool },
    CNode { cnode: Name, radix: u32, guard: u64, guard_bits: u32 },
    Thread { thread: Name },
    SchedContext { sc: Name, bits: u32 },
    SchedControl,
    Frame { frame: Name, level: u32, device: bool, read: bool, write: bool, mapped: Option<(u64, u64)> },
    Table { table: Name, level: u32, mapped: Option<(u64, u64)> },
    IrqControl,
    IrqHandler { irq: u64 },
    DomainSet,
    AsidControl,
    AsidPool { pool: Name, base: u64 },
    IoPortControl,
    IoPort { first: u16, last: u16 },
    Zombie { object: Name },
    Ending { object: Name },
    EndingHandler { irq: u64 },
}

/// A capability in a slot, with its place in the derivation tree (manual 3.1.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Held {
    /// The capability.
    pub cap: Cap,
    /// Copies of it become its children; copies of others become their siblings.
    pub original: bool,
    /// What it was derived from.
    pub parent: Option<Slot>,
}

/// What a thread is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[expect(missing_docs, reason = "see `Sending`")]
pub enum Doing {
    /// Nothing: suspended, or never started.
    #[default]
    Nothing,
    /// Running or ready to.
    Running,
    /// Ready to make its last system call again.
    Restarting,
    /// Waits for a sender; the reply object will hold the caller.
    Receiving { ep: Name, reply: Option<Name> },
    /// Waits for a receiver.
    Sending { ep: Name, how: Sending },
    /// Waits for the answer to a call.
    Calling { reply: Option<Name> },
    /// Waits for a signal.
    Waiting { ntfn: Name },
}

/// What goes with a message, from the capability and the system call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the manual's terms")]
pub struct Sending {
    pub badge: u64,
    pub grant: bool,
    pub grant_reply: bool,
    pub call: bool,
}

/// Why a lookup failed (manual 3.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the manual's terms")]
pub enum LookupFailure {
    InvalidRoot,
    MissingCapability { left: u64 },
    DepthMismatch { left: u64, found: u64 },
    GuardMismatch { left: u64, guard: u64, guard_bits: u64 },
}

/// Why a thread cannot go on (manual 6.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the manual's terms")]
pub enum Fault {
    Cap { address: u64, receiving: bool, failure: LookupFailure },
    UnknownSyscall { number: u64 },
    UserException { number: u64, code: u64 },
    Vm { address: u64, instruction: bool, status: u64 },
    Timeout { badge: u64 },
}

/// A thread (manual 6.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Thread {
    /// What it is doing.
    pub doing: Doing,
    /// Its registers.
    pub registers: Registers,
    /// The instruction that it goes on with when it runs.
    pub goes_on_at: u64,
    /// Flags that `TCB_SetFlags` sets.
    pub flags: u64,
    /// The group of threads that it belongs to.
    pub domain: u8,
    /// Priority.
    pub priority: u8,
    /// The highest priority that it may give.
    pub mcp: u8,
    /// The scheduling context that it runs on.
    pub sc: Option<Name>,
    /// The notification bound to it.
    pub bound: Option<Name>,
    /// The scheduling context that it has yielded to.
    pub yielded_to: Option<Name>,
    /// The user address of its IPC buffer.
    pub buffer: u64,
    /// Its fault, until the handler has answered.
    pub fault: Option<Fault>,
}

/// A notification (manual 5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Notification {
    /// The badges of the signals that nobody has taken; none if there was no signal.
    pub signals: Option<u64>,
    /// Who waits, first come first.
    pub queue: Vec<Name>,
    /// The thread it is bound to.
    pub bound: Option<Name>,
    /// The scheduling context that it lends.
    pub sc: Option<Name>,
}

/// A time to run: `amount` ticks from `time` on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Refill {
    /// From when, relative to now.
    pub time: i64,
    /// How long.
    pub amount: i64,
}

/// A scheduling context (manual 6.1.8).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SchedContext {
    /// Who runs on it.
    pub thread: Option<Name>,
    /// The reply objects of the calls along which it was lent, the last call last.
    pub calls: Vec<Name>,
    /// The notification that lends it.
    pub notification: Option<Name>,
    /// Who has yielded to it.
    pub yielded_from: Option<Name>,
    /// Identifies it in timeout faults.
    pub badge: u64,
    /// Refills that it can hold; 0 until it is configured.
    pub max_refills: u64,
    /// In ticks; 0 for round robin.
    pub period: i64,
    /// In order of time.
    pub refills: Vec<Refill>,
    /// Used since somebody asked.
    pub consumed: i64,
    /// The sporadic flag.
    pub sporadic: bool,
}

/// An entry of a paging structure (manual 7.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the fields are the manual's")]
pub enum Entry {
    Table(Name),
    Frame { frame: Name, read: bool, write: bool, cache: u8 },
}

/// An interrupt that has a handler (manual 8.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Interrupt {
    /// It waits for its acknowledgement.
    pub masked: bool,
    /// Where it comes from, if not by message.
    pub pin: Option<Pin>,
}

/// An input pin of an interrupt controller (manual 8.2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pin {
    /// Which controller.
    pub chip: u64,
    /// Which pin.
    pub pin: u64,
    /// Triggered by a level, not an edge.
    pub level: bool,
    /// Active when low.
    pub low: bool,
}

/// The domain schedule (manual 6.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Schedule {
    /// A domain and its ticks, by index. An index that is missing ends the schedule.
    pub entries: BTreeMap<u64, (u8, u64)>,
    /// The index at which it starts over.
    pub start: u64,
    /// The index at which it is.
    pub at: u64,
    /// The domain whose turn it is.
    pub domain: u8,
    /// Ticks until the next one's; none if that never comes.
    pub left: Option<i64>,
}

/// The whole machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct State {
    /// Every capability, by where it is.
    pub caps: BTreeMap<Slot, Held>,
    /// Threads.
    pub threads: BTreeMap<Name, Thread>,
    /// Endpoints: who is queued. All send or all receive.
    pub endpoints: BTreeMap<Name, Vec<Name>>,
    /// Notifications.
    pub notifications: BTreeMap<Name, Notification>,
    /// Reply objects: who waits for an answer through it, or to receive a call for it.
    pub replies: BTreeMap<Name, Option<Name>>,
    /// Scheduling contexts.
    pub contexts: BTreeMap<Name, SchedContext>,
    /// The memory of frames: words that are not zero, by physical address.
    pub memory: BTreeMap<u64, u64>,
    /// Paging structures: the entries that are there, by index.
    pub tables: BTreeMap<Name, BTreeMap<u64, Entry>>,
    /// Address spaces: the root of each identifier.
    pub spaces: BTreeMap<u64, Name>,
    /// Pools of identifiers, by the first of each.
    pub pools: BTreeMap<u64, Name>,
    /// Interrupts that have a handler.
    pub interrupts: BTreeMap<u64, Interrupt>,
    /// Whose turn it is.
    pub schedule: Schedule,
    /// Threads that are ready, by domain and priority, in order. The first of the highest priority of the domain
    /// whose turn it is runs.
    pub ready: BTreeMap<(u8, u8), Vec<Name>>,
    /// Threads that wait for budget, by when they get it.
    pub waiting_for_budget: Vec<Name>,
    /// The thread that runs; none if the machine idles.
    pub current: Option<Name>,
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{:x}", self.0)
    }
}
