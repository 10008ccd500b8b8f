//! The words of a fault: what its handler is told, and what the handler's answer does to the thread.

use pecan_abi::{
    LookupFailureKind, MessageInfo,
    breakpoint::BreakpointType,
    fault::{FaultTag, debug_exception},
    ipc::{MESSAGE_REGISTERS, MSG_MAX_LENGTH, buffer},
};
use pecan_arch::{EXCEPTION_MESSAGE, Reg, SYSCALL_MESSAGE, TIMEOUT_MESSAGE, reg};
use pecan_mem::{Fault, IpcBuffer, Kernel, LookupFailure, Tcb};

use crate::{
    base::message,
    sched::{breakpoint, context},
};

/// The label of a fault's message.
pub fn tag(fault: Fault) -> FaultTag {
    match fault {
        Fault::None => FaultTag::Null,
        Fault::Cap { .. } => FaultTag::CapFault,
        Fault::UnknownSyscall { .. } => FaultTag::UnknownSyscall,
        Fault::UserException { .. } => FaultTag::UserException,
        Fault::Debug { .. } => FaultTag::DebugException,
        Fault::Timeout { .. } => FaultTag::Timeout,
        Fault::Vm { .. } => FaultTag::VMFault,
    }
}

/// True for a fault that its thread would not come to again if it were put off.
pub fn is_trap(fault: Fault) -> bool {
    match fault {
        Fault::Debug { .. } => true,
        Fault::UserException { number, .. } => pecan_arch::is_trap(number),
        _ => false,
    }
}

/// The words of a lookup failure: kind, then its details.
pub fn lookup_failure_words(failure: LookupFailure) -> ([u64; 4], usize) {
    let (kind, details, n) = match failure {
        LookupFailure::InvalidRoot => (LookupFailureKind::InvalidRoot, [0; 3], 0),
        LookupFailure::MissingCapability { bits_left } => {
            (LookupFailureKind::MissingCapability, [bits_left as u64, 0, 0], 1)
        }
        LookupFailure::DepthMismatch { bits_left, bits_found } => {
            (LookupFailureKind::DepthMismatch, [bits_left as u64, bits_found as u64, 0], 2)
        }
        LookupFailure::GuardMismatch { bits_left, guard, guard_bits } => {
            (LookupFailureKind::GuardMismatch, [bits_left as u64, guard, guard_bits as u64], 3)
        }
    };
    ([kind as u64, details[0], details[1], details[2]], n + 1)
}

/// Hands the message of a fault to its handler.
#[inline(never)]
pub fn deliver(k: &Kernel, faulty: &Tcb, fault: Fault, badge: u64, handler: &Tcb) {
    let length = put_message(k, faulty, fault, handler);
    handler.context.set(reg::INFO, MessageInfo::new(tag(fault) as u64, 0, 0, length as u64).0);
    handler.context.set(reg::CAP, badge);
}

/// Writes the words of a fault's message; returns how many had a place.
#[inline(always)]
fn put_message(k: &Kernel, faulty: &Tcb, fault: Fault, handler: &Tcb) -> usize {
    let context = &faulty.context;
    let ip = context.get(reg::FAULT_IP);
    let registers = |regs: &'static [Reg]| regs.iter().map(|r| context.get(*r));
    match fault {
        Fault::None => 0,
        Fault::Cap { address, receive_phase, failure } => {
            let (words, n) = lookup_failure_words(failure);
            let head = [ip, address, receive_phase as u64];
            message::put_all(k, handler, head.into_iter().chain(words.into_iter().take(n)))
        }
        Fault::UnknownSyscall { number } => {
            message::put_all(k, handler, registers(SYSCALL_MESSAGE).chain([number]))
        }
        Fault::UserException { number, code } => {
            let (words, last) = exception_words(faulty, number, code);
            put_registers(handler, words);
            MESSAGE_REGISTERS
                + last.map_or(0, |word| message::put(k, handler, MESSAGE_REGISTERS, word) as usize)
        }
        Fault::Debug { reason, address, number } => {
            let words = [ip, reason.word(), address, number as u64];
            let stepped = reason == BreakpointType::SingleStep;
            let length = if stepped { debug_exception::STEP_LENGTH } else { debug_exception::LENGTH };
            message::put_all(k, handler, words.into_iter().take(length))
        }
        Fault::Timeout { badge } => {
            let consumed = faulty.sched_context.get().map_or(0, |sc| context::take_consumed(k, sc.get(k)));
            message::put_all(k, handler, [badge, consumed])
        }
        Fault::Vm { address, instruction, status } => {
            put_registers(handler, [ip, address, instruction as u64, status]);
            MESSAGE_REGISTERS
        }
    }
}

