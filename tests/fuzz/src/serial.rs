//! Text on the serial port, which works with every kernel, also one that prints nothing itself.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pecan::raw::invocations as inv;
use pecan_abi::boot::slot;

/// COM1.
const PORT: u16 = 0x3f8;
/// Line status: the transmitter takes a byte.
const LINE_STATUS: u16 = PORT + 5;
const READY: u8 = 1 << 5;

static CAP: AtomicU64 = AtomicU64::new(0);

/// Takes the ports, with a capability in an empty slot, and prints there from now on.
pub fn init(dest: u64) {
    let ports = (u64::from(PORT), u64::from(PORT) + 7);
    if inv::io_port_control_issue(slot::IO_PORT_CONTROL, ports.0, ports.1, slot::INIT_THREAD_CNODE, dest, 64)
        .is_ok()
    {
        CAP.store(dest, Relaxed);
        pecan_runtime::set_console(write);
    }
}

fn write(bytes: &[u8]) {
    let cap = CAP.load(Relaxed);
    for &byte in bytes {
        while inv::io_port_in8(cap, LINE_STATUS).is_ok_and(|status| status & READY == 0) {}
        let _ = inv::io_port_out8(cap, PORT.into(), byte.into());
    }
}
