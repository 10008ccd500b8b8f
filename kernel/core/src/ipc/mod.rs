//! Messages between threads: endpoints, notifications, reply objects and faults; and stopping threads that wait for them.
//!
//! A message moves directly from sender to receiver when both are there; whoever comes first waits in a queue. Everything
//! here returns what the scheduler must do ([`Next`](crate::sched::next::Next)).

pub mod ahead;
pub mod answer;
pub mod cancel;
pub mod end;
pub mod endpoint;
pub mod fault_message;
pub mod interrupt;
pub mod notification;
pub mod priority;
pub mod queue;
pub mod raise;
pub mod reply;
pub mod stop;
pub mod transfer;
