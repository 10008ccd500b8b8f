//! The duties of a port: what it does for the portable kernel, each stated once. The functions here are what the rest of
//! the kernel calls, and they do nothing but call the port's of the same name. A port that lacks one, or whose arguments
//! or result are others, fails to compile at the line here that names it.
//!
//! The kernel calls all of them with interrupts off, from one core at a time, and after the port's boot code has run. What
//! is `unsafe` here is so in every port, and the obligations are these. What a port's own comments say is how it does it.
//!
//! Types that a port provides stand at the end, with what they can do. What only one architecture's interface asks for stands
//! in a file of its name.

#[cfg(pecan_arch = "x86_64")]
mod x86_64;

#[cfg(pecan_arch = "x86_64")]
pub use x86_64::*;

use crate::{port, *};

/// Defines functions that call the port's.
macro_rules! duties {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)*) => {
        $($(#[$doc])* #[inline(always)] pub fn $name($($arg: $ty),*) $(-> $result)? { port::$name($($arg),*) })*
    };
}

#[cfg(pecan_arch = "x86_64")]
use duties;

/// The same of functions that have obligations, which are the port's.
macro_rules! unsafe_duties {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            pub unsafe fn $name($($arg: $ty),*) $(-> $result)? {
                // SAFETY: the caller's obligations are the port's.
                unsafe { port::$name($($arg),*) }
            }
        )*
    };
}

// Threads and exceptions.
duties! {
    /// Changes in the processor what differs between two user threads beyond the saved registers, from that of `from`,
    /// which has run, to that of `to`. What user level may change of it without the kernel is saved in `from`.
    fn context_switch(from: &UserContext, to: &UserContext);
    /// [`short_context_switch`] can be used on this processor. Constant after boot.
    fn has_short_switch() -> bool;
    /// [`context_switch`], where [`has_short_switch`], for threads that do not use all there is. False if it has done
    /// nothing, because one of them does.
    fn short_context_switch(from: &UserContext, to: &UserContext) -> bool;
    /// The second half of [`context_switch`], when there is no thread to come from. Also to be called after
    /// [`sync_context`], unless the thread stops running.
    fn load_context(to: &UserContext);
    /// Brings the saved registers of `current`, which runs, up to date with the processor, until [`load_context`].
    fn sync_context(current: &UserContext);
    /// Says what the exception `vector` with its `error` code is; `address` is what was accessed, for a page fault.
    fn decode_exception(vector: u64, error: u64, address: u64) -> Exception;
    /// The exception with this number is reported after its instruction, which does not raise it again.
    fn is_trap(number: u64) -> bool;
    /// Puts a thread's breakpoints into the processor, or turns those of another off. `stepping`: the thread is stepped.
    fn debug_load(registers: &DebugRegisters, stepping: bool);
    /// What the debug exception just taken was for, by a thread with these breakpoints.
    fn take_debug_event(registers: &DebugRegisters) -> DebugEvent;
}

// The vector unit.
duties! {
    /// Saves the vector unit's registers. The unit must be enabled.
    fn fpu_save(state: &FpuState);
    /// Loads the vector unit's registers, all of them: nothing of the thread before is left to be read. The unit must be
    /// enabled.
    fn fpu_load(state: &FpuState);
    /// Lets user level use the vector unit.
    fn fpu_enable();
    /// Makes user level fault on using the vector unit.
    fn fpu_disable();
    /// User level may use the vector unit.
    fn fpu_is_enabled() -> bool;
}

// Memory and address spaces.
duties! {
    /// Where the kernel sees a physical address, of RAM.
    fn phys_to_virt(address: PhysAddr) -> usize;
    /// The physical address behind a kernel address, of RAM or of the kernel image.
    fn virt_to_phys(address: usize) -> PhysAddr;
    /// Frames of this level's size, at most [`MAX_FRAME_LEVEL`], exist on this processor. Constant after boot.
    fn frame_level_supported(level: usize) -> bool;
    /// The kernel's entry `index` (one of [`KERNEL_ROOT_ENTRIES`]) of every root table. Constant after boot.
    fn kernel_root_entry(index: usize) -> Pte;
    /// Switches to the kernel's own address space, which has no user part.
    fn switch_kernel_vspace();
    /// What has been written to page tables is seen by the processor when it next walks them for user level: where it may
    /// look past what is still on the way to memory, this waits.
    fn tables_written();
    /// Forgets the translation of one page, and what is cached of the tables that lead to it.
    fn tlb_flush_page(asid: u16, vaddr: u64);
    /// Forgets all translations of an address space, and what is cached of its tables.
    fn tlb_flush_asid(asid: u16);
    /// Forgets all translations of all address spaces but the kernel's.
    fn tlb_flush_asids();
    /// The bits of `word` that are in `mask`, taken by an instruction that is there whatever the compiler knows of the word:
    /// where a processor goes on behind a check of it that it has mispredicted, the result has no others either.
    fn mask_surely(word: u64, mask: u64) -> u64;
    /// Writes the caches back to memory and empties them. On real hardware that takes very long.
    fn flush_caches();
}
unsafe_duties! {
    /// The address space with this root table (a page, not at 0) and ASID (below [`ASIDS`]), of which 0 is the kernel's own.
    ///
    /// # Safety
    /// Who makes the processor use it answers for the table: see [`switch_vspace`].
    fn space(root: PhysAddr, asid: u16) -> Space;
    /// Switches to an address space; nothing happens if it is in force already. Translations that the processor still has
    /// for the ASID stay valid: whoever gives an ASID to another address space, or a root table's memory to another use,
    /// first calls [`tlb_flush_asid`] and, if it is in force, [`switch_kernel_vspace`].
    ///
    /// # Safety
    /// It must have a root table with the kernel's entries in place, and an ASID of its own that is not 0.
    fn switch_vspace(space: Space);
    /// Zeroes words of memory.
    ///
    /// # Safety
    /// The `words` words from `start` on are mapped, and nobody holds a reference to them.
    fn zero(start: *mut u64, words: usize);
}

