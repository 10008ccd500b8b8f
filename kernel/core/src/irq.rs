//! Interrupts: control, handlers, delivery.
//!
//! An interrupt is masked from its delivery until its handler acknowledges it, so a device cannot flood the
//! kernel. The notification it signals is a capability in the kernel's own slot of that interrupt.

use pecan_abi::Label;
use pecan_arch::{IRQ_USER_MAX, IRQ_USER_MIN, IrqRoute, ioapic_pins, irq_mask, num_ioapics};
use pecan_mem::{Cap, IrqState, Kernel, Link, Slot};

use crate::{
    derivation,
    error::{Decoded, Stop, SyscallError},
    finalise,
    invoke::{Done, Invocation},
    lookup, notification,
    scheduler::Next,
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
    Bind { irq: usize, cap: Cap, src: Link<Slot> },
    /// Signal nothing from now on.
    Unbind { irq: usize },
}

/// Invocations of interrupt control and interrupt handlers.
pub fn invoke(k: &mut Kernel, inv: &Invocation) -> Result<Done, Stop> {
    let op = match inv.cap {
        Cap::IrqControl => decode_control(k, inv)?,
        Cap::IrqHandler { irq } => decode_handler(k, inv, irq as usize)?,
        _ => return Err(SyscallError::InvalidCapability(0).into()),
    };
    Ok(Done::new(commit(k, op)))
}

/// Fails unless the argument with index `i` is at most `max`.
fn bounded(k: &Kernel, inv: &Invocation, i: usize, max: u64) -> Decoded<u64> {
    Some(inv.arg(k, i)).filter(|&arg| arg <= max).ok_or(SyscallError::RangeError(0, max))
}

fn decode_control(k: &Kernel, inv: &Invocation) -> Decoded<Op> {
    let ioapic = match inv.label {
        Some(Label::X86IrqIssueIrqHandlerIoapic) => true,
        Some(Label::X86IrqIssueIrqHandlerMsi) => false,
        // `IrqIssueIrqHandler` is for machines without IOAPIC.
        _ => return Err(SyscallError::IllegalOperation),
    };
    inv.need(7, 1)?;
    let irq = bounded(k, inv, 6, MAX_VECTOR)? as usize + IRQ_USER_MIN;
    if k.irq_states[irq].get() != IrqState::Inactive {
        return Err(SyscallError::RevokeFirst);
    }
    let (_, root) = inv.extra_cap(k, 0)?;
    let dest = lookup::empty_target(k, root, inv.arg(k, 0), inv.arg(k, 1))?;
    let route = if ioapic {
        let last = num_ioapics().checked_sub(1).ok_or(SyscallError::IllegalOperation)?;
        let ioapic = bounded(k, inv, 2, last as u64)? as usize;
        let last = ioapic_pins(ioapic).checked_sub(1).ok_or(SyscallError::IllegalOperation)?;
        let pin = bounded(k, inv, 3, last as u64)? as usize;
        let (level, active_low) = (bounded(k, inv, 4, 1)? == 1, bounded(k, inv, 5, 1)? == 1);
        Some(IrqRoute { ioapic, pin, level, active_low })
    } else {
        // Bus, device and function; the handle is the device's business.
        for (i, max) in [(2, 255), (3, 31), (4, 7)] {
            bounded(k, inv, i, max)?;
        }
        None
    };
    Ok(Op::Issue { irq, route, control: inv.slot, dest })
}

fn decode_handler(k: &Kernel, inv: &Invocation, irq: usize) -> Decoded<Op> {
    match inv.label {
        Some(Label::IrqAckIrq) => Ok(Op::Ack { irq }),
        Some(Label::IrqClearIrqHandler) => Ok(Op::Unbind { irq }),
        Some(Label::IrqSetIrqHandler) => {
            inv.need(0, 1)?;
            match inv.extra_cap(k, 0)? {
                (src, cap @ Cap::Notification { send: true, .. }) => Ok(Op::Bind { irq, cap, src }),
                _ => Err(SyscallError::InvalidCapability(1)),
            }
        }
        _ => Err(SyscallError::IllegalOperation),
    }
}

fn commit(k: &mut Kernel, op: Op) -> Next {
    match op {
        Op::Issue { irq, route, control, dest } => {
            match route {
                Some(route) => pecan_arch::irq_route_ioapic(irq, route),
                None => pecan_arch::irq_route_msi(irq),
            }
            k.irq_states[irq].set(IrqState::Handler);
            irq_mask(irq, false);
            derivation::insert(k, Cap::IrqHandler { irq: irq as u16 }, control, dest);
            Next::Resume
        }
        Op::Ack { irq } => {
            irq_mask(irq, false);
            Next::Resume
        }
        Op::Bind { irq, cap, src } => {
            let slot = k.irq_slots[irq].link();
            let next = finalise::delete_one(k, slot);
            derivation::insert(k, cap, src, slot);
            next
        }
        Op::Unbind { irq } => {
            let slot = k.irq_slots[irq].link();
            finalise::delete_one(k, slot)
        }
    }
}

/// The last capability to an interrupt handler goes: the interrupt is masked and unbound.
pub fn deleted(k: &mut Kernel, irq: u16) -> Next {
    let irq = irq as usize;
    irq_mask(irq, true);
    k.irq_states[irq].set(IrqState::Inactive);
    let slot = k.irq_slots[irq].link();
    finalise::delete_one(k, slot)
}

/// An interrupt came (any but the timer's): masks it until it is acknowledged and signals its notification.
pub fn interrupt(k: &Kernel, irq: usize) -> Next {
    // A level-triggered line would come again at once.
    irq_mask(irq, true);
    pecan_arch::irq_ack(irq);
    let Some(slot) = k.irq_slots.get(irq) else { return Next::Resume };
    match slot.cap() {
        Cap::Notification { ntfn, badge, send: true, .. } => notification::signal(k, ntfn.get(k), badge),
        // Nobody waits for it, or it is spurious.
        _ => Next::Resume,
    }
}
