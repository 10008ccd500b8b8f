//! Calls: how they are chosen, what they would change if they succeed, and what is learnt from how they end.

use pecan_abi::{INVOCATIONS, Label, MessageInfo, ObjectType, Syscall};

use crate::{
    rng::Rng,
    roles::{Param, Role, SHAPES},
    shared::{AREA_STRIDE, AREAS, DIRECTOR, GENERATORS, THREADS},
    slots::{self, Entry, Kind, Place},
    wild::{address, odd_word, puppet_registers, slots_in_use},
};

/// Words of a message that are chosen; longer ones go on with whatever the IPC buffer holds.
pub const WORDS: usize = 22;

/// A system call with all that goes with it.
#[derive(Clone, Copy, Default)]
pub struct Call {
    /// Its number.
    pub number: i64,
    /// The capability.
    pub cap: u64,
    /// The message information.
    pub info: MessageInfo,
    /// The message.
    pub words: [u64; WORDS],
    /// Its capabilities.
    pub caps: [u64; 3],
    /// CNode, index and depth of the slot for a capability received.
    pub receive: [u64; 3],
    /// The register for a reply object.
    pub reply: u64,
    /// The register for a second capability.
    pub dest: u64,
}

/// What a call is thought to do.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Plan {
    /// The invocation, as its place in the table; for other calls that is past its end, and the kind counts.
    pub invocation: u16,
    /// What other kind of call it is.
    pub kind: u8,
    /// All arguments were chosen so that it can succeed.
    pub clean: bool,
    /// How many slots are filled.
    pub count: u8,
    /// Where the capability invoked is.
    pub service: Place,
    /// Where the capabilities are that go along.
    pub caps: [Place; 3],
    /// The first slot that is filled, or the one that is emptied.
    pub dest: Place,
    /// Where something is taken from.
    pub src: Place,
    /// The middle of a rotation.
    pub pivot: Place,
    /// What comes to be in the destination.
    pub made: Entry,
}

impl Plan {
    /// A call that is no invocation.
    pub const fn other(kind: u8) -> Self {
        Plan {
            invocation: INVOCATIONS.len() as u16,
            kind,
            clean: false,
            count: 0,
            service: Place::NONE,
            caps: [Place::NONE; 3],
            dest: Place::NONE,
            src: Place::NONE,
            pivot: Place::NONE,
            made: Entry::UNKNOWN,
        }
    }
}

/// Who chooses: the table of the CSpace, and what is added to an index in it to have an address.
#[derive(Clone, Copy)]
pub struct View {
    /// The table.
    pub table: usize,
    /// The address of its first slot.
    pub base: u64,
}

/// A CNode that a message names.
#[derive(Clone, Copy)]
struct Node {
    /// Its table, if somebody keeps book of it.
    table: Option<usize>,
    /// How many bits of an address lead through it to a slot.
    depth: u64,
}

/// A slot of a tracked CNode takes as many bits of an address.
const RADIX: u64 = 8;
/// No more memory than this is made into objects by one call.
const MOST_BITS: u64 = 22;
/// The greatest priority that random threads can give away.
pub const PRIORITY: u64 = 200;

/// No domain schedule has so many entries.
const MOST_ENTRIES: u64 = 256;

/// Ports that do nothing.
const FIRST_PORT: u64 = 0x1000;
const LAST_PORT: u64 = 0x10ff;

const HOT: [Label; 17] = [
    Label::UntypedRetype,
    Label::UntypedRetype,
    Label::UntypedRetype,
    Label::CNodeDelete,
    Label::CNodeDelete,
    Label::CNodeDelete,
    Label::CNodeCopy,
    Label::CNodeMint,
    Label::CNodeRevoke,
    Label::CNodeRevoke,
    Label::CNodeMove,
    Label::TcbWriteRegisters,
    Label::TcbWriteRegisters,
    Label::PageMap,
    Label::PageTableMap,
    Label::X86PdptMap,
    Label::X86PageDirectoryMap,
];

