//! What the initial task has to say: into the system log, which the console shows; straight to the serial port
//! while there is no console. The initial task never waits for a component.

use alloc::{boxed::Box, collections::VecDeque, format};
use core::{cell::RefCell, fmt};

use pecan::{
    Cap,
    types::{IoPort, Notification},
};
use pecan_manifest::layout;
use pecan_service::shared::{Shared, StreamReader, StreamWriter};

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
    log: Option<Log>,
    /// Signalled when there is something new in the log.
    console: Option<Cap<Notification>>,
    serial: Option<(Cap<IoPort>, u16)>,
    /// What found no room, or came before there was a log.
    waiting: VecDeque<u8>,
    /// Bytes that had to be dropped since the last that were not.
    lost: u64,
}

/// The system log: a stream whose reader is the console.
struct Log {
    writer: StreamWriter<'static>,
    /// What only the initial task writes, and what only the console writes.
    pages: (Shared, Shared),
}

impl Log {
    fn new(pages: (Shared, Shared)) -> Option<Self> {
        Some(Self { writer: StreamWriter::new(pages.0.words(), pages.1.words())?, pages })
    }

    /// Takes out the next byte that no console has shown. There must be no console. If the last one left its page so that
    /// nobody can tell what it has shown, the stream begins anew.
    fn take(&mut self) -> Option<u8> {
        let (own, other) = self.pages;
        let mut byte = [0];
        match StreamReader::new(other.words(), own.words())?.read(&mut byte) {
            Ok(count) => (count > 0).then_some(byte[0]),
            Err(_) => {
                own.clear();
                other.clear();
                self.writer = StreamWriter::new(own.words(), other.words())?;
                None
            }
        }
    }

    /// Whether there is nothing that no console has shown.
    fn is_empty(&self) -> bool {
        let (own, other) = self.pages;
        StreamReader::new(other.words(), own.words()).is_none_or(|reader| reader.waiting() == Ok(0))
    }
}

/// Shared by everything in the initial task but its clock.
struct Global(RefCell<Option<Box<Output>>>);

// SAFETY: the initial task has one thread that prints.
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

/// Sets the memory of the system log, which is zero: [`layout::LOG_READER_SIZE`] bytes at its end are the reader's.
pub fn set_log(memory: Shared) {
    let own = memory.len().saturating_sub(layout::LOG_READER_SIZE as usize);
    with(|output| output.log = Log::new((memory.part(0, own), memory.part(own, memory.len()))));
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

/// Writes what is left in the log on the serial port: the console that should have shown it is gone.
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
            && (output.console.is_some() || output.log.as_ref().is_none_or(Log::is_empty));
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
        match (self.console, &mut self.log, self.serial) {
            (Some(console), Some(log), _) => {
                // A console that does not keep to the rules shows nothing; what is to be shown waits for the next one.
                let written = log.writer.write(self.waiting.make_contiguous()).unwrap_or(0);
                self.waiting.drain(..written);
                console.signal();
            }
            (None, log, Some((cap, first))) => {
                let mut port = Port { cap, first, patience: PATIENCE };
                // What is in the log is older.
                while port.is_ready() {
                    let older = log.as_mut().and_then(Log::take);
                    let Some(next) = older.or_else(|| self.waiting.pop_front()) else { break };
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
