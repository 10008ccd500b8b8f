//! Time and the processor: who is ready, who waits for budget, who runs next.
//!
//! Of the threads of the current domain that are schedulable, the first of the highest priority runs. The thread that
//! runs is in no queue, and no queued thread of its domain has a higher priority. A thread that is preempted goes to the
//! head of its queue, one whose time slice has ended to the tail.
//!
//! Nobody reaches for the scheduler in the middle of an operation: operations return what the scheduler must do
//! ([`next::Next`]), and every kernel entry ends in [`choose::schedule`]. That the end of a time slice may be a fault of
//! the thread is not decided here: [`budget`] reports that time is out ([`budget::Spent`]), and `ipc::end` raises the
//! fault.

pub mod breakpoint;
pub mod budget;
pub mod choose;
pub mod context;
pub mod domain;
pub mod next;
pub mod preempt;
pub mod ready;
pub mod refill;
pub mod release;
pub mod switch;
#[cfg(test)]
mod tests;
pub mod units;
pub mod wake;
