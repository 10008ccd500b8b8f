//! What the processor does by itself.

use super::machine::machine;

/// Empties the caches: there are none.
pub fn flush_caches() {}

pub fn forget_domain() {
    machine().domains_forgotten.update(|n| n + 1);
}

pub fn mask_surely(word: u64, mask: u64) -> u64 {
    word & mask
}

/// Zeroes words of memory.
///
/// # Safety
/// The `words` words from `start` on are mapped, and nobody holds a reference to them.
pub unsafe fn zero(start: *mut u64, words: usize) {
    // SAFETY: the caller's obligation.
    unsafe { start.write_bytes(0, words) }
}

/// Stops the machine: here, the test.
pub fn halt() -> ! {
    panic!("the kernel halted")
}

#[cfg(pecan_arch = "x86_64")]
pub use io_ports::*;

/// I/O ports: writes are recorded, and tests say what is read.
#[cfg(pecan_arch = "x86_64")]
mod io_ports {
    use super::machine;

    pub fn io_read(port: u16, bytes: u32) -> u32 {
        let value = machine().io_values.borrow().get(&port).copied().unwrap_or(u32::MAX);
        value & u32::MAX >> (32 - 8 * bytes)
    }

    pub fn io_write(port: u16, bytes: u32, value: u32) {
        machine().io_writes.borrow_mut().push((port, bytes, value));
    }
}
