//! Messages, signals, faults and interrupts.

use pecan::{
    Cap, CapRights, IoapicPin, MessageInfo, Result, UserContext,
    abi::{Syscall, constants::tcb_flag},
    alloc::Objects,
    boot,
    types::{Endpoint, IoPort, Notification, Reply},
};

use crate::{
    COM1, PRIORITY, least,
    partner::{Partner, Partners, Role},
    probe::{self, Call, timed},
    row,
};

/// A partner in the other address space, of a higher priority, without the FPU.
const ROLE: Role = Role {
    entry: probe::bench_partner,
    other_space: true,
    priority: PRIORITY + 1,
    active: false,
    fpu: false,
    fault_ep: Cap::NULL,
    registers: ZERO,
};

const ZERO: UserContext = UserContext::from_words(&[0; UserContext::WORDS]);

/// The registers of `bench_partner` for a system call with a message of `length` words.
fn repeating(call: Syscall, cap: u64, length: u64, reply: u64) -> UserContext {
    UserContext {
        rbp: cap,
        rbx: MessageInfo::new(0, 0, 0, length).0,
        r12: reply,
        r13: call.number() as u64,
        ..ZERO
    }
}

/// Measures all rows of messages, signals and faults.
pub fn measure(partners: &mut Partners, objects: &mut Objects<'_>) -> Result<()> {
    let overhead = probe::overhead();
    let nothing = Call::new(Syscall::BenchmarkNullSyscall, 0, 0);
    row("null", || Ok(once(nothing) - overhead + probe::STUB))?;

    for (length, call_id, reply_id) in [(0, "call0", "replyrecv0"), (10, "call10", "replyrecv10")] {
        let (ep, server) = server(partners, objects, length)?;
        let call = Call::new(Syscall::Call, ep.cptr(), length);
        row(call_id, || Ok(server.after_of(timed(call).before) - overhead))?;
        row(reply_id, || Ok(timed(call).after.wrapping_sub(server.before()) - overhead))?;
    }
    round_trips(partners, objects)?;

    let ep = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    let registers = repeating(Syscall::Recv, ep.cptr(), 0, reply.cptr());
    let receiver = partners.start(objects, Role { active: true, registers, ..ROLE })?;
    let send = Call::new(Syscall::Send, ep.cptr(), 0);
    row("send", || Ok(receiver.after_of(timed(send).before) - overhead))?;

    signals(partners, objects, overhead)?;
    row("yield", || Ok(once(Call::new(Syscall::Yield, 0, 0)) - overhead))?;
    faults(partners, objects, overhead)
}

impl Partner {
    /// Instructions from a reading of ours to the partner's reading after its system call.
    fn after_of(&self, before: u32) -> u32 {
        self.after().wrapping_sub(before)
    }
}

/// Instructions between the readings around one system call.
fn once(call: Call) -> u32 {
    let timed = timed(call);
    timed.after.wrapping_sub(timed.before)
}

/// A passive server that answers with `length` words.
fn server(
    partners: &mut Partners,
    objects: &mut Objects<'_>,
    length: u64,
) -> Result<(Cap<Endpoint>, Partner)> {
    let ep = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    let registers = repeating(Syscall::ReplyRecv, ep.cptr(), length, reply.cptr());
    Ok((ep, partners.start(objects, Role { registers, ..ROLE })?))
}

fn round_trips(partners: &mut Partners, objects: &mut Objects<'_>) -> Result<()> {
    for (id, other_space, fpu, length) in [
        ("roundtrip-local", false, false, 0),
        ("roundtrip-fpu", true, true, 0),
        ("roundtrip", true, false, 0),
        ("roundtrip-1", true, false, 1),
    ] {
        let ep = objects.make::<Endpoint>()?;
        let reply = objects.make::<Reply>()?;
        let number = Syscall::ReplyRecv.number() as u64;
        let info = MessageInfo::new(0, 0, 0, length);
        let registers = UserContext { rdx: number, rbp: ep.cptr(), r12: reply.cptr(), r13: info.0, ..ZERO };
        let entry = if fpu { probe::bench_server_fpu } else { probe::bench_server };
        partners.start(objects, Role { entry, other_space, fpu, registers, ..ROLE })?;
        let mut overhead = probe::ROUND_TRIP_OVERHEAD;
        if fpu {
            boot::TCB.set_flags(tcb_flag::FPU_DISABLED, 0)?;
            overhead += probe::FPU_OVERHEAD;
        }
        row(id, || Ok(probe::round_trip(ep.cptr(), info, fpu) - overhead))?;
        boot::TCB.set_flags(0, tcb_flag::FPU_DISABLED)?;
    }
    Ok(())
}

