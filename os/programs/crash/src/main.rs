//! Dies in a way of your choice, to show what then happens.
#![no_std]
#![no_main]

use core::{arch::asm, hint::black_box};

use pecan_component::{main, println, startup};

main!(main);

/// The ways to die, with what each of them does.
const KINDS: [(&str, fn()); 8] = [
    ("null", null_pointer),
    ("stack", stack_overflow),
    ("illegal", illegal_instruction),
    ("div0", division_by_zero),
    ("panic", panic),
    ("cap", missing_capability),
    ("fpu", vector_register),
    ("frames", forged_frames),
];

#[inline(never)]
fn null_pointer() {
    // SAFETY: none: this is the mistake to be shown. The component has nothing mapped at this address, so all that
    // can happen is a page fault.
    unsafe { black_box(core::ptr::null::<u64>()).read_volatile() };
}

#[inline(never)]
fn stack_overflow() {
    #[inline(never)]
    #[allow(unconditional_recursion)] // That is the point.
    fn recurse(depth: u64) -> u64 {
        let here = black_box([depth; 64]);
        // What comes after the call keeps it from becoming a jump.
        recurse(depth + 1) + here[depth as usize % 64]
    }
    black_box(recurse(black_box(0)));
}

#[inline(never)]
fn illegal_instruction() {
    // SAFETY: the instruction does nothing but raise an exception.
    unsafe { asm!("ud2", options(nomem, nostack)) };
}

#[inline(never)]
fn division_by_zero() {
    // SAFETY: none: this is the mistake to be shown. The processor raises an exception; no memory is touched. (Rust's
    // own division would panic instead.)
    unsafe {
        asm!(
            "div {divisor:e}",
            divisor = in(reg) 0u32,
            inout("eax") 1u32 => _,
            inout("edx") 0u32 => _,
            options(nomem, nostack),
        );
    }
}

#[inline(never)]
fn panic() {
    panic!("this is the mistake to be shown");
}

#[inline(never)]
fn missing_capability() {
    use pecan_component::pecan::{Cap, Message, types::Endpoint};
    // SAFETY: none: this is the mistake to be shown. There is nothing at that address, so all that can happen is a fault.
    unsafe { Cap::<Endpoint>::new(0xdead) }.call(&Message::empty(0));
}

#[inline(never)]
fn vector_register() {
    // SAFETY: none: this is the mistake to be shown. The description of this component says that it does without vector
    // registers, so all that can happen is an exception. Otherwise a register is zeroed that nobody else uses.
    unsafe { asm!("xorps xmm0, xmm0", options(nomem, nostack)) };
}

/// A stack that looks 4,096 frames deep.
#[inline(never)]
fn forged_frames() {
    /// Words of a page.
    const PAGE: usize = 512;
    static FRAMES: [core::sync::atomic::AtomicU64; 16 * PAGE] =
        [const { core::sync::atomic::AtomicU64::new(0) }; 16 * PAGE];
    let address = |word: usize| FRAMES[word].as_ptr() as u64;
    // Frames of two words, in the order of their addresses.
    for frame in 0..FRAMES.len() / 2 {
        let next = if frame + 1 < FRAMES.len() / 2 { address(2 * frame + 2) } else { 0 };
        FRAMES[2 * frame].store(next, core::sync::atomic::Ordering::Relaxed);
        FRAMES[2 * frame + 1].store(0xf000 + frame as u64, core::sync::atomic::Ordering::Relaxed);
    }
    // SAFETY: none: this is the mistake to be shown. The frame pointer is wrong, and the next instruction ends it.
    unsafe { asm!("mov rbp, {}", "ud2", in(reg) address(0), options(noreturn)) };
}

fn main() -> u64 {
    let kind = startup().arguments().next().unwrap_or_default();
    match KINDS.iter().find(|(name, _)| *name == kind) {
        Some((_, die)) => {
            die();
            println!("crash {kind}: still alive");
        }
        None => println!("usage: crash null|stack|illegal|div0|panic|cap|fpu|frames"),
    }
    2
}
