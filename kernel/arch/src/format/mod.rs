//! Formats that processors define, as pure code: page tables, registers, interrupts. Nothing here touches hardware, so
//! all of it is tested on any host, whatever the kernel is built for.
//!
//! A folder per processor, with the same file names in each. Several formats can be in use at once: those of a machine's
//! first stage, second stage and devices are types of their own.

#[cfg(any(test, not(pecan_arch = "x86_64")))]
#[macro_use]
mod context;
#[cfg(any(test, pecan_arch = "aarch64"))]
#[cfg_attr(not(pecan_arch = "aarch64"), allow(dead_code, reason = "tests of formats run on every host"))]
pub mod aarch64;
mod breakpoint;
mod event;
#[cfg(any(test, pecan_arch = "riscv64"))]
#[cfg_attr(not(pecan_arch = "riscv64"), allow(dead_code, reason = "tests of formats run on every host"))]
pub mod riscv64;
#[cfg(any(test, pecan_arch = "x86_64"))]
#[cfg_attr(not(pecan_arch = "x86_64"), allow(dead_code, reason = "tests of formats run on every host"))]
pub mod x86_64;

#[cfg(all(not(target_os = "none"), pecan_arch = "aarch64"))]
pub use aarch64 as arch;
pub use breakpoint::{Breakpoint, BreakpointPart};
pub use event::{Claim, DebugEvent, Exception};
#[cfg(all(not(target_os = "none"), pecan_arch = "riscv64"))]
pub use riscv64 as arch;
#[cfg(all(not(target_os = "none"), pecan_arch = "x86_64"))]
pub use x86_64 as arch;

/// A physical address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PhysAddr(pub u64);

/// What user level may do with a frame. Without `read` the frame is out of its reach whatever else is set: no format has
/// pages that can only be written, and what can only be executed is nothing the interface knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRights {
    /// Loads are allowed.
    pub read: bool,
    /// Stores are allowed.
    pub write: bool,
    /// Instruction fetches are allowed.
    pub execute: bool,
}

impl PageRights {
    /// None: the frame is mapped for the kernel alone.
    pub const NONE: Self = Self { read: false, write: false, execute: false };
}

/// A format of page tables, by its entries. Level 0 holds frames of 4 KiB, the highest level is the root; an entry is a word.
pub trait PageTableEntry: Copy + Eq + core::fmt::Debug {
    /// How a frame is cached, as far as entries say so.
    type Cache: Copy;

    /// Levels of a table.
    const LEVELS: usize;
    /// Bits of the virtual address that each level translates.
    const INDEX_BITS: u32 = 9;
    /// Highest level whose entries can be frames.
    const MAX_FRAME_LEVEL: usize;
    /// Entries of a root table that belong to user level, from the first on; the rest are the kernel's.
    const ROOT_USER_ENTRIES: usize;
    /// Translates nothing.
    const EMPTY: Self;

    /// An entry that points to a table of the next lower level.
    fn table(table: PhysAddr) -> Self;

    /// An entry of `level`, at most [`MAX_FRAME_LEVEL`](Self::MAX_FRAME_LEVEL), that maps a frame of that level's size, and
    /// aligned to it, for user level.
    fn frame(frame: PhysAddr, level: usize, rights: PageRights, cache: Self::Cache) -> Self;

    /// The entry translates something.
    fn is_present(self) -> bool;

    /// The entry, of a table of `level`, points to a lower table.
    fn is_table(self, level: usize) -> bool;

    /// Address of the table that the entry points to, which must be one that does ([`is_table`](Self::is_table)).
    fn table_addr(self) -> PhysAddr;

    /// Address of the table or frame that the entry, of a table of `level`, points to.
    fn addr(self, level: usize) -> PhysAddr;

    /// What user level may do with the frame that the entry maps.
    fn rights(self) -> PageRights;
}

/// Bits of address below the part translated by `level`: an entry of that level covers `1 << level_shift` bytes.
#[inline(always)]
pub const fn level_shift<E: PageTableEntry>(level: usize) -> u32 {
    12 + E::INDEX_BITS * level as u32
}

/// Index of a register in a saved context. Ports alone make them: some words of a context are no user registers, such as
/// the selector by which the processor is told that it returns to user level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reg(pub(crate) u8);

