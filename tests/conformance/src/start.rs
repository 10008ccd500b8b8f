//! Where the program starts, and the memory that its threads run in.

use core::{
    arch::global_asm,
    cell::UnsafeCell,
    mem::MaybeUninit,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use pecan::raw::ThreadBlock;
use pecan_abi::{boot::BootInfo, ipc::IpcBuffer};

/// How many threads can exist at once, the watchdog and the test's own included.
pub const THREADS: usize = 12;
/// Bytes of a thread's stack.
const STACK_BYTES: usize = 20 * 1024;
/// The slot of [`ThreadBlock::user`] that holds the thread's index.
const INDEX: usize = 0;

/// What a thread runs in: a page with its IPC buffer and thread block, and its stack.
#[repr(C, align(4096))]
struct Area {
    ipc_buffer: UnsafeCell<MaybeUninit<IpcBuffer>>,
    block: UnsafeCell<ThreadBlock>,
    rest_of_page: [u8; 4096 - 1024 - 64],
    stack: UnsafeCell<MaybeUninit<[u8; STACK_BYTES]>>,
}

// SAFETY: an area is used by one thread at a time; who starts a thread writes it while the thread does not run.
unsafe impl Sync for Area {}

static AREAS: [Area; THREADS] = [const {
    Area {
        ipc_buffer: UnsafeCell::new(MaybeUninit::zeroed()),
        block: UnsafeCell::new(ThreadBlock::new()),
        rest_of_page: [0; 4096 - 1024 - 64],
        stack: UnsafeCell::new(MaybeUninit::zeroed()),
    }
}; THREADS];

/// The initial thread's block.
struct InitialBlock(UnsafeCell<ThreadBlock>);
// SAFETY: written once, by the only thread there is then.
unsafe impl Sync for InitialBlock {}
static INITIAL_BLOCK: InitialBlock = InitialBlock(UnsafeCell::new(ThreadBlock::new()));

static BOOT_INFO: AtomicPtr<BootInfo> = AtomicPtr::new(core::ptr::null_mut());

/// What the kernel told the root task.
pub fn boot_info() -> &'static BootInfo {
    // SAFETY: set once at the start to what the kernel passed, which stays mapped and is never written.
    unsafe { &*BOOT_INFO.load(Relaxed) }
}

unsafe extern "C" {
    /// The first byte of the image, given by the linker.
    static __executable_start: u8;
    /// The byte after its last.
    static _end: u8;
}

/// The addresses of the program's image, to whole pages.
pub fn image() -> (u64, u64) {
    let (start, end) = (&raw const __executable_start as u64, &raw const _end as u64);
    (start & !0xfff, end.next_multiple_of(4096))
}

/// The capability of the page of the program's image at an address.
pub fn image_frame(address: u64) -> u64 {
    boot_info().user_image_frames.start + (address - image().0) / 4096
}

/// The memory of thread `index`.
#[derive(Clone, Copy)]
pub struct Memory(usize);

impl Memory {
    /// The memory of thread `index`, fresh: block and buffer as for a new thread whose TCB is `tcb`.
    ///
    /// # Safety
    /// No thread runs in it.
    pub unsafe fn prepare(index: usize, tcb: u64) -> Self {
        let this = Memory(index);
        let stack = this.stack_top() as usize;
        // SAFETY: nobody else uses the area, by the caller.
        unsafe {
            let block = AREAS[index].block.get();
            block.write(ThreadBlock::new());
            (*block).this = block;
            (*block).ipc_buffer = AREAS[index].ipc_buffer.get().cast();
            (*block).stack_bottom = stack - STACK_BYTES;
            (*block).stack_top = stack;
            (*block).tcb = tcb;
            (*block).user[INDEX].set(index as u64 + 1);
        }
        this
    }

    /// The memory of thread `index`, as it is.
    pub fn of(index: usize) -> Self {
        Memory(index)
    }

    /// The address of the IPC buffer.
    pub fn ipc_buffer(self) -> u64 {
        AREAS[self.0].ipc_buffer.get() as u64
    }

    /// The value of its TLS base.
    pub fn tls_base(self) -> u64 {
        AREAS[self.0].block.get() as u64
    }

    /// The end of its stack.
    pub fn stack_top(self) -> u64 {
        AREAS[self.0].stack.get() as u64 + STACK_BYTES as u64
    }
}

/// The index of the running thread; `None` for the initial one.
pub fn current() -> Option<usize> {
    (ThreadBlock::current().user[INDEX].get() as usize).checked_sub(1)
}

global_asm!(
    ".pushsection .bss.initial_stack, \"aw\", @nobits",
    ".balign 16",
    "initial_stack: .zero 32768",
    "initial_stack_top:",
    ".popsection",
    ".globl _start",
    "_start:",
    "lea rsp, [rip + initial_stack_top]",
    "xor ebp, ebp",
    "call {start}",
    "ud2",
    start = sym start,
);

/// The first Rust code: gives the initial thread its block and goes on to the runner.
extern "C" fn start(boot_info: *mut BootInfo) -> ! {
    BOOT_INFO.store(boot_info, Relaxed);
    let block = INITIAL_BLOCK.0.get();
    // SAFETY: nothing else runs; the block gets its own address and the buffer that the kernel set up, and the
    // TLS base then points to it, as `ThreadBlock` asks.
    unsafe {
        (*block).this = block;
        (*block).ipc_buffer = (*boot_info).ipc_buffer as *mut IpcBuffer;
        (*block).tcb = pecan_abi::boot::slot::INIT_THREAD_TCB;
        pecan::raw::set_tls_base(block as u64);
    }
    crate::runner::main()
}
