//! Words of the fault messages of AArch64.

message_words! {
    /// Words of an unknown system call, and of the reply that restarts the thread (without the last).
    unknown_syscall:
    X0 = Register("x0"),
    X1 = Register("x1"),
    X2 = Register("x2"),
    X3 = Register("x3"),
    X4 = Register("x4"),
    X5 = Register("x5"),
    X6 = Register("x6"),
    X7 = Register("x7"),
    /// Address of the system call instruction, which is made again unless the reply moves on from it.
    FAULT_IP = Instruction,
    SP = StackPointer,
    LR = Register("x30"),
    SPSR = Flags,
    SYSCALL = SyscallNumber,
}

message_words! {
    /// Words of a processor exception; the reply uses the first three.
    user_exception:
    FAULT_IP = Instruction,
    SP = StackPointer,
    SPSR = Flags,
    NUMBER = Vector,
    CODE = ErrorCode,
}

message_words! {
    /// Words of the reply to a timeout fault.
    timeout_reply:
    FAULT_IP = Instruction,
    SP = StackPointer,
    SPSR = Flags,
    X0 = Register("x0"),
    X1 = Register("x1"),
    X2 = Register("x2"),
    X3 = Register("x3"),
    X4 = Register("x4"),
    X5 = Register("x5"),
    X6 = Register("x6"),
    X7 = Register("x7"),
    X8 = Register("x8"),
    X16 = Register("x16"),
    X17 = Register("x17"),
    X18 = Register("x18"),
    X29 = Register("x29"),
    X30 = Register("x30"),
    X9 = Register("x9"),
    X10 = Register("x10"),
    X11 = Register("x11"),
    X12 = Register("x12"),
    X13 = Register("x13"),
    X14 = Register("x14"),
    X15 = Register("x15"),
    X19 = Register("x19"),
    X20 = Register("x20"),
    X21 = Register("x21"),
    X22 = Register("x22"),
    X23 = Register("x23"),
    X24 = Register("x24"),
    X25 = Register("x25"),
    X26 = Register("x26"),
    X27 = Register("x27"),
    X28 = Register("x28"),
}
