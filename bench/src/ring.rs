//! Rings in shared memory, which cost no system call: both sides' instructions, counted at user level.

use core::{arch::asm, hint::black_box};

use pecan_ring::{AtomicU64, Descriptor, Receiver, Sender, pair, words_for};

use crate::least;

/// Descriptors that a queue holds.
const CAPACITY: usize = 256;
const WORDS: usize = words_for(CAPACITY);

static PAGES: [[AtomicU64; WORDS]; 2] = [const { [const { AtomicU64::new(0) }; WORDS] }; 2];

/// Measures a transfer of 1, 16 and 256 messages: one side pushes them and publishes, the other pops them and releases. What
/// it costs to wake the other side, where it sleeps, are the rows `signal` and `signal-switch`.
pub fn measure() -> pecan::Result<()> {
    let (Some((mut sender, _)), Some((_, mut receiver))) =
        (pair(&PAGES[0], &PAGES[1]), pair(&PAGES[1], &PAGES[0]))
    else {
        return Ok(());
    };
    let nothing = least(|| Ok(between(|| ())))?;
    for (id, count) in [("ring-1", 1), ("ring-16", 16), ("ring-256", 256)] {
        let instructions = least(|| {
            let taken = between(|| transfer(&mut sender, &mut receiver, count));
            Ok(taken - nothing)
        })?;
        pecan_runtime::println!("bench {id} {instructions}");
    }
    Ok(())
}

/// Instructions from one reading of the clock to the next.
pub fn between(action: impl FnOnce()) -> u32 {
    let before = clock();
    action();
    clock().wrapping_sub(before)
}

/// The clock's low half, without what would be made of the high one.
#[inline]
fn clock() -> u32 {
    let low;
    // SAFETY: the kernel lets programs read the counter, which changes nothing. Memory is not said to be untouched, so that what
    // is measured stays in its place.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") _, options(nostack, preserves_flags)) };
    low
}

#[inline(never)]
fn transfer(sender: &mut Sender<'_>, receiver: &mut Receiver<'_>, count: u32) {
    for n in 0..count {
        let descriptor = Descriptor { offset: n * 64, len: 64, tag: n.into() };
        if sender.push(black_box(descriptor)).is_err() {
            return;
        }
    }
    black_box(sender.publish());
    while let Ok(Some(descriptor)) = receiver.pop() {
        black_box(descriptor);
    }
    receiver.release();
}
