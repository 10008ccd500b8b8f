//! Making a component out of its program, by another component, and taking it apart.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use object::{
    LittleEndian as LE,
    elf::{EM_X86_64, ET_EXEC, FileHeader64, PF_W, PF_X, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader},
};
use pecan::{
    CSpaceRoot, Cap, CapRights, Error, LongMessage, Message, Priorities, Result, UserContext,
    abi::constants::{tcb_flag, vm_attributes},
    fault::Fault,
    startup::{Content, EXIT_LABEL, GROW_LABEL, well_known},
    types::{CNode, SchedContext, SmallPage, Tcb},
    vspace::{AddressSpace, PAGE_SIZE},
};

use crate::{
    Estate, Piece, Rooms,
    estate::{Home, names},
};

/// Programs are linked below this; the rest of a child's memory is above it.
const PROGRAM_END: u64 = 0x2000_0000;
/// Where a child's heap goes on when its program's own has run out.
const HEAP: u64 = 0x40_0000_0000;
/// log2 of the slots of a child's CSpace, of which a child with children has all but a few to itself.
const CNODE_BITS: u32 = 8;
/// log2 of the rooms of a child with children.
const ROOMS_BITS: u32 = 6;
/// Slots in a child's room beside those of its pages.
const SLOTS: u64 = 64;
/// The bit that tells a child's faults from its calls, by the badge.
const FAULT: u64 = 1 << 62;
/// The flags a thread starts with: interrupts on, and the bit that is always set.
const RFLAGS: u64 = 0x202;
/// To call takes the right to send, and the one to be replied to.
const CALL_RIGHTS: CapRights = CapRights::new(true, false, false, true);

/// What a child is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Its number, by which its supervisor knows it; less than 2^62.
    pub id: u64,
    /// Its name.
    pub name: &'a str,
    /// Its arguments.
    pub arguments: &'a [&'a str],
    /// Its program.
    pub elf: &'a [u8],
    /// The bytes that it consists of.
    pub memory: u64,
    /// The bytes that it may make children of; 0 if it may not. It gets its program's file then.
    pub children: u64,
    /// Its priority: at most that of its supervisor.
    pub priority: u8,
    /// How many components it can have below it at once: so many parts of this component's time are its to hand on, beside
    /// the one on which it runs itself.
    pub below: u16,
    /// MHz of the time-stamp counter.
    pub tsc_mhz: u64,
}

/// A component that another one has made.
pub struct Child {
    home: Home,
    space: AddressSpace,
    heap_end: u64,
    tcb: Cap<Tcb>,
    /// Its time, and that of those below it.
    times: Vec<Cap<SchedContext>>,
    children: Vec<Piece>,
}

/// What a child had to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It exits, with this status.
    Exits(u64),
    /// It has faulted.
    Faults(Option<Fault>),
    /// It wants so many bytes for its heap ([`Child::grow`]).
    Grows(u64),
    /// It makes some other call, which the message says.
    Calls,
}

impl Event {
    /// What a message with a badge is: who it is from, and what it says.
    pub fn of(badge: u64, message: &LongMessage) -> (u64, Self) {
        let event = match message.label() {
            _ if badge & FAULT != 0 => Self::Faults(Fault::from_message(message)),
            EXIT_LABEL => Self::Exits(message.word(0)),
            GROW_LABEL => Self::Grows(message.word(0)),
            _ => Self::Calls,
        };
        (badge & !FAULT, event)
    }
}

/// What the start page lists, while it grows.
#[derive(Default)]
struct Listed {
    caps: Vec<(String, u64)>,
    memory: Vec<(String, u64, u64)>,
    parameters: Vec<(String, u64)>,
}

impl Child {
    /// Makes a child and lets it run. What was made of one that cannot be started is destroyed.
    pub fn start(estate: &mut Estate, plan: &Plan<'_>) -> Result<Self> {
        let times = estate.take_times(1 + usize::from(plan.below))?;
        let (home, children, tcb, space) = match Self::take(estate, plan) {
            Ok(taken) => taken,
            Err(error) => {
                estate.give_back_times(times);
                return Err(error);
            }
        };
        let mut child = Self { home, space, heap_end: HEAP, tcb, times, children };
        match child.make(estate, plan) {
            Ok(()) => Ok(child),
            Err(error) => {
                // As above.
                let _ = child.end(estate);
                Err(error)
            }
        }
    }

