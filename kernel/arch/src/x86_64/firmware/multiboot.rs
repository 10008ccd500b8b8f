//! What a Multiboot boot loader hands over, of either version.

use super::{Memory, Mitigations, u32_at, u64_at};
use crate::{MemoryMapEntry, PhysRegion};

/// What a Multiboot 1 loader leaves in `eax`.
pub const MAGIC1: u32 = 0x2bad_b002;
/// What a Multiboot 2 loader leaves in `eax`.
pub const MAGIC2: u32 = 0x36d7_6289;
/// Entries of the firmware's memory map that are kept (UEFI's have well over a hundred).
pub const MAX_MAP: usize = 256;
/// Bytes of the command line that are read.
const MAX_LINE: usize = 1024;
/// Boot modules that are kept: the root task and others, which only matter for not being overwritten.
pub const MAX_MODULES: usize = 8;

/// What the boot loader said.
pub struct Info {
    map: [MemoryMapEntry; MAX_MAP],
    map_len: usize,
    modules: [PhysRegion; MAX_MODULES],
    modules_len: usize,
    /// What the kernel's command line says of side channels.
    pub mitigations: Mitigations,
    /// The ACPI root pointer's bytes, if the loader passes it on; not checked.
    pub rsdp: Option<[u8; 36]>,
    /// Entries of the memory map for which there was no room.
    pub unread: usize,
}

/// Why the boot loader's information is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The loader's signature is that of neither version.
    NotMultiboot,
    /// The information is not where the loader says, or contradicts itself.
    Malformed,
    /// It has no memory map.
    NoMemoryMap,
}

impl Default for Info {
    /// Nothing yet.
    fn default() -> Self {
        Info {
            map: [MemoryMapEntry { base: 0, len: 0, kind: 0 }; MAX_MAP],
            map_len: 0,
            modules: [PhysRegion::new(0, 0); MAX_MODULES],
            modules_len: 0,
            mitigations: Mitigations::Auto,
            rsdp: None,
            unread: 0,
        }
    }
}

impl Info {
    /// The firmware's memory map, as it is.
    pub fn map(&self) -> &[MemoryMapEntry] {
        &self.map[..self.map_len]
    }

    /// The boot modules, in the loader's order.
    pub fn modules(&self) -> &[PhysRegion] {
        &self.modules[..self.modules_len]
    }

    fn add_map(&mut self, base: u64, len: u64, kind: u32) {
        if let Some(e) = self.map.get_mut(self.map_len) {
            *e = MemoryMapEntry { base, len, kind };
            self.map_len += 1;
        } else {
            self.unread += 1;
        }
    }

    /// Reads the kernel's command line. Words that mean nothing to the kernel may be for somebody else.
    fn command_line(&mut self, line: &[u8]) {
        for word in line.split(|b| b" \0".contains(b)) {
            match word {
                b"mitigations=auto" => self.mitigations = Mitigations::Auto,
                b"mitigations=off" => self.mitigations = Mitigations::Off,
                b"mitigations=all" => self.mitigations = Mitigations::All,
                _ => {}
            }
        }
    }

    fn add_module(&mut self, start: u32, end: u32) {
        if let Some(m) = self.modules.get_mut(self.modules_len) {
            *m = PhysRegion::new(start.into(), end.into());
            self.modules_len += 1;
        }
    }
}

/// Reads the information at `at` that a loader with this `magic` left, into `info`, which is empty.
pub fn read(memory: &impl Memory, magic: u32, at: u64, info: &mut Info) -> Result<(), Error> {
    match magic {
        MAGIC1 => version1(memory, at, info),
        MAGIC2 => version2(memory, at, info),
        _ => return Err(Error::NotMultiboot),
    }
    .ok_or(Error::Malformed)?;
    if info.map_len == 0 { Err(Error::NoMemoryMap) } else { Ok(()) }
}

