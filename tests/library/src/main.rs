//! Tests of the user-level libraries on the target.
#![no_std]
#![no_main]

extern crate alloc;

mod env;
mod tests;

use pecan::{
    boot::{self, BootInfo},
    cspace::{CSpace, SlotRange, Slots},
    memory::UntypedPool,
};
use pecan_runtime::{print, println};

use env::Env;

pecan_runtime::root_task!(main);

/// A test: its name and what it does.
pub type Test = (&'static str, fn(&mut Env<'_>) -> Result<(), Failure>);

/// Why a test failed.
pub enum Failure {
    /// Something that should hold does not.
    Check(&'static str),
    /// An operation that should succeed did not.
    Error(pecan::Error),
}

impl From<pecan::Error> for Failure {
    fn from(error: pecan::Error) -> Self {
        Self::Error(error)
    }
}

/// Fails the test unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return Err($crate::Failure::Check(concat!(stringify!($condition), ", ", file!(), ":", line!())));
        }
    };
}

/// log2 of the memory that a test can use.
const MEMORY_BITS: u32 = 23;
/// How many slots a test can use.
const SLOTS: u64 = 1024;

/// Which tests to run: those whose name contains this text. Written into the program's file by `cargo xtask test`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.filter")]
#[used]
static PECAN_TEST_FILTER: [u8; 128] = [0; 128];

/// The text that is in the file now, which the compiler must not know.
fn filter() -> &'static str {
    let bytes = core::hint::black_box(&PECAN_TEST_FILTER);
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or(bytes);
    core::str::from_utf8(text).unwrap_or("")
}

fn main(boot: BootInfo) -> pecan::Result<u64> {
    let mut cspace = CSpace::new(boot::CNODE, boot.raw().empty);
    let mut pool = UntypedPool::new();
    pool.add_boot_untypeds(&boot);
    let slot = cspace.take(1)?;
    let mut memory = pecan::memory::split(&mut pool, MEMORY_BITS, slot)?;
    let mut slots = cspace.carve(SLOTS)?;
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in tests::all().filter(|(name, _)| name.contains(filter())) {
        print!("test {name} ... ");
        let mut env = Env::new(boot, &mut slots, &mut memory, &mut pool, &mut cspace);
        let result = test(&mut env);
        pecan_runtime::set_console(pecan_runtime::kernel_console);
        match result {
            Ok(()) => {
                passed += 1;
                println!("ok");
            }
            Err(failure) => {
                failed += 1;
                match failure {
                    Failure::Check(what) => println!("FAILED: {what}"),
                    Failure::Error(error) => println!("FAILED: {error}"),
                }
            }
        }
        clean(&mut slots, &mut memory)?;
    }
    println!("conformance: {passed} passed, {failed} failed, 0 skipped");
    pecan::raw::debug_halt();
    Ok(failed)
}

/// Empties the slots of a test and takes its memory back.
fn clean(slots: &mut SlotRange, memory: &mut pecan::memory::Region) -> pecan::Result<()> {
    for index in slots.used().start..slots.used().end {
        // SAFETY: the test is over, and its threads, which used what it mapped, go with the rest.
        unsafe { slots.slot_of(index).delete() }?;
    }
    // SAFETY: as above.
    unsafe { memory.reset(slots) }?;
    slots.reset();
    Ok(())
}
