//! What is said about a component that dies.

use alloc::{format, string::String, vec::Vec};

use pecan::{UserContext, fault::Fault, stack::Frames, vspace::PAGE_SIZE};
use pecan_manifest::symbols::Functions;

use crate::{instance::Live, memory::Memory, output::say};

/// The most frames of a stack that are looked at: the initial task reports at the highest priority, and a program can make
/// its stack look as deep as it likes.
const FRAMES: usize = 32;
/// The exception of a thread that uses the vector unit and may not.
const DEVICE_NOT_AVAILABLE: u64 = 7;

/// A fault in words.
fn describe(fault: &Fault, live: &Live) -> String {
    match *fault {
        Fault::Vm { addr, instruction, code, .. } => {
            let access = match (instruction, code & 2 != 0) {
                (true, _) => "fetch an instruction from",
                (false, true) => "write to",
                (false, false) => "read from",
            };
            let why = if code & 1 != 0 {
                "which is mapped without that right"
            } else if addr < PAGE_SIZE {
                "a null pointer"
            } else if live.is_below_stack(addr) {
                "which is just below the stack: a stack overflow"
            } else {
                "where nothing is mapped"
            };
            format!("page fault: it tried to {access} {addr:#x}, {why}")
        }
        // The kernel raises it for nothing else.
        Fault::UserException { number: DEVICE_NOT_AVAILABLE, .. } => {
            "it used a floating-point or vector register, but its description says `fpu = false`".into()
        }
        Fault::UserException { number, code, .. } => {
            format!("{} (exception {number}, code {code:#x})", Fault::exception_name(number))
        }
        Fault::Cap { addr, receiving, failure, .. } => {
            let what = if receiving { "receive from" } else { "send to" };
            format!("capability fault: it tried to {what} {addr:#x}: {failure}")
        }
        Fault::UnknownSyscall { number, .. } => format!("unknown system call {}", number as i64),
        Fault::Debug { reason, addr, .. } => format!("{} at {addr:#x}", reason.name()),
        Fault::Timeout { consumed, .. } => format!("out of time after {consumed} us"),
    }
}

/// What a component died of, in words.
pub fn cause(fault: Option<&Fault>, live: &Live) -> String {
    fault.map_or_else(|| "an unknown fault".into(), |f| describe(f, live))
}

/// Reports a death: what happened, the registers, and the stack.
pub fn death(name: &str, what: &str, live: &Live, functions: Option<Functions<'_>>, memory: &mut Memory) {
    let registers = match live.tcb.read_registers(false) {
        Ok(registers) => registers,
        Err(error) => {
            say!("*** {name} died: {what} (its registers cannot be read: {error})");
            return;
        }
    };
    let at = match functions.and_then(|f| f.find(registers.rip)) {
        Some((name, into)) => format!("{:#x} {name}+{into:#x}", registers.rip),
        None => format!("{:#x}", registers.rip),
    };
    // A panic ends with an invalid instruction in its handler, after it has said why.
    if at.contains("rust_begin_unwind") {
        say!("*** {name} died: it panicked");
    } else {
        say!("*** {name} died: {what}");
    }
    say!("    at {at}");
    print_registers(&registers);
    for line in backtrace(&registers, live, functions, memory) {
        say!("    {line}");
    }
}

fn print_registers(registers: &UserContext) {
    let words = registers.to_words();
    let named: Vec<_> = UserContext::NAMES.iter().zip(words).collect();
    for row in named.chunks(4) {
        let row: Vec<_> = row.iter().map(|(name, word)| format!("{name:<7} {word:016x}")).collect();
        say!("    {}", row.join("  "));
    }
}

/// The lines of a backtrace. Equal ones in a row, as a recursion leaves them, are counted.
fn backtrace(
    registers: &UserContext,
    live: &Live,
    functions: Option<Functions<'_>>,
    memory: &mut Memory,
) -> Vec<String> {
    let mut pages = Pages { live, memory, page: None };
    let mut frames = Frames::new(registers.rbp, |address| pages.word(address));
    let addresses: Vec<u64> = frames.by_ref().take(FRAMES).collect();
    let more = addresses.len() == FRAMES && frames.next().is_some();
    let mut lines: Vec<(String, usize)> = Vec::new();
    for address in addresses {
        // A return address is that of the instruction after the call.
        let call = address.wrapping_sub(1);
        let line = match functions.and_then(|f| f.find(call)) {
            Some((function, _)) => format!("called from {call:#x} {function}"),
            None => format!("called from {call:#x}"),
        };
        match lines.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => lines.push((line, 1)),
        }
    }
    let mut out: Vec<String> = lines
        .into_iter()
        .map(|(line, count)| if count > 1 { format!("{line} ({count} times)") } else { line })
        .collect();
    if more {
        out.push(format!("... and more than these {FRAMES}"));
    }
    out
}

/// A component's memory, a page at a time.
struct Pages<'a> {
    live: &'a Live,
    memory: &'a mut Memory,
    page: Option<(u64, Vec<u8>)>,
}

impl Pages<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        let base = address & !(PAGE_SIZE - 1);
        if self.page.as_ref().is_none_or(|(b, _)| *b != base) {
            let frame = self.live.frame(base)?;
            let bytes = self.memory.with_mapped_frame(frame, |page| {
                let mut bytes = alloc::vec![0; page.len()];
                page.read(&mut bytes);
                bytes
            });
            let bytes = bytes.ok()?;
            self.page = Some((base, bytes));
        }
        let (_, bytes) = self.page.as_ref()?;
        let at = (address - base) as usize;
        Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
    }
}
