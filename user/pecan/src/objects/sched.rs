//! Time: scheduling contexts, the authority over them, and domains.

use pecan_abi::constants::sched_context_flag;

use crate::{
    Cap, Result,
    raw::invocations,
    types::{DomainSet, Notification, SchedContext, SchedControl, Tcb},
};

/// What a scheduling context gets. Times are in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SchedParams {
    /// Time in each period.
    pub budget: u64,
    /// The period. With a period equal to the budget the thread runs whenever its priority lets it.
    pub period: u64,
    /// Refills beyond the two there always are.
    pub extra_refills: u64,
    /// The word that timeout faults carry.
    pub badge: u64,
    /// Keep what is not used of a budget for later.
    pub sporadic: bool,
}

impl SchedParams {
    /// `budget` microseconds in every `period`.
    pub const fn new(budget: u64, period: u64) -> Self {
        Self { budget, period, extra_refills: 0, badge: 0, sporadic: false }
    }

    /// All the time there is, in turns of `slice` microseconds with others of the same priority.
    pub const fn round_robin(slice: u64) -> Self {
        Self::new(slice, slice)
    }

    /// The same with a badge for timeout faults.
    pub const fn with_badge(self, badge: u64) -> Self {
        Self { badge, ..self }
    }
}

impl Cap<SchedControl> {
    /// Gives a scheduling context its time on this core.
    pub fn configure(self, sched_context: Cap<SchedContext>, params: SchedParams) -> Result<()> {
        let flags = if params.sporadic { sched_context_flag::SPORADIC } else { sched_context_flag::NONE };
        invocations::sched_control_configure_flags(
            self.cptr(),
            sched_context.cptr(),
            params.budget,
            params.period,
            params.extra_refills,
            params.badge,
            flags,
        )
    }
}

impl Cap<SchedContext> {
    /// Binds a thread, which then runs on this time.
    pub fn bind(self, tcb: Cap<Tcb>) -> Result<()> {
        invocations::sched_context_bind(self.cptr(), tcb.cptr())
    }

    /// Binds a notification: who receives its signals without time of its own runs on this.
    pub fn bind_notification(self, notification: Cap<Notification>) -> Result<()> {
        invocations::sched_context_bind(self.cptr(), notification.cptr())
    }

    /// Unbinds whatever is bound.
    pub fn unbind(self) -> Result<()> {
        invocations::sched_context_unbind(self.cptr())
    }

    /// Unbinds a thread or a notification, which must be bound.
    pub fn unbind_object<T>(self, object: Cap<T>) -> Result<()> {
        invocations::sched_context_unbind_object(self.cptr(), object.cptr())
    }

    /// Microseconds consumed since this was last asked.
    pub fn consumed(self) -> Result<u64> {
        invocations::sched_context_consumed(self.cptr())
    }

    /// Runs the bound thread next; returns the microseconds it consumed meanwhile.
    pub fn yield_to(self) -> Result<u64> {
        invocations::sched_context_yield_to(self.cptr())
    }
}

impl Cap<DomainSet> {
    /// Moves a thread to a domain.
    pub fn set(self, domain: u8, thread: Cap<Tcb>) -> Result<()> {
        invocations::domain_set_set(self.cptr(), domain, thread.cptr())
    }

    /// Sets an entry of the domain schedule; the duration is in timer ticks, 0 ends the schedule.
    pub fn schedule_configure(self, index: u64, domain: u8, duration: u64) -> Result<()> {
        invocations::domain_set_schedule_configure(self.cptr(), index, domain, duration)
    }

    /// Sets the entry at which the domain schedule starts over.
    pub fn schedule_set_start(self, index: u64) -> Result<()> {
        invocations::domain_set_schedule_set_start(self.cptr(), index)
    }
}
