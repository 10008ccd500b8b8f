//! What the initial task has to say: into a stream that the system log's writer reads. The initial task never waits for a
//! component. When it panics, there is no system any more: that goes straight to the serial port.

use alloc::format;
use core::{cell::RefCell, fmt};

use pecan::{
    Cap,
    types::{IoPort, Notification},
};
use pecan_manifest::layout;
use pecan_service::shared::{Shared, StreamWriter};

/// Offsets of the serial port's registers, and the bits that say that it takes another byte, and that it has received one.
const TRANSMIT: u16 = 0;
const LINE_STATUS: u16 = 5;
const TRANSMIT_READY: u8 = 0x20;
const RECEIVE: u16 = 0;
const RECEIVED: u8 = 0x01;
/// How often the serial port is asked at most for a byte of the last words.
const PATIENCE: u32 = 100_000;

/// Where output goes.
struct Output {
    backlog: Option<StreamWriter<'static>>,
    /// Signalled when there is something new.
    log: Option<Cap<Notification>>,
    serial: Option<(Cap<IoPort>, u16)>,
    /// Bytes that had to be dropped since the last that were not.
    lost: u64,
}

/// Shared by everything in the initial task but its clock and its revoker.
struct Global(RefCell<Output>);

// SAFETY: the initial task has one thread that prints.
unsafe impl Sync for Global {}

static OUTPUT: Global = Global(RefCell::new(Output { backlog: None, log: None, serial: None, lost: 0 }));

fn with(action: impl FnOnce(&mut Output)) {
    // Output from within output has nowhere to go.
    if let Ok(mut output) = OUTPUT.0.try_borrow_mut() {
        action(&mut output);
    }
}

/// Sets the serial port: its ports, and the first of them.
pub fn set_serial((cap, first): (Cap<IoPort>, u16)) {
    with(|output| output.serial = Some((cap, first)));
}

/// Sets the memory of the stream, which is zero: [`layout::LOG_READER_SIZE`] bytes at its end are the reader's.
pub fn set_backlog(memory: Shared) {
    let own = memory.len().saturating_sub(layout::LOG_READER_SIZE as usize);
    let (own, reader) = (memory.part(0, own), memory.part(own, memory.len()));
    with(|output| output.backlog = StreamWriter::new(own.words(), reader.words()));
}

/// Sets what signals the system log's writer, while that runs.
pub fn set_log(log: Option<Cap<Notification>>) {
    with(|output| output.log = log);
}

/// Writes bytes. Those that have no room are dropped, and a mark says so as soon as there is room again.
pub fn write(bytes: &[u8]) {
    with(|output| {
        let Some(backlog) = &mut output.backlog else { return };
        // A reader that does not keep to the rules reads nothing more.
        let room = backlog.room().unwrap_or(0);
        let mark = match output.lost {
            0 => "".into(),
            lost => format!("\n*** {lost} bytes of the log were lost here\n"),
        };
        let fits = mark.len() + bytes.len() <= room;
        if fits {
            // There is room, and the reader can only make more.
            let _ = backlog.write(mark.as_bytes()).and_then(|_| backlog.write(bytes));
        }
        output.lost = if fits { 0 } else { output.lost + bytes.len() as u64 };
        if let Some(log) = output.log {
            log.signal();
        }
    });
}

/// Writes the last words, straight to the serial port.
pub fn write_last(bytes: &[u8]) {
    with(|output| {
        let Some((cap, first)) = output.serial else { return };
        let is_ready = || cap.in8(first + LINE_STATUS).is_ok_and(|status| status & TRANSMIT_READY != 0);
        for byte in bytes
            .iter()
            .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { core::slice::from_ref(byte) })
        {
            // A port that takes nothing has nobody who reads.
            if !(0..PATIENCE).any(|_| is_ready()) {
                return;
            }
            let _ = cap.out8(first + TRANSMIT, *byte);
        }
    });
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

/// Writes formatted text.
pub fn print(args: fmt::Arguments<'_>) {
    write(format!("{args}").as_bytes());
}

/// Prints a line of the system log.
macro_rules! say {
    ($($arg:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($arg)*))) };
}
pub(crate) use say;
