//! Words of the fault messages of x86_64.

/// What they hold, see [`FaultTag::words`](crate::fault::FaultTag::words).
pub(crate) mod words {
    use crate::fault::Holds::{self, *};

    pub const UNKNOWN_SYSCALL: &[Holds] = &[
        Register("rax"),
        Register("rbx"),
        Register("rcx"),
        Register("rdx"),
        Register("rsi"),
        Register("rdi"),
        Register("rbp"),
        Register("r8"),
        Register("r9"),
        Register("r10"),
        Register("r11"),
        Register("r12"),
        Register("r13"),
        Register("r14"),
        Register("r15"),
        Instruction,
        StackPointer,
        Flags,
        SyscallNumber,
    ];

    pub const USER_EXCEPTION: &[Holds] = &[Instruction, StackPointer, Flags, Vector, ErrorCode];

    pub const VM_FAULT: &[Holds] = &[Instruction, Address, IsFetch, ErrorCode];
}

/// Words of a page fault.
pub mod vm_fault {
    /// Address of the instruction.
    pub const IP: usize = 0;
    /// The address that faulted.
    pub const ADDR: usize = 1;
    /// 1 when an instruction was being fetched, 0 for data.
    pub const PREFETCH_FAULT: usize = 2;
    /// The processor's error code.
    pub const FSR: usize = 3;
    /// Number of words.
    pub const LENGTH: usize = 4;
}

/// Words of an unknown system call, and of the reply that restarts the thread.
#[allow(missing_docs)] // Registers are known by their names.
pub mod unknown_syscall {
    pub const RAX: usize = 0;
    pub const RBX: usize = 1;
    pub const RCX: usize = 2;
    pub const RDX: usize = 3;
    pub const RSI: usize = 4;
    pub const RDI: usize = 5;
    pub const RBP: usize = 6;
    pub const R8: usize = 7;
    pub const R9: usize = 8;
    pub const R10: usize = 9;
    pub const R11: usize = 10;
    pub const R12: usize = 11;
    pub const R13: usize = 12;
    pub const R14: usize = 13;
    pub const R15: usize = 14;
    /// Address of the system call instruction, which is made again unless the reply moves on from it.
    pub const FAULT_IP: usize = 15;
    pub const SP: usize = 16;
    pub const FLAGS: usize = 17;
    /// The number of the system call (not part of the reply).
    pub const SYSCALL: usize = 18;
    /// Number of words.
    pub const LENGTH: usize = 19;
}

/// Words of a processor exception; the reply uses the first three.
pub mod user_exception {
    /// Address of the instruction.
    pub const FAULT_IP: usize = 0;
    /// Stack pointer.
    pub const SP: usize = 1;
    /// Flags register.
    pub const FLAGS: usize = 2;
    /// Vector of the exception.
    pub const NUMBER: usize = 3;
    /// The processor's error code.
    pub const CODE: usize = 4;
    /// Number of words.
    pub const LENGTH: usize = 5;
}

/// Words of the reply to a timeout fault.
#[allow(missing_docs)] // Registers are known by their names.
pub mod timeout_reply {
    pub const FAULT_IP: usize = 0;
    pub const RSP: usize = 1;
    pub const FLAGS: usize = 2;
    pub const RAX: usize = 3;
    pub const RBX: usize = 4;
    pub const RCX: usize = 5;
    pub const RDX: usize = 6;
    pub const RSI: usize = 7;
    pub const RDI: usize = 8;
    pub const RBP: usize = 9;
    pub const R8: usize = 10;
    pub const R9: usize = 11;
    pub const R10: usize = 12;
    pub const R11: usize = 13;
    pub const R12: usize = 14;
    pub const R13: usize = 15;
    pub const R14: usize = 16;
    pub const R15: usize = 17;
    pub const TLS_BASE: usize = 18;
    /// Number of words.
    pub const LENGTH: usize = 19;
}
