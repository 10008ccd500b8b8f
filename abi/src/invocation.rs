//! The table of invocations: what each kernel object does, with what parameters, and how it can fail.
//!
//! User-level stubs, the kernel's decoders and the reference documentation are generated from it.

use crate::{Error, Label};

pub use crate::arch::INVOCATIONS;

/// The kind of kernel object (or authority) an invocation is made on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object {
    /// Memory not yet given a type.
    Untyped,
    /// A thread.
    Tcb,
    /// A table of capabilities.
    CNode,
    /// Authority to hand out interrupts.
    IrqControl,
    /// One interrupt.
    IrqHandler,
    /// Authority over domains.
    DomainSet,
    /// Authority to give a scheduling context its budget, on one core.
    SchedControl,
    /// A scheduling context.
    SchedContext,
    /// The top of an address space, where it is apart from page tables (Arm).
    VSpace,
    /// Authority over secure monitor calls (Arm).
    Smc,
    /// A page-directory-pointer table (x86).
    Pdpt,
    /// A page directory (x86).
    PageDirectory,
    /// A page table.
    PageTable,
    /// A frame of any size.
    Page,
    /// Authority to create ASID pools.
    AsidControl,
    /// A pool of address space identifiers.
    AsidPool,
    /// Authority to hand out I/O ports (x86).
    IoPortControl,
    /// A range of I/O ports (x86).
    IoPort,
}

impl Object {
    /// Every kind that has invocations on some architecture.
    pub const ALL: &'static [Self] = &[
        Self::Untyped,
        Self::Tcb,
        Self::CNode,
        Self::IrqControl,
        Self::IrqHandler,
        Self::DomainSet,
        Self::SchedControl,
        Self::SchedContext,
        Self::VSpace,
        Self::Smc,
        Self::Pdpt,
        Self::PageDirectory,
        Self::PageTable,
        Self::Page,
        Self::AsidControl,
        Self::AsidPool,
        Self::IoPortControl,
        Self::IoPort,
    ];

    /// The name, as it is written in the source.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Untyped => "Untyped",
            Self::Tcb => "Tcb",
            Self::CNode => "CNode",
            Self::IrqControl => "IrqControl",
            Self::IrqHandler => "IrqHandler",
            Self::DomainSet => "DomainSet",
            Self::SchedControl => "SchedControl",
            Self::SchedContext => "SchedContext",
            Self::VSpace => "VSpace",
            Self::Smc => "Smc",
            Self::Pdpt => "Pdpt",
            Self::PageDirectory => "PageDirectory",
            Self::PageTable => "PageTable",
            Self::Page => "Page",
            Self::AsidControl => "AsidControl",
            Self::AsidPool => "AsidPool",
            Self::IoPortControl => "IoPortControl",
            Self::IoPort => "IoPort",
        }
    }
}

/// Which way a parameter travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To the kernel.
    In,
    /// Back from it.
    Out,
}

/// The type of a parameter.
///
/// In a message, capabilities travel as extra capabilities, in order. The others are packed into message
/// words in order, each aligned to its own width, so that narrow neighbours share a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamType {
    /// A capability.
    Cap,
    /// A word.
    Word,
    /// A duration, in microseconds or in timer ticks as the invocation says.
    Time,
    /// One bit.
    Bool,
    /// 8 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// Capability rights; a word.
    Rights,
    /// Cache attributes of a mapping; a word.
    VmAttributes,
    /// The registers of a thread.
    UserContext,
}

impl ParamType {
    /// Bits it takes in the message words; 0 for a capability.
    pub const fn bits(self) -> usize {
        match self {
            Self::Cap => 0,
            Self::Bool => 1,
            Self::U8 => 8,
            Self::U16 => 16,
            Self::U32 => 32,
            Self::Word | Self::Time | Self::Rights | Self::VmAttributes => 64,
            Self::UserContext => 64 * crate::UserContext::WORDS,
        }
    }

    /// Whether it travels as an extra capability.
    pub const fn is_cap(self) -> bool {
        matches!(self, Self::Cap)
    }
}

/// A parameter of an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: ParamType,
    /// Which way it travels.
    pub direction: Direction,
}

/// A part of what an invocation takes: so much the kernel asks of a message at once. What the parts before it
/// say is judged first, so with a message that is too short the error may be another one.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The name of its decoder in the kernel. Invocations may share one if they take the same at the same place.
    pub name: &'static str,
    /// How many parameters it has.
    pub params: usize,
}

