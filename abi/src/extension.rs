//! Numbers for what Pecan adds to the ABI, reserved outside of what the ABI counts: whether the extensions are there or
//! not, and whatever the ABI comes to add, no number of the ABI is another one because of them.
//!
//! A number here is given out once and never again. A kernel that does not have what it stands for answers as it answers
//! every number that it does not know.

use core::ops::RangeInclusive;

/// Numbers of system calls.
pub const SYSCALL_RANGE: RangeInclusive<i64> = -0x1fff..=-0x1000;

/// Numbers of labels.
pub const LABEL_RANGE: RangeInclusive<u64> = 0x1_0000..=0x1_ffff;

/// Flags of threads, of scheduling contexts and of mappings.
pub const FLAG_MASK: u64 = 0xffff << 32;

/// The system calls, with what they are for.
pub const SYSCALLS: &[(&str, i64)] = &[("LatencyReport", LATENCY_REPORT)];

/// The system call that tells how long the kernel kept interrupts off at most since it was last called, and its stack.
/// Debug kernels only; the answers are 0 from one that does not measure itself.
pub const LATENCY_REPORT: i64 = -0x1000;

/// The labels. Copies, moves and deletions of the capabilities in slots side by side; mappings of frames side by side;
/// buffers in which the kernel notes events; states of power of a core. None of them is there yet.
pub const LABELS: &[(&str, u64)] = &[
    ("CNodeCopyRange", 0x1_0000),
    ("CNodeMoveRange", 0x1_0001),
    ("CNodeDeleteRange", 0x1_0002),
    ("PageMapRange", 0x1_0010),
    ("PageUnmapRange", 0x1_0011),
    ("TCBSetEventBuffer", 0x1_0020),
    ("PowerSetState", 0x1_0030),
];

/// The flags of threads. A thread with `ForeignSyscalls` has every system call of its own delivered to its fault handler,
/// as a Linux program's must be. It is not there yet.
pub const TCB_FLAGS: &[(&str, u64)] = &[("ForeignSyscalls", 1 << 32)];