/// Chooses an invocation with all its arguments. `None` if there is no capability for it.
pub fn invocation(rng: &mut Rng, view: View) -> Option<(Call, Plan)> {
    let index = choose(rng, view);
    let invocation = &INVOCATIONS[index];
    let large = invocation.label == Label::UntypedRetype && rng.percent(80);
    let service =
        slots::find(rng, view.table, |entry| serves(entry, invocation.object) && !(large && entry.a() < 14))?;
    // Threads that choose calls are left alone mostly.
    let service = match slots::get(view.table, service) {
        entry if is_generator(entry) && rng.percent(85) => {
            slots::find(rng, view.table, |e| e.kind() == Kind::Tcb && !is_generator(e)).unwrap_or(service)
        }
        _ => service,
    };
    Some(Builder::new(rng, view, index, service).build())
}

fn choose(rng: &mut Rng, view: View) -> usize {
    use pecan_abi::Object::{DomainSet, IoPortControl, IrqControl};
    loop {
        let index = if view.table != DIRECTOR && rng.percent(45) {
            let label = rng.of(&HOT);
            INVOCATIONS.iter().position(|i| i.label == label).unwrap_or(0)
        } else {
            rng.below(INVOCATIONS.len() as u64) as usize
        };
        // What could stop the whole machine is in the supervisor's hands.
        let directors = matches!(INVOCATIONS[index].object, IrqControl | DomainSet | IoPortControl);
        // Nor is it worth while to ask often for what this kernel has not.
        if directors == (view.table == DIRECTOR) && (INVOCATIONS[index].label.exists() || rng.percent(5)) {
            return index;
        }
    }
}

fn is_generator(entry: Entry) -> bool {
    entry.kind() == Kind::Tcb && (1..=GENERATORS as u64).contains(&entry.b())
}

fn serves(entry: Entry, object: pecan_abi::Object) -> bool {
    use pecan_abi::Object;
    let kind = entry.kind();
    match object {
        Object::Untyped => kind == Kind::Untyped,
        Object::Tcb => kind == Kind::Tcb,
        Object::CNode => kind == Kind::CNode,
        Object::IrqControl => kind == Kind::IrqControl,
        Object::IrqHandler => kind == Kind::IrqHandler,
        Object::DomainSet => kind == Kind::DomainSet,
        Object::SchedControl => kind == Kind::SchedControl,
        Object::SchedContext => kind == Kind::SchedContext,
        Object::VSpace | Object::Smc => false,
        Object::Pdpt => kind == Kind::Pdpt,
        Object::PageDirectory => kind == Kind::PageDirectory,
        Object::PageTable => kind == Kind::PageTable,
        Object::Page => matches!(kind, Kind::Page | Kind::LargePage | Kind::HugePage),
        Object::AsidControl => kind == Kind::AsidControl,
        Object::AsidPool => kind == Kind::AsidPool,
        Object::IoPortControl => kind == Kind::IoPortControl,
        Object::IoPort => kind == Kind::IoPort,
    }
}

struct Builder<'r> {
    rng: &'r mut Rng,
    view: View,
    index: usize,
    call: Call,
    plan: Plan,
    node: Node,
    service: Entry,
    caps: usize,
    // What was chosen before and others go by.
    object: u64,
    budget: u64,
    first_port: u64,
    source: Entry,
}

impl<'r> Builder<'r> {
    fn new(rng: &'r mut Rng, view: View, index: usize, service: usize) -> Self {
        let entry = slots::get(view.table, service);
        let mut plan = Plan::other(0);
        plan.invocation = index as u16;
        plan.service = Place::new(view.table, service);
        plan.clean = true;
        let mut this = Builder {
            rng,
            view,
            index,
            call: Call { number: Syscall::Call.number(), cap: view.base + service as u64, ..Call::default() },
            plan,
            node: Node { table: None, depth: 64 },
            service: entry,
            caps: 0,
            object: 0,
            budget: 0,
            first_port: 0,
            source: Entry::UNKNOWN,
        };
        if entry.kind() == Kind::CNode {
            this.node = node(entry);
        }
        this
    }

    fn build(mut self) -> (Call, Plan) {
        let shape = &SHAPES[self.index];
        for param in shape.params() {
            if param.bits == 0 {
                self.cap(param.role);
            } else if param.role == Role::Registers {
                self.registers(param.offset as usize / 64);
            } else {
                let value = self.word(param.role);
                self.put(*param, value);
            }
        }
        let label = INVOCATIONS[self.index].label;
        self.finish(label);
        self.call.info = MessageInfo::new(label.word(), 0, shape.caps.into(), shape.words.into());
        if self.rng.percent(16) {
            self.spoil();
        } else if self.rng.percent(3) {
            // Without an answer, so that nothing can be learnt either.
            self.plan.clean = false;
            self.call.number = self.rng.of(&[Syscall::Send, Syscall::NBSend]).number();
        }
        if self.view.table == DIRECTOR {
            self.tame(label);
        }
        (self.call, self.plan)
    }

