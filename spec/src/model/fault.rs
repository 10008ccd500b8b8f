//! Faults (manual 6.2).

use pecan_abi::{MessageInfo, fault::FaultTag};

use super::{
    Cap, Doing, Fault, Name, Sending, Slot, Step,
    cspace::describe,
    register,
    registers::{EXCEPTION_MESSAGE, SYSCALL_MESSAGE, TIMEOUT_MESSAGE},
    thread_slot,
};

/// True for a capability that faults can go to: messages pass, and an answer can come back.
pub(super) fn is_handler(cap: Cap) -> bool {
    matches!(cap, Cap::Endpoint { rights: r, .. } if r.write && (r.grant || r.grant_reply))
}

impl Step {
    /// Manual 6.2: the kernel tells the thread's handler in the thread's name; without one the thread stops.
    pub(super) fn raise(&mut self, thread: Name, fault: Fault) {
        let index = if let Fault::Timeout { .. } = fault { thread_slot::TIMEOUT } else { thread_slot::FAULT };
        match self.cap(Slot { object: thread, index }) {
            Some(cap @ Cap::Endpoint { ep, badge, rights }) if is_handler(cap) => {
                self.thread(thread).fault = Some(fault);
                let how =
                    Sending { badge, grant: rights.grant, grant_reply: rights.grant_reply, call: false };
                self.send(thread, ep, how, true, index == thread_slot::FAULT);
            }
            _ => self.block(thread, Doing::Nothing),
        }
    }

    /// Manual 6.2.1 to 6.2.7: what the handler is told.
    pub(super) fn fault_message(&mut self, thread: Name, fault: Fault) -> (u64, Vec<u64>) {
        let registers = self.thread(thread).registers;
        let ip = registers[register::IP];
        let named = |list: &[usize]| list.iter().map(|&r| registers[r]).collect::<Vec<_>>();
        match fault {
            Fault::Cap { address, receiving, failure } => {
                let mut words = vec![ip, address, receiving as u64];
                words.extend(describe(failure));
                (FaultTag::CapFault as u64, words)
            }
            Fault::UserException { number, code } => {
                (FaultTag::UserException as u64, [named(&EXCEPTION_MESSAGE), vec![number, code]].concat())
            }
            Fault::Vm { address, instruction, status } => {
                (FaultTag::VMFault as u64, vec![ip, address, instruction as u64, status])
            }
            Fault::Timeout { badge } => {
                let used = self.thread(thread).sc.map_or(0, |sc| self.take_consumed(sc));
                (FaultTag::Timeout as u64, vec![badge, used])
            }
            Fault::UnknownSyscall { number } => {
                (FaultTag::UnknownSyscall as u64, [named(&SYSCALL_MESSAGE), vec![number]].concat())
            }
        }
    }

    /// The handler's answer: true if the thread goes on. To some faults, it says with what registers.
    pub(super) fn apply_answer(&mut self, fault: Fault, handler: Name, thread: Name) -> bool {
        let label = MessageInfo(self.thread(handler).registers[register::INFO]).label();
        match fault {
            Fault::Cap { .. } | Fault::Vm { .. } => return true,
            Fault::UnknownSyscall { .. } => self.answer_registers(handler, thread, &SYSCALL_MESSAGE),
            Fault::UserException { .. } => self.answer_registers(handler, thread, &EXCEPTION_MESSAGE),
            Fault::Timeout { .. } => self.answer_registers(handler, thread, &TIMEOUT_MESSAGE),
        }
        label == 0
    }
}
