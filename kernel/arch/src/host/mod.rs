//! The port that is no hardware: an emulation of the contract, one machine per host thread, so that the
//! portable kernel and its tests run under plain `cargo test`, in parallel.
//!
//! A test registers memory with [`set_memory`], drives time and interrupts with [`set_time`] and [`raise_irq`],
//! and looks at what the kernel did with [`machine`].

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;

pub use crate::format::x86_64::breakpoint::{Breakpoint, DebugEvent, DebugRegisters};
use crate::format::x86_64::context::GS_BASE;
pub use crate::format::x86_64::context::{
    EXCEPTION_MESSAGE, FRAME_REGISTERS, INTEGER_REGISTERS, SYSCALL_MESSAGE, TIMEOUT_MESSAGE, UserContext,
};
pub use crate::format::x86_64::irq::{
    Claim, Exception, IRQ_TIMER, IRQ_USER_MAX, IRQ_USER_MIN, IrqRoute, MAX_IRQ, decode_exception, is_trap,
};
pub use crate::format::x86_64::paging::{CacheAttr, KERNEL_ROOT_ENTRIES, Pte, Space};
use crate::{MAX_FRAME_LEVEL, PageTableEntry, PhysAddr, ROOT_USER_ENTRIES, reg};

/// Clock ticks per microsecond of the emulated machine.
pub const TICKS_PER_US: u64 = 1000;
/// IOAPICs of the emulated machine.
pub const IOAPICS: usize = 1;
/// Input pins of each.
pub const IOAPIC_PINS: usize = 24;

/// One interrupt line of the emulated machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IrqLine {
    /// Does not reach the kernel.
    pub masked: bool,
    /// Where it comes from: an IOAPIC pin, or a message if none.
    pub route: Option<IrqRoute>,
    /// Acknowledgements so far.
    pub acks: u64,
}

/// The state of the emulated machine, as the kernel left it.
#[derive(Default)]
pub struct Machine {
    memory: Cell<(usize, usize)>,
    time: Cell<u64>,
    /// The last deadline that the kernel set, in ticks.
    pub deadline: Cell<u64>,
    /// Address space in force: root and ASID; none is the kernel's own.
    pub vspace: Cell<Option<(PhysAddr, u16)>>,
    /// Address-space switches that were not to the one in force.
    pub vspace_switches: Cell<u64>,
    /// Calls of [`tlb_flush_page`].
    pub page_flushes: Cell<u64>,
    /// Calls of [`tlb_flush_asid`].
    pub asid_flushes: Cell<u64>,
    /// The last flushes, newest last: ASID (0 for all of them) and, for a page, its address. At most 64 are kept.
    pub flush_log: RefCell<VecDeque<(u16, Option<u64>)>>,
    /// Calls of [`forget_domain`].
    pub domains_forgotten: Cell<u64>,
    /// The processor has no frames of level [`MAX_FRAME_LEVEL`].
    pub lacks_largest_frame: Cell<bool>,
    /// Live FS and GS base.
    pub bases: Cell<(u64, u64)>,
    /// DR7: the breakpoints that are on.
    pub breakpoints: Cell<u64>,
    /// DR6: why a debug exception was taken.
    pub debug_status: Cell<u64>,
    /// User level may use the vector unit.
    pub fpu_enabled: Cell<bool>,
    /// The vector unit's registers.
    pub fpu_registers: RefCell<Vec<u8>>,
    irqs: RefCell<BTreeMap<usize, IrqLine>>,
    pending: RefCell<VecDeque<usize>>,
    /// An interrupt, and at which call of [`irq_pending`] from now on it comes; 0 if none is to come.
    irq_later: Cell<(u64, usize)>,
    /// Ticks, and at which reading of the clock from now on they have passed; 0 if none are to.
    time_later: Cell<(u64, u64)>,
    /// Port I/O writes so far: port, width in bytes, value.
    pub io_writes: RefCell<Vec<(u16, u32, u32)>>,
    /// What reading a port gives; all ones where there is no entry.
    pub io_values: RefCell<BTreeMap<u16, u32>>,
    /// What the kernel printed.
    pub console: RefCell<Vec<u8>>,
}

thread_local! {
    static MACHINE: &'static Machine = Box::leak(Box::default());
}

/// The emulated machine of this host thread.
pub fn machine() -> &'static Machine {
    MACHINE.with(|m| *m)
}

