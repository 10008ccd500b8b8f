//! The threads on the other side, in this address space or in another one.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU32, Ordering},
};

use pecan::{
    CSpaceRoot, Cap, CapRights, Priorities, Result, SchedParams, UserContext,
    abi::{constants::tcb_flag, ipc::IpcBuffer},
    alloc::Objects,
    boot::{self, BootInfo},
    types::{Endpoint, SchedContext, SmallPage, Tcb, VSpace},
    vspace::AddressSpace,
};

/// How many partners there can be.
const PARTNERS: usize = 14;
const PAGE: usize = 4096;

#[repr(C, align(4096))]
struct Page(UnsafeCell<[u8; PAGE]>);

// SAFETY: only the kernel touches the IPC buffers.
unsafe impl Sync for Page {}

static IPC_BUFFERS: [Page; PARTNERS] = [const { Page(UnsafeCell::new([0; PAGE])) }; PARTNERS];
static RECORDS: [[AtomicU32; 2]; PARTNERS] = [const { [const { AtomicU32::new(0) }; 2] }; PARTNERS];

/// What a partner is to be.
#[derive(Clone, Copy)]
pub struct Role {
    /// Where it starts: one of the loops of `probe`.
    pub entry: unsafe extern "C" fn(),
    /// In the other address space.
    pub other_space: bool,
    /// Its priority.
    pub priority: u8,
    /// With time of its own; otherwise it runs on its caller's.
    pub active: bool,
    /// It uses vector registers.
    pub fpu: bool,
    /// Who is told of its faults.
    pub fault_ep: Cap<Endpoint>,
    /// What it starts with, beyond the instruction pointer and the flags.
    pub registers: UserContext,
}

/// A partner.
pub struct Partner {
    index: usize,
}

/// Makes partners.
pub struct Partners {
    boot: BootInfo,
    other: Cap<VSpace>,
    made: usize,
}

impl Partners {
    /// Makes the other address space: it shows the same program at the same addresses.
    pub fn new(boot: BootInfo, objects: &mut Objects<'_>) -> Result<Self> {
        let start = pecan_runtime::image_start() as u64;
        let other = AddressSpace::create(objects, boot::ASID_POOL, start)?;
        let frames = boot.raw().user_image_frames;
        for (page, cptr) in (frames.start..frames.end).enumerate() {
            let at = start + (page * PAGE) as u64;
            // SAFETY: the kernel put a capability to each page of the image there. Who runs in the other address space is part
            // of this program and accesses what the program's threads may.
            unsafe {
                let frame = objects.copy(Cap::<SmallPage>::new(cptr), CapRights::READ_WRITE)?;
                other.map(objects, frame, at, CapRights::READ_WRITE, 0)?;
            }
        }
        Ok(Self { boot, other: other.cap(), made: 0 })
    }

    /// Where the IPC buffer of the next partner will be.
    pub fn next_ipc_buffer(&self) -> *mut IpcBuffer {
        IPC_BUFFERS[self.made].0.get().cast()
    }

    /// Makes a partner and starts it. Its priority must be above the caller's, so that it has blocked when this
    /// returns.
    pub fn start(&mut self, objects: &mut Objects<'_>, role: Role) -> Result<Partner> {
        let index = self.made;
        self.made += 1;
        let tcb = objects.make::<Tcb>()?;
        let buffer = IPC_BUFFERS[index].0.get() as usize;
        let frame = self.boot.image_frame(pecan_runtime::image_start(), buffer)?;
        // A frame capability shows its frame once: where the buffer is mapped does not matter to the kernel.
        let frame = objects.copy(frame, CapRights::READ_WRITE)?;
        let space = if role.other_space { self.other } else { boot::VSPACE };
        // SAFETY: the thread was made just now, and the buffer is its own.
        unsafe { tcb.configure(CSpaceRoot::new(boot::CNODE), space, buffer as u64, frame) }?;
        let sched_context = objects.make_sized::<SchedContext>(8)?;
        self.boot.sched_control(0)?.configure(sched_context, SchedParams::round_robin(1_000_000))?;
        let priorities = Priorities { authority: boot::TCB, mcp: 0, priority: role.priority };
        // SAFETY: `measure` answers a fault with the instruction to go on with, as the loops of `probe` expect.
        unsafe { tcb.set_sched_params(priorities, sched_context, role.fault_ep) }?;
        if !role.fpu {
            tcb.set_flags(0, tcb_flag::FPU_DISABLED)?;
        }
        let record = &RECORDS[index] as *const _ as u64;
        let registers =
            UserContext { rip: role.entry as usize as u64, rflags: 0x202, r14: record, ..role.registers };
        // SAFETY: it starts in one of the loops of `probe`, which need no stack and no thread block.
        unsafe { tcb.write_registers(true, &registers) }?;
        if !role.active {
            // It has blocked, as its priority is above ours; from now on it runs on its callers' time.
            sched_context.unbind()?;
        }
        Ok(Partner { index })
    }
}

impl Partner {
    /// The clock as the partner read it last before its system call, or before its fault.
    pub fn before(&self) -> u32 {
        RECORDS[self.index][0].load(Ordering::Relaxed)
    }

    /// The clock as the partner read it last after its system call, or after its fault.
    pub fn after(&self) -> u32 {
        RECORDS[self.index][1].load(Ordering::Relaxed)
    }
}
