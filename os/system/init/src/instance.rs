//! Making a component out of its ELF file and its description, and taking it apart again.

mod described;
mod listed;
mod log;
mod pages;
mod program;
mod sessions;
mod shared;
mod threads;

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::String,
    vec::Vec,
};
use core::fmt;

use pecan::{
    CSpaceRoot, Cap, CapRights, FrameType, Priorities, SchedParams, Slot, UserContext,
    abi::constants::{LARGE_PAGE_BITS, max_extra_refills, tcb_flag, vm_attributes},
    alloc::Objects,
    boot,
    startup::{StartupError, well_known},
    types::{CNode, Endpoint, LargePage, Notification, Reply, SchedContext, SchedControl, SmallPage, Tcb},
    vspace::{AddressSpace, PAGE_SIZE},
};
use pecan_manifest::{Archive, Badge, Component, IrqSource, RoleName, Settings, layout, layout::resource};
use pecan_protocols::Granted;
use pecan_supervision::{Piece, Rooms, names};

use crate::{
    devices::Devices,
    limits::Limit,
    log::LogPages,
    memory::{Home, Memory},
    rings::End,
};
use listed::Listed;
use pages::Pages;
pub use sessions::session_address;
use threads::OtherThread;

/// log2 of the bytes of a scheduling context.
const SCHED_CONTEXT_BITS: u32 = 8;
/// Slots that a component's capabilities take in its room beside those of its own pages: objects, page tables, and copies
/// of capabilities to what it shares.
const SLOTS: u64 = 192;
/// Bytes of a large page, and the pages that it is as large as.
const LARGE_PAGE: u64 = 1 << LARGE_PAGE_BITS;
const PAGES_OF_LARGE: u64 = LARGE_PAGE / PAGE_SIZE;
/// More pages than this are large ones, as far as the room has slots for them.
const SMALL_PAGES_MAX: u64 = 4096;
/// Slots that a component which makes others has for itself: for what it needs, and two for each piece of memory.
const CHILDREN_SLOTS: u64 = 256;
/// log2 of the most components that such a component can have at once, and its own room.
const CHILDREN_ROOMS_BITS: u32 = 8;
/// To call takes the right to send, and the one to be replied to.
const CALL_RIGHTS: CapRights = CapRights::new(true, false, false, true);
/// Where a component's heap goes on when its program's own has run out, far from everything else.
const HEAP: u64 = 0x40_0000_0000;
/// log2 of the bytes of a pool of identifiers for address spaces.
const ASID_POOL_BITS: u32 = 12;
/// The most small pages that a heap is given at once.
const GROW_PAGES: u64 = 64;
/// The flags a thread starts with: interrupts on, and the bit that is always set.
const RFLAGS: u64 = 0x202;

/// Why a component could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The kernel refused something.
    Kernel(pecan::Error),
    /// The program is not one that can be started.
    Program(&'static str),
    /// It has more capabilities than a component can have, or names and arguments that are too long for a start page.
    TooLong,
    /// There is no place left at a server.
    NoPlace(String),
    /// This interrupt of the ISA bus does not come in on this machine.
    NoIsaIrq(u8),
    /// The description does not say where this interrupt comes from.
    NoIrqSource(RoleName),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "{error}"),
            Self::Program(why) => write!(f, "its program {why}"),
            Self::TooLong => write!(f, "its arguments are too long, or it has too many capabilities"),
            Self::NoPlace(server) => write!(f, "{server} has no place for another client"),
            Self::NoIsaIrq(irq) => write!(f, "this machine has no interrupt {irq} of the ISA bus"),
            Self::NoIrqSource(name) => write!(f, "nothing says where its interrupt {name} comes from"),
        }
    }
}