/// The words of the message of an exception of the processor: registers, its number and its error code. Those that travel in
/// registers, and perhaps one behind them.
#[inline(always)]
fn exception_words(faulty: &Tcb, number: u64, code: u64) -> ([u64; MESSAGE_REGISTERS], Option<u64>) {
    const { assert!(matches!(EXCEPTION_MESSAGE.len(), 2 | 3)) };
    let get = |register| faulty.context.get(register);
    let [first, second, rest @ ..] = EXCEPTION_MESSAGE else { return ([0; MESSAGE_REGISTERS], None) };
    match rest {
        [third, ..] => ([get(*first), get(*second), get(*third), number], Some(code)),
        [] => ([get(*first), get(*second), number, code], None),
    }
}

/// Sets the message words that travel in registers.
#[inline(always)]
pub fn put_registers(handler: &Tcb, [first, second, third, fourth]: [u64; MESSAGE_REGISTERS]) {
    // Written out: four moves.
    handler.context.set(reg::MSG[0], first);
    handler.context.set(reg::MSG[1], second);
    handler.context.set(reg::MSG[2], third);
    handler.context.set(reg::MSG[3], fourth);
}

/// Applies the handler's answer to the faulty thread. True if the thread shall go on.
pub fn apply_reply(k: &Kernel, fault: Fault, handler: &Tcb, faulty: &Tcb) -> bool {
    let registers: &[Reg] = match fault {
        Fault::None | Fault::Cap { .. } | Fault::Vm { .. } => return true,
        Fault::Debug { .. } => &[],
        Fault::UnknownSyscall { .. } => SYSCALL_MESSAGE,
        Fault::UserException { .. } => EXCEPTION_MESSAGE,
        Fault::Timeout { .. } => TIMEOUT_MESSAGE,
    };
    let info = MessageInfo(handler.context.get(reg::INFO));
    if let Fault::Debug { reason: BreakpointType::SingleStep, .. } = fault
        && info.length_capped() > 0
    {
        breakpoint::reply(faulty, handler.context.get(reg::MSG[0]));
    }
    let length = message::sendable_length(k, handler, info).min(registers.len());
    for (i, r) in registers[..length].iter().enumerate() {
        faulty.context.set_user(*r, message::get(k, handler, i));
    }
    faulty.context.force_full_restore();
    info.label() == 0
}

/// The message of a fault that has a few words, all with a place.
pub struct Short<'k> {
    words: [u64; MESSAGE_REGISTERS],
    /// The one behind those, and the buffer that takes it.
    last: Option<(&'k IpcBuffer, u64)>,
    tag: FaultTag,
}

impl<'k> Short<'k> {
    /// The message to the handler about the fault of a thread; `None` if it is another kind of fault, or a word has no
    /// place in a buffer in a frame of the smallest size.
    #[inline(always)]
    pub fn new(k: &'k Kernel, faulty: &Tcb, fault: Fault, handler: &Tcb) -> Option<Self> {
        let ip = faulty.context.get(reg::FAULT_IP);
        let (words, last) = match fault {
            Fault::UserException { number, code } => {
                let (words, last) = exception_words(faulty, number, code);
                let last = match last {
                    Some(word) => Some((message::small_buffer(k, handler, true)?.get(k), word)),
                    None => None,
                };
                (words, last)
            }
            Fault::Vm { address, instruction, status } => ([ip, address, instruction as u64, status], None),
            _ => return None,
        };
        Some(Short { words, last, tag: tag(fault) })
    }

    /// Hands it to the handler. Returns the message information.
    #[inline(always)]
    pub fn put(self, handler: &Tcb) -> u64 {
        put_registers(handler, self.words);
        let mut length = MESSAGE_REGISTERS;
        if let Some((buffer, word)) = self.last {
            buffer.set(buffer::MSG + MESSAGE_REGISTERS, word);
            length += 1;
        }
        MessageInfo::new(self.tag as u64, 0, 0, length as u64).0
    }
}

