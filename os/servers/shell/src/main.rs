//! The command line.
#![no_std]
#![no_main]

extern crate alloc;

mod commands;

use alloc::{string::String, vec::Vec};

use pecan_component::{
    main, println,
    protocols::{ConsoleClient, ControlClient, EchoClient, PowerClient, TimerClient, WRITE_MAX},
    service::CallError,
    startup, ticks, tsc_mhz, write,
};
use pecan_terminal::{Editor, Event};

main!(main);

/// What is printed when the shell waits for a command.
const PROMPT: &str = "pecan> ";

/// The shell.
struct Shell {
    console: ConsoleClient,
    control: ControlClient,
    echo: EchoClient,
    power: PowerClient,
    timer: TimerClient,
    /// The status of the last command.
    status: u64,
    /// The programs that were started and not waited for: the name and the number of each.
    jobs: Vec<(String, u64)>,
    /// Bytes of memory that were free when that was last asked.
    free: Option<u64>,
}

impl Shell {
    fn new() -> Self {
        Self {
            console: roles::CONSOLE.client(),
            control: roles::CONTROL.client(),
            echo: roles::ECHO.client(),
            power: roles::POWER.client(),
            timer: roles::TIMER.client(),
            status: 0,
            jobs: Vec::new(),
            free: None,
        }
    }

    /// Reads a line; `None` when there is nothing more to read.
    fn read_line(&self, editor: &mut Editor, typed: &mut Vec<u8>) -> Result<Option<String>, CallError> {
        loop {
            let mut echo = Vec::new();
            let mut event = Event::Typing;
            let mut used = 0;
            while used < typed.len() && event == Event::Typing {
                event = editor.feed(typed[used], &mut echo);
                used += 1;
            }
            typed.drain(..used);
            for part in echo.chunks(WRITE_MAX) {
                match self.console.write(part) {
                    // Rather twice than not at all.
                    Err(CallError::ServerRestarted { .. }) => self.console.write(part)?,
                    other => other?,
                }
            }
            match event {
                Event::Line(line) => return Ok(Some(line)),
                Event::Interrupt => return Ok(Some(String::new())),
                Event::End => return Ok(None),
                // Reading also shows what was written.
                Event::Typing => typed.extend_from_slice(&self.console.read()?),
            }
        }
    }
}

fn main() -> u64 {
    let mut shell = Shell::new();
    let mut editor = Editor::new();
    let mut typed = Vec::new();
    let ms = ticks() / tsc_mhz() / 1000;
    println!(
        "This is Pecan, {}.{:03} s after it was switched on. `help` lists the commands.",
        ms / 1000,
        ms % 1000
    );
    for argument in startup().arguments() {
        shell.line(argument);
    }
    loop {
        write(PROMPT);
        match shell.read_line(&mut editor, &mut typed) {
            Ok(Some(line)) => shell.line(&line),
            Ok(None) => {}
            // Without a console there is nobody to serve.
            Err(_) => return 1,
        }
    }
}
