//! Invocations of interrupt handlers and of the authority to make them.
//!
//! For each interrupt there is at most one handler capability's object, and the kernel's slot for it is empty
//! or holds a notification capability. The entry calls `interrupt`; the timer's interrupt does not come here.

use pecan_abi::Label;
use pecan_arch::{IRQ_USER_MAX, IRQ_USER_MIN, IrqRoute, ioapic_pins, irq_mask, num_ioapics};
use pecan_mem::{Cap, IrqState, Kernel, Link, Slot, Words};

use crate::{
    base::error::{Decoded, Preempted, Stop, SyscallError},
    cap::{derivation, lookup},
    delete,
    invoke::{
        args,
        invocation::{Done, Invocation},
    },
    sched::next::Next,
};

/// The greatest vector that user level can ask for; vector 0 is interrupt [`IRQ_USER_MIN`].
const MAX_VECTOR: u64 = (IRQ_USER_MAX - IRQ_USER_MIN) as u64;

/// A decoded invocation.
enum Op {
    /// Make a handler for an interrupt that comes from an IOAPIC pin, or by message without a route.
    Issue { irq: usize, route: Option<IrqRoute>, control: Link<Slot>, dest: Link<Slot> },
    /// Let the next interrupt through.
    Ack { irq: usize },
    /// Signal this notification from now on.
    Bind { irq: usize, cap: Words, src: Link<Slot> },
    /// Signal nothing from now on.
    Unbind { irq: usize },
}

/// Invocations of interrupt control and interrupt handlers.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    let op = match inv.cap_invoked() {
        Cap::IrqControl => decode_control(k, inv)?,
        Cap::IrqHandler { irq } => decode_handler(k, inv, irq as usize)?,
        _ => return Err(SyscallError::InvalidCapability(0).into()),
    };
    Ok(Done::new(commit(k, op)?))
}

/// Fails unless an argument is at most `max`.
fn bounded(arg: u64, max: u64) -> Decoded<u64> {
    Some(arg).filter(|&arg| arg <= max).ok_or(SyscallError::RangeError(0, max))
}

fn decode_control(k: &Kernel, inv: Invocation<'_>) -> Decoded<Op> {
    let (irq, dest, route);
    match inv.label() {
        Some(Label::X86IrqIssueIrqHandlerIoapic) => {
            let args = args::x86_64::X86IrqIssueIrqHandlerIoapic::decode(k, inv)?;
            (irq, dest) = decode_issue(k, args.vector, args.root, args.index, args.depth)?;
            let last = num_ioapics().checked_sub(1).ok_or(SyscallError::IllegalOperation)?;
            let ioapic = bounded(args.ioapic, last as u64)? as usize;
            let last = ioapic_pins(ioapic).checked_sub(1).ok_or(SyscallError::IllegalOperation)?;
            let pin = bounded(args.pin, last as u64)? as usize;
            let (level, active_low) = (bounded(args.level, 1)? == 1, bounded(args.polarity, 1)? == 1);
            route = Some(IrqRoute { ioapic, pin, level, active_low });
        }
        Some(Label::X86IrqIssueIrqHandlerMsi) => {
            let args = args::x86_64::X86IrqIssueIrqHandlerMsi::decode(k, inv)?;
            (irq, dest) = decode_issue(k, args.vector, args.root, args.index, args.depth)?;
            // The handle is the device's business.
            for (arg, max) in [(args.pci_bus, 255), (args.pci_dev, 31), (args.pci_func, 7)] {
                bounded(arg, max)?;
            }
            route = None;
        }
        // For machines without IOAPIC.
        Some(Label::IrqIssueIrqHandler) => {
            args::IrqIssueIrqHandler::decode(k, inv)?;
            return Err(SyscallError::IllegalOperation);
        }
        _ => return Err(SyscallError::IllegalOperation),
    }
    Ok(Op::Issue { irq, route, control: inv.slot, dest })
}

/// The interrupt of a vector, if it has no handler yet, and the empty slot for that.
fn decode_issue(
    k: &Kernel,
    vector: u64,
    root: Link<Slot>,
    index: u64,
    depth: u64,
) -> Decoded<(usize, Link<Slot>)> {
    let irq = bounded(vector, MAX_VECTOR)? as usize + IRQ_USER_MIN;
    if k.global().irq_states[irq].get() != IrqState::Inactive {
        return Err(SyscallError::RevokeFirst);
    }
    Ok((irq, lookup::empty_target(k, root, index, depth)?))
}

fn decode_handler(k: &Kernel, inv: Invocation<'_>, irq: usize) -> Decoded<Op> {
    match inv.label() {
        Some(Label::IrqAckIrq) => Ok(Op::Ack { irq }),
        Some(Label::IrqClearIrqHandler) => Ok(Op::Unbind { irq }),
        Some(Label::IrqSetIrqHandler) => {
            let args::IrqSetIrqHandler { notification } = args::IrqSetIrqHandler::decode(k, inv)?;
            let cap = notification.get(k).words();
            match cap.notification_for_signal() {
                Some(_) => Ok(Op::Bind { irq, cap, src: notification }),
                None => Err(SyscallError::InvalidCapability(1)),
            }
        }
        _ => Err(SyscallError::IllegalOperation),
    }
}

