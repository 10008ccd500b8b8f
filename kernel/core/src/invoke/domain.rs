//! Invocations on the authority over domains.

use pecan_abi::Label;
use pecan_config::{NUM_DOMAIN_SCHEDULES, NUM_DOMAINS};
use pecan_mem::{Kernel, Link, Tcb};

use crate::{
    base::error::{Decoded, Stop, SyscallError},
    invoke::{
        args,
        invocation::{Done, Invocation},
    },
    sched::{
        domain::{self, MAX_DURATION},
        next::{self, Next},
        ready,
    },
};

/// A decoded invocation on the authority over domains.
enum Op {
    Set { thread: Link<Tcb>, domain: u8 },
    Configure { index: usize, domain: u8, duration: u64 },
    SetStart { index: usize },
}

/// An invocation on the authority over domains.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    Ok(Done::new(match decode(k, inv)? {
        Op::Set { thread, domain } => set(k, thread.get(k), domain),
        Op::Configure { index, domain, duration } => {
            k.global().domain_schedule[index].domain.set(domain);
            k.global().domain_schedule[index].duration.set(duration);
            Next::Resume
        }
        Op::SetStart { index } => {
            k.global().domain_start.set(index);
            domain::begin(k, index);
            Next::Choose
        }
    }))
}

fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Op> {
    /// The last entry always ends the schedule.
    const LAST: u64 = NUM_DOMAIN_SCHEDULES as u64 - 1;
    const DOMAINS: u64 = NUM_DOMAINS as u64;
    Ok(match inv.label() {
        Some(Label::DomainSetSet) => {
            let args::DomainSetDomain { domain } = args::DomainSetDomain::decode(k, inv)?;
            if domain >= DOMAINS {
                return Err(SyscallError::InvalidArgument(0));
            }
            let args::DomainSetSet { thread } = args::DomainSetSet::decode(k, inv)?;
            let thread = thread.get(k).words().tcb().ok_or(SyscallError::InvalidArgument(1))?;
            Op::Set { thread, domain: domain as u8 }
        }
        Some(Label::DomainScheduleConfigure) => {
            let args::DomainScheduleConfigure { index, domain, duration } =
                args::DomainScheduleConfigure::decode(k, inv)?;
            if index >= LAST {
                return Err(SyscallError::RangeError(0, LAST - 1));
            }
            if domain >= DOMAINS {
                return Err(SyscallError::RangeError(0, DOMAINS - 1));
            }
            let ends = duration == 0 && (domain != 0 || index == k.global().domain_start.get() as u64);
            if ends || duration > MAX_DURATION {
                return Err(SyscallError::InvalidArgument(2));
            }
            Op::Configure { index: index as usize, domain: domain as u8, duration }
        }
        Some(Label::DomainScheduleSetStart) => {
            let args::DomainScheduleSetStart { index } = args::DomainScheduleSetStart::decode(k, inv)?;
            if index > LAST {
                return Err(SyscallError::RangeError(0, LAST));
            }
            if k.global().domain_schedule[index as usize].duration.get() == 0 {
                return Err(SyscallError::InvalidArgument(0));
            }
            Op::SetStart { index: index as usize }
        }
        _ => return Err(SyscallError::IllegalOperation),
    })
}

/// Moves a thread to a domain.
fn set(k: &Kernel, thread: &Tcb, domain: u8) -> Next {
    ready::dequeue(k, thread);
    thread.domain.set(domain);
    if thread.link() == k.core().current.get() {
        Next::Choose
    } else if ready::is_schedulable(k, thread) {
        next::candidate(k, thread)
    } else {
        Next::Resume
    }
}
