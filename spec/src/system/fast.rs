//! System calls by the sequence that ships, and by the other forms of the fast paths alone.

use pecan_abi::Syscall;
use pecan_arch::host;
use pecan_core::entry::{
    fast::{self, signals},
    sequence,
};

use super::{System, Watch};
use crate::model::Call;

impl System {
    /// Enters with a system call, whose arguments are where they belong, as the port's stubs do. True if the first form of a
    /// fast path has done it.
    pub(super) fn enter_as_shipped(&mut self, call: &Call, info: u64) -> bool {
        host::advance_time(call.after);
        let (entered, cap) = (self.k.entered_by_current(), call.cap);
        match call.call {
            Syscall::Call => sequence::call::<Watch>(entered, cap),
            Syscall::ReplyRecv => sequence::reply_recv::<Watch>(entered, cap),
            Syscall::Send => sequence::send::<Watch>(entered, cap, info, true),
            Syscall::NBSend => sequence::send::<Watch>(entered, cap, info, false),
            Syscall::Wait => sequence::wait::<Watch>(entered, cap, info, true),
            Syscall::NBWait => sequence::wait::<Watch>(entered, cap, info, false),
            other => sequence::syscall::<Watch>(entered, other),
        }
    }

    /// The same on the other form of its fast path alone. False if there is none, or if it declines.
    pub(super) fn enter_fast(&self, call: &Call) -> bool {
        let (k, running) = (&self.k, self.k.running());
        match call.call {
            Syscall::Call => fast::call_other_form(k, running).is_ok(),
            Syscall::ReplyRecv => fast::reply_recv_other_form(k, running).is_ok(),
            Syscall::Send | Syscall::NBSend => {
                let before = pecan_arch::now();
                host::advance_time(call.after);
                let sent =
                    call.extra.is_empty() && signals::directly(k, call.call == Syscall::Send).is_some();
                if !sent {
                    host::set_time(before);
                }
                sent
            }
            _ => false,
        }
    }

    /// The kernel has looked at the clock since that moved.
    pub fn is_on_time(&self) -> bool {
        self.k.core().time.get() == pecan_arch::now()
    }
}