impl From<pecan::Error> for StartError {
    fn from(error: pecan::Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<StartupError> for StartError {
    fn from(_: StartupError) -> Self {
        Self::TooLong
    }
}

/// A component that runs.
pub struct Live {
    home: Home,
    /// Its address space.
    space: AddressSpace,
    /// Where what its heap was given beyond its program's own ends.
    heap_end: u64,
    /// Where what is mapped for it there ends.
    heap_mapped: u64,
    /// Its thread.
    pub tcb: Cap<Tcb>,
    /// Its time.
    pub sched_context: Cap<SchedContext>,
    /// What signals it, if it serves, that clients are gone.
    pub gone_signal: Option<Cap<Notification>>,
    /// What asks it for a sign of life, if some are expected and it serves.
    pub pulse_signal: Option<Cap<Notification>>,
    /// What asks it, if it serves, to hand over to another program.
    pub handover_signal: Option<Cap<Notification>>,
    /// What signals it, if it calls the initial task, that there is something for it.
    pub init_signal: Option<Cap<Notification>>,
    /// What it holds.
    pub granted: Vec<Granted>,
    /// Its threads beside the first.
    threads: Vec<OtherThread>,
    /// Of its calls, those that end before they are answered.
    pub limits: Vec<Limit>,
    /// Its pages.
    frames: BTreeMap<u64, Cap<SmallPage>>,
    /// What is still to be mapped before it runs.
    to_do: VecDeque<Pages>,
    /// The lowest address of its program, where its stack is.
    bottom: u64,
    /// Its CSpace, and log2 of the slots of that.
    cnode: Cap<CNode>,
    cnode_bits: u32,
    /// The memory of which it may make components of its own.
    children: Vec<Piece>,
    /// The time that it may hand on to them.
    children_times: Vec<Cap<SchedContext>>,
    /// The first of the slots of its CSpace for sessions.
    first_session: u64,
}

impl Live {
    /// The frame that is mapped at a page's address.
    pub fn frame(&self, base: u64) -> Option<Cap<SmallPage>> {
        self.frames.get(&base).copied()
    }

    /// Gives its heap more of its own memory: at most so much that it takes little time. Returns where, and the bytes.
    pub fn grow(&mut self, wanted: u64) -> pecan::Result<(u64, u64)> {
        let start = self.heap_end;
        if start < self.heap_mapped {
            self.heap_end = self.heap_mapped;
            return Ok((start, self.heap_end - start));
        }
        let large = wanted >= LARGE_PAGE && start.is_multiple_of(LARGE_PAGE);
        if large && let Ok(frame) = self.home.objects().make::<LargePage>() {
            let (objects, rights) = (&mut self.home.objects(), CapRights::READ_WRITE);
            // SAFETY: the frame was made for the component just now.
            unsafe { self.space.map(objects, frame, start, rights, vm_attributes::DEFAULT) }?;
            self.heap_end += LARGE_PAGE;
            self.heap_mapped = self.heap_end;
            return Ok((start, LARGE_PAGE));
        }
        // Up to where a large page can begin, as long as there is memory.
        let pages = wanted.div_ceil(PAGE_SIZE).clamp(1, GROW_PAGES);
        let rest = (start.next_multiple_of(LARGE_PAGE) - start) / PAGE_SIZE;
        for n in 0..if rest == 0 { pages } else { pages.min(rest) } {
            let result = self.home.objects().make::<SmallPage>().and_then(|frame| {
                let address = start + n * PAGE_SIZE;
                let (objects, rights) = (&mut self.home.objects(), CapRights::READ_WRITE);
                // SAFETY: as above.
                unsafe { self.space.map(objects, frame, address, rights, vm_attributes::DEFAULT) }
            });
            match result {
                Ok(()) => self.heap_end += PAGE_SIZE,
                Err(error) if n == 0 => return Err(error),
                Err(_) => break,
            }
        }
        self.heap_mapped = self.heap_end;
        Ok((start, self.heap_end - start))
    }

    /// Its memory: all bytes, and what is left of them.
    pub fn memory(&self) -> (u64, u64) {
        self.home.memory()
    }

    /// Its ends of channels: the number of each channel in the description, and the address of the capability.
    pub fn channels(&self) -> impl Iterator<Item = (usize, u64)> {
        self.granted.iter().filter_map(|granted| match granted {
            Granted::Channel { slot, channel, .. } => Some((usize::from(*channel), *slot)),
            _ => None,
        })
    }

    /// The address of the capability through which it prints into the system log.
    pub fn printing(&self) -> Option<u64> {
        self.granted.iter().find_map(|granted| match granted {
            Granted::Printing { slot, .. } => Some(*slot),
            _ => None,
        })
    }

    /// Lets its calls of a service, whose endpoint it has at an address, be answered by the initial task from now on.
    pub fn redirect(&mut self, cptr: u64, id: u64, supervisor: Slot) -> pecan::Result<()> {
        let slot = self.cnode.slot_in(self.cnode_bits, cptr);
        // SAFETY: the slot is one of the component's CSpace, and holds an endpoint.
        unsafe { slot.delete() }?;
        let badge = Badge::gone(id).word();
        slot.mint_from(supervisor, CALL_RIGHTS, badge)?;
        self.note_channel(cptr, badge, true);
        Ok(())
    }

    /// Notes where a channel leads now.
    fn note_channel(&mut self, cptr: u64, now: u64, is_gone: bool) {
        for granted in &mut self.granted {
            if let Granted::Channel { slot, badge, gone, .. } = granted
                && *slot == cptr
            {
                (*badge, *gone) = (now, is_gone);
            }
        }
    }

    /// Lets its calls of a service, which the initial task has answered, go to the service again.
    pub fn give_back_channel(&mut self, cptr: u64, badge: Badge, endpoint: Slot) -> pecan::Result<()> {
        let slot = self.cnode.slot_in(self.cnode_bits, cptr);
        // SAFETY: as in `redirect`.
        unsafe { slot.delete() }?;
        slot.mint_from(endpoint, CALL_RIGHTS, badge.word())?;
        self.note_channel(cptr, badge.word(), false);
        Ok(())
    }

    /// Destroys some of what it is made of, if that is much; whether the rest can be destroyed at once.
    pub fn shrink(&mut self) -> bool {
        self.home.shrink()
    }

    /// Stops it, and those that it has made: they have no other time than what it has handed on. It may have ended by itself.
    pub fn stop(&self) {
        self.tcbs().for_each(|tcb| _ = tcb.suspend());
        self.children_times.iter().for_each(|time| _ = time.unbind());
    }

    /// The memory of which it may have made others.
    pub const fn children(&mut self) -> &mut Vec<Piece> {
        &mut self.children
    }

    /// Destroys it and gives back all it was made of.
    pub fn dismantle(self, memory: &mut Memory) {
        memory.give_back_pieces(self.children);
        memory.give_back(self.home);
    }
}

/// A component's end of a channel.
pub struct Channel<'a> {
    /// The number of the channel in the description.
    pub number: usize,
    /// What the component calls it.
    pub role: &'a str,
    /// The server's endpoint.
    pub endpoint: Cap<Endpoint>,
    /// Whether the server is gone, and the initial task answers in its place.
    pub gone: bool,
    /// What the server knows the client by.
    pub badge: Badge,
    /// The page that client and server share, and whether the client may write it.
    pub page: Option<(Cap<SmallPage>, bool)>,
}

/// What a component is called through.
pub struct ServerEnd {
    /// Its endpoint.
    pub endpoint: Cap<Endpoint>,
    /// Its reply objects: one for each client whose answer can wait, and one to receive with.
    pub replies: Vec<Cap<Reply>>,
    /// For each role, the pages shared with the role's clients, and whether the server may write them.
    pub pages: Vec<(Vec<Cap<SmallPage>>, bool)>,
}

/// What a component is given that is not made of its own memory.
pub struct Given<'a> {
    /// The component's number, the badge of what it says to the initial task.
    pub id: u64,
    /// The name it runs under.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a [String],
    /// Its place in the description.
    pub spec: usize,
    /// Where its files are.
    pub files: &'a Archive<'static>,
    /// Its program.
    pub elf: &'static [u8],
    /// The initial task's endpoint.
    pub supervisor: Cap<Endpoint>,
    /// Authority over time.
    pub sched_control: Cap<SchedControl>,
    /// MHz of the time-stamp counter.
    pub tsc_mhz: u64,
    /// Its channels to servers.
    pub channels: Vec<Channel<'a>>,
    /// What it is called through, if it serves.
    pub service: Option<ServerEnd>,
    /// Its ends of rings.
    pub rings: Vec<End>,
    /// What signals it, if that outlives it.
    pub signals: Option<Cap<Notification>>,
    /// The memory of the system log, if it shows that.
    pub log: Option<LogPages>,
    /// The same, if it writes that.
    pub writes_log: Option<LogPages>,
    /// The endpoint of the system log, for what it prints, and the role there.
    pub printing: Option<(Cap<Endpoint>, u8)>,
    /// The pages of the boot archive and its bytes, if it may read that.
    pub archive: Option<(Vec<Cap<SmallPage>>, u64)>,
    /// The pages of what it is to take over, and the bytes, if it takes its predecessor's place.
    pub handover: Option<(Vec<Cap<SmallPage>>, u64)>,
    /// Whether it calls the initial task.
    pub is_part: bool,
}