    fn put(&mut self, param: Param, value: u64) {
        let (word, shift) = (param.offset as usize / 64, param.offset as u32 % 64);
        let mask = if param.bits >= 64 { u64::MAX } else { (1 << param.bits) - 1 };
        self.call.words[word % WORDS] |= (value & mask) << shift;
    }

    /// Chooses a capability that goes along.
    fn cap(&mut self, role: Role) {
        let table = self.view.table;
        let kind = |kind| move |e: Entry| e.kind() == kind;
        let rng = &mut *self.rng;
        let slot = match role {
            Role::Node => slots::find(rng, table, |e| e.kind() == Kind::CNode && e.b() != 0),
            Role::CSpace => {
                slots::find(rng, table, |e| e.kind() == Kind::CNode && e.b() != 0 && e.a() == 64 - RADIX)
            }
            Role::Tcb => slots::find(rng, table, kind(Kind::Tcb)),
            Role::Source => slots::find(rng, table, |e| e.kind() == Kind::Tcb && !is_generator(e)),
            Role::SchedContext => slots::find(rng, table, kind(Kind::SchedContext)),
            Role::Handler if rng.percent(3) => Some(0),
            Role::Handler => slots::find(rng, table, kind(Kind::Endpoint)),
            // Those without an ASID are of no use, but for one thing.
            Role::VSpace if INVOCATIONS[self.index].label == Label::AsidPoolAssign => {
                slots::find(rng, table, |e| e.kind() == Kind::VSpace && e.a() == 0)
            }
            Role::VSpace => slots::find(rng, table, |e| e.kind() == Kind::VSpace && e.a() != 0),
            Role::Buffer => slots::find(rng, table, kind(Kind::Page)),
            Role::Notification => slots::find(rng, table, kind(Kind::Notification)),
            Role::Bindable => {
                let wanted = rng.of(&[Kind::Tcb, Kind::Notification]);
                slots::find(rng, table, |e| e.kind() == wanted && !is_generator(e))
            }
            Role::PageOfUntyped => slots::find(rng, table, |e| e.kind() == Kind::Untyped && e.a() == 12),
            _ => None,
        };
        let slot = slot.unwrap_or_else(|| {
            self.plan.clean = false;
            self.rng.below(slots_in_use()) as usize
        });
        if role == Role::Node {
            self.node = node(slots::get(table, slot));
        }
        if self.caps < 3 {
            self.call.caps[self.caps] = self.view.base + slot as u64;
            self.plan.caps[self.caps] = if slot == 0 { Place::NONE } else { Place::new(table, slot) };
            self.caps += 1;
        }
    }

    /// A slot of the CNode named last, and its place.
    fn slot(&mut self, wanted: impl Fn(Entry) -> bool) -> (u64, Place) {
        match self.node.table {
            Some(table) => {
                let slot = slots::find(self.rng, table, wanted).unwrap_or_else(|| {
                    self.plan.clean = false;
                    self.rng.below(slots_in_use()) as usize
                });
                let base = if table == DIRECTOR { self.view.base } else { 0 };
                (base + slot as u64, Place::new(table, slot))
            }
            None => (self.rng.below(4), Place::NONE),
        }
    }

