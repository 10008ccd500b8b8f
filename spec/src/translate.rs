//! What the kernel's objects are in the model's terms, one by one.

use pecan_arch::{FRAME_REGISTERS, INTEGER_REGISTERS, reg, virt_to_phys};
use pecan_mem::{self as mem, Kernel, Link, Tcb, ThreadState};

use crate::model::{
    Cap, Doing, Fault, LookupFailure, Name, Refill, Registers, Rights, SchedContext, Sending, Thread,
    register,
};

pub(crate) fn name(addr: usize) -> Name {
    Name(virt_to_phys(addr).0)
}

pub(crate) fn link_name<T>(link: Link<T>) -> Name {
    name(link.addr())
}

pub(crate) fn object_name(cap: mem::Cap) -> Option<Name> {
    Some(match cap {
        mem::Cap::Endpoint { ep, .. } | mem::Cap::Ending { what: mem::Ending::Endpoint(ep) } => link_name(ep),
        mem::Cap::Notification { ntfn, .. } | mem::Cap::Ending { what: mem::Ending::Notification(ntfn) } => {
            link_name(ntfn)
        }
        mem::Cap::Reply { reply, .. } => link_name(reply),
        mem::Cap::CNode { cnode, .. } => name(cnode.addr()),
        mem::Cap::Tcb { tcb } => link_name(tcb),
        mem::Cap::SchedContext { sc, .. } => link_name(sc),
        mem::Cap::Untyped { base, .. } | mem::Cap::Frame { base, .. } => Name(base.0),
        _ => return None,
    })
}

pub(crate) fn cap(k: &Kernel, cap: mem::Cap) -> Cap {
    match cap {
        mem::Cap::Untyped { base, bits, device, used } => {
            Cap::Untyped { base: Name(base.0), bits: bits as u32, device, used }
        }
        mem::Cap::Endpoint { ep, badge, rights: r } => {
            let rights =
                Rights { write: r.send, read: r.receive, grant: r.grant, grant_reply: r.grant_reply };
            Cap::Endpoint { ep: link_name(ep), badge, rights }
        }
        mem::Cap::Notification { ntfn, badge, send, receive } => {
            let rights = Rights { write: send, read: receive, grant: false, grant_reply: false };
            Cap::Notification { ntfn: link_name(ntfn), badge, rights }
        }
        mem::Cap::Reply { reply, grant } => Cap::Reply { reply: link_name(reply), grant },
        mem::Cap::CNode { cnode, guard, guard_bits } => Cap::CNode {
            cnode: name(cnode.addr()),
            radix: cnode.radix(),
            guard,
            guard_bits: guard_bits as u32,
        },
        mem::Cap::Tcb { tcb } => Cap::Thread { thread: link_name(tcb) },
        mem::Cap::SchedContext { sc, bits } => Cap::SchedContext { sc: link_name(sc), bits: bits as u32 },
        mem::Cap::SchedControl { .. } => Cap::SchedControl,
        mem::Cap::Frame { base, level, rights, device, mapping } => Cap::Frame {
            frame: Name(base.0),
            level: level as u32,
            device,
            read: rights != mem::FrameRights::KernelOnly,
            write: rights == mem::FrameRights::ReadWrite,
            mapped: mapping.map(|m| (m.asid as u64, m.vaddr)),
        },
        mem::Cap::PageTable { table, level, mapping } => Cap::Table {
            table: link_name(table),
            level: level.expect("each level is a type of its own").into(),
            mapped: mapping.map(|m| (m.asid as u64, m.vaddr)),
        },
        mem::Cap::IrqControl => Cap::IrqControl,
        mem::Cap::IrqHandler { irq } => Cap::IrqHandler { irq: irq as u64 },
        mem::Cap::Domain => Cap::DomainSet,
        mem::Cap::AsidControl => Cap::AsidControl,
        mem::Cap::AsidPool { pool, base } => Cap::AsidPool { pool: link_name(pool), base: base as u64 },
        mem::Cap::Arch(mem::ArchCap::IoPortControl) => Cap::IoPortControl,
        mem::Cap::Arch(mem::ArchCap::IoPort { first, last }) => Cap::IoPort { first, last },
        mem::Cap::Zombie { zombie, .. } => Cap::Zombie { object: zombie_name(k, zombie) },
        mem::Cap::Ending { what: mem::Ending::Endpoint(ep) } => Cap::Ending { object: link_name(ep) },
        mem::Cap::Ending { what: mem::Ending::Notification(ntfn) } => Cap::Ending { object: link_name(ntfn) },
        mem::Cap::Ending { what: mem::Ending::IrqHandler(irq) } => Cap::EndingHandler { irq: irq as u64 },
        mem::Cap::Null => unreachable!("an empty slot holds no capability"),
    }
}

