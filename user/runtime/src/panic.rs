//! Panics, and walking the stack.

use core::arch::asm;

/// The return addresses of a stack, innermost first, found through the frame pointers.
#[derive(Debug)]
pub struct Frames {
    frame: usize,
    bottom: usize,
    top: usize,
}

/// Walks from a frame pointer up a stack, whose bounds keep a broken chain from being followed anywhere else.
///
/// # Safety
/// From `bottom` to `top` must be readable memory.
pub unsafe fn frames_from(frame: usize, bottom: usize, top: usize) -> Frames {
    Frames { frame, bottom, top }
}

impl Iterator for Frames {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let inside = self.frame >= self.bottom && self.frame.checked_add(16)? <= self.top;
        if !inside || !self.frame.is_multiple_of(8) {
            return None;
        }
        // SAFETY: both words are within the bounds, which whoever made this vouched for, and aligned.
        let (next, address) =
            unsafe { ((self.frame as *const usize).read(), (self.frame as *const usize).add(1).read()) };
        // Frames of callers are at higher addresses; anything else is the end, or a circle.
        self.frame = if next > self.frame { next } else { 0 };
        (address != 0).then_some(address)
    }
}

/// Stops the thread with an invalid instruction, which its fault handler is told of.
pub(crate) fn stop() -> ! {
    // SAFETY: the instruction does nothing but raise an exception.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

#[cfg(target_os = "none")]
mod handler {
    use core::{
        arch::asm,
        panic::PanicInfo,
        sync::atomic::{AtomicBool, Ordering},
    };

    use pecan::raw::ThreadBlock;

    use crate::println;

    static PANICKING: AtomicBool = AtomicBool::new(false);

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        // A panic while printing one says nothing more.
        if !PANICKING.swap(true, Ordering::Relaxed) {
            println!("{info}");
            let frame: usize;
            // SAFETY: it only copies a register.
            unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
            let thread = ThreadBlock::current();
            // SAFETY: these are the bounds of the stack this thread runs on.
            let frames = unsafe { super::frames_from(frame, thread.stack_bottom, thread.stack_top) };
            for address in frames.take(32) {
                println!("  called from {address:#x}");
            }
        }
        super::stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack in which frame `n` (a pair of words) points to frame `next[n]`.
    fn walk(next: [Option<usize>; 3]) -> usize {
        let mut stack = [0usize; 6];
        let base = stack.as_ptr() as usize;
        for (n, next) in next.into_iter().enumerate() {
            stack[2 * n] = next.map_or(0, |next| base + 16 * next);
            stack[2 * n + 1] = 0x40_0000 + n;
        }
        let stack = core::hint::black_box(&stack);
        // SAFETY: the bounds are those of the array.
        unsafe { frames_from(base, base, base + size_of_val(stack)) }.count()
    }

    #[test]
    fn the_chain_is_followed_to_its_end() {
        assert_eq!(walk([Some(1), Some(2), None]), 3);
        assert_eq!(walk([None, None, None]), 1);
    }

    #[test]
    fn a_broken_chain_ends() {
        assert_eq!(walk([Some(1), Some(0), None]), 2);
        assert_eq!(walk([Some(100), None, None]), 1);
    }
}
