//! Tests of booting on the host port.

#[cfg_attr(pecan_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(not(pecan_arch = "x86_64"), path = "devicetree.rs")]
mod arch;

use core::mem::offset_of;

use pecan_abi::{
    boot::{BootInfo, slot},
    constants::{ELF_MACHINE, PADDR_USER_DEVICE_TOP, USER_TOP},
};
use pecan_arch::{
    BootData, PT_LEVELS, PageTableEntry, PhysAddr, PhysRegion, host::take_console, level_shift, reg,
};
use pecan_mem::{
    Cap, Kernel, Link, Slot, Tcb, ThreadState, boot::BootMemory, cap::arch::INITIAL, follow, host,
    retype::ObjectKind, vspace::ROOT_LEVEL,
};

use crate::{
    boot::{BootError, elf, start},
    cap::lookup,
    space::tables,
};

const MIB: u64 = 1 << 20;

/// An executable with these segments: address, bytes in the file, bytes in memory.
fn executable(entry: u64, segments: &[(u64, &[u8], u64)]) -> Vec<u8> {
    let mut file = vec![0; 64 + 56 * segments.len()];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[16..18].copy_from_slice(&[2, 0]);
    file[18..20].copy_from_slice(&ELF_MACHINE.to_le_bytes());
    file[24..32].copy_from_slice(&entry.to_le_bytes());
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    file[54..58].copy_from_slice(&[56, 0, segments.len() as u8, 0]);
    for (i, (vaddr, bytes, size)) in segments.iter().enumerate() {
        let offset = file.len() as u64;
        let header = &mut file[64 + 56 * i..];
        header[..4].copy_from_slice(&1u32.to_le_bytes());
        for (at, word) in [(8, offset), (16, *vaddr), (32, bytes.len() as u64), (40, *size)] {
            header[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(bytes);
    }
    file
}

const ENTRY: u64 = 0x40_0123;

fn program() -> Vec<u8> {
    let text: Vec<u8> = (0..5000u32).map(|i| i as u8 | 1).collect();
    executable(ENTRY, &[(0x40_0100, &text, 5000), (0x40_3ff0, &[7; 32], 20_000)])
}

/// Boots `file` on a machine of `size` bytes, at a place where it shares its pages with nothing.
fn boot_on<R>(size: u64, file: &[u8], f: impl FnOnce(&mut Kernel, Result<Link<Tcb>, BootError>) -> R) -> R {
    boot_in(size, &[PhysRegion::new(MIB, size)], file, f)
}

/// The same, but only these parts of the machine's memory are usable.
fn boot_in<R>(
    size: u64,
    memory: &[PhysRegion],
    file: &[u8],
    f: impl FnOnce(&mut Kernel, Result<Link<Tcb>, BootError>) -> R,
) -> R {
    let k = host::kernel(size as usize);
    let module = PhysRegion::new(2 * MIB + 0x123, 2 * MIB + 0x123 + file.len() as u64);
    host::write_phys(module.start.0, file);
    let boot = BootData {
        memory,
        usable: memory.iter().map(PhysRegion::len).sum(),
        reserved: &[PhysRegion::new(MIB, 2 * MIB)],
        boot_only: &[(0, 0x1_0000), (0x1_4000, 0x1_c000)]
            .map(|(a, b)| PhysRegion::new(3 * MIB + a, 3 * MIB + b)),
        withheld: &[PhysRegion::new(0xfee0_0000, 0xfee0_1000)],
        phys_limit: PhysAddr(1 << 40),
        module: (!file.is_empty()).then_some(module),
        extras: arch::extras(),
    };
    let result = start(k, &boot, &mut host::boot_memory(&boot));
    f(k, result)
}

fn slot_cap(k: &Kernel, tcb: &Tcb, index: u64) -> Cap {
    let Cap::CNode { cnode, .. } = tcb.slots[Tcb::SLOT_CSPACE].cap() else { panic!("no CSpace") };
    cnode.get(k, index).cap()
}

/// Reads user memory through the thread's page tables.
fn read_user(k: &Kernel, tcb: &Tcb, mut at: u64, len: usize) -> Vec<u8> {
    let root = tables::root(k, tcb).expect("a valid address space");
    let end = at + len as u64;
    let mut bytes = Vec::new();
    while at < end {
        let n = (4096 - at % 4096).min(end - at);
        let entry = tables::entry(k, root, at, 0).expect("a page table");
        assert!(entry.get(k).is_present(), "nothing mapped at {at:#x}");
        bytes.extend(host::read_phys(entry.get(k).addr(0).0 + at % 4096, n as usize));
        at += n;
    }
    bytes
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn root_task_starts_as_the_abi_says() {
    boot_on(64 * MIB, &program(), |k, result| {
        let tcb = result.expect("it boots").get(k);
        assert_eq!(tcb.state.get(), ThreadState::Running);
        assert_eq!((tcb.priority.get(), tcb.mcp.get()), (255, 255));
        assert_eq!(tcb.context.get(reg::NEXT_IP), ENTRY);
        assert_eq!(&tcb.name.get()[..11], b"rootserver\0");
        let sc = follow(tcb.sched_context.get(), k).expect("a scheduling context");
        assert_eq!(sc.tcb.get(), Some(tcb.link()));

        // The image: what is in the file, and zeroes behind it.
        let text = read_user(k, tcb, 0x40_0100, 5000);
        assert!(text.iter().enumerate().all(|(i, &b)| b == i as u8 | 1));
        let data = read_user(k, tcb, 0x40_3ff0, 20_000);
        assert!(data[..32].iter().all(|&b| b == 7) && data[32..].iter().all(|&b| b == 0));

        // The image ends at 0x40_8e10; then IPC buffer, boot information, extra boot information.
        assert_eq!(tcb.ipc_buffer.get(), 0x40_9000);
        assert_eq!(tcb.context.get(reg::CAP), 0x40_a000);
        let info = read_user(k, tcb, 0x40_a000, 4096);
        let region = |at| (word(&info, at), word(&info, at + 8));
        assert_eq!(word(&info, offset_of!(BootInfo, ipc_buffer)), 0x40_9000);
        assert_eq!(word(&info, offset_of!(BootInfo, num_nodes)), 1);
        let frames = region(offset_of!(BootInfo, user_image_frames));
        assert_eq!(frames.1 - frames.0, 9);
        let first = slot_cap(k, tcb, frames.0);
        assert!(matches!(first, Cap::Frame { mapping: Some(m), .. } if (m.asid, m.vaddr) == (1, 0x40_0000)));
        let paging = region(offset_of!(BootInfo, user_image_paging));
        let levels: Vec<_> = (paging.0..paging.1)
            .map(|i| match slot_cap(k, tcb, i) {
                Cap::PageTable { level: Some(level), mapping: Some(m), .. } => (level, m.vaddr),
                other => panic!("{other:?} among the paging structures"),
            })
            .collect();
        // One of each level below the root, at the start of what it covers.
        let start = |level| 0x40_0000 >> level_shift(level + 1) << level_shift(level + 1);
        let expected = (0..ROOT_LEVEL).rev().map(|level| (level as u8, start(level)));
        assert_eq!(levels, expected.collect::<Vec<_>>());
        let control = region(offset_of!(BootInfo, sched_control));
        assert_eq!(slot_cap(k, tcb, control.0), Cap::SchedControl { core: 0 });
        let empty = region(offset_of!(BootInfo, empty));
        assert_eq!(empty.1, 1 << pecan_config::ROOT_CNODE_SIZE_BITS);
        assert!((empty.0..empty.1).all(|i| slot_cap(k, tcb, i) == Cap::Null));
        assert_ne!(slot_cap(k, tcb, empty.0 - 1), Cap::Null);

        // The fixed slots.
        assert_eq!(slot_cap(k, tcb, slot::INIT_THREAD_TCB), Cap::Tcb { tcb: tcb.link() });
        assert!(matches!(
            slot_cap(k, tcb, slot::INIT_THREAD_CNODE),
            Cap::CNode { guard: 0, guard_bits: 51, .. }
        ));
        assert_eq!(slot_cap(k, tcb, slot::IRQ_CONTROL), Cap::IrqControl);
        assert_eq!(slot_cap(k, tcb, slot::ASID_CONTROL), Cap::AsidControl);
        assert!(matches!(slot_cap(k, tcb, slot::INIT_THREAD_ASID_POOL), Cap::AsidPool { base: 0, .. }));
        for (index, _) in INITIAL {
            assert!(matches!(slot_cap(k, tcb, *index), Cap::Arch(_)), "slot {index}");
        }
        assert_eq!(slot_cap(k, tcb, slot::DOMAIN), Cap::Domain);
        assert!(matches!(slot_cap(k, tcb, slot::INIT_THREAD_SC), Cap::SchedContext { bits: 7, .. }));
        for absent in [slot::NULL, slot::IO_SPACE, slot::SMMU_SID_CONTROL, slot::SMMU_CB_CONTROL, slot::SMC] {
            let given = INITIAL.iter().any(|(index, _)| *index == absent);
            assert!(given || slot_cap(k, tcb, absent) == Cap::Null, "slot {absent}");
        }
        let found = lookup::cap(k, tcb, slot::DOMAIN).map(Link::<Slot>::addr).ok();
        let Cap::CNode { cnode, .. } = slot_cap(k, tcb, slot::INIT_THREAD_CNODE) else { unreachable!() };
        assert_eq!(found, Some(cnode.slot(slot::DOMAIN).addr()), "a 64-bit address is a slot's index");
    });
}

#[test]
fn extra_boot_information_is_a_chain_of_chunks() {
    boot_on(64 * MIB, &program(), |k, result| {
        let tcb = result.expect("it boots").get(k);
        let info = read_user(k, tcb, 0x40_a000, 4096);
        let len = word(&info, offset_of!(BootInfo, extra_len)) as usize;
        let extra = read_user(k, tcb, 0x40_b000, len);
        let (mut at, mut ids) = (0, Vec::new());
        while at + 16 <= len {
            let (id, chunk) = (word(&extra, at), word(&extra, at + 8) as usize);
            ids.push(id);
            arch::check_chunk(id, &extra[at..at + chunk]);
            at += chunk;
        }
        assert_eq!((at, ids), (len, [arch::CHUNKS, &[0]].concat()));
    });
}

/// The untypeds in the boot information: address, size in bytes, device.
fn untypeds(k: &Kernel, tcb: &Tcb) -> Vec<(u64, u64, bool)> {
    let info = read_user(k, tcb, tcb.context.get(reg::CAP), 4096);
    let at = offset_of!(BootInfo, untyped);
    let list = offset_of!(BootInfo, untyped_list);
    (word(&info, at)..word(&info, at + 8))
        .enumerate()
        .map(|(i, index)| {
            let Cap::Untyped { base, bits, device, .. } = slot_cap(k, tcb, index) else {
                panic!("no untyped")
            };
            let d = &info[list + 16 * i..];
            assert_eq!((word(d, 0), d[8], d[9] != 0), (base.0, bits, device), "as the boot information says");
            (base.0, 1 << bits, device)
        })
        .collect()
}

#[test]
fn all_memory_is_given_out_once() {
    const SIZE: u64 = 64 * MIB;
    boot_on(SIZE, &program(), |k, result| {
        let tcb = result.expect("it boots").get(k);
        let list = untypeds(k, tcb);
        let mut sorted: Vec<_> = list.iter().map(|&(base, size, _)| (base, base + size)).collect();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|w| w[0].1 <= w[1].0), "no two overlap");
        let ram: u64 = list.iter().filter(|u| !u.2).map(|u| u.1).sum();
        // All but the root task's own objects: of its CNode, its tables and its frames the sizes are known.
        let tcb_and_sc = (1 << ObjectKind::Tcb.bits()) + 128;
        let objects =
            (32 << pecan_config::ROOT_CNODE_SIZE_BITS) + (PT_LEVELS as u64 + 1 + 9 + 3) * 4096 + tcb_and_sc;
        assert!((0..4096).contains(&(SIZE - 2 * MIB - objects - ram)), "{ram} bytes of untyped memory");
        let said = take_console();
        let (all, hundredths) = (SIZE - MIB, (ram + objects) * 10_000 / (SIZE - MIB));
        let line = format!(
            "{} KiB of memory: {} KiB untyped, {} KiB in the root task's objects, {}.{:02} % user level's\n",
            all / 1024,
            ram / 1024,
            objects / 1024,
            hundredths / 100,
            hundredths % 100
        );
        assert!(!pecan_config::DEBUG || said.contains(&line), "{said}");
        assert!(!said.contains("not used"), "{said}");
        for &(base, size, device) in &list {
            let in_ram = base < SIZE && base + size > MIB;
            assert!(!(device && in_ram), "no device memory in RAM");
            assert!(device || base >= 2 * MIB, "the kernel's memory stays the kernel's");
            assert!(base > 0xfee0_0fff || base + size <= 0xfee0_0000, "so do its devices");
        }
        let devices: u64 = list.iter().filter(|u| u.2).map(|u| u.1).sum();
        assert_eq!(devices, (1 << 40).min(PADDR_USER_DEVICE_TOP) - (SIZE - MIB) - 0x1000);
        // Frames that are in use are not among the untypeds.
        let root = tables::root(k, tcb).unwrap();
        for page in (0x40_0000..0x40_c000).step_by(4096) {
            let frame = tables::entry(k, root, page, 0).unwrap().get(k).addr(0).0;
            assert!(!list.iter().any(|&(base, size, _)| (base..base + size).contains(&frame)));
        }
    });
}

/// What is left of the memory when it consists of many parts of 32 KiB, and of two that are large: the untypeds, and what
/// the kernel says.
fn boot_in_parts(parts: u64) -> (Vec<(u64, u64, bool)>, String) {
    const SIZE: u64 = 256 * MIB;
    let mut memory = vec![PhysRegion::new(MIB, 8 * MIB)];
    memory.extend((0..parts).map(|i| 16 * MIB + i * 0x9_0000).map(|at| PhysRegion::new(at, at + 0x8000)));
    memory.push(PhysRegion::new(192 * MIB, SIZE));
    boot_in(SIZE, &memory, &program(), |k, result| {
        let list = untypeds(k, result.expect("it boots").get(k));
        (list, take_console())
    })
}

#[test]
fn memory_in_many_parts_is_not_lost() {
    let small = |list: &[(u64, u64, bool)]| list.iter().filter(|u| !u.2 && u.1 == 0x8000).count();
    let (list, said) = boot_in_parts(80);
    assert!(small(&list) >= 80 && !said.contains("not used"), "{said}");
    // As many as a memory map can have, which are more than the boot information can list: the largest are there, of
    // devices, too, and as many of the others as there is room for.
    let (list, said) = boot_in_parts(254);
    assert_eq!(list.len(), super::info::MAX_UNTYPED);
    assert_eq!(list.iter().filter(|u| u.2).count(), super::info::MAX_UNTYPED / 2);
    assert_eq!(list.iter().filter(|u| !u.2).map(|u| u.1).max(), Some(32 * MIB));
    let lost = 254 - small(&list) as u64;
    assert!(lost > 100 && list.iter().all(|u| u.2 || u.1 >= 0x8000), "only the smallest are lost");
    let line = |kib| format!("{kib} KiB of memory are not used: they fall into too many pieces\n");
    assert!((lost * 32..lost * 32 + 100).any(|kib| said.contains(&line(kib))), "{lost} pieces: {said}");
}

#[test]
fn what_cannot_boot_is_refused_by_name() {
    let error = |size, file: &[u8]| boot_on(size, file, |_, result| result.expect_err("it must not boot"));
    assert_eq!(error(8 * MIB, &[]), BootError::NoModule);
    assert_eq!(error(8 * MIB, b"#!/bin/sh"), BootError::Elf(elf::ElfError::NotElf));
    let large = executable(0x40_0000, &[(0x40_0000, &[1], 16 * MIB)]);
    let BootError::NoMemory { needed, found } = error(8 * MIB, &large) else { panic!("there is no memory") };
    // The image, three pages above it, and the initial CNode; and what is usable without what is reserved, what the
    // kernel boots in and the module's page.
    assert_eq!(needed, 16 * MIB + 3 * 4096 + (32 << pecan_config::ROOT_CNODE_SIZE_BITS));
    assert_eq!(found, (8 - 1 - 1) * MIB - 0x1_8000 - 4096);
    let huge = executable(0x40_0000, &[(0x40_0000, &[1], 1 << 30)]);
    assert!(matches!(error(8 * MIB, &huge), BootError::NoSlots { pages: 0x4_0000 }));
    let last = USER_TOP - 0x2000;
    let top = executable(last, &[(last, &[1], 1)]);
    assert!(matches!(error(8 * MIB, &top), BootError::NoAddressSpace { .. }));
    let not_elf = error(8 * MIB, b"#!/bin/sh");
    let mut cut_off = executable(0x40_0000, &[(0x40_0000, &[1], 1)]);
    cut_off.pop();
    for (error, words) in [
        (BootError::NoModule, "no root task: pass its ELF file"),
        (not_elf, "the boot module is not an ELF file: pass"),
        (
            error(8 * MIB, &cut_off),
            "cannot load the root task: its file is cut off: 120 bytes, at least 121 needed",
        ),
        (
            error(8 * MIB, &huge),
            "has 262144 pages, too many for an initial CNode of 8192 slots: make it smaller",
        ),
        (error(8 * MIB, &large), "takes 16652 KiB, 6044 KiB are free; give the machine more"),
        (
            error(8 * MIB, &top),
            &format!("ends at {:#x}, which leaves no room for its IPC buffer: link it to lower", last + 1),
        ),
    ] {
        take_console();
        error.say();
        let text = take_console();
        assert!(text.contains(words) && !text.contains('\n'), "{text:?} says {words:?} in one line");
    }
}

/// An executable that takes so many pages, none of which is in the file.
fn pages(n: u64) -> Vec<u8> {
    executable(0x40_0000, &[(0x40_0000, &[], n * 4096)])
}

#[test]
fn a_root_task_may_fill_its_cspace() {
    let slots = 1u64 << pecan_config::ROOT_CNODE_SIZE_BITS;
    // Capabilities besides those to the image: the fixed slots, the tables for up to 1 GiB, the page of extra boot
    // information, the one to the scheduler.
    let upper_tables = ROOT_LEVEL as u64 - 1;
    let others = |pages: u64| slot::NUM_INITIAL_CAPS + upper_tables + (pages + 3).div_ceil(512) + 1 + 1;
    // The largest that leaves `left` slots.
    let fitting = |left: u64| (0..slots).rev().find(|&n| n + others(n) + left <= slots).unwrap();
    for left in [0, 1, 40] {
        let n = fitting(left);
        boot_on(64 * MIB, &pages(n), |k, result| {
            let tcb = result.unwrap_or_else(|e| panic!("{n} pages, {left} slots left: {e:?}")).get(k);
            // More pieces of memory than there are slots: as many as fit are given out.
            let list = untypeds(k, tcb);
            let room = slots - n - others(n);
            assert!(
                list.len() as u64 <= room && (list.len() as u64 == room || room > 20),
                "{n}: {}",
                list.len()
            );
            assert_eq!(slot_cap(k, tcb, slots - 1) == Cap::Null, (list.len() as u64) < room);
        });
    }
    let n = fitting(0) + 1;
    let error = boot_on(64 * MIB, &pages(n), |_, result| result.expect_err("too large"));
    assert_eq!(error, BootError::NoSlots { pages: n });
}

#[test]
fn elf_headers_are_checked() {
    use elf::{ElfError, parse};
    let good = program();
    let parsed = parse(&good).expect("a good file");
    assert_eq!((parsed.entry, parsed.range()), (ENTRY, (0x40_0100, 0x40_3ff0 + 20_000)));
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&file)
    };
    assert_eq!(with(0, b"X"), Err(ElfError::NotElf));
    assert_eq!(with(4, &[1]), Err(ElfError::NotElf64));
    assert_eq!(with(5, &[2]), Err(ElfError::NotElf64));
    // The number of some other machine.
    let found = ELF_MACHINE as u8 ^ 1;
    assert_eq!(with(18, &[found]), Err(ElfError::Machine { found: found.into() }));
    assert_eq!(with(16, &[3]), Err(ElfError::PositionIndependent));
    assert_eq!(with(16, &[1]), Err(ElfError::NotExecutable { found: 1 }));
    assert_eq!(with(54, &[32]), Err(ElfError::BadHeaders));
    assert_eq!(with(56, &[0]), Err(ElfError::NoSegments));
    assert_eq!(with(64, &[6]), with(64 + 56, &[3]).map_err(|_| ElfError::BadEntry { entry: ENTRY }));
    assert_eq!(with(64, &[3]), Err(ElfError::Dynamic));
    assert_eq!(with(24, &[0, 0]), Err(ElfError::BadEntry { entry: 0x40_0000 }));
    assert_eq!(with(64 + 16 + 7, &[0xff]), Err(ElfError::OutsideUserSpace { vaddr: 0xff00_0000_0040_0100 }));
    assert_eq!(with(64 + 40, &[0x10]), Err(ElfError::BadHeaders), "more in the file than in memory");
    assert_eq!(with(64 + 40 + 2, &[1]), Err(ElfError::Overlap { vaddr: 0x40_3ff0 }));
    for len in 4..good.len() {
        assert!(parse(&good[..len]).is_err(), "cut off at {len}");
    }
    assert!(matches!(parse(&good[..good.len() - 1]), Err(ElfError::Truncated { .. })));
    let many: Vec<_> = (0..33).map(|i| (0x1000 * (i + 1), &[1u8][..], 1)).collect();
    assert_eq!(parse(&executable(0x1000, &many)), Err(ElfError::TooManySegments));
    assert!(parse(&executable(0x1000, &many[..32])).is_ok(), "as many as there can be");
}

