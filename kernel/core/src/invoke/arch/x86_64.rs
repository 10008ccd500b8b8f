//! Invocations of x86_64: I/O ports, the authority to give them out, and interrupts of IOAPIC pins and messages.

use pecan_abi::Label;
use pecan_arch::{IoapicPin, IrqSource, ioapic_pins, num_ioapics};
use pecan_mem::{ArchCap, Kernel, Link, Slot, Tcb};

use super::Wanted;
use crate::{
    base::{
        arch::x86_64 as ports,
        error::{Decoded, Stop, SyscallError},
        message,
    },
    cap::{derivation, lookup},
    invoke::{
        args::{self, x86_64::*},
        invocation::{Done, Invocation},
    },
    ipc::ahead,
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
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    let op = match inv.words.arch_cap().ok_or(SyscallError::InvalidCapability(0))? {
        ArchCap::IoPortControl => decode_control(k, inv)?,
        ArchCap::IoPort { first, last } => decode_ports(k, inv, first, last)?,
    };
    Ok(commit(k, op))
}

/// No more can be asked of frames.
#[inline(always)]
pub fn invoke_frame(_k: &Kernel, _inv: Invocation<'_>) -> Decoded<Done> {
    Err(SyscallError::IllegalOperation)
}

/// No more can be asked of paging structures.
#[inline(always)]
pub fn invoke_table(_k: &Kernel, _inv: Invocation<'_>) -> Decoded<Done> {
    Err(SyscallError::IllegalOperation)
}

/// Decodes an invocation of interrupt control.
pub fn decode_handler<T>(
    k: &Kernel,
    inv: Invocation<'_>,
    claim: impl Fn(Wanted) -> Decoded<T>,
) -> Decoded<(T, IrqSource)> {
    match inv.label() {
        Some(Label::X86IrqIssueIrqHandlerIoapic) => {
            let args = X86IrqIssueIrqHandlerIoapic::decode(k, inv)?;
            let claimed = claim(Wanted { number: args.vector, dest: (args.root, args.index, args.depth) })?;
            let last = num_ioapics().checked_sub(1).ok_or(SyscallError::IllegalOperation)?;
            let ioapic = bounded(args.ioapic, last as u64)? as usize;
            let last = ioapic_pins(ioapic).checked_sub(1).ok_or(SyscallError::IllegalOperation)?;
            let pin = bounded(args.pin, last as u64)? as usize;
            let (level, active_low) = (bounded(args.level, 1)? == 1, bounded(args.polarity, 1)? == 1);
            Ok((claimed, IrqSource::Pin(IoapicPin { ioapic, pin, level, active_low })))
        }
        Some(Label::X86IrqIssueIrqHandlerMsi) => {
            let args = X86IrqIssueIrqHandlerMsi::decode(k, inv)?;
            let claimed = claim(Wanted { number: args.vector, dest: (args.root, args.index, args.depth) })?;
            // The handle is the device's business.
            for (arg, max) in [(args.pci_bus, 255), (args.pci_dev, 31), (args.pci_func, 7)] {
                bounded(arg, max)?;
            }
            Ok((claimed, IrqSource::Message))
        }
        // For machines without IOAPIC.
        Some(Label::IrqIssueIrqHandler) => {
            args::IrqIssueIrqHandler::decode(k, inv)?;
            Err(SyscallError::IllegalOperation)
        }
        _ => Err(SyscallError::IllegalOperation),
    }
}

/// Fails unless an argument is at most `max`.
fn bounded(arg: u64, max: u64) -> Decoded<u64> {
    Some(arg).filter(|&arg| arg <= max).ok_or(SyscallError::RangeError(0, max))
}

fn decode_control(k: &Kernel, inv: Invocation<'_>) -> Result<Op, Stop> {
    if inv.label() != Some(Label::X86IoPortControlIssue) {
        return Err(SyscallError::IllegalOperation.into());
    }
    let args = X86IoPortControlIssue::decode(k, inv)?;
    let port = |word, i| u16::try_from(word).map_err(|_| SyscallError::InvalidArgument(i));
    let (first, last) = (port(args.first_port, 0)?, port(args.last_port, 1)?);
    if last < first {
        return Err(SyscallError::InvalidArgument(1).into());
    }
    if !ports::are_free(k, first, last) {
        return Err(SyscallError::RevokeFirst.into());
    }
    let dest = lookup::empty_target(k, args.root, args.index, args.depth)?;
    // Looking at all ports and a long way to the slot have been long; to mark them is again.
    ahead::point(k)?;
    Ok(Op::Issue { first, last, control: inv.slot, dest })
}

