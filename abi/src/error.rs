//! Errors that an invocation returns as the label of its reply.

word_enum! {
    /// Why an invocation failed. Nothing has changed when it did. Some errors carry details in the message
    /// registers of the reply; they are listed with each variant.
    pub enum Error {
        /// Success.
        NoError = 0,
        /// A parameter is not valid. MR0: its index.
        InvalidArgument = 1,
        /// A capability is not valid here. MR0: its index, 0 being the one invoked.
        InvalidCapability = 2,
        /// The object does not do this, or not in its present state.
        IllegalOperation = 3,
        /// A parameter is out of range. MR0 and MR1: the least and the greatest value that would do.
        RangeError = 4,
        /// An address or a size is not aligned.
        AlignmentError = 5,
        /// A capability address did not resolve. MR0: 1 when the slot was to be a source, 0 for a destination;
        /// MR1: [`LookupFailureKind`]; from MR2: details of that kind.
        FailedLookup = 6,
        /// The message has too few registers or capabilities.
        TruncatedMessage = 7,
        /// The destination slot is not empty.
        DeleteFirst = 8,
        /// The capability has children, or is still in use.
        RevokeFirst = 9,
        /// An untyped is too small. MR0: how many bytes it has left.
        NotEnoughMemory = 10,
    }
}

word_enum! {
    /// How the resolution of a capability address failed. In a message the kind is one register; the
    /// registers after it are listed with each variant.
    pub enum LookupFailureKind {
        /// No failure.
        None = 0,
        /// The root is not a CNode capability. No details.
        InvalidRoot = 1,
        /// There is no capability in the slot. Bits left to resolve.
        MissingCapability = 2,
        /// The address ends in the middle of a CNode, or has bits left over. Bits left; bits found.
        DepthMismatch = 3,
        /// The guard of a CNode does not match. Bits left; guard found; bits of that guard.
        GuardMismatch = 4,
    }
}
