//! Words of the fault messages of RISC-V.

message_words! {
    /// Words of an unknown system call, and of the reply that restarts the thread (without the last).
    unknown_syscall:
    /// Address of the system call instruction, which is made again unless the reply moves on from it.
    FAULT_IP = Instruction,
    SP = StackPointer,
    RA = Register("ra"),
    A0 = Register("a0"),
    A1 = Register("a1"),
    A2 = Register("a2"),
    A3 = Register("a3"),
    A4 = Register("a4"),
    A5 = Register("a5"),
    A6 = Register("a6"),
    SYSCALL = SyscallNumber,
}

message_words! {
    /// Words of a processor exception; the reply uses the first two.
    user_exception:
    FAULT_IP = Instruction,
    SP = StackPointer,
    NUMBER = Vector,
    CODE = ErrorCode,
}

message_words! {
    /// Words of the reply to a timeout fault.
    timeout_reply:
    FAULT_IP = Instruction,
    RA = Register("ra"),
    SP = StackPointer,
    GP = Register("gp"),
    S0 = Register("s0"),
    S1 = Register("s1"),
    S2 = Register("s2"),
    S3 = Register("s3"),
    S4 = Register("s4"),
    S5 = Register("s5"),
    S6 = Register("s6"),
    S7 = Register("s7"),
    S8 = Register("s8"),
    S9 = Register("s9"),
    S10 = Register("s10"),
    S11 = Register("s11"),
    A0 = Register("a0"),
    A1 = Register("a1"),
    A2 = Register("a2"),
    A3 = Register("a3"),
    A4 = Register("a4"),
    A5 = Register("a5"),
    A6 = Register("a6"),
    A7 = Register("a7"),
    T0 = Register("t0"),
    T1 = Register("t1"),
    T2 = Register("t2"),
    T3 = Register("t3"),
    T4 = Register("t4"),
    T5 = Register("t5"),
    T6 = Register("t6"),
    TP = Register("tp"),
}
