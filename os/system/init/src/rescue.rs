//! The way back: a command line on the serial port for when the console or the shell was given up. It is part of the
//! initial task, so that it needs nothing of what may have failed, and does little.

use alloc::{string::String, vec::Vec};

use pecan_protocols::{ControlError, State, Wish};

use crate::{
    output::{self, say},
    system::System,
};

/// The most bytes of a line.
const LINE_MAX: usize = 80;
/// The most bytes that are taken at once.
const BYTES: usize = 16;
const PROMPT: &str = "pecan> ";
const BACKSPACE: [u8; 2] = [0x08, 0x7f];

/// The state of the command line.
#[derive(Default)]
pub struct Rescue {
    open: bool,
    /// Whether the supervisor has yet to do what was asked for.
    busy: bool,
    line: Vec<u8>,
}

impl Rescue {
    /// Whether it is there.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Takes what was typed; returns a line when there is one.
    fn feed(&mut self) -> Option<String> {
        for _ in 0..BYTES {
            let byte = output::read_serial()?;
            match byte {
                b'\r' | b'\n' => {
                    output::write(b"\n");
                    return Some(String::from_utf8_lossy(&core::mem::take(&mut self.line)).into_owned());
                }
                _ if BACKSPACE.contains(&byte) && self.line.pop().is_some() => output::write(b"\x08 \x08"),
                b' '..=b'~' if self.line.len() < LINE_MAX => {
                    self.line.push(byte);
                    output::write(&[byte]);
                }
                _ => {}
            }
        }
        None
    }
}

impl System {
    /// Opens the rescue console if nobody else can be talked to any more, and closes it when somebody can.
    pub fn keep_way_back(&mut self) {
        let needed = self.is_mute();
        if needed && !self.rescue.open {
            self.rescue = Rescue { open: true, ..Rescue::default() };
            self.clear_serial_port();
            say!(
                "*** nothing is left to talk to; this is the rescue console. It knows: ps, start NAME, reboot"
            );
            output::write(PROMPT.as_bytes());
        }
        self.rescue.open = needed;
    }

    /// Does what was typed at the rescue console.
    pub fn rescue(&mut self) {
        let Some(line) = self.rescue.feed() else { return };
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            [] => {}
            ["ps"] => {
                say!("{:<12} {}", "init", State::Running.name());
                for entry in &self.entries {
                    say!("{:<12} {}", entry.name, entry.state.name());
                }
            }
            ["start", name] => match self.entries.iter().find(|e| e.name == name) {
                None => say!("start: {}", ControlError::NoSuchComponent),
                Some(entry) if entry.state == State::Running => say!("start: {}", ControlError::Running),
                Some(entry) => {
                    self.rescue.busy = true;
                    self.wish(Wish::Start { id: entry.id });
                }
            },
            ["reboot"] => self.reboot(),
            _ => say!("there is ps, start NAME and reboot"),
        }
        self.prompt();
    }

    /// The supervisor has done all that was wished for.
    pub fn wishes_done(&mut self) {
        if core::mem::take(&mut self.rescue.busy) {
            self.prompt();
        }
    }

    fn prompt(&self) {
        if self.rescue.open && !self.rescue.busy {
            output::write(PROMPT.as_bytes());
        }
    }
}
