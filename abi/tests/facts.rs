//! Every number of the interface, written out. A change here breaks programs built for it.

use pecan_abi::{
    label::{Configuration, Setting},
    *,
};

#[test]
fn syscall_numbers() {
    let facts = [
        (Syscall::Call, -1),
        (Syscall::ReplyRecv, -2),
        (Syscall::NBSendRecv, -3),
        (Syscall::NBSendWait, -4),
        (Syscall::Send, -5),
        (Syscall::NBSend, -6),
        (Syscall::Recv, -7),
        (Syscall::NBRecv, -8),
        (Syscall::Wait, -9),
        (Syscall::NBWait, -10),
        (Syscall::Yield, -11),
        (Syscall::DebugPutChar, -12),
        (Syscall::DebugDumpScheduler, -13),
        (Syscall::DebugHalt, -14),
        (Syscall::DebugCapIdentify, -15),
        (Syscall::DebugSnapshot, -16),
        (Syscall::DebugNameThread, -17),
        (Syscall::BenchmarkFlushCaches, -21),
        (Syscall::BenchmarkResetLog, -22),
        (Syscall::BenchmarkFinalizeLog, -23),
        (Syscall::BenchmarkSetLogBuffer, -24),
        (Syscall::BenchmarkNullSyscall, -25),
        (Syscall::BenchmarkGetThreadUtilisation, -26),
        (Syscall::BenchmarkResetThreadUtilisation, -27),
        (Syscall::BenchmarkDumpAllThreadsUtilisation, -28),
        (Syscall::BenchmarkResetAllThreadsUtilisation, -29),
        (Syscall::SetTLSBase, -33),
    ];
    assert_eq!(Syscall::ALL.len(), facts.len());
    for (call, number) in facts {
        assert_eq!(call.number(), number);
        assert_eq!(Syscall::from_number(number), Some(call));
        assert!(Syscall::ALL.contains(&call));
    }
    for number in [0, 1, -18, -20, -30, -32, -34, i64::MIN, i64::MAX] {
        assert_eq!(Syscall::from_number(number), None);
    }
}

#[test]
fn errors() {
    let facts = [
        (Error::NoError, 0),
        (Error::InvalidArgument, 1),
        (Error::InvalidCapability, 2),
        (Error::IllegalOperation, 3),
        (Error::RangeError, 4),
        (Error::AlignmentError, 5),
        (Error::FailedLookup, 6),
        (Error::TruncatedMessage, 7),
        (Error::DeleteFirst, 8),
        (Error::RevokeFirst, 9),
        (Error::NotEnoughMemory, 10),
    ];
    assert_eq!(Error::ALL.len(), facts.len());
    for (value, word) in facts {
        assert_eq!(value.word(), word);
        assert_eq!(Error::from_word(word), Some(value));
    }
    for word in 0..256 {
        assert_eq!(Error::from_word(word).is_some(), facts.iter().any(|fact| fact.1 == word));
    }
    assert_eq!(Error::from_word(u64::MAX), None);
}

#[test]
fn lookup_failures() {
    let facts = [
        (LookupFailureKind::None, 0),
        (LookupFailureKind::InvalidRoot, 1),
        (LookupFailureKind::MissingCapability, 2),
        (LookupFailureKind::DepthMismatch, 3),
        (LookupFailureKind::GuardMismatch, 4),
    ];
    assert_eq!(LookupFailureKind::ALL.len(), facts.len());
    for (value, word) in facts {
        assert_eq!(value.word(), word);
        assert_eq!(LookupFailureKind::from_word(word), Some(value));
    }
    for word in 0..256 {
        assert_eq!(LookupFailureKind::from_word(word).is_some(), facts.iter().any(|fact| fact.1 == word));
    }
    assert_eq!(LookupFailureKind::from_word(u64::MAX), None);
}

