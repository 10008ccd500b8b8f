//! Hardware breakpoints, in the interface's terms.

use pecan_abi::breakpoint::{BreakpointAccess, BreakpointType};

/// What an enabled breakpoint waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breakpoint {
    /// The address, a multiple of the size.
    pub address: u64,
    /// Instruction or data.
    pub kind: BreakpointType,
    /// Bytes of data: 1, 2, 4 or 8. 0 for an instruction.
    pub size: u64,
    /// Accesses to data. Reads for an instruction.
    pub access: BreakpointAccess,
}

/// A part of a breakpoint that a processor cannot do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakpointPart {
    /// The size.
    Size,
    /// The kind of access, with what it is to.
    Access,
}