fn version1(memory: &impl Memory, at: u64, info: &mut Info) -> Option<()> {
    let b = memory.bytes(at, 52)?;
    let word = |offset| u32_at(b, offset);
    let flags = word(0)?;
    if flags & 1 << 2 != 0 {
        let at = u64::from(word(16)?);
        let ends = |&i: &usize| memory.bytes(at + i as u64, 1).is_none_or(|b| b == [0]);
        info.command_line(memory.bytes(at, (0..MAX_LINE).find(ends).unwrap_or(MAX_LINE))?);
    }
    if flags & 1 << 3 != 0 {
        let (count, list) = (word(20)?, u64::from(word(24)?));
        for i in 0..u64::from(count).min(MAX_MODULES as u64) {
            let m = memory.bytes(list + i * 16, 16)?;
            info.add_module(u32_at(m, 0)?, u32_at(m, 4)?);
        }
    }
    if flags & 1 << 6 != 0 {
        let mut rest = memory.bytes(word(48)?.into(), word(44)? as usize)?;
        while rest.len() >= 24 {
            info.add_map(u64_at(rest, 4)?, u64_at(rest, 12)?, u32_at(rest, 20)?);
            // An entry's first word is its size without that word.
            rest = rest.get(u32_at(rest, 0)?.max(20) as usize + 4..).unwrap_or(&[]);
        }
    } else if flags & 1 != 0 {
        info.add_map(0, u64::from(word(4)?) << 10, 1);
        info.add_map(1 << 20, u64::from(word(8)?) << 10, 1);
    }
    Some(())
}