fn commit(k: &mut Kernel, op: Op) -> Result<Next, Preempted> {
    Ok(match op {
        Op::Issue { irq, route, control, dest } => {
            match route {
                Some(route) => pecan_arch::irq_route_ioapic(irq, route),
                None => pecan_arch::irq_route_msi(irq),
            }
            k.global().irq_states[irq].set(IrqState::Handler);
            irq_mask(irq, false);
            derivation::insert_irq_handler(k, irq as u16, control, dest);
            Next::Resume
        }
        Op::Ack { irq } => {
            irq_mask(irq, false);
            Next::Resume
        }
        Op::Bind { irq, cap, src } => {
            let slot = k.global().irq_slots[irq].link();
            let next = delete::delete(k, slot)?;
            derivation::insert(k, cap, src, slot);
            next
        }
        Op::Unbind { irq } => {
            let slot = k.global().irq_slots[irq].link();
            delete::delete(k, slot)?
        }
    })
}

#[cfg(test)]
mod tests {
    use pecan_abi::{CapRights, Error, Label, ObjectType};
    use pecan_arch::{IRQ_USER_MAX, IrqRoute, host};
    use pecan_mem::{Cap, IrqState};

    use crate::{
        ipc::interrupt,
        sched::next::Next,
        testing::{CNODE, DEPTH, FREE, IRQ_CONTROL, World},
    };

    const IOAPIC: Label = Label::X86IrqIssueIrqHandlerIoapic;

    const MSI: Label = Label::X86IrqIssueIrqHandlerMsi;

    const HANDLER: u64 = FREE;

    const NTFN: u64 = FREE + 1;

    const VECTOR: u64 = 5;

    const IRQ: usize = 21;

    fn issue(w: &mut World) {
        let words = [HANDLER, DEPTH, 0, 7, 1, 1, VECTOR];
        assert_eq!(w.call(IRQ_CONTROL, IOAPIC, &words, &[CNODE]), Ok(vec![]));
        w.make(ObjectType::Notification, 0, NTFN);
    }

    fn bits(w: &World) -> u64 {
        let Cap::Notification { ntfn, .. } = w.cap(NTFN) else { panic!("no notification") };
        ntfn.get(&w.k).badge.take()
    }

    #[test]
    fn handlers_are_issued_once() {
        let mut w = World::new();
        issue(&mut w);
        assert_eq!(w.cap(HANDLER), Cap::IrqHandler { irq: IRQ as u16 });
        let line = host::irq_line(IRQ);
        assert_eq!(line.route, Some(IrqRoute { ioapic: 0, pin: 7, level: true, active_low: true }));
        assert!(!line.masked);
        w.fails(
            (IRQ_CONTROL, IOAPIC),
            &[FREE + 2, DEPTH, 0, 8, 0, 0, VECTOR],
            &[CNODE],
            Error::RevokeFirst,
            &[],
        );
        w.fails(
            (IRQ_CONTROL, MSI),
            &[FREE + 2, DEPTH, 0, 0, 0, 0, VECTOR],
            &[CNODE],
            Error::RevokeFirst,
            &[],
        );
        assert_eq!(w.call(IRQ_CONTROL, MSI, &[FREE + 2, DEPTH, 255, 31, 7, 99, 107], &[CNODE]), Ok(vec![]));
        assert_eq!(w.cap(FREE + 2), Cap::IrqHandler { irq: IRQ_USER_MAX as u16 });
        // A copy of a handler is its child.
        assert_eq!(w.copy(FREE + 3, HANDLER, pecan_abi::CapRights::ALL), Ok(vec![]));
        assert_eq!((w.family(HANDLER), w.family(FREE + 3)), (vec![FREE + 3], vec![]));
        // Revoking the authority takes the handlers back.
        assert_eq!(w.revoke(IRQ_CONTROL), Ok(vec![]));
        assert_eq!((w.cap(HANDLER), host::irq_line(IRQ).masked), (Cap::Null, true));
        assert_eq!(w.k.global().irq_states[IRQ].get(), IrqState::Inactive);
        assert_eq!(w.call(IRQ_CONTROL, MSI, &[HANDLER, DEPTH, 0, 0, 0, 0, VECTOR], &[CNODE]), Ok(vec![]));
    }

