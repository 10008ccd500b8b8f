//! What stays from round to round: the supervisor's own objects, the witness, the ticker, and the memory that the
//! random threads share with the supervisor.

use core::{arch::asm, cell::UnsafeCell};

use pecan::{
    Error, Result, UserContext,
    boot::BootInfo,
    raw::{self, invocations as inv},
};
use pecan_abi::{CapRights, MessageInfo, ObjectType, boot::slot};

use crate::{
    rng::mix,
    shared::{AREA_PAGES, AREA_STRIDE, AREAS, SHARED, SHARED_PAGES, THREADS},
    witness,
};

/// The supervisor's CSpace.
pub const ROOT: u64 = slot::INIT_THREAD_CNODE;
/// The depth at which addresses use all their bits.
pub const DEPTH: u8 = 64;
/// log2 of the memory of a round.
pub const WORLD_BITS: u64 = 24;
/// Slots for a round.
pub const WORLD_SLOTS: u64 = 512;

/// Slots of the supervisor's table of its own calls, of which the first is not there.
pub const DIRECTOR_SLOTS: u64 = 32;

/// Badges of what the supervisor hears of, beside the faults of thread `i`, whose badge is `i + 1`.
pub const TICK: u64 = 1 << 20;
/// Nobody of the random threads runs.
pub const IDLE: u64 = 1 << 21;

/// Microseconds between two ticks.
pub const TICK_US: u64 = 300;
/// Time of the witness's computing thread, in microseconds per 1000.
const WITNESS_BUDGET: u64 = 60;

