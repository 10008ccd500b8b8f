//! How events are told.

use std::fmt;

use pecan_abi::Syscall;

use crate::model::{Arrival, Call, Event};

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.call)?;
        if self.call == Syscall::Yield {
            return Ok(());
        }
        write!(f, " cap {:#x}", self.cap)?;
        if self.reply != 0 {
            write!(f, " reply {:#x}", self.reply)?;
        }
        if self.dest != 0 {
            write!(f, " first to {:#x}", self.dest)?;
        }
        match pecan_abi::Label::from_word(self.label) {
            Some(label) if self.label != 0 => write!(f, " {label:?}")?,
            _ if self.label != 0 => write!(f, " label {}", self.label)?,
            _ => {}
        }
        if self.after != 0 {
            write!(f, " after {} ticks", self.after)?;
        }
        if !self.words.is_empty() {
            write!(f, " words {:x?}", self.words)?;
        }
        if !self.extra.is_empty() {
            write!(f, " with caps {:x?}", self.extra)?;
        }
        if let Some(place) = self.receive {
            write!(f, " receive slot {place:x?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Syscall(call) => call.fmt(f),
            Event::Exception { number, code } => write!(f, "exception {number} (code {code:#x})"),
            Event::UnknownSyscall { number } => write!(f, "unknown system call {number}"),
            Event::PageFault { address, instruction, status } => {
                let what = if *instruction { "instruction" } else { "data" };
                write!(f, "page fault at {address:#x} ({what}, status {status:#x})")
            }
            Event::Interrupt { irq } => write!(f, "interrupt {irq}"),
            Event::Tick { ticks } => write!(f, "{ticks} ticks pass"),
            Event::Stopped { call, point, by } => {
                let when = if *point == 1 { String::new() } else { format!(" at point {point}") };
                match by {
                    Arrival::Interrupt(irq) => write!(f, "{call}, stopped{when} by interrupt {irq}"),
                    Arrival::Time(ticks) => write!(f, "{call}, stopped{when} after {ticks} ticks"),
                }
            }
        }
    }
}