/// An invocation of the architecture whose labels these are.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<L: 'static = Label> {
    /// What it is made on.
    pub object: Object,
    /// Its name, in the case of a Rust function.
    pub method: &'static str,
    /// The label of its message.
    pub label: L,
    /// Its parameters, in order; the object itself is not one of them.
    pub params: &'static [Param],
    /// How the parameters to the kernel, which come first, divide into parts.
    pub parts: &'static [Part],
    /// The errors it documents.
    pub errors: &'static [Error],
    /// What it does, in one line.
    pub doc: &'static str,
    /// Words of the registers of a thread.
    pub(crate) context_words: usize,
}

impl<L> Invocation<L> {
    /// Bits that a parameter takes in the message words; 0 for a capability.
    const fn bits(&self, param: &Param) -> usize {
        match param.ty {
            ParamType::UserContext => 64 * self.context_words,
            ty => ty.bits(),
        }
    }

    /// Where each parameter of one direction that is not a capability starts in the message, in bits: the
    /// offset of parameter `index`, or the length of all of them when `index` is past the last.
    pub const fn bit_offset(&self, direction: Direction, index: usize) -> usize {
        let mut at: usize = 0;
        let mut i = 0;
        while i < self.params.len() {
            let param = &self.params[i];
            let bits = self.bits(param);
            if param.direction as u8 == direction as u8 && bits > 0 {
                let align = if bits < 64 { bits } else { 64 };
                at = at.next_multiple_of(align);
                if i == index {
                    return at;
                }
                at += bits;
            }
            i += 1;
        }
        at
    }

    /// The number of message words of one direction.
    pub const fn words(&self, direction: Direction) -> usize {
        self.bit_offset(direction, self.params.len()).div_ceil(64)
    }

    /// The number of extra capabilities.
    pub const fn extra_caps(&self) -> usize {
        let mut count = 0;
        let mut i = 0;
        while i < self.params.len() {
            if self.params[i].ty.is_cap() {
                count += 1;
            }
            i += 1;
        }
        count
    }
}

/// One line of the table: `"what it does" Object.method(in: Type, ...) -> (out: Type) = Label [Error, ...];`
///
/// `;` between parameters divides them into parts ([`Part`]); a part that begins with `@Name` has that name, others have
/// the label's.
macro_rules! table {
    ($($doc:literal $object:ident . $method:ident (
            $(@ $first:ident)? $($in:ident : $in_ty:ident),*
            $(; $(@ $part:ident)? $($more:ident : $more_ty:ident),+)*
        ) $(-> ( $($out:ident : $out_ty:ident),* ))? = $label:ident [ $($error:ident),* ];)+) => {
        &[$(Invocation {
            object: Object::$object,
            method: stringify!($method),
            label: Label::$label,
            params: &[
                $(Param { name: stringify!($in), ty: ParamType::$in_ty, direction: Direction::In },)*
                $($(Param { name: stringify!($more), ty: ParamType::$more_ty, direction: Direction::In },)+)*
                $($(Param { name: stringify!($out), ty: ParamType::$out_ty, direction: Direction::Out },)*)?
            ],
            parts: &[
                part(&[stringify!($label) $(, stringify!($first))?], &[$(stringify!($in)),*]),
                $(part(&[stringify!($label) $(, stringify!($part))?], &[$(stringify!($more)),+]),)*
            ],
            errors: &[$(Error::$error),*],
            doc: $doc,
            context_words: UserContext::WORDS,
        }),+]
    };
}

