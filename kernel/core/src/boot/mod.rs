//! Boot policy: the root task and what it is given.
//!
//! The root task's address space, from its lowest address up: the image (whole and contiguous, as its frame
//! capabilities are), the IPC buffer, the boot information, the extra boot information. Its objects come from
//! the top of memory, so that the rest falls into few, large pieces of untyped memory.

pub mod elf;
mod info;
#[cfg(test)]
mod tests;

use pecan_abi::{
    boot::{SlotRegion, slot},
    constants::{MAX_PRIORITY, USER_TOP},
};
use pecan_arch::{BootData, CacheAttr, IRQ_TIMER, PhysRegion, level_shift, reg, say, us_to_ticks};
use pecan_config::{BOOT_THREAD_TIME_SLICE_MS, ROOT_CNODE_SIZE_BITS};
use pecan_mem::{
    CNodeRef, Cap, Control, FrameRights, IrqState, Kernel, Link, Mapping, NewCap, Slot, Tcb, ThreadState,
    Words,
    boot::{BootMemory, MIN_PIECE_BITS},
    cap::arch,
    object::NAME_LEN,
    retype::ObjectKind,
    vspace::{self, Content, ROOT_LEVEL, TablePlace, find_root},
};

use crate::{
    cap::derivation,
    sched::{budget, refill},
    space::tables,
};
use elf::{ElfError, Program};

/// Bytes of a page of the root task.
const PAGE: u64 = 1 << level_shift(0);
/// The root task's address space has this ASID; 0 is the kernel's.
const ROOT_ASID: u16 = 1;
/// Size (log2) of a scheduling context of two refills: what a round-robin thread needs.
const SC_BITS: u8 = pecan_abi::constants::MIN_SCHED_CONTEXT_BITS as u8;

/// Why the root task cannot be started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootError {
    /// The boot loader brought no root task.
    NoModule,
    /// The root task's file cannot be loaded.
    Elf(ElfError),
    /// There is too little memory for the root task.
    NoMemory {
        /// Bytes it takes at least.
        needed: u64,
        /// Bytes that were free.
        found: u64,
    },
    /// The initial CNode is too small for the capabilities to the root task's frames.
    NoSlots {
        /// Pages of the image.
        pages: u64,
    },
    /// There is no room in the address space above the image.
    NoAddressSpace {
        /// Where the image ends.
        end: u64,
    },
}

impl From<ElfError> for BootError {
    fn from(error: ElfError) -> Self {
        BootError::Elf(error)
    }
}

impl BootError {
    /// Prints what is wrong and what to do, in one line without its end.
    pub fn say(self) {
        let (text, numbers) = match self {
            BootError::NoModule => {
                ("no root task: pass its ELF file as the first boot module (QEMU: -initrd FILE)", [0; 2])
            }
            BootError::Elf(error) => {
                if error != ElfError::NotElf {
                    say("cannot load the root task: ", &[]);
                }
                error.message()
            }
            BootError::NoMemory { needed, found } => (
                "too little memory: the root task takes # KiB, # KiB are free; give the machine more",
                [needed.div_ceil(1024), found / 1024],
            ),
            BootError::NoSlots { pages } => (
                "the root task has # pages, too many for an initial CNode of # slots: make it smaller, or raise \
                 root_cnode_size_bits in the kernel's profile",
                [pages, 1 << ROOT_CNODE_SIZE_BITS],
            ),
            BootError::NoAddressSpace { end } => (
                "the root task ends at $, which leaves no room for its IPC buffer: link it to lower addresses",
                [end, 0],
            ),
        };
        say(text, &numbers);
    }
}

/// Where things lie in the root task's address space.
struct Layout {
    /// Start of the image, page-aligned; it ends where the IPC buffer begins.
    image: u64,
    ipc_buffer: u64,
    info: u64,
    extra: u64,
    end: u64,
}

impl Layout {
    fn new(program: &Program, extra_bytes: u64) -> Result<Self, BootError> {
        let (start, end) = program.range();
        let ipc_buffer = end.next_multiple_of(PAGE);
        let (info, extra) = (ipc_buffer + PAGE, ipc_buffer + 2 * PAGE);
        let layout = Layout {
            image: start & !(PAGE - 1),
            ipc_buffer,
            info,
            extra,
            end: extra + extra_bytes.next_multiple_of(PAGE),
        };
        if layout.end > USER_TOP {
            return Err(BootError::NoAddressSpace { end });
        }
        Ok(layout)
    }

