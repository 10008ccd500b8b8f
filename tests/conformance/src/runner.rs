//! Runs the tests, each in a thread of its own.

use core::{
    fmt::Write,
    panic::PanicInfo,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed},
};

use pecan::{
    fault::Fault,
    raw::{self, ThreadBlock, invocations as inv},
};
use pecan_abi::{
    CPtr, MessageInfo, ObjectType,
    boot::{BootInfoHeader, BootInfoId, slot},
    x86_64::boot::BootInfoTscFreq,
};

use crate::{
    console::Text,
    env::{DEPTH, Env, ROOT, TEST, delete, info, is_empty, memory_left, registers, revoke, sched_control},
    machine, matrix, print, println,
    start::{self, boot_info},
    tests::{self, Test},
    thread::{Spaces, Thread},
};

/// How long a test may take.
const DEADLINE_US: u64 = 20_000_000;
/// How often the watchdog looks.
const WATCHDOG_PERIOD_US: u64 = 100_000;
/// log2 of the bytes that a test can use, where the machine has them.
const UNTYPED_BITS: u64 = 24;
/// How many slots a test can use.
const SLOTS: u64 = 1200;
/// The index of the watchdog's memory, and of the first test thread's.
const WATCHDOG: usize = 0;
const FIRST_THREAD: usize = 1;

/// Labels of messages to the runner; faults have small ones.
const PASSED: u64 = 0x100;
const PANICKED: u64 = 0x101;
/// Badges of messages to the runner.
const BADGE_WATCHDOG: u64 = 1 << 40;

/// The endpoint that the runner listens on. Other threads use [`fault_endpoint`].
static REPORT_EP: AtomicU64 = AtomicU64::new(0);
/// When the test that runs must have ended, in ticks of the time-stamp counter.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Which tests to run: those whose name contains this text. Written into the program's file by `cargo xtask test`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.filter")]
#[used]
static PECAN_TEST_FILTER: [u8; 128] = [0; 128];

/// The filter that prints the matrix of what is covered.
const MATRIX: &str = "--matrix";

/// Why a test failed.
type Why = Text<400>;

/// What a panicking thread said.
static PANIC: Message = Message(core::cell::UnsafeCell::new(Text::new()));
struct Message(core::cell::UnsafeCell<Why>);
// SAFETY: written by a thread that panics, which then waits for the runner, which reads it; a second thread that
// panics meanwhile can only garble the text.
unsafe impl Sync for Message {}

/// Which part of the running test has begun last: for the text of a failure.
static PART: AtomicPtr<&'static str> = AtomicPtr::new(core::ptr::null_mut());

/// Says which part of the running test begins.
pub fn note(part: &'static &'static str) {
    PART.store(core::ptr::from_ref(part).cast_mut(), Relaxed);
}

/// Where threads of tests report to, and where their faults go.
pub fn fault_endpoint() -> CPtr {
    REPORT_EP.load(Relaxed)
}

/// The capabilities that the runner works with.
struct Runner {
    report_ep: CPtr,
    reply: CPtr,
    untyped: CPtr,
    untyped_bits: u64,
    first_slot: CPtr,
    end_slot: CPtr,
}

/// Runs all tests that the filter lets through.
pub fn main() -> ! {
    let filter = filter();
    let modules = tests::MODULES;
    if filter == MATRIX {
        matrix::print(modules);
        println!("conformance: 0 passed, 0 failed, 0 skipped");
        raw::debug_halt();
    }
    let runner = Runner::new();
    let (mut passed, mut failed) = (0, 0);
    for module in modules.iter().filter(|m| m.benchmark.is_none_or(|kind| kind == benchmark())) {
        for test in module.tests {
            let mut name = Text::<128>::new();
            let _ = write!(name, "{}::{}", module.name, test.name);
            if !name.as_str().contains(filter) {
                continue;
            }
            print!("test {} ... ", name.as_str());
            match runner.run(test) {
                Ok(()) => {
                    passed += 1;
                    println!("ok");
                }
                Err(why) => {
                    failed += 1;
                    println!("FAILED: {}", why.as_str());
                }
            }
        }
    }
    println!("conformance: {passed} passed, {failed} failed, 0 skipped");
    raw::debug_halt();
    loop {
        raw::yield_now();
    }
}

/// Which benchmark system calls the kernel has, as its profile says it; written into the program's file by `cargo xtask
/// test`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.filter")]
#[used]
static PECAN_BENCHMARK: [u8; 32] = [0; 32];

