//! The flattened device tree (Devicetree Specification v0.4, chapter 5), as far as the kernel boots by it.
//!
//! The tree is not trusted: each read is checked, nodes are visited once, in order, and nesting is bounded. Addresses are those
//! of the processor where buses up to the root pass addresses on as they are; devices behind others are left out.

use super::{u32_at, u64_at};
use crate::{PhysRegion, Regions};

/// What the tree begins with.
const MAGIC: u32 = 0xd00d_feed;
/// Bytes of the header.
const HEADER: usize = 40;
/// The version that this reads, and which later ones say they are compatible with.
const VERSION: u32 = 17;
/// Bytes that a tree has at most: as many as the boot protocol of Linux allows.
const MAX_SIZE: usize = 2 << 20;
/// Nodes within each other.
const MAX_DEPTH: usize = 16;
/// Regions of each kind.
pub const MAX_REGIONS: usize = 64;
/// Register blocks of a device that are looked at.
const MAX_BLOCKS: usize = 2;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOTHING: u32 = 4;
const END: u32 = 9;

/// Why a tree cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// There is none.
    None,
    /// It contradicts itself, or ends too early.
    Malformed,
}

/// A device, by its blocks of registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// The blocks; empty where there are fewer.
    pub blocks: [PhysRegion; MAX_BLOCKS],
}

/// What the kernel takes from a tree.
#[derive(Clone, Default)]
pub struct Info<'a> {
    /// Memory.
    pub memory: Regions<MAX_REGIONS>,
    /// Memory that somebody else uses.
    pub reserved: Regions<MAX_REGIONS>,
    /// Processors that can be used.
    pub processors: usize,
    /// The interrupt controller: a GIC of version 2.
    pub gic: Option<Device>,
    /// The port of the console: the PL011 that `/chosen` names, or else the first one.
    pub console: Option<Device>,
    /// The frequency of the timer, where the firmware has not told the processor.
    pub timer_hz: Option<u32>,
    /// The file that the boot loader brought.
    pub module: Option<PhysRegion>,
    /// The kernel's command line.
    pub command_line: &'a [u8],
}

/// The bytes of the tree at the start of what a loader says is one, of which `bytes` gives as many as are asked for.
///
/// # Errors
/// There is no tree, or it is not all there.
pub fn find<'a>(bytes: impl Fn(usize) -> Option<&'a [u8]>) -> Result<&'a [u8], Error> {
    let header = bytes(HEADER).filter(|b| be32(b, 0) == Some(MAGIC)).ok_or(Error::None)?;
    let size = be32(header, 4).ok_or(Error::Malformed)? as usize;
    bytes(size).filter(|_| (HEADER..=MAX_SIZE).contains(&size)).ok_or(Error::Malformed)
}

/// Reads a tree.
///
/// # Errors
/// It is none, or contradicts itself.
pub fn read<'a>(tree: &'a [u8], info: &mut Info<'a>) -> Result<(), Error> {
    if be32(tree, 0) != Some(MAGIC) {
        return Err(Error::None);
    }
    visit(tree, info).ok_or(Error::Malformed)
}

fn visit<'a>(tree: &'a [u8], info: &mut Info<'a>) -> Option<()> {
    let at = |offset| be32(tree, offset).map(|n| n as usize);
    if be32(tree, 24)? > VERSION {
        return None;
    }
    let part = |from: usize, len: usize| tree.get(from..from.checked_add(len)?);
    let strings = part(at(12)?, at(32)?)?;
    let mut structure = Cursor { bytes: part(at(8)?, at(36)?)? };
    reservations(tree.get(at(16)?..)?, info)?;

    // The path in /chosen that the console has, or the alias that it goes by.
    let mut wanted: &[u8] = &[];
    let mut path = [Node::ROOT; MAX_DEPTH];
    let mut depth = 0;
    loop {
        match structure.word()? {
            NOTHING => {}
            BEGIN_NODE => {
                if depth > 0 {
                    path.get(depth - 1)?.visit_once(&path[..depth - 1], info, &mut wanted);
                    path[depth - 1].visited = true;
                }
                let parent = if depth > 0 { path[depth - 1] } else { Node::ROOT };
                *path.get_mut(depth)? = Node::new(structure.text()?, &parent);
                depth += 1;
            }
            PROPERTY => {
                let (len, name) = (structure.word()? as usize, structure.word()? as usize);
                let value = structure.take(len)?;
                let name = until_zero(strings.get(name..)?)?;
                path.get_mut(depth.checked_sub(1)?)?.property(name, value);
            }
            END_NODE => {
                depth = depth.checked_sub(1)?;
                path[depth].visit_once(&path[..depth], info, &mut wanted);
            }
            END if depth == 0 => return Some(()),
            _ => return None,
        }
    }
}

