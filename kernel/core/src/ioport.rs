//! I/O ports.

use pecan_mem::Kernel;

use crate::{
    error::Stop,
    invoke::{Done, Invocation},
};

/// Invocations of I/O port control and I/O ports.
pub fn invoke(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}

/// The last capability to the ports `first..=last` goes: they can be issued again.
pub fn deleted(_k: &Kernel, _first: u16, _last: u16) {
    todo!()
}
