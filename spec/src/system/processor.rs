//! What the processor and devices must be like after a step.

use pecan_abi::constants::tcb_flag;
use pecan_arch::{IoapicPin, IrqSource, host};

use super::System;
use crate::model::{self, Cap, Name, Outcome, State};

/// The pin that an interrupt line comes from, if it comes from one.
pub(crate) fn pin_of(line: host::IrqLine) -> Option<IoapicPin> {
    match line.source {
        Some(IrqSource::Pin(pin)) => Some(pin),
        Some(IrqSource::Message) | None => None,
    }
}

impl System {
    /// Checks that the processor is set up for the thread that runs, and that devices have got what they should.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check_processor(&self, s: &State, outcome: &Outcome) -> Result<(), String> {
        let machine = host::machine();
        let wanted = s.current.and_then(|thread| model::space_of(s, thread));
        let found = machine.vspace.get().map(|(root, asid)| (Name(root.0), asid as u64));
        if wanted != found {
            return Err(format!("the processor uses address space {found:?}, and should use {wanted:?}\n"));
        }
        let uses_fpu = |t: &Name| s.threads[t].flags & tcb_flag::FPU_DISABLED == 0;
        if s.current.is_some_and(|t| uses_fpu(&t) != machine.fpu_enabled.get()) {
            return Err("the vector unit is not as the thread that runs wants it\n".into());
        }
        let written = machine.io_writes.borrow();
        if *written != outcome.written {
            return Err(format!("ports: {written:x?} was written, and should be {:x?}\n", outcome.written));
        }
        let ports = |i: usize| self.k.global().arch.io_ports[i / 64].get() >> (i % 64) & 1 != 0;
        let issued = |i: usize| {
            s.caps.values().any(|h| matches!(h.cap, Cap::IoPort { first, last } if (first as usize..=last as usize).contains(&i)))
        };
        match self.ports.iter().find(|&&port| ports(port as usize) != issued(port as usize)) {
            Some(port) => Err(format!("port {port:#x} is issued, or not, against the capabilities\n")),
            None => Ok(()),
        }
    }
}