/// A component that is being made.
struct Maker<'a> {
    memory: &'a mut Memory,
    component: &'a Component,
    live: Live,
    /// The next free slot of the component's CSpace.
    next: u64,
    page: Listed,
}

/// Makes a component that has yet to get its pages, in steps ([`Live::go_on`]), and to be let run. What was made of one that
/// cannot be started is destroyed.
pub fn start(
    component: &Component,
    given: &Given<'_>,
    memory: &mut Memory,
    devices: &mut Devices,
) -> Result<Live, StartError> {
    let bytes = component.settings.memory.0;
    let pages = bytes / PAGE_SIZE;
    let shared: usize = given.rings.iter().flat_map(|end| &end.parts).map(|(_, pages, _)| pages.len()).sum();
    let settings = &component.settings;
    let device_bytes = settings.mmio.iter().map(|m| m.bytes.0).chain(settings.dma.iter().map(|d| d.bytes.0));
    let archive = given.archive.as_ref().map_or(0, |(pages, _)| pages.len() as u64);
    let shared = shared as u64 + archive + device_bytes.sum::<u64>() / PAGE_SIZE;
    let slots = SLOTS + pages.min(SMALL_PAGES_MAX) + pages / PAGES_OF_LARGE + shared;
    let children = match &component.settings.children {
        Some(bytes) => memory.take_pieces(bytes.0)?,
        None => Vec::new(),
    };
    let mut home = match memory.take(bytes, slots) {
        Ok(home) => home,
        Err(error) => {
            memory.give_back_pieces(children);
            return Err(error.into());
        }
    };
    let live = match prepare(component, given, &mut home) {
        Ok((tcb, space, cnode, cnode_bits, sched_context)) => Live {
            home,
            space,
            heap_end: HEAP,
            heap_mapped: HEAP,
            tcb,
            sched_context,
            gone_signal: None,
            pulse_signal: None,
            handover_signal: None,
            init_signal: None,
            granted: Vec::new(),
            threads: Vec::new(),
            limits: Vec::new(),
            frames: BTreeMap::new(),
            to_do: VecDeque::new(),
            bottom: 0,
            cnode,
            cnode_bits,
            children,
            children_times: Vec::new(),
            first_session: 0,
        },
        Err(error) => {
            memory.give_back_pieces(children);
            memory.give_back(home);
            return Err(error);
        }
    };
    let mut maker = Maker { memory, component, live, next: 1, page: Listed::default() };
    match maker.make(given, devices) {
        Ok(()) => Ok(maker.live),
        Err(error) => {
            let Maker { memory, live, .. } = maker;
            live.dismantle(memory);
            Err(error)
        }
    }
}

