//! Where printing goes.

use core::{
    fmt::{self, Write},
    mem::transmute,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// A place that takes bytes.
type Writer = fn(&[u8]);

/// The writer, as an address; null is the kernel's console.
static WRITER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Sets where printing, logging and panics go. Until this is called they go to [`kernel_console`]. The writer may
/// be called from any thread of the program, and from the panic handler.
pub fn set_console(writer: fn(&[u8])) {
    WRITER.store(writer as *mut (), Ordering::Release);
}

/// A writer: the kernel's console, byte by byte. A kernel without printing takes this for an unknown system call.
pub fn kernel_console(bytes: &[u8]) {
    pecan::raw::debug_put_bytes(bytes);
}

/// A writer that drops everything.
pub fn discard(_: &[u8]) {}

fn writer() -> Writer {
    let address = WRITER.load(Ordering::Acquire);
    if address.is_null() {
        return kernel_console;
    }
    // SAFETY: the only addresses stored are those of functions of this type.
    unsafe { transmute::<*mut (), Writer>(address) }
}

/// Text on its way to a writer, a line or a buffer at a time, because a write may be a message.
struct Buffered {
    writer: Writer,
    bytes: [u8; 128],
    len: usize,
}

impl Buffered {
    fn flush(&mut self) {
        if self.len > 0 {
            (self.writer)(&self.bytes[..self.len]);
            self.len = 0;
        }
    }
}

impl Write for Buffered {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.bytes[self.len] = byte;
            self.len += 1;
            if self.len == self.bytes.len() {
                self.flush();
            }
        }
        Ok(())
    }
}

#[doc(hidden)]
pub fn _print(args: fmt::Arguments<'_>) {
    let mut out = Buffered { writer: writer(), bytes: [0; 128], len: 0 };
    // Writing to the buffer cannot fail; a value that cannot format itself leaves its text out.
    let _ = out.write_fmt(args);
    out.flush();
}
