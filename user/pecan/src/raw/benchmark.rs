//! The benchmark system calls, of kernels that have them (option `benchmark` of a profile); in others, and where a call
//! says that it is of some kernels only, the thread faults with an unknown system call.
//!
//! Times are in ticks of the kernel's clock, on x86_64 the time-stamp counter.

use pecan_abi::{
    CPtr, MessageInfo, Syscall,
    benchmark::{EntryPath, LOG_ENTRY_WORDS, utilisation},
};

use super::{debug_call, message_word, send_only};
use crate::{Error, Result};

/// What a thread has used of the processor, or what all together have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// For how long it was the one that runs, its entries into the kernel included; of all: for how long the kernel has
    /// tracked.
    pub time: u64,
    /// How often it was switched to.
    pub schedules: u64,
    /// Time in the kernel, of the entries made from it.
    pub kernel_time: u64,
    /// Entries into the kernel made from it.
    pub kernel_entries: u64,
}

/// What [`benchmark_get_thread_utilisation`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Utilisation {
    /// Of the thread asked for.
    pub thread: Usage,
    /// Of the idle thread, which runs when nothing else does.
    pub idle: Usage,
    /// Of the core.
    pub total: Usage,
}

/// What an entry into the kernel was for, as its log says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logged {
    /// A system call.
    Syscall {
        /// Its number, without the sign.
        number: u64,
        /// The type of the capability that it names first, as [`super::debug_cap_identify`] tells it; 0 for none.
        cap_type: u64,
        /// The fast path has done it.
        fast: bool,
        /// The low 19 bits of its message's label.
        label: u64,
    },
    /// Anything else.
    Other {
        /// Why the kernel was entered.
        path: EntryPath,
        /// The path's detail, of 26 bits; see [`EntryPath`].
        detail: u64,
    },
}

/// An entry of the kernel's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// When the kernel was entered.
    pub start: u64,
    /// For how long it ran; `u32::MAX` if that does not suffice.
    pub duration: u32,
    /// What for.
    pub what: Logged,
}

impl LogEntry {
    /// Reads an entry of the log; `None` for words that no kernel writes.
    pub fn from_words(words: [u64; LOG_ENTRY_WORDS]) -> Option<Self> {
        let [start, low, high] = words;
        let bits = high << 24 | low >> 40;
        let what = match EntryPath::from_word(low >> 32 & 7)? {
            EntryPath::Syscall => Logged::Syscall {
                number: bits & 0xf,
                cap_type: bits >> 4 & 0x1f,
                fast: bits >> 9 & 1 != 0,
                label: bits >> 10 & 0x7_ffff,
            },
            path => Logged::Other { path, detail: bits >> 3 & 0x3ff_ffff },
        };
        Some(LogEntry { start, duration: low as u32, what })
    }
}

/// A call that answers with an error or 0.
fn fallible(syscall: Syscall, parameter: u64) -> Result<()> {
    match debug_call(syscall, parameter) {
        0 => Ok(()),
        label => Err(Error::from_reply(label, |_| 0)),
    }
}

/// Enters the kernel and leaves it.
#[inline]
pub fn benchmark_null_syscall() {
    send_only(Syscall::BenchmarkNullSyscall, 0, MessageInfo(0), [0; 4]);
}

/// Empties the processor's caches.
pub fn benchmark_flush_caches() {
    send_only(Syscall::BenchmarkFlushCaches, 0, MessageInfo(0), [0; 4]);
}

/// Begins to track, from nothing: in kernels that track utilisation the core's and the idle thread's (those of other
/// threads go on), in those that keep a log of their entries, with an empty one. Other kernels do nothing.
///
/// # Errors
/// `IllegalOperation`: the kernel is to keep a log and has no buffer for it.
pub fn benchmark_reset_log() -> Result<()> {
    fallible(Syscall::BenchmarkResetLog, 0)
}

/// Stops tracking. How many entries there are in the log; 0 from a kernel without one.
pub fn benchmark_finalize_log() -> u64 {
    debug_call(Syscall::BenchmarkFinalizeLog, 0)
}

