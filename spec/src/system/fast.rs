//! System calls on the kernel's fast paths.

use pecan_abi::Syscall;
use pecan_arch::{host, reg};
use pecan_core::{
    entry::{self, Scheduled},
    fastpath::{self, Miss, signals},
};

use super::{System, Way};
use crate::model::Call;

impl System {
    /// Enters with a system call, whose arguments are where they belong, on one of its fast paths. False if there is none, or
    /// if it declines.
    pub(super) fn enter_fast(&mut self, call: &Call, info: u64, way: Way) -> bool {
        if (way, call.call) == (Way::Invocation, Syscall::Call) {
            return self.invoke_found(call.cap);
        }
        let (k, running, cap) = (&self.k, self.k.running(), call.cap);
        match (way, call.call) {
            (Way::Fast, Syscall::Call) => {
                let switch = match fastpath::call(k, running, cap) {
                    Err(Miss::Met(met)) => fastpath::call_met(k, running, met),
                    switch => switch,
                };
                switch.map(|switch| switch.settle(k)).is_ok()
            }
            (Way::FastAny, Syscall::Call) => fastpath::call_any(k, running).is_ok(),
            (Way::Fast, Syscall::ReplyRecv) => {
                let switch = match fastpath::reply_recv(k, running, cap) {
                    Err(Miss::Met(met)) => fastpath::reply_met(k, running, met),
                    Err(Miss::Faulty(met)) => fastpath::reply_fault(k, running, met),
                    switch => switch,
                };
                switch.map(|switch| switch.settle(k)).is_ok()
            }
            (Way::FastAny, Syscall::ReplyRecv) => fastpath::reply_recv_any(k, running).is_ok(),
            (Way::Fast | Way::FastAny, Syscall::Send | Syscall::NBSend) => {
                let before = pecan_arch::now();
                host::advance_time(call.after);
                let sent = if way == Way::Fast {
                    signals::send(k, running, cap, info).map(|sent| sent.settle(k)).is_ok()
                } else {
                    call.extra.is_empty() && signals::directly(k, call.call == Syscall::Send).is_some()
                };
                if !sent {
                    host::set_time(before);
                }
                sent
            }
            (Way::Fast, Syscall::Wait | Syscall::NBWait) => {
                let taken = signals::wait(k, running, cap, call.call == Syscall::Wait);
                taken.inspect(|&badge| running.get().context.set(reg::CAP, badge)).is_some()
            }
            _ => false,
        }
    }

    /// What `fastpath::call` answers with `Miss::At`.
    fn invoke_found(&mut self, cap: u64) -> bool {
        let Some(slot) = self.k.running().slot(cap) else { return false };
        let words = slot.get(&self.k).words();
        if words.is_null() || words.endpoint_for_call().is_some() {
            return false;
        }
        entry::call_at::<Scheduled>(&mut self.k, slot);
        true
    }

    /// The kernel has looked at the clock since that moved.
    pub fn is_on_time(&self) -> bool {
        self.k.core().time.get() == pecan_arch::now()
    }
}
