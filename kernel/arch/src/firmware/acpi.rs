//! The few ACPI tables the kernel reads: the root pointer, the root table, the MADT for its IOAPICs, and of others where
//! they say that registers are (ACPI specification 6.5, 5.2.5 to 5.2.12; IA-PC HPET specification 1.0a, 3.2.4; Intel VT-d
//! specification 4.0, 8.3; AMD I/O virtualization specification 3.07, 5.2.2).

use pecan_abi::x86_64::boot::ISA_IRQS;

use super::{Memory, u16_at, u32_at, u64_at};
use crate::PhysRegion;
use crate::format::x86_64::irq::IoapicPin;

/// IOAPICs that the kernel keeps track of.
pub const MAX_IOAPICS: usize = 8;

/// Bytes of the root pointer from revision 2 on.
pub const RSDP_LEN: usize = 36;
/// Bytes of the root pointer's first revision.
const RSDP_OLD_LEN: usize = 20;
const HEADER_LEN: usize = 36;
/// No table that the kernel reads is this long.
const MAX_TABLE_LEN: usize = 1 << 20;

/// An I/O APIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ioapic {
    /// Physical address of its registers.
    pub address: u32,
    /// The number of its first input pin, in the count over all of them.
    pub first: u32,
}

/// Where an interrupt of the ISA bus comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct IsaSource {
    /// The input pin, in the count over all I/O APICs.
    input: u32,
    level: bool,
    active_low: bool,
}

/// What the kernel takes from ACPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The IOAPICs, by their first pins.
    pub ioapics: [Ioapic; MAX_IOAPICS],
    /// How many of them there are.
    pub num_ioapics: usize,
    /// Processors that can be used.
    pub processors: usize,
    /// By the interrupt's number; the second controller's is none.
    isa: [Option<IsaSource>; ISA_IRQS],
}

/// The interrupt of the ISA bus that the two legacy controllers are joined by.
const CASCADE: usize = 2;
/// The interval timer's.
const TIMER: usize = 0;

impl Platform {
    /// One without IOAPICs and processors, whose ISA interrupts come in at the pins of the same numbers (ACPI specification
    /// 6.5, 5.2.12.5).
    fn empty() -> Self {
        let mut isa = core::array::from_fn(|irq| Some(IsaSource { input: irq as u32, ..Default::default() }));
        isa[CASCADE] = None;
        Platform { ioapics: Default::default(), num_ioapics: 0, processors: 0, isa }
    }

    /// What a PC is like whose firmware does not say: one IOAPIC at this address, with the timer on pin 2.
    pub fn usual(address: u32) -> Self {
        let mut platform = Self::empty();
        platform.ioapics[0].address = address;
        platform.isa[TIMER] = Some(IsaSource { input: 2, ..Default::default() });
        Platform { num_ioapics: 1, processors: 1, ..platform }
    }

    /// Where interrupts of the ISA bus come in, on the IOAPICs that are in use: the first pin of each and how many it has, in
    /// the order of the kernel's indexes.
    pub fn isa_routes(
        &self,
        ioapics: impl Iterator<Item = (u32, usize)> + Clone,
    ) -> [Option<IoapicPin>; ISA_IRQS] {
        self.isa.map(|source| {
            let IsaSource { input, level, active_low } = source?;
            ioapics.clone().enumerate().find_map(|(ioapic, (first, pins))| {
                let pin = input.checked_sub(first)? as usize;
                (pin < pins).then_some(IoapicPin { ioapic, pin, level, active_low })
            })
        })
    }
}

fn checksum_holds(b: &[u8]) -> bool {
    b.iter().fold(0u8, |a, &x| a.wrapping_add(x)) == 0
}

/// Checks a root pointer given as bytes; the answer's bytes past an old pointer's 20 are zero.
pub fn check_rsdp(b: &[u8]) -> Option<[u8; RSDP_LEN]> {
    let old = b.get(..RSDP_OLD_LEN)?;
    if &old[..8] != b"RSD PTR " || !checksum_holds(old) {
        return None;
    }
    let mut out = [0; RSDP_LEN];
    let len = if old[15] >= 2 { RSDP_LEN } else { RSDP_OLD_LEN };
    let all = b.get(..len)?;
    if !checksum_holds(all) {
        return None;
    }
    out[..len].copy_from_slice(all);
    Some(out)
}

