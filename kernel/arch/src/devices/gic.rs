//! Arm's generic interrupt controller, version 2 (IHI 0048): the distributor, and a core's interface to it.

/// How registers are reached, of the distributor or of the core's interface.
pub trait Registers {
    /// Reads the register at this offset.
    fn read(&self, offset: usize) -> u32;
    /// Writes the register at this offset.
    fn write(&self, offset: usize, value: u32);
}

// Of the distributor.
const CONTROL: usize = 0x000;
const TYPE: usize = 0x004;
const GROUP: usize = 0x080;
const SET_ENABLE: usize = 0x100;
const CLEAR_ENABLE: usize = 0x180;
const CLEAR_PENDING: usize = 0x280;
const CLEAR_ACTIVE: usize = 0x380;
const PRIORITY: usize = 0x400;
const TARGETS: usize = 0x800;
const CONFIGURATION: usize = 0xc00;

// Of the core's interface.
const CORE_CONTROL: usize = 0x00;
const PRIORITY_MASK: usize = 0x04;
const BINARY_POINT: usize = 0x08;
const ACKNOWLEDGE: usize = 0x0c;
const END: usize = 0x10;

/// Numbers from here on say that there is no interrupt.
const SPECIAL: u32 = 1020;
/// First number of an interrupt that all cores share; those below belong to a core each.
const FIRST_SHARED: usize = 32;
/// Software-generated interrupts have the numbers below this one, and are always on edges.
const FIRST_PRIVATE: usize = 16;
/// The one priority of all interrupts: lower than the mask, which lets it through.
const ORDINARY: u32 = 0xa0a0_a0a0;

/// Sets the distributor up: every interrupt is masked, not pending, on a level, and the shared ones go to this core. Returns
/// how many numbers there are.
pub fn init(distributor: &impl Registers) -> usize {
    distributor.write(CONTROL, 0);
    let numbers = (((distributor.read(TYPE) & 31) as usize + 1) * 32).min(SPECIAL as usize);
    for word in 0..numbers.div_ceil(32) {
        for register in [CLEAR_ENABLE, CLEAR_PENDING, CLEAR_ACTIVE] {
            distributor.write(register + 4 * word, u32::MAX);
        }
        distributor.write(GROUP + 4 * word, 0);
    }
    // Those of one core say which core this is.
    let own = distributor.read(TARGETS) & 0xff;
    for word in 0..numbers.div_ceil(4) {
        distributor.write(PRIORITY + 4 * word, ORDINARY);
        if 4 * word >= FIRST_SHARED {
            distributor.write(TARGETS + 4 * word, own * 0x0101_0101);
        }
    }
    for word in 2..numbers.div_ceil(16) {
        distributor.write(CONFIGURATION + 4 * word, 0);
    }
    distributor.write(CONTROL, 1);
    numbers
}

/// Lets interrupts through to the core.
pub fn init_core(core: &impl Registers) {
    core.write(PRIORITY_MASK, 0xff);
    core.write(BINARY_POINT, 0);
    core.write(CORE_CONTROL, 1);
}

/// Masks or unmasks an interrupt. One that comes meanwhile stays pending.
#[inline]
pub fn mask(distributor: &impl Registers, irq: usize, masked: bool) {
    let register = if masked { CLEAR_ENABLE } else { SET_ENABLE };
    distributor.write(register + 4 * (irq / 32), 1 << (irq % 32));
}

/// An interrupt, which must be masked, is triggered by an edge rather than by a level. Edges that have been noted before are
/// forgotten.
pub fn set_trigger(distributor: &impl Registers, irq: usize, edge: bool) {
    if irq >= FIRST_PRIVATE {
        let (register, bit) = (CONFIGURATION + 4 * (irq / 16), 2 << (2 * (irq % 16)));
        let others = distributor.read(register) & !bit;
        distributor.write(register, others | if edge { bit } else { 0 });
    }
    distributor.write(CLEAR_PENDING + 4 * (irq / 32), 1 << (irq % 32));
}