#[test]
fn object_types() {
    let facts = [
        (ObjectType::Untyped, 0),
        (ObjectType::Tcb, 1),
        (ObjectType::Endpoint, 2),
        (ObjectType::Notification, 3),
        (ObjectType::CNode, 4),
        (ObjectType::SchedContext, 5),
        (ObjectType::Reply, 6),
        (ObjectType::Pdpt, 7),
        (ObjectType::Pml4, 8),
        (ObjectType::HugePage, 9),
        (ObjectType::Page4K, 10),
        (ObjectType::LargePage, 11),
        (ObjectType::PageTable, 12),
        (ObjectType::PageDirectory, 13),
    ];
    assert_eq!(ObjectType::ALL.len(), facts.len());
    for (value, word) in facts {
        assert_eq!(value.word(), word);
        assert_eq!(ObjectType::from_word(word), Some(value));
    }
    for word in 0..256 {
        assert_eq!(ObjectType::from_word(word).is_some(), facts.iter().any(|fact| fact.1 == word));
    }
    assert_eq!(ObjectType::from_word(u64::MAX), None);
}

#[test]
fn invocation_labels() {
    // The numbers of a configuration with hardware breakpoints; without, four labels are gone.
    let facts = [
        (Label::InvalidInvocation, 0),
        (Label::UntypedRetype, 1),
        (Label::TcbReadRegisters, 2),
        (Label::TcbWriteRegisters, 3),
        (Label::TcbCopyRegisters, 4),
        (Label::TcbConfigure, 5),
        (Label::TcbSetPriority, 6),
        (Label::TcbSetMcPriority, 7),
        (Label::TcbSetSchedParams, 8),
        (Label::TcbSetTimeoutEndpoint, 9),
        (Label::TcbSetIpcBuffer, 10),
        (Label::TcbSetSpace, 11),
        (Label::TcbSuspend, 12),
        (Label::TcbResume, 13),
        (Label::TcbBindNotification, 14),
        (Label::TcbUnbindNotification, 15),
        (Label::TcbSetBreakpoint, 16),
        (Label::TcbGetBreakpoint, 17),
        (Label::TcbUnsetBreakpoint, 18),
        (Label::TcbConfigureSingleStepping, 19),
        (Label::TcbSetTlsBase, 20),
        (Label::TcbSetFlags, 21),
        (Label::CNodeRevoke, 22),
        (Label::CNodeDelete, 23),
        (Label::CNodeCancelBadgedSends, 24),
        (Label::CNodeCopy, 25),
        (Label::CNodeMint, 26),
        (Label::CNodeMove, 27),
        (Label::CNodeMutate, 28),
        (Label::CNodeRotate, 29),
        (Label::IrqIssueIrqHandler, 30),
        (Label::IrqAckIrq, 31),
        (Label::IrqSetIrqHandler, 32),
        (Label::IrqClearIrqHandler, 33),
        (Label::DomainSetSet, 34),
        (Label::DomainScheduleConfigure, 35),
        (Label::DomainScheduleSetStart, 36),
        (Label::SchedControlConfigureFlags, 37),
        (Label::SchedContextBind, 38),
        (Label::SchedContextUnbind, 39),
        (Label::SchedContextUnbindObject, 40),
        (Label::SchedContextConsumed, 41),
        (Label::SchedContextYieldTo, 42),
        (Label::X86PdptMap, 43),
        (Label::X86PdptUnmap, 44),
        (Label::X86PageDirectoryMap, 45),
        (Label::X86PageDirectoryUnmap, 46),
        (Label::PageTableMap, 47),
        (Label::PageTableUnmap, 48),
        (Label::PageMap, 49),
        (Label::PageUnmap, 50),
        (Label::PageGetAddress, 51),
        (Label::AsidControlMakePool, 52),
        (Label::AsidPoolAssign, 53),
        (Label::X86IoPortControlIssue, 54),
        (Label::X86IoPortIn8, 55),
        (Label::X86IoPortIn16, 56),
        (Label::X86IoPortIn32, 57),
        (Label::X86IoPortOut8, 58),
        (Label::X86IoPortOut16, 59),
        (Label::X86IoPortOut32, 60),
        (Label::X86IrqIssueIrqHandlerIoapic, 61),
        (Label::X86IrqIssueIrqHandlerMsi, 62),
    ];
    for label in Label::ALL {
        assert!(facts.iter().any(|fact| fact.0 == *label), "`facts` above has no line for {}", label.name());
    }
    assert_eq!(Label::ALL.len(), facts.len());
    let plain = Configuration::PLAIN.with(Setting::Extensions);
    let here = |with: u64| match with {
        _ if HARDWARE_DEBUG || extension::LABEL_RANGE.contains(&with) => Some(with),
        0..16 => Some(with),
        16..20 => None,
        _ => Some(with - 4),
    };
    for (value, with) in facts {
        assert_eq!(value.word_in(plain.with(Setting::HardwareDebug)), Some(with), "{}", value.name());
        assert_eq!(value.exists(), here(with).is_some());
        match here(with) {
            Some(word) => assert_eq!((value.word(), Label::from_word(word)), (word, Some(value))),
            None => assert_eq!(Label::from_word(value.word()), None),
        }
    }
    for word in 0..256 {
        assert_eq!(Label::from_word(word).is_some(), facts.iter().any(|fact| here(fact.1) == Some(word)));
    }
    assert_eq!(Label::from_word(u64::MAX), None);
    assert_eq!(Label::from_word((1 << 52) - 1), None);
}