/// Makes `len` bytes at `base` the physical memory of this thread's machine, starting at physical address 0.
/// The kernel's primitives read and write it through raw pointers: it must stay valid, and be used by nothing
/// else, as long as this thread runs kernel code. `base` must be aligned to the largest object a test uses.
pub fn set_memory(base: *mut u8, len: usize) {
    machine().memory.set((base.expose_provenance(), len));
}

/// Sets the clock, in ticks.
pub fn set_time(ticks: u64) {
    machine().time.set(ticks);
}

/// Moves the clock on by `ticks`.
pub fn advance_time(ticks: u64) {
    let m = machine();
    m.time.set(m.time.get() + ticks);
}

/// Makes an interrupt pending: [`irq_pending`] becomes true until [`take_pending_irq`] has taken it.
pub fn raise_irq(irq: usize) {
    machine().pending.borrow_mut().push_back(irq);
}

/// Makes an interrupt pending when the kernel looks whether one is, for the `looks`th time from now on.
pub fn raise_irq_later(looks: u64, irq: usize) {
    machine().irq_later.set((looks, irq));
}

/// Moves the clock on by `ticks` when it is read for the `readings`th time from now on.
pub fn advance_time_later(readings: u64, ticks: u64) {
    machine().time_later.set((readings, ticks));
}

/// Nothing is to come later any more. True if something still was.
pub fn nothing_later() -> bool {
    let m = machine();
    (m.irq_later.take().0, m.time_later.take().0) != (0, 0)
}

/// The state of an interrupt line.
pub fn irq_line(irq: usize) -> IrqLine {
    *machine().irqs.borrow_mut().entry(irq).or_insert(IrqLine { masked: true, route: None, acks: 0 })
}

fn with_line(irq: usize, f: impl FnOnce(&mut IrqLine)) {
    let mut line = irq_line(irq);
    f(&mut line);
    machine().irqs.borrow_mut().insert(irq, line);
}

/// What the kernel printed since the last call.
pub fn take_console() -> String {
    String::from_utf8_lossy(&machine().console.take()).into_owned()
}

// Registers.

pub fn context_switch(from: &UserContext, to: &UserContext) {
    sync_context(from);
    load_context(to);
}

pub fn has_short_switch() -> bool {
    true
}

pub fn short_context_switch(from: &UserContext, to: &UserContext) -> bool {
    let short = machine().bases.get().1 | to.get(GS_BASE) == 0;
    if short {
        context_switch(from, to);
    }
    short
}

pub fn load_context(to: &UserContext) {
    machine().bases.set((to.get(reg::TLS_BASE), to.get(GS_BASE)));
}

pub fn sync_context(current: &UserContext) {
    let (fs, gs) = machine().bases.get();
    current.set(reg::TLS_BASE, fs);
    current.set(GS_BASE, gs);
}

pub fn debug_load(registers: &DebugRegisters, _stepping: bool) {
    machine().breakpoints.set(registers.control());
}

pub fn take_debug_event(registers: &DebugRegisters) -> DebugEvent {
    registers.event(machine().debug_status.take())
}

/// Saved vector state of a thread.
#[repr(C, align(64))]
pub struct FpuState(UnsafeCell<[u8; pecan_config::XSAVE_SIZE]>);

impl FpuState {
    /// The state of a new thread.
    pub const fn init() -> Self {
        Self(UnsafeCell::new([0; pecan_config::XSAVE_SIZE]))
    }

    /// Makes a state that is all zero that of a new thread: here, it is.
    pub fn start(&self) {}
}

impl Default for FpuState {
    fn default() -> Self {
        Self::init()
    }
}

pub fn fpu_save(state: &FpuState) {
    let registers = machine().fpu_registers.borrow();
    // SAFETY: the state is reached through this cell only, never from another thread (the type is not Sync), and no
    // reference into it outlives a call of this module.
    let bytes = unsafe { &mut *state.0.get() };
    bytes.fill(0);
    bytes[..registers.len()].copy_from_slice(&registers);
}

pub fn fpu_load(state: &FpuState) {
    // SAFETY: as in `fpu_save`.
    *machine().fpu_registers.borrow_mut() = unsafe { *state.0.get() }.to_vec();
}

pub fn fpu_enable() {
    machine().fpu_enabled.set(true);
}

pub fn fpu_disable() {
    machine().fpu_enabled.set(false);
}

pub fn fpu_is_enabled() -> bool {
    machine().fpu_enabled.get()
}

// Memory.

/// Where the kernel sees a physical address. Panics outside the registered memory: a test's mistake.
pub fn phys_to_virt(p: PhysAddr) -> usize {
    let (base, len) = machine().memory.get();
    assert!(p.0 <= len as u64, "physical address {:#x} is outside the {len:#x} bytes registered", p.0);
    base + p.0 as usize
}

