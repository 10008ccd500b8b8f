//! What a program on Pecan needs around its `main`: entry, stack, TLS, panics, a heap, printing, logging
//! and random numbers.
//!
//! A root task (the first program, started by the kernel) says
//!
//! ```text
//! #![no_std]
//! #![no_main]
//! pecan_runtime::root_task!(main);
//! fn main(boot: pecan::boot::BootInfo) { pecan_runtime::println!("{} nodes", boot.raw().num_nodes); }
//! ```
//!
//! and any other program `pecan_runtime::component!(main)` with `fn main(startup: &'static Startup<'static>)`. What `main`
//! returns is what the supervisor is told ([`Outcome`]).
//!
//! The program's `build.rs` passes the linker script on; see the crate's README.
#![no_std]

// On the host programs are only looked at (`cargo check`, rust-analyzer). There this is what has a panic handler and an
// allocator, also for a program that depends on nothing else.
#[cfg(not(target_os = "none"))]
extern crate std;

mod console;
// The host's own serve there.
#[cfg(target_os = "none")]
mod crates;
#[cfg(feature = "heap")]
mod heap;
mod logger;
mod outcome;
mod panic;
mod random;
mod start;
#[cfg(feature = "heap")]
pub mod sync;

pub use console::{_print, discard, kernel_console, set_console};
#[cfg(feature = "heap")]
pub use heap::add_heap;
pub use log;
pub use outcome::{Outcome, exit};
pub use pecan;
pub use random::{NoRandom, random};
pub use start::{image_start, startup};

#[doc(hidden)]
pub use start::{__start_component, __start_root_task};

/// Makes a function the `main` of a root task: `fn(BootInfo) -> impl Outcome`.
#[macro_export]
macro_rules! root_task {
    ($main:path) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn __pecan_main(argument: usize) -> ! {
            // SAFETY: the code that the program starts in calls this, once, with the argument that it was started with.
            unsafe { $crate::__start_root_task(argument, $main) }
        }
    };
}

/// Makes a function the `main` of a program that a supervisor starts: `fn(&'static Startup) -> impl Outcome`.
#[macro_export]
macro_rules! component {
    ($main:path) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn __pecan_main(argument: usize) -> ! {
            // SAFETY: the code that the program starts in calls this, once, with the argument that it was started with.
            unsafe { $crate::__start_component(argument, $main) }
        }
    };
}

/// Prints on the console, as `std`'s `print!` does.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::_print(::core::format_args!($($arg)*)) };
}

/// Prints a line on the console, as `std`'s `println!` does.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::_print(::core::format_args!("{}\n", ::core::format_args!($($arg)*))) };
}
