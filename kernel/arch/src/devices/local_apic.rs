//! The local APIC of x86 processors, in both of its modes: interrupts from devices come through it, and it has a timer.

/// How its registers are reached: by their numbers, as x2APIC mode counts them.
pub trait Registers {
    /// Reads a register. Those used here have no side effect.
    fn read(&self, register: u32) -> u32;
    /// Writes a register.
    fn write(&self, register: u32, value: u32);
    /// It is in x2APIC mode.
    fn is_x2(&self) -> bool;
}

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
/// Interrupt command: to oneself, asserted.
const TO_SELF: u32 = 1 << 18 | 1 << 14;

/// Masks everything and lets interrupts through, the timer with this vector.
pub fn init(apic: &impl Registers, spurious_vector: u8, timer_vector: u8) {
    LVT_OTHERS.into_iter().for_each(|lvt| apic.write(lvt, LVT_MASKED));
    apic.write(TASK_PRIORITY, 0);
    apic.write(SPURIOUS, 1 << 8 | u32::from(spurious_vector));
    apic.write(TIMER_DIVIDE, 0b1011); // by 1
    apic.write(LVT_TIMER, LVT_MASKED | u32::from(timer_vector));
}

/// Its number.
pub fn id(apic: &impl Registers) -> u32 {
    if apic.is_x2() { apic.read(ID) } else { apic.read(ID) >> 24 }
}

/// The interrupt taken last is handled.
#[inline(always)]
pub fn end_interrupt(apic: &impl Registers) {
    apic.write(EOI, 0);
}

/// The processor has taken this vector, below 32, from the local APIC, and it is not handled yet.
pub fn is_in_service(apic: &impl Registers, vector: usize) -> bool {
    apic.read(IN_SERVICE) >> vector & 1 != 0
}

/// Makes the processor interrupt itself.
#[inline]
pub fn send_to_self(apic: &impl Registers, vector: u8) {
    if !apic.is_x2() {
        apic.write(COMMAND_HIGH, 0);
    }
    apic.write(COMMAND, TO_SELF | u32::from(vector));
}

/// Starts the timer counting down from its largest value without interrupting, for calibration.
pub fn timer_free_run(apic: &impl Registers) {
    apic.write(TIMER_INITIAL, u32::MAX);
}

/// What the timer has counted since [`timer_free_run`]; its largest value once it has run out.
pub fn timer_elapsed(apic: &impl Registers) -> u32 {
    u32::MAX - apic.read(TIMER_CURRENT)
}

/// Stops the timer and unmasks it, in its mode for the rest of the time: by deadline, or one shot.
pub fn timer_enable(apic: &impl Registers, vector: u8, by_deadline: bool) {
    apic.write(TIMER_INITIAL, 0);
    apic.write(LVT_TIMER, u32::from(vector) | if by_deadline { LVT_TSC_DEADLINE } else { 0 });
}

/// Starts the one-shot timer.
#[inline]
pub fn timer_start(apic: &impl Registers, count: u32) {
    apic.write(TIMER_INITIAL, count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    struct Apic {
        x2: bool,
        writes: RefCell<Vec<(u32, u32)>>,
    }

    impl Registers for Apic {
        fn read(&self, register: u32) -> u32 {
            match register {
                ID => 0x0500_0000,
                IN_SERVICE => 1 << 19,
                _ => 0,
            }
        }

        fn write(&self, register: u32, value: u32) {
            self.writes.borrow_mut().push((register, value));
        }

        fn is_x2(&self) -> bool {
            self.x2
        }
    }

    #[test]
    fn modes_differ_in_numbers_and_commands() {
        let [old, x2] = [false, true].map(|x2| Apic { x2, writes: RefCell::default() });
        assert_eq!((id(&old), id(&x2)), (5, 0x0500_0000));
        send_to_self(&old, 0x42);
        send_to_self(&x2, 0x42);
        assert_eq!(old.writes.take(), [(COMMAND_HIGH, 0), (COMMAND, TO_SELF | 0x42)]);
        assert_eq!(x2.writes.take(), [(COMMAND, TO_SELF | 0x42)]);
        assert!(is_in_service(&x2, 19) && !is_in_service(&x2, 16));
    }

    #[test]
    fn the_timer_is_masked_until_it_is_enabled() {
        let apic = Apic { x2: true, writes: RefCell::default() };
        init(&apic, 0xff, 0x9e);
        let lvt = |writes: Vec<(u32, u32)>| writes.into_iter().rfind(|w| w.0 == LVT_TIMER).map(|w| w.1);
        assert_eq!(lvt(apic.writes.take()), Some(LVT_MASKED | 0x9e));
        timer_enable(&apic, 0x9e, true);
        assert_eq!(lvt(apic.writes.take()), Some(LVT_TSC_DEADLINE | 0x9e));
        timer_enable(&apic, 0x9e, false);
        assert_eq!(lvt(apic.writes.take()), Some(0x9e));
    }
}