#[test]
fn every_error_in_an_elf_file_has_a_message() {
    use elf::ElfError as E;
    for (error, words, numbers) in [
        (E::NotElf, "not an ELF file", 0),
        (E::NotElf64, "64-bit little-endian", 0),
        (E::Machine { found: 183 }, "for ELF machine #, this kernel runs #", 2),
        (E::PositionIndependent, "-no-pie", 0),
        (E::Dynamic, "-static", 0),
        (E::NotExecutable { found: 1 }, "type #", 1),
        (E::Truncated { needed: 2, found: 1 }, "# bytes, at least # needed", 2),
        (E::BadHeaders, "program headers", 0),
        (E::NoSegments, "no segment to load", 0),
        (E::TooManySegments, "more than # segments", 1),
        (E::OutsideUserSpace { vaddr: 1 << 63 }, "segment at $ is not below $", 2),
        (E::Overlap { vaddr: 0x1000 }, "segment at $ overlaps", 1),
        (E::BadEntry { entry: 0x1000 }, "entry point $", 1),
    ] {
        let (text, values) = error.message();
        assert!(text.contains(words), "{error:?}: {text}");
        assert_eq!(text.matches(['#', '$']).count(), numbers, "{text}");
        assert!(values[..numbers].iter().all(|&v| v != 0) && values[numbers..].iter().all(|&v| v == 0));
    }
}