/// The handler's answer to a fault, of a kind that takes only words that are in registers.
pub struct ShortAnswer {
    /// Words.
    length: usize,
}

impl ShortAnswer {
    /// The answer with this message information. `None` if it is to another kind of fault, or may leave the thread stopped.
    #[inline(always)]
    pub fn new(faulty: &Tcb, info: u64) -> Option<Self> {
        // More than a length would be a label or capabilities.
        if info > MSG_MAX_LENGTH as u64 {
            return None;
        }
        match faulty.fault() {
            Fault::UserException { .. } => Some(ShortAnswer { length: info as usize }),
            Fault::Cap { .. } | Fault::Vm { .. } => Some(ShortAnswer { length: 0 }),
            _ => None,
        }
    }

    /// Applies it: the thread goes on where it faulted, or where the answer says.
    #[inline(always)]
    pub fn apply(self, handler: &Tcb, faulty: &Tcb) {
        const LAST: Option<Reg> = match EXCEPTION_MESSAGE {
            [_, _, last, ..] => Some(*last),
            _ => None,
        };
        const { assert!(matches!(EXCEPTION_MESSAGE.len(), 2 | 3)) };
        let (from, to) = (&handler.context, &faulty.context);
        // Written out, as are all moves of words that travel in registers.
        if self.length > 0 {
            to.set_user(EXCEPTION_MESSAGE[0], from.get(reg::MSG[0]));
            if self.length > 1 {
                to.set_user(EXCEPTION_MESSAGE[1], from.get(reg::MSG[1]));
                if self.length > 2
                    && let Some(last) = LAST
                {
                    to.set_user(last, from.get(reg::MSG[2]));
                }
            }
        }
        to.set(reg::NEXT_IP, to.get(reg::FAULT_IP));
    }
}

#[cfg(test)]
mod tests {
    use pecan_abi::{ObjectType, breakpoint::BreakpointType, fault::FaultTag};
    use pecan_arch::{EXCEPTION_MESSAGE, Reg, SYSCALL_MESSAGE, TIMEOUT_MESSAGE, UserContext, reg};
    use pecan_mem::{Cap, Fault, Link, LookupFailure, Tcb};

    use super::{apply_reply, deliver, is_trap};
    use crate::testing::{FREE, World};

    /// A handler, which has an IPC buffer, and a thread whose registers are all different.
    fn world() -> (World, Link<Tcb>) {
        let mut w = World::new();
        let Cap::Tcb { tcb } = w.make(ObjectType::Tcb, 0, FREE) else { unreachable!() };
        fill(&w, tcb);
        (w, tcb)
    }

    fn fill(w: &World, thread: Link<Tcb>) {
        for (i, &r) in TIMEOUT_MESSAGE.iter().enumerate() {
            thread.get(&w.k).context.set_user(r, 0x1000 + i as u64);
        }
    }

    fn registers(w: &World, thread: Link<Tcb>, of: &[Reg]) -> Vec<u64> {
        of.iter().map(|&r| thread.get(&w.k).context.get(r)).collect()
    }

    fn debug(reason: BreakpointType) -> Fault {
        Fault::Debug { reason, address: 0x77, number: 3 }
    }

    const FAULTS: [(Fault, FaultTag); 6] = [
        (Fault::UnknownSyscall { number: 99 }, FaultTag::UnknownSyscall),
        (Fault::UserException { number: 6, code: 0 }, FaultTag::UserException),
        (Fault::Timeout { badge: 5 }, FaultTag::Timeout),
        (Fault::Vm { address: 0x123, instruction: true, status: 6 }, FaultTag::VMFault),
        (
            Fault::Cap {
                address: 0x55,
                receive_phase: true,
                failure: LookupFailure::MissingCapability { bits_left: 7 },
            },
            FaultTag::CapFault,
        ),
        (
            Fault::Debug { reason: BreakpointType::Instruction, address: 0x77, number: 3 },
            FaultTag::DebugException,
        ),
    ];