    fn word(&mut self, role: Role) -> u64 {
        let label = INVOCATIONS[self.index].label;
        match role {
            Role::ObjectType => {
                self.object = self.object_type();
                self.object
            }
            Role::SizeBits => self.size_bits(),
            Role::NodeIndex | Role::NodeDepth => 0,
            Role::NodeOffset | Role::Dest => {
                let (index, place) = self.slot(|e| e.kind() == Kind::Empty);
                self.plan.dest = place;
                index
            }
            Role::NumObjects => {
                let most = match self.plan.dest.table.checked_sub(1) {
                    // As many as there are empty slots in a row, up to a few.
                    Some(table) => (1..4)
                        .take_while(|i| {
                            let slot = self.plan.dest.slot as usize + i;
                            slot < crate::shared::SLOTS
                                && slots::get(table as usize, slot).kind() == Kind::Empty
                        })
                        .count() as u64,
                    None => 1,
                };
                let count = 1 + if self.rng.percent(30) { self.rng.below(most + 1) } else { 0 };
                self.plan.count = count as u8;
                count
            }
            Role::Src => {
                let used = |e: Entry| e.kind() != Kind::Empty;
                let (mut index, mut place) = self.slot(used);
                // What random threads live in is mostly left where it is.
                if !matches!(label, Label::CNodeCopy | Label::CNodeMint) && self.rng.percent(80) {
                    (index, place) = self.slot(|e| used(e) && is_expendable(e));
                }
                self.plan.src = place;
                self.source = place.get();
                index
            }
            Role::Pivot => {
                let dest = self.plan.dest;
                let (index, place) = self.slot(|e| e.kind() != Kind::Empty && is_expendable(e));
                if place == dest {
                    self.plan.clean = false;
                }
                self.plan.pivot = place;
                index
            }
            Role::Victim => {
                let (untyped, exhausted) = (self.rng.percent(30), slots::exhausted());
                let (index, place) = match label {
                    Label::CNodeRevoke
                        if exhausted.get().kind() == Kind::Untyped
                            && self.node.table.is_some_and(|t| t + 1 == exhausted.table as usize) =>
                    {
                        slots::take_exhausted();
                        (exhausted.slot.into(), exhausted)
                    }
                    Label::CNodeRevoke if untyped => self.slot(|e| e.kind() == Kind::Untyped),
                    Label::CNodeCancelBadgedSends => self.slot(|e| e.kind() == Kind::Endpoint),
                    _ if self.rng.percent(90) => self.slot(|e| e.kind() != Kind::Empty && is_expendable(e)),
                    _ => self.slot(|e| e.kind() != Kind::Empty),
                };
                self.plan.dest = place;
                index
            }
            Role::Depth => self.node.depth,
            Role::Rights => {
                if self.rng.percent(85) {
                    15
                } else {
                    self.rng.below(16)
                }
            }
            Role::Badge => self.badge(),
            Role::Priority => self.rng.below(PRIORITY + 2),
            Role::Address => self.map_address(),
            Role::Attributes => {
                if self.rng.percent(80) {
                    0
                } else {
                    self.rng.below(8)
                }
            }
            Role::BufferAddress => {
                if self.rng.percent(70) {
                    AREAS + self.rng.below(THREADS as u64) * AREA_STRIDE
                } else {
                    address(self.rng) + 1024 * self.rng.below(4)
                }
            }
            Role::SpaceData => {
                if self.rng.percent(95) {
                    0
                } else {
                    self.rng.below(1 << 10)
                }
            }
            Role::Bit => self.rng.below(2),
            Role::Small => self.rng.below(5),
            Role::ArchFlags => 0,
            Role::Count => {
                if self.rng.percent(80) {
                    20
                } else {
                    self.rng.below(22)
                }
            }
            Role::TlsBase => address(self.rng),
            Role::ThreadFlags => self.rng.below(3),
            Role::Vector => self.rng.below(110),
            Role::Ioapic => 0,
            // Not the keyboard's and serial ports' only: level-triggered pins that nobody drives, too.
            Role::Pin => self.rng.below(24),
            Role::Pci => self.rng.below(32),
            Role::Domain => {
                if self.rng.percent(50) {
                    0
                } else {
                    self.rng.below(16)
                }
            }
            Role::DomainIndex => self.rng.below(3),
            Role::Duration => 100_000 + self.rng.below(1_000_000),
            Role::Budget => {
                self.budget = 20 + self.rng.below(2000);
                self.budget
            }
            Role::Period => match self.rng.below(3) {
                0 => self.budget,
                _ => self.budget + self.rng.below(5000),
            },
            Role::Refills => {
                if self.rng.percent(50) {
                    0
                } else {
                    self.rng.below(8)
                }
            }
            Role::TimeFlags => self.rng.below(2),
            Role::FirstPort => {
                self.first_port = FIRST_PORT + self.rng.below(LAST_PORT - FIRST_PORT + 1);
                self.first_port
            }
            Role::LastPort => (self.first_port + self.rng.below(8)).min(LAST_PORT),
            Role::Port => self.service.b() + self.rng.below(2),
            _ => odd_word(self.rng),
        }
    }

