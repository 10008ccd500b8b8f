//! Domains: the schedule that divides time among groups of threads, and invocations on the authority over it.

use pecan_abi::Label;
use pecan_config::{NUM_DOMAIN_SCHEDULES, NUM_DOMAINS};
use pecan_mem::{Kernel, Link, Tcb};

use crate::{
    error::{Decoded, Stop, SyscallError},
    invoke::{Done, Invocation, args},
    refill,
    scheduler::{self, Next},
};

const _: () = assert!(NUM_DOMAINS >= 1 && NUM_DOMAIN_SCHEDULES >= 2, "an entry for a domain, and the end");

/// Ticks of a schedule entry that are counted.
pub const MAX_DURATION: u64 = (1 << 56) - 1;

/// Makes the first entry of the schedule domain 0 without end, and begins there.
pub fn start(k: &Kernel) {
    k.global().domain_schedule[0].duration.set(MAX_DURATION);
    begin(k, 0);
}

/// What a domain gets at least when its turn comes, in ticks. Whoever enters the kernel when no more than the smallest
/// budget is left makes the system call again in the next turn; as much again is left before, to come that far.
fn least_duration() -> u64 {
    2 * refill::min_budget()
}

/// The time of the current domain is up.
#[inline(always)]
pub fn is_over(k: &Kernel) -> bool {
    k.core().time.get().saturating_add(refill::min_budget()) >= k.core().domain_end.get()
}

/// Goes on to the next domain.
pub fn advance(k: &Kernel) {
    let next = k.core().domain_index.get() + 1;
    let ends = k.global().domain_schedule.get(next).is_none_or(|entry| entry.duration.get() == 0);
    begin(k, if ends { k.global().domain_start.get() } else { next });
}

fn begin(k: &Kernel, index: usize) {
    let entry = &k.global().domain_schedule[index];
    let core = k.core();
    core.domain_index.set(index);
    let last = core.domain.replace(entry.domain.get());
    if NUM_DOMAINS > 1 && last != entry.domain.get() {
        pecan_arch::forget_domain();
    }
    let duration = entry.duration.get();
    // The longest duration stands for no end.
    let end = match duration {
        MAX_DURATION => u64::MAX,
        _ => core.time.get().saturating_add(duration.max(least_duration())),
    };
    core.domain_end.set(end);
    core.reprogram.set(true);
}

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
            begin(k, index);
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
    scheduler::dequeue(k, thread);
    thread.domain.set(domain);
    if thread.link() == k.core().current.get() {
        Next::Choose
    } else if scheduler::is_schedulable(k, thread) {
        scheduler::candidate(k, thread)
    } else {
        Next::Resume
    }
}