/// A small generator of pseudo-random words (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[test]
fn damaged_elf_files_never_panic() {
    let good = program();
    let mut random = Random(0x5eed);
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut file = good.clone();
        for _ in 0..1 + random.below(4) {
            // The headers; the rest is not read.
            file[random.below(64 + 2 * 56) as usize] = random.next() as u8;
        }
        file.truncate(random.below(2 * file.len() as u64) as usize);
        match elf::parse(&file) {
            Err(_) => refused += 1,
            Ok(program) => {
                for segment in program.segments() {
                    assert!(segment.offset + segment.file_size <= file.len());
                    assert!(segment.file_size as u64 <= segment.size);
                    assert!(segment.end() <= pecan_abi::constants::USER_TOP);
                }
            }
        }
    }
    assert!(refused > 10_000, "{refused} of 20000 refused");
}

#[test]
fn untyped_memory_covers_any_memory_map_exactly() {
    let mut random = Random(0xfeed);
    host::kernel(64 * MIB as usize);
    for _ in 0..300 {
        // Up to eight regions in 64 MiB, some with a reserved part, and a module in the last.
        let (mut memory, mut reserved, mut at) = (Vec::new(), Vec::new(), random.below(300) * 4096);
        for _ in 0..1 + random.below(8) {
            let len = (1 + random.below(1800)) * 4096;
            memory.push(PhysRegion::new(at, at + len));
            if random.below(2) == 0 {
                let part = random.below(len / 4096) * 4096;
                reserved.push(PhysRegion::new(at + part, at + part + 4096));
            }
            at += len + random.below(100) * 4096;
        }
        let last = *memory.last().unwrap();
        let module = PhysRegion::new(last.start.0 + 1, last.start.0 + 1 + random.below(last.len() - 1));
        let boot = BootData {
            memory: &memory,
            usable: 0,
            reserved: &reserved,
            boot_only: &[],
            withheld: &[PhysRegion::new(1 << 33, (1 << 33) + 0x1000)],
            phys_limit: PhysAddr(1 << 36),
            module: Some(module),
            extras: arch::extras(),
        };
        let mut left: BootMemory = host::boot_memory(&boot);
        left.release();
        let counts = [left.piece_sizes(false), left.piece_sizes(true)];
        for device in [false, true] {
            let mut pieces = Vec::new();
            while let Some(piece) = left.take_untyped(device, 12) {
                let Cap::Untyped { base, bits, device: d, .. } = piece.cap() else {
                    panic!("{:?}", piece.cap())
                };
                assert_eq!((base.0 & ((1 << bits) - 1), d), (0, device), "aligned");
                pieces.push(PhysRegion::new(base.0, base.0 + (1 << bits)));
            }
            assert_eq!(pieces.len() as u32, counts[device as usize].iter().sum::<u32>());
            assert!(pieces.windows(2).all(|w| w[0].end <= w[1].start), "in order, no two overlap");
            let sum = |regions: &[PhysRegion]| regions.iter().map(PhysRegion::len).sum::<u64>();
            let expected =
                if device { (1 << 36) - 0x1000 - sum(&memory) } else { sum(&memory) - sum(&reserved) };
            assert_eq!(sum(&pieces), expected, "all of it, and nothing else");
            let overlap = |a: &PhysRegion, b: &PhysRegion| a.start < b.end && b.start < a.end;
            let forbidden = if device { &memory } else { &reserved };
            assert!(!pieces.iter().any(|p| forbidden.iter().any(|r| overlap(p, r))));
        }
    }
}

