//! What a Multiboot boot loader hands over, of either version.

use pecan_abi::x86_64::boot::MULTIBOOT_MAX_MMAP_ENTRIES;

use super::{Memory, Mitigations, u32_at, u64_at};
use crate::{PhysRegion, Regions, format::x86_64::boot::MemoryMapEntry};

/// What a Multiboot 1 loader leaves in `eax`.
pub const MAGIC1: u32 = 0x2bad_b002;
/// What a Multiboot 2 loader leaves in `eax`.
pub const MAGIC2: u32 = 0x36d7_6289;
/// Regions of one kind that are kept track of (UEFI's memory maps have well over a hundred entries).
pub const MAX_REGIONS: usize = 256;
/// Kinds of memory in the firmware's map: usable, and defective.
const USABLE: u32 = 1;
const DEFECTIVE: u32 = 5;
/// Regions of memory fit for nobody that are kept apart.
const MAX_UNFIT: usize = 32;
/// Bytes of the command line that are read.
const MAX_LINE: usize = 1024;
/// Boot modules that are kept: the root task and others, which only matter for not being overwritten.
pub const MAX_MODULES: usize = 8;

/// What the boot loader said.
pub struct Info {
    map: [MemoryMapEntry; MULTIBOOT_MAX_MMAP_ENTRIES],
    map_len: usize,
    /// What the firmware calls usable memory, anywhere in its map.
    pub usable: Regions<MAX_REGIONS>,
    /// What it calls anything else: not memory to us, even if it calls it usable, too.
    pub other: Regions<MAX_REGIONS>,
    /// Memory that fails, or about which the map says more than there is room for: to be given to nobody.
    pub unfit: Regions<MAX_UNFIT>,
    modules: [PhysRegion; MAX_MODULES],
    modules_len: usize,
    /// What the kernel's command line says of side channels.
    pub mitigations: Mitigations,
    /// The ACPI root pointer's bytes, if the loader passes it on; not checked.
    pub rsdp: Option<[u8; 36]>,
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
            map: [MemoryMapEntry { base: 0, len: 0, kind: 0 }; _],
            map_len: 0,
            usable: Regions::new(),
            other: Regions::new(),
            unfit: Regions::new(),
            modules: [PhysRegion::new(0, 0); MAX_MODULES],
            modules_len: 0,
            mitigations: Mitigations::Auto,
            rsdp: None,
        }
    }
}

impl Info {
    /// The firmware's memory map, as it is: as many entries as the boot information can pass on.
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
        }
        let region = PhysRegion::new(base, base.saturating_add(len));
        let no_room = if kind == USABLE { self.usable.add(region) } else { self.other.cover(region) };
        let defective = Some(region).filter(|_| kind == DEFECTIVE);
        for unfit in no_room.into_iter().chain(defective) {
            self.unfit.cover(unfit);
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

    /// A memory map of these regions.
    fn mapped(entries: impl IntoIterator<Item = (u64, u64, u32)>) -> Info {
        let map: Vec<u8> =
            entries.into_iter().flat_map(|(at, len, kind)| map_entry1(at, len, kind)).collect();
        let info = words(&[1 << 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, map.len() as u32, 0x800]);
        read(&Pieces(vec![(0x500, info), (0x800, map)]), MAGIC1, 0x500).unwrap()
    }

    #[test]
    fn entries_beyond_those_that_are_passed_on_count() {
        let info = mapped((0..200).map(|i| (i << 24, 0x80_0000, 1 + (i % 4) as u32)));
        assert_eq!(info.map().len(), MULTIBOOT_MAX_MMAP_ENTRIES);
        assert_eq!((info.usable.as_slice().len(), info.other.as_slice().len()), (50, 150));
        assert!(info.unfit.as_slice().is_empty());
    }

    #[test]
    fn nothing_of_what_finds_no_room_is_forgotten() {
        const MIB: u64 = 1 << 20;
        // More pieces of memory than there is room for, the smallest in the middle.
        let size = |i: u64| (i.abs_diff(200) + 1) << 12;
        let info = mapped((0..400).map(|i| (i * 16 * MIB, size(i), 1)));
        for i in 0..400 {
            let region = PhysRegion::new(i * 16 * MIB, i * 16 * MIB + size(i));
            assert!(info.usable.contains(region) != info.unfit.contains(region), "{i}");
        }
        assert!(
            info.usable.as_slice().len() == MAX_REGIONS && info.usable.contains(PhysRegion::new(0, size(0)))
        );
        // More reserved pieces: the gaps between those that had to be joined are fit for nobody.
        let info = mapped((0..400).map(|i| (i * 16 * MIB, MIB, 2)));
        for i in 0..399 {
            assert!(info.other.contains(PhysRegion::new(i * 16 * MIB, i * 16 * MIB + MIB)));
            let gap = PhysRegion::new(i * 16 * MIB + MIB, (i + 1) * 16 * MIB);
            assert_eq!(info.other.contains(gap), info.unfit.contains(gap), "{i}");
        }
        assert_eq!(info.other.as_slice().len(), MAX_REGIONS);
    }

    #[test]
    fn defective_memory_is_for_nobody() {
        let info = mapped([(0, 1 << 30, 1), (0x10_3000, 0x2000, 5), (0x20_0000, 0x1000, 3)]);
        assert_eq!(info.unfit.as_slice(), [PhysRegion::new(0x10_3000, 0x10_5000)]);
        assert!(info.other.contains(PhysRegion::new(0x10_3000, 0x10_5000)));
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
