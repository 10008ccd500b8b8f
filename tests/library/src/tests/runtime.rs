//! The runtime: heap, console, log, panics.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicUsize, Ordering},
};

use pecan::{
    fault::Fault,
    raw::ThreadBlock,
    types::{Endpoint, Reply},
};
use pecan_runtime::{log, print, println, set_console};

use crate::{Failure, Test, check, env::Env};

pub const TESTS: &[Test] = &[
    ("the_heap_gives_memory_and_takes_it_back", heap),
    ("what_is_allocated_is_aligned", alignment),
    ("memory_can_be_added_to_the_heap", more_heap),
    ("what_is_printed_arrives_whole", printing),
    ("log_messages_go_to_the_console", logging),
    ("the_first_thread_knows_its_stack", thread_block),
    ("the_message_of_a_panic_and_its_callers_are_printed", panicking),
];

/// What was printed, up to a kilobyte.
struct Printed {
    bytes: UnsafeCell<[u8; 1024]>,
    len: AtomicUsize,
}

// SAFETY: the tests print from one thread at a time, and read when no other runs.
unsafe impl Sync for Printed {}

static PRINTED: Printed = Printed { bytes: UnsafeCell::new([0; 1024]), len: AtomicUsize::new(0) };

fn keep(bytes: &[u8]) {
    let len = PRINTED.len.load(Ordering::Relaxed);
    let room = bytes.len().min(1024 - len);
    // SAFETY: nobody else writes or reads meanwhile, and the range is within the array.
    unsafe { (&mut *PRINTED.bytes.get())[len..len + room].copy_from_slice(&bytes[..room]) };
    PRINTED.len.store(len + room, Ordering::Relaxed);
}

/// Prints to memory while `action` runs; returns what was printed.
fn printed<R>(action: impl FnOnce() -> R) -> (R, String) {
    PRINTED.len.store(0, Ordering::Relaxed);
    set_console(keep);
    let result = action();
    set_console(pecan_runtime::kernel_console);
    // SAFETY: nobody writes any more.
    let bytes = unsafe { &(&*PRINTED.bytes.get())[..PRINTED.len.load(Ordering::Relaxed)] };
    (result, String::from_utf8_lossy(bytes).into_owned())
}

fn heap(_: &mut Env<'_>) -> Result<(), Failure> {
    // Far more than there is at once, so it must come back.
    for n in 0..1000usize {
        let block: Vec<u8> = core::hint::black_box(alloc::vec![n as u8; 60_000]);
        check!(block.iter().all(|byte| *byte == n as u8));
    }
    let map: BTreeMap<usize, Box<usize>> = (0..500).map(|n| (n, Box::new(n * n))).collect();
    check!(map.iter().all(|(n, square)| **square == n * n));
    Ok(())
}

fn alignment(_: &mut Env<'_>) -> Result<(), Failure> {
    #[repr(align(256))]
    struct Aligned(u8);
    let blocks: Vec<Box<Aligned>> = (0..20).map(|n| Box::new(Aligned(n))).collect();
    check!(blocks.iter().all(|block| (&raw const **block as usize).is_multiple_of(256)));
    check!(blocks.iter().map(|block| block.0).eq(0..20));
    Ok(())
}

fn more_heap(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut wanted: Vec<u8> = Vec::new();
    check!(wanted.try_reserve_exact(500_000).is_err());
    // The memory stays the heap's, so it must not be the test's.
    let mut objects = pecan::alloc::Objects::new(env.cspace, env.pool);
    let (address, _) = env.space.map_new(&mut objects, 1 << 20)?;
    // SAFETY: it was mapped just now, and is never unmapped or used otherwise.
    unsafe { pecan_runtime::add_heap(address as *mut u8, 1 << 20) };
    check!(wanted.try_reserve_exact(500_000).is_ok());
    Ok(())
}

fn printing(_: &mut Env<'_>) -> Result<(), Failure> {
    let long: String = (0..300).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    let (_, text) = printed(|| {
        print!("{long}");
        println!(" and {}", 17);
        println!();
    });
    check!(text.len() == 300 + 8 + 1);
    check!(text.starts_with(&long) && text.ends_with(" and 17\n\n"));
    Ok(())
}

fn logging(_: &mut Env<'_>) -> Result<(), Failure> {
    let (_, text) = printed(|| {
        log::warn!("the {} is low", "tank");
        log::debug!("nobody hears this");
    });
    check!(text.starts_with("WARN ") && text.ends_with(": the tank is low\n"));
    Ok(())
}

fn thread_block(_: &mut Env<'_>) -> Result<(), Failure> {
    let local = 0u8;
    let here = &raw const local as usize;
    let block = ThreadBlock::current();
    check!((block.stack_bottom..block.stack_top).contains(&here));
    check!(core::ptr::eq(block.this, block));
    check!(block.tcb == pecan::boot::TCB.cptr());
    Ok(())
}

#[inline(never)]
extern "C" fn panics(number: usize) -> ! {
    panic!("number {number} came up")
}

fn panicking(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    let thread = env.thread(panics, 13, endpoint)?;
    let mut received = pecan::LongMessage::new(0);
    let (started, text) = printed(|| {
        thread.start()?;
        endpoint.recv_long(reply, &mut received);
        Ok::<(), pecan::Error>(())
    });
    started?;
    check!(matches!(Fault::from_message(&received), Some(Fault::UserException { number: 6, .. })));
    check!(text.contains("runtime.rs") && text.contains("number 13 came up"));
    // The innermost callers are in the library; the outermost is the thread's own function.
    let outermost = text.lines().rev().find_map(|line| line.trim().strip_prefix("called from 0x"));
    let outermost = outermost.and_then(|address| usize::from_str_radix(address, 16).ok());
    check!(outermost.is_some_and(|address| address.wrapping_sub(panics as *const () as usize) < 256));
    Ok(())
}
