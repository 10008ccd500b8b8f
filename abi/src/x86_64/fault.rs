//! Words of the fault messages of x86_64.

message_words! {
    /// Words of an unknown system call, and of the reply that restarts the thread (without the last).
    unknown_syscall:
    RAX = Register("rax"),
    RBX = Register("rbx"),
    RCX = Register("rcx"),
    RDX = Register("rdx"),
    RSI = Register("rsi"),
    RDI = Register("rdi"),
    RBP = Register("rbp"),
    R8 = Register("r8"),
    R9 = Register("r9"),
    R10 = Register("r10"),
    R11 = Register("r11"),
    R12 = Register("r12"),
    R13 = Register("r13"),
    R14 = Register("r14"),
    R15 = Register("r15"),
    /// Address of the system call instruction, which is made again unless the reply moves on from it.
    FAULT_IP = Instruction,
    SP = StackPointer,
    FLAGS = Flags,
    SYSCALL = SyscallNumber,
}

message_words! {
    /// Words of a processor exception; the reply uses the first three.
    user_exception:
    FAULT_IP = Instruction,
    SP = StackPointer,
    FLAGS = Flags,
    NUMBER = Vector,
    CODE = ErrorCode,
}

message_words! {
    /// Words of the reply to a timeout fault.
    timeout_reply:
    FAULT_IP = Instruction,
    RSP = StackPointer,
    FLAGS = Flags,
    RAX = Register("rax"),
    RBX = Register("rbx"),
    RCX = Register("rcx"),
    RDX = Register("rdx"),
    RSI = Register("rsi"),
    RDI = Register("rdi"),
    RBP = Register("rbp"),
    R8 = Register("r8"),
    R9 = Register("r9"),
    R10 = Register("r10"),
    R11 = Register("r11"),
    R12 = Register("r12"),
    R13 = Register("r13"),
    R14 = Register("r14"),
    R15 = Register("r15"),
    TLS_BASE = Register("fs_base"),
}
