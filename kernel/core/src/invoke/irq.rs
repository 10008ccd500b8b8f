//! Invocations of interrupt handlers and of the authority to make them.
//!
//! For each interrupt there is at most one handler capability's object, and the kernel's slot for it is empty
//! or holds a notification capability. The entry calls `interrupt`; the timer's interrupt does not come here.

use pecan_abi::Label;
use pecan_arch::{IRQ_FIRST_NUMBER, IRQ_USER_MAX, IRQ_USER_MIN, IrqSource, irq_mask};
use pecan_mem::{Cap, IrqState, Kernel, Link, Slot, Words};

use crate::{
    base::error::{Decoded, Preempted, Stop, SyscallError},
    cap::{derivation, lookup},
    delete,
    invoke::{
        arch::{self, Wanted},
        args,
        invocation::{Done, Invocation},
    },
    sched::next::Next,
};

/// What user level calls the last interrupt that it can ask for.
const LAST_NUMBER: u64 = IRQ_FIRST_NUMBER + (IRQ_USER_MAX - IRQ_USER_MIN) as u64;

/// A decoded invocation.
enum Op {
    /// Make a handler for an interrupt that comes from this source.
    Issue { irq: usize, source: IrqSource, control: Link<Slot>, dest: Link<Slot> },
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

fn decode_control(k: &Kernel, inv: Invocation<'_>) -> Decoded<Op> {
    let ((irq, dest), source) = arch::decode_handler(k, inv, |wanted| claim(k, wanted))?;
    Ok(Op::Issue { irq, source, control: inv.slot, dest })
}

/// The interrupt, if it has no handler yet, and the empty slot for that.
fn claim(k: &Kernel, wanted: Wanted) -> Decoded<(usize, Link<Slot>)> {
    let Wanted { number, dest: (root, index, depth) } = wanted;
    if !(IRQ_FIRST_NUMBER..=LAST_NUMBER).contains(&number) {
        return Err(SyscallError::RangeError(IRQ_FIRST_NUMBER, LAST_NUMBER));
    }
    let irq = (number - IRQ_FIRST_NUMBER) as usize + IRQ_USER_MIN;
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
        Op::Issue { irq, source, control, dest } => {
            pecan_arch::irq_connect(irq, source);
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
    use pecan_arch::{IRQ_FIRST_NUMBER, IRQ_USER_MAX, IRQ_USER_MIN, host};
    use pecan_mem::{Cap, IrqState};

    use super::LAST_NUMBER;
    use crate::{
        invoke::arch::testing::request,
        ipc::interrupt,
        sched::next::Next,
        testing::{CNODE, FREE, IRQ_CONTROL, World},
    };

    const HANDLER: u64 = FREE;

    const NTFN: u64 = FREE + 1;

    /// What user level calls the interrupt, and what the kernel does.
    const NUMBER: u64 = IRQ_FIRST_NUMBER + 5;

    const IRQ: usize = IRQ_USER_MIN + 5;

    fn issue(w: &mut World) {
        let (label, words) = request(HANDLER, NUMBER);
        assert_eq!(w.call(IRQ_CONTROL, label, &words, &[CNODE]), Ok(vec![]));
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
        assert!(line.source.is_some() && !line.masked);
        let (label, again) = request(FREE + 2, NUMBER);
        w.fails((IRQ_CONTROL, label), &again, &[CNODE], Error::RevokeFirst, &[]);
        let (label, last) = request(FREE + 2, LAST_NUMBER);
        assert_eq!(w.call(IRQ_CONTROL, label, &last, &[CNODE]), Ok(vec![]));
        assert_eq!(w.cap(FREE + 2), Cap::IrqHandler { irq: IRQ_USER_MAX as u16 });
        // A copy of a handler is its child.
        assert_eq!(w.copy(FREE + 3, HANDLER, pecan_abi::CapRights::ALL), Ok(vec![]));
        assert_eq!((w.family(HANDLER), w.family(FREE + 3)), (vec![FREE + 3], vec![]));
        // Revoking the authority takes the handlers back.
        assert_eq!(w.revoke(IRQ_CONTROL), Ok(vec![]));
        assert_eq!((w.cap(HANDLER), host::irq_line(IRQ).masked), (Cap::Null, true));
        assert_eq!(w.k.global().irq_states[IRQ].get(), IrqState::Inactive);
        let (label, words) = request(HANDLER, NUMBER);
        assert_eq!(w.call(IRQ_CONTROL, label, &words, &[CNODE]), Ok(vec![]));
    }

    #[test]
    fn errors_of_control() {
        let mut w = World::new();
        let (label, good) = request(HANDLER, NUMBER);
        let at = (IRQ_CONTROL, label);
        w.fails(at, &good[..good.len() - 1], &[CNODE], Error::TruncatedMessage, &[]);
        w.fails(at, &good, &[], Error::TruncatedMessage, &[]);
        for wrong in [LAST_NUMBER + 1, u64::MAX] {
            let details = [IRQ_FIRST_NUMBER, LAST_NUMBER];
            w.fails(at, &request(HANDLER, wrong).1, &[CNODE], Error::RangeError, &details);
        }
        w.fails(at, &request(CNODE, NUMBER).1, &[CNODE], Error::DeleteFirst, &[]);
        w.fails(at, &good, &[IRQ_CONTROL], Error::FailedLookup, &[0, 1]);
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
        w.fails((HANDLER, request(HANDLER, NUMBER).0), &[], &[], Error::IllegalOperation, &[]);
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
