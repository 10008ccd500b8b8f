//! Interrupt controllers: the local APIC in both its modes, IOAPICs, and the legacy controllers, switched off.
//!
//! A level-triggered pin is masked in the IOAPIC. Edges and messages cannot be held back there without losing them, so
//! their masking is kept in software: one that arrives while masked is remembered and raised again on unmasking.

use core::cell::Cell;

use super::core_block::OneCore;
use super::cpu::{self, io_write, rdmsr, wrmsr};
use super::features::{Features, has};
use super::{entry, vspace};
use crate::firmware::acpi::MAX_IOAPICS;
use crate::format::x86_64::irq::{Claim, IRQ_TIMER, IRQ_USER_MIN, IrqRoute, MAX_IRQ, VECTOR_OFFSET};

const ID: u32 = 0x2;
const TASK_PRIORITY: u32 = 0x8;
const EOI: u32 = 0xb;
const SPURIOUS: u32 = 0xf;
/// Vectors 0 to 31 that the processor has taken from the local APIC and not acknowledged.
const IN_SERVICE: u32 = 0x10;
const COMMAND: u32 = 0x30;
const COMMAND_HIGH: u32 = 0x31;
const LVT_TIMER: u32 = 0x32;
/// Performance counters, LINT0, LINT1, errors.
const LVT_OTHERS: [u32; 4] = [0x34, 0x35, 0x36, 0x37];
const TIMER_INITIAL: u32 = 0x38;
const TIMER_CURRENT: u32 = 0x39;
const TIMER_DIVIDE: u32 = 0x3e;

const LVT_MASKED: u32 = 1 << 16;
const LVT_TSC_DEADLINE: u32 = 2 << 17;
const TIMER_VECTOR: u32 = (IRQ_TIMER + VECTOR_OFFSET) as u32;
/// Interrupt command: to oneself, asserted.
const TO_SELF: u32 = 1 << 18 | 1 << 14;

const ENTRY_MASKED: u32 = 1 << 16;
const ENTRY_LEVEL: u32 = 1 << 15;
const ENTRY_ACTIVE_LOW: u32 = 1 << 13;

/// The address that a processor's local APIC has unless firmware moved it.
pub const DEFAULT_IOAPIC: u32 = 0xfec0_0000;
/// Device slots (`vspace::map_device`): the local APIC, then the IOAPICs.
const LOCAL_SLOT: usize = 0;
const IOAPIC_SLOT: usize = 1;

struct Irq {
    route: Cell<Option<IrqRoute>>,
    /// The pin is unmasked in its IOAPIC, where an edge-triggered one stays so.
    armed: Cell<bool>,
    masked: Cell<bool>,
    late: Cell<bool>,
}

impl Irq {
    const fn new() -> Self {
        let (armed, masked, late) = (Cell::new(false), Cell::new(true), Cell::new(false));
        Irq { route: Cell::new(None), armed, masked, late }
    }
}

struct Chips {
    irqs: [Irq; MAX_IRQ],
    pins: [Cell<usize>; MAX_IOAPICS],
    count: Cell<usize>,
}

static CHIPS: OneCore<Chips> = OneCore::new(Chips {
    irqs: [const { Irq::new() }; MAX_IRQ],
    pins: [const { Cell::new(0) }; MAX_IOAPICS],
    count: Cell::new(0),
});

fn register(slot: usize, offset: usize) -> *mut u32 {
    (vspace::device_address(slot) + offset) as *mut u32
}

#[inline]
fn read(r: u32) -> u32 {
    // SAFETY: `init` has mapped the registers or found x2APIC; reading those used here has no side effect.
    unsafe {
        if has(Features::X2APIC) {
            rdmsr(cpu::MSR_X2APIC + r) as u32
        } else {
            register(LOCAL_SLOT, r as usize * 16).read_volatile()
        }
    }
}

#[inline]
fn write(r: u32, value: u32) {
    // SAFETY: as in `read`; the APIC only makes interrupts, which the kernel expects on every vector that it programs.
    unsafe {
        if has(Features::X2APIC) {
            wrmsr(cpu::MSR_X2APIC + r, value.into());
        } else {
            register(LOCAL_SLOT, r as usize * 16).write_volatile(value);
        }
    }
}

