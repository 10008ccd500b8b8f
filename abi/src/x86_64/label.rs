//! Labels of invocations.

use crate::HARDWARE_DEBUG;

/// How many labels hardware breakpoints add, in front of those of `after` below.
const ADDED: u64 = if HARDWARE_DEBUG { 4 } else { 0 };
/// Where the labels of invocations that the configuration lacks begin: a message can carry them, and they mean
/// nothing.
const NOWHERE: u64 = 0xf_ffff_ffff_f000;

macro_rules! labels {
    (
        $(#[$meta:meta])*
        before { $($(#[$bmeta:meta])* $Before:ident = $before:literal,)+ }
        hardware_debug { $($(#[$dmeta:meta])* $Debug:ident = $debug:literal,)+ }
        after { $($(#[$ameta:meta])* $After:ident = $after:literal,)+ }
    ) => {
        /// The numbers, to be matched on.
        #[allow(non_upper_case_globals)]
        mod number {
            $(pub const $Before: u64 = $before;)+
            $(pub const $Debug: u64 = if super::HARDWARE_DEBUG { $debug } else { super::NOWHERE + $debug };)+
            $(pub const $After: u64 = $after + super::ADDED;)+
        }

        $(#[$meta])*
        #[repr(u64)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Label {
            $($(#[$bmeta])* $Before = number::$Before,)+
            $($(#[$dmeta])* $Debug = number::$Debug,)+
            $($(#[$ameta])* $After = number::$After,)+
        }

        impl Label {
            /// Every label, in the order of a configuration that has all of them.
            pub const ALL: &'static [Self] = &[$(Self::$Before,)+ $(Self::$Debug,)+ $(Self::$After,)+];

            /// The label with this number in the configuration at hand, if there is one.
            #[inline]
            pub const fn from_word(word: u64) -> Option<Self> {
                match word {
                    $(number::$Before => Some(Self::$Before),)+
                    $(number::$Debug if HARDWARE_DEBUG => Some(Self::$Debug),)+
                    $(number::$After => Some(Self::$After),)+
                    _ => None,
                }
            }

            /// The number of this label in the configuration at hand; one that means nothing if it has not the
            /// invocation.
            #[inline]
            pub const fn word(self) -> u64 {
                self as u64
            }

            /// The number of this label in a configuration with hardware breakpoints.
            pub const fn word_with_hardware_debug(self) -> u64 {
                if self as u64 >= NOWHERE {
                    self as u64 - NOWHERE
                } else if HARDWARE_DEBUG || (self as u64) < Self::TcbSetTlsBase as u64 {
                    self as u64
                } else {
                    self as u64 + 4
                }
            }

            /// The configuration at hand has this invocation.
            pub const fn exists(self) -> bool {
                (self as u64) < NOWHERE
            }

            /// The name of this label as it is written in the source.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Before => stringify!($Before),)+
                    $(Self::$Debug => stringify!($Debug),)+
                    $(Self::$After => stringify!($After),)+
                }
            }
        }
    };
}

labels! {
    /// What an invocation asks of a kernel object: the label of its message. Options of a configuration that
    /// add invocations shift the numbers after them; the numbers written here are those without hardware
    /// breakpoints ([`HARDWARE_DEBUG`]), multiple cores, IOMMU and virtual machines.
    before {
        /// Asks for nothing; always an error.
        InvalidInvocation = 0,
        /// `Untyped::Retype`.
        UntypedRetype = 1,
        /// `Tcb::ReadRegisters`.
        TcbReadRegisters = 2,
        /// `Tcb::WriteRegisters`.
        TcbWriteRegisters = 3,
        /// `Tcb::CopyRegisters`.
        TcbCopyRegisters = 4,
        /// `Tcb::Configure`.
        TcbConfigure = 5,
        /// `Tcb::SetPriority`.
        TcbSetPriority = 6,
        /// `Tcb::SetMCPriority`.
        TcbSetMcPriority = 7,
        /// `Tcb::SetSchedParams`.
        TcbSetSchedParams = 8,
        /// `Tcb::SetTimeoutEndpoint`.
        TcbSetTimeoutEndpoint = 9,
        /// `Tcb::SetIPCBuffer`.
        TcbSetIpcBuffer = 10,
        /// `Tcb::SetSpace`.
        TcbSetSpace = 11,
        /// `Tcb::Suspend`.
        TcbSuspend = 12,
        /// `Tcb::Resume`.
        TcbResume = 13,
        /// `Tcb::BindNotification`.
        TcbBindNotification = 14,
        /// `Tcb::UnbindNotification`.
        TcbUnbindNotification = 15,
    }
    hardware_debug {
        /// `Tcb::SetBreakpoint`.
        TcbSetBreakpoint = 16,
        /// `Tcb::GetBreakpoint`.
        TcbGetBreakpoint = 17,
        /// `Tcb::UnsetBreakpoint`.
        TcbUnsetBreakpoint = 18,
        /// `Tcb::ConfigureSingleStepping`.
        TcbConfigureSingleStepping = 19,
    }
    after {
        /// `Tcb::SetTLSBase`.
        TcbSetTlsBase = 16,
        /// `Tcb::SetFlags`.
        TcbSetFlags = 17,
        /// `CNode::Revoke`.
        CNodeRevoke = 18,
        /// `CNode::Delete`.
        CNodeDelete = 19,
        /// `CNode::CancelBadgedSends`.
        CNodeCancelBadgedSends = 20,
        /// `CNode::Copy`.
        CNodeCopy = 21,
        /// `CNode::Mint`.
        CNodeMint = 22,
        /// `CNode::Move`.
        CNodeMove = 23,
        /// `CNode::Mutate`.
        CNodeMutate = 24,
        /// `CNode::Rotate`.
        CNodeRotate = 25,
        /// `IrqControl::Get`.
        IrqIssueIrqHandler = 26,
        /// `IrqHandler::Ack`.
        IrqAckIrq = 27,
        /// `IrqHandler::SetNotification`.
        IrqSetIrqHandler = 28,
        /// `IrqHandler::Clear`.
        IrqClearIrqHandler = 29,
        /// `DomainSet::Set`.
        DomainSetSet = 30,
        /// `DomainSet::ScheduleConfigure`.
        DomainScheduleConfigure = 31,
        /// `DomainSet::ScheduleSetStart`.
        DomainScheduleSetStart = 32,
        /// `SchedControl::ConfigureFlags`.
        SchedControlConfigureFlags = 33,
        /// `SchedContext::Bind`.
        SchedContextBind = 34,
        /// `SchedContext::Unbind`.
        SchedContextUnbind = 35,
        /// `SchedContext::UnbindObject`.
        SchedContextUnbindObject = 36,
        /// `SchedContext::Consumed`.
        SchedContextConsumed = 37,
        /// `SchedContext::YieldTo`.
        SchedContextYieldTo = 38,
        /// `Pdpt::Map`.
        X86PdptMap = 39,
        /// `Pdpt::Unmap`.
        X86PdptUnmap = 40,
        /// `PageDirectory::Map`.
        X86PageDirectoryMap = 41,
        /// `PageDirectory::Unmap`.
        X86PageDirectoryUnmap = 42,
        /// `PageTable::Map`.
        X86PageTableMap = 43,
        /// `PageTable::Unmap`.
        X86PageTableUnmap = 44,
        /// `Page::Map`.
        X86PageMap = 45,
        /// `Page::Unmap`.
        X86PageUnmap = 46,
        /// `Page::GetAddress`.
        X86PageGetAddress = 47,
        /// `AsidControl::MakePool`.
        X86AsidControlMakePool = 48,
        /// `AsidPool::Assign`.
        X86AsidPoolAssign = 49,
        /// `IoPortControl::Issue`.
        X86IoPortControlIssue = 50,
        /// `IoPort::In8`.
        X86IoPortIn8 = 51,
        /// `IoPort::In16`.
        X86IoPortIn16 = 52,
        /// `IoPort::In32`.
        X86IoPortIn32 = 53,
        /// `IoPort::Out8`.
        X86IoPortOut8 = 54,
        /// `IoPort::Out16`.
        X86IoPortOut16 = 55,
        /// `IoPort::Out32`.
        X86IoPortOut32 = 56,
        /// `IrqControl::GetIOAPIC`.
        X86IrqIssueIrqHandlerIoapic = 57,
        /// `IrqControl::GetMSI`.
        X86IrqIssueIrqHandlerMsi = 58,
    }
}