/// The memory reservation block: pairs of address and size, until one of zeros.
fn reservations(block: &[u8], info: &mut Info<'_>) -> Option<()> {
    for pair in block.chunks_exact(16) {
        let (start, len) = (be64(pair, 0)?, be64(pair, 8)?);
        if (start, len) == (0, 0) {
            return Some(());
        }
        info.reserve(start, len);
    }
    None
}

impl Info<'_> {
    fn reserve(&mut self, start: u64, len: u64) {
        // Where there is no room, more is reserved rather than less.
        self.reserved.cover(PhysRegion::new(start, start.saturating_add(len)));
    }
}

/// A node, by the properties that are looked at.
#[derive(Clone, Copy)]
struct Node<'a> {
    name: &'a [u8],
    /// Its addresses are those of the processor.
    direct: bool,
    /// Cells of an address and of a size in its own `reg`.
    own_cells: [u32; 2],
    /// The same for its children.
    cells: [u32; 2],
    reg: &'a [u8],
    compatible: &'a [u8],
    device_type: &'a [u8],
    status: &'a [u8],
    /// Has `ranges`, so that its children's addresses can be told, and they are the same.
    passes_on: bool,
    clock_frequency: Option<u32>,
    initrd: [Option<u64>; 2],
    bootargs: &'a [u8],
    stdout_path: &'a [u8],
    visited: bool,
}

