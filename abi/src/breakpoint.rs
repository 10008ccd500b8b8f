//! Numbers of the invocations on hardware breakpoints, and of debug faults.
//!
//! Manual: "Debug Exception: Breakpoints and Watchpoints", "Debug Exception: Single-stepping".

pub use crate::arch::constants::NUM_HW_BREAKPOINTS;

word_enum! {
    /// What a breakpoint waits for, and the reason of a debug fault.
    pub enum BreakpointType {
        /// An access to data.
        Data = 0,
        /// The execution of an instruction.
        Instruction = 1,
        /// As a reason: a thread that is stepped has executed its instructions.
        SingleStep = 2,
        /// As a reason: the thread has executed a breakpoint instruction.
        SoftwareBreakRequest = 3,
    }
}

word_enum! {
    /// The accesses that a breakpoint on data waits for.
    pub enum BreakpointAccess {
        /// Reads. That of breakpoints on instructions; x86 has no breakpoints on reads of data alone.
        Read = 0,
        /// Writes.
        Write = 1,
        /// Both.
        ReadWrite = 2,
    }
}
