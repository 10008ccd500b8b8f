//! Panics.

pub(crate) use pecan::arch::stop;

#[cfg(target_os = "none")]
mod handler {
    use core::{
        panic::PanicInfo,
        sync::atomic::{AtomicBool, Ordering},
    };

    use pecan::{raw::ThreadBlock, stack::Frames};

    use crate::println;

    static PANICKING: AtomicBool = AtomicBool::new(false);

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        // A panic while printing one says nothing more.
        if !PANICKING.swap(true, Ordering::Relaxed) {
            println!("{info}");
            if crate::startup().is_none() {
                print_callers();
            }
        }
        super::stop()
    }

    /// Prints the addresses from which this was called. Only for programs that nobody looks after: a component's supervisor
    /// reports them with names.
    fn print_callers() {
        let frame = pecan::arch::frame_pointer();
        let thread = ThreadBlock::current();
        let stack = thread.stack_bottom..thread.stack_top;
        let read = |address: u64| {
            let address = address as usize;
            let inside = stack.contains(&address) && stack.contains(&(address + 7));
            // SAFETY: the word is within the stack this thread runs on, and aligned as the walk promises.
            inside.then(|| unsafe { (address as *const u64).read() })
        };
        for address in Frames::new(frame, read).take(32) {
            println!("  called from {address:#x}");
        }
    }
}