/// Takes the interrupt that is pending, as the word to end it with ([`end`]): its number, and for a software-generated one the
/// core that sent it. None if it has gone away.
#[inline]
pub fn take(core: &impl Registers) -> Option<u32> {
    let word = core.read(ACKNOWLEDGE);
    (number(word) < SPECIAL as usize).then_some(word)
}

/// The number in the word that [`take`] gave.
#[inline]
pub fn number(word: u32) -> usize {
    (word & 0x3ff) as usize
}

/// An interrupt is handled, with the word that [`take`] gave.
#[inline]
pub fn end(core: &impl Registers, word: u32) {
    core.write(END, word);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Registers that are memory, and what was written to them.
    struct Memory {
        words: RefCell<Vec<u32>>,
        writes: RefCell<Vec<(usize, u32)>>,
    }

    impl Memory {
        fn new() -> Self {
            let memory = Memory { words: RefCell::new(vec![0; 0x400]), writes: RefCell::default() };
            // 288 numbers, as on QEMU's board; this is core 0.
            memory.words.borrow_mut()[TYPE / 4] = 8;
            memory.words.borrow_mut()[TARGETS / 4] = 0x0101_0101;
            memory
        }

        fn last(&self, offset: usize) -> Option<u32> {
            self.writes.borrow().iter().rfind(|w| w.0 == offset).map(|w| w.1)
        }
    }

    impl Registers for Memory {
        fn read(&self, offset: usize) -> u32 {
            self.words.borrow()[offset / 4]
        }

        fn write(&self, offset: usize, value: u32) {
            self.words.borrow_mut()[offset / 4] = value;
            self.writes.borrow_mut().push((offset, value));
        }
    }

    #[test]
    fn everything_is_masked_before_the_distributor_is_on() {
        let gic = Memory::new();
        assert_eq!(init(&gic), 288);
        let writes = gic.writes.take();
        assert_eq!((writes.first(), writes.last()), (Some(&(CONTROL, 0)), Some(&(CONTROL, 1))));
        let masked = writes.iter().filter(|w| (CLEAR_ENABLE..CLEAR_ENABLE + 0x80).contains(&w.0));
        assert_eq!(masked.map(|w| w.1.count_ones()).sum::<u32>(), 288);
        let targets: Vec<_> = writes.iter().filter(|w| (TARGETS..TARGETS + 0x400).contains(&w.0)).collect();
        assert_eq!(targets.len(), 256 / 4, "those of one core cannot be sent elsewhere");
        assert!(targets.iter().all(|w| w.1 == 0x0101_0101));
        assert!(!writes.iter().any(|w| (SET_ENABLE..SET_ENABLE + 0x80).contains(&w.0)));
    }

    #[test]
    fn an_interrupt_is_one_bit() {
        let gic = Memory::new();
        mask(&gic, 33, false);
        mask(&gic, 27, true);
        assert_eq!(gic.writes.take(), [(SET_ENABLE + 4, 2), (CLEAR_ENABLE, 1 << 27)]);
    }

    #[test]
    fn the_trigger_of_others_stays() {
        let gic = Memory::new();
        set_trigger(&gic, 33, true);
        set_trigger(&gic, 35, true);
        assert_eq!(gic.last(CONFIGURATION + 8), Some(0b1000_1000));
        set_trigger(&gic, 33, false);
        assert_eq!(gic.last(CONFIGURATION + 8), Some(0b1000_0000));
        gic.writes.take();
        set_trigger(&gic, 3, false);
        assert_eq!(gic.writes.take(), [(CLEAR_PENDING, 8)], "software-generated ones have no trigger");
    }

    #[test]
    fn what_is_no_interrupt_is_not_taken() {
        let core = Memory::new();
        for (word, taken) in
            [(27, true), (1019, true), (0x402, true), (1020, false), (1022, false), (1023, false)]
        {
            core.words.borrow_mut()[ACKNOWLEDGE / 4] = word;
            assert_eq!(take(&core), taken.then_some(word));
        }
        assert_eq!(number(0x402), 2);
        end(&core, 0x402);
        assert_eq!(core.last(END), Some(0x402), "with the core that sent it");
    }
}
