//! What kernels with benchmark system calls tell of themselves: the words of `BenchmarkGetThreadUtilisation`, and the
//! log of kernel entries.
//!
//! Sources: libsel4's `benchmark_utilisation_types.h` and `benchmark_track_types.h`. Times are in ticks of the kernel's
//! clock, on x86_64 the time-stamp counter.

/// Where `BenchmarkGetThreadUtilisation` puts its answer: indices of message words, all of them in the IPC buffer.
pub mod utilisation {
    /// Ticks for which the thread has been the one that runs.
    pub const TCB: usize = 0;
    /// How often the thread was switched to.
    pub const TCB_SCHEDULES: usize = 1;
    /// Ticks in the kernel, of entries made from the thread.
    pub const TCB_KERNEL: usize = 2;
    /// Entries into the kernel made from the thread.
    pub const TCB_KERNEL_ENTRIES: usize = 3;
    /// [`TCB`] of the idle thread of the core that this is called on.
    pub const IDLE_LOCAL: usize = 4;
    /// [`TCB`] of the idle thread of the core that the thread asked for belongs to.
    pub const IDLE_TCB: usize = 5;
    /// [`TCB_SCHEDULES`] of the idle thread.
    pub const IDLE_SCHEDULES: usize = 6;
    /// [`TCB_KERNEL`] of the idle thread.
    pub const IDLE_KERNEL: usize = 7;
    /// [`TCB_KERNEL_ENTRIES`] of the idle thread.
    pub const IDLE_KERNEL_ENTRIES: usize = 8;
    /// Ticks that the kernel has tracked.
    pub const TOTAL: usize = 9;
    /// Switches from one thread to another.
    pub const TOTAL_SCHEDULES: usize = 10;
    /// Ticks in the kernel.
    pub const TOTAL_KERNEL: usize = 11;
    /// Entries into the kernel.
    pub const TOTAL_KERNEL_ENTRIES: usize = 12;
    /// How many words there are.
    pub const WORDS: usize = 13;
}

word_enum! {
    /// Why the kernel was entered.
    pub enum EntryPath {
        /// The kernel does not know.
        Unknown = 0,
        /// An interrupt; its detail is the number.
        Interrupt = 1,
        /// A system call that is not among those that every kernel has (these are the debug and benchmark system calls,
        /// `SetTLSBase` and all that do not exist); its detail is the number, of which it holds the low 26 bits.
        UnknownSyscall = 2,
        /// An exception; its detail is the number.
        UserLevelFault = 3,
        /// A breakpoint or a single step; its detail is 1 for a breakpoint instruction.
        DebugFault = 4,
        /// A page fault; its detail is 1 for an instruction fetch.
        VMFault = 5,
        /// A system call.
        Syscall = 6,
    }
}

/// Words of an entry in the log.
pub const LOG_ENTRY_WORDS: usize = 3;
/// log2 of the bytes of the frame that the log lies in, a large page. As many entries fit as that allows.
pub const LOG_BITS: u32 = crate::arch::constants::LARGE_PAGE_BITS;

/// What an entry into the kernel was for. Bits 0 to 2 are the [`EntryPath`]; from bit 8 on there are, for a system call,
/// its number (4 bits), the type of the capability (5), whether it was done by the fast path (1) and the label of the
/// message (19); otherwise the core (3) and the path's detail (26).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelEntry(pub u64);

impl KernelEntry {
    /// A system call: its number without the sign, the type of the capability that it names first, as
    /// `DebugCapIdentify` tells it (0 for none), and the label of its message.
    pub const fn syscall(number: u64, cap_type: u64, label: u64) -> Self {
        KernelEntry(
            EntryPath::Syscall as u64
                | (number & 0xf) << 8
                | (cap_type & 0x1f) << 12
                | (label & 0x7_ffff) << 18,
        )
    }

    /// Anything else, on the first core.
    pub const fn other(path: EntryPath, detail: u64) -> Self {
        KernelEntry(path as u64 | (detail & 0x3ff_ffff) << 11)
    }

    /// The same system call, done by the fast path.
    pub const fn fast(self) -> Self {
        KernelEntry(self.0 | 1 << 17)
    }

    /// This in the log, with the time of the entry and how long the kernel took.
    pub const fn to_log(self, start: u64, duration: u32) -> [u64; LOG_ENTRY_WORDS] {
        [start, duration as u64 | self.0 << 32, self.0 >> 32]
    }
}
