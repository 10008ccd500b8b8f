//! What the port keeps per core. One core runs the kernel today, with interrupts off while it does, so a static
//! reached relative to the instruction pointer serves, and the segment bases stay user level's.

use core::cell::{Cell, UnsafeCell};

use super::features::Features;
use super::tables::Tss;
use crate::PhysAddr;
use crate::one_core::OneCore;

/// State of the core. What each entry and exit uses is one cache line. All of it is in the Meltdown window: nothing here
/// is of a thread that does not run.
#[repr(C, align(64))]
pub struct CoreBlock {
    unused: [Cell<u64>; 5],
    /// With the window, the processor stores user level's registers here, up to and including `user_ss`: the vector's stub
    /// the first two.
    pub frame: [Cell<u64>; 5],
    /// User level's stack pointer, where `SYSCALL` leaves it in the register.
    pub user_rsp: Cell<u64>,
    user_ss: Cell<u64>,
    /// The address space in force, as [`Space`](crate::Space)'s word, which is what CR3 takes.
    pub vspace: Cell<u64>,
    /// CR0.TS is clear.
    pub fpu_enabled: Cell<bool>,
    /// Bits of `vspace` that are the ASID in force in the kernel: with the window none, since 0 is in force there.
    pub asid_mask: Cell<u16>,
    /// What is in use of the processor.
    pub features: Cell<Features>,
    unused2: Cell<u32>,
    /// Task state. The entry stubs find the running thread's context by its `rsp0`, which is the last word of the line.
    /// With the window the processor uses another, in which `rsp0` is the end of `user_ss`.
    pub tss: UnsafeCell<Tss>,
    /// With the window, the task state that the processor uses.
    pub window_tss: UnsafeCell<Tss>,
    /// CR3 for the kernel's own address space.
    pub kernel_cr3: Cell<u64>,
    /// The root table whose kernel half user level's have.
    pub user_root: Cell<PhysAddr>,
    /// DR7 may have breakpoints on.
    pub breakpoints_on: Cell<bool>,
}

const _: () = assert!(core::mem::offset_of!(CoreBlock, tss) + 4 == 128 - 8);

/// The core's state.
#[unsafe(export_name = "PECAN_CORE")]
#[unsafe(link_section = ".data.window")]
pub static CORE: OneCore<CoreBlock> = OneCore::new(CoreBlock {
    unused: [const { Cell::new(0) }; _],
    frame: [const { Cell::new(0) }; _],
    user_rsp: Cell::new(0),
    user_ss: Cell::new(0),
    vspace: Cell::new(0),
    fpu_enabled: Cell::new(true),
    asid_mask: Cell::new(0xfff),
    features: Cell::new(Features::NONE),
    unused2: Cell::new(0),
    tss: UnsafeCell::new(Tss::new()),
    window_tss: UnsafeCell::new(Tss::new()),
    kernel_cr3: Cell::new(0),
    user_root: Cell::new(PhysAddr(0)),
    breakpoints_on: Cell::new(true),
});
