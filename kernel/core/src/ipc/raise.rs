//! Faults: telling the handler of a thread that cannot go on.
//!
//! The fault of a thread is noted in it from the moment it is told to the handler until the answer is
//! applied, or the wait is cancelled; a thread that is not waiting for a handler has none. A fault is a call
//! that the thread did not make itself, so endpoints and reply objects need not know about faults. The entry
//! raises what the processor reports, lookups raise capability faults, the end of a budget raises timeouts.

use pecan_abi::{
    MessageInfo,
    fault::FaultTag,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_LENGTH, buffer},
};
use pecan_arch::{EXCEPTION_MESSAGE, reg};
use pecan_mem::{Fault, IpcBuffer, Kernel, Tcb, ThreadState};

use crate::{
    base::{latency, message, report},
    cap::handler,
    ipc::{
        endpoint::{self, Sending},
        fault_message,
    },
    sched::next::Next,
};

/// The thread cannot go on: tells its fault handler. Without one it is suspended.
pub fn fault(k: &Kernel, thread: &Tcb, fault: Fault) -> Next {
    let donate = thread.sched_context.get().is_some();
    send(k, thread, fault, Tcb::SLOT_FAULT_HANDLER, donate)
}

/// The thread's budget ran out: tells its timeout handler.
pub fn timeout(k: &Kernel, thread: &Tcb) -> Next {
    let badge = thread.sched_context.get().map_or(0, |sc| sc.get(k).badge.get());
    send(k, thread, Fault::Timeout { badge }, Tcb::SLOT_TIMEOUT_HANDLER, false)
}

fn send(k: &Kernel, thread: &Tcb, fault: Fault, handler: usize, donate: bool) -> Next {
    let cap = thread.slots[handler].words();
    match cap.endpoint() {
        Some(ep) if handler::is_handler(cap) => {
            thread.set_fault(fault);
            let (badge, grant, grant_reply) = (cap.badge(), cap.endpoint_grant(), cap.endpoint_grant_reply());
            let how =
                Sending { blocking: true, call: false, donate, badge, grant, grant_reply, parcel: None };
            endpoint::send(k, thread, ep.get(k), how)
        }
        _ => {
            report::unhandled_fault(thread, fault);
            latency::restart(k);
            thread.state.set(ThreadState::Inactive);
            Next::Resume
        }
    }
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
        let context = &faulty.context;
        let ip = context.get(reg::FAULT_IP);
        let (words, last) = match fault {
            Fault::UserException { number, code } => {
                let (sp, flags) = (context.get(EXCEPTION_MESSAGE[1]), context.get(EXCEPTION_MESSAGE[2]));
                let buffer = message::small_buffer(k, handler, true)?.get(k);
                ([ip, sp, flags, number], Some((buffer, code)))
            }
            Fault::Vm { address, instruction, status } => ([ip, address, instruction as u64, status], None),
            _ => return None,
        };
        Some(Short { words, last, tag: fault_message::tag(fault) })
    }

    /// Hands it to the handler. Returns the message information.
    #[inline(always)]
    pub fn put(self, handler: &Tcb) -> u64 {
        fault_message::put_registers(handler, self.words);
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
        const { assert!(EXCEPTION_MESSAGE.len() <= reg::MSG.len()) };
        let [ip, sp, flags] = EXCEPTION_MESSAGE;
        let (from, to) = (&handler.context, &faulty.context);
        // Written out, as are all moves of words that travel in registers.
        if self.length > 0 {
            to.set_user(ip, from.get(reg::MSG[0]));
            if self.length > 1 {
                to.set_user(sp, from.get(reg::MSG[1]));
                if self.length > 2 {
                    to.set_user(flags, from.get(reg::MSG[2]));
                }
            }
        }
        to.set(reg::NEXT_IP, to.get(reg::FAULT_IP));
    }
}
