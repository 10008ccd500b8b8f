//! From the first instruction to `main`.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering},
};

use pecan::{
    boot::BootInfo,
    raw,
    raw::ThreadBlock,
    startup::{Startup, well_known},
};

use crate::{Outcome, exit};

#[cfg(target_os = "none")]
pecan::__start_code!();

#[cfg(target_os = "none")]
unsafe extern "C" {
    static __stack_bottom: u8;
    static __stack_top: u8;
    static __image_start: u8;
}

/// The block of the first thread. Written once, before there is a second.
struct MainThread(UnsafeCell<ThreadBlock>);

// SAFETY: it is written before `main`, when there is one thread, and only read afterwards.
unsafe impl Sync for MainThread {}

static MAIN_THREAD: MainThread = MainThread(UnsafeCell::new(ThreadBlock::new()));

/// The start page. Written once, before `main`, and never in a root task.
struct Page(UnsafeCell<Option<Startup<'static>>>, AtomicBool);

// SAFETY: it is written before the flag is set, when there is one thread, and only read afterwards.
unsafe impl Sync for Page {}

static STARTUP: Page = Page(UnsafeCell::new(None), AtomicBool::new(false));

/// The start page of this program; `None` in a root task.
pub fn startup() -> Option<&'static Startup<'static>> {
    if !STARTUP.1.load(Ordering::Acquire) {
        return None;
    }
    // SAFETY: the flag says that the page was written, and it is not written again.
    unsafe { (*STARTUP.0.get()).as_ref() }
}

/// The address of the first page of the program's image, for [`BootInfo::image_frame`].
pub fn image_start() -> usize {
    #[cfg(target_os = "none")]
    return &raw const __image_start as usize;
    #[cfg(not(target_os = "none"))]
    0
}

#[cfg(target_os = "none")]
fn stack_bounds() -> (usize, usize) {
    (&raw const __stack_bottom as usize, &raw const __stack_top as usize)
}

#[cfg(not(target_os = "none"))]
fn stack_bounds() -> (usize, usize) {
    (0, 0)
}

/// Sets up what everything else needs: the thread block, the heap, logging.
///
/// # Safety
/// It must be called once, before there is a second thread, with the address of the thread's IPC buffer. `stack` is where the
/// thread's stack begins, if it is not where the linker script says.
unsafe fn set_up(ipc_buffer: u64, tcb: u64, stack: Option<u64>) {
    let (linked, stack_top) = stack_bounds();
    let stack_bottom = stack.map_or(linked, |bottom| bottom as usize);
    let block = MAIN_THREAD.0.get();
    // SAFETY: there is one thread, and nobody has a reference to the block yet; it is complete before it becomes
    // the thread's TLS base, and static, so it outlives the thread.
    unsafe {
        block.write(ThreadBlock {
            this: block,
            ipc_buffer: ipc_buffer as *mut _,
            stack_bottom,
            stack_top,
            tcb,
            ..ThreadBlock::new()
        });
        raw::set_tls_base(block as u64);
    }
    #[cfg(all(feature = "heap", target_os = "none"))]
    crate::heap::init();
    crate::logger::install();
}

/// # Safety
/// It must be called once, by the code that the program starts in, with the argument that the kernel started it with.
#[doc(hidden)]
pub unsafe fn __start_root_task<T: Outcome>(argument: usize, main: fn(BootInfo) -> T) -> ! {
    // SAFETY: the kernel starts a root task with the address of the boot information, which says where the IPC buffer is.
    let boot = unsafe {
        let boot = BootInfo::at(argument);
        set_up(boot.raw().ipc_buffer, pecan::boot::TCB.cptr(), None);
        boot
    };
    exit(main(boot).status())
}

/// # Safety
/// It must be called once, by the code that the program starts in, with the argument that the supervisor started it with.
#[doc(hidden)]
pub unsafe fn __start_component<T: Outcome>(argument: usize, main: fn(&'static Startup<'static>) -> T) -> ! {
    // SAFETY: a program is started with the address of its start page, which nobody writes to.
    let Ok(page) = (unsafe { Startup::at(argument) }) else { crate::panic::stop() };
    // SAFETY: there is one thread, and nobody reads the page before the flag is set.
    unsafe { *STARTUP.0.get() = Some(page) };
    STARTUP.1.store(true, Ordering::Release);
    let (tcb, stack) = (page.cptr(well_known::TCB), page.parameter(well_known::STACK));
    // SAFETY: this is the first that the program does, and the page says where the IPC buffer is.
    unsafe { set_up(page.ipc_buffer(), tcb.unwrap_or(0), stack) };
    if page.parameter(well_known::KERNEL_CONSOLE) == Some(0) {
        crate::set_console(crate::discard);
    }
    let Some(page) = startup() else { crate::panic::stop() };
    exit(main(page).status())
}
