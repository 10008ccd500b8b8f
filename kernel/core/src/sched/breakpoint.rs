//! Hardware breakpoints and single-stepping of a thread that runs, in profiles that have them. Setting them is
//! `invoke::tcb::breakpoint`'s.
//!
//! Manual: "Debug Exception: Breakpoints and Watchpoints", "Debug Exception: Single-stepping".

use pecan_abi::breakpoint::BreakpointType;
use pecan_arch::{Breakpoint, DebugEvent};
use pecan_mem::{Debug, Fault, Tcb};

/// Makes a thread fault after every so many instructions; after none if 0.
pub fn set_step(thread: &Tcb, debug: &Debug, every: u64) {
    debug.step_every.set(every);
    debug.step_left.set(every);
    thread.forget_spaces();
    thread.context.set_single_step(every != 0);
}

/// Makes the processor ready to watch a thread that it is about to run.
#[inline(always)]
pub fn load(thread: &Tcb) {
    if let Some(debug) = thread.debug() {
        let stepping = debug.step_every.get() != 0;
        pecan_arch::debug_load(&debug.registers, stepping);
        // The thread, or who writes its registers, may have changed the flag that makes it step.
        if stepping {
            thread.context.set_single_step(true);
        }
    }
}

/// What to tell a thread's handler of a debug exception; nothing if the thread still has instructions to step over.
pub fn fault(thread: &Tcb, software: bool) -> Option<Fault> {
    let debug = thread.debug()?;
    let event = if software { DebugEvent::Software } else { pecan_arch::take_debug_event(&debug.registers) };
    Some(match event {
        DebugEvent::Breakpoint(number) => {
            let (Breakpoint { address, kind, .. }, _) = debug.registers.get(number);
            if kind == BreakpointType::Instruction {
                thread.context.pass_breakpoint();
            }
            Fault::Debug { reason: kind, address, number: number as u8 }
        }
        DebugEvent::Software => {
            Fault::Debug { reason: BreakpointType::SoftwareBreakRequest, address: 0, number: 0 }
        }
        DebugEvent::Step => {
            let left = debug.step_left.get().saturating_sub(1);
            debug.step_left.set(left);
            if left != 0 {
                load(thread);
                return None;
            }
            debug.step_left.set(debug.step_every.get());
            Fault::Debug { reason: BreakpointType::SingleStep, address: 0, number: 0 }
        }
    })
}

/// The handler of a single step has answered how many instructions to execute before the next.
pub fn reply(faulty: &Tcb, every: u64) {
    faulty.debug().inspect(|debug| set_step(faulty, debug, every));
}
