//! System call numbers.

/// Defines the enumeration, and what lists all of it.
macro_rules! syscalls {
    ($($(#[$meta:meta])* $Name:ident = $number:literal,)+) => {
        /// A system call. The number travels sign-extended in the architecture's system call register.
        #[repr(i64)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Syscall { $($(#[$meta])* $Name = $number,)+ }

        impl Syscall {
            /// Every system call, from -1 downwards.
            pub const ALL: &'static [Self] = &[$(Self::$Name,)+];

            /// The system call with this number, if there is one.
            #[inline]
            pub const fn from_number(number: i64) -> Option<Self> {
                Some(match number {
                    $($number => Self::$Name,)+
                    _ => return None,
                })
            }

            /// The number of this system call.
            #[inline]
            pub const fn number(self) -> i64 {
                self as i64
            }

            /// True for the numbers of the system calls that every configuration has.
            #[inline(always)]
            pub const fn is_core(number: i64) -> bool {
                Self::Yield as i64 <= number && number <= Self::Call as i64
            }
        }
    };
}

syscalls! {
    /// Send to a capability and wait for the reply; every invocation of a kernel object is a call.
    Call = -1,
    /// Reply through a reply object, then receive.
    ReplyRecv = -2,
    /// Send without blocking, then receive.
    NBSendRecv = -3,
    /// Send without blocking, then wait (receive without a reply object).
    NBSendWait = -4,
    /// Send; blocks until there is a receiver. On a notification this is a signal.
    Send = -5,
    /// Send if a receiver is waiting, otherwise drop the message.
    NBSend = -6,
    /// Receive from an endpoint or a notification; blocks.
    Recv = -7,
    /// Receive if a sender is waiting, otherwise return at once with badge 0.
    NBRecv = -8,
    /// Receive without a reply object: for notifications, and for messages nobody replies to.
    Wait = -9,
    /// [`Syscall::Wait`] without blocking.
    NBWait = -10,
    /// Give up the rest of the current budget.
    Yield = -11,
    /// Write one byte on the kernel's console. Kernels with printing only.
    DebugPutChar = -12,
    /// Print the state of all threads on the kernel's console. Debug kernels only.
    DebugDumpScheduler = -13,
    /// Stop the machine. Debug kernels only.
    DebugHalt = -14,
    /// The type number of a capability. Debug kernels only.
    DebugCapIdentify = -15,
    /// Print the capabilities of the calling thread's CSpace. Debug kernels only.
    DebugSnapshot = -16,
    /// Give a thread a name for the kernel's messages. Debug kernels only.
    DebugNameThread = -17,
    /// Empty the processor's caches. This and the following: kernels with benchmark calls only.
    BenchmarkFlushCaches = -21,
    /// Begin to track: utilisation, or the entries into the kernel.
    BenchmarkResetLog = -22,
    /// Stop tracking; how many entries the log has.
    BenchmarkFinalizeLog = -23,
    /// Give the kernel a large frame for its log.
    BenchmarkSetLogBuffer = -24,
    /// Does nothing, for measurements.
    BenchmarkNullSyscall = -25,
    /// How much of the processor a thread, the idle thread and all have used. This and the following: kernels that track
    /// utilisation only.
    BenchmarkGetThreadUtilisation = -26,
    /// Count a thread's utilisation from nothing again.
    BenchmarkResetThreadUtilisation = -27,
    /// Print the utilisation of all threads on the kernel's console. Debug kernels only.
    BenchmarkDumpAllThreadsUtilisation = -28,
    /// Count every thread's utilisation from nothing again. Debug kernels only.
    BenchmarkResetAllThreadsUtilisation = -29,
    /// Set the calling thread's own TLS base.
    SetTLSBase = -33,
}
