//! Threads.

use pecan_abi::{CNodeCapData, UserContext};

use crate::{
    Cap, FrameType, Result,
    raw::{self, invocations},
    types::{CNode, Endpoint, Notification, SchedContext, Tcb, VSpace},
};

/// The root of a thread's CSpace: a CNode, and the guard to set on it.
#[derive(Clone, Copy, Debug)]
pub struct CSpaceRoot {
    /// The CNode.
    pub cnode: Cap<CNode>,
    /// The guard; zero leaves the guard that the capability has.
    pub guard: CNodeCapData,
}

impl CSpaceRoot {
    /// A root with the guard its capability has.
    pub const fn new(cnode: Cap<CNode>) -> Self {
        Self { cnode, guard: CNodeCapData(0) }
    }

    /// A CNode of `2^size_bits` slots as a whole CSpace, so that an address is a slot number.
    pub const fn single_level(cnode: Cap<CNode>, size_bits: u32) -> Self {
        Self { cnode, guard: CNodeCapData::skip_to(size_bits) }
    }
}

/// The priorities of a thread, and the thread whose maximum controlled priority allows them.
#[derive(Clone, Copy, Debug)]
pub struct Priorities {
    /// The thread whose maximum controlled priority bounds the other two.
    pub authority: Cap<Tcb>,
    /// The maximum controlled priority.
    pub mcp: u8,
    /// The priority.
    pub priority: u8,
}

impl Cap<Tcb> {
    /// Sets CSpace, VSpace and IPC buffer. A buffer at 0 with [`Cap::NULL`] is no buffer.
    ///
    /// # Safety
    /// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
    pub unsafe fn configure<F: FrameType>(
        self,
        cspace: CSpaceRoot,
        vspace: Cap<VSpace>,
        ipc_buffer: u64,
        ipc_frame: Cap<F>,
    ) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe {
            invocations::tcb_configure(
                self.cptr(),
                cspace.cnode.cptr(),
                cspace.guard.0,
                vspace.cptr(),
                0,
                ipc_buffer,
                ipc_frame.cptr(),
            )
        }
    }

    /// Sets fault endpoint, CSpace and VSpace.
    ///
    /// # Safety
    /// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
    /// So must what answers its faults leave it.
    pub unsafe fn set_space(
        self,
        fault_ep: Cap<Endpoint>,
        cspace: CSpaceRoot,
        vspace: Cap<VSpace>,
    ) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe {
            invocations::tcb_set_space(
                self.cptr(),
                fault_ep.cptr(),
                cspace.cnode.cptr(),
                cspace.guard.0,
                vspace.cptr(),
                0,
            )
        }
    }

    /// Sets priorities, scheduling context and fault endpoint; [`Cap::NULL`] takes either away.
    ///
    /// # Safety
    /// If the thread is one of this program's own, whoever answers its faults must leave it what its code relies on.
    pub unsafe fn set_sched_params(
        self,
        priorities: Priorities,
        sched_context: Cap<SchedContext>,
        fault_ep: Cap<Endpoint>,
    ) -> Result<()> {
        let Priorities { authority, mcp, priority } = priorities;
        // SAFETY: the caller vouches for it.
        unsafe {
            invocations::tcb_set_sched_params(
                self.cptr(),
                authority.cptr(),
                mcp.into(),
                priority.into(),
                sched_context.cptr(),
                fault_ep.cptr(),
            )
        }
    }

    /// Sets the priority.
    pub fn set_priority(self, authority: Cap<Tcb>, priority: u8) -> Result<()> {
        invocations::tcb_set_priority(self.cptr(), authority.cptr(), priority.into())
    }

    /// Sets the maximum controlled priority.
    pub fn set_mc_priority(self, authority: Cap<Tcb>, mcp: u8) -> Result<()> {
        invocations::tcb_set_mc_priority(self.cptr(), authority.cptr(), mcp.into())
    }

    /// Sets the endpoint that receives timeout faults.
    ///
    /// # Safety
    /// If the thread is one of this program's own, whoever answers its faults must leave it what its code relies on.
    pub unsafe fn set_timeout_endpoint(self, ep: Cap<Endpoint>) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { invocations::tcb_set_timeout_endpoint(self.cptr(), ep.cptr()) }
    }

    /// Sets the IPC buffer.
    ///
    /// # Safety
    /// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
    pub unsafe fn set_ipc_buffer<F: FrameType>(self, address: u64, frame: Cap<F>) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { invocations::tcb_set_ipc_buffer(self.cptr(), address, frame.cptr()) }
    }

    /// Stops the thread.
    pub fn suspend(self) -> Result<()> {
        invocations::tcb_suspend(self.cptr())
    }

    /// Starts the thread, or restarts what it was blocked in.
    pub fn resume(self) -> Result<()> {
        invocations::tcb_resume(self.cptr())
    }

    /// Reads all registers, stopping the thread first if asked to.
    pub fn read_registers(self, suspend: bool) -> Result<UserContext> {
        invocations::tcb_read_registers(self.cptr(), suspend, 0, UserContext::WORDS as u64)
    }

    /// Writes all registers, starting the thread afterwards if asked to.
    ///
    /// # Safety
    /// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
    pub unsafe fn write_registers(self, resume: bool, registers: &UserContext) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe {
            invocations::tcb_write_registers(self.cptr(), resume, 0, UserContext::WORDS as u64, registers)
        }
    }

    /// Copies the registers of `source`: those of the frame (instruction and stack pointer, flags and what calls
    /// do not preserve), the other integer registers, or both.
    ///
    /// # Safety
    /// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
    pub unsafe fn copy_registers(
        self,
        source: Cap<Tcb>,
        suspend_source: bool,
        resume: bool,
        frame: bool,
        integer: bool,
    ) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe {
            invocations::tcb_copy_registers(
                self.cptr(),
                source.cptr(),
                suspend_source,
                resume,
                frame,
                integer,
                0,
            )
        }
    }

    /// Binds a notification, whose signals then also wake the thread from waiting on endpoints.
    pub fn bind_notification(self, notification: Cap<Notification>) -> Result<()> {
        invocations::tcb_bind_notification(self.cptr(), notification.cptr())
    }

    /// Unbinds the notification.
    pub fn unbind_notification(self) -> Result<()> {
        invocations::tcb_unbind_notification(self.cptr())
    }

    /// Sets the TLS base of the thread.
    ///
    /// # Safety
    /// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
    pub unsafe fn set_tls_base(self, base: u64) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { invocations::tcb_set_tls_base(self.cptr(), base) }
    }

    /// Clears flags, then sets flags ([`pecan_abi::constants::tcb_flag`]); returns what they are afterwards.
    pub fn set_flags(self, clear: u64, set: u64) -> Result<u64> {
        invocations::tcb_set_flags(self.cptr(), clear, set)
    }

    /// Gives the thread a name in the messages of debug kernels. Other kernels fault the caller.
    pub fn debug_name(self, name: &str) {
        raw::debug_name_thread(self.cptr(), name);
    }
}