/// What a zombie once was.
pub(crate) fn zombie_name(k: &Kernel, zombie: mem::Zombie) -> Name {
    let first = zombie.first();
    match zombie.kind() {
        mem::ZombieKind::Tcb => {
            let any = &k.core().idle_thread;
            name(first.addr() - (any.first_slot().addr() - any.link().addr()))
        }
        mem::ZombieKind::CNode { .. } => link_name(first),
    }
}

pub(crate) fn doing(state: ThreadState) -> Doing {
    match state {
        ThreadState::Inactive => Doing::Nothing,
        ThreadState::Running | ThreadState::Idle => Doing::Running,
        ThreadState::Restart => Doing::Restarting,
        ThreadState::BlockedOnReceive { ep, reply, .. } => {
            Doing::Receiving { ep: link_name(ep), reply: reply.map(link_name) }
        }
        ThreadState::BlockedOnSend { ep, badge, grant, grant_reply, call } => {
            Doing::Sending { ep: link_name(ep), how: Sending { badge, grant, grant_reply, call } }
        }
        ThreadState::BlockedOnReply { reply } => Doing::Calling { reply: reply.map(link_name) },
        ThreadState::BlockedOnNotification { ntfn } => Doing::Waiting { ntfn: link_name(ntfn) },
    }
}

pub(crate) fn failure(failure: mem::LookupFailure) -> LookupFailure {
    match failure {
        mem::LookupFailure::InvalidRoot => LookupFailure::InvalidRoot,
        mem::LookupFailure::MissingCapability { bits_left } => {
            LookupFailure::MissingCapability { left: bits_left as u64 }
        }
        mem::LookupFailure::DepthMismatch { bits_left, bits_found } => {
            LookupFailure::DepthMismatch { left: bits_left as u64, found: bits_found as u64 }
        }
        mem::LookupFailure::GuardMismatch { bits_left, guard, guard_bits } => {
            LookupFailure::GuardMismatch { left: bits_left as u64, guard, guard_bits: guard_bits as u64 }
        }
    }
}

pub(crate) fn fault(fault: mem::Fault) -> Option<Fault> {
    Some(match fault {
        mem::Fault::None => return None,
        mem::Fault::Cap { address, receive_phase, failure: f } => {
            Fault::Cap { address, receiving: receive_phase, failure: failure(f) }
        }
        mem::Fault::UnknownSyscall { number } => Fault::UnknownSyscall { number },
        mem::Fault::UserException { number, code } => Fault::UserException { number, code },
        mem::Fault::Vm { address, instruction, status } => Fault::Vm { address, instruction, status },
        mem::Fault::Timeout { badge } => Fault::Timeout { badge },
        mem::Fault::Debug { .. } => unreachable!("the model's profile has no hardware breakpoints"),
    })
}

/// The registers of a thread. The segment bases of the one that runs are in the processor.
fn registers(k: &Kernel, t: &Tcb) -> Registers {
    let saved = FRAME_REGISTERS.iter().chain(INTEGER_REGISTERS);
    let mut all = Registers::default();
    saved.enumerate().for_each(|(i, &r)| all[i] = t.context.get(r));
    if t.link() == k.core().current.get() {
        [all[register::TLS], all[register::GS]] = pecan_arch::host::machine().live.get();
    }
    all
}

pub(crate) fn thread(k: &Kernel, t: &Tcb) -> Thread {
    Thread {
        doing: doing(t.state.get()),
        registers: registers(k, t),
        goes_on_at: t.context.get(reg::NEXT_IP),
        flags: t.flags() as u64,
        domain: t.domain.get(),
        priority: t.priority.get(),
        mcp: t.mcp.get(),
        sc: t.sched_context.get().map(link_name),
        bound: t.bound_notification().map(link_name),
        yielded_to: t.yield_to.get().map(link_name),
        buffer: t.ipc_buffer.get(),
        fault: fault(t.fault()),
    }
}

/// The reply objects of the calls along which a scheduling context was lent, the last call first.
pub(crate) fn calls(k: &Kernel, sc: &mem::SchedContext) -> impl Iterator<Item = Name> {
    std::iter::successors(sc.reply.get(), |r| r.get(k).prev.get()).map(link_name)
}

pub(crate) fn context(k: &Kernel, sc: &mem::SchedContext) -> SchedContext {
    let mut calls: Vec<Name> = calls(k, sc).collect();
    calls.reverse();
    let (head, max) = (sc.refill_head(), sc.refill_max.get() as usize);
    let refills = (0..sc.refill_count.get() as usize).map(|i| {
        let r = sc.refill((head + i) % max.max(1));
        Refill { time: r.time.get() as i64 - k.core().time.get() as i64, amount: r.amount.get() as i64 }
    });
    SchedContext {
        thread: sc.tcb.get().map(link_name),
        calls,
        notification: sc.notification.get().map(link_name),
        yielded_from: sc.yield_from.get().map(link_name),
        badge: sc.badge.get(),
        max_refills: max as u64,
        period: sc.period.get() as i64,
        refills: refills.collect(),
        consumed: sc.consumed.get() as i64,
        sporadic: sc.sporadic.get(),
    }
}
