//! Writes the system log: what components print, each line under the component's name, and what the system has to say. All that
//! has been written is in memory that the initial task keeps, and so are lines that have not ended: when this component dies,
//! its successor goes on where it was.
#![no_std]
#![no_main]

extern crate alloc;

mod output;

use alloc::{format, string::String};

use pecan_component::{
    INIT_SIGNAL, log_memory, main,
    protocols::{BacklogClient, Log, Notices},
    serve,
    service::{
        Caller,
        shared::{Lines, StreamReader},
    },
};

use output::Output;

main!(main);

/// The system log.
struct Writer {
    init: BacklogClient,
    /// What the initial task has to say.
    backlog: StreamReader<'static>,
    lines: Lines<'static>,
    output: Output,
}

/// A text with its control characters as numbers: without a console, it goes to the terminal as it is.
fn without_controls(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if c.is_control() { shown += &format!("\\x{:02x}", u32::from(c)) } else { shown.push(c) }
    }
    shown
}

impl Writer {
    /// Takes what the initial task has said since; whether that was all. What the log has no room for stays there.
    fn take_backlog(&mut self) -> bool {
        let mut text = [0; 512];
        while let Ok(count @ 1..) = self.backlog.peek(&mut text) {
            if !self.output.put_all(&text[..count]) || self.backlog.skip(count).is_err() {
                return false;
            }
        }
        true
    }

    /// Lets others see what there is. What is left to do is done a little later.
    fn show(&mut self) {
        let has_all = self.take_backlog();
        if !self.output.show() || !has_all {
            // Without the initial task there is no system.
            let _ = self.init.wake();
        }
    }
}

impl Log for Writer {
    fn write(&mut self, caller: Caller, text: &[u8]) {
        // What the initial task said was said before.
        self.take_backlog();
        let Self { init, lines, output, .. } = self;
        let id = caller.generation();
        let name = |to: &mut [u8; Lines::NAME_MAX]| {
            let name = init.name(id).ok().flatten().unwrap_or_default();
            let len = name.len().min(to.len());
            to[..len].copy_from_slice(&name.as_bytes()[..len]);
            len
        };
        lines.add(id, text, name, |name, line| {
            let (name, line) = (String::from_utf8_lossy(name), String::from_utf8_lossy(line));
            output.put(format!("{name}: {}\n", without_controls(line.trim_end())).as_bytes());
        });
        self.show();
    }
}

impl Notices for Writer {
    fn say(&mut self, _: Caller, text: &[u8]) {
        self.take_backlog();
        self.output.put(text);
        self.show();
    }
}

fn main() -> u64 {
    let Some(memory) = log_memory() else { return 1 };
    let Some(lines) = Lines::new(memory.kept) else { return 1 };
    let pages = (memory.own, memory.reader);
    let Some(output) = Output::new(pages, lines.counter(), memory.signal, memory.serial) else { return 1 };
    let mut writer = Writer { init: roles::BACKLOG.client(), backlog: memory.backlog, lines, output };
    // The initial task has signalled already.
    serve::<roles::Dispatch, _>(&mut writer, |writer, bits| {
        if bits >> INIT_SIGNAL & 1 != 0 {
            // Without the initial task there is nobody who shows it.
            writer.output.is_shown = writer.init.is_shown().unwrap_or(false);
            writer.show();
        }
    })
}