    fn object_type(&mut self) -> u64 {
        // What a page is large enough for, unless the untyped is larger.
        let small = [
            ObjectType::Untyped,
            ObjectType::Tcb,
            ObjectType::Endpoint,
            ObjectType::Notification,
            ObjectType::CNode,
            ObjectType::SchedContext,
            ObjectType::Reply,
            ObjectType::Pdpt,
            ObjectType::Pml4,
            ObjectType::Page4K,
            ObjectType::Page4K,
            ObjectType::PageTable,
            ObjectType::PageDirectory,
        ];
        let bits = self.service.a();
        let device = self.service.b() != 0;
        match (bits, device) {
            (30.., true) => self.rng.of(&[ObjectType::HugePage, ObjectType::LargePage, ObjectType::Page4K]),
            (_, true) => self.rng.of(&[ObjectType::Page4K, ObjectType::Untyped]),
            (22.., _) => self.rng.of(&[ObjectType::LargePage, ObjectType::Untyped, ObjectType::CNode]),
            _ => self.rng.of(&small),
        }
        .word()
    }

    fn size_bits(&mut self) -> u64 {
        let most = self.service.a().min(MOST_BITS);
        match ObjectType::from_word(self.object) {
            Some(ObjectType::Untyped) => 4 + self.rng.below(most.saturating_sub(4).max(1)),
            Some(ObjectType::CNode) => 1 + self.rng.below(most.saturating_sub(6).clamp(1, 7)),
            Some(ObjectType::SchedContext) => 7 + self.rng.below(3),
            _ => 0,
        }
    }

    fn badge(&mut self) -> u64 {
        match self.source.kind() {
            // A guard that makes addresses have 64 bits again.
            Kind::CNode if self.source.b() != 0 => 64 - RADIX,
            Kind::CNode => 0,
            _ => 1 + self.rng.below(15),
        }
    }

    fn map_address(&mut self) -> u64 {
        let at = address(self.rng);
        match self.service.kind() {
            Kind::HugePage => at >> 30 << 30,
            Kind::LargePage => at >> 21 << 21,
            _ => at,
        }
    }

    /// Registers for a thread: those of a call, at a piece of code.
    fn registers(&mut self, first: usize) {
        let registers = puppet_registers(self.rng, self.view);
        for (place, word) in self.call.words[first.min(WORDS)..].iter_mut().zip(registers) {
            *place = word;
        }
    }

    /// Works out what the call will have made.
    fn finish(&mut self, label: Label) {
        self.plan.made = match label {
            Label::UntypedRetype => self.made_by_retype(),
            Label::CNodeCopy | Label::CNodeMove => self.source,
            Label::CNodeMint | Label::CNodeMutate => match self.source.kind() {
                Kind::CNode if self.source.b() != 0 => {
                    Entry::new(Kind::CNode, (64 - RADIX) as u8, self.source.b() as u16)
                }
                _ => self.source,
            },
            Label::AsidControlMakePool => Entry::new(Kind::AsidPool, 0, 0),
            Label::X86IoPortControlIssue => Entry::new(Kind::IoPort, 0, self.first_port as u16),
            Label::X86IrqIssueIrqHandlerIoapic | Label::X86IrqIssueIrqHandlerMsi => {
                Entry::new(Kind::IrqHandler, 0, 0)
            }
            Label::TcbSetFlags => {
                // One of the two words: the flags are few.
                self.call.words[0] &= 1;
                Entry::UNKNOWN
            }
            _ => Entry::UNKNOWN,
        };
    }

    fn made_by_retype(&self) -> Entry {
        let size = self.call.words[1];
        let device = self.service.b() as u16;
        match ObjectType::from_word(self.object) {
            Some(ObjectType::Untyped) => Entry::new(Kind::Untyped, size as u8, device),
            Some(ObjectType::Tcb) => Entry::new(Kind::Tcb, 0, 0),
            Some(ObjectType::Endpoint) => Entry::new(Kind::Endpoint, 0, 0),
            Some(ObjectType::Notification) => Entry::new(Kind::Notification, 0, 0),
            Some(ObjectType::CNode) => Entry::new(Kind::CNode, size as u8, 0),
            Some(ObjectType::SchedContext) => Entry::new(Kind::SchedContext, size as u8, 0),
            Some(ObjectType::Reply) => Entry::new(Kind::Reply, 0, 0),
            Some(ObjectType::Pdpt) => Entry::new(Kind::Pdpt, 0, 0),
            Some(ObjectType::Pml4) => Entry::new(Kind::VSpace, 0, 0),
            Some(ObjectType::HugePage) => Entry::new(Kind::HugePage, 0, 0),
            Some(ObjectType::Page4K) => Entry::new(Kind::Page, 0, 0),
            Some(ObjectType::LargePage) => Entry::new(Kind::LargePage, 0, 0),
            Some(ObjectType::PageTable) => Entry::new(Kind::PageTable, 0, 0),
            Some(ObjectType::PageDirectory) => Entry::new(Kind::PageDirectory, 0, 0),
            None => Entry::UNKNOWN,
        }
    }