/// Thread, address space, CSpace with log2 of its slots, and time.
type Basics = (Cap<Tcb>, AddressSpace, Cap<CNode>, u32, Cap<SchedContext>);

/// The time of a component.
fn time(settings: &Settings) -> SchedParams {
    let budget = settings.budget_us();
    settings.period_ms.map_or(SchedParams::round_robin(budget), |_| promise(budget, settings.period_us()))
}

/// Some time in each period. Who was promised it gets it, even if others delay it within the period: so the next period does
/// not begin later for that. Each time it is preempted takes a refill.
fn promise(budget: u64, period: u64) -> SchedParams {
    let extra_refills = max_extra_refills(SCHED_CONTEXT_BITS) as u64;
    SchedParams { sporadic: true, extra_refills, ..SchedParams::new(budget, period) }
}

/// Makes thread, address space and CSpace.
fn prepare(component: &Component, given: &Given<'_>, home: &mut Home) -> Result<Basics, StartError> {
    let replies = given.service.as_ref().map_or(0, |service| service.replies.len() as u64);
    let settings = &component.settings;
    let caps = given.channels.len() + given.rings.len() + settings.irqs.len() + settings.ports.len();
    let at_once = u64::from(settings.children_time.at_once);
    let own = if settings.children.is_some() { CHILDREN_SLOTS + at_once } else { 0 };
    let count = layout::SLOTS_OTHERS
        + given.writes_log.as_ref().map_or(0, |_| layout::SLOTS_LOG)
        + caps as u64
        + layout::slots_of_threads(settings.threads.len() as u64)
        + settings.session_slots()
        + replies
        + own;
    if count > layout::SLOTS_MAX {
        return Err(StartError::TooLong);
    }
    let cnode_bits = count.next_power_of_two().ilog2().max(4);
    let mut objects = home.objects();
    // The thread comes first: it is the only object whose size the kernel's configuration decides.
    let tcb = objects.make()?;
    let space = AddressSpace::create(&mut objects, boot::ASID_POOL, layout::PROGRAM_END)?;
    let cnode = objects.make_sized::<CNode>(cnode_bits)?;
    let sched_context = objects.make_sized(SCHED_CONTEXT_BITS)?;
    Ok((tcb, space, cnode, cnode_bits, sched_context))
}

