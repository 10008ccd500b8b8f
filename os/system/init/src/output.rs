//! What the initial task has to say: into the system log, which the console shows; straight to the serial port
//! while there is no console. The initial task never waits for a component.

use alloc::{boxed::Box, format, vec::Vec};
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
/// How often the serial port is asked whether it takes another byte, before the byte is dropped.
const PATIENCE: u32 = 100_000;

/// Where output goes.
#[derive(Default)]
struct Output {
    ring: Option<Ring>,
    /// Signalled when there is something new in the ring.
    console: Option<Cap<Notification>>,
    serial: Option<(Cap<IoPort>, u16)>,
    /// What found no room, or came before there was a ring.
    waiting: Vec<u8>,
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

/// Writes bytes.
pub fn write(bytes: &[u8]) {
    with(|output| {
        let room = WAITING_MAX.saturating_sub(output.waiting.len());
        output.waiting.extend_from_slice(&bytes[..bytes.len().min(room)]);
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

impl Output {
    fn flush(&mut self) {
        match (self.console, self.ring, self.serial) {
            (Some(console), Some(ring), _) => {
                let written = ring.write(&self.waiting);
                self.waiting.drain(..written);
                console.signal();
            }
            (None, ring, Some((cap, first))) => {
                let mut old = [0; 256];
                while let Some(n @ 1..) = ring.map(|ring| ring.read(&mut old)) {
                    old[..n].iter().for_each(|b| put(cap, first, *b));
                }
                self.waiting.drain(..).for_each(|b| put(cap, first, b));
            }
            _ => {}
        }
    }
}

fn put(cap: Cap<IoPort>, first: u16, byte: u8) {
    if byte == b'\n' {
        put(cap, first, b'\r');
    }
    for _ in 0..PATIENCE {
        match cap.in8(first + LINE_STATUS) {
            Ok(status) if status & TRANSMIT_READY != 0 => break,
            Ok(_) => {}
            Err(_) => return,
        }
    }
    // If the port does not take the byte, there is nobody to tell.
    let _ = cap.out8(first + TRANSMIT, byte);
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
