//! The command line.
#![no_std]
#![no_main]

extern crate alloc;

mod caps;
mod commands;

use alloc::{collections::VecDeque, string::String, vec::Vec};

use pecan_component::{
    main, println,
    protocols::{ConsoleClient, ControlClient, EchoClient, LINE_MAX, PowerClient, TimerClient},
    service::CallError,
    startup, ticks, tsc_mhz, write,
};
use pecan_terminal::{Completion, Editor, Event, complete, words};

use commands::USAGE;

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
    editor: Editor,
    /// What was typed and not looked at yet.
    typed: VecDeque<u8>,
    /// The status of the last command.
    status: u64,
    /// Ctrl-C was pressed while the present line was done.
    interrupted: bool,
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
            editor: Editor::new(LINE_MAX),
            typed: VecDeque::new(),
            status: 0,
            interrupted: false,
            jobs: Vec::new(),
            free: None,
        }
    }

    /// Reads a line; `None` when there is nothing more to read.
    fn read_line(&mut self) -> Result<Option<String>, CallError> {
        write(PROMPT);
        loop {
            while let Some(byte) = self.typed.pop_front() {
                match self.editor.feed(byte) {
                    Event::Typing => {}
                    Event::Complete => self.complete(),
                    Event::Line(line) => {
                        println!("{line}");
                        return Ok(Some(line));
                    }
                    Event::TooLong(line) => {
                        println!("{line}\nthis line is longer than {LINE_MAX} bytes and is not run");
                        self.status = USAGE;
                        return Ok(Some(String::new()));
                    }
                    Event::Interrupt(line) => {
                        println!("{line}^C");
                        return Ok(Some(String::new()));
                    }
                    Event::End => {
                        println!();
                        return Ok(None);
                    }
                }
            }
            self.console.edit(&self.editor.text(), self.editor.cursor() as u64)?;
            self.typed.extend(self.console.read()?.iter());
        }
    }

    /// Completes the word before the cursor, or lists what it can become.
    fn complete(&mut self) {
        let before = self.editor.before_cursor();
        let Some((words, word)) = words::unfinished(&before) else { return };
        let known = self.known(&words);
        let Completion { insert, choices } = complete(word, known.iter().map(String::as_str));
        self.editor.insert(&insert);
        if !choices.is_empty() {
            println!("{}\n{}", self.editor.text(), choices.join("  "));
            write(PROMPT);
        }
    }

    /// Whether Ctrl-C was pressed while the present line was done. What was typed before it does not count any more.
    fn is_interrupted(&mut self) -> bool {
        // A console that does not answer has no Ctrl-C either.
        if self.console.interrupted().unwrap_or(false) {
            self.interrupted = true;
            self.typed.clear();
        }
        self.interrupted
    }
}

fn main() -> u64 {
    let mut shell = Shell::new();
    // The programs that it starts read only what it lets them. If somebody else has the keyboard, it is not ours to give.
    let _ = shell.console.foreground(0, 0);
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
        match shell.read_line() {
            Ok(Some(line)) => shell.line(&line),
            Ok(None) => {}
            // Without a console there is nobody to serve.
            Err(_) => return 1,
        }
    }
}