    /// Takes memory for a child, and for those below it, and makes its thread and its address space of it.
    fn take(estate: &mut Estate, plan: &Plan<'_>) -> Result<(Home, Vec<Piece>, Cap<Tcb>, AddressSpace)> {
        let mut home = estate.home(plan.memory, plan.memory / PAGE_SIZE + SLOTS)?;
        // The thread comes first: it is the only object whose size the kernel's configuration decides.
        let pool = estate.authority.asid_pool;
        let made = home.objects().make().and_then(|tcb| {
            let space = AddressSpace::create(&mut home.objects(), pool, PROGRAM_END)?;
            let children = if plan.children > 0 { estate.take(plan.children)? } else { Vec::new() };
            Ok((children, tcb, space))
        });
        match made {
            Ok((children, tcb, space)) => Ok((home, children, tcb, space)),
            Err(error) => {
                // The error that matters is the first one.
                let _ = estate.give_back_home(home);
                Err(error)
            }
        }
    }

    /// Destroys it, and all that it has made, and takes its memory and its time back.
    pub fn end(self, estate: &mut Estate) -> Result<()> {
        estate.give_back(self.children)?;
        estate.give_back_home(self.home)?;
        estate.give_back_times(self.times);
        Ok(())
    }

    /// Gives its heap more of its memory; returns what to answer.
    pub fn grow(&mut self, wanted: u64) -> Message {
        /// The most pages that are given at once.
        const PAGES: u64 = 64;
        let start = self.heap_end;
        for _ in 0..wanted.div_ceil(PAGE_SIZE).clamp(1, PAGES) {
            let Ok(frame) = self.home.objects().make::<SmallPage>() else { break };
            if self.map(frame, self.heap_end, CapRights::READ_WRITE).is_err() {
                break;
            }
            self.heap_end += PAGE_SIZE;
        }
        match self.heap_end - start {
            0 => Message::empty(1),
            bytes => Message::new(0, [start, bytes]),
        }
    }

    /// Microseconds of processor time that it has used itself since this was last asked.
    pub fn consumed(&self) -> Result<u64> {
        self.times.first().map_or(Ok(0), |time| time.consumed())
    }

    fn make(&mut self, estate: &mut Estate, plan: &Plan<'_>) -> Result<()> {
        let fault_slot = self.home.objects().slots.take(1)?;
        estate.mint(fault_slot, CapRights::ALL, FAULT | plan.id)?;
        // SAFETY: an endpoint capability was put there just now.
        let fault_ep = unsafe { fault_slot.cap() };
        let cnode = self.home.objects().make_sized::<CNode>(CNODE_BITS)?;
        let mut listed = Listed::default();
        let mut next = 1;
        let mut slot = |listed: &mut Listed, name: &str| {
            listed.caps.push((name.to_string(), next));
            next += 1;
            cnode.slot_in(CNODE_BITS, next - 1)
        };
        estate.mint(slot(&mut listed, well_known::SUPERVISOR), CALL_RIGHTS, plan.id)?;
        let mut root = CSpaceRoot::single_level(cnode, CNODE_BITS);
        if plan.children > 0 {
            let table = self.home.objects().make_sized::<CNode>(ROOMS_BITS)?;
            Rooms::furnish(table, ROOMS_BITS, estate.slot_of(cnode), CNODE_BITS)?;
            root = CSpaceRoot { cnode: table, guard: Rooms::guard_of_table(ROOMS_BITS) };
            let rooms = slot(&mut listed, names::ROOMS);
            rooms.mint_cnode_from(estate.slot_of(table), Rooms::guard_of_table(ROOMS_BITS))?;
            let authority = estate.authority;
            let all = CapRights::ALL;
            slot(&mut listed, well_known::TCB).copy_from(estate.slot_of(self.tcb), all)?;
            slot(&mut listed, well_known::VSPACE).copy_from(estate.slot_of(self.space.cap()), all)?;
            slot(&mut listed, names::ASID_POOL).copy_from(estate.slot_of(authority.asid_pool), all)?;
            for (n, time) in self.times.iter().skip(1).enumerate() {
                slot(&mut listed, &format!("{}{n}", names::TIME)).copy_from(estate.slot_of(*time), all)?;
            }
            for (n, piece) in self.children.iter().enumerate() {
                let name = format!("{}{n}", names::UNTYPED);
                slot(&mut listed, &name).copy_from(estate.slot_of(piece.untyped()), all)?;
                listed.parameters.push((name, piece.bytes().ilog2().into()));
            }
            let pages: Vec<_> = plan.elf.chunks(PAGE_SIZE as usize).collect();
            let address = self.space.reserve(plan.elf.len() as u64, PAGE_SIZE)?;
            for (n, page) in pages.into_iter().enumerate() {
                self.page(estate, address + n as u64 * PAGE_SIZE, CapRights::READ, page)?;
            }
            listed.memory.push((names::PROGRAM.into(), address, plan.elf.len() as u64));
            listed.parameters.push((names::ROOMS.into(), ROOMS_BITS.into()));
            listed.parameters.push((names::FIRST_SLOT.into(), next));
            listed.parameters.push((names::SLOTS.into(), (1 << CNODE_BITS) - next));
        }
        let entry = self.load(estate, plan.elf)?;
        listed.parameters.push(("tsc-mhz".into(), plan.tsc_mhz));
        listed.parameters.push((well_known::KERNEL_CONSOLE.into(), 0));
        let buffer = self.space.reserve(PAGE_SIZE, PAGE_SIZE)?;
        let buffer_frame = self.page(estate, buffer, CapRights::READ_WRITE, &[])?;
        let page = listed.page(plan, buffer)?;
        let start = self.space.reserve(page.len() as u64, PAGE_SIZE)?;
        for (n, part) in page.chunks(PAGE_SIZE as usize).enumerate() {
            self.page(estate, start + n as u64 * PAGE_SIZE, CapRights::READ, part)?;
        }
        let authority = estate.authority;
        let mcp = if plan.children > 0 { plan.priority } else { 0 };
        let priorities = Priorities { authority: authority.thread, mcp, priority: plan.priority };
        self.tcb.set_flags(0, tcb_flag::FPU_DISABLED)?;
        let registers = UserContext { rip: entry, rflags: RFLAGS, rdi: start, ..UserContext::default() };
        // SAFETY: it is a thread of another program, in an address space of its own.
        unsafe {
            self.tcb.configure(root, self.space.cap(), buffer, buffer_frame)?;
            self.tcb.set_sched_params(
                priorities,
                self.times.first().copied().unwrap_or(Cap::NULL),
                fault_ep,
            )?;
            self.tcb.write_registers(true, &registers)
        }
    }

