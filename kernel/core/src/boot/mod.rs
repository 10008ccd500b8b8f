//! Boot policy: the root task and what it is given.

use core::fmt;

use pecan_arch::BootData;
use pecan_mem::{Kernel, Link, Tcb, boot::BootMemory};

/// Why the root task cannot be started. Displays as one line that says what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootError {
    /// The boot loader brought no root task.
    NoModule,
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::NoModule => f.write_str("no root task: pass its ELF file as the first boot module"),
        }
    }
}

/// Builds the root task from the boot module and hands it all that the machine has. The thread returned is
/// ready to run and in no queue.
pub fn start(_k: &mut Kernel, _boot: &BootData, _memory: &mut BootMemory) -> Result<Link<Tcb>, BootError> {
    todo!()
}