/// The benchmark system calls that the kernel has: `"none"`, `"generic"`, `"track_utilisation"` or
/// `"track_kernel_entries"`.
pub fn benchmark() -> &'static str {
    match text(&PECAN_BENCHMARK) {
        "" => "none",
        text => text,
    }
}

fn filter() -> &'static str {
    text(&PECAN_TEST_FILTER)
}

/// The text in bytes that are changed in the file after compilation, so that the compiler must not know them.
fn text(bytes: &'static [u8]) -> &'static str {
    let bytes = core::hint::black_box(bytes);
    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..len]).unwrap_or("")
}

impl Runner {
    /// Takes an untyped of the machine's, and makes what the runner needs: its endpoint and the watchdog.
    fn new() -> Self {
        let bi = boot_info();
        if let Some(mhz) = tsc_mhz() {
            machine::set_tsc_mhz(mhz);
        }
        // The runner's own objects come from the smallest untyped that has room for them, the tests' from the
        // smallest that is large enough.
        let untyped = |bits: u64, other: CPtr| {
            let list = &bi.untyped_list[..bi.untyped.len() as usize];
            let found = list.iter().enumerate().filter(|(index, u)| {
                u.is_device == 0
                    && u64::from(u.size_bits) >= bits
                    && bi.untyped.start + *index as u64 != other
            });
            let found = found.min_by_key(|(_, u)| u.size_bits).expect("an untyped");
            bi.untyped.start + found.0 as u64
        };
        let large = untyped(UNTYPED_BITS, 0);
        let small = untyped(14, large);
        let mut next = bi.empty.start;
        let mut make = |from, object_type: ObjectType, bits| {
            inv::untyped_retype(from, object_type.word(), bits, ROOT, 0, 0, next, 1).expect("retype");
            next += 1;
            next - 1
        };
        let report_ep = make(small, ObjectType::Endpoint, 0);
        let reply = make(small, ObjectType::Reply, 0);
        let alarm = make(small, ObjectType::Notification, 0);
        let watchdog = Thread {
            tcb: make(small, ObjectType::Tcb, 0),
            sc: make(small, ObjectType::SchedContext, 8),
            done: 0,
            index: WATCHDOG,
        };
        let untyped = make(large, ObjectType::Untyped, UNTYPED_BITS);
        let badged = next;
        inv::cnode_mint(ROOT, badged, DEPTH, ROOT, alarm, DEPTH, pecan_abi::CapRights::ALL, BADGE_WATCHDOG)
            .expect("mint");
        let first_slot = badged + 1;

        REPORT_EP.store(report_ep, Relaxed);
        inv::tcb_bind_notification(slot::INIT_THREAD_TCB, alarm).expect("bind the alarm");
        inv::sched_control_configure_flags(sched_control(), watchdog.sc, 1_000, WATCHDOG_PERIOD_US, 0, 0, 0)
            .expect("configure the watchdog");
        watchdog.configure(Spaces { fault_ep: 0, ..Spaces::own() }, 255);
        watchdog.start(move || {
            loop {
                if machine::tsc() > DEADLINE.load(Relaxed) {
                    DEADLINE.store(u64::MAX, Relaxed);
                    crate::env::signal(badged);
                }
                raw::yield_now();
            }
        });
        Runner {
            report_ep,
            reply,
            untyped,
            untyped_bits: UNTYPED_BITS,
            first_slot,
            end_slot: first_slot + SLOTS,
        }
    }

    /// Runs a test and cleans up after it.
    fn run(&self, test: &'static Test) -> Result<(), Why> {
        let env = Env::new(self.untyped, self.untyped_bits, self.first_slot, self.end_slot, FIRST_THREAD);
        let thread = env.thread(TEST);
        let before = memory_left(self.untyped, self.end_slot);
        let report_ep = self.report_ep;
        PART.store(core::ptr::null_mut(), Relaxed);
        DEADLINE.store(machine::tsc() + machine::ticks(DEADLINE_US), Relaxed);
        thread.start(move || {
            (test.body)(&env);
            raw::call(report_ep, MessageInfo::new(PASSED, 0, 0, 0), [0; 4]);
            0
        });
        let verdict = self.verdict(thread.tcb);
        DEADLINE.store(u64::MAX, Relaxed);
        let cleaned = self.clean(before);
        verdict.and(cleaned)
    }

