//! The names of a program's functions, sorted on the host, so that whoever reports a fault finds one in few steps.
//!
//! ```text
//! number of functions | for each: start, bytes, offset of the name, bytes of the name | names
//! ```
//! All numbers are 32-bit, little-endian; programs are linked below 4 GiB.

use alloc::vec::Vec;

/// What is behind a program's name in the archive to name the file of its functions.
pub const SUFFIX: &str = ".functions";
/// Bytes of an entry.
const ENTRY: usize = 16;

/// Makes the index of functions: where each starts, how many bytes it has, and its name. Those beyond 4 GiB are left out.
pub fn pack<'a>(functions: impl IntoIterator<Item = (u64, u64, &'a str)>) -> Vec<u8> {
    let inside = |(start, bytes, name)| Some((u32::try_from(start).ok()?, u32::try_from(bytes).ok()?, name));
    let mut sorted: Vec<(u32, u32, &str)> = functions.into_iter().filter_map(inside).collect();
    sorted.sort();
    sorted.dedup_by_key(|(start, ..)| *start);
    let mut names = Vec::new();
    let mut out = (sorted.len() as u32).to_le_bytes().to_vec();
    for (start, bytes, name) in sorted {
        for number in [start, bytes, names.len() as u32, name.len() as u32] {
            out.extend(number.to_le_bytes());
        }
        names.extend_from_slice(name.as_bytes());
    }
    out.extend(names);
    out
}

/// An index of functions.
#[derive(Clone, Copy, Debug)]
pub struct Functions<'a> {
    entries: &'a [u8],
    names: &'a [u8],
}

impl<'a> Functions<'a> {
    /// Reads an index; `None` if it is cut off.
    pub fn open(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk()?;
        let entries = (u32::from_le_bytes(*count) as usize).checked_mul(ENTRY)?;
        let (entries, names) = rest.split_at_checked(entries)?;
        Some(Self { entries, names })
    }

    /// The function that an address is in, and how far in.
    pub fn find(&self, address: u64) -> Option<(&'a str, u64)> {
        let address = u32::try_from(address).ok()?;
        let (mut low, mut high) = (0, self.entries.len() / ENTRY);
        while low < high {
            let middle = low.midpoint(high);
            if self.number(middle, 0)? <= address { low = middle + 1 } else { high = middle }
        }
        let at = low.checked_sub(1)?;
        let into = address - self.number(at, 0)?;
        if into >= self.number(at, 1)? {
            return None;
        }
        let name = self.names.get(self.number(at, 2)? as usize..)?.get(..self.number(at, 3)? as usize)?;
        Some((core::str::from_utf8(name).ok()?, into.into()))
    }

    fn number(&self, entry: usize, which: usize) -> Option<u32> {
        let at = entry * ENTRY + which * 4;
        Some(u32::from_le_bytes(*self.entries.get(at..)?.first_chunk()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_its_function() {
        let bytes =
            pack([(0x2000, 0x10, "second"), (0x1000, 0x20, "first"), (0x1020, 0x4, ""), (1 << 40, 1, "far")]);
        let functions = Functions::open(&bytes).unwrap();
        assert_eq!(functions.find(0x1000), Some(("first", 0)));
        assert_eq!(functions.find(0x101f), Some(("first", 0x1f)));
        assert_eq!(functions.find(0x1020), Some(("", 0)));
        assert_eq!(functions.find(0x200f), Some(("second", 0xf)));
        for nowhere in [0, 0xfff, 0x1024, 0x1fff, 0x2010, u64::MAX, 1 << 40] {
            assert_eq!(functions.find(nowhere), None, "{nowhere:#x}");
        }
        assert_eq!(Functions::open(&pack([])).unwrap().find(5), None);
    }

    #[test]
    fn of_many_functions_each_is_found() {
        let names: Vec<_> = (0..999).map(|n| alloc::format!("function {n}")).collect();
        let bytes = pack(names.iter().enumerate().map(|(n, name)| (n as u64 * 10, 7, name.as_str())));
        let functions = Functions::open(&bytes).unwrap();
        for (n, name) in names.iter().enumerate() {
            assert_eq!(functions.find(n as u64 * 10 + 6), Some((name.as_str(), 6)));
            assert_eq!(functions.find(n as u64 * 10 + 7), None);
        }
    }

    #[test]
    fn damage_is_no_function() {
        let bytes = pack([(0x1000, 0x20, "first"), (0x2000, 0x10, "second")]);
        for len in 0..bytes.len() {
            let found = Functions::open(&bytes[..len]).and_then(|f| f.find(0x2000));
            assert_eq!(found, None, "{len}");
        }
        for at in 0..bytes.len() {
            let mut garbled = bytes.clone();
            garbled[at] ^= 0xff;
            let _ = Functions::open(&garbled).and_then(|f| f.find(0x2000));
        }
    }
}