/// Why the fuzzer itself gave up: a step, and the error of the kernel.
pub type Step<T> = core::result::Result<T, (&'static str, Error)>;

/// Says which step it was that failed.
pub trait In<T> {
    /// Adds the name of the step.
    fn during(self, step: &'static str) -> Step<T>;
}

impl<T> In<T> for Result<T> {
    fn during(self, step: &'static str) -> Step<T> {
        self.map_err(|error| (step, error))
    }
}

/// A thread's stack in this program.
#[repr(C, align(4096))]
struct Stack(UnsafeCell<[u8; 4096]>);
// SAFETY: each is used by one thread.
unsafe impl Sync for Stack {}
static STACKS: [Stack; 2] = [const { Stack(UnsafeCell::new([0; 4096])) }; 2];

/// What stays.
pub struct House {
    /// The boot information.
    pub boot: BootInfo,
    next: u64,
    untyped: u64,
    /// All that a round is made of.
    pub world: u64,
    /// A large device untyped, if the machine has one that nothing is behind.
    pub device: Option<u64>,
    /// The first slot of a round.
    pub world_slots: u64,
    /// Authorities that only the supervisor uses: interrupts, I/O ports, domains, in consecutive slots.
    pub controls: u64,
    /// Faults, ticks and the idle thread are heard of here.
    pub ep: u64,
    /// A capability to it for each random thread.
    pub fault_eps: u64,
    /// Takes those who fault.
    pub reply: u64,
    /// Lets the idle thread go on.
    pub idle_go: u64,
    /// A bad one wakes nobody.
    pub tsc_mhz: u64,
    /// Frames of [`crate::shared::Shared`] and of the areas.
    pub frames: u64,
    ping_ep: u64,
    /// The witness's progress at the last ping, when that was, and the longest that an answer took, in ticks of
    /// the clock.
    progress: u64,
    last_ping: u64,
    /// The slowest answer.
    pub slowest_ping: u64,
    /// How many there were.
    pub pings: u64,
    /// Pages that the witness computed.
    pub computed: u64,
}

/// The time-stamp counter.
pub fn clock() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register that user level may read.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Makes objects; the first slot is given.
pub fn retype(untyped: u64, what: ObjectType, bits: u64, first: u64, count: u64) -> Result<()> {
    inv::untyped_retype(untyped, what.word(), bits, ROOT, 0, 0, first, count)
}

/// Copies a capability within the supervisor's CSpace.
pub fn copy(source: u64, dest: u64, rights: CapRights) -> Result<()> {
    inv::cnode_copy(ROOT, dest, DEPTH, ROOT, source, DEPTH, rights)
}

/// Maps the tables for the 2 MiB at an address, as far as they are missing.
pub fn map_tables(vspace: u64, address: u64, untyped: u64, mut next: impl FnMut() -> u64) -> Step<()> {
    type Map = fn(u64, u64, u64, u64) -> Result<()>;
    let levels: [(ObjectType, Map); 3] = [
        (ObjectType::Pdpt, inv::pdpt_map),
        (ObjectType::PageDirectory, inv::page_directory_map),
        (ObjectType::PageTable, inv::page_table_map),
    ];
    for (object, map) in levels {
        let slot = next();
        retype(untyped, object, 0, slot, 1).during("making a paging structure")?;
        match map(slot, vspace, address, 0) {
            // There is one already.
            Err(Error::DeleteFirst) => inv::cnode_delete(ROOT, slot, DEPTH).during("giving a table back")?,
            other => other.during("mapping a paging structure")?,
        }
    }
    Ok(())
}

unsafe extern "C" {
    static __text_start: u8;
}

/// The pages of the program's image that random threads and the witness need: code, constants, and the first page of
/// what follows, where the linker puts the addresses of symbols.
pub fn code_pages() -> core::ops::Range<u64> {
    let start = &raw const __text_start as u64 & !0xfff;
    start..(&raw const crate::PECAN_FUZZ_OPTIONS as u64 & !0xfff) + 4096
}

impl House {
    /// Makes everything.
    pub fn new(boot: BootInfo) -> Step<Self> {
        let first = boot.raw().empty.start;
        crate::serial::init(first);
        let largest = boot.untypeds().filter(|(_, u)| u.is_device == 0).max_by_key(|(_, u)| u.size_bits);
        let (large, _) = largest.ok_or(("looking for memory", Error::NoMemory { size_bits: 26 }))?;
        // Above 4 GiB, where the emulated machines have no devices, and not larger than need be.
        let device = boot
            .untypeds()
            .filter(|(_, u)| u.is_device != 0 && u.size_bits >= 31 && u.paddr >= 1 << 32)
            .min_by_key(|(_, u)| u.size_bits)
            .map(|(cap, _)| cap.cptr());
        let mut house = House {
            boot,
            next: first + 1,
            untyped: 0,
            world: 0,
            device,
            world_slots: 0,
            controls: 0,
            ep: 0,
            fault_eps: 0,
            reply: 0,
            idle_go: 0,
            tsc_mhz: u64::from(boot.tsc_mhz().unwrap_or(1000)).max(1),
            frames: 0,
            ping_ep: 0,
            progress: 0,
            last_ping: 0,
            slowest_ping: 0,
            pings: 0,
            computed: 0,
        };
        // The world first: it is the largest, and aligned.
        house.world = house.slots(1);
        retype(large.cptr(), ObjectType::Untyped, WORLD_BITS, house.world, 1)
            .during("making the world's untyped")?;
        house.untyped = house.slots(1);
        retype(large.cptr(), ObjectType::Untyped, 21, house.untyped, 1)
            .during("making the house's untyped")?;
        house.controls = house.slots(DIRECTOR_SLOTS);
        for (dest, control) in
            [slot::IRQ_CONTROL, slot::IO_PORT_CONTROL, slot::DOMAIN].into_iter().enumerate()
        {
            let dest = house.controls + dest as u64;
            inv::cnode_move(ROOT, dest, DEPTH, ROOT, control, DEPTH).during("taking an authority")?;
        }
        house.ep = house.object(ObjectType::Endpoint)?;
        house.reply = house.object(ObjectType::Reply)?;
        house.idle_go = house.object(ObjectType::Notification)?;
        house.fault_eps = house.slots(THREADS as u64);
        for i in 0..THREADS as u64 {
            house.mint(house.ep, house.fault_eps + i, i + 1)?;
        }
        house.map_shared()?;
        house.make_helpers()?;
        house.make_witness(large.cptr())?;
        house.world_slots = house.slots(WORLD_SLOTS);
        Ok(house)
    }

    fn slots(&mut self, count: u64) -> u64 {
        let first = self.next;
        self.next += count;
        first
    }

    fn object(&mut self, what: ObjectType) -> Step<u64> {
        let dest = self.slots(1);
        retype(self.untyped, what, 0, dest, 1).during("making an object of the house")?;
        Ok(dest)
    }

    fn mint(&self, source: u64, dest: u64, badge: u64) -> Step<()> {
        inv::cnode_mint(ROOT, dest, DEPTH, ROOT, source, DEPTH, CapRights::ALL, badge).during("minting")
    }

    /// The memory that random threads share with the supervisor.
    fn map_shared(&mut self) -> Step<()> {
        let (vspace, untyped) = (slot::INIT_THREAD_VSPACE, self.untyped);
        map_tables(vspace, SHARED, untyped, || self.slots(1))?;
        let pages = SHARED_PAGES + THREADS as u64 * AREA_PAGES;
        self.frames = self.slots(pages);
        for page in 0..pages {
            retype(untyped, ObjectType::Page4K, 0, self.frames + page, 1).during("making a shared page")?;
            inv::page_map(self.frames + page, vspace, shared_address(page), CapRights::READ_WRITE, 0)
                .during("mapping a shared page")?;
        }
        Ok(())
    }

    fn thread(&mut self, budget: (u64, u64), priority: u64, spaces: (u64, u64, u64)) -> Step<u64> {
        let tcb = self.object(ObjectType::Tcb)?;
        let sc = self.slots(1);
        retype(self.untyped, ObjectType::SchedContext, 8, sc, 1).during("making a scheduling context")?;
        let control = self.boot.sched_control(0).during("looking for the time")?.cptr();
        inv::sched_control_configure_flags(control, sc, budget.0, budget.1, 0, 0, 0).during("giving time")?;
        let (cspace, guard, vspace) = spaces;
        inv::tcb_configure(tcb, cspace, guard, vspace, 0, 0, 0).during("configuring a thread")?;
        inv::tcb_set_sched_params(tcb, slot::INIT_THREAD_TCB, 0, priority, sc, 0)
            .during("setting a priority")?;
        Ok(tcb)
    }

    /// The thread that ticks, and the one that runs when no random thread does.
    fn make_helpers(&mut self) -> Step<()> {
        let tick = self.object(ObjectType::Notification)?;
        inv::tcb_bind_notification(slot::INIT_THREAD_TCB, tick).during("binding the tick")?;
        let (ticks, idles) = (self.slots(1), self.slots(1));
        self.mint(tick, ticks, TICK)?;
        self.mint(self.ep, idles, IDLE)?;
        let own = (ROOT, 0, slot::INIT_THREAD_VSPACE);
        let ticker = self.thread((100, TICK_US), 255, own)?;
        start(ticker, ticker_main as *const () as u64, stack_top(0), [ticks, 0], 0)?;
        let idle = self.thread((1000, 1000), 1, own)?;
        start(idle, idle_main as *const () as u64, stack_top(1), [idles, self.idle_go], 0)
    }

    fn make_witness(&mut self, large: u64) -> Step<()> {
        let untyped = self.slots(1);
        retype(large, ObjectType::Untyped, 19, untyped, 1).during("making the witness's untyped")?;
        self.ping_ep = self.object(ObjectType::Endpoint)?;
        let make = |house: &mut Self, what, bits| -> Step<u64> {
            let dest = house.slots(1);
            retype(untyped, what, bits, dest, 1).during("making an object of the witness")?;
            Ok(dest)
        };
        let vspace = make(self, ObjectType::VSPACE, 0)?;
        inv::asid_pool_assign(slot::INIT_THREAD_ASID_POOL, vspace).during("giving the witness an ASID")?;
        let cspace = make(self, ObjectType::CNode, 4)?;
        let reply = make(self, ObjectType::Reply, 0)?;
        for (index, cap) in [(witness::EP, self.ping_ep), (witness::REPLY, reply)] {
            inv::cnode_copy(cspace, index, 4, ROOT, cap, DEPTH, CapRights::ALL).during("filling a CSpace")?;
        }
        map_tables(vspace, code_pages().start, untyped, || self.slots(1))?;
        for address in code_pages().step_by(4096) {
            let page = self.slots(1);
            copy(self.image_page(address)?, page, CapRights::READ).during("copying a page of code")?;
            inv::page_map(page, vspace, address, CapRights::READ, 0).during("mapping code")?;
        }
        map_tables(vspace, witness::MEMORY, untyped, || self.slots(1))?;
        for page in 0..witness::PAGES {
            let frame = make(self, ObjectType::Page4K, 0)?;
            let address = witness::MEMORY + page * 4096;
            inv::page_map(frame, vspace, address, CapRights::READ_WRITE, 0).during("mapping the witness")?;
            if address == witness::STATE {
                self.init_state(frame)?;
            }
        }
        let stack = |n| witness::MEMORY + n * witness::STACK_PAGES * 4096;
        let spaces = (cspace, 60, vspace);
        let ping = self.thread((500, 1000), 251, spaces)?;
        start(ping, witness::ping as *const () as u64, stack(1), [0, 0], witness::STATE)?;
        let compute = self.thread((WITNESS_BUDGET, 1000), 250, spaces)?;
        start(compute, witness::compute as *const () as u64, stack(2), [0, 0], witness::STATE)?;
        self.last_ping = clock();
        Ok(())
    }

    /// Writes the witness's address into its state, through a window of ours.
    fn init_state(&mut self, frame: u64) -> Step<()> {
        let window = AREAS - 4096;
        let copied = self.slots(1);
        copy(frame, copied, CapRights::ALL).during("copying a frame")?;
        inv::page_map(copied, slot::INIT_THREAD_VSPACE, window, CapRights::READ_WRITE, 0)
            .during("mapping the witness's state")?;
        // SAFETY: just mapped, for this.
        unsafe { (window as *mut u64).write_volatile(witness::STATE) };
        inv::cnode_delete(ROOT, copied, DEPTH).during("deleting a copy")
    }

    /// The capability to a page of this program's image.
    pub fn image_page(&self, address: u64) -> Step<u64> {
        let image = pecan_runtime::image_start();
        self.boot.image_frame(image, address as usize).map(|cap| cap.cptr()).during("looking for code")
    }

    /// Asks the witness how it is; `strict` where time is that of the guest alone, and the supervisor has not had all
    /// of it for itself since the last time.
    pub fn ping(&mut self, strict: bool) -> core::result::Result<(), &'static str> {
        let start = clock();
        let word = mix(start);
        let reply = raw::call(self.ping_ep, MessageInfo::new(1, 0, 0, 1), [word, 0, 0, 0]);
        let end = clock();
        let us = (end - start) / self.tsc_mhz;
        self.slowest_ping = self.slowest_ping.max(end - start);
        self.pings += 1;
        let [answer, progress, wrong, _] = reply.regs;
        if answer != witness::answer(word) || reply.info.length() != 3 {
            return Err("the witness answered something else");
        }
        if let Some(text) = witness::WRONG.get(wrong.trailing_zeros() as usize) {
            return Err(text);
        }
        // In between there may be two entries of the domain schedule that are not ours, of 200 us at most.
        if us > if strict { 600 } else { 2_000_000 } {
            return Err("the witness took too long to answer");
        }
        let passed = (end - self.last_ping) / self.tsc_mhz;
        // A page takes less than 6000 instructions; of its time the witness must have had half at least.
        let due = passed.saturating_sub(2000) * WITNESS_BUDGET / 1000 / 2 / 6;
        if strict && progress - self.progress < due || passed > 10_000_000 && progress == self.progress {
            return Err("the witness did not get its time");
        }
        self.computed += progress - self.progress;
        (self.progress, self.last_ping) = (progress, end);
        Ok(())
    }
}

/// Where a page of the shared memory is mapped.
pub fn shared_address(page: u64) -> u64 {
    match page.checked_sub(SHARED_PAGES) {
        None => SHARED + page * 4096,
        Some(page) => AREAS + page / AREA_PAGES * AREA_STRIDE + page % AREA_PAGES * 4096,
    }
}

fn stack_top(index: usize) -> u64 {
    STACKS[index].0.get() as u64 + 4096
}

/// Starts a thread at a function with two arguments.
pub fn start(tcb: u64, function: u64, stack_top: u64, arguments: [u64; 2], base: u64) -> Step<()> {
    inv::tcb_write_registers(
        tcb,
        true,
        0,
        UserContext::WORDS as u64,
        &registers(function, stack_top, arguments, base),
    )
    .during("starting a thread")
}

/// The registers of a thread at the beginning of a function.
pub fn registers(function: u64, stack_top: u64, arguments: [u64; 2], base: u64) -> UserContext {
    UserContext {
        rip: function,
        // As after a call: the stack is 8 off its alignment.
        rsp: stack_top - 8,
        rflags: 0x202,
        rdi: arguments[0],
        rsi: arguments[1],
        fs_base: base,
        gs_base: base,
        ..UserContext::default()
    }
}

extern "C" fn ticker_main(tick: u64) -> ! {
    loop {
        raw::send(tick, MessageInfo(0), [0; 4]);
        raw::yield_now();
    }
}

extern "C" fn idle_main(ep: u64, go: u64) -> ! {
    loop {
        raw::send(ep, MessageInfo(0), [0; 4]);
        raw::wait(go);
    }
}