/// Has the kernel write its log into a large frame, from its beginning; see [`LogEntry`] for what it writes.
/// The kernel keeps a copy of the capability: the frame is in use until its capability is revoked.
///
/// # Errors
/// `IllegalOperation`: not a capability to a large frame of memory with the right to write, or not a kernel that keeps a
/// log of its entries.
///
/// # Safety
/// From now on the kernel writes to the frame: this program must not access it by references.
pub unsafe fn benchmark_set_log_buffer(frame: CPtr) -> Result<()> {
    fallible(Syscall::BenchmarkSetLogBuffer, frame)
}

/// What a thread has used, in kernels that track it. Overwrites the first message words of the IPC buffer.
///
/// # Errors
/// `IllegalOperation`: not a capability to a thread, or the caller has no IPC buffer.
pub fn benchmark_get_thread_utilisation(tcb: CPtr) -> Result<Utilisation> {
    fallible(Syscall::BenchmarkGetThreadUtilisation, tcb)?;
    let usage = |first| Usage {
        time: message_word(first),
        schedules: message_word(first + 1),
        kernel_time: message_word(first + 2),
        kernel_entries: message_word(first + 3),
    };
    Ok(Utilisation {
        thread: usage(utilisation::TCB),
        idle: usage(utilisation::IDLE_TCB),
        total: usage(utilisation::TOTAL),
    })
}

/// Counts what a thread uses from nothing again, in kernels that track it.
///
/// # Errors
/// `IllegalOperation`: not a capability to a thread.
pub fn benchmark_reset_thread_utilisation(tcb: CPtr) -> Result<()> {
    fallible(Syscall::BenchmarkResetThreadUtilisation, tcb)
}

/// Prints the time of every thread that has run while the kernel tracked, each on a line of its name, a comma and the
/// time, on the kernel's console (debug kernels that track utilisation).
pub fn benchmark_dump_all_threads_utilisation() {
    debug_call(Syscall::BenchmarkDumpAllThreadsUtilisation, 0);
}

/// Counts what every thread uses from nothing again (debug kernels that track utilisation).
pub fn benchmark_reset_all_threads_utilisation() {
    debug_call(Syscall::BenchmarkResetAllThreadsUtilisation, 0);
}

// The words of each part of an answer lie side by side, as they are read above.
const _: () = {
    use utilisation::*;
    assert!(TCB_SCHEDULES == TCB + 1 && TCB_KERNEL == TCB + 2 && TCB_KERNEL_ENTRIES == TCB + 3);
    assert!(
        IDLE_SCHEDULES == IDLE_TCB + 1 && IDLE_KERNEL == IDLE_TCB + 2 && IDLE_KERNEL_ENTRIES == IDLE_TCB + 3
    );
    assert!(TOTAL_SCHEDULES == TOTAL + 1 && TOTAL_KERNEL == TOTAL + 2 && TOTAL_KERNEL_ENTRIES == TOTAL + 3);
};

#[cfg(test)]
mod tests {
    use pecan_abi::benchmark::KernelEntry;

    use super::*;

    #[test]
    fn what_the_kernel_logs_is_read() {
        let read = |entry: KernelEntry| LogEntry::from_words(entry.to_log(1 << 50, 1 << 31));
        let logged = |what| Some(LogEntry { start: 1 << 50, duration: 1 << 31, what });
        for fast in [false, true] {
            let entry = KernelEntry::syscall(11, 24, 0x7_0001);
            let what = Logged::Syscall { number: 11, cap_type: 24, fast, label: 0x7_0001 };
            assert_eq!(read(if fast { entry.fast() } else { entry }), logged(what));
        }
        for &path in EntryPath::ALL.iter().filter(|path| **path != EntryPath::Syscall) {
            let detail = 0x3ff_fff0 + path.word();
            assert_eq!(read(KernelEntry::other(path, detail)), logged(Logged::Other { path, detail }));
        }
        assert_eq!(LogEntry::from_words([0, 7 << 32, 0]), None, "there is no such path");
    }
}