fn signals(partners: &mut Partners, objects: &mut Objects<'_>, overhead: u32) -> Result<()> {
    let ntfn = objects.make::<Notification>()?;
    let signal = Call::new(Syscall::Send, ntfn.cptr(), 0);
    let wait = Call::new(Syscall::Wait, ntfn.cptr(), 0);
    let poll = Call::new(Syscall::NBWait, ntfn.cptr(), 0);
    row("signal", || {
        let instructions = once(signal) - overhead;
        once(wait);
        Ok(instructions)
    })?;
    row("wait", || {
        once(signal);
        probe::prepared();
        Ok(once(wait) - overhead)
    })?;
    row("poll", || Ok(once(poll) - overhead))?;

    let registers = repeating(Syscall::Wait, ntfn.cptr(), 0, 0);
    let waiter = partners.start(objects, Role { active: true, registers, ..ROLE })?;
    row("signal-switch", || Ok(waiter.after_of(timed(signal).before) - overhead))?;
    Ok(())
}

/// A thread that executes an invalid instruction, and a passive handler in this address space that lets it go on
/// behind it. What is counted is the kernel's part of both ways.
fn faults(partners: &mut Partners, objects: &mut Objects<'_>, overhead: u32) -> Result<()> {
    let ep = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    // The answer is the instruction pointer, the stack pointer and the flags to go on with.
    let registers = repeating(Syscall::ReplyRecv, ep.cptr(), 3, reply.cptr());
    let role = Role { entry: probe::bench_fault_handler, other_space: false, registers, ..ROLE };
    let handler = partners.start(objects, role)?;
    let start = objects.make::<Notification>()?;
    let fault_ep = objects.copy(ep, CapRights::ALL)?;
    let registers = UserContext { rbp: start.cptr(), ..ZERO };
    let role = Role { entry: probe::bench_faulter, active: true, fault_ep, registers, ..ROLE };
    let faulter = partners.start(objects, role)?;
    // Before the fault: the reading, keeping it, and the instruction that faults.
    const FAULT_OVERHEAD: u32 = 3;
    row("fault", || {
        timed(Call::new(Syscall::Send, start.cptr(), 0));
        let there = handler.after_of(faulter.before()) - FAULT_OVERHEAD;
        let back = faulter.after_of(handler.before()) - overhead;
        Ok(there + back)
    })
}

/// An interrupt, from the instruction after which it is taken to the handler's first one.
///
/// The serial port raises its interrupt within the system call that lets it, so it is taken as soon as that call has
/// returned. The same call with the interrupt masked at its handler is taken off.
pub fn measure_irq(partners: &mut Partners, objects: &mut Objects<'_>, ports: Cap<IoPort>) -> Result<()> {
    const INTERRUPT_ENABLE: u64 = COM1 as u64 + 1;
    const TRANSMITTER_EMPTY: u64 = 2;
    let pin = IoapicPin { ioapic: 0, pin: 4, level: false, active_low: false, vector: 4 };
    let ntfn = objects.make::<Notification>()?;
    let label = pecan::abi::Label::X86IoPortOut8.word();
    let enable = |on| {
        let info = MessageInfo::new(label, 0, 0, 2);
        let regs = [INTERRUPT_ENABLE, if on { TRANSMITTER_EMPTY } else { 0 }, 0, 0];
        timed(Call { info, regs, ..Call::new(Syscall::Call, ports.cptr(), 2) })
    };
    let alone = least(|| {
        let t = enable(true);
        enable(false);
        // Reading the identification takes the interrupt back.
        ports.in8(COM1 + 2)?;
        Ok(t.after.wrapping_sub(t.before))
    })?;
    let slot = objects.slots.take(1)?;
    let irq = boot::IRQ_CONTROL.get_ioapic(pin, slot)?;
    irq.set_notification(ntfn)?;
    let registers = repeating(Syscall::Wait, ntfn.cptr(), 0, 0);
    let handler = partners.start(objects, Role { active: true, registers, ..ROLE })?;
    irq.ack()?;
    row("irq", || {
        let t = enable(true);
        enable(false);
        ports.in8(COM1 + 2)?;
        irq.ack()?;
        Ok(handler.after_of(t.before) - alone)
    })
}