fn version2(memory: &impl Memory, at: u64, info: &mut Info) -> Option<()> {
    let mut rest = memory.bytes(at, u32_at(memory.bytes(at, 8)?, 0)? as usize)?.get(8..)?;
    loop {
        let (kind, len) = (u32_at(rest, 0)?, u32_at(rest, 4)? as usize);
        let tag = rest.get(..len).filter(|t| t.len() >= 8)?;
        match kind {
            0 => return Some(()),
            1 => info.command_line(&tag[8..]),
            3 => info.add_module(u32_at(tag, 8)?, u32_at(tag, 12)?),
            6 => {
                let entry_size = u32_at(tag, 8)? as usize;
                for e in tag.get(16..)?.chunks_exact(entry_size.max(24)) {
                    info.add_map(u64_at(e, 0)?, u64_at(e, 8)?, u32_at(e, 16)?);
                }
            }
            // The old pointer, then the new one, which is preferred.
            14 | 15 if kind == 15 || info.rsdp.is_none() => {
                let mut copy = [0; 36];
                let bytes = &tag[8..];
                let n = bytes.len().min(36);
                copy[..n].copy_from_slice(&bytes[..n]);
                info.rsdp = Some(copy);
            }
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(8)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Pieces, words};
    use super::*;

    fn read(memory: &impl Memory, magic: u32, at: u64) -> Result<Info, Error> {
        let mut info = Info::default();
        super::read(memory, magic, at, &mut info).map(|()| info)
    }

    fn map_entry1(base: u64, len: u64, kind: u32) -> Vec<u8> {
        words(&[20, base as u32, (base >> 32) as u32, len as u32, (len >> 32) as u32, kind])
    }

    fn info1() -> Pieces {
        let map =
            [map_entry1(0, 0x9_fc00, 1), map_entry1(0x10_0000, 0x1_0000_0000, 1), map_entry1(0xf000, 1, 2)]
                .concat();
        let info = words(&[1 << 3 | 1 << 6, 0, 0, 0, 0, 2, 0x900, 0, 0, 0, 0, map.len() as u32, 0x800]);
        Pieces(vec![
            (0x500, info),
            (0x800, map),
            (0x900, words(&[0x20_0000, 0x20_1234, 0, 0, 0x30_0000, 0x30_0001, 0, 0])),
        ])
    }

    #[test]
    fn version_1_gives_map_and_modules() {
        let info = read(&info1(), MAGIC1, 0x500).unwrap();
        assert_eq!(info.map().len(), 3);
        assert_eq!(info.map()[1], MemoryMapEntry { base: 0x10_0000, len: 0x1_0000_0000, kind: 1 });
        assert_eq!(
            info.modules(),
            [PhysRegion::new(0x20_0000, 0x20_1234), PhysRegion::new(0x30_0000, 0x30_0001)]
        );
    }

    #[test]
    fn entries_for_which_there_is_no_room_are_counted() {
        let map: Vec<u8> =
            (0..MAX_MAP as u64 + 7).flat_map(|i| map_entry1(i << 20, 0x1000 << (i % 3), 1)).collect();
        let info = words(&[1 << 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, map.len() as u32, 0x800]);
        let info = read(&Pieces(vec![(0x500, info), (0x800, map)]), MAGIC1, 0x500).unwrap();
        assert_eq!((info.map().len(), info.unread), (MAX_MAP, 7));
    }

    #[test]
    fn the_command_line_says_what_is_done_against_side_channels() {
        for (line, meant) in [
            ("", Mitigations::Auto),
            ("pecan.elf quiet mitigations=off", Mitigations::Off),
            ("mitigations=all root=x", Mitigations::All),
            ("mitigations=all mitigations=auto", Mitigations::Auto),
            ("nomitigations=off mitigations=offline", Mitigations::Auto),
        ] {
            let mut m = info1();
            m.0[0].1[..4].copy_from_slice(&(1u32 << 2 | 1 << 3 | 1 << 6).to_le_bytes());
            m.0[0].1[16..20].copy_from_slice(&0x600u32.to_le_bytes());
            m.0.push((0x600, [line.as_bytes(), b"\0 mitigations=all"].concat()));
            assert_eq!(read(&m, MAGIC1, 0x500).unwrap().mitigations, meant, "{line}");
            let m = info2(&[tag(1, &[line.as_bytes(), b"\0"].concat()), map2(), tag(0, &[])]);
            assert_eq!(read(&m, MAGIC2, 0x7000).unwrap().mitigations, meant, "{line}");
        }
        // A line that is not there is as good as none.
        let mut m = info1();
        m.0[0].1[..4].copy_from_slice(&(1u32 << 2 | 1 << 3 | 1 << 6).to_le_bytes());
        m.0[0].1[16..20].copy_from_slice(&0x810u32.to_le_bytes());
        assert_eq!(read(&m, MAGIC1, 0x500).unwrap().mitigations, Mitigations::Auto);
    }

    #[test]
    fn version_1_without_a_map_falls_back_to_the_two_sizes() {
        let m = Pieces(vec![(0x500, words(&[1, 639, 4096, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))]);
        let info = read(&m, MAGIC1, 0x500).unwrap();
        assert_eq!(info.map()[1], MemoryMapEntry { base: 1 << 20, len: 4 << 20, kind: 1 });
    }

    fn tag(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut t = words(&[kind, 8 + body.len() as u32]);
        t.extend(body);
        t.resize(t.len().next_multiple_of(8), 0xaa);
        t
    }

    fn info2(tags: &[Vec<u8>]) -> Pieces {
        let tags = tags.concat();
        let mut b = words(&[8 + tags.len() as u32, 0]);
        b.extend(tags);
        Pieces(vec![(0x7000, b)])
    }

    fn map2() -> Vec<u8> {
        tag(6, &words(&[24, 0, 0x10_0000, 0, 0x700_0000, 0, 1, 0]))
    }

    #[test]
    fn version_2_gives_map_modules_and_root_pointer() {
        let module = tag(3, &[&words(&[0x40_0000, 0x41_0007])[..], b"hello\0"].concat());
        let m = info2(&[module, map2(), tag(14, &[1; 20]), tag(15, &[2; 36]), tag(0, &[])]);
        let info = read(&m, MAGIC2, 0x7000).unwrap();
        assert_eq!(info.map(), [MemoryMapEntry { base: 0x10_0000, len: 0x700_0000, kind: 1 }]);
        assert_eq!(info.modules(), [PhysRegion::new(0x40_0000, 0x41_0007)]);
        assert_eq!(info.rsdp, Some([2; 36]));
    }

    #[test]
    fn what_is_cut_short_is_malformed() {
        let whole = info2(&[map2(), tag(0, &[])]);
        let bytes = &whole.0[0].1;
        for len in 0..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            if len >= 4 {
                cut[..4].copy_from_slice(&(len as u32).to_le_bytes());
            }
            let got = read(&Pieces(vec![(0x7000, cut)]), MAGIC2, 0x7000);
            assert_eq!(got.err(), Some(Error::Malformed), "{len} bytes");
        }
        let mut lost = info1();
        lost.0.remove(1);
        assert_eq!(read(&lost, MAGIC1, 0x500).err(), Some(Error::Malformed));
        assert_eq!(read(&info1(), MAGIC1, 0x501_0000).err(), Some(Error::Malformed));
    }

    #[test]
    fn other_loaders_and_missing_maps_are_named() {
        assert_eq!(read(&info1(), 7, 0x500).err(), Some(Error::NotMultiboot));
        assert_eq!(read(&info2(&[tag(0, &[])]), MAGIC2, 0x7000).err(), Some(Error::NoMemoryMap));
    }

    #[test]
    fn zero_length_tags_and_entries_do_not_hang() {
        let m = info2(&[words(&[6, 0]), tag(0, &[])]);
        assert_eq!(read(&m, MAGIC2, 0x7000).err(), Some(Error::Malformed));
        let mut m = info1();
        m.0[1].1[..4].fill(0);
        assert_eq!(read(&m, MAGIC1, 0x500).unwrap().map().len(), 3);
        m.0[1].1[..4].fill(0xff);
        assert_eq!(read(&m, MAGIC1, 0x500).unwrap().map().len(), 1);
    }
}
