//! Where the kernel is entered and left: system calls, exceptions and interrupts.
//!
//! Every kind of entry has one function in [`sequence`], which does all of it: what a profile measures, the fast path,
//! the slow path, the choice of the next thread, the return. A port's stubs call these with the registers stored, and do
//! nothing else.
//!
//! The order in every entry: the clock is read, a thread without budget goes no further, the operation is
//! carried out and returns a `Next`, and one call of `schedule` makes that true. The image calls these
//! functions, with the registers of the running thread in its context, and nothing else of this crate on the
//! slow path; host tests and the model call the same ones, so what they check is what ships. Between two
//! entries nothing is kept on a stack: all of the kernel's state is in objects.

pub mod benchmark;
pub mod debug;
pub mod exception;
pub mod fast;
pub mod interrupt;
pub mod leave;
pub mod receive;
pub mod sequence;
pub mod syscall;
