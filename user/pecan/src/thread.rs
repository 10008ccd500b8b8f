//! Starting threads in the program's own address space.

use pecan_abi::{UserContext, constants::MIN_SCHED_CONTEXT_BITS, ipc::IPC_BUFFER_BITS};

use crate::{
    CSpaceRoot, Cap, Priorities, Result, SchedParams,
    alloc::Objects,
    raw::ThreadBlock,
    types::{Endpoint, SchedContext, SchedControl, SmallPage, Tcb},
    vspace::{AddressSpace, PAGE_SIZE},
};

/// What a thread is to be.
#[derive(Clone, Copy, Debug)]
pub struct ThreadParams {
    /// Where it starts. It must not return: there is nothing to return to.
    pub entry: extern "C" fn(usize) -> !,
    /// What it is given.
    pub argument: usize,
    /// Pages of its stack; below them is one that is never mapped.
    pub stack_pages: u64,
    /// Its CSpace.
    pub cspace: CSpaceRoot,
    /// Its priorities.
    pub priorities: Priorities,
    /// Who is told of its faults; [`Cap::NULL`] for nobody.
    pub fault_ep: Cap<Endpoint>,
    /// Its time; without it the thread is passive and runs on the time of its callers.
    pub time: Option<(Cap<SchedControl>, SchedParams)>,
}

/// A thread, and what it is made of.
#[derive(Clone, Copy, Debug)]
pub struct Thread {
    /// The thread.
    pub tcb: Cap<Tcb>,
    /// Its scheduling context; [`Cap::NULL`] for a passive thread.
    pub sched_context: Cap<SchedContext>,
    /// The frame with its IPC buffer and its thread block.
    pub ipc_frame: Cap<SmallPage>,
    /// The address of its IPC buffer.
    pub ipc_buffer: u64,
    /// The first page of its stack.
    pub stack_frames: Cap<SmallPage>,
}

/// The thread block lies behind the IPC buffer in the same frame.
const BLOCK_OFFSET: u64 = 2 << IPC_BUFFER_BITS;

/// The flags a thread starts with: interrupts on, and the bit that is always set.
const RFLAGS: u64 = 0x202;

impl Thread {
    /// Makes a thread that shares the program's address space. It does not run before [`Thread::start`].
    pub fn create(
        objects: &mut Objects<'_>,
        space: &mut AddressSpace,
        params: &ThreadParams,
    ) -> Result<Self> {
        let tcb = objects.make::<Tcb>()?;
        let (ipc_buffer, ipc_frame) = space.map_new(objects, PAGE_SIZE)?;
        let stack = params.stack_pages * PAGE_SIZE;
        let guard = space.reserve(PAGE_SIZE + stack, PAGE_SIZE)?;
        let stack_bottom = guard + PAGE_SIZE;
        let rights = pecan_abi::CapRights::READ_WRITE;
        let stack_frames = space.map_new_at(objects, stack_bottom, params.stack_pages, rights)?;
        let stack_top = stack_bottom + stack;

        let block = ThreadBlock {
            this: (ipc_buffer + BLOCK_OFFSET) as *const ThreadBlock,
            ipc_buffer: ipc_buffer as *mut _,
            stack_bottom: stack_bottom as usize,
            stack_top: stack_top as usize,
            tcb: tcb.cptr(),
            user: [0; 3],
        };
        // SAFETY: the frame was mapped here just now, writable, and the place is aligned and holds a whole block.
        unsafe { (block.this as *mut ThreadBlock).write(block) };

        tcb.configure(params.cspace, space.cap(), ipc_buffer, ipc_frame)?;
        let sched_context = match params.time {
            Some((control, time)) => {
                // Each step of size doubles the room, and extra refills need it.
                let mut bits = MIN_SCHED_CONTEXT_BITS;
                while pecan_abi::constants::max_extra_refills(bits) < time.extra_refills as usize && bits < 12
                {
                    bits += 1;
                }
                let sched_context = objects.make_sized::<SchedContext>(bits)?;
                control.configure(sched_context, time)?;
                sched_context
            }
            None => Cap::NULL,
        };
        tcb.set_sched_params(params.priorities, sched_context, params.fault_ep)?;
        let registers = UserContext {
            rip: params.entry as usize as u64,
            // As after a call: the stack is aligned to 16 bytes before the return address is pushed.
            rsp: stack_top - 8,
            rflags: RFLAGS,
            rdi: params.argument as u64,
            fs_base: ipc_buffer + BLOCK_OFFSET,
            ..UserContext::default()
        };
        tcb.write_registers(false, &registers)?;
        Ok(Self { tcb, sched_context, ipc_frame, ipc_buffer, stack_frames })
    }

    /// Lets it run.
    pub fn start(&self) -> Result<()> {
        self.tcb.resume()
    }
}