fn decode_ports(k: &Kernel, inv: Invocation<'_>, first: u16, last: u16) -> Decoded<Op> {
    let (bytes, out) = match inv.label() {
        Some(Label::X86IoPortIn8) => (1, false),
        Some(Label::X86IoPortIn16) => (2, false),
        Some(Label::X86IoPortIn32) => (4, false),
        Some(Label::X86IoPortOut8) => (1, true),
        Some(Label::X86IoPortOut16) => (2, true),
        Some(Label::X86IoPortOut32) => (4, true),
        _ => return Err(SyscallError::IllegalOperation),
    };
    let (port, value) = if out {
        let IoPortOut { port, data } = IoPortOut::decode(k, inv)?;
        (port, data)
    } else {
        (IoPortIn::decode(k, inv)?.port, 0)
    };
    // The ABI passes 16 bits; the rest of the word is not the port's.
    let port = port as u16;
    if port < first || port as u32 + bytes - 1 > last as u32 {
        return Err(SyscallError::IllegalOperation);
    }
    Ok(if out {
        Op::Out { port, bytes, value: value as u32 }
    } else {
        Op::In { port, bytes, thread: inv.call.then_some(inv.thread) }
    })
}

fn commit(k: &Kernel, op: Op) -> Done {
    match op {
        Op::Issue { first, last, control, dest } => {
            ports::mark(k, first, last, true);
            derivation::insert_arch(k, ArchCap::IoPort { first, last }, control, dest);
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

/// For tests that ask for handlers.
#[cfg(test)]
pub mod testing {
    use pecan_abi::Label;

    use crate::testing::DEPTH;

    /// Asks for the handler of an interrupt, to be put into this slot of the root CNode.
    pub fn request(dest: u64, number: u64) -> (Label, Vec<u64>) {
        (Label::X86IrqIssueIrqHandlerMsi, vec![dest, DEPTH, 0, 0, 0, 0, number])
    }
}

#[cfg(test)]
mod tests {
    use pecan_abi::{Error, Label};
    use pecan_arch::{IoapicPin, IrqSource, host};
    use pecan_mem::{ArchCap, Cap};

    use crate::{
        base::arch::x86_64 as ports,
        testing::{ARCH_CONTROL as IO_PORT_CONTROL, CNODE, DEPTH, FREE, IRQ_CONTROL, World},
    };

    const ISSUE: Label = Label::X86IoPortControlIssue;

    fn issue(w: &mut World, first: u64, last: u64, dest: u64) -> crate::testing::Answer {
        w.call(IO_PORT_CONTROL, ISSUE, &[first, last, dest, DEPTH], &[CNODE])
    }

    #[test]
    fn ports_are_read_and_written() {
        let mut w = World::new();
        assert_eq!(issue(&mut w, 0x3f8, 0x3ff, FREE), Ok(vec![]));
        assert_eq!(w.cap(FREE), Cap::Arch(ArchCap::IoPort { first: 0x3f8, last: 0x3ff }));
        host::machine().io_values.borrow_mut().insert(0x3fc, 0x1234_5678);
        let read = |w: &mut World, label| w.call(FREE, label, &[0x3fc], &[]);
        assert_eq!(read(&mut w, Label::X86IoPortIn8), Ok(vec![0x78]));
        assert_eq!(read(&mut w, Label::X86IoPortIn16), Ok(vec![0x5678]));
        assert_eq!(read(&mut w, Label::X86IoPortIn32), Ok(vec![0x1234_5678]));
        assert_eq!(w.call(FREE, Label::X86IoPortOut8, &[0x3f8, 0xff], &[]), Ok(vec![]));
        assert_eq!(w.call(FREE, Label::X86IoPortOut16, &[0x3fe, 0xffff], &[]), Ok(vec![]));
        assert_eq!(w.call(FREE, Label::X86IoPortOut32, &[0x3fc, 7], &[]), Ok(vec![]));
        assert_eq!(
            *host::machine().io_writes.borrow(),
            [(0x3f8, 1, 0xff), (0x3fe, 2, 0xffff), (0x3fc, 4, 7)]
        );
    }

    #[test]
    fn a_port_belongs_to_one_capability() {
        let mut w = World::new();
        assert_eq!(issue(&mut w, 60, 200, FREE), Ok(vec![]));
        let issue_ = (IO_PORT_CONTROL, ISSUE);
        for (first, last) in [(0, 60), (200, 0xffff), (100, 101), (0, 0xffff), (64, 127)] {
            w.fails(issue_, &[first, last, FREE + 1, DEPTH], &[CNODE], Error::RevokeFirst, &[]);
        }
        assert_eq!(issue(&mut w, 0, 59, FREE + 1), Ok(vec![]));
        assert_eq!(issue(&mut w, 201, 0xffff, FREE + 2), Ok(vec![]));
        assert!(w.k.global().arch.io_ports.iter().all(|word| word.get() == u64::MAX));
        // Freed with the last capability, not before.
        assert_eq!(w.copy(FREE + 3, FREE, pecan_abi::CapRights::ALL), Ok(vec![]));
        assert_eq!(w.delete(FREE), Ok(vec![]));
        w.fails(issue_, &[60, 60, FREE, DEPTH], &[CNODE], Error::RevokeFirst, &[]);
        assert_eq!(w.delete(FREE + 3), Ok(vec![]));
        assert_eq!(issue(&mut w, 60, 200, FREE), Ok(vec![]));
        assert_eq!(w.revoke(IO_PORT_CONTROL), Ok(vec![]));
        assert!(w.k.global().arch.io_ports.iter().all(|word| word.get() == 0));
    }

    #[test]
    fn no_used_port_hides_another() {
        let w = World::new();
        const LAST: u16 = 64 * 11;
        assert!(ports::are_free(&w.k, 0, LAST));
        // The same bit of any two words.
        for (a, b) in (0..=LAST).step_by(64).flat_map(|a| (a..=LAST).step_by(64).map(move |b| (a, b))) {
            ports::mark(&w.k, a, a, true);
            ports::mark(&w.k, b, b, true);
            assert!(!ports::are_free(&w.k, 0, LAST), "{a} and {b} are used");
            ports::mark(&w.k, a, a, false);
            ports::mark(&w.k, b, b, false);
        }
        assert!(ports::are_free(&w.k, 0, LAST));
    }

    #[test]
    fn errors() {
        let mut w = World::new();
        let at = (IO_PORT_CONTROL, ISSUE);
        w.fails(at, &[1, 2, FREE], &[CNODE], Error::TruncatedMessage, &[]);
        w.fails(at, &[1, 2, FREE, DEPTH], &[], Error::TruncatedMessage, &[]);
        w.fails(at, &[2, 1, FREE, DEPTH], &[CNODE], Error::InvalidArgument, &[1]);
        w.fails(at, &[0x1_0000, 0x1_0001, FREE, DEPTH], &[CNODE], Error::InvalidArgument, &[0]);
        w.fails(at, &[1, 0x1_0000, FREE, DEPTH], &[CNODE], Error::InvalidArgument, &[1]);
        w.fails(at, &[1, 2, CNODE, DEPTH], &[CNODE], Error::DeleteFirst, &[]);
        w.fails(at, &[1, 2, FREE, 0], &[CNODE], Error::RangeError, &[1, 64]);
        w.fails(at, &[1, 2, FREE, DEPTH], &[IO_PORT_CONTROL], Error::FailedLookup, &[0, 1]);
        w.fails((IO_PORT_CONTROL, Label::X86IoPortIn8), &[1], &[], Error::IllegalOperation, &[]);

        assert_eq!(issue(&mut w, 0x10, 0x17, FREE), Ok(vec![]));
        w.fails((FREE, Label::X86IoPortIn8), &[], &[], Error::TruncatedMessage, &[]);
        w.fails((FREE, Label::X86IoPortOut8), &[0x10], &[], Error::TruncatedMessage, &[]);
        w.fails((FREE, ISSUE), &[0; 4], &[CNODE], Error::IllegalOperation, &[]);
        for (input, output, bytes) in [
            (Label::X86IoPortIn8, Label::X86IoPortOut8, 1),
            (Label::X86IoPortIn16, Label::X86IoPortOut16, 2),
            (Label::X86IoPortIn32, Label::X86IoPortOut32, 4),
        ] {
            for port in [0xf, 0x18 - bytes + 1, 0xffff] {
                w.fails((FREE, input), &[port], &[], Error::IllegalOperation, &[]);
                w.fails((FREE, output), &[port, 0], &[], Error::IllegalOperation, &[]);
            }
        }
    }

    const IOAPIC: Label = Label::X86IrqIssueIrqHandlerIoapic;

    const MSI: Label = Label::X86IrqIssueIrqHandlerMsi;

    #[test]
    fn interrupts_come_from_pins_and_messages() {
        let mut w = World::new();
        assert_eq!(w.call(IRQ_CONTROL, IOAPIC, &[FREE, DEPTH, 0, 7, 1, 1, 5], &[CNODE]), Ok(vec![]));
        let pin = IoapicPin { ioapic: 0, pin: 7, level: true, active_low: true };
        assert_eq!(host::irq_line(21).source, Some(IrqSource::Pin(pin)));
        assert_eq!(w.call(IRQ_CONTROL, MSI, &[FREE + 1, DEPTH, 255, 31, 7, 99, 107], &[CNODE]), Ok(vec![]));
        assert_eq!(host::irq_line(123).source, Some(IrqSource::Message));
        for (label, words) in
            [(IOAPIC, [FREE + 2, DEPTH, 0, 8, 0, 0, 5]), (MSI, [FREE + 2, DEPTH, 0, 0, 0, 0, 5])]
        {
            w.fails((IRQ_CONTROL, label), &words, &[CNODE], Error::RevokeFirst, &[]);
        }
    }

    #[test]
    fn errors_of_interrupt_control() {
        let mut w = World::new();
        let good = [FREE, DEPTH, 0, 0, 0, 0, 0];
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
            &[1, FREE, DEPTH],
            &[CNODE],
            Error::IllegalOperation,
            &[],
        );
        let get = (IRQ_CONTROL, Label::IrqIssueIrqHandler);
        w.fails(get, &[1, FREE], &[CNODE], Error::TruncatedMessage, &[]);
        w.fails(get, &[1, FREE, DEPTH], &[], Error::TruncatedMessage, &[]);
        w.fails((IRQ_CONTROL, Label::IrqAckIrq), &[], &[], Error::IllegalOperation, &[]);
    }
}