#[test]
fn fault_tags() {
    let facts = [
        (fault::FaultTag::Null, 0),
        (fault::FaultTag::CapFault, 1),
        (fault::FaultTag::UnknownSyscall, 2),
        (fault::FaultTag::UserException, 3),
        (fault::FaultTag::DebugException, 4),
        (fault::FaultTag::Timeout, 5),
        (fault::FaultTag::VMFault, 6),
    ];
    assert_eq!(fault::FaultTag::ALL.len(), facts.len());
    for (value, word) in facts {
        assert_eq!(value.word(), word);
        assert_eq!(fault::FaultTag::from_word(word), Some(value));
    }
    for word in 0..256 {
        assert_eq!(fault::FaultTag::from_word(word).is_some(), facts.iter().any(|fact| fact.1 == word));
    }
    assert_eq!(fault::FaultTag::from_word(u64::MAX), None);
}

#[test]
fn boot_info_ids() {
    let facts = [
        (boot::BootInfoId::Padding, 0),
        (boot::BootInfoId::X86Vbe, 1),
        (boot::BootInfoId::X86MbMmap, 2),
        (boot::BootInfoId::X86AcpiRsdp, 3),
        (boot::BootInfoId::X86Framebuffer, 4),
        (boot::BootInfoId::X86TscFreq, 5),
        (boot::BootInfoId::Fdt, 6),
        // Pecan's own.
        (boot::BootInfoId::X86IsaIrqs, 0x10000),
    ];
    assert_eq!(boot::BootInfoId::ALL.len(), facts.len());
    for (value, word) in facts {
        assert_eq!(value.word(), word);
        assert_eq!(boot::BootInfoId::from_word(word), Some(value));
    }
    for word in 0..256 {
        assert_eq!(boot::BootInfoId::from_word(word).is_some(), facts.iter().any(|fact| fact.1 == word));
    }
    assert_eq!(boot::BootInfoId::from_word(u64::MAX), None);
}

