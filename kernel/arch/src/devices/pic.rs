//! The legacy interrupt controllers of a PC (two 8259A), which are switched off.

/// Masks all of their lines, with their vectors moved clear of the exceptions first: to 32 and up. `write` writes to a port.
pub fn disable(write: impl Fn(u16, u8)) {
    for (port, offset, wiring) in [(0x20, 0x20, 4), (0xa0, 0x28, 2)] {
        for (register, value) in [(0, 0x11), (1, offset), (1, wiring), (1, 1), (1, 0xff)] {
            write(port + register, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, collections::BTreeMap};

    /// What the two controllers make of what is written: the words of an initialisation, or the mask.
    #[derive(Default)]
    struct Pair {
        /// By the base of each: the words so far, from the first one on.
        words: RefCell<BTreeMap<u16, Vec<u8>>>,
        masks: RefCell<BTreeMap<u16, u8>>,
    }

    impl Pair {
        fn write(&self, port: u16, value: u8) {
            let base = port & !1;
            assert!(base == 0x20 || base == 0xa0, "port {port:x} is no controller's");
            let mut words = self.words.borrow_mut();
            let words = words.entry(base).or_default();
            match port & 1 {
                // Bit 4 of the first word begins an initialisation, bit 0 says that it has a fourth word.
                0 => {
                    assert_eq!(value & 0x11, 0x11, "an initialisation in full");
                    *words = vec![value];
                }
                _ if (1..4).contains(&words.len()) => words.push(value),
                _ => {
                    self.masks.borrow_mut().insert(base, value);
                }
            }
        }
    }

    #[test]
    fn every_line_is_masked_and_no_vector_is_an_exceptions() {
        let pair = Pair::default();
        disable(|port, value| pair.write(port, value));
        assert_eq!(*pair.masks.borrow(), [(0x20, 0xff), (0xa0, 0xff)].into());
        let words = pair.words.borrow();
        for (base, vectors, wiring) in [(0x20, 32, 1 << 2), (0xa0, 40, 2)] {
            // Vectors, how the two are wired (a bit for the line at the first, its number at the second), 8086 mode.
            assert_eq!(words[&base][1..], [vectors, wiring, 1], "{base:x}");
        }
        assert!(words.values().all(|words| words[1] >= 32 && words[1] & 7 == 0));
    }
}
