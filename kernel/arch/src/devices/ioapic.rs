//! The I/O APIC (Intel 82093AA): a table with an entry for each of its input pins.

/// How its registers are reached: two in memory, one of which selects what the other shows.
pub trait Window {
    /// Selects register `index` and reads it.
    fn read(&self, index: u32) -> u32;
    /// Selects register `index` and writes it.
    fn write(&self, index: u32, value: u32);
}

const VERSION: u32 = 1;
const ENTRIES: u32 = 0x10;

const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

/// How a pin raises interrupts.
#[derive(Clone, Copy)]
pub struct Redirection {
    /// The processor's vector.
    pub vector: u8,
    /// Level-triggered rather than edge-triggered.
    pub level: bool,
    /// Active low rather than active high.
    pub active_low: bool,
    /// It does not raise any.
    pub masked: bool,
}

/// Masks all pins; returns how many there are, or `None` where there is no such controller.
pub fn init(ioapic: &impl Window) -> Option<usize> {
    let version = ioapic.read(VERSION);
    if version == 0 || version == u32::MAX {
        return None;
    }
    let pins = (version >> 16 & 0xff) + 1;
    (0..pins).for_each(|pin| ioapic.write(ENTRIES + 2 * pin, MASKED));
    Some(pins as usize)
}

/// Makes a pin raise interrupts at the processor with this local APIC.
pub fn direct(ioapic: &impl Window, pin: usize, local_apic: u32) {
    ioapic.write(ENTRIES + 1 + 2 * pin as u32, local_apic << 24);
}

/// Sets how a pin raises interrupts. Where it is directed comes first: this is what arms it.
pub fn set(ioapic: &impl Window, pin: usize, entry: Redirection) {
    let bit = |on, bit| if on { bit } else { 0 };
    let Redirection { vector, level, active_low, masked } = entry;
    let bits = bit(masked, MASKED) | bit(level, LEVEL) | bit(active_low, ACTIVE_LOW);
    ioapic.write(ENTRIES + 2 * pin as u32, u32::from(vector) | bits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, collections::BTreeMap};

    #[derive(Default)]
    struct Chip(RefCell<BTreeMap<u32, u32>>);

    impl Window for Chip {
        fn read(&self, index: u32) -> u32 {
            self.0.borrow().get(&index).copied().unwrap_or(u32::MAX)
        }

        fn write(&self, index: u32, value: u32) {
            self.0.borrow_mut().insert(index, value);
        }
    }

    #[test]
    fn pins_are_counted_and_masked() {
        let chip = Chip::default();
        assert_eq!(init(&chip), None, "nothing is there");
        chip.write(VERSION, 0x0017_0020);
        assert_eq!(init(&chip), Some(24));
        assert!((0..24).all(|pin| chip.read(0x10 + 2 * pin) == MASKED));
        assert_eq!(chip.read(0x10 + 2 * 24), u32::MAX);
    }

    #[test]
    fn an_entry_has_the_bits_of_the_manual() {
        let chip = Chip::default();
        direct(&chip, 7, 3);
        set(&chip, 7, Redirection { vector: 0x45, level: true, active_low: true, masked: false });
        assert_eq!([0x1e, 0x1f].map(|index| chip.read(index)), [0xa045, 3 << 24]);
        set(&chip, 7, Redirection { vector: 0x45, level: false, active_low: false, masked: true });
        assert_eq!(chip.read(0x1e), 0x1_0045);
    }
}