    /// Waits for what becomes of the test.
    fn verdict(&self, test_tcb: CPtr) -> Result<(), Why> {
        let received = raw::recv(self.report_ep, self.reply);
        let mut why = Why::new();
        // SAFETY: null, or from a reference that lives for ever.
        if let Some(part) = unsafe { PART.load(Relaxed).as_ref() } {
            let _ = write!(why, "[{part}] ");
        }
        if received.badge & BADGE_WATCHDOG != 0 {
            let _ = write!(why, "it did not end within {} s", DEADLINE_US / 1_000_000);
            if let Ok(regs) = inv::tcb_read_registers(test_tcb, true, 0, 20) {
                let _ = write!(why, " (at {:#x}, label {})", regs.rip, regs.rsi >> 12);
            }
            return Err(why);
        }
        match received.info.label() {
            PASSED => return Ok(()),
            // SAFETY: the thread that wrote it waits for an answer.
            PANICKED => _ = why.write_str(unsafe { (*PANIC.0.get()).as_str() }),
            _ => {
                let message = pecan::LongMessage::from(received);
                match Fault::from_message(&message) {
                    Some(fault) => _ = write!(why, "fault: {fault:x?}"),
                    None => _ = write!(why, "an unknown message, label {}", received.info.label()),
                }
            }
        }
        Err(why)
    }

    /// Deletes what the test left, and looks whether all memory has come back.
    fn clean(&self, left_at_start: Option<u64>) -> Result<(), Why> {
        let mut why = Why::new();
        tests::reset_domains();
        for slot in self.first_slot..self.end_slot {
            if !is_empty(slot)
                && let Err(error) = delete(slot)
            {
                let _ =
                    write!(why, "cleaning up: slot {} cannot be deleted: {error}", slot - self.first_slot);
            }
        }
        if let Err(error) = revoke(self.untyped) {
            let _ = write!(why, "cleaning up: the untyped cannot be revoked: {error}");
        }
        let all = 1 << self.untyped_bits;
        let left = memory_left(self.untyped, self.end_slot);
        if left != Some(all) {
            let _ = write!(
                why,
                "memory leaked: {left:x?} bytes of {all:#x} are left ({left_at_start:x?} at the start)"
            );
        }
        // The memory really is free if it can be had in one piece.
        let dest = self.first_slot;
        match inv::untyped_retype(
            self.untyped,
            ObjectType::Untyped.word(),
            self.untyped_bits,
            ROOT,
            0,
            0,
            dest,
            1,
        ) {
            Ok(()) => _ = delete(dest),
            Err(error) => _ = write!(why, "memory leaked: {error}"),
        }
        if why.as_str().is_empty() { Ok(()) } else { Err(why) }
    }
}

/// What the boot information says of the time-stamp counter.
fn tsc_mhz() -> Option<u64> {
    let bi = boot_info();
    let first = bi as *const _ as u64 + 4096;
    let mut at = first;
    while at + size_of::<BootInfoHeader>() as u64 <= first + bi.extra_len {
        // SAFETY: the kernel maps `extra_len` bytes of chunks behind the boot information, each with a head.
        let header = unsafe { (at as *const BootInfoHeader).read_unaligned() };
        if header.id == BootInfoId::X86TscFreq.word() {
            // SAFETY: such a chunk is of this type.
            return Some(unsafe { (at as *const BootInfoTscFreq).read_unaligned() }.mhz.into());
        }
        if header.len == 0 {
            return None;
        }
        at += header.len;
    }
    None
}

/// A thread of a test that panics has failed the test; one of the runner's ends the program.
#[panic_handler]
fn panic(panic: &PanicInfo) -> ! {
    if start::current().is_none() || start::current() == Some(WATCHDOG) {
        println!("\nconformance: the runner itself panicked: {panic}");
        raw::debug_halt();
        loop {
            raw::yield_now();
        }
    }
    // SAFETY: see `Message`.
    let text = unsafe { &mut *PANIC.0.get() };
    text.clear();
    if let Some(place) = panic.location() {
        let file = place.file().rsplit("src/").next().unwrap_or_default();
        let _ = write!(text, "{file}:{}: ", place.line());
    }
    let _ = write!(text, "{}", panic.message());
    loop {
        let _ = ThreadBlock::current();
        raw::call(REPORT_EP.load(Relaxed), info(PANICKED, &[], &[]), registers(&[]));
    }
}