#[test]
fn fault_message_words() {
    {
        use fault::vm_fault::*;
        let words = [IP, ADDR, PREFETCH_FAULT, FSR, LENGTH];
        assert_eq!(words, [0, 1, 2, 3, 4]);
    }
    {
        use fault::unknown_syscall::*;
        let words = [
            RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, FAULT_IP, SP, FLAGS,
            SYSCALL, LENGTH,
        ];
        assert_eq!(words, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    }
    {
        use fault::user_exception::*;
        let words = [FAULT_IP, SP, FLAGS, NUMBER, CODE, LENGTH];
        assert_eq!(words, [0, 1, 2, 3, 4, 5]);
    }
    {
        use fault::timeout::*;
        let words = [DATA, CONSUMED, LENGTH];
        assert_eq!(words, [0, 1, 2]);
    }
    {
        use fault::timeout_reply::*;
        let words = [
            FAULT_IP, RSP, FLAGS, RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15,
            TLS_BASE, LENGTH,
        ];
        assert_eq!(words, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    }
    {
        use fault::cap_fault::*;
        let words = [
            IP,
            ADDR,
            IN_RECV_PHASE,
            LOOKUP_FAILURE,
            BITS_LEFT,
            DEPTH_MISMATCH_BITS_FOUND,
            GUARD_MISMATCH_GUARD_FOUND,
            GUARD_MISMATCH_BITS_FOUND,
            MAX_LENGTH,
        ];
        assert_eq!(words, [0, 1, 2, 3, 4, 5, 5, 6, 7]);
    }
}

#[test]
fn initial_slots() {
    use boot::slot::*;
    let slots = [
        NULL,
        INIT_THREAD_TCB,
        INIT_THREAD_CNODE,
        INIT_THREAD_VSPACE,
        IRQ_CONTROL,
        ASID_CONTROL,
        INIT_THREAD_ASID_POOL,
        IO_PORT_CONTROL,
        IO_SPACE,
        BOOT_INFO_FRAME,
        INIT_THREAD_IPC_BUFFER,
        DOMAIN,
        SMMU_SID_CONTROL,
        SMMU_CB_CONTROL,
        INIT_THREAD_SC,
        SMC,
        NUM_INITIAL_CAPS,
    ];
    assert_eq!(slots, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
}

#[test]
fn sizes_and_bounds() {
    use constants::*;
    assert_eq!((WORD_BITS, WORD_SIZE_BITS, SLOT_BITS), (64, 3, 5));
    assert_eq!((ENDPOINT_BITS, NOTIFICATION_BITS, REPLY_BITS), (4, 6, 5));
    assert_eq!(
        (tcb_bits(512), tcb_bits(576), tcb_bits(831), tcb_bits(832), tcb_bits(4096)),
        (11, 11, 11, 12, 12)
    );
    assert_eq!((MIN_SCHED_CONTEXT_BITS, CORE_SCHED_CONTEXT_BYTES, REFILL_SIZE_BYTES), (7, 128, 16));
    assert_eq!(
        (max_extra_refills(6), max_extra_refills(7), max_extra_refills(8), max_extra_refills(12)),
        (0, 0, 8, 248)
    );
    assert_eq!((MIN_UNTYPED_BITS, MAX_UNTYPED_BITS, UNTYPED_RETYPE_MAX_OBJECTS), (4, 47, 256));
    assert_eq!((MIN_PRIORITY, MAX_PRIORITY, NUM_PRIORITIES, BADGE_BITS), (0, 255, 256, 64));
    assert_eq!((PAGE_BITS, LARGE_PAGE_BITS, HUGE_PAGE_BITS, BOOT_INFO_FRAME_BITS), (12, 21, 30, 12));
    assert_eq!(
        (PAGE_TABLE_BITS, PAGE_DIRECTORY_BITS, PDPT_BITS, PML4_BITS, VSPACE_BITS),
        (12, 12, 12, 12, 12)
    );
    assert_eq!((PAGING_INDEX_BITS, PAGING_ENTRY_BITS), (9, 3));
    assert_eq!((ASID_POOL_BITS, ASID_POOL_INDEX_BITS, NUM_ASID_POOLS_BITS), (12, 9, 3));
    assert_eq!((USER_TOP, PADDR_USER_DEVICE_TOP), (140_737_488_351_232, 140_737_488_355_328));
    assert_eq!((IRQ_VECTOR_MIN, IRQ_VECTOR_MAX, IRQ_OFFSET), (0, 107, 48));
    assert_eq!((fault_kind::DATA, fault_kind::INSTRUCTION), (0, 1));
    assert_eq!((sched_context_flag::NONE, sched_context_flag::SPORADIC), (0, 1));
    assert_eq!((tcb_flag::NONE, tcb_flag::FPU_DISABLED, tcb_flag::MASK), (0, 1, 1));
    use vm_attributes::*;
    assert_eq!(
        (DEFAULT, WRITE_BACK, WRITE_THROUGH, CACHE_DISABLED, UNCACHEABLE, WRITE_COMBINING),
        (0, 0, 1, 2, 3, 4)
    );
}

#[test]
fn ipc_buffer() {
    assert_eq!((ipc::IPC_BUFFER_BITS, ipc::MSG_MAX_LENGTH, ipc::MSG_MAX_EXTRA_CAPS), (10, 120, 3));
    assert_eq!(ipc::MESSAGE_REGISTERS, 4);
    use ipc::buffer::*;
    assert_eq!([TAG, MSG, USER_DATA, CAPS_OR_BADGES].map(|word| word * 8), [0, 8, 968, 976]);
    assert_eq!(
        [RECEIVE_CNODE, RECEIVE_INDEX, RECEIVE_DEPTH, WORDS].map(|word| word * 8),
        [1000, 1008, 1016, 1024]
    );
}

#[test]
fn message_info() {
    let info = MessageInfo::new(0xabcd, 0b101, 2, 120);
    assert_eq!(info.0, 0xabcd << 12 | 0b101 << 9 | 2 << 7 | 120);
    assert_eq!((info.label(), info.caps_unwrapped(), info.extra_caps(), info.length()), (0xabcd, 5, 2, 120));
    let full = MessageInfo(u64::MAX);
    assert_eq!((full.label(), full.caps_unwrapped(), full.extra_caps()), ((1 << 52) - 1, 7, 3));
    assert_eq!((full.length(), full.length_capped()), (127, 120));
    assert_eq!(MessageInfo::new(0, 8, 4, 128), MessageInfo(0));
    assert_eq!(info.with_length(3), MessageInfo::new(0xabcd, 0b101, 2, 3));
}

#[test]
fn rights() {
    assert_eq!(
        [CapRights::WRITE, CapRights::READ, CapRights::GRANT, CapRights::GRANT_REPLY].map(|r| r.0),
        [1, 2, 4, 8]
    );
    assert_eq!(
        [CapRights::NONE, CapRights::READ_WRITE, CapRights::NO_WRITE, CapRights::NO_READ].map(|r| r.0),
        [0, 3, 14, 13]
    );
    assert_eq!(CapRights::ALL.0, 15);
    let rights = CapRights(0b1001);
    assert!(rights.write() && !rights.read() && !rights.grant() && rights.grant_reply());
    assert_eq!(rights.and(CapRights::NO_WRITE), CapRights::GRANT_REPLY);
    assert_eq!(rights.or(CapRights::READ), CapRights(11));
}

#[test]
fn cnode_data() {
    let data = CNodeCapData::new(0x2a, 51);
    assert_eq!(data.0, 0x2a << 6 | 51);
    assert_eq!((data.guard(), data.guard_size()), (0x2a, 51));
    assert_eq!(CNodeCapData::skip_to(13).0, 51);
    assert_eq!(CNodeCapData(u64::MAX).guard(), (1 << 58) - 1);
}

#[test]
fn user_context_order() {
    let words = core::array::from_fn(|i| i as u64 + 1);
    let regs = UserContext::from_words(&words);
    assert_eq!(regs.to_words(), words);
    assert_eq!((regs.rip, regs.rsp, regs.rflags, regs.rax, regs.rbx), (1, 2, 3, 4, 5));
    assert_eq!((regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp), (6, 7, 8, 9, 10));
    assert_eq!((regs.r8, regs.r15, regs.fs_base, regs.gs_base), (11, 18, 19, 20));
    assert_eq!(core::mem::offset_of!(UserContext, fs_base), 144);
}

/// A letter or width for each parameter type: c(apability), w(ord), t(ime), b(ool), r(ights), a(ttributes), u(ser context).
fn letter(ty: ParamType) -> &'static str {
    match ty {
        ParamType::Cap => "c",
        ParamType::Word => "w",
        ParamType::Time => "t",
        ParamType::Bool => "b",
        ParamType::U8 => "8",
        ParamType::U16 => "16",
        ParamType::U32 => "32",
        ParamType::Rights => "r",
        ParamType::VmAttributes => "a",
        ParamType::UserContext => "u",
    }
}

/// Label with hardware breakpoints, parameters in, parameters out, errors by number.
const FACTS: &[(u64, &str, &str, &[u64])] = &[
    (1, "w w c w w w w", "", &[1, 2, 3, 4, 6, 8, 10]),
    (2, "b 8 w", "u", &[2, 3, 4]),
    (3, "b 8 w u", "", &[2, 3]),
    (4, "c b b b b 8", "", &[2, 3]),
    (5, "c w c w w c", "", &[2, 3, 5, 9]),
    (6, "c w", "", &[2, 3, 4]),
    (7, "c w", "", &[2, 3, 4]),
    (8, "c w w c c", "", &[2, 3, 4]),
    (9, "c", "", &[2, 3]),
    (10, "w c", "", &[2, 3, 5, 9]),
    (11, "c c w c w", "", &[2, 3, 9]),
    (12, "", "", &[2, 3]),
    (13, "", "", &[2, 3]),
    (14, "c", "", &[2, 3]),
    (15, "", "", &[2, 3]),
    (16, "16 w w w w", "", &[1, 2, 3, 4, 5]),
    (17, "16", "w w w w b", &[2, 3, 4]),
    (18, "16", "", &[2, 3, 4]),
    (19, "16 w", "b", &[1, 2, 3]),
    (20, "w", "", &[2, 3]),
    (21, "w w", "w", &[2]),
    (22, "w 8", "", &[2, 3, 4, 6]),
    (23, "w 8", "", &[2, 3, 4, 6]),
    (24, "w 8", "", &[2, 3, 4, 6]),
    (25, "w 8 c w 8 r", "", &[2, 3, 4, 6, 8, 9]),
    (26, "w 8 c w 8 r w", "", &[2, 3, 4, 6, 8, 9]),
    (27, "w 8 c w 8", "", &[2, 3, 4, 6, 8]),
    (28, "w 8 c w 8 w", "", &[2, 3, 4, 6, 8]),
    (29, "w 8 w c w 8 w c w 8", "", &[2, 3, 4, 6, 8]),
    (30, "w c w 8", "", &[2, 3, 4, 6, 8, 9]),
    (31, "", "", &[2, 3]),
    (32, "c", "", &[2, 3]),
    (33, "", "", &[2, 3]),
    (34, "8 c", "", &[1, 2, 3]),
    (35, "w 8 t", "", &[1, 3, 4]),
    (36, "w", "", &[1, 3, 4]),
    (37, "c t t w w w", "", &[2, 3, 4]),
    (38, "c", "", &[2, 3]),
    (39, "", "", &[2, 3]),
    (40, "c", "", &[2, 3]),
    (41, "", "t", &[2, 3]),
    (42, "", "t", &[2, 3]),
    (43, "c w a", "", &[1, 2, 3, 6, 8]),
    (44, "", "", &[2, 3, 9]),
    (45, "c w a", "", &[1, 2, 3, 6, 8]),
    (46, "", "", &[2, 3, 9]),
    (47, "c w a", "", &[1, 2, 3, 6, 8]),
    (48, "", "", &[2, 3, 9]),
    (49, "c w r a", "", &[1, 2, 3, 5, 6, 8]),
    (50, "", "", &[2, 3]),
    (51, "", "w", &[2, 3]),
    (52, "c c w 8", "", &[2, 3, 4, 6, 8, 9]),
    (53, "c", "", &[2, 3, 8]),
    (54, "w w c w 8", "", &[1, 2, 3, 4, 6, 8, 9]),
    (55, "16", "8", &[2, 3]),
    (56, "16", "16", &[2, 3]),
    (57, "16", "32", &[2, 3]),
    (58, "w w", "", &[2, 3]),
    (59, "w w", "", &[2, 3]),
    (60, "w w", "", &[2, 3]),
    (61, "c w 8 w w w w w", "", &[2, 3, 4, 6, 8, 9]),
    (62, "c w 8 w w w w w", "", &[2, 3, 4, 6, 8, 9]),
];

#[test]
fn invocations() {
    for (invocation, (label, ins, outs, errors)) in INVOCATIONS.iter().zip(FACTS) {
        let of = |direction| -> Vec<&str> {
            invocation.params.iter().filter(|p| p.direction == direction).map(|p| letter(p.ty)).collect()
        };
        let configuration = Configuration::PLAIN.with(Setting::HardwareDebug).with(Setting::Extensions);
        assert_eq!(
            invocation.label.word_in(configuration),
            Some(*label),
            "`FACTS` has another line at the place of {}",
            invocation.label.name()
        );
        assert_eq!(of(Direction::In).join(" "), *ins, "{}", invocation.label.name());
        assert_eq!(of(Direction::Out).join(" "), *outs, "{}", invocation.label.name());
        let mut found: Vec<u64> = invocation.errors.iter().map(|error| error.word()).collect();
        found.sort();
        assert_eq!(found, *errors, "{}", invocation.label.name());
    }
    assert_eq!(INVOCATIONS.len(), FACTS.len());
    // Every label but the invalid one is somebody's.
    assert_eq!(INVOCATIONS.len(), Label::ALL.len() - 1);
}

#[test]
fn parameter_packing() {
    let find = |label| INVOCATIONS.iter().find(|i| i.label == label).unwrap();
    let offsets = |label, direction| -> Vec<usize> {
        let i = find(label);
        (0..i.params.len())
            .filter(|&n| i.params[n].direction == direction && !i.params[n].ty.is_cap())
            .map(|n| i.bit_offset(direction, n))
            .collect()
    };
    // A bool takes one bit, a byte starts at a byte, a word at a word.
    assert_eq!(offsets(Label::TcbReadRegisters, Direction::In), [0, 8, 64]);
    assert_eq!(offsets(Label::TcbReadRegisters, Direction::Out), [0]);
    assert_eq!(find(Label::TcbReadRegisters).words(Direction::Out), 20);
    assert_eq!(offsets(Label::TcbWriteRegisters, Direction::In), [0, 8, 64, 128]);
    assert_eq!(find(Label::TcbWriteRegisters).words(Direction::In), 22);
    assert_eq!(offsets(Label::TcbCopyRegisters, Direction::In), [0, 1, 2, 3, 8]);
    assert_eq!(find(Label::TcbCopyRegisters).words(Direction::In), 1);
    assert_eq!(offsets(Label::CNodeMint, Direction::In), [0, 64, 128, 192, 256, 320]);
    assert_eq!(offsets(Label::DomainScheduleConfigure, Direction::In), [0, 64, 128]);
    assert_eq!(find(Label::UntypedRetype).words(Direction::In), 6);
    assert_eq!(find(Label::UntypedRetype).extra_caps(), 1);
    assert_eq!(find(Label::CNodeRotate).words(Direction::In), 8);
    assert_eq!(find(Label::TcbSuspend).words(Direction::In), 0);
}

#[test]
fn the_log_of_kernel_entries() {
    use benchmark::{EntryPath, KernelEntry, LOG_ENTRY_WORDS};
    let paths = [
        (EntryPath::Unknown, 0),
        (EntryPath::Interrupt, 1),
        (EntryPath::UnknownSyscall, 2),
        (EntryPath::UserLevelFault, 3),
        (EntryPath::DebugFault, 4),
        (EntryPath::VMFault, 5),
        (EntryPath::Syscall, 6),
    ];
    assert_eq!(EntryPath::ALL.len(), paths.len());
    paths.iter().for_each(|&(path, number)| assert_eq!(path.word(), number));
    // As a C compiler lays out `benchmark_track_kernel_entry_t`: a packed structure begins at byte 12, whose union
    // begins at byte 13.
    let bytes = |entry: KernelEntry| {
        let mut bytes = [0; 8 * LOG_ENTRY_WORDS];
        for (i, word) in entry.to_log(0x1122_3344_5566_7788, 0x99aa_bbcc).into_iter().enumerate() {
            bytes[8 * i..][..8].copy_from_slice(&word.to_le_bytes());
        }
        assert_eq!(bytes[..12], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xcc, 0xbb, 0xaa, 0x99]);
        assert_eq!(bytes[21..], [0; 3]);
        <[u8; 9]>::try_from(&bytes[12..21]).unwrap()
    };
    let other = |detail| bytes(KernelEntry::other(EntryPath::VMFault, detail));
    assert_eq!(other(u64::MAX), [5, 0xf8, 0xff, 0xff, 0x1f, 0, 0, 0, 0]);
    assert_eq!(other(1), [5, 8, 0, 0, 0, 0, 0, 0, 0]);
    let call = |number, cap_type, label| bytes(KernelEntry::syscall(number, cap_type, label));
    assert_eq!(call(u64::MAX, 0, 0), [6, 0x0f, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(call(0, u64::MAX, 0), [6, 0xf0, 0x01, 0, 0, 0, 0, 0, 0]);
    assert_eq!(call(0, 0, u64::MAX), [6, 0, 0xfc, 0xff, 0x1f, 0, 0, 0, 0]);
    assert_eq!(bytes(KernelEntry::syscall(0, 0, 0).fast()), [6, 0, 0x02, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn the_words_of_a_utilisation() {
    use benchmark::utilisation::*;
    let words = [
        TCB,
        TCB_SCHEDULES,
        TCB_KERNEL,
        TCB_KERNEL_ENTRIES,
        IDLE_LOCAL,
        IDLE_TCB,
        IDLE_SCHEDULES,
        IDLE_KERNEL,
        IDLE_KERNEL_ENTRIES,
        TOTAL,
        TOTAL_SCHEDULES,
        TOTAL_KERNEL,
        TOTAL_KERNEL_ENTRIES,
    ];
    assert!(words.into_iter().eq(0..WORDS));
}

#[test]
fn the_words_of_faults_are_where_their_names_say() {
    use fault::{
        FaultTag::*, Holds::*, cap_fault, debug_exception, timeout, unknown_syscall, user_exception, vm_fault,
    };
    for (tag, length, named) in [
        (
            CapFault,
            cap_fault::LOOKUP_FAILURE + 1,
            &[
                (cap_fault::IP, Instruction),
                (cap_fault::ADDR, CapAddress),
                (cap_fault::IN_RECV_PHASE, InReceivePhase),
                (cap_fault::LOOKUP_FAILURE, LookupFailure),
            ][..],
        ),
        (
            UnknownSyscall,
            unknown_syscall::LENGTH,
            &[
                (unknown_syscall::RAX, Register("rax")),
                (unknown_syscall::RBP, Register("rbp")),
                (unknown_syscall::R8, Register("r8")),
                (unknown_syscall::R15, Register("r15")),
                (unknown_syscall::FAULT_IP, Instruction),
                (unknown_syscall::SP, StackPointer),
                (unknown_syscall::FLAGS, Flags),
                (unknown_syscall::SYSCALL, SyscallNumber),
            ],
        ),
        (
            UserException,
            user_exception::LENGTH,
            &[
                (user_exception::FAULT_IP, Instruction),
                (user_exception::SP, StackPointer),
                (user_exception::FLAGS, Flags),
                (user_exception::NUMBER, Vector),
                (user_exception::CODE, ErrorCode),
            ],
        ),
        (
            DebugException,
            debug_exception::LENGTH,
            &[
                (debug_exception::FAULT_IP, Instruction),
                (debug_exception::EXCEPTION_REASON, Reason),
                (debug_exception::TRIGGER_ADDRESS, TriggerAddress),
                (debug_exception::BREAKPOINT_NUMBER, BreakpointNumber),
            ],
        ),
        (Timeout, timeout::LENGTH, &[(timeout::DATA, SchedContextBadge), (timeout::CONSUMED, Consumed)]),
        (
            VMFault,
            vm_fault::LENGTH,
            &[
                (vm_fault::IP, Instruction),
                (vm_fault::ADDR, Address),
                (vm_fault::PREFETCH_FAULT, IsFetch),
                (vm_fault::FSR, ErrorCode),
            ],
        ),
    ] {
        assert_eq!(tag.words().len(), length, "{tag:?}");
        for (index, holds) in named {
            assert_eq!(tag.words()[*index], *holds, "{tag:?}");
        }
    }
    let longest = LookupFailureKind::ALL.iter().map(|kind| kind.words().len()).max();
    assert_eq!(CapFault.words().len() + longest.unwrap_or(0), cap_fault::MAX_LENGTH);
    assert_eq!(LookupFailureKind::GuardMismatch.words()[..2], [BitsLeft, Guard]);
}