impl Maker<'_> {
    fn objects(&mut self) -> Objects<'_> {
        self.live.home.objects()
    }

    fn make(&mut self, given: &Given<'_>, devices: &mut Devices) -> Result<(), StartError> {
        let badge = Badge::fault(given.id, 0).word();
        let fault_ep = self.objects().mint(given.supervisor, CapRights::ALL, badge)?;
        let settings = &self.component.settings;
        self.live.granted.extend([
            Granted::Thread { slot: 0, vectors: settings.fpu },
            Granted::CSpace { slot: 0 },
            Granted::VSpace { slot: 0 },
            Granted::Time { slot: 0, budget: settings.budget_us(), period: settings.period_us() },
            Granted::FaultHandler { badge },
        ]);
        if settings.overrun_ms.is_some() {
            self.live.granted.push(Granted::TimeoutHandler { badge });
        }

        let entry = self.load(given.elf)?;
        self.give_heap();
        self.give_files(given)?;
        self.give_services(given)?;
        self.give_devices(given, devices)?;
        self.give_log(given)?;
        let cspace = self.give_children(given)?;
        self.give_threads(given, cspace)?;
        self.live.first_session = self.next;
        self.next += settings.session_slots();
        self.page.add_parameter(resource::TSC_MHZ, given.tsc_mhz);
        self.page.add_parameter(well_known::KERNEL_CONSOLE, 0);
        let buffer = self.live.space.reserve(PAGE_SIZE, PAGE_SIZE)?;
        let ipc_frame = self.frame(buffer, CapRights::READ_WRITE, None)?;
        self.live.frames.insert(buffer, ipc_frame);
        let page = self.page.write(given.name, buffer, given.args)?;
        let start = self.live.space.reserve(page.len() as u64, PAGE_SIZE)?;
        for (n, part) in page.chunks(PAGE_SIZE as usize).enumerate() {
            let address = start + n as u64 * PAGE_SIZE;
            let frame = self.frame(address, CapRights::READ, Some(part.to_vec()))?;
            self.live.frames.insert(address, frame);
        }
        self.make_ready(given, cspace, fault_ep, (buffer, ipc_frame), (entry, start))
    }

    /// Makes the thread ready to run.
    fn make_ready(
        &mut self,
        given: &Given<'_>,
        cspace: CSpaceRoot,
        fault_ep: Cap<Endpoint>,
        (ipc_buffer, ipc_frame): (u64, Cap<SmallPage>),
        (entry, start_page): (u64, u64),
    ) -> Result<(), StartError> {
        let settings = &self.component.settings;
        let Live { tcb, sched_context, .. } = self.live;
        given.sched_control.configure(sched_context, time(settings).with_badge(given.id))?;
        // Who makes components can give them its own priority at most.
        let mcp = if settings.children.is_some() { settings.priority } else { 0 };
        let priorities = Priorities { authority: boot::TCB, mcp, priority: settings.priority };
        // SAFETY: the thread is the component's, which is another program.
        unsafe {
            tcb.configure(cspace, self.live.space.cap(), ipc_buffer, ipc_frame)?;
            tcb.set_sched_params(priorities, sched_context, fault_ep)?;
        }
        if settings.overrun_ms.is_some() {
            // SAFETY: as above; and what is told the endpoint of its fault handler is that handler's.
            unsafe { tcb.set_timeout_endpoint(fault_ep) }?;
        }
        if !settings.fpu {
            tcb.set_flags(0, tcb_flag::FPU_DISABLED)?;
        }
        let registers = UserContext { rip: entry, rflags: RFLAGS, rdi: start_page, ..UserContext::default() };
        // SAFETY: as above.
        unsafe { tcb.write_registers(false, &registers) }?;
        Ok(())
    }

    /// Gives it what it takes to make components of its own, if its description says so (`pecan_supervision::Estate`);
    /// returns the root of its CSpace.
    fn give_children(&mut self, given: &Given<'_>) -> Result<CSpaceRoot, StartError> {
        let Live { cnode, cnode_bits, tcb, .. } = self.live;
        if self.component.settings.children.is_none() {
            return Ok(CSpaceRoot::single_level(cnode, cnode_bits));
        }
        let guard = Rooms::guard_of_table(CHILDREN_ROOMS_BITS);
        let table = self.objects().make_sized::<CNode>(CHILDREN_ROOMS_BITS)?;
        Rooms::furnish(table, CHILDREN_ROOMS_BITS, self.memory.slot_of(cnode), cnode_bits)?;
        let slot = self.slot();
        slot.mint_cnode_from(self.memory.slot_of(table), guard)?;
        self.page.add_cap(names::ROOMS, slot.index);
        self.live.granted.push(Granted::CSpace { slot: slot.index });
        let vectors = self.component.settings.fpu;
        let vspace = self.memory.slot_of(self.live.space.cap());
        self.give_copy(self.memory.slot_of(tcb), well_known::TCB, |slot| Granted::Thread { slot, vectors })?;
        self.give_copy(vspace, well_known::VSPACE, |slot| Granted::VSpace { slot })?;
        // A pool of its own, made of its memory: the address spaces of others are not its to use up.
        let objects = &mut self.objects();
        let (untyped, pool) = (objects.split(ASID_POOL_BITS)?.untyped, objects.slots.take(1)?);
        boot::ASID_CONTROL.make_pool(untyped, pool)?;
        self.give_copy(pool, names::ASID_POOL, |slot| Granted::AsidPool { slot })?;
        // Time that it can hand on, and not change.
        let time = self.component.settings.children_time;
        let (budget, period) = (time.budget_us(), time.period_us());
        for n in 0..time.at_once {
            let sched_context = self.objects().make_sized::<SchedContext>(SCHED_CONTEXT_BITS)?;
            given.sched_control.configure(sched_context, promise(budget, period).with_badge(given.id))?;
            self.live.children_times.push(sched_context);
            let from = self.memory.slot_of(sched_context);
            self.give_copy(from, &format!("{}{n}", names::TIME), |slot| Granted::Time {
                slot,
                budget,
                period,
            })?;
        }
        for n in 0..self.live.children.len() {
            let piece = &self.live.children[n];
            let (name, bytes) = (format!("{}{n}", names::UNTYPED), piece.bytes());
            let untyped = self.memory.slot_of(piece.untyped());
            self.give_copy(untyped, &name, |slot| Granted::Untyped { slot, bytes })?;
            self.page.add_parameter(&name, bytes.ilog2().into());
        }
        let address = self.live.space.reserve(given.elf.len() as u64, PAGE_SIZE)?;
        self.live.to_do.push_back(Pages::of_file(address, given.elf));
        self.page.add_memory(names::PROGRAM, address, given.elf.len() as u64);
        self.page.add_parameter(names::ROOMS, CHILDREN_ROOMS_BITS.into());
        self.page.add_parameter(names::FIRST_SLOT, self.next);
        self.page.add_parameter(names::SLOTS, (1 << cnode_bits) - self.next);
        Ok(CSpaceRoot { cnode: table, guard })
    }

    /// Gives the component a copy of a capability.
    fn give_copy(
        &mut self,
        from: Slot,
        name: &str,
        granted: impl FnOnce(u64) -> Granted,
    ) -> Result<(), StartError> {
        let slot = self.slot();
        slot.copy_from(from, CapRights::ALL)?;
        self.page.add_cap(name, slot.index);
        self.live.granted.push(granted(slot.index));
        Ok(())
    }

    /// Makes a page of the component's memory, with some content, and maps it.
    fn frame(
        &mut self,
        address: u64,
        rights: CapRights,
        content: Option<Vec<u8>>,
    ) -> Result<Cap<SmallPage>, StartError> {
        let frame = self.objects().make::<SmallPage>()?;
        if let Some(content) = content {
            self.memory.write_frame(frame, 0, &content)?;
        }
        self.map(frame, address, rights)?;
        Ok(frame)
    }

    fn map<F: FrameType>(
        &mut self,
        frame: Cap<F>,
        address: u64,
        rights: CapRights,
    ) -> Result<(), StartError> {
        self.map_as(frame, address, rights, vm_attributes::DEFAULT)
    }

    fn map_as<F: FrameType>(
        &mut self,
        frame: Cap<F>,
        address: u64,
        rights: CapRights,
        attributes: u64,
    ) -> Result<(), StartError> {
        let Live { home, space, .. } = &mut self.live;
        // SAFETY: the initial task accesses frames of components, and those that are shared with them, by atomics only, once
        // there is somebody who has them mapped.
        unsafe { space.map(&mut home.objects(), frame, address, rights, attributes) }?;
        Ok(())
    }

    /// A new slot of the component's CSpace.
    fn slot(&mut self) -> pecan::Slot {
        self.next += 1;
        self.live.cnode.slot_in(self.live.cnode_bits, self.next - 1)
    }

    /// Gives the component a badged capability to call an endpoint with; returns its address.
    fn give_endpoint(
        &mut self,
        endpoint: Cap<Endpoint>,
        name: &str,
        badge: Badge,
    ) -> Result<u64, StartError> {
        let slot = self.slot();
        slot.mint_from(self.memory.slot_of(endpoint), CALL_RIGHTS, badge.word())?;
        self.page.add_cap(name, slot.index);
        Ok(slot.index)
    }

    fn give_services(&mut self, given: &Given<'_>) -> Result<(), StartError> {
        let badge = Badge::supervisor(given.id);
        let slot = self.give_endpoint(given.supervisor, well_known::SUPERVISOR, badge)?;
        self.live.granted.push(Granted::Supervisor { slot, badge: badge.word() });
        for Channel { number, role, endpoint, badge, gone, page } in &given.channels {
            let slot = self.give_endpoint(*endpoint, role, *badge)?;
            let (channel, badge) = (*number as u16, badge.word());
            self.live.granted.push(Granted::Channel { slot, badge, channel, gone: *gone });
            if let Some((page, writable)) = page {
                let (address, bytes) = self.give_shared(role, core::slice::from_ref(page), *writable)?;
                self.live.granted.push(Granted::ChannelMemory {
                    address,
                    bytes,
                    channel,
                    writable: *writable,
                });
            }
        }
        let Some(ServerEnd { endpoint, replies, pages }) = &given.service else { return Ok(()) };
        let slot = self.slot();
        slot.copy_from(self.memory.slot_of(*endpoint), CapRights::READ)?;
        self.page.add_cap(resource::SERVICE, slot.index);
        self.live.granted.push(Granted::Service { slot: slot.index });
        let component = self.component;
        self.page.add_parameter(resource::CLIENTS, component.clients() as u64);
        for (n, (role, (pages, writable))) in component.interface.serves.keys().zip(pages).enumerate() {
            let name = format!("{}{role}", resource::ROLE);
            self.page.add_parameter(&name, component.first_place(n) as u64);
            if !pages.is_empty() {
                let (address, bytes) = self.give_shared(&name, pages, *writable)?;
                let (role, writable) = (n as u8, *writable);
                self.live.granted.push(Granted::RoleMemory { address, bytes, role, writable });
            }
        }
        self.page.add_cap(resource::REPLY, self.next);
        self.page.add_parameter(resource::REPLIES, replies.len() as u64);
        for (n, reply) in replies.iter().enumerate() {
            let slot = self.slot();
            slot.copy_from(self.memory.slot_of(*reply), CapRights::ALL)?;
            self.live.granted.push(Granted::Reply { slot: slot.index, caller: n as u16 + 1 });
        }
        self.give_handover(given)
    }

    fn give_devices(&mut self, given: &Given<'_>, devices: &mut Devices) -> Result<(), StartError> {
        self.give_device_memory(given, devices)?;
        for ports in &self.component.settings.ports {
            let cap = devices.ports(&mut self.memory.cspace, ports.first, ports.last)?;
            let slot = self.slot();
            slot.copy_from(self.memory.slot_of(cap), CapRights::ALL)?;
            let name = format!("{}{}", resource::PORTS, ports.name);
            self.page.add_cap(&name, slot.index);
            self.page.add_parameter(&name, ports.first.into());
            let (first, last) = (ports.first, ports.last);
            self.live.granted.push(Granted::Ports { slot: slot.index, first, last });
        }
        if let Some((pages, bytes)) = &given.archive {
            let (address, bytes) = (self.map_shared(pages, CapRights::READ)?, *bytes);
            self.page.add_memory(resource::ARCHIVE, address, bytes);
            self.live.granted.push(Granted::Archive { address, bytes });
        }
        let has_irqs = !self.component.settings.irqs.is_empty();
        let has_signals = given.log.is_some() || given.service.is_some() || given.signals.is_some();
        if !has_irqs && !has_signals && !given.is_part {
            return Ok(());
        }
        let notification = match given.signals {
            Some(notification) => notification,
            None => self.objects().make::<Notification>()?,
        };
        self.live.tcb.bind_notification(notification)?;
        self.give_rings(given, notification)?;
        for (bit, irq) in self.component.settings.irqs.iter().enumerate() {
            let handler = devices.irq(&mut self.memory.cspace, irq)?;
            let signal = self.objects().mint(notification, CapRights::WRITE, Badge::SIGNAL | 1 << bit)?;
            handler.set_notification(signal)?;
            // A predecessor may have died before it acknowledged.
            handler.ack()?;
            let slot = self.slot();
            slot.copy_from(self.memory.slot_of(handler), CapRights::ALL)?;
            let name = format!("{}{}", resource::IRQ, irq.name);
            self.page.add_cap(&name, slot.index);
            self.page.add_parameter(&name, bit as u64);
            let slot = slot.index;
            self.live.granted.push(match irq.source() {
                Some(IrqSource::Isa(isa)) => Granted::IsaIrq { slot, isa },
                Some(IrqSource::Pin { ioapic, pin }) => Granted::PinIrq { slot, ioapic, pin },
                None => return Err(StartError::NoIrqSource(irq.name.clone())),
            });
        }
        if given.service.is_some() {
            let badge = Badge::SIGNAL | 1 << layout::HANDOVER_SIGNAL;
            self.live.handover_signal = Some(self.objects().mint(notification, CapRights::WRITE, badge)?);
            let badge = Badge::SIGNAL | 1 << layout::GONE_SIGNAL;
            self.live.gone_signal = Some(self.objects().mint(notification, CapRights::WRITE, badge)?);
            if !self.component.settings.threads.is_empty() {
                let slot = self.slot();
                let badge = Badge::SIGNAL | 1 << layout::WAKE_SIGNAL;
                slot.mint_from(self.memory.slot_of(notification), CapRights::WRITE, badge)?;
                self.page.add_cap(resource::WAKE, slot.index);
                self.live.granted.push(Granted::Wake { slot: slot.index });
            }
            if self.component.settings.heartbeat_ms.is_some() {
                let badge = Badge::SIGNAL | 1 << layout::PULSE_SIGNAL;
                self.live.pulse_signal = Some(self.objects().mint(notification, CapRights::WRITE, badge)?);
            }
        }
        if given.is_part {
            let badge = Badge::SIGNAL | 1 << layout::INIT_SIGNAL;
            self.live.init_signal = Some(self.objects().mint(notification, CapRights::WRITE, badge)?);
        }
        Ok(())
    }
}