/// The part with the last of these names, and these parameters.
pub(crate) const fn part(names: &[&'static str], params: &[&str]) -> Part {
    Part { name: names[names.len() - 1], params: params.len() }
}

/// Defines `INVOCATIONS`: the invocations that every architecture has, and behind them those listed.
macro_rules! invocations {
    ($($own:tt)+) => {
        use crate::{
            Error,
            invocation::{Direction, Invocation, Object, Param, ParamType, part},
        };

        /// Every invocation, in the order of [`Label::ALL`]. Those of a configuration are the ones whose label it has
        /// ([`Label::exists`]).
        pub const INVOCATIONS: &[Invocation<Label>] = table! {
            "Creates objects of one type, with a capability to each in consecutive slots."
            Untyped.retype(object_type: Word, size_bits: Word, root: Cap, node_index: Word, node_depth: Word,
                node_offset: Word, num_objects: Word) = UntypedRetype
                [DeleteFirst, FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability, NotEnoughMemory,
                 RangeError];

            "Reads the first `count` registers of a thread, stopping it first if asked to."
            Tcb.read_registers(suspend_source: Bool, arch_flags: U8, count: Word) -> (regs: UserContext)
                = TcbReadRegisters [IllegalOperation, InvalidCapability, RangeError];
            "Writes the first `count` registers of a thread, starting it afterwards if asked to."
            Tcb.write_registers(resume_target: Bool, arch_flags: U8, count: Word, regs: UserContext)
                = TcbWriteRegisters [IllegalOperation, InvalidCapability];
            "Copies registers from another thread."
            Tcb.copy_registers(source: Cap, suspend_source: Bool, resume_target: Bool, transfer_frame: Bool,
                transfer_integer: Bool, arch_flags: U8) = TcbCopyRegisters [IllegalOperation, InvalidCapability];
            "Sets the CSpace, the VSpace and the IPC buffer of a thread."
            Tcb.configure(cspace_root: Cap, cspace_root_data: Word, vspace_root: Cap, vspace_root_data: Word,
                buffer: Word, buffer_frame: Cap) = TcbConfigure
                [AlignmentError, IllegalOperation, InvalidCapability, RevokeFirst];
            "Sets the priority of a thread, up to the authority's maximum controlled priority."
            Tcb.set_priority(authority: Cap, priority: Word) = TcbSetPriority
                [IllegalOperation, InvalidCapability, RangeError];
            "Sets the maximum controlled priority of a thread, up to the authority's own."
            Tcb.set_mc_priority(authority: Cap, mcp: Word) = TcbSetMcPriority
                [IllegalOperation, InvalidCapability, RangeError];
            "Sets priorities, scheduling context and fault endpoint of a thread."
            Tcb.set_sched_params(authority: Cap, mcp: Word, priority: Word, sched_context: Cap, fault_ep: Cap)
                = TcbSetSchedParams [IllegalOperation, InvalidCapability, RangeError];
            "Sets the endpoint that receives the timeout faults of a thread."
            Tcb.set_timeout_endpoint(timeout_fault_ep: Cap) = TcbSetTimeoutEndpoint
                [IllegalOperation, InvalidCapability];
            "Sets the IPC buffer of a thread: its address and the frame behind it."
            Tcb.set_ipc_buffer(buffer: Word, buffer_frame: Cap) = TcbSetIpcBuffer
                [AlignmentError, IllegalOperation, InvalidCapability, RevokeFirst];
            "Sets fault endpoint, CSpace and VSpace of a thread."
            Tcb.set_space(fault_ep: Cap, cspace_root: Cap, cspace_root_data: Word, vspace_root: Cap,
                vspace_root_data: Word) = TcbSetSpace [IllegalOperation, InvalidCapability, RevokeFirst];
            "Stops a thread."
            Tcb.suspend() = TcbSuspend [IllegalOperation, InvalidCapability];
            "Starts a thread, or restarts what it was blocked in."
            Tcb.resume() = TcbResume [IllegalOperation, InvalidCapability];
            "Binds a notification, whose signals then also wake the thread from waiting on endpoints."
            Tcb.bind_notification(notification: Cap) = TcbBindNotification [IllegalOperation, InvalidCapability];
            "Unbinds the notification."
            Tcb.unbind_notification() = TcbUnbindNotification [IllegalOperation, InvalidCapability];
            "Makes a breakpoint wait for an instruction, or for an access of `rw` to `size` bytes of data."
            Tcb.set_breakpoint(bp_num: U16, vaddr: Word, kind: Word, size: Word, rw: Word) = TcbSetBreakpoint
                [AlignmentError, IllegalOperation, InvalidArgument, InvalidCapability, RangeError];
            "What a breakpoint waits for, and whether it does."
            Tcb.get_breakpoint(@BreakpointNumber bp_num: U16)
                -> (vaddr: Word, kind: Word, size: Word, rw: Word, is_enabled: Bool) = TcbGetBreakpoint
                [IllegalOperation, InvalidCapability, RangeError];
            "Disables a breakpoint and clears it."
            Tcb.unset_breakpoint(@BreakpointNumber bp_num: U16) = TcbUnsetBreakpoint
                [IllegalOperation, InvalidCapability, RangeError];
            "Makes a thread fault after every `num_instructions` instructions; 0 ends that."
            Tcb.configure_single_stepping(bp_num: U16, num_instructions: Word) -> (bp_was_consumed: Bool)
                = TcbConfigureSingleStepping [IllegalOperation, InvalidArgument, InvalidCapability];
            "Sets the TLS base of a thread."
            Tcb.set_tls_base(tls_base: Word) = TcbSetTlsBase [IllegalOperation, InvalidCapability];
            "Clears and then sets flags of a thread, and returns the flags it has afterwards."
            Tcb.set_flags(clear: Word, set: Word) -> (flags: Word) = TcbSetFlags [InvalidCapability];

            "Deletes every capability derived from the one in a slot."
            CNode.revoke(@CNodeTarget index: Word, depth: U8) = CNodeRevoke
                [FailedLookup, IllegalOperation, InvalidCapability, RangeError];
            "Deletes the capability in a slot."
            CNode.delete(@CNodeTarget index: Word, depth: U8) = CNodeDelete
                [FailedLookup, IllegalOperation, InvalidCapability, RangeError];
            "Aborts pending sends that were made with the badge of the endpoint capability in a slot."
            CNode.cancel_badged_sends(@CNodeTarget index: Word, depth: U8) = CNodeCancelBadgedSends
                [FailedLookup, IllegalOperation, InvalidCapability, RangeError];
            "Copies a capability, with no more rights than given."
            CNode.copy(@CNodeTarget dest_index: Word, dest_depth: U8;
                @CNodeSource src_root: Cap, src_index: Word, src_depth: U8; rights: Rights) = CNodeCopy
                [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
            "Copies a capability, with no more rights than given, and gives it a badge or a guard."
            CNode.mint(@CNodeTarget dest_index: Word, dest_depth: U8;
                @CNodeSource src_root: Cap, src_index: Word, src_depth: U8; rights: Rights, badge: Word) = CNodeMint
                [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
            "Moves a capability."
            CNode.move_(@CNodeTarget dest_index: Word, dest_depth: U8;
                @CNodeSource src_root: Cap, src_index: Word, src_depth: U8)
                = CNodeMove [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError];
            "Moves a capability and gives it a badge or a guard."
            CNode.mutate(@CNodeTarget dest_index: Word, dest_depth: U8;
                @CNodeSource src_root: Cap, src_index: Word, src_depth: U8; badge: Word) = CNodeMutate
                [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError];
            "Moves the pivot's capability to the destination and the source's to the pivot, with new badges or guards."
            CNode.rotate(@CNodeTarget dest_index: Word, dest_depth: U8; dest_badge: Word, pivot_root: Cap, pivot_index: Word,
                pivot_depth: U8, pivot_badge: Word, src_root: Cap, src_index: Word, src_depth: U8) = CNodeRotate
                [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError];

            "Creates the handler of an interrupt (not on machines whose interrupts come through an IOAPIC)."
            IrqControl.get(irq: Word, root: Cap, index: Word, depth: U8) = IrqIssueIrqHandler
                [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
            "Acknowledges an interrupt, so that the next one is delivered."
            IrqHandler.ack() = IrqAckIrq [IllegalOperation, InvalidCapability];
            "Sets the notification that an interrupt signals."
            IrqHandler.set_notification(notification: Cap) = IrqSetIrqHandler [IllegalOperation, InvalidCapability];
            "Unsets the notification and masks the interrupt."
            IrqHandler.clear() = IrqClearIrqHandler [IllegalOperation, InvalidCapability];

            "Moves a thread to a domain."
            DomainSet.set(@DomainSetDomain domain: U8; thread: Cap) = DomainSetSet
                [IllegalOperation, InvalidArgument, InvalidCapability];
            "Sets an entry of the domain schedule: a domain and how long it runs, in timer ticks (40 us at least)."
            DomainSet.schedule_configure(index: Word, domain: U8, duration: Time) = DomainScheduleConfigure
                [IllegalOperation, InvalidArgument, RangeError];
            "Sets the entry at which the domain schedule starts over, and starts there."
            DomainSet.schedule_set_start(index: Word) = DomainScheduleSetStart
                [IllegalOperation, InvalidArgument, RangeError];

            "Gives a scheduling context its budget and period (in microseconds), extra refills, badge and flags."
            SchedControl.configure_flags(sched_context: Cap, budget: Time, period: Time, extra_refills: Word,
                badge: Word, flags: Word) = SchedControlConfigureFlags
                [IllegalOperation, InvalidCapability, RangeError];
            "Binds a thread or a notification."
            SchedContext.bind(cap: Cap) = SchedContextBind [IllegalOperation, InvalidCapability];
            "Unbinds the thread and the notification."
            SchedContext.unbind() = SchedContextUnbind [IllegalOperation, InvalidCapability];
            "Unbinds one object, which must be bound."
            SchedContext.unbind_object(cap: Cap) = SchedContextUnbindObject [IllegalOperation, InvalidCapability];
            "Microseconds consumed since this was last asked."
            SchedContext.consumed() -> (consumed: Time) = SchedContextConsumed [IllegalOperation, InvalidCapability];
            "Runs the bound thread next, and returns the microseconds that were consumed meanwhile."
            SchedContext.yield_to() -> (consumed: Time) = SchedContextYieldTo [IllegalOperation, InvalidCapability];

            $($own)+
        };
    };
}