/// Searches the root pointer where a BIOS leaves it: the first KiB of the extended BIOS data area, then the BIOS ROM.
pub fn find_rsdp(memory: &impl Memory) -> Option<[u8; RSDP_LEN]> {
    let ebda = memory.bytes(0x40e, 2).and_then(|b| u16_at(b, 0)).map_or(0, |segment| u64::from(segment) << 4);
    [(ebda, 1024usize), (0xe_0000, 0x2_0000)].into_iter().filter(|&(at, _)| at != 0).find_map(|(at, len)| {
        let area = memory.bytes(at, len)?;
        // A look at the signature first: there are thousands of places.
        let candidates =
            area.chunks_exact(16).enumerate().filter(|(_, c)| c.first_chunk() == Some(b"RSD PTR "));
        candidates.map(|(i, _)| &area[16 * i..]).find_map(check_rsdp)
    })
}

/// The whole table at `at`, if it has this signature and its sum is right.
fn table<'m>(memory: &'m impl Memory, at: u64, signature: &[u8; 4]) -> Option<&'m [u8]> {
    any_table(memory, at).filter(|t| &t[..4] == signature)
}

/// The whole table at `at`, at least its header, if its sum is right.
fn any_table(memory: &impl Memory, at: u64) -> Option<&[u8]> {
    let header = memory.bytes(at, HEADER_LEN)?;
    let len = u32_at(header, 4)? as usize;
    if !(HEADER_LEN..=MAX_TABLE_LEN).contains(&len) {
        return None;
    }
    memory.bytes(at, len).filter(|b| checksum_holds(b))
}

/// The tables that the root pointer leads to, but those that are broken.
fn tables<'m, M: Memory>(
    memory: &'m M,
    rsdp: &[u8; RSDP_LEN],
) -> impl Iterator<Item = &'m [u8]> + use<'m, M> {
    let old = u32_at(rsdp, 16).map_or(0, u64::from);
    let new = if rsdp[15] >= 2 { u64_at(rsdp, 24).unwrap_or(0) } else { 0 };
    let (root, width) = match table(memory, new, b"XSDT") {
        Some(t) if new != 0 => (t, 8),
        _ => (table(memory, old, b"RSDT").unwrap_or(&[0; HEADER_LEN]), 4),
    };
    root[HEADER_LEN..]
        .chunks_exact(width)
        .filter_map(move |e| if width == 8 { u64_at(e, 0) } else { u32_at(e, 0).map(u64::from) })
        .filter_map(|at| any_table(memory, at))
}

/// Follows the root pointer to the MADT and reads it. `None` if any table on the way is missing or broken.
pub fn platform(memory: &impl Memory, rsdp: &[u8; RSDP_LEN]) -> Option<Platform> {
    tables(memory, rsdp).find(|t| t[..4] == *b"APIC").map(madt)
}

/// Tells where the registers are of the devices that send what they are told to the address that they are told: I/O APICs,
/// HPETs that can, and IOMMUs, which report faults in this way.
pub fn message_senders(memory: &impl Memory, rsdp: &[u8; RSDP_LEN], tell: &mut impl FnMut(PhysRegion)) {
    let mut registers = |at: Option<u64>, len: u64| {
        if let Some(at) = at {
            tell(PhysRegion::new(at, at.saturating_add(len)));
        }
    };
    for t in tables(memory, rsdp) {
        match &t[..4] {
            b"APIC" => entries(t, MADT_ENTRIES, short_length)
                .filter(|e| e[0] == 1)
                .for_each(|e| registers(u32_at(e, 4).map(u64::from), 4096)),
            b"HPET" => registers(u64_at(t, 44).filter(|&at| hpet_sends_messages(memory, at)), 1024),
            // Hardware units: their registers are 4 KiB or a power of two more.
            b"DMAR" => entries(t, HEADER_LEN + 12, long_length)
                .filter(|e| u16_at(e, 0) == Some(0))
                .for_each(|e| registers(u64_at(e, 8), 4096 << e.get(5).map_or(0, |size| size & 15))),
            // Hardware definitions: the registers with the performance counters.
            b"IVRS" => entries(t, HEADER_LEN + 12, long_length)
                .filter(|e| matches!(e[0], 0x10 | 0x11 | 0x40))
                .for_each(|e| registers(u64_at(e, 8), 512 << 10)),
            _ => {}
        }
    }
}