impl<'a> Node<'a> {
    const ROOT: Node<'static> = Node {
        name: &[],
        direct: true,
        own_cells: [2, 1],
        cells: [2, 1],
        reg: &[],
        compatible: &[],
        device_type: &[],
        status: &[],
        passes_on: true,
        clock_frequency: None,
        initrd: [None; 2],
        bootargs: &[],
        stdout_path: &[],
        visited: false,
    };

    fn new(name: &'a [u8], parent: &Node<'a>) -> Self {
        let is_root = name.is_empty();
        Node {
            name,
            direct: parent.direct && parent.passes_on,
            own_cells: parent.cells,
            passes_on: is_root,
            ..Node::ROOT
        }
    }

    fn property(&mut self, name: &[u8], value: &'a [u8]) {
        match name {
            b"#address-cells" => self.cells[0] = be32(value, 0).unwrap_or(0),
            b"#size-cells" => self.cells[1] = be32(value, 0).unwrap_or(0),
            b"reg" => self.reg = value,
            b"compatible" => self.compatible = value,
            b"device_type" => self.device_type = value,
            b"status" => self.status = value,
            b"ranges" => self.passes_on = value.is_empty(),
            b"clock-frequency" => self.clock_frequency = be32(value, 0),
            b"linux,initrd-start" => self.initrd[0] = number(value),
            b"linux,initrd-end" => self.initrd[1] = number(value),
            b"bootargs" => self.bootargs = value,
            b"stdout-path" => self.stdout_path = value,
            _ => {}
        }
    }

    fn is_usable(&self) -> bool {
        matches!(self.status, b"" | b"okay\0" | b"ok\0")
    }

    fn is(&self, compatible: &[&[u8]]) -> bool {
        self.compatible.split(|b| *b == 0).any(|own| compatible.contains(&own))
    }

    /// The regions in `reg`.
    fn regions(&self) -> impl Iterator<Item = PhysRegion> + use<'a> {
        let [address, size] = self.own_cells.map(|cells| cells as usize * 4);
        let sound = self.direct && matches!(address, 4 | 8) && matches!(size, 4 | 8);
        let reg = if sound { self.reg } else { &[] };
        reg.chunks_exact((address + size).max(1)).filter_map(move |pair| {
            let (start, len) = (number(pair.get(..address)?)?, number(pair.get(address..)?)?);
            Some(PhysRegion::new(start, start.saturating_add(len)))
        })
    }

    fn device(&self) -> Option<Device> {
        let mut device = Device::default();
        for (block, region) in device.blocks.iter_mut().zip(self.regions()) {
            *block = region;
        }
        (!device.blocks[0].is_empty()).then_some(device)
    }

    /// All properties of the node, which lies below `parents`, are there.
    fn visit_once(&self, parents: &[Node<'a>], info: &mut Info<'a>, wanted: &mut &'a [u8]) {
        let parent = parents.last().map_or(&b""[..], |p| p.name);
        if self.visited || !self.is_usable() {
            return;
        }
        match (parents.len(), parent, self.name) {
            (1, _, b"chosen") => {
                info.command_line = self.bootargs.split(|b| *b == 0).next().unwrap_or_default();
                *wanted = self.stdout_path.split(|b| matches!(*b, 0 | b':')).next().unwrap_or_default();
                if let [Some(start), Some(end)] = self.initrd {
                    info.module = Some(PhysRegion::new(start, end)).filter(|m| !m.is_empty());
                }
            }
            (2, b"cpus", _) if self.device_type == b"cpu\0" => info.processors += 1,
            (2, b"reserved-memory", _) => self.regions().for_each(|r| info.reserve(r.start.0, r.len())),
            _ if self.device_type == b"memory\0" => {
                for region in self.regions() {
                    // What there is no room to list must not be taken for something else.
                    if let Some(lost) = info.memory.add(region) {
                        info.reserve(lost.start.0, lost.len());
                    }
                }
            }
            _ if self.is(&[b"arm,armv8-timer", b"arm,armv7-timer"]) => info.timer_hz = self.clock_frequency,
            _ if self.is(&[b"arm,cortex-a15-gic", b"arm,gic-400", b"arm,cortex-a9-gic"]) => {
                info.gic = info.gic.or(self.device());
            }
            _ if self.is(&[b"arm,pl011"]) => {
                let chosen = self.has_path(parents, wanted);
                if info.console.is_none() || chosen {
                    info.console = self.device().or(info.console);
                }
            }
            _ => {}
        }
    }

    /// This is where the path leads.
    fn has_path(&self, parents: &[Node<'a>], path: &[u8]) -> bool {
        let names = parents.iter().skip(1).map(|p| p.name).chain([self.name]);
        path.starts_with(b"/") && path[1..].split(|b| *b == b'/').eq(names)
    }
}

/// The structure block, from where it is read next.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// The next `len` bytes, and what makes them whole words.
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(..len)?;
        self.bytes = self.bytes.get(len.checked_next_multiple_of(4)?..)?;
        Some(taken)
    }

    fn word(&mut self) -> Option<u32> {
        be32(self.take(4)?, 0)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let text = until_zero(self.bytes)?;
        self.take(text.len() + 1)?;
        Some(text)
    }
}

fn until_zero(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..bytes.iter().position(|b| *b == 0)?)
}

/// A number of one cell or two.
fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        4 => be32(value, 0).map(u64::from),
        8 => be64(value, 0),
        _ => None,
    }
}

fn be32(bytes: &[u8], offset: usize) -> Option<u32> {
    u32_at(bytes, offset).map(u32::swap_bytes)
}