    /// The addresses at which the tables of `level` begin.
    fn tables(&self, level: usize) -> impl Iterator<Item = u64> {
        let span = 1u64 << level_shift(level + 1);
        (self.image & !(span - 1)..self.end).step_by(span as usize)
    }
}

/// The root task as it grows: its CNode, its address space, and the memory it all comes from.
struct Builder<'m, 'a> {
    memory: &'m mut BootMemory<'a>,
    cnode: CNodeRef,
    /// The next slot to fill.
    next: u64,
    /// Bytes that the root task takes at least, and those that were free, for the error.
    needed: u64,
    found: u64,
    /// Pages of its image, for the error, too.
    pages: u64,
}

impl Builder<'_, '_> {
    fn alloc(&mut self, kind: ObjectKind) -> Result<NewCap, BootError> {
        self.memory.alloc(kind).ok_or(BootError::NoMemory { needed: self.needed, found: self.found })
    }

    fn slot(&self, index: u64) -> Link<Slot> {
        self.cnode.slot(index)
    }

    /// Puts a capability into one of the fixed slots.
    fn provide(&self, k: &Kernel, index: u64, cap: NewCap) {
        derivation::insert_root(k, cap, self.slot(index));
    }

    /// Puts an authority into one of the fixed slots.
    fn control(&mut self, k: &Kernel, index: u64, control: Control) {
        let cap = self.memory.control(control);
        self.provide(k, index, cap);
    }