/// True unless the registers of the HPET at `at` say that none of its comparators can send its interrupt as a message
/// (IA-PC HPET specification 1.0a, 2.3.4 and 2.3.8).
fn hpet_sends_messages(memory: &impl Memory, at: u64) -> bool {
    const CAN_SEND: u32 = 1 << 15;
    let register = |offset: u64| at.checked_add(offset).and_then(|at| memory.register(at));
    register(0).is_none_or(|capabilities| {
        let last = u64::from(capabilities >> 8 & 31);
        (0..=last)
            .any(|n| register(0x100 + 0x20 * n).is_none_or(|configuration| configuration & CAN_SEND != 0))
    })
}

/// Where the entries of the MADT begin.
const MADT_ENTRIES: usize = HEADER_LEN + 8;

/// The length of an entry that has it in its second byte.
fn short_length(entry: &[u8]) -> Option<usize> {
    entry.get(1).copied().map(usize::from)
}

/// The length of an entry that has it in its second pair of bytes.
fn long_length(entry: &[u8]) -> Option<usize> {
    u16_at(entry, 2).map(usize::from)
}

/// The entries of a table from `start` on, up to the first that is broken; all have the bytes that tell their length.
fn entries(table: &[u8], start: usize, length: fn(&[u8]) -> Option<usize>) -> impl Iterator<Item = &[u8]> {
    let mut rest = table.get(start..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let entry = rest.get(..length(rest)?).filter(|e| length(e).is_some())?;
        rest = &rest[entry.len()..];
        Some(entry)
    })
}

