//! Faults: the messages that the kernel sends to a thread's handler.

use pecan_abi::breakpoint::BreakpointType;
use pecan_abi::fault::{
    FaultTag, cap_fault, debug_exception, timeout, unknown_syscall, user_exception, vm_fault,
};

use crate::{LongMessage, LookupFailure};

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Used a capability address that does not resolve.
    Cap {
        /// The instruction.
        ip: u64,
        /// The address.
        addr: u64,
        /// Whether it was receiving.
        receiving: bool,
        /// What is wrong with it.
        failure: LookupFailure,
    },
    /// Made a system call that does not exist.
    UnknownSyscall {
        /// The system call instruction.
        ip: u64,
        /// Stack pointer.
        sp: u64,
        /// The number.
        number: u64,
    },
    /// Raised a processor exception.
    UserException {
        /// The instruction.
        ip: u64,
        /// Stack pointer.
        sp: u64,
        /// Flags register.
        flags: u64,
        /// The vector.
        number: u64,
        /// The processor's error code.
        code: u64,
    },
    /// Came to a breakpoint, made a single step, or executed a breakpoint instruction.
    Debug {
        /// The instruction that comes next.
        ip: u64,
        /// Which of them.
        reason: BreakpointType,
        /// The address of the breakpoint.
        addr: u64,
        /// Its number.
        number: u64,
    },
    /// Ran out of budget.
    Timeout {
        /// The badge of its scheduling context.
        badge: u64,
        /// Microseconds consumed.
        consumed: u64,
    },
    /// Used an address that is not mapped for it.
    Vm {
        /// The instruction.
        ip: u64,
        /// The address.
        addr: u64,
        /// Whether it was fetching an instruction.
        instruction: bool,
        /// The processor's error code.
        code: u64,
    },
}

impl Fault {
    /// Reads a fault message; `None` if the message is not one.
    pub fn from_message(message: &LongMessage) -> Option<Self> {
        let word = |index| message.word(index);
        Some(match FaultTag::from_word(message.label())? {
            FaultTag::Null => return None,
            FaultTag::CapFault => Self::Cap {
                ip: word(cap_fault::IP),
                addr: word(cap_fault::ADDR),
                receiving: word(cap_fault::IN_RECV_PHASE) != 0,
                failure: LookupFailure::from_words(word(cap_fault::LOOKUP_FAILURE), |index| {
                    word(cap_fault::BITS_LEFT + index)
                }),
            },
            FaultTag::UnknownSyscall => Self::UnknownSyscall {
                ip: word(unknown_syscall::FAULT_IP),
                sp: word(unknown_syscall::SP),
                number: word(unknown_syscall::SYSCALL),
            },
            FaultTag::UserException => Self::UserException {
                ip: word(user_exception::FAULT_IP),
                sp: word(user_exception::SP),
                flags: word(crate::arch::FLAGS),
                number: word(user_exception::NUMBER),
                code: word(user_exception::CODE),
            },
            FaultTag::DebugException => {
                let reason = BreakpointType::from_word(word(debug_exception::EXCEPTION_REASON))?;
                // A single step has no more words.
                let stepped = reason == BreakpointType::SingleStep;
                let more = |index| if stepped { 0 } else { word(index) };
                Self::Debug {
                    ip: word(debug_exception::FAULT_IP),
                    reason,
                    addr: more(debug_exception::TRIGGER_ADDRESS),
                    number: more(debug_exception::BREAKPOINT_NUMBER),
                }
            }
            FaultTag::Timeout => {
                Self::Timeout { badge: word(timeout::DATA), consumed: word(timeout::CONSUMED) }
            }
            FaultTag::VMFault => Self::Vm {
                ip: word(vm_fault::IP),
                addr: word(vm_fault::ADDR),
                instruction: word(vm_fault::PREFETCH_FAULT) != 0,
                code: word(vm_fault::FSR),
            },
        })
    }

    /// The name of a processor exception.
    pub const fn exception_name(number: u64) -> &'static str {
        crate::arch::exception_name(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(label: u64, words: &[u64]) -> LongMessage {
        let mut message = LongMessage::new(label);
        words.iter().for_each(|word| message.push(*word).unwrap());
        message
    }

    #[test]
    fn a_page_fault_is_read() {
        let message = message(6, &[0x40_1000, 0x10, 0, 6]);
        let fault = Fault::Vm { ip: 0x40_1000, addr: 0x10, instruction: false, code: 6 };
        assert_eq!(Fault::from_message(&message), Some(fault));
    }

    #[test]
    fn other_messages_are_not_faults() {
        assert_eq!(Fault::from_message(&message(0, &[1, 2])), None);
        assert_eq!(Fault::from_message(&message(77, &[1, 2])), None);
    }
}