/// Switches the legacy controllers off, with their vectors moved clear of the exceptions first.
pub fn disable_legacy() {
    for (port, offset, wiring) in [(0x20, 0x20, 4), (0xa0, 0x28, 2)] {
        for (register, value) in [(0, 0x11), (1, offset), (1, wiring), (1, 1), (1, 0xff)] {
            io_write(port + register, 1, value);
        }
    }
}

/// Switches the local APIC on. Returns the page of its registers, which it has also in x2APIC mode.
pub fn init_local() -> u64 {
    const ENABLE: u64 = 1 << 11;
    const X2: u64 = 1 << 10;
    // SAFETY: the processor has a local APIC (`features::check`) and this register. The kernel's tables for the vectors used
    // here are loaded.
    let page = unsafe {
        let base = rdmsr(cpu::MSR_APIC_BASE);
        let page = base & 0x000f_ffff_ffff_f000;
        vspace::map_device(LOCAL_SLOT, page);
        wrmsr(cpu::MSR_APIC_BASE, base | ENABLE);
        if has(Features::X2APIC) {
            wrmsr(cpu::MSR_APIC_BASE, base | ENABLE | X2);
        }
        page
    };
    for lvt in LVT_OTHERS {
        write(lvt, LVT_MASKED);
    }
    write(TASK_PRIORITY, 0);
    write(SPURIOUS, 1 << 8 | entry::SPURIOUS_VECTOR as u32);
    write(TIMER_DIVIDE, 0b1011); // by 1
    write(LVT_TIMER, LVT_MASKED | TIMER_VECTOR);
    page
}

/// Starts the timer counting down from its largest value without interrupting, for calibration.
pub fn timer_free_run() {
    write(TIMER_INITIAL, u32::MAX);
}

/// What the timer has counted since [`timer_free_run`]; its largest value once it has run out.
pub fn timer_elapsed() -> u32 {
    u32::MAX - read(TIMER_CURRENT)
}

/// Unmasks the timer, in its mode for the rest of the time.
pub fn timer_enable() {
    write(TIMER_INITIAL, 0);
    write(LVT_TIMER, TIMER_VECTOR | if has(Features::TSC_DEADLINE) { LVT_TSC_DEADLINE } else { 0 });
    // SAFETY: every processor has the instruction; the change of mode must precede the first deadline.
    unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
}

/// Starts the one-shot timer.
#[inline]
pub fn timer_start(count: u32) {
    write(TIMER_INITIAL, count);
}

fn ioapic_read(ioapic: usize, r: u32) -> u32 {
    // SAFETY: the IOAPIC's page is mapped (`init_ioapic`); the select register is written before every access.
    unsafe {
        register(IOAPIC_SLOT + ioapic, 0).write_volatile(r);
        register(IOAPIC_SLOT + ioapic, 0x10).read_volatile()
    }
}

fn ioapic_write(ioapic: usize, r: u32, value: u32) {
    // SAFETY: as in `ioapic_read`; entries name only vectors that the kernel expects.
    unsafe {
        register(IOAPIC_SLOT + ioapic, 0).write_volatile(r);
        register(IOAPIC_SLOT + ioapic, 0x10).write_volatile(value);
    }
}

/// Takes an IOAPIC into use, all its pins masked; false if there is none at this address.
pub fn init_ioapic(address: u32) -> bool {
    let i = CHIPS.count.get();
    if i == MAX_IOAPICS || address & 0xfff != 0 {
        return false;
    }
    vspace::map_device(IOAPIC_SLOT + i, address.into());
    let version = ioapic_read(i, 1);
    if version == 0 || version == u32::MAX {
        return false;
    }
    let pins = (version >> 16 & 0xff) as usize + 1;
    for pin in 0..pins {
        ioapic_write(i, 0x10 + 2 * pin as u32, ENTRY_MASKED);
    }
    CHIPS.pins[i].set(pins);
    CHIPS.count.set(i + 1);
    true
}

