//! The library `pecan` with its raw system calls as safe functions, for programs that do nothing but test the kernel.
//!
//! A test of an invocation unmaps, overwrites and deletes what it made for that, by number, hundreds of times. What `unsafe`
//! would ask of each place is settled here once, for all of them:
//!
//! 1. Such a program accesses memory that it maps, or that it gives to others, by raw pointers or atomics only.
//! 2. Its own image, its stacks and its IPC buffers stay as they were made; a test that takes one away says so and puts it back
//!    before anything needs it. A mistake in a test is a fault, which the program reports as the failure that it is.
//! 3. Its threads are made by `tests/conformance/src/thread.rs` and `tests/fuzz/src/world.rs`, which say what they run on.
#![no_std]

pub use pecan::*;

/// Makes functions of a module of `pecan` safe.
macro_rules! unchecked {
    ($($module:ident)::+: $(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)*) => {
        unchecked! { @each [$($module)::+] $([$name ($($arg: $ty),*) $($result)?])* }
    };
    (@each $module:tt $([$name:ident $args:tt $($result:ty)?])*) => {
        $( unchecked! { @one $module $name $args $($result)? } )*
    };
    (@one [$($module:ident)::+] $name:ident ($($arg:ident: $ty:ty),*) $($result:ty)?) => {
        #[doc = concat!("[`", stringify!($($module)::+), "::", stringify!($name), "`].")]
        #[inline]
        pub fn $name($($arg: $ty),*) $(-> $result)? {
            // SAFETY: see the crate's documentation.
            unsafe { $($module)::+::$name($($arg),*) }
        }
    };
}

/// [`pecan::raw`] with safe functions.
pub mod raw {
    pub mod invocations;

    use pecan::{CPtr, MessageInfo, Result};
    use pecan_abi::Label;

    pub use pecan::raw::*;

    unchecked! { pecan::raw:
        fn send(dest: CPtr, info: MessageInfo, regs: Registers);
        fn nb_send(dest: CPtr, info: MessageInfo, regs: Registers);
        fn call(dest: CPtr, info: MessageInfo, regs: Registers) -> Reply;
        fn nb_send_recv(dest: CPtr, info: MessageInfo, regs: Registers, src: CPtr, reply: CPtr) -> Reply;
        fn nb_send_wait(dest: CPtr, info: MessageInfo, regs: Registers, src: CPtr) -> Reply;
        fn any_syscall(number: i64, cap: CPtr, info: MessageInfo, regs: Registers, reply: CPtr, dest: CPtr) -> Reply;
        fn benchmark_set_log_buffer(frame: CPtr) -> Result<()>;
    }

    /// [`pecan::raw::invoke`].
    #[inline]
    pub fn invoke<const CAPS: usize, const WORDS: usize>(
        service: CPtr,
        label: Label,
        caps: [CPtr; CAPS],
        words: [u64; WORDS],
    ) -> Result<Reply> {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::invoke(service, label, caps, words) }
    }
}
