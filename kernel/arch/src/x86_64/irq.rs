//! Interrupts: from the local APIC in both its modes and from IOAPICs; the legacy controllers are switched off.
//!
//! A level-triggered pin is masked in the IOAPIC. Edges and messages cannot be held back there without losing them, so
//! their masking is kept in software: one that arrives while masked is remembered and raised again on unmasking.

use core::cell::Cell;

use super::cpu::{self, io_write, rdmsr, wrmsr};
use super::features::{Features, has};
use super::{entry, vspace};
use crate::devices::{ioapic, local_apic, pic};
use crate::firmware::acpi::MAX_IOAPICS;
use crate::format::Claim;
use crate::format::x86_64::irq::{IRQ_TIMER, IRQ_USER_MIN, IoapicPin, IrqSource, MAX_IRQ, VECTOR_OFFSET};
use crate::one_core::OneCore;

/// The vector of the timer.
pub const TIMER_VECTOR: u8 = (IRQ_TIMER + VECTOR_OFFSET) as u8;

/// The address that the first IOAPIC has unless firmware moved it.
pub const DEFAULT_IOAPIC: u32 = 0xfec0_0000;
/// Device slots (`vspace::map_device`): the local APIC, then the IOAPICs.
const LOCAL_SLOT: usize = 0;
const IOAPIC_SLOT: usize = 1;

struct Irq {
    pin: Cell<Option<IoapicPin>>,
    /// The pin is unmasked in its IOAPIC, where an edge-triggered one stays so.
    armed: Cell<bool>,
    masked: Cell<bool>,
    late: Cell<bool>,
}

impl Irq {
    const fn new() -> Self {
        let (armed, masked, late) = (Cell::new(false), Cell::new(true), Cell::new(false));
        Irq { pin: Cell::new(None), armed, masked, late }
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

/// The local APIC of this processor.
pub struct LocalApic;

impl local_apic::Registers for LocalApic {
    #[inline]
    fn read(&self, r: u32) -> u32 {
        // SAFETY: `init_local` has mapped the registers or found x2APIC; reading those that the driver uses has no side effect.
        unsafe {
            if has(Features::X2APIC) {
                rdmsr(cpu::MSR_X2APIC + r) as u32
            } else {
                register(LOCAL_SLOT, r as usize * 16).read_volatile()
            }
        }
    }

    #[inline]
    fn write(&self, r: u32, value: u32) {
        // SAFETY: as in `read`; the APIC only makes interrupts, which the kernel expects on every vector that it programs.
        unsafe {
            if has(Features::X2APIC) {
                wrmsr(cpu::MSR_X2APIC + r, value.into());
            } else {
                register(LOCAL_SLOT, r as usize * 16).write_volatile(value);
            }
        }
    }

    #[inline]
    fn is_x2(&self) -> bool {
        has(Features::X2APIC)
    }
}

/// An IOAPIC, by its index.
struct Ioapic(usize);

impl ioapic::Window for Ioapic {
    fn read(&self, r: u32) -> u32 {
        // SAFETY: the IOAPIC's page is mapped (`init_ioapic`); the select register is written before every access.
        unsafe {
            register(IOAPIC_SLOT + self.0, 0).write_volatile(r);
            register(IOAPIC_SLOT + self.0, 0x10).read_volatile()
        }
    }

    fn write(&self, r: u32, value: u32) {
        // SAFETY: as in `read`; entries name only vectors that the kernel expects.
        unsafe {
            register(IOAPIC_SLOT + self.0, 0).write_volatile(r);
            register(IOAPIC_SLOT + self.0, 0x10).write_volatile(value);
        }
    }
}

/// Switches the legacy controllers off.
pub fn disable_legacy() {
    pic::disable(|port, value| io_write(port, 1, value.into()));
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
    local_apic::init(&LocalApic, entry::SPURIOUS_VECTOR as u8, TIMER_VECTOR);
    page
}

/// Takes an IOAPIC into use, all its pins masked; false if there is none at this address.
pub fn init_ioapic(address: u32) -> bool {
    let i = CHIPS.count.get();
    if i == MAX_IOAPICS || address & 0xfff != 0 {
        return false;
    }
    vspace::map_device(IOAPIC_SLOT + i, address.into());
    let Some(pins) = ioapic::init(&Ioapic(i)) else { return false };
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

fn write_entry(irq: usize, p: IoapicPin, masked: bool) {
    let vector = (irq + VECTOR_OFFSET) as u8;
    let entry = ioapic::Redirection { vector, level: p.level, active_low: p.active_low, masked };
    ioapic::set(&Ioapic(p.ioapic), p.pin, entry);
}

pub fn irq_connect(irq: usize, source: IrqSource) {
    let Some(state) = CHIPS.irqs.get(irq) else { return };
    if let IrqSource::Pin(pin) = source
        && pin.pin >= ioapic_pins(pin.ioapic)
    {
        return;
    }
    if let Some(old) = state.pin.take() {
        write_entry(irq, old, true);
    }
    state.armed.set(false);
    state.masked.set(true);
    state.late.set(false);
    let IrqSource::Pin(pin) = source else { return };
    let same_pin = |p: IoapicPin| (p.ioapic, p.pin) == (pin.ioapic, pin.pin);
    for other in CHIPS.irqs.iter().filter(|o| o.pin.get().is_some_and(same_pin)) {
        other.pin.set(None);
    }
    ioapic::direct(&Ioapic(pin.ioapic), pin.pin, local_apic::id(&LocalApic));
    write_entry(irq, pin, true);
    state.pin.set(Some(pin));
}

#[inline]
pub fn irq_mask(irq: usize, masked: bool) {
    let Some(state) = CHIPS.irqs.get(irq) else { return };
    if state.masked.replace(masked) == masked {
        return;
    }
    if let Some(p) = state.pin.get()
        && (p.level || !masked && !state.armed.replace(true))
    {
        write_entry(irq, p, masked);
    }
    if !masked && state.late.replace(false) {
        local_apic::send_to_self(&LocalApic, (irq + VECTOR_OFFSET) as u8);
    }
}

/// Tells the local APIC that the kernel has taken the interrupt.
#[inline]
pub fn irq_ack(_irq: usize) {
    local_apic::end_interrupt(&LocalApic);
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
    state.late.set(!state.pin.get().is_some_and(|r| r.level));
    local_apic::end_interrupt(&LocalApic);
    Claim::Nothing
}

/// A vector that the kernel does not use: a device can raise those from 16 on by message (SDM volume 3, "Valid Interrupt
/// Vectors"). Two of them are also exceptions that user level causes: of the x87 unit and of SIMD arithmetic.
#[cold]
#[inline(never)]
fn claim_stray(vector: usize) -> Claim {
    if matches!(vector, 16 | 19) && !local_apic::is_in_service(&LocalApic, vector) {
        return Claim::Exception;
    }
    // Where this is a spurious interrupt, nothing is in service, and nothing happens.
    local_apic::end_interrupt(&LocalApic);
    Claim::Nothing
}

/// Takes the interrupt that [`irq_pending`](entry::irq_pending) or [`idle_wait`](entry::idle_wait) noted.
pub fn take_pending_irq() -> Option<usize> {
    match claim_interrupt(entry::take_noted()?) {
        Claim::Interrupt(irq) => Some(irq),
        Claim::Nothing | Claim::Exception => None,
    }
}