pub fn num_ioapics() -> usize {
    CHIPS.count.get()
}

pub fn ioapic_pins(index: usize) -> usize {
    CHIPS.pins.get(index).map_or(0, Cell::get)
}

fn write_entry(irq: usize, r: IrqRoute, masked: bool) {
    let mut low = (irq + VECTOR_OFFSET) as u32;
    low |= if masked { ENTRY_MASKED } else { 0 };
    low |= if r.level { ENTRY_LEVEL } else { 0 };
    low |= if r.active_low { ENTRY_ACTIVE_LOW } else { 0 };
    ioapic_write(r.ioapic, 0x10 + 2 * r.pin as u32, low);
}

pub fn irq_route_ioapic(irq: usize, route: IrqRoute) {
    if irq >= MAX_IRQ || route.pin >= ioapic_pins(route.ioapic) {
        return;
    }
    irq_route_msi(irq);
    let same_pin = |r: IrqRoute| (r.ioapic, r.pin) == (route.ioapic, route.pin);
    for other in CHIPS.irqs.iter().filter(|o| o.route.get().is_some_and(same_pin)) {
        other.route.set(None);
    }
    let id = if has(Features::X2APIC) { read(ID) } else { read(ID) >> 24 };
    // The destination first: the low half is what arms the entry.
    ioapic_write(route.ioapic, 0x11 + 2 * route.pin as u32, id << 24);
    write_entry(irq, route, true);
    CHIPS.irqs[irq].route.set(Some(route));
}

pub fn irq_route_msi(irq: usize) {
    let Some(state) = CHIPS.irqs.get(irq) else { return };
    if let Some(old) = state.route.take() {
        write_entry(irq, old, true);
    }
    state.armed.set(false);
    state.masked.set(true);
    state.late.set(false);
}

#[inline]
pub fn irq_mask(irq: usize, masked: bool) {
    let Some(state) = CHIPS.irqs.get(irq) else { return };
    if state.masked.replace(masked) == masked {
        return;
    }
    if let Some(r) = state.route.get()
        && (r.level || !masked && !state.armed.replace(true))
    {
        write_entry(irq, r, masked);
    }
    if !masked && state.late.replace(false) {
        if !has(Features::X2APIC) {
            write(COMMAND_HIGH, 0);
        }
        write(COMMAND, TO_SELF | (irq + VECTOR_OFFSET) as u32);
    }
}

/// Tells the local APIC that the kernel has taken the interrupt.
#[inline]
pub fn irq_ack(_irq: usize) {
    write(EOI, 0);
}

/// What has arrived as `vector`.
#[inline]
pub fn claim_interrupt(vector: usize) -> Claim {
    let irq = vector.wrapping_sub(VECTOR_OFFSET);
    if irq == IRQ_TIMER {
        return Claim::Interrupt(irq);
    }
    let Some(state) = CHIPS.irqs.get(irq) else { return claim_stray(vector) };
    if irq >= IRQ_USER_MIN && !state.masked.get() {
        return Claim::Interrupt(irq);
    }
    state.late.set(!state.route.get().is_some_and(|r| r.level));
    write(EOI, 0);
    Claim::Nothing
}

/// A vector that the kernel does not use: a device can raise those from 16 on by message (SDM volume 3, "Valid Interrupt
/// Vectors"). Two of them are also exceptions that user level causes: of the x87 unit and of SIMD arithmetic.
#[cold]
#[inline(never)]
fn claim_stray(vector: usize) -> Claim {
    if matches!(vector, 16 | 19) && read(IN_SERVICE) >> vector & 1 == 0 {
        return Claim::Exception;
    }
    // Where this is a spurious interrupt, nothing is in service, and nothing happens.
    write(EOI, 0);
    Claim::Nothing
}

/// Takes the interrupt that [`irq_pending`](entry::irq_pending) or [`idle_wait`](entry::idle_wait) noted.
pub fn take_pending_irq() -> Option<usize> {
    match claim_interrupt(entry::take_noted()?) {
        Claim::Interrupt(irq) => Some(irq),
        Claim::Nothing | Claim::Exception => None,
    }
}