fn be64(bytes: &[u8], offset: usize) -> Option<u64> {
    u64_at(bytes, offset).map(u64::swap_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree in the making.
    #[derive(Default)]
    struct Maker {
        structure: Vec<u8>,
        strings: Vec<u8>,
        reserved: Vec<u64>,
    }

    impl Maker {
        fn word(&mut self, word: u32) {
            self.structure.extend(word.to_be_bytes());
        }

        fn bytes(&mut self, bytes: &[u8]) {
            self.structure.extend(bytes);
            self.structure.resize(self.structure.len().next_multiple_of(4), 0);
        }

        fn property(&mut self, name: &str, value: &[u8]) {
            self.word(PROPERTY);
            self.word(value.len() as u32);
            self.word(self.strings.len() as u32);
            self.bytes(value);
            self.strings.extend(name.bytes().chain([0]));
        }

        fn cells(&mut self, name: &str, cells: &[u32]) {
            self.property(name, &cells.iter().flat_map(|c| c.to_be_bytes()).collect::<Vec<_>>());
        }

        fn node(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
            self.word(BEGIN_NODE);
            self.bytes(&[name.as_bytes(), &[0]].concat());
            inside(self);
            self.word(END_NODE);
        }

        fn tree(mut self) -> Vec<u8> {
            self.word(END);
            self.reserved.extend([0, 0]);
            let reserved: Vec<u8> = self.reserved.iter().flat_map(|w| w.to_be_bytes()).collect();
            let structure = HEADER + reserved.len();
            let strings = structure + self.structure.len();
            let all = strings + self.strings.len();
            let sizes = [0, self.strings.len(), self.structure.len()];
            let header =
                [MAGIC as usize, all, structure, strings, HEADER, 17, 16, sizes[0], sizes[1], sizes[2]];
            let header: Vec<u8> = header.iter().flat_map(|w| (*w as u32).to_be_bytes()).collect();
            [header, reserved, self.structure, self.strings].concat()
        }
    }

    /// What QEMU's board looks like, with two ports.
    fn board(inside: impl FnOnce(&mut Maker)) -> Vec<u8> {
        let mut m = Maker { reserved: vec![0x4000_0000, 0x1000], ..Maker::default() };
        m.node("", |m| {
            m.cells("#address-cells", &[2]);
            m.cells("#size-cells", &[2]);
            m.node("reserved-memory", |m| {
                m.cells("#address-cells", &[2]);
                m.cells("#size-cells", &[2]);
                m.property("ranges", b"");
                m.node("firmware@50000000", |m| m.cells("reg", &[0, 0x5000_0000, 0, 0x2000]));
                m.node("dynamic", |m| m.cells("size", &[0, 0x1000]));
            });
            m.node("memory@40000000", |m| {
                m.property("device_type", b"memory\0");
                m.cells("reg", &[0, 0x4000_0000, 0, 0x4000_0000, 1, 0, 0, 0x1000]);
            });
            m.node("cpus", |m| {
                m.cells("#address-cells", &[1]);
                m.cells("#size-cells", &[0]);
                for (name, status) in [("cpu@0", "okay\0"), ("cpu@1", "disabled\0"), ("cpu@2", "okay\0")] {
                    m.node(name, |m| {
                        m.property("device_type", b"cpu\0");
                        m.property("status", status.as_bytes());
                    });
                }
            });
            m.node("timer", |m| {
                m.property("compatible", b"arm,armv8-timer\0arm,armv7-timer\0");
                m.cells("clock-frequency", &[24_000_000]);
            });
            m.node("intc@8000000", |m| {
                m.cells("reg", &[0, 0x800_0000, 0, 0x1_0000, 0, 0x801_0000, 0, 0x1_0000]);
                m.property("compatible", b"arm,cortex-a15-gic\0");
                m.cells("#address-cells", &[2]);
                m.cells("#size-cells", &[2]);
                m.property("ranges", b"");
                m.node("v2m@8020000", |m| m.cells("reg", &[0, 0x802_0000, 0, 0x1000]));
            });
            for (name, at) in [("pl011@9000000", 0x900_0000), ("pl011@9040000", 0x904_0000)] {
                m.node(name, |m| {
                    m.property("compatible", b"arm,pl011\0arm,primecell\0");
                    m.cells("reg", &[0, at, 0, 0x1000]);
                });
            }
            inside(m);
        });
        m.tree()
    }

    fn info(tree: &[u8]) -> Result<Info<'_>, Error> {
        let mut info = Info::default();
        read(tree, &mut info).map(|()| info)
    }

    fn list<const N: usize>(regions: &Regions<N>) -> Vec<(u64, u64)> {
        regions.as_slice().iter().map(|r| (r.start.0, r.end.0)).collect()
    }

    #[test]
    fn what_the_kernel_boots_by_is_found() {
        let tree = board(|m| {
            m.node("chosen", |m| {
                m.cells("linux,initrd-start", &[0, 0x4800_0000]);
                m.cells("linux,initrd-end", &[0x4800_1234]);
                m.property("bootargs", b"mitigations=auto\0");
            });
        });
        let info = info(&tree).unwrap();
        assert_eq!(list(&info.memory), [(0x4000_0000, 0x8000_0000), (0x1_0000_0000, 0x1_0000_1000)]);
        assert_eq!(list(&info.reserved), [(0x4000_0000, 0x4000_1000), (0x5000_0000, 0x5000_2000)]);
        assert_eq!((info.processors, info.timer_hz), (2, Some(24_000_000)));
        let gic = info.gic.unwrap().blocks.map(|b| (b.start.0, b.end.0));
        assert_eq!(gic, [(0x800_0000, 0x801_0000), (0x801_0000, 0x802_0000)]);
        assert_eq!(info.console.unwrap().blocks[0].start.0, 0x900_0000);
        assert_eq!(info.module, Some(PhysRegion::new(0x4800_0000, 0x4800_1234)));
        assert_eq!(info.command_line, b"mitigations=auto");
        assert_eq!(find(|len| tree.get(..len)), Ok(&tree[..]));
    }

    #[test]
    fn the_console_is_the_one_that_is_named() {
        let of = |path: &[u8]| {
            // Before the devices, as QEMU has it.
            let mut m = Maker::default();
            m.node("", |m| {
                m.cells("#address-cells", &[2]);
                m.cells("#size-cells", &[2]);
                m.node("chosen", |m| m.property("stdout-path", path));
                m.node("soc", |m| {
                    m.cells("#address-cells", &[1]);
                    m.cells("#size-cells", &[1]);
                    m.property("ranges", b"");
                    for (name, at) in [("serial@1000", 0x1000), ("serial@2000", 0x2000)] {
                        m.node(name, |m| {
                            m.property("compatible", b"arm,pl011\0");
                            m.cells("reg", &[at, 0x1000]);
                        });
                    }
                });
            });
            let tree = m.tree();
            let info = info(&tree).unwrap();
            info.console.unwrap().blocks[0].start.0
        };
        assert_eq!(of(b"/soc/serial@1000\0"), 0x1000);
        assert_eq!(of(b"/soc/serial@2000:115200n8\0"), 0x2000);
        assert_eq!(of(b"/soc\0"), 0x1000);
        assert_eq!(of(b"serial0\0"), 0x1000);
        assert_eq!(of(b""), 0x1000);
    }

    #[test]
    fn devices_on_buses_that_translate_are_left_out() {
        for (ranges, seen) in
            [(None, false), (Some(&[0, 0x4000_0000, 0x1_0000][..]), false), (Some(&[][..]), true)]
        {
            let mut m = Maker::default();
            m.node("", |m| {
                m.node("soc", |m| {
                    m.cells("#address-cells", &[1]);
                    m.cells("#size-cells", &[1]);
                    if let Some(ranges) = ranges {
                        m.cells("ranges", ranges);
                    }
                    m.node("serial@0", |m| {
                        m.property("compatible", b"arm,pl011\0");
                        m.cells("reg", &[0x1000, 0x1000]);
                    });
                });
            });
            let tree = m.tree();
            assert_eq!(info(&tree).unwrap().console.is_some(), seen, "{ranges:?}");
        }
    }

    #[test]
    fn a_device_that_is_off_is_none() {
        let mut m = Maker::default();
        m.node("", |m| {
            m.node("serial", |m| {
                m.property("compatible", b"arm,pl011\0");
                m.property("status", b"disabled\0");
                m.cells("reg", &[0, 0x1000, 0x1000]);
            });
        });
        assert_eq!(info(&m.tree()).unwrap().console, None);
    }

    /// Whatever is cut off or changed, reading ends, and without a panic.
    #[test]
    fn no_tree_is_trusted() {
        let tree = board(|m| m.node("chosen", |m| m.property("bootargs", b"x\0")));
        assert_eq!(info(&[]).err(), Some(Error::None));
        assert_eq!(info(&tree[..3]).err(), Some(Error::None));
        for len in 4..tree.len() {
            assert_eq!(info(&tree[..len]).err(), Some(Error::Malformed), "{len} bytes");
            assert!(find(|n| tree[..len].get(..n)).is_err(), "{len} bytes");
        }
        for at in 0..tree.len() {
            for byte in [0, 1, 2, 9, 0x7f, 0x80, 0xff] {
                let mut spoilt = tree.clone();
                spoilt[at] = byte;
                let _ = info(&spoilt);
                let _ = find(|n| spoilt.get(..n));
            }
        }
    }

    #[test]
    fn nesting_is_bounded() {
        fn nest(m: &mut Maker, left: usize) {
            if left > 0 {
                m.node(if m.structure.is_empty() { "" } else { "n" }, |m| nest(m, left - 1));
            }
        }
        for (depth, sound) in [(1, true), (MAX_DEPTH, true), (MAX_DEPTH + 1, false), (1000, false)] {
            let mut m = Maker::default();
            nest(&mut m, depth);
            assert_eq!(info(&m.tree()).is_ok(), sound, "{depth}");
        }
    }
}