pub fn virt_to_phys(v: usize) -> PhysAddr {
    let (base, len) = machine().memory.get();
    let offset = v.wrapping_sub(base);
    assert!(offset <= len, "kernel address {v:#x} is outside the registered memory");
    PhysAddr(offset as u64)
}

pub fn frame_level_supported(level: usize) -> bool {
    level < MAX_FRAME_LEVEL || level == MAX_FRAME_LEVEL && !machine().lacks_largest_frame.get()
}

pub fn kernel_root_entry(index: usize) -> Pte {
    assert!((ROOT_USER_ENTRIES..512).contains(&index));
    if index == ROOT_USER_ENTRIES || index == 511 {
        Pte(0xdead_0000 + ((index as u64) << 12) + 1)
    } else {
        Pte::EMPTY
    }
}

/// The address space with this root table (a page, not at 0) and ASID (below 4096).
///
/// # Safety
/// Who makes the processor use it answers for the table: see [`switch_vspace`].
pub unsafe fn space(root: PhysAddr, asid: u16) -> Space {
    Space::from_word(root.0 & !Space::ASID | u64::from(asid) & Space::ASID)
}

/// Switches to the address space with this root table.
///
/// # Safety
/// It must have a valid root table with the kernel's entries in place.
pub unsafe fn switch_vspace(space: Space) {
    let word = space.word();
    set_vspace(Some((PhysAddr(word & !Space::ASID), (word & Space::ASID) as u16)));
}

pub fn switch_kernel_vspace() {
    set_vspace(None);
}

fn set_vspace(v: Option<(PhysAddr, u16)>) {
    let m = machine();
    if m.vspace.replace(v) != v {
        m.vspace_switches.set(m.vspace_switches.get() + 1);
    }
}

fn log_flush(asid: u16, page: Option<u64>) {
    let m = machine();
    let count = if page.is_some() { &m.page_flushes } else { &m.asid_flushes };
    count.set(count.get() + 1);
    let mut log = m.flush_log.borrow_mut();
    log.push_back((asid, page));
    if log.len() > 64 {
        log.pop_front();
    }
}

pub fn tlb_flush_page(asid: u16, vaddr: u64) {
    log_flush(asid, Some(vaddr));
}

pub fn tlb_flush_asid(asid: u16) {
    log_flush(asid, None);
}

/// Empties the caches: there are none.
pub fn flush_caches() {}

pub fn forget_domain() {
    machine().domains_forgotten.update(|n| n + 1);
}

pub fn tlb_flush_asids() {
    log_flush(0, None);
}

// Time.

pub fn now() -> u64 {
    let m = machine();
    if m.time_later.get().0 != 0 {
        let (readings, ticks) = m.time_later.get();
        m.time_later.set((readings - 1, ticks));
        m.time.set(m.time.get() + if readings == 1 { ticks } else { 0 });
    }
    m.time.get()
}

pub fn set_deadline(ticks: u64) {
    machine().deadline.set(ticks);
}

pub fn us_to_ticks(us: u64) -> u64 {
    us * TICKS_PER_US
}

pub fn ticks_to_us(ticks: u64) -> u64 {
    ticks / TICKS_PER_US
}

pub fn max_us() -> u64 {
    u64::MAX / TICKS_PER_US / 8
}

pub fn kernel_wcet_ticks() -> u64 {
    us_to_ticks(10)
}

pub fn tsc_mhz() -> u32 {
    TICKS_PER_US as u32
}

// Interrupts and devices.

pub fn irq_mask(irq: usize, masked: bool) {
    with_line(irq, |l| l.masked = masked);
}

pub fn irq_ack(irq: usize) {
    with_line(irq, |l| l.acks += 1);
}

pub fn irq_route_ioapic(irq: usize, route: IrqRoute) {
    with_line(irq, |l| (l.route, l.masked) = (Some(route), true));
}

pub fn irq_route_msi(irq: usize) {
    with_line(irq, |l| (l.route, l.masked) = (None, true));
}

pub fn num_ioapics() -> usize {
    IOAPICS
}

pub fn ioapic_pins(index: usize) -> usize {
    assert!(index < IOAPICS);
    IOAPIC_PINS
}

pub fn irq_pending() -> bool {
    let m = machine();
    let (looks, irq) = m.irq_later.get();
    if looks != 0 {
        m.irq_later.set((looks - 1, irq));
        m.pending.borrow_mut().extend((looks == 1).then_some(irq));
    }
    !m.pending.borrow().is_empty()
}

