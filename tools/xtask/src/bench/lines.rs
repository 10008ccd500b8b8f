//! The cache lines that the kernel touches.

use std::collections::BTreeSet;

use super::trace::Step;

/// Bytes of a cache line.
const LINE: u64 = 64;

/// Distinct lines of code and of data.
#[derive(Default)]
pub struct Lines {
    code: BTreeSet<u64>,
    data: BTreeSet<u64>,
}

impl Lines {
    /// Lines that instructions lie in.
    pub fn code(&self) -> u64 {
        self.code.len() as u64
    }

    /// Lines that instructions read or write.
    pub fn data(&self) -> u64 {
        self.data.len() as u64
    }

    /// Adds the lines of an instruction, and of the kernel memory that it uses.
    pub fn add(&mut self, step: &Step) {
        self.code.extend(lines(step.instruction.ip(), step.instruction.len()));
        step.touched.iter().for_each(|(address, bytes)| self.data.extend(lines(*address, *bytes)));
    }
}

impl<'a> FromIterator<&'a Step> for Lines {
    fn from_iter<T: IntoIterator<Item = &'a Step>>(steps: T) -> Self {
        let mut lines = Lines::default();
        steps.into_iter().for_each(|step| lines.add(step));
        lines
    }
}

fn lines(address: u64, bytes: usize) -> std::ops::RangeInclusive<u64> {
    address / LINE..=address.wrapping_add(bytes as u64 - 1) / LINE
}

#[cfg(test)]
mod tests {
    use super::{super::trace::tests::decoded, *};

    #[test]
    fn lines_are_counted_once_each() {
        let at = 1 << 63;
        // Over the end of a line, as is what it reads; then one in the same line, which reads nothing.
        let over = Step {
            instruction: decoded(at + 62, &[0x48, 0x8b, 0x5c, 0x24, 0x3c]),
            touched: vec![(at + 0x103c, 8)],
            stores: 0,
        };
        let same = Step { instruction: decoded(at, &[0x90]), touched: vec![], stores: 0 };
        let lines: Lines = [&over, &same, &over].into_iter().collect();
        assert_eq!((lines.code(), lines.data()), (2, 2));
    }
}