    /// Makes one thing different from what would do.
    fn spoil(&mut self) {
        self.plan.clean = false;
        let (call, rng) = (&mut self.call, &mut *self.rng);
        let (caps, words) = (call.info.extra_caps() as u64, call.info.length() as u64);
        let label = call.info.label();
        match rng.below(8) {
            0 | 1 if words > 0 => call.words[rng.below(words) as usize % WORDS] = odd_word(rng),
            2 if words > 0 => call.words[rng.below(words) as usize % WORDS] ^= 1 << rng.below(64),
            3 if caps > 0 => {
                call.caps[rng.below(caps) as usize % 3] = self.view.base + rng.below(slots_in_use());
            }
            4 if words > 0 => call.info = MessageInfo::new(label, 0, caps, rng.below(words)),
            5 if caps > 0 => call.info = MessageInfo::new(label, 0, rng.below(caps), words),
            6 => {
                let longer = words + rng.below(128 - words);
                call.info = MessageInfo::new(label, rng.below(8), 3.min(caps + rng.below(4)), longer);
            }
            _ if self.view.table != DIRECTOR => {
                if rng.percent(50) {
                    let label = if rng.percent(80) { rng.below(72) } else { rng.next() };
                    call.info = MessageInfo::new(label, 0, caps, words);
                } else {
                    // Another kind of object is asked for the same.
                    call.cap = self.view.base + rng.below(slots_in_use());
                    if !slots::get(self.view.table, (call.cap - self.view.base) as usize).kind().answers() {
                        call.number = Syscall::NBSend.number();
                    }
                }
            }
            _ => call.words[0] = odd_word(rng),
        }
    }

    /// Keeps a call of the supervisor from stopping the machine: domain 0 always gets its time, and only ports
    /// without anything behind them are touched.
    fn tame(&mut self, label: Label) {
        let words = &mut self.call.words;
        match label {
            Label::DomainScheduleConfigure if words[0] < MOST_ENTRIES => {
                if words[0] == 0 {
                    words[1] = 0;
                } else {
                    words[0] = 1 + words[0] % 2;
                }
                if words[2] < 1 << 56 {
                    words[2] =
                        if words[0] == 0 { words[2].clamp(100_000, 2_000_000) } else { words[2] % 200_000 };
                }
            }
            Label::DomainScheduleSetStart if words[0] < MOST_ENTRIES => words[0] = 0,
            Label::X86IoPortControlIssue if words[0] <= words[1] && words[1] <= 0xffff => {
                words[0] = FIRST_PORT + words[0] % (LAST_PORT - FIRST_PORT);
                words[1] = (words[0] + words[1] % 8).min(LAST_PORT);
                self.plan.made = Entry::new(Kind::IoPort, 0, words[0] as u16);
            }
            _ => {}
        }
    }
}

impl Kind {
    /// An invocation of it is answered by the kernel, so that a call comes back.
    fn answers(self) -> bool {
        !matches!(self, Kind::Empty | Kind::Unknown | Kind::Endpoint | Kind::Notification | Kind::Reply)
    }
}

/// True for what random threads can do without for a while: not their CNodes, first untypeds and address spaces.
fn is_expendable(entry: Entry) -> bool {
    match entry.kind() {
        Kind::CNode | Kind::VSpace | Kind::SchedControl | Kind::AsidControl | Kind::IrqControl => false,
        Kind::Untyped => entry.a() < 16,
        Kind::Tcb => entry.b() == 0,
        _ => true,
    }
}

fn node(entry: Entry) -> Node {
    match entry.b() {
        0 => Node { table: None, depth: entry.a() },
        table => Node { table: Some(table as usize - 1), depth: entry.a() + RADIX },
    }
}
