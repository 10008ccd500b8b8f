//! The debug system calls, and what the kernel says of threads on its console.

use pecan_abi::{
    Syscall,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_LENGTH, buffer},
};
use pecan_arch::reg;
use pecan_mem::{Cap, Kernel, Tcb, ThreadState, object::NAME_LEN};

use crate::{
    base::{
        latency, message,
        report::{self, Name},
    },
    cap::lookup,
    sched::release,
    space::tables,
};

/// Threads that a dump shows at most; a dump must end.
const MAX_THREADS: usize = 4096;

/// Capabilities that a snapshot shows at most.
const MAX_CAPS: u64 = 4096;

/// Does the debug system call `call` for the thread `caller`, which reads its arguments from the registers and
/// writes its results there. False if `call` is none, or the profile has no debug calls: then it is unknown.
#[inline(always)]
pub fn syscall(k: &Kernel, caller: &Tcb, call: Syscall) -> bool {
    let is_debug = pecan_config::DEBUG
        && matches!(
            call,
            Syscall::DebugPutChar
                | Syscall::DebugDumpScheduler
                | Syscall::DebugHalt
                | Syscall::DebugCapIdentify
                | Syscall::DebugSnapshot
                | Syscall::DebugNameThread
        );
    if is_debug {
        perform(k, caller, call);
        latency::restart(k);
    }
    is_debug
}

#[inline(never)]
fn perform(k: &Kernel, caller: &Tcb, call: Syscall) {
    let cptr = caller.context.get(reg::CAP);
    match call {
        Syscall::DebugPutChar => pecan_arch::console_putc(cptr as u8),
        Syscall::DebugDumpScheduler => dump_scheduler(k),
        Syscall::DebugHalt => {
            latency::print(k);
            report::print(format_args!("halted by {}\n", Name(caller)));
            pecan_arch::halt();
        }
        Syscall::DebugCapIdentify => {
            let tag = lookup::cap(k, caller, cptr).map_or(0, |slot| slot.get(k).words().type_number());
            caller.context.set(reg::CAP, tag);
        }
        Syscall::DebugSnapshot => snapshot(k, caller),
        Syscall::DebugNameThread => name_thread(k, caller, cptr),
        _ => {}
    }
}

fn state(state: ThreadState) -> &'static str {
    match state {
        ThreadState::Inactive => "inactive",
        ThreadState::Running => "running",
        ThreadState::Restart => "restart",
        ThreadState::BlockedOnReceive { .. } => "receiving",
        ThreadState::BlockedOnSend { .. } => "sending",
        ThreadState::BlockedOnReply { .. } => "calling",
        ThreadState::BlockedOnNotification { .. } => "waiting",
        ThreadState::Idle => "idle",
    }
}

fn dump_thread(thread: &Tcb) {
    let ip = thread.context.get(reg::FAULT_IP);
    let (state, priority) = (state(thread.state.get()), thread.priority.get());
    // One core only: see `state::CoreState`.
    report::print(format_args!("{:<24} {state:<10} {ip:#18x} {priority:>4} {:>4}\n", Name(thread), 0));
}

/// Prints the threads that run, are ready to run, or wait for budget.
fn dump_scheduler(k: &Kernel) {
    report::print(format_args!("{:<24} {:<10} {:>18} {:>4} {:>4}\n", "Name", "State", "IP", "Prio", "Core"));
    let current = k.core().current.get();
    dump_thread(current.get(k));
    let heads = k.core().ready.iter().flat_map(|queues| queues.heads.iter().rev());
    for head in heads.filter_map(|head| head.get()) {
        // A ring.
        let mut thread = head;
        for _ in 0..MAX_THREADS {
            dump_thread(thread.get(k));
            match thread.get(k).sched_queue.next.get() {
                Some(next) if next != head => thread = next,
                _ => break,
            }
        }
    }
    let first = k.core().release_head.get().map(|first| first.get(k));
    core::iter::successors(first, |t| release::after(k, t)).take(MAX_THREADS).for_each(dump_thread);
}

/// Prints how much time a thread has used, in ticks, in the form that the ABI's users expect.
pub fn print_usage(thread: &Tcb, ticks: u64) {
    match thread.state.get() {
        ThreadState::Idle => report::print(format_args!("idle,{ticks}\n")),
        _ => report::print(format_args!("{},{ticks}\n", Name(thread))),
    }
}

/// Prints the capabilities in the first CNode of the caller's CSpace.
fn snapshot(k: &Kernel, caller: &Tcb) {
    report::print(format_args!("capabilities of {}:\n", Name(caller)));
    let Cap::CNode { cnode, .. } = caller.slots[Tcb::SLOT_CSPACE].cap() else { return };
    for index in 0..MAX_CAPS.min(1 << cnode.radix()) {
        let slot = cnode.get(k, index);
        if !slot.is_empty() {
            report::print(format_args!("{index:>6}: {:?}\n", slot.cap()));
        }
    }
    if let Some(root) = tables::root(k, caller) {
        report::print(format_args!("address space {:?}, ASID {}\n", root.link(), root.asid()));
    }
}

