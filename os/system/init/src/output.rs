//! What the initial task has to say: into the system log, which the console shows; straight to the serial port
//! while there is no console. The initial task never waits for a component.

use alloc::{boxed::Box, collections::VecDeque, format};
use core::{cell::RefCell, fmt};

use pecan::{
    Cap,
    types::{IoPort, Notification},
};
use pecan_service::shared::Ring;

/// Offsets of the serial port's registers, and the bit that says that it takes another byte.
const TRANSMIT: u16 = 0;
const LINE_STATUS: u16 = 5;
const TRANSMIT_READY: u8 = 0x20;
const RECEIVE: u16 = 0;
const RECEIVED: u8 = 0x01;
/// How often the serial port is asked at most, for all the bytes of one write together. What it does not take is kept, and
/// the clock comes back to it: a port that is stuck costs next to nothing.
const PATIENCE: u32 = 2000;

/// Where output goes.
#[derive(Default)]
struct Output {
    ring: Option<Ring>,
    /// Signalled when there is something new in the ring.
    console: Option<Cap<Notification>>,
    serial: Option<(Cap<IoPort>, u16)>,
    /// What found no room, or came before there was a ring.
    waiting: VecDeque<u8>,
    /// Bytes that had to be dropped since the last that were not.
    lost: u64,
}

/// Shared by everything in the initial task, which has one thread.
struct Global(RefCell<Option<Box<Output>>>);

// SAFETY: the initial task has one thread.
unsafe impl Sync for Global {}

static OUTPUT: Global = Global(RefCell::new(None));

/// More than this is not kept for a console that does not come.
const WAITING_MAX: usize = 64 << 10;

fn with(action: impl FnOnce(&mut Output)) {
    // Output from within output has nowhere to go.
    if let Ok(mut output) = OUTPUT.0.try_borrow_mut() {
        action(output.get_or_insert_with(Default::default));
    }
}

/// Sets the serial port to write on while there is no console.
pub fn set_serial(cap: Cap<IoPort>, first: u16) {
    with(|output| output.serial = Some((cap, first)));
}

/// Sets the ring of the system log.
pub fn set_ring(ring: Ring) {
    with(|output| output.ring = Some(ring));
}

/// Sets who shows the system log; without anybody, it goes to the serial port from now on.
pub fn set_console(console: Option<Cap<Notification>>) {
    with(|output| {
        output.console = console;
        output.flush();
    });
}

/// Writes bytes. Those that have no room are dropped, and a mark says so as soon as there is room again.
pub fn write(bytes: &[u8]) {
    with(|output| {
        output.flush();
        let mark = format!("\n*** {} bytes of the log were lost here\n", output.lost);
        let needed = bytes.len() + if output.lost > 0 { mark.len() } else { 0 };
        if output.waiting.len() + needed > WAITING_MAX {
            output.lost += bytes.len() as u64;
            return;
        }
        if output.lost > 0 {
            output.waiting.extend(mark.as_bytes());
            output.lost = 0;
        }
        output.waiting.extend(bytes);
        output.flush();
    });
}

/// Writes what is left in the ring on the serial port: the console that should have shown it is gone.
pub fn drain() {
    with(|output| {
        output.console = None;
        output.flush();
    });
}

/// Goes on with what found no room; returns whether all of it has now.
pub fn flush() -> bool {
    let mut done = true;
    with(|output| {
        output.flush();
        done = output.waiting.is_empty()
            && (output.console.is_some() || output.ring.is_none_or(|r| r.waiting() == 0));
    });
    done
}

/// A byte that the serial port has received.
pub fn read_serial() -> Option<u8> {
    let mut byte = None;
    with(|output| {
        let Some((cap, first)) = output.serial else { return };
        if cap.in8(first + LINE_STATUS).is_ok_and(|status| status & RECEIVED != 0) {
            byte = cap.in8(first + RECEIVE).ok();
        }
    });
    byte
}

impl Output {
    fn flush(&mut self) {
        match (self.console, self.ring, self.serial) {
            (Some(console), Some(ring), _) => {
                let written = ring.write(self.waiting.make_contiguous());
                self.waiting.drain(..written);
                console.signal();
            }
            (None, ring, Some((cap, first))) => {
                let mut port = Port { cap, first, patience: PATIENCE };
                // What is in the ring is older.
                while port.is_ready() {
                    let mut byte = [0];
                    let next = match ring.map_or(0, |ring| ring.read(&mut byte)) {
                        0 => self.waiting.pop_front(),
                        _ => Some(byte[0]),
                    };
                    let Some(next) = next else { break };
                    port.put(next);
                }
            }
            _ => {}
        }
    }
}

/// The serial port, for one write.
struct Port {
    cap: Cap<IoPort>,
    first: u16,
    patience: u32,
}

impl Port {
    /// Waits until it takes a byte, as long as the patience lasts.
    fn is_ready(&mut self) -> bool {
        while self.patience > 0 {
            self.patience -= 1;
            match self.cap.in8(self.first + LINE_STATUS) {
                Ok(status) if status & TRANSMIT_READY != 0 => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Sends a byte, which it takes.
    fn put(&mut self, byte: u8) {
        if byte == b'\n' {
            // If the port does not take a byte, there is nobody to tell.
            let _ = self.cap.out8(self.first + TRANSMIT, b'\r');
            self.is_ready();
        }
        // As above.
        let _ = self.cap.out8(self.first + TRANSMIT, byte);
    }
}

/// Writes formatted text.
pub fn print(args: fmt::Arguments<'_>) {
    write(format!("{args}").as_bytes());
}

/// Prints a line of the system log.
macro_rules! say {
    ($($arg:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($arg)*))) };
}
pub(crate) use say;