#[test]
fn the_largest_pieces_are_kept_when_there_are_too_many() {
    let pieces = |list: [u32; 4]| {
        let mut sizes = [0; 64];
        (sizes[11], sizes[12], sizes[13], sizes[20]) = list.into();
        sizes
    };
    let all = pieces([9, 5, 3, 2]);
    for (room, kept) in
        [(11, [0, 5, 3, 2]), (10, [0, 5, 3, 2]), (9, [0, 4, 3, 2]), (4, [0, 0, 2, 2]), (1, [0, 0, 0, 1])]
    {
        assert_eq!(super::largest(all, room), pieces(kept), "room for {room}");
    }
    assert_eq!(level_shift(0), pecan_mem::boot::MIN_PIECE_BITS);
}

/// What is free and what the kernel boots in: two pages of 3 MiB.
fn little_memory<R>(f: impl FnOnce(BootMemory<'_>) -> R) -> R {
    host::kernel(8 << 20);
    let boot = BootData {
        memory: &[PhysRegion::new(MIB, 4 * MIB)],
        usable: 3 * MIB,
        reserved: &[],
        boot_only: &[MIB, 2 * MIB].map(|at| PhysRegion::new(at, at + 4096)),
        withheld: &[],
        phys_limit: PhysAddr(1 << 40),
        module: None,
        extras: arch::extras(),
    };
    f(host::boot_memory(&boot))
}

#[test]
fn what_the_kernel_boots_in_becomes_free_once() {
    little_memory(|mut memory| {
        for is_first in [true, false] {
            memory.release();
            let pieces = core::iter::from_fn(|| memory.take_untyped(false, 12)).count();
            assert_eq!((pieces > 0, memory.free_bytes()), (is_first, 0));
        }
    });
}

#[test]
fn nothing_of_an_impossible_size_is_made_at_boot() {
    little_memory(|mut memory| {
        let free = memory.free_bytes();
        for kind in [59, 60, 64, 67, 255].map(|radix| ObjectKind::CNode { radix }) {
            assert!(memory.alloc(kind).is_none() && memory.free_bytes() == free, "{kind:?}");
        }
    });
}
