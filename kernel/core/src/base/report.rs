//! What a debug kernel says of threads on its console.

use core::fmt::{self, Write};

use pecan_arch::{Console, reg};
use pecan_mem::{Fault, LookupFailure, Tcb, object::NAME_LEN};

/// The console cannot fail.
pub fn print(args: fmt::Arguments) {
    let _ = Console.write_fmt(args);
}

/// Tells on the console of a fault that nobody handles.
pub fn unhandled_fault(thread: &Tcb, fault: Fault) {
    if !pecan_config::DEBUG {
        return;
    }
    print(format_args!("{} stopped: ", Name(thread)));
    match fault {
        Fault::None => print(format_args!("no fault")),
        Fault::Cap { address, receive_phase, failure } => {
            let phase = if receive_phase { "receiving" } else { "sending" };
            print(format_args!("capability fault at {address:#x} while {phase}: "));
            match failure {
                LookupFailure::InvalidRoot => print(format_args!("the CSpace root is no CNode")),
                LookupFailure::MissingCapability { bits_left } => {
                    print(format_args!("no such capability ({bits_left} bits left)"));
                }
                LookupFailure::DepthMismatch { bits_left, bits_found } => {
                    print(format_args!("{bits_left} bits left, {bits_found} found"));
                }
                LookupFailure::GuardMismatch { bits_left, guard, guard_bits } => {
                    print(format_args!("guard {guard:#x} of {guard_bits} bits, {bits_left} bits left"));
                }
            }
        }
        Fault::UnknownSyscall { number } => print(format_args!("unknown system call {}", number as i64)),
        Fault::UserException { number, code } => {
            print(format_args!("exception {number}, error code {code:#x}"));
        }
        Fault::Vm { address, instruction, status } => {
            let what = if instruction { "instruction fetch" } else { "access" };
            print(format_args!("page fault: {what} at {address:#x}, status {status:#x}"));
        }
        Fault::Debug { reason, address, number } => {
            print(format_args!("{} (breakpoint {number} at {address:#x})", reason.name()));
        }
        Fault::Timeout { badge } => print(format_args!("budget used up, badge {badge:#x}")),
    }
    let (ip, sp) = (thread.context.get(reg::FAULT_IP), thread.context.get(reg::SP));
    print(format_args!("; ip {ip:#x}, sp {sp:#x}; it has no fault handler\n"));
}

/// A thread's name, or its address if it has none.
pub struct Name<'k>(pub &'k Tcb);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.name.get();
        let len = name.iter().position(|&b| b == 0).unwrap_or(NAME_LEN);
        if len == 0 {
            return write!(f, "{:#x}", self.0.link().addr());
        }
        name[..len]
            .iter()
            .try_for_each(|&b| f.write_char(if b.is_ascii_graphic() || b == b' ' { b as char } else { '?' }))
    }
}