    /// Makes a page of its memory with some content, and maps it.
    fn page(
        &mut self,
        estate: &mut Estate,
        address: u64,
        rights: CapRights,
        content: &[u8],
    ) -> Result<Cap<SmallPage>> {
        let frame = self.home.objects().make::<SmallPage>()?;
        if !content.is_empty() {
            estate.write(frame, content)?;
        }
        self.map(frame, address, rights)?;
        Ok(frame)
    }

    fn map(&mut self, frame: Cap<SmallPage>, address: u64, rights: CapRights) -> Result<()> {
        // SAFETY: the frame was made for the child alone, and is mapped nowhere here.
        unsafe { self.space.map(&mut self.home.objects(), frame, address, rights, vm_attributes::DEFAULT) }
    }

    /// Maps the segments of the program; returns where it starts. An ELF file that is none, or that wants what it cannot
    /// have, is an invalid argument.
    fn load(&mut self, estate: &mut Estate, elf: &[u8]) -> Result<u64> {
        const WRONG: Error = Error::InvalidArgument { index: 0 };
        let header = FileHeader64::<LE>::parse(elf).map_err(|_| WRONG)?;
        if header.e_machine.get(LE) != EM_X86_64 || header.e_type.get(LE) != ET_EXEC {
            return Err(WRONG);
        }
        let segments = header.program_headers(LE, elf).map_err(|_| WRONG)?;
        for segment in segments.iter().filter(|s| s.p_type(LE) == PT_LOAD && s.p_memsz(LE) > 0) {
            let (start, len) = (segment.p_vaddr(LE), segment.p_memsz(LE));
            let end = start.checked_add(len).filter(|end| *end <= PROGRAM_END).ok_or(WRONG)?;
            let flags = segment.p_flags(LE);
            if !start.is_multiple_of(PAGE_SIZE) || flags.contains(PF_W) && flags.contains(PF_X) {
                return Err(WRONG);
            }
            let mut data = segment.data(LE, elf).map_err(|()| WRONG)?;
            let rights = if flags.contains(PF_W) { CapRights::READ_WRITE } else { CapRights::READ };
            for address in (start..end).step_by(PAGE_SIZE as usize) {
                let (part, rest) = data.split_at(data.len().min(PAGE_SIZE as usize));
                self.page(estate, address, rights, part)?;
                data = rest;
            }
        }
        Ok(header.e_entry.get(LE))
    }
}

impl Listed {
    fn page(&self, plan: &Plan<'_>, ipc_buffer: u64) -> Result<Vec<u8>> {
        let caps: Vec<_> = self.caps.iter().map(|(n, cptr)| (n.as_str(), *cptr)).collect();
        let memory: Vec<_> =
            self.memory.iter().map(|(n, address, bytes)| (n.as_str(), *address, *bytes)).collect();
        let parameters: Vec<_> = self.parameters.iter().map(|(n, value)| (n.as_str(), *value)).collect();
        let content = Content {
            name: plan.name,
            ipc_buffer,
            caps: &caps,
            memory: &memory,
            parameters: &parameters,
            arguments: plan.arguments,
        };
        let mut page = alloc::vec![0; content.bytes()];
        content.write(&mut page).map_err(|_| Error::InvalidArgument { index: 1 })?;
        Ok(page)
    }
}
