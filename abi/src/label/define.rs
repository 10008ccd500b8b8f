//! What makes the labels of an architecture, from the list of its own.

/// Where the labels of invocations that the configuration lacks begin: a message can carry them, and they mean
/// nothing.
pub(crate) const NOWHERE: u64 = 0xf_ffff_ffff_f000;

/// The name of a label in the ABI: the one that is given, or its own (upper and lower case do not count).
macro_rules! abi_name {
    ($Label:ident) => {
        stringify!($Label)
    };
    ($Label:ident $name:literal) => {
        $name
    };
}

/// Defines `Label`: the labels that every architecture has, and behind them those listed, for which the ABI may have
/// another name. What means the same on all architectures has the same name here.
macro_rules! labels {
    ($ARCHITECTURE:ident: $($own:tt)+) => {
        define_labels! {
            $ARCHITECTURE:
            /// `Untyped::Retype`.
            UntypedRetype,
            /// `Tcb::ReadRegisters`.
            TcbReadRegisters,
            /// `Tcb::WriteRegisters`.
            TcbWriteRegisters,
            /// `Tcb::CopyRegisters`.
            TcbCopyRegisters,
            /// `Tcb::Configure`.
            TcbConfigure,
            /// `Tcb::SetPriority`.
            TcbSetPriority,
            /// `Tcb::SetMCPriority`.
            TcbSetMcPriority,
            /// `Tcb::SetSchedParams`.
            TcbSetSchedParams,
            /// `Tcb::SetTimeoutEndpoint`.
            TcbSetTimeoutEndpoint,
            /// `Tcb::SetIPCBuffer`.
            TcbSetIpcBuffer,
            /// `Tcb::SetSpace`.
            TcbSetSpace,
            /// `Tcb::Suspend`.
            TcbSuspend,
            /// `Tcb::Resume`.
            TcbResume,
            /// `Tcb::BindNotification`.
            TcbBindNotification,
            /// `Tcb::UnbindNotification`.
            TcbUnbindNotification,
            /// `Tcb::SetBreakpoint`.
            TcbSetBreakpoint,
            /// `Tcb::GetBreakpoint`.
            TcbGetBreakpoint,
            /// `Tcb::UnsetBreakpoint`.
            TcbUnsetBreakpoint,
            /// `Tcb::ConfigureSingleStepping`.
            TcbConfigureSingleStepping,
            /// `Tcb::SetTLSBase`.
            TcbSetTlsBase,
            /// `Tcb::SetFlags`.
            TcbSetFlags,
            /// `CNode::Revoke`.
            CNodeRevoke,
            /// `CNode::Delete`.
            CNodeDelete,
            /// `CNode::CancelBadgedSends`.
            CNodeCancelBadgedSends,
            /// `CNode::Copy`.
            CNodeCopy,
            /// `CNode::Mint`.
            CNodeMint,
            /// `CNode::Move`.
            CNodeMove,
            /// `CNode::Mutate`.
            CNodeMutate,
            /// `CNode::Rotate`.
            CNodeRotate,
            /// `IrqControl::Get`.
            IrqIssueIrqHandler,
            /// `IrqHandler::Ack`.
            IrqAckIrq,
            /// `IrqHandler::SetNotification`.
            IrqSetIrqHandler,
            /// `IrqHandler::Clear`.
            IrqClearIrqHandler,
            /// `DomainSet::Set`.
            DomainSetSet,
            /// `DomainSet::ScheduleConfigure`.
            DomainScheduleConfigure,
            /// `DomainSet::ScheduleSetStart`.
            DomainScheduleSetStart,
            /// `SchedControl::ConfigureFlags`.
            SchedControlConfigureFlags,
            /// `SchedContext::Bind`.
            SchedContextBind,
            /// `SchedContext::Unbind`.
            SchedContextUnbind,
            /// `SchedContext::UnbindObject`.
            SchedContextUnbindObject,
            /// `SchedContext::Consumed`.
            SchedContextConsumed,
            /// `SchedContext::YieldTo`.
            SchedContextYieldTo,
            $($own)+
        }
    };
}

macro_rules! define_labels {
    ($ARCHITECTURE:ident: $($(#[$meta:meta])* $Label:ident $(= $name:literal)?,)+) => {
        use crate::label::{$ARCHITECTURE, CONFIGURATION, Configuration, define::NOWHERE};

        /// The order of the labels, those included that the configuration lacks.
        enum Position { $($Label,)+ }

        /// The numbers, to be matched on.
        #[allow(non_upper_case_globals)]
        mod number {
            use super::{$ARCHITECTURE, CONFIGURATION, NOWHERE, Position};
            $(pub const $Label: u64 = match $ARCHITECTURE.number(CONFIGURATION, abi_name!($Label $($name)?)) {
                Some(number) => number,
                None => {
                    assert!($ARCHITECTURE.knows(abi_name!($Label $($name)?)), "the architecture has no such label");
                    NOWHERE + Position::$Label as u64
                }
            };)+
        }

        /// What an invocation asks of a kernel object: the label of its message. The numbers are those of the
        /// configuration at hand, counted from the lists in [`crate::label`]. There are more labels on those lists than
        /// here, for what the kernel does not have yet.
        #[repr(u64)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Label {
            /// Asks for nothing; always an error.
            InvalidInvocation = 0,
            $($(#[$meta])* $Label = number::$Label,)+
        }

        impl Label {
            /// Every label, in the order of a configuration that has all of them.
            pub const ALL: &'static [Self] = &[Self::InvalidInvocation, $(Self::$Label,)+];

            /// The label with this number in the configuration at hand, if there is one.
            #[inline]
            pub const fn from_word(word: u64) -> Option<Self> {
                match word {
                    0 => Some(Self::InvalidInvocation),
                    $(number::$Label if number::$Label < NOWHERE => Some(Self::$Label),)+
                    _ => None,
                }
            }

            /// The number of this label in the configuration at hand; one that means nothing if it has not the
            /// invocation.
            #[inline]
            pub const fn word(self) -> u64 {
                self as u64
            }

            /// The number of this label in a configuration, if that has it.
            pub const fn word_in(self, configuration: Configuration) -> Option<u64> {
                match self {
                    Self::InvalidInvocation => Some(0),
                    _ => $ARCHITECTURE.number(configuration, self.abi_name()),
                }
            }

            /// The configuration at hand has this invocation.
            pub const fn exists(self) -> bool {
                (self as u64) < NOWHERE
            }

            /// The name of this label as it is written in the source.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::InvalidInvocation => "InvalidInvocation",
                    $(Self::$Label => stringify!($Label),)+
                }
            }

            /// The name of this label in the ABI, but for upper and lower case.
            pub const fn abi_name(self) -> &'static str {
                match self {
                    Self::InvalidInvocation => "InvalidInvocation",
                    $(Self::$Label => abi_name!($Label $($name)?),)+
                }
            }
        }
    };
}