    /// Takes the next slot.
    fn next(&mut self) -> Result<u64, BootError> {
        if self.next >= 1 << self.cnode.radix() {
            return Err(BootError::NoSlots { pages: self.pages });
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Puts a capability into the next slot.
    fn push(&mut self, k: &Kernel, cap: NewCap) -> Result<(), BootError> {
        let index = self.next()?;
        self.provide(k, index, cap);
        Ok(())
    }

    /// Puts capabilities into the next slots, and says into which.
    fn region(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<(), BootError>,
    ) -> Result<SlotRegion, BootError> {
        let start = self.next;
        f(self)?;
        Ok(SlotRegion { start, end: self.next })
    }

    /// A new table of `level`, mapped for `vaddr`; the tables above are there.
    fn map_table(&mut self, k: &Kernel, level: usize, vaddr: u64) -> Result<(), BootError> {
        let cap = self.alloc(ObjectKind::table(level))?;
        let index = self.next()?;
        self.provide(k, index, cap);
        // Cannot fail, here and in `map_frame`: the root task has its address space, and tables come from the root down.
        let place =
            find_root(k, ROOT_ASID).and_then(|root| TablePlace::find(k, self.slot(index), root, vaddr).ok());
        place.ok_or(BootError::NoAddressSpace { end: vaddr })?.take(k);
        Ok(())
    }

    /// A new frame, mapped at `vaddr` for reading and writing, whose capability goes to slot `index`.
    fn map_frame(&mut self, k: &Kernel, index: u64, vaddr: u64) -> Result<Words, BootError> {
        let cap = self.alloc(ObjectKind::Frame { level: 0 })?;
        let rights = tables::page_rights(FrameRights::ReadWrite, true, true, true);
        let (frame, content) = (cap.words(), Content::frame(cap.words(), rights, CacheAttr::WRITE_BACK));
        self.provide(k, index, cap);
        let mapping = Mapping { asid: ROOT_ASID, vaddr };
        let entry = tables::mapped_entry(k, mapping, 0).ok_or(BootError::NoAddressSpace { end: vaddr })?;
        if content.is_some_and(|content| entry.set(k, content)) {
            self.slot(index).get(k).set_mapping(Some(mapping));
        }
        Ok(frame)
    }

    /// The frames of the image, with what the segments put there.
    fn load(&mut self, k: &Kernel, program: &Program, layout: &Layout) -> Result<(), BootError> {
        for page in (layout.image..layout.ipc_buffer).step_by(PAGE as usize) {
            let index = self.next()?;
            let frame = self.map_frame(k, index, page)?;
            for segment in program.segments() {
                // The part of the segment's bytes in the file that lies in this page.
                let start = segment.vaddr.max(page);
                let end = (segment.vaddr + segment.file_size as u64).min(page + PAGE);
                if start < end {
                    let from = segment.offset + (start - segment.vaddr) as usize;
                    // Both ranges were checked when the file was parsed.
                    self.memory.write_module(frame, (start - page) as usize, from, (end - start) as usize);
                }
            }
        }
        Ok(())
    }

    /// All memory that is left, and device memory: no more pieces than the boot information can list, the largest if
    /// there are more, and then up to half of them for devices. Returns the bytes of memory.
    fn untyped(&mut self, k: &Kernel) -> Result<u64, BootError> {
        let slots = (1u64 << self.cnode.radix()) - self.next;
        let room = (info::MAX_UNTYPED as u64).min(slots) as u32;
        let count = |pieces: [u32; 64]| pieces.iter().sum::<u32>();
        let devices = self.memory.piece_sizes(true);
        let ram = largest(self.memory.piece_sizes(false), room - count(largest(devices, room / 2)));
        let mut bytes = 0;
        for (device, mut wanted) in [(true, largest(devices, room - count(ram))), (false, ram)] {
            while let Some(cap) = self.memory.take_untyped(device, MIN_PIECE_BITS) {
                let Cap::Untyped { bits, .. } = cap.cap() else { break };
                if let Some(left) = wanted[bits as usize].checked_sub(1) {
                    wanted[bits as usize] = left;
                    bytes += if device { 0 } else { 1 << bits };
                    self.push(k, cap)?;
                }
            }
        }
        Ok(bytes)
    }
}

/// The largest of the pieces that there are of each size (log2), as many as there is `room` for.
fn largest(mut pieces: [u32; 64], mut room: u32) -> [u32; 64] {
    for (bits, n) in pieces.iter_mut().enumerate().rev() {
        *n = if bits as u32 >= MIN_PIECE_BITS { (*n).min(room) } else { 0 };
        room -= *n;
    }
    pieces
}

/// Says on the console how much of the machine's memory is user level's: as untyped memory, and as the objects of the
/// root task. And in every profile, how much is nobody's because it falls into too many pieces.
fn report(boot: &BootData, untyped: u64, objects: u64) {
    let sum = |regions: &[PhysRegion]| regions.iter().map(PhysRegion::len).sum::<u64>();
    let lost = sum(boot.memory) - sum(boot.reserved) - untyped - objects;
    if pecan_config::DEBUG {
        let hundredths = (untyped + objects) * 10_000 / boot.usable.max(1);
        say(
            "# KiB of memory: # KiB untyped, # KiB in the root task's objects, #.## % user level's\n",
            &[
                boot.usable / 1024,
                untyped / 1024,
                objects / 1024,
                hundredths / 100,
                hundredths / 10 % 10,
                hundredths % 10,
            ],
        );
    }
    // Less is the rest of the page that the smallest objects lie in.
    if lost >= PAGE {
        say("# KiB of memory are not used: they fall into too many pieces\n", &[lost / 1024]);
    }
}

/// Builds the root task from the boot module and hands it all that the machine has. The thread returned is
/// ready to run and in no queue.
pub fn start(k: &mut Kernel, boot: &BootData, memory: &mut BootMemory) -> Result<Link<Tcb>, BootError> {
    budget::start(k);
    k.global().irq_states[IRQ_TIMER].set(IrqState::Timer);
    if boot.module.is_none() {
        return Err(BootError::NoModule);
    }
    let program = elf::parse(memory.module())?;
    let extra_bytes = boot.extras.len() as u64;
    let layout = Layout::new(&program, extra_bytes)?;
    let pages = (layout.ipc_buffer - layout.image) / PAGE;
    let tables: u64 =
        (0..ROOT_LEVEL).map(|level| (layout.end - layout.image) >> level_shift(level + 1)).sum();
    if pages + tables >= (1 << ROOT_CNODE_SIZE_BITS) - slot::NUM_INITIAL_CAPS {
        return Err(BootError::NoSlots { pages });
    }
    let cnode_kind = ObjectKind::CNode { radix: ROOT_CNODE_SIZE_BITS as u8 };
    let found = memory.free_bytes();
    let needed = layout.end - layout.image + (1 << cnode_kind.bits());
    let no_memory = BootError::NoMemory { needed, found };
    let (Some(cnode_cap), Some(vspace_cap)) =
        (memory.alloc(cnode_kind), memory.alloc(ObjectKind::table(ROOT_LEVEL)))
    else {
        return Err(no_memory);
    };
    let Cap::CNode { cnode, .. } = cnode_cap.cap() else { return Err(no_memory) };
    let mut b = Builder { memory, cnode, next: slot::NUM_INITIAL_CAPS, needed, found, pages };

    // The CSpace: with this guard, an address is a slot's index.
    b.provide(k, slot::INIT_THREAD_CNODE, cnode_cap);
    let cspace = b.slot(slot::INIT_THREAD_CNODE).get(k);
    if let Some(guarded) = cspace.words().with_guard(0, u64::BITS - cnode.radix()) {
        cspace.replace(guarded);
    }
    b.control(k, slot::IRQ_CONTROL, Control::Irq);
    b.control(k, slot::ASID_CONTROL, Control::Asid);
    for &(index, control) in arch::INITIAL {
        b.control(k, index, Control::Arch(control));
    }
    b.control(k, slot::DOMAIN, Control::Domain);

    // The VSpace.
    b.provide(k, slot::INIT_THREAD_VSPACE, vspace_cap);
    let pool_cap = b.alloc(ObjectKind::AsidPool { base: 0 })?;
    vspace::insert_pool(k, pool_cap, b.slot(slot::INIT_THREAD_ASID_POOL));
    vspace::assign(k, ROOT_ASID, b.slot(slot::INIT_THREAD_VSPACE));
    let user_image_paging = b.region(|b| {
        let mut tables =
            (0..ROOT_LEVEL).rev().flat_map(|level| layout.tables(level).map(move |at| (level, at)));
        tables.try_for_each(|(level, vaddr)| b.map_table(k, level, vaddr))
    })?;
    let mut regions = info::Regions { user_image_paging, ..Default::default() };
    b.map_frame(k, slot::INIT_THREAD_IPC_BUFFER, layout.ipc_buffer)?;
    let info_frame = b.map_frame(k, slot::BOOT_INFO_FRAME, layout.info)?;
    regions.extra_bi_pages = b.region(|b| {
        (layout.extra..layout.end).step_by(PAGE as usize).try_for_each(|vaddr| {
            let index = b.next()?;
            b.map_frame(k, index, vaddr).map(|_| ())
        })
    })?;
    regions.user_image_frames = b.region(|b| b.load(k, &program, &layout))?;

    // The thread.
    let thread = b.thread(k, &layout, program.entry)?;
    let sched_control = b.memory.control(Control::Sched { core: 0 });
    regions.sched_control = b.region(|b| b.push(k, sched_control))?;

    // All the rest.
    b.memory.release();
    let mut untyped = 0;
    regions.untyped = b.region(|b| {
        untyped = b.untyped(k)?;
        Ok(())
    })?;
    report(boot, untyped, b.memory.made_bytes());
    regions.empty = SlotRegion { start: b.next, end: 1 << ROOT_CNODE_SIZE_BITS };
    info::write(k, &mut b, boot, &layout, &regions, info_frame);
    Ok(thread)
}

impl Builder<'_, '_> {
    /// The initial thread with its scheduling context, its registers set.
    fn thread(&mut self, k: &Kernel, layout: &Layout, entry: u64) -> Result<Link<Tcb>, BootError> {
        let tcb_cap = self.alloc(ObjectKind::Tcb)?;
        let sc_cap = self.alloc(ObjectKind::SchedContext { bits: SC_BITS })?;
        let (Cap::Tcb { tcb: thread }, Cap::SchedContext { sc, .. }) = (tcb_cap.cap(), sc_cap.cap()) else {
            return Err(BootError::NoMemory { needed: self.needed, found: self.found });
        };
        self.provide(k, slot::INIT_THREAD_TCB, tcb_cap);
        self.provide(k, slot::INIT_THREAD_SC, sc_cap);
        let (tcb, sc) = (thread.get(k), sc.get(k));

        for (from, to) in [
            (slot::INIT_THREAD_CNODE, Tcb::SLOT_CSPACE),
            (slot::INIT_THREAD_VSPACE, Tcb::SLOT_VSPACE),
            (slot::INIT_THREAD_IPC_BUFFER, Tcb::SLOT_IPC_BUFFER),
        ] {
            let from = self.slot(from);
            derivation::insert(k, from.get(k).words().unmapped_frame(), from, tcb.slots[to].link());
        }
        tcb.ipc_buffer.set(layout.ipc_buffer);
        tcb.priority.set(MAX_PRIORITY as u8);
        tcb.mcp.set(MAX_PRIORITY as u8);
        tcb.domain.set(k.core().domain.get());
        let mut name = [0; NAME_LEN];
        name[..10].copy_from_slice(b"rootserver");
        tcb.name.set(name);

        let slice = us_to_ticks(BOOT_THREAD_TIME_SLICE_MS * 1000);
        refill::start(sc, refill::MIN_REFILLS, slice, 0, k.core().time.get());
        sc.tcb.set(Some(thread));
        tcb.sched_context.set(Some(sc.link()));

        tcb.context.set(reg::CAP, layout.info);
        tcb.context.set(reg::FAULT_IP, entry);
        tcb.context.set(reg::NEXT_IP, entry);
        tcb.state.set(ThreadState::Running);
        Ok(thread)
    }
}