/// Names the thread at `cptr` by the string in the caller's message, which begins with word 0 in the buffer.
fn name_thread(k: &Kernel, caller: &Tcb, cptr: u64) {
    let thread = match lookup::cap(k, caller, cptr).map(|slot| slot.get(k).cap()) {
        Ok(Cap::Tcb { tcb }) => tcb.get(k),
        _ => {
            return report::print(format_args!(
                "{}: cannot name {cptr:#x}, which is no thread\n",
                Name(caller)
            ));
        }
    };
    let Some(words) = message::buffer_for_reading(k, caller) else {
        return report::print(format_args!("{}: no IPC buffer to take a thread's name from\n", Name(caller)));
    };
    const { assert!(NAME_LEN / 8 < MSG_MAX_LENGTH && MESSAGE_REGISTERS < MSG_MAX_LENGTH) }
    let mut name = [0; NAME_LEN];
    for (i, bytes) in name.chunks_exact_mut(8).enumerate() {
        bytes.copy_from_slice(&words.get(buffer::MSG + i).to_ne_bytes());
    }
    // The last byte is kept for the end of a longer name.
    let len = name.iter().position(|&b| b == 0).unwrap_or(NAME_LEN - 1);
    name[len..].fill(0);
    thread.name.set(name);
}

#[cfg(test)]
mod tests {
    use pecan_abi::{Syscall, ipc::buffer};
    use pecan_arch::{host::take_console, reg};
    use pecan_mem::{Fault, LookupFailure, cap::tag};

    use crate::{
        base::{message, report},
        testing::{CNODE, TCB, World},
    };

    fn call(w: &mut World, call: Syscall, cptr: u64) -> u64 {
        let thread = w.thread;
        thread.get(&w.k).context.set(reg::CAP, cptr);
        assert_eq!(w.syscall(call), thread);
        thread.get(&w.k).context.get(reg::CAP)
    }

    fn name(w: &mut World, name: &str) {
        let mut words = [0; 10];
        for (word, bytes) in words.iter_mut().zip(name.as_bytes().chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(padded);
        }
        let buf = message::buffer_for_writing(&w.k, w.thread.get(&w.k)).expect("an IPC buffer");
        words.iter().enumerate().for_each(|(i, &word)| buf.set(buffer::MSG + i, word));
    }

    #[test]
    fn threads_are_named_and_listed() {
        if !pecan_config::DEBUG {
            return;
        }
        let mut w = World::new();
        name(&mut w, "a thread");
        call(&mut w, Syscall::DebugNameThread, TCB);
        assert_eq!(&w.thread.get(&w.k).name.get()[..9], b"a thread\0");
        take_console();
        call(&mut w, Syscall::DebugDumpScheduler, 0);
        let dump = take_console();
        let lines: Vec<_> = dump.lines().collect();
        assert!(lines[0].starts_with("Name"), "{dump}");
        assert!(lines[1].starts_with("a thread ") && lines[1].contains("running"), "{dump}");
        // A name that is too long is cut, with a zero behind it.
        name(&mut w, "a name of more than twenty-four bytes");
        call(&mut w, Syscall::DebugNameThread, TCB);
        assert_eq!(&w.thread.get(&w.k).name.get(), b"a name of more than twe\0");
        call(&mut w, Syscall::DebugNameThread, CNODE);
        assert!(take_console().contains("which is no thread"));
    }

    #[test]
    fn capabilities_are_identified_and_listed() {
        if !pecan_config::DEBUG {
            return;
        }
        let mut w = World::new();
        assert_eq!(call(&mut w, Syscall::DebugCapIdentify, TCB), tag::TCB.number());
        assert_eq!(call(&mut w, Syscall::DebugCapIdentify, CNODE), tag::CNODE.number());
        assert_eq!(call(&mut w, Syscall::DebugCapIdentify, 0), tag::NULL.number());
        assert_eq!(call(&mut w, Syscall::DebugCapIdentify, u64::MAX), tag::NULL.number(), "no such slot");
        take_console();
        call(&mut w, Syscall::DebugSnapshot, 0);
        let list = take_console();
        assert!(list.contains("IrqControl") && list.contains("Untyped"), "{list}");
        call(&mut w, Syscall::DebugPutChar, b'x' as u64);
        assert_eq!(take_console(), "x");
    }

    #[test]
    fn unhandled_faults_are_told_in_one_line() {
        let w = World::new();
        let thread = w.thread.get(&w.k);
        take_console();
        for failure in [
            LookupFailure::InvalidRoot,
            LookupFailure::MissingCapability { bits_left: 3 },
            LookupFailure::DepthMismatch { bits_left: 3, bits_found: 4 },
            LookupFailure::GuardMismatch { bits_left: 3, guard: 1, guard_bits: 2 },
        ] {
            report::unhandled_fault(thread, Fault::Cap { address: 0x77, receive_phase: true, failure });
        }
        report::unhandled_fault(thread, Fault::Vm { address: 0x123, instruction: false, status: 6 });
        let text = take_console();
        if pecan_config::DEBUG {
            assert_eq!(text.lines().count(), 5, "{text}");
            assert!(text.lines().last().is_some_and(|l| l.contains("access at 0x123")), "{text}");
        } else {
            assert_eq!(text, "");
        }
    }
}