    #[test]
    fn errors_of_control() {
        let mut w = World::new();
        let good = [HANDLER, DEPTH, 0, 0, 0, 0, 0];
        let with = |i: usize, value| {
            let mut words = good;
            words[i] = value;
            words
        };
        for label in [IOAPIC, MSI] {
            let at = (IRQ_CONTROL, label);
            w.fails(at, &good[..6], &[CNODE], Error::TruncatedMessage, &[]);
            w.fails(at, &good, &[], Error::TruncatedMessage, &[]);
            w.fails(at, &with(6, 108), &[CNODE], Error::RangeError, &[0, 107]);
            w.fails(at, &with(6, u64::MAX), &[CNODE], Error::RangeError, &[0, 107]);
            w.fails(at, &with(0, CNODE), &[CNODE], Error::DeleteFirst, &[]);
            w.fails(at, &with(1, 65), &[CNODE], Error::RangeError, &[1, 64]);
            w.fails(at, &good, &[IRQ_CONTROL], Error::FailedLookup, &[0, 1]);
        }
        for (i, max) in [(2, 0), (3, 23), (4, 1), (5, 1)] {
            w.fails((IRQ_CONTROL, IOAPIC), &with(i, max + 1), &[CNODE], Error::RangeError, &[0, max]);
        }
        for (i, max) in [(2, 255), (3, 31), (4, 7)] {
            w.fails((IRQ_CONTROL, MSI), &with(i, max + 1), &[CNODE], Error::RangeError, &[0, max]);
        }
        w.fails(
            (IRQ_CONTROL, Label::IrqIssueIrqHandler),
            &[1, HANDLER, DEPTH],
            &[CNODE],
            Error::IllegalOperation,
            &[],
        );
        let get = (IRQ_CONTROL, Label::IrqIssueIrqHandler);
        w.fails(get, &[1, HANDLER], &[CNODE], Error::TruncatedMessage, &[]);
        w.fails(get, &[1, HANDLER, DEPTH], &[], Error::TruncatedMessage, &[]);
        w.fails((IRQ_CONTROL, Label::IrqAckIrq), &[], &[], Error::IllegalOperation, &[]);
    }

    #[test]
    fn errors_of_handlers() {
        let mut w = World::new();
        issue(&mut w);
        let set = (HANDLER, Label::IrqSetIrqHandler);
        w.fails(set, &[], &[], Error::TruncatedMessage, &[]);
        w.fails(set, &[], &[CNODE], Error::InvalidCapability, &[1]);
        assert_eq!(w.copy(FREE + 2, NTFN, CapRights::READ), Ok(vec![]));
        w.fails(set, &[], &[FREE + 2], Error::InvalidCapability, &[1]);
        w.fails((HANDLER, IOAPIC), &[], &[], Error::IllegalOperation, &[]);
    }

    #[test]
    fn an_interrupt_signals_and_stays_masked_until_acknowledged() {
        let mut w = World::new();
        issue(&mut w);
        assert_eq!(w.mint(FREE + 2, NTFN, CapRights::ALL, 4), Ok(vec![]));
        assert_eq!(w.call(HANDLER, Label::IrqSetIrqHandler, &[], &[FREE + 2]), Ok(vec![]));
        assert_eq!(interrupt::interrupt(&w.k, IRQ), Next::Resume);
        assert_eq!((bits(&w), host::irq_line(IRQ).masked, host::irq_line(IRQ).acks), (4, true, 1));
        assert_eq!(w.call(HANDLER, Label::IrqAckIrq, &[], &[]), Ok(vec![]));
        assert!(!host::irq_line(IRQ).masked);
        // Another notification capability takes the place of the first.
        assert_eq!(w.mint(FREE + 3, NTFN, CapRights::ALL, 8), Ok(vec![]));
        assert_eq!(w.call(HANDLER, Label::IrqSetIrqHandler, &[], &[FREE + 3]), Ok(vec![]));
        assert_eq!((interrupt::interrupt(&w.k, IRQ), bits(&w)), (Next::Resume, 8));
        assert_eq!(w.call(HANDLER, Label::IrqClearIrqHandler, &[], &[]), Ok(vec![]));
        assert_eq!((interrupt::interrupt(&w.k, IRQ), bits(&w)), (Next::Resume, 0));
        assert!(host::irq_line(IRQ).masked, "nobody will acknowledge it");
        // A deleted notification is no longer signalled; a deleted handler frees the interrupt.
        assert_eq!(w.call(HANDLER, Label::IrqSetIrqHandler, &[], &[FREE + 3]), Ok(vec![]));
        assert_eq!(w.revoke(NTFN), Ok(vec![]));
        assert_eq!(w.k.global().irq_slots[IRQ].cap(), Cap::Null);
        assert_eq!(w.delete(HANDLER), Ok(vec![]));
        assert_eq!(w.k.global().irq_states[IRQ].get(), IrqState::Inactive);
        // Spurious interrupts do no harm.
        assert_eq!(
            (interrupt::interrupt(&w.k, IRQ), interrupt::interrupt(&w.k, 3)),
            (Next::Resume, Next::Resume)
        );
        assert!(host::irq_line(3).masked);
    }
}