// Time.
duties! {
    /// The clock, in ticks. It never goes back, and runs at [`ticks_per_us`].
    fn now() -> u64;
    /// Asks for [`IRQ_TIMER`] at an absolute time, in ticks, and no longer at one before. One that is past comes at once;
    /// one that is further off than the timer can count comes early.
    fn set_deadline(ticks: u64);
    /// Microseconds, at most [`max_us`], to ticks.
    fn us_to_ticks(us: u64) -> u64;
    /// Ticks to microseconds, rounded down.
    fn ticks_to_us(ticks: u64) -> u64;
    /// The longest time that converts to ticks, with room for sums of eight such times.
    fn max_us() -> u64;
    /// The longest the kernel is assumed to run before it looks at the clock again, in ticks.
    fn kernel_wcet_ticks() -> u64;
    /// Ticks per microsecond, to the nearest whole number. Constant after boot, and not 0.
    fn ticks_per_us() -> u32;
}

// Interrupts.
duties! {
    /// What has arrived as `vector`, the word by which the port's stub takes it.
    fn claim_interrupt(vector: usize) -> Claim;
    /// Masks or unmasks an interrupt. One that comes while it is masked is taken when it no longer is. The timer is never
    /// masked.
    fn irq_mask(irq: usize, masked: bool);
    /// Tells the controller that the kernel has taken the interrupt.
    fn irq_ack(irq: usize);
    /// Says where `irq` comes from, masked at first. A line of a controller is taken from another interrupt that had it, and
    /// the one that `irq` had is masked. An interrupt or a source that does not exist is ignored.
    fn irq_connect(irq: usize, source: IrqSource);
    /// Lets interrupts in for a moment: true if one is noted, now or from before.
    fn irq_pending() -> bool;
    /// Waits until an interrupt is noted.
    fn idle_wait();
    /// Takes the interrupt that [`irq_pending`] or [`idle_wait`] noted, if it is one that somebody has.
    fn take_pending_irq() -> Option<usize>;
}

// Side channels and the console.
duties! {
    /// Makes the processor forget what it has learnt of the domain that ran and what its buffers hold of it, as far as it
    /// can and needs to.
    fn forget_domain();
    /// Prints a byte, or loses it: it never waits for ever.
    fn console_putc(byte: u8);
    /// Stops the processor for good.
    fn halt() -> !;
    /// Fills the unused part of the kernel's stack with a pattern, the first time it is called, for [`stack_used`].
    fn paint_stack();
    /// Bytes of the kernel's stack that have been used at most since [`paint_stack`].
    fn stack_used() -> usize;
}

// Types and what they can do, by the functions that the kernel calls.
const _: () = register_file::<UserContext>();
const _: fn(&UserContext, Reg) -> u64 = UserContext::get;
const _: fn(&UserContext, Reg, u64) = UserContext::set;
const _: fn(&UserContext, Reg, u64) = UserContext::set_user;
const _: fn() -> UserContext = UserContext::new;
const _: fn(&UserContext) = UserContext::start;
const _: fn(&UserContext) = UserContext::clear_start;
const _: fn(&UserContext) = UserContext::force_full_restore;
const _: fn(&UserContext, bool) = UserContext::set_single_step;
const _: fn(&UserContext) = UserContext::pass_breakpoint;
const _: fn(Breakpoint) -> Result<(), BreakpointPart> = DebugRegisters::check;
const _: fn(&DebugRegisters, usize, Option<Breakpoint>) = DebugRegisters::set;
const _: fn(&DebugRegisters, usize) -> (Breakpoint, bool) = DebugRegisters::get;
const _: fn() -> FpuState = FpuState::init;
const _: fn(&FpuState) = FpuState::start;
const _: fn(&FpuState) = FpuState::clear_start;
const _: () = page_table_entry::<Pte>();
const _: fn(bool, u64) -> CacheAttr = CacheAttr::of_frame;
const _: fn(u64) -> bool = CacheAttr::may_execute;
const _: CacheAttr = CacheAttr::WRITE_BACK;
const _: unsafe fn() -> Space = Space::none;
const _: &[usize] = &KERNEL_ROOT_ENTRIES;
const _: [usize; 4] = [IRQ_USER_MIN, IRQ_USER_MAX, IRQ_TIMER, MAX_IRQ];
const _: u64 = IRQ_FIRST_NUMBER;
const _: fn(&BootExtras, &mut dyn ChunkWriter) = |extras, to| extras.write(to);
const _: fn(&BootExtras) -> usize = |extras| extras.len();
const _: fn(&mut Console) -> &mut dyn core::fmt::Write = |c| c;

const fn page_table_entry<E: PageTableEntry<Cache = CacheAttr>>() {}

const fn register_file<R: RegisterFile>() {}