    #[test]
    fn the_handler_is_told_what_the_abi_says() {
        let (w, faulty) = world();
        let ip = faulty.get(&w.k).context.get(reg::FAULT_IP);
        let exception = registers(&w, faulty, EXCEPTION_MESSAGE);
        let told = |fault| {
            deliver(&w.k, faulty.get(&w.k), fault, 42, w.thread.get(&w.k));
            assert_eq!(w.thread.get(&w.k).context.get(reg::CAP), 42, "the badge");
            w.message(w.thread)
        };
        for (fault, tag) in FAULTS {
            let words = match fault {
                Fault::UnknownSyscall { number } => {
                    registers(&w, faulty, SYSCALL_MESSAGE).into_iter().chain([number]).collect()
                }
                Fault::UserException { number, code } => {
                    exception.iter().copied().chain([number, code]).collect()
                }
                // It has no scheduling context that could have been used.
                Fault::Timeout { badge } => vec![badge, 0],
                Fault::Vm { address, status, .. } => vec![ip, address, 1, status],
                Fault::Cap { address, .. } => vec![ip, address, 1, 2, 7],
                Fault::Debug { address, .. } => vec![ip, 1, address, 3],
                Fault::None => vec![],
            };
            assert_eq!(told(fault), (tag as u64, words), "{fault:?}");
        }
        let tag = FaultTag::DebugException as u64;
        assert_eq!(told(debug(BreakpointType::SingleStep)), (tag, vec![ip, 2]));
        assert_eq!(told(debug(BreakpointType::SoftwareBreakRequest)), (tag, vec![ip, 3, 0x77, 3]));
        for (failure, words) in [
            (LookupFailure::InvalidRoot, vec![1]),
            (LookupFailure::DepthMismatch { bits_left: 3, bits_found: 4 }, vec![3, 3, 4]),
            (LookupFailure::GuardMismatch { bits_left: 3, guard: 9, guard_bits: 5 }, vec![4, 3, 9, 5]),
        ] {
            let (_, found) = told(Fault::Cap { address: 0x55, receive_phase: false, failure });
            assert_eq!(found, [vec![ip, 0x55, 0], words].concat());
        }
    }

    #[test]
    fn an_answer_sets_as_many_registers_as_it_has_words() {
        let (mut w, faulty) = world();
        for (fault, _) in FAULTS {
            let set: &[Reg] = match fault {
                Fault::UnknownSyscall { .. } => SYSCALL_MESSAGE,
                Fault::UserException { .. } => EXCEPTION_MESSAGE,
                Fault::Timeout { .. } => TIMEOUT_MESSAGE,
                _ => &[],
            };
            for length in 0..=TIMEOUT_MESSAGE.len() + 1 {
                fill(&w, faulty);
                let (thread, before) = (w.thread, registers(&w, faulty, TIMEOUT_MESSAGE));
                // Values that every register takes, the flags, too.
                let words: Vec<u64> = (0..length as u64).map(|i| 0x247 + (i << 16)).collect();
                w.set_message(thread, 0, &words, &[]);
                assert!(apply_reply(&w.k, fault, thread.get(&w.k), faulty.get(&w.k)), "it goes on");
                for (r, old) in TIMEOUT_MESSAGE.iter().zip(before) {
                    let new = set.iter().position(|s| s == r).filter(|&i| i < length);
                    let found = faulty.get(&w.k).context.get(*r);
                    match new {
                        Some(i) => {
                            let accepted = UserContext::new();
                            accepted.set_user(*r, words[i]);
                            assert_eq!(found, accepted.get(*r), "{fault:?}, {length} words");
                        }
                        None => assert_eq!(found, old, "{fault:?}, {length} words"),
                    }
                }
                // Another label leaves the thread stopped, but where there is nothing to answer.
                w.set_message(thread, 1, &words, &[]);
                let goes_on = apply_reply(&w.k, fault, thread.get(&w.k), faulty.get(&w.k));
                assert_eq!(goes_on, matches!(fault, Fault::Cap { .. } | Fault::Vm { .. }), "{fault:?}");
            }
        }
    }

    #[test]
    fn what_a_thread_does_not_come_to_again_is_a_trap() {
        for (fault, _) in FAULTS {
            assert_eq!(is_trap(fault), matches!(fault, Fault::Debug { .. }), "{fault:?}");
        }
        for number in 0..256 {
            let fault = Fault::UserException { number, code: 0 };
            assert_eq!(is_trap(fault), pecan_arch::is_trap(number), "exception {number}");
        }
    }
}