fn madt(t: &[u8]) -> Platform {
    let mut p = Platform::empty();
    for entry in entries(t, MADT_ENTRIES, short_length) {
        match entry[0] {
            0 => p.processors += usize::from(u32_at(entry, 4).unwrap_or(0) & 1 != 0),
            9 => p.processors += usize::from(u32_at(entry, 8).unwrap_or(0) & 1 != 0),
            1 if p.num_ioapics < MAX_IOAPICS => {
                let (Some(address), Some(first)) = (u32_at(entry, 4), u32_at(entry, 8)) else { continue };
                let at = p.ioapics[..p.num_ioapics].iter().take_while(|i| i.first <= first).count();
                p.ioapics.copy_within(at..p.num_ioapics, at + 1);
                p.ioapics[at] = Ioapic { address, first };
                p.num_ioapics += 1;
            }
            // An override, of bus 0. It drives out the interrupt that would be at that pin by its own number.
            2 if entry.get(2) == Some(&0) => {
                let (Some(input), Some(flags)) = (u32_at(entry, 4), u16_at(entry, 8)) else { continue };
                let irq = usize::from(entry[3]);
                if irq >= ISA_IRQS {
                    continue;
                }
                if let Some(other) = p.isa.get_mut(input as usize)
                    && other.is_some_and(|other| other.input == input)
                {
                    *other = None;
                }
                // In each pair of bits 0 is as the bus has it: active high, and edge-triggered.
                let (active_low, level) = (flags & 3 == 3, flags >> 2 & 3 == 3);
                p.isa[irq] = Some(IsaSource { input, level, active_low });
            }
            _ => {}
        }
    }
    p
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pieces;
    use super::*;

    fn sum(mut b: Vec<u8>, at: usize) -> Vec<u8> {
        b[at] = 0;
        b[at] = b.iter().fold(0u8, |a, &x| a.wrapping_sub(x));
        b
    }
    fn rsdp(revision: u8, rsdt: u32, xsdt: u64) -> Vec<u8> {
        let mut b = b"RSD PTR \0PECAN ".to_vec();
        b.push(revision);
        b.extend(rsdt.to_le_bytes());
        b = sum(b, 8);
        if revision >= 2 {
            b.extend(36u32.to_le_bytes());
            b.extend(xsdt.to_le_bytes());
            b.extend([0; 4]);
            b = sum(b, 32);
        }
        b
    }
    fn acpi(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut b = signature.to_vec();
        b.extend((HEADER_LEN as u32 + body.len() as u32).to_le_bytes());
        b.resize(HEADER_LEN, 7);
        b.extend(body);
        sum(b, 9)
    }
    fn madt_body(entries: &[&[u8]]) -> Vec<u8> {
        [&[0, 0, 0xe0, 0xfe, 1, 0, 0, 0], &entries.concat()[..]].concat()
    }
    fn ioapic(address: u32, base: u32) -> Vec<u8> {
        [&[1, 12, 0, 0][..], &address.to_le_bytes(), &base.to_le_bytes()].concat()
    }
    const CPU: [u8; 8] = [0, 8, 0, 0, 1, 0, 0, 0];

    fn machine(madt: Vec<u8>) -> Pieces {
        let mut bios = vec![0; 0x2_0000];
        bios[0x5a10..0x5a10 + 36].copy_from_slice(&rsdp(2, 0x1000, 0x2000));
        Pieces(vec![
            (0xe_0000, bios),
            (0x1000, acpi(b"RSDT", &0x3000u32.to_le_bytes())),
            (0x2000, acpi(b"XSDT", &[0x9_0000u64.to_le_bytes(), 0x3000u64.to_le_bytes()].concat())),
            (0x3000, madt),
        ])
    }

    #[test]
    fn ioapics_and_processors_are_found_in_order() {
        let (a, b) = (ioapic(0xfec1_0000, 24), ioapic(0xfec0_0000, 0));
        let m = machine(acpi(b"APIC", &madt_body(&[&CPU, &a, &[2, 10, 0, 0, 2, 0, 0, 0, 0, 0], &CPU, &b])));
        let p = platform(&m, &find_rsdp(&m).unwrap()).unwrap();
        assert_eq!((p.num_ioapics, p.processors), (2, 2));
        let at = |address, first| Ioapic { address, first };
        assert_eq!(p.ioapics[..2], [at(0xfec0_0000, 0), at(0xfec1_0000, 24)]);
    }

    #[test]
    fn an_old_root_pointer_leads_through_the_rsdt() {
        let m = machine(acpi(b"APIC", &madt_body(&[&ioapic(0xfec0_0000, 0)])));
        let old = check_rsdp(&rsdp(0, 0x1000, 0)).unwrap();
        assert_eq!(platform(&m, &old).unwrap().num_ioapics, 1);
        let lost = check_rsdp(&rsdp(2, 0x1000, 0x5000)).unwrap();
        assert_eq!(platform(&m, &lost).unwrap().num_ioapics, 1, "a missing XSDT falls back to the RSDT");
    }

    #[test]
    fn the_extended_bios_data_area_is_searched() {
        let mut area = vec![0; 1024];
        area[0x40..0x40 + 20].copy_from_slice(&rsdp(0, 0x1234, 0));
        let m = Pieces(vec![(0x40e, vec![0xc0, 0x9f]), (0x9_fc00, area)]);
        assert_eq!(u32_at(&find_rsdp(&m).unwrap(), 16), Some(0x1234));
        assert_eq!(find_rsdp(&Pieces::default()), None);
    }

    #[test]
    fn a_single_wrong_byte_anywhere_is_noticed() {
        for revision in [0, 2] {
            let good = rsdp(revision, 0x1000, 0x2000);
            for i in 0..good.len() {
                let mut bad = good.clone();
                bad[i] ^= 0x41;
                assert_eq!(check_rsdp(&bad), None, "byte {i} of revision {revision}");
            }
            assert_eq!(check_rsdp(&good[..good.len() - 1]), None);
        }
        let good = acpi(b"APIC", &madt_body(&[&CPU]));
        let root = check_rsdp(&rsdp(2, 0x1000, 0x2000)).unwrap();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x41;
            assert_eq!(platform(&machine(bad), &root), None, "byte {i}");
        }
    }

    #[test]
    fn malformed_entries_end_the_walk_without_harm() {
        let good = ioapic(0xfec0_0000, 0);
        for bad in [&[1u8, 0][..], &[1, 1], &[1, 200, 3], &[1], &[1, 3, 0]] {
            let t = acpi(b"APIC", &madt_body(&[&good, bad]));
            assert_eq!(madt(&t).num_ioapics, 1, "{bad:?}");
        }
        let many: Vec<_> = (0..20).map(|i| ioapic(0x1000 * i, 24 * i)).collect();
        let refs: Vec<_> = many.iter().map(|v| &v[..]).collect();
        assert_eq!(madt(&acpi(b"APIC", &madt_body(&refs))).num_ioapics, MAX_IOAPICS);
        assert_eq!(madt(&acpi(b"APIC", &[])), Platform::empty());
    }

    fn isa_override(irq: u8, input: u32, flags: u16) -> Vec<u8> {
        [&[2, 10, 0, irq][..], &input.to_le_bytes(), &flags.to_le_bytes()].concat()
    }

    #[test]
    fn interrupts_of_the_isa_bus_come_in_where_the_firmware_says() {
        let ioapics = || [(0, 24), (24, 8)].into_iter();
        let route = |ioapic, pin, level, active_low| Some(IoapicPin { ioapic, pin, level, active_low });
        let routes = |overrides: &[Vec<u8>]| {
            let overrides: Vec<&[u8]> = overrides.iter().map(|o| &o[..]).collect();
            madt(&acpi(b"APIC", &madt_body(&overrides))).isa_routes(ioapics())
        };
        let plain = routes(&[]);
        assert_eq!(
            (plain[0], plain[2], plain[15]),
            (route(0, 0, false, false), None, route(0, 15, false, false))
        );
        // As QEMU has it, and an interrupt on the second IOAPIC; flags of all kinds.
        let some = routes(&[
            isa_override(0, 2, 0),
            isa_override(5, 5, 0xd),
            isa_override(9, 9, 0xf),
            isa_override(10, 26, 5),
            isa_override(11, 99, 0xf),
            isa_override(16, 3, 0),
        ]);
        assert_eq!((some[0], some[2]), (route(0, 2, false, false), None));
        assert_eq!((some[5], some[9]), (route(0, 5, true, false), route(0, 9, true, true)));
        assert_eq!((some[10], some[11]), (route(1, 2, false, false), None), "no IOAPIC has input 99");
        assert_eq!(some[3], route(0, 3, false, false));
        // The timer in another one's place.
        let moved = routes(&[isa_override(0, 7, 3)]);
        assert_eq!((moved[0], moved[7]), (route(0, 7, false, true), None));
        // Two that change places.
        let swapped = routes(&[isa_override(3, 4, 0), isa_override(4, 3, 0)]);
        assert_eq!((swapped[3], swapped[4]), (route(0, 4, false, false), route(0, 3, false, false)));
        // Other buses, and entries that are cut short.
        let mut other = isa_override(6, 1, 0);
        other[2] = 1;
        assert_eq!(routes(&[other]), plain);
        for len in [2, 3, 4, 8, 9] {
            let mut short = isa_override(6, 1, 0)[..len].to_vec();
            short[1] = len as u8;
            assert_eq!(routes(&[short]), plain, "{len} bytes");
        }
        // Without tables.
        let usual = Platform::usual(0xfec0_0000).isa_routes(ioapics());
        assert_eq!(
            (usual[0], usual[2], usual[4]),
            (route(0, 2, false, false), None, route(0, 4, false, false))
        );
    }

    #[test]
    fn absurd_lengths_are_refused() {
        for len in [0u32, 35, u32::MAX, 1 << 21] {
            let mut t = acpi(b"APIC", &madt_body(&[&CPU]));
            t[4..8].copy_from_slice(&len.to_le_bytes());
            let root = check_rsdp(&rsdp(2, 0x1000, 0x2000)).unwrap();
            assert_eq!(platform(&machine(sum(t, 9)), &root), None);
        }
    }
    fn senders(tables: &[Vec<u8>]) -> Vec<(u64, u64)> {
        let at = |i: usize| 0x10_0000 + i as u64 * 0x1000;
        let root: Vec<u8> = (0..tables.len()).flat_map(|i| at(i).to_le_bytes()).collect();
        let mut memory = vec![(0x2000, acpi(b"XSDT", &root))];
        memory.extend(tables.iter().enumerate().map(|(i, t)| (at(i), t.clone())));
        let mut found = Vec::new();
        let rsdp = check_rsdp(&rsdp(2, 0, 0x2000)).unwrap();
        message_senders(&Pieces(memory), &rsdp, &mut |r| found.push((r.start.0, r.len())));
        found
    }

    #[test]
    fn an_hpet_is_told_of_unless_its_comparators_send_no_messages() {
        const AT: u64 = 0xfed0_0000;
        let table = acpi(b"HPET", &[vec![0; 8], AT.to_le_bytes().to_vec(), vec![0; 8]].concat());
        let told = |registers: Option<Vec<u8>>| {
            let mut memory = vec![(0x2000, acpi(b"XSDT", &0x3000u64.to_le_bytes())), (0x3000, table.clone())];
            memory.extend(registers.map(|r| (AT, r)));
            let mut found = false;
            let rsdp = check_rsdp(&rsdp(2, 0, 0x2000)).unwrap();
            message_senders(&Pieces(memory), &rsdp, &mut |r| found |= r.start.0 == AT);
            found
        };
        // Three comparators, of which one may be able to.
        let registers = |able: Option<usize>| {
            let mut r = vec![0; 0x160];
            r[..4].copy_from_slice(&0x8086_8201u32.to_le_bytes());
            if let Some(n) = able {
                r[0x101 + 0x20 * n] = 0x80;
            }
            r
        };
        assert!(!told(Some(registers(None))));
        for able in 0..3 {
            assert!(told(Some(registers(Some(able)))), "comparator {able}");
        }
        assert!(told(Some(registers(None)[..0x140].to_vec())), "registers that cannot be read");
        assert!(told(None), "an address that cannot be read");
        assert!(told(Some(vec![0xff; 0x500])), "an address with nothing behind it");
    }

    #[test]
    fn devices_that_can_send_messages_are_found() {
        let bytes = |at: u64| at.to_le_bytes().to_vec();
        let hpet = [vec![0; 8], bytes(0xfed0_0000), vec![0; 8]].concat();
        let unit = |size: u8, at| [vec![0, 0, 16, 0, 1, size, 0, 0], bytes(at)].concat();
        let reserved_memory =
            [vec![1, 0, 24, 0, 0, 0, 0, 0], bytes(0x7000_0000), bytes(0x7001_0000)].concat();
        let units = [vec![0; 12], unit(0, 0xfed9_0000), reserved_memory, unit(2, 0xfed9_4000)].concat();
        let definition = |kind, at| [vec![kind, 0, 24, 0, 0, 0, 0, 0], bytes(at), vec![0; 8]].concat();
        let definitions = [vec![0; 12], definition(0x10, 0xfeb8_0000), definition(0x20, 0x1000)].concat();
        let madt = madt_body(&[&ioapic(0xfec0_0000, 0), &CPU, &ioapic(0xfd00_1000, 24)]);
        let tables = [
            acpi(b"HPET", &hpet),
            acpi(b"DMAR", &units),
            acpi(b"SSDT", &hpet),
            acpi(b"IVRS", &definitions),
            acpi(b"APIC", &madt),
        ];
        let all = [
            (0xfed0_0000, 0x400),
            (0xfed9_0000, 0x1000),
            (0xfed9_4000, 0x4000),
            (0xfeb8_0000, 0x8_0000),
            (0xfec0_0000, 0x1000),
            (0xfd00_1000, 0x1000),
        ];
        assert_eq!(senders(&tables), all);
        // Tables that are cut short, with a sum that is right, and lengths that lead nowhere.
        for (signature, body) in
            [(b"HPET", &hpet), (b"DMAR", &units), (b"IVRS", &definitions), (b"APIC", &madt)]
        {
            for len in 0..body.len() {
                let found = senders(&[acpi(signature, &body[..len])]);
                assert!(found.iter().all(|r| all.contains(r)), "{len} bytes: {found:x?}");
            }
            for wrong in [0, 1, 3] {
                let mut body = body.clone();
                let at = 14.min(body.len() - 2);
                body[at..at + 2].fill(wrong);
                senders(&[acpi(signature, &body)]);
            }
        }
        let far = [vec![0; 12], unit(15, u64::MAX - 5)].concat();
        assert_eq!(senders(&[acpi(b"DMAR", &far)]), [(u64::MAX - 5, 5)]);
        assert_eq!(senders(&[]), []);
    }
}