/// The registers of a user thread as the kernel saves them: which words they are, what portable code uses them for, and
/// the orders in which messages and the interface list them.
pub trait RegisterFile {
    /// Words in a saved context.
    const WORDS: usize;

    /// Capability pointer in, badge out.
    const CAP: Reg;
    /// Message information, both ways.
    const INFO: Reg;
    /// The message registers that travel in processor registers.
    const MSG: [Reg; 4];
    /// Capability pointer of the reply object.
    const REPLY: Reg;
    /// Capability pointer of the destination in a combined non-blocking send and receive.
    const SEND_DEST: Reg;
    /// Number of the system call.
    const SYSCALL: Reg;
    /// Address of the instruction that entered the kernel.
    const FAULT_IP: Reg;
    /// Address at which the thread resumes.
    const NEXT_IP: Reg;
    /// Stack pointer.
    const SP: Reg;
    /// Base of the thread-local storage.
    const TLS_BASE: Reg;

    /// First part of the ABI's user context, in its order: `TCB_ReadRegisters` and `TCB_CopyRegisters` tell the two apart.
    const FRAME: &'static [Reg];
    /// The rest of the ABI's user context, in its order.
    const INTEGER: &'static [Reg];
    /// Registers in an unknown-system-call fault message and its reply.
    const SYSCALL_MESSAGE: &'static [Reg];
    /// Registers at the start of a user-exception fault message, and in its reply.
    const EXCEPTION_MESSAGE: &'static [Reg];
    /// Registers in the reply to a timeout fault.
    const TIMEOUT_MESSAGE: &'static [Reg];
}

#[cfg(test)]
pub mod testing {
    //! What holds of every format.

    use super::*;

    /// Entries say what they were made with, for every level, kind of caching and set of rights, and the highest address
    /// of `bits`.
    pub fn entries_say_what_they_were_made_with<E: PageTableEntry>(bits: u32, caches: &[E::Cache]) {
        assert!(!E::EMPTY.is_present());
        let highest = |shift: u32| PhysAddr((1 << bits) - (1 << shift));
        for table in [PhysAddr(0x1000), highest(12)] {
            let entry = E::table(table);
            assert!(entry.is_present());
            assert_eq!((entry.is_table(0), entry.table_addr()), (false, table), "nothing is below level 0");
            for level in 1..E::LEVELS {
                assert_eq!((entry.is_table(level), entry.addr(level)), (true, table), "level {level}");
            }
        }
        for level in 0..=E::MAX_FRAME_LEVEL {
            let shift = level_shift::<E>(level);
            for frame in [PhysAddr(0), PhysAddr(5 << shift), highest(shift)] {
                for cache in caches {
                    for n in 0..8 {
                        let rights = PageRights { read: n & 1 != 0, write: n & 2 != 0, execute: n & 4 != 0 };
                        let entry = E::frame(frame, level, rights, *cache);
                        assert!(entry.is_present() && !entry.is_table(level));
                        assert_eq!(entry.addr(level), frame, "level {level}");
                        let seen = if rights.read { rights } else { PageRights::NONE };
                        assert_eq!(entry.rights(), seen, "level {level}");
                    }
                }
            }
        }
    }

    /// No two roles of a system call share a register, no list has one twice, and all are in the context.
    pub fn registers_are_told_apart<R: RegisterFile>() {
        let [a, b, c, d] = R::MSG;
        let call = [R::CAP, R::INFO, a, b, c, d, R::REPLY, R::SEND_DEST, R::SYSCALL, R::SP, R::TLS_BASE];
        let places = [R::FAULT_IP, R::NEXT_IP];
        let context = [R::FRAME, R::INTEGER].concat();
        for list in
            [&call[..], &places, &context, R::SYSCALL_MESSAGE, R::EXCEPTION_MESSAGE, R::TIMEOUT_MESSAGE]
        {
            let again = |(i, r)| list[i + 1..].contains(r);
            assert!(!list.iter().enumerate().any(again), "{list:?} has one twice");
            assert!(list.iter().all(|r| usize::from(r.0) < R::WORDS), "{list:?} does not fit");
        }
        // What user level may see and set of a thread is its context, and messages show parts of it.
        for list in [&call[..], R::SYSCALL_MESSAGE, R::EXCEPTION_MESSAGE, R::TIMEOUT_MESSAGE] {
            assert!(list.iter().all(|r| context.contains(r)), "{list:?} is not in the context");
        }
    }
}
