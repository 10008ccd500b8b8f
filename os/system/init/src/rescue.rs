//! The way back: a command line on the serial port for when the console or the shell was given up. It is part of the
//! initial task, so that it needs nothing of what may have failed, and does little.

use alloc::{string::String, vec::Vec};

use pecan_manifest::Badge;
use pecan_protocols::Control;
use pecan_service::Caller;

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
            self.rescue = Rescue { open: true, line: Vec::new() };
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
                for index in 0.. {
                    let Some(info) = self.component(Caller { badge: Badge::supervisor(0) }, index) else {
                        break;
                    };
                    say!("{:<12} {}", info.name, info.state.name());
                }
            }
            ["start", name] => {
                if let Err(error) = self.start_by_name(name) {
                    say!("start: {error}");
                }
            }
            ["reboot"] => self.reboot(),
            _ => say!("there is ps, start NAME and reboot"),
        }
        if self.rescue.open {
            output::write(PROMPT.as_bytes());
        }
    }
}
