//! Puts into words what components died of. The initial task takes down what is needed when a component faults, and keeps it
//! until it was reported, so nothing is lost when the reporter dies.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use pecan_component::{
    archive, insist, main,
    manifest::{
        Archive,
        symbols::{self, Functions},
    },
    pecan::{LongMessage, UserContext, fault::Fault, vspace::PAGE_SIZE},
    protocols::{Cause, Report, WRITE_MAX, words_of},
    service::CallError,
    wait,
};

main!(main);

/// The exception of a thread that uses the vector unit and may not.
const DEVICE_NOT_AVAILABLE: u64 = 7;
/// Pages below a program that a stack which is too deep reaches.
const BELOW_STACK: u64 = 16;

/// A fault in words. `bottom` is where the stack ends.
fn describe(fault: &Fault, bottom: u64) -> String {
    match *fault {
        Fault::Vm { addr, instruction, code, .. } => {
            let access = match (instruction, code & 2 != 0) {
                (true, _) => "fetch an instruction from",
                (false, true) => "write to",
                (false, false) => "read from",
            };
            let below_stack = bottom.saturating_sub(BELOW_STACK * PAGE_SIZE)..bottom;
            let why = if code & 1 != 0 {
                "which is mapped without that right"
            } else if addr < PAGE_SIZE {
                "a null pointer"
            } else if below_stack.contains(&addr) {
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
fn cause(report: &Report) -> String {
    match report.cause {
        Cause::Fault { label } => {
            fault(report, label).map_or_else(|| "an unknown fault".into(), |f| describe(&f, report.bottom))
        }
        Cause::Silent { ms } => format!("it gave no sign of life for {ms} ms"),
        Cause::Overrun { ms } => format!("it used up its budget for {ms} ms"),
    }
}

/// The fault of a report.
fn fault(report: &Report, label: u64) -> Option<Fault> {
    let mut message = LongMessage::new(label);
    for word in words_of(&report.message) {
        message.push(word).ok()?;
    }
    Fault::from_message(&message)
}

/// Adds a line to a text, which does not fail.
macro_rules! line {
    ($text:expr, $($arg:tt)*) => {{ let _ = writeln!($text, $($arg)*); }};
}

/// A report in words: what happened, the registers, and the stack.
fn text(report: &Report, functions: Option<Functions<'_>>) -> String {
    let mut text = String::new();
    let name = &report.name;
    let what = cause(report);
    let registers: Vec<u64> = words_of(&report.registers).collect();
    let Ok(registers) = <[u64; UserContext::WORDS]>::try_from(registers) else {
        line!(text, "*** {name} died: {what} (its registers cannot be read)");
        return text;
    };
    let registers = UserContext::from_words(&registers);
    let at = match functions.and_then(|f| f.find(registers.rip)) {
        Some((name, into)) => format!("{:#x} {name}+{into:#x}", registers.rip),
        None => format!("{:#x}", registers.rip),
    };
    // A panic ends with an invalid instruction in its handler, after it has said why.
    if at.contains("rust_begin_unwind") {
        line!(text, "*** {name} died: it panicked");
    } else {
        line!(text, "*** {name} died: {what}");
    }
    line!(text, "    at {at}");
    let words = registers.to_words();
    let named: Vec<_> = UserContext::NAMES.iter().zip(words).collect();
    for row in named.chunks(4) {
        let row: Vec<_> = row.iter().map(|(name, word)| format!("{name:<7} {word:016x}")).collect();
        line!(text, "    {}", row.join("  "));
    }
    for called in backtrace(report, functions) {
        line!(text, "    {called}");
    }
    text
}

/// The lines of a backtrace. Equal ones in a row, as a recursion leaves them, are counted.
fn backtrace(report: &Report, functions: Option<Functions<'_>>) -> Vec<String> {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for address in words_of(&report.callers) {
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
    let counted = |(line, count)| if count > 1 { format!("{line} ({count} times)") } else { line };
    let mut out: Vec<String> = lines.into_iter().map(counted).collect();
    if report.more {
        out.push(format!("... and more than these {}", words_of(&report.callers).count()));
    }
    out
}

fn main() -> Result<u64, CallError> {
    let (reports, notices) = (roles::REPORTS.client(), roles::NOTICES.client());
    // Without the names of functions there is still something to say.
    let archive = Archive::open(archive()).ok();
    let mut done = 0;
    loop {
        while let Some(report) = reports.next(done)? {
            let file = format!("{}{}", &*report.program, symbols::SUFFIX);
            let functions = archive.as_ref().and_then(|a| a.file(&file)).and_then(Functions::open);
            for part in text(&report, functions).as_bytes().chunks(WRITE_MAX) {
                insist(|| notices.say(part))?;
            }
            done = report.number;
        }
        wait();
    }
}
