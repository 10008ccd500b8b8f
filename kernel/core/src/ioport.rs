//! I/O ports.

use pecan_abi::Label;
use pecan_mem::{Cap, Kernel, Link, Slot, Tcb};

use crate::{
    derivation,
    error::{Decoded, Stop, SyscallError},
    invoke::{Done, Invocation},
    lookup, message,
};

/// A decoded invocation.
enum Op {
    /// Make a capability to the ports `first..=last`.
    Issue { first: u16, last: u16, control: Link<Slot>, dest: Link<Slot> },
    /// Read `bytes` bytes; the answer goes to the thread if there is one.
    In { port: u16, bytes: u32, thread: Option<Link<Tcb>> },
    /// Write `bytes` bytes.
    Out { port: u16, bytes: u32, value: u32 },
}

/// Invocations of I/O port control and I/O ports.
pub fn invoke(k: &mut Kernel, inv: &Invocation) -> Result<Done, Stop> {
    let op = match inv.cap {
        Cap::IoPortControl => decode_control(k, inv)?,
        Cap::IoPort { first, last } => decode_ports(k, inv, first, last)?,
        _ => return Err(SyscallError::InvalidCapability(0).into()),
    };
    Ok(commit(k, op))
}

fn decode_control(k: &Kernel, inv: &Invocation) -> Decoded<Op> {
    if inv.label != Some(Label::X86IoPortControlIssue) {
        return Err(SyscallError::IllegalOperation);
    }
    inv.need(4, 1)?;
    let port = |i| u16::try_from(inv.arg(k, i)).map_err(|_| SyscallError::InvalidArgument(i as u64));
    let (first, last) = (port(0)?, port(1)?);
    if last < first {
        return Err(SyscallError::InvalidArgument(1));
    }
    if words(first, last).any(|(word, mask)| k.io_ports[word].get() & mask != 0) {
        return Err(SyscallError::RevokeFirst);
    }
    let (_, root) = inv.extra_cap(k, 0)?;
    let dest = lookup::empty_target(k, root, inv.arg(k, 2), inv.arg(k, 3))?;
    Ok(Op::Issue { first, last, control: inv.slot, dest })
}

fn decode_ports(k: &Kernel, inv: &Invocation, first: u16, last: u16) -> Decoded<Op> {
    let (bytes, out) = match inv.label {
        Some(Label::X86IoPortIn8) => (1, false),
        Some(Label::X86IoPortIn16) => (2, false),
        Some(Label::X86IoPortIn32) => (4, false),
        Some(Label::X86IoPortOut8) => (1, true),
        Some(Label::X86IoPortOut16) => (2, true),
        Some(Label::X86IoPortOut32) => (4, true),
        _ => return Err(SyscallError::IllegalOperation),
    };
    inv.need(if out { 2 } else { 1 }, 0)?;
    // The ABI passes 16 bits; the rest of the word is not the port's.
    let port = inv.arg(k, 0) as u16;
    if port < first || port as u32 + bytes - 1 > last as u32 {
        return Err(SyscallError::IllegalOperation);
    }
    Ok(if out {
        Op::Out { port, bytes, value: inv.arg(k, 1) as u32 }
    } else {
        Op::In { port, bytes, thread: inv.call.then_some(inv.thread) }
    })
}

fn commit(k: &Kernel, op: Op) -> Done {
    match op {
        Op::Issue { first, last, control, dest } => {
            words(first, last).for_each(|(word, mask)| k.io_ports[word].set(k.io_ports[word].get() | mask));
            derivation::insert(k, Cap::IoPort { first, last }, control, dest);
            Done::ok()
        }
        Op::In { port, bytes, thread } => {
            // Read even if nobody wants to know: reading has effects.
            let value = pecan_arch::io_read(port, bytes);
            let Some(thread) = thread else { return Done::ok() };
            message::put(k, thread.get(k), 0, value as u64);
            Done::answer(1)
        }
        Op::Out { port, bytes, value } => {
            pecan_arch::io_write(port, bytes, value);
            Done::ok()
        }
    }
}

/// The last capability to the ports `first..=last` goes: they can be issued again.
pub fn deleted(k: &Kernel, first: u16, last: u16) {
    words(first, last).for_each(|(word, mask)| k.io_ports[word].set(k.io_ports[word].get() & !mask));
}

/// The words of the port bitmap that hold the ports `first..=last`, each with the mask of their bits in it.
fn words(first: u16, last: u16) -> impl Iterator<Item = (usize, u64)> {
    let (first, last) = (first as usize, last as usize);
    (first / 64..=last / 64).map(move |word| {
        let low = first.max(word * 64) % 64;
        let high = last.min(word * 64 + 63) % 64;
        (word, u64::MAX << low & u64::MAX >> (63 - high))
    })
}