/// Zeroes words of memory.
///
/// # Safety
/// The `words` words from `start` on are mapped, and nobody holds a reference to them.
pub unsafe fn zero(start: *mut u64, words: usize) {
    // SAFETY: the caller's obligation.
    unsafe { start.write_bytes(0, words) }
}

/// The words of which [`decode_exception`] makes an exception.
pub fn encode_exception(exception: Exception) -> (u64, u64, u64) {
    match exception {
        Exception::PageFault { address, status, .. } => (14, status, address),
        Exception::Debug { software } => (if software { 3 } else { 1 }, 0, 0),
        Exception::User { number, code } => (number, code, 0),
    }
}

/// Here, interrupts have their numbers, and none is stray.
pub fn claim_interrupt(vector: usize) -> Claim {
    Claim::Interrupt(vector)
}

pub fn mask_surely(word: u64, mask: u64) -> u64 {
    word & mask
}

pub fn take_pending_irq() -> Option<usize> {
    machine().pending.borrow_mut().pop_front()
}

pub fn io_read(port: u16, bytes: u32) -> u32 {
    let value = machine().io_values.borrow().get(&port).copied().unwrap_or(u32::MAX);
    value & u32::MAX >> (32 - 8 * bytes)
}

pub fn io_write(port: u16, bytes: u32, value: u32) {
    machine().io_writes.borrow_mut().push((port, bytes, value));
}

/// Prints a byte: into the machine's buffer, and on standard error if `PECAN_CONSOLE` is set.
pub fn console_putc(byte: u8) {
    machine().console.borrow_mut().push(byte);
    if std::env::var_os("PECAN_CONSOLE").is_some() {
        let _ = std::io::stderr().write_all(&[byte]);
    }
}

/// The kernel's console, for `write!`.
pub struct Console;

impl core::fmt::Write for Console {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        s.bytes().for_each(console_putc);
        Ok(())
    }
}

/// Notes how deep the kernel's stack gets from now on: not here.
pub fn paint_stack() {}

/// Bytes of stack that the kernel has used at most since it was painted: here, unknown.
pub fn stack_used() -> usize {
    0
}

/// Stops the machine: here, the test.
pub fn halt() -> ! {
    panic!("the kernel halted")
}

/// Waits for an interrupt: here, jumps to the deadline and raises the timer if none is pending.
pub fn idle_wait() {
    if !irq_pending() {
        set_time(machine().deadline.get().max(now()));
        raise_irq(IRQ_TIMER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switching_to_the_same_address_space_is_no_switch() {
        // SAFETY: the host port only records the root.
        unsafe {
            switch_vspace(space(PhysAddr(0x1000), 1));
            switch_vspace(space(PhysAddr(0x1000), 1));
            switch_vspace(space(PhysAddr(0x1000), 2));
        }
        switch_kernel_vspace();
        assert_eq!(machine().vspace_switches.get(), 3);
        assert_eq!(machine().vspace.get(), None);
    }

    #[test]
    fn vector_state_survives_a_round_trip() {
        let (a, b) = (FpuState::init(), FpuState::init());
        *machine().fpu_registers.borrow_mut() = vec![7; 64];
        fpu_save(&a);
        fpu_load(&b);
        assert_eq!(machine().fpu_registers.borrow()[0], 0);
        fpu_load(&a);
        assert_eq!(machine().fpu_registers.borrow()[63], 7);
    }

    #[test]
    fn idle_jumps_to_the_deadline() {
        set_time(5);
        set_deadline(100);
        idle_wait();
        assert_eq!((now(), take_pending_irq()), (100, Some(IRQ_TIMER)));
    }

    #[test]
    fn what_is_to_come_later_comes_once() {
        raise_irq_later(2, 40);
        assert_eq!((irq_pending(), irq_pending()), (false, true));
        assert_eq!((take_pending_irq(), irq_pending()), (Some(40), false));
        set_time(5);
        advance_time_later(2, 10);
        assert_eq!([now(), now(), now()], [5, 15, 15]);
        assert!(!nothing_later());
        advance_time_later(1, 10);
        assert!(nothing_later());
        assert_eq!(now(), 15);
    }

    #[test]
    fn memory_is_seen_through_the_registered_base() {
        let mut page = [0u8; 64];
        set_memory(page.as_mut_ptr(), page.len());
        let v = phys_to_virt(PhysAddr(16));
        assert_eq!(v, page.as_ptr() as usize + 16);
        assert_eq!(virt_to_phys(v), PhysAddr(16));
    }
}
