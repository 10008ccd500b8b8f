//! Where the log goes: into the ring that whoever shows it reads; while there is nobody, from there to the serial port.

use alloc::format;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pecan_component::{
    Ports,
    pecan::{Cap, types::Notification},
    service::shared::{Shared, StreamReader, StreamWriter},
};

/// Offsets of the serial port's registers, and the bit that says that it takes another byte.
const TRANSMIT: u16 = 0;
const LINE_STATUS: u16 = 5;
const TRANSMIT_READY: u8 = 0x20;
/// How often the serial port is asked at most, for all the bytes of one message together. What it does not take is kept, and
/// a later signal comes back to it: a port that is stuck costs next to nothing.
const PATIENCE: u32 = 2000;

/// Where the log goes.
pub struct Output {
    /// The pages that this component writes, and those of whoever shows the log.
    pages: (Shared, Shared),
    writer: StreamWriter<'static>,
    /// Bytes that had to be dropped since the last that were not. It outlives this component.
    lost: &'static AtomicU64,
    /// Signals whoever shows the log.
    signal: Cap<Notification>,
    serial: Ports,
    /// Whether somebody shows it.
    pub is_shown: bool,
}

impl Output {
    /// The output, which goes on where a predecessor was; `None` if the memory is too small.
    pub fn new(
        pages: (Shared, Shared),
        lost: &'static AtomicU64,
        signal: Cap<Notification>,
        serial: Ports,
    ) -> Option<Self> {
        let writer = StreamWriter::new(pages.0.words(), pages.1.words())?;
        Some(Self { pages, writer, lost, signal, serial, is_shown: false })
    }

    /// Writes bytes. Those that have no room are dropped, and a mark says so as soon as there is room again.
    pub fn put(&mut self, bytes: &[u8]) {
        if !self.put_all(bytes) {
            self.lost.fetch_add(bytes.len() as u64, Relaxed);
        }
    }

    /// Writes bytes if there is room for all of them, and for the mark if some were dropped; whether there was. Where whoever
    /// shows the log does not keep to the rules, there is none.
    pub fn put_all(&mut self, bytes: &[u8]) -> bool {
        let lost = self.lost.load(Relaxed);
        let mark =
            if lost > 0 { format!("\n*** {lost} bytes of the log were lost here\n") } else { "".into() };
        if self.writer.room().is_ok_and(|room| mark.len() + bytes.len() > room) && !self.is_shown {
            self.show();
        }
        if self.writer.room().is_ok_and(|room| mark.len() + bytes.len() <= room) {
            // There is room, whatever the other side does: it can only make more.
            let written = self.writer.write(mark.as_bytes()).and_then(|_| self.writer.write(bytes));
            self.lost.fetch_sub(lost, Relaxed);
            return written == Ok(bytes.len());
        }
        false
    }

    /// Signals whoever shows the log; without anybody, sends to the serial port what that takes. Whether nothing is left to
    /// do.
    pub fn show(&mut self) -> bool {
        if self.is_shown {
            self.signal.signal();
            return true;
        }
        let mut port = Port { ports: self.serial, patience: PATIENCE };
        while port.is_ready() {
            match self.take() {
                Some(byte) => port.put(byte),
                None => return true,
            }
        }
        false
    }

    /// Takes out the next byte that nobody has shown, in the place of whoever shows the log. If the last one left its page so
    /// that nobody can tell what it has shown, the stream begins anew.
    fn take(&mut self) -> Option<u8> {
        let (own, reader) = self.pages;
        let mut byte = [0];
        match StreamReader::new(reader.words(), own.words())?.read(&mut byte) {
            Ok(count) => (count > 0).then_some(byte[0]),
            Err(_) => {
                own.clear();
                reader.clear();
                self.writer = StreamWriter::new(own.words(), reader.words())?;
                None
            }
        }
    }
}

/// The serial port, for one message.
struct Port {
    ports: Ports,
    patience: u32,
}

impl Port {
    /// Waits until it takes a byte, as long as the patience lasts.
    fn is_ready(&mut self) -> bool {
        while self.patience > 0 {
            self.patience -= 1;
            match self.ports.read8(LINE_STATUS) {
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
            let _ = self.ports.write8(TRANSMIT, b'\r');
            self.is_ready();
        }
        // As above.
        let _ = self.ports.write8(TRANSMIT, byte);
    }
}
