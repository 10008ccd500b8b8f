//! What the root task starts with: the boot information and its capabilities.

use core::ops::Range;

use pecan::raw::{self, invocations as inv};
use pecan_abi::{
    MessageInfo, ObjectType, UserContext,
    boot::{BootInfoHeader, BootInfoId, BootInfoIsaIrqs, IsaIrq, MAX_BOOT_INFO_UNTYPED_CAPS, SlotRegion, UntypedDesc, slot},
    constants as c,
};

use crate::{
    Env,
    env::{DEPTH, HIGH, LOW, MIDDLE, Mapped, ROOT, call, info, is_empty, poll, registers, sched_control, signal},
    machine,
    start::{boot_info, image, image_frame},
    thread::Thread,
};

tests! {
    there_is_one_node;
    the_fixed_slots_hold_what_they_should;
    slots_of_other_machines_are_empty;
    free_slots_are_empty;
    the_root_cnode_is_as_large_as_said;
    there_is_a_sched_control_for_each_node;
    the_image_has_a_frame_for_each_page;
    the_frames_of_the_image_are_in_order;
    the_paging_structures_are_those_of_the_image;
    the_ipc_buffer_is_mapped;
    every_untyped_is_described;
    untypeds_are_aligned_and_do_not_overlap;
    memory_untypeds_are_unused;
    device_memory_covers_the_devices;
    device_memory_has_nothing_that_sends_messages;
    most_memory_is_handed_out;
    what_the_kernel_booted_with_is_ordinary_memory;
    the_extra_information_is_well_formed;
    interrupts_of_the_isa_bus_are_where_the_firmware_says;
    the_time_stamp_counter_runs_as_said;
    the_initial_thread_has_the_highest_priority;
    the_regions_do_not_overlap;
}

fn there_is_one_node(_: &Env) {
    let bi = boot_info();
    assert_eq!((bi.node_id, bi.num_nodes, bi.num_io_pt_levels), (0, 1, 0));
    assert!(bi.io_space_caps.is_empty());
}

/// Whether two capabilities are of one type.
fn same_type(a: u64, b: u64) -> bool {
    raw::debug_cap_identify(a) == raw::debug_cap_identify(b)
}

fn the_fixed_slots_hold_what_they_should(env: &Env) {
    for (slot, like) in [
        (slot::INIT_THREAD_TCB, env.tcb()),
        (slot::INIT_THREAD_CNODE, env.cnode(1).cap),
        (slot::INIT_THREAD_VSPACE, env.object(ObjectType::VSPACE)),
        (slot::BOOT_INFO_FRAME, env.frame()),
        (slot::INIT_THREAD_IPC_BUFFER, env.frame()),
        (slot::INIT_THREAD_SC, env.empty_sched_context()),
    ] {
        assert!(same_type(slot, like), "slot {slot}");
    }
    for slot in [
        slot::IRQ_CONTROL,
        slot::ASID_CONTROL,
        slot::INIT_THREAD_ASID_POOL,
        slot::IO_PORT_CONTROL,
        slot::DOMAIN,
    ] {
        assert!(!is_empty(slot), "slot {slot}");
    }
    assert!(inv::page_get_address(slot::BOOT_INFO_FRAME).is_ok());
}

fn slots_of_other_machines_are_empty(_: &Env) {
    for slot in [slot::NULL, slot::IO_SPACE, slot::SMMU_SID_CONTROL, slot::SMMU_CB_CONTROL, slot::SMC] {
        assert!(is_empty(slot), "slot {slot}");
    }
}

fn free_slots_are_empty(env: &Env) {
    // The runner's and the test's own come first.
    let empty = boot_info().empty;
    assert!(empty.start >= slot::NUM_INITIAL_CAPS);
    assert!((env.end_slot..empty.end).all(is_empty));
}

fn the_root_cnode_is_as_large_as_said(_: &Env) {
    let bi = boot_info();
    let slots = 1 << bi.init_thread_cnode_size_bits;
    assert_eq!(bi.empty.end, slots);
    // The last slot is there, and an address with one bit more is none.
    inv::cnode_delete(ROOT, slots - 1, DEPTH).expect("the last slot");
    assert!(inv::cnode_delete(ROOT, slots, DEPTH).is_err());
}

fn there_is_a_sched_control_for_each_node(env: &Env) {
    assert_eq!(boot_info().sched_control.len(), boot_info().num_nodes);
    let sc = env.empty_sched_context();
    inv::sched_control_configure_flags(sched_control(), sc, 1_000, 1_000, 0, 0, 0).expect("configure");
}

fn the_image_has_a_frame_for_each_page(_: &Env) {
    let (start, end) = image();
    assert_eq!(boot_info().user_image_frames.len(), (end - start) / 4096);
}

fn the_frames_of_the_image_are_in_order(env: &Env) {
    /// All in one page, wherever that lies.
    #[repr(align(32))]
    struct Marks([u64; 3]);
    static MARKS: Marks = Marks([0x1111, 0x2222, 0x3333]);
    let at = &raw const MARKS as u64;
    let seen = env.map(env.copy(image_frame(at)));
    let offset = at % 4096 / 8;
    for (index, mark) in MARKS.0.iter().enumerate() {
        assert_eq!(seen.read(offset + index as u64), *mark);
    }
}

fn the_paging_structures_are_those_of_the_image(env: &Env) {
    let paging = boot_info().user_image_paging;
    assert!(paging.len() >= 3, "one of each level at least");
    let table = env.object(ObjectType::PageTable);
    for cap in paging.start..paging.end {
        assert!(same_type(cap, table) || !is_empty(cap), "slot {cap}");
    }
}

fn the_ipc_buffer_is_mapped(_: &Env) {
    let buffer = boot_info().ipc_buffer;
    assert_eq!(buffer % 1024, 0);
    assert!(buffer < c::USER_TOP);
    // It lies outside the image.
    let (start, end) = image();
    assert!(buffer < start || buffer >= end);
}

fn untypeds() -> &'static [UntypedDesc] {
    let bi = boot_info();
    &bi.untyped_list[..bi.untyped.len() as usize]
}

fn every_untyped_is_described(_: &Env) {
    let bi = boot_info();
    assert!(bi.untyped.len() as usize <= MAX_BOOT_INFO_UNTYPED_CAPS);
    let kind = raw::debug_cap_identify(bi.untyped.start);
    assert_ne!(kind, 0);
    assert!((bi.untyped.start..bi.untyped.end).all(|cap| raw::debug_cap_identify(cap) == kind));
    for untyped in untypeds() {
        assert!(untyped.is_device <= 1 && untyped.padding == [0; 6]);
        assert!((c::MIN_UNTYPED_BITS..=c::MAX_UNTYPED_BITS).contains(&untyped.size_bits.into()));
    }
}

fn untypeds_are_aligned_and_do_not_overlap(_: &Env) {
    let end = |u: &UntypedDesc| u.paddr + (1 << u.size_bits);
    for (index, a) in untypeds().iter().enumerate() {
        assert_eq!(a.paddr % (1 << a.size_bits), 0, "untyped {index}");
        assert!(end(a) <= c::PADDR_USER_DEVICE_TOP);
        for b in &untypeds()[index + 1..] {
            assert!(end(a) <= b.paddr || end(b) <= a.paddr, "{a:x?} and {b:x?} overlap");
        }
    }
}

fn memory_untypeds_are_unused(env: &Env) {
    // All but the two that the runner took.
    let bi = boot_info();
    let mut used = 0;
    for (index, untyped) in untypeds().iter().enumerate() {
        let left = crate::env::memory_left(bi.untyped.start + index as u64, env.end_slot);
        if left != Some(1 << untyped.size_bits) {
            used += 1;
        }
    }
    assert!(used <= 2, "{used} untypeds are in use");
}

fn device_memory_covers_the_devices(_: &Env) {
    // The display's memory of old, and the IOAPIC's page, which is not the user's.
    let device = |at: u64| {
        untypeds().iter().any(|u| u.is_device == 1 && (u.paddr..u.paddr + (1 << u.size_bits)).contains(&at))
    };
    assert!(device(0xb_8000), "the text screen");
    assert!(device(0x80_0000_0000), "addresses far above memory");
    assert!(device(0xfed4_0000), "what lies between the windows of interrupts");
    assert!(device(0xfed0_0000), "the HPET, which sends no messages on this machine");
}

/// Where a store is an interrupt, or sets what a device sends as one: messages and the local APIC, I/O APICs, and what
/// AMD's processors make interrupts of.
const SENDERS: [(u64, u64); 3] = [
    (0xfee0_0000, 0xfef0_0000),
    (0xfec0_0000, 0xfed0_0000),
    (0xfd_0000_0000, 0x100_0000_0000),
];

fn device_memory_has_nothing_that_sends_messages(_: &Env) {
    let senders = if machine::is_amd() { &SENDERS[..] } else { &SENDERS[..2] };
    for untyped in untypeds() {
        let end = untyped.paddr + (1 << untyped.size_bits);
        for &(start, past) in senders {
            assert!(end <= start || untyped.paddr >= past, "{untyped:x?} overlaps {start:#x}..{past:#x}");
        }
    }
}

fn most_memory_is_handed_out(_: &Env) {
    let sum = |device: u8| -> u64 {
        untypeds().iter().filter(|u| u.is_device == device).map(|u| 1u64 << u.size_bits).sum()
    };
    assert!(sum(0) >= 48 << 20, "only {} MiB of RAM", sum(0) >> 20);
}

/// An address that nothing is mapped at.
const NOWHERE: u64 = 0x1234_5678;

/// Where loaders put the kernel: code that only boots, then what stays, then stacks and tables that only boot.
const IMAGE: Range<u64> = 1 << 20..2 << 20;

fn what_the_kernel_booted_with_is_ordinary_memory(env: &Env) {
    const MARK: u64 = 0xcccc_cccc_cccc_cccc;
    let bi = boot_info();
    let given = untypeds().iter().zip(bi.untyped.start..);
    let given = given.filter(|(u, _)| u.is_device == 0 && IMAGE.contains(&u.paddr) && u.size_bits < 20);
    let bytes = |from: u64| -> u64 {
        let mut end = from;
        while let Some((u, _)) = given.clone().find(|(u, _)| u.paddr == end) {
            end += 1 << u.size_bits;
        }
        end - from
    };
    let code = bytes(IMAGE.start);
    assert!((24 << 10..256 << 10).contains(&code), "{code} bytes where the code was that boots");
    let rest = given.clone().map(|(u, _)| u.paddr).find(|at| *at > IMAGE.start + code);
    assert!(rest.is_some_and(|at| bytes(at) > 96 << 10), "and none where it had its stack");
    // All of it is written: a kernel that went there would meet breakpoints. The runner's objects may lie in one of them.
    let left = |cap| crate::env::memory_left(cap, env.end_slot).expect("an untyped") / 4096;
    let mut memory = None;
    let mut pages = 0;
    for (_, cap) in given.clone() {
        let count = left(cap);
        let first = env.slots(count);
        inv::untyped_retype(cap, ObjectType::Page4K.word(), 0, ROOT, 0, 0, first, count).expect("retype");
        for frame in first..first + count {
            // One after the other.
            memory.get_or_insert(env.map(frame));
        }
        pages += count;
    }
    let memory = memory.expect("a page");
    assert!(4096 * pages > 128 << 10, "{pages} pages");
    (0..512 * pages).for_each(|word| memory.write(word, MARK));
    enter_in_every_way(env);
    (0..512 * pages).for_each(|word| assert_eq!(memory.read(word), MARK, "somebody has written there"));
}

/// Enters the kernel by every kind of entry, and on every path.
fn enter_in_every_way(env: &Env) {
    let (endpoint, reply, notification) = (env.endpoint(), env.reply(), env.notification());
    env.spawn(HIGH, move || {
        let mut got = raw::recv(endpoint, reply);
        loop {
            let words = [got.regs[0] + 1, 0, 0, 0, 5];
            let words = &words[..got.info.length().max(1)];
            got = raw::reply_recv(endpoint, info(0, &[], words), registers(words), reply);
        }
    });
    for words in [&[1][..], &[2, 0, 0, 0, 4]] {
        assert_eq!(call(endpoint, 0, words).regs[0], words[0] + 1);
    }
    signal(notification);
    assert_eq!(raw::wait(notification).badge, 0);
    assert_eq!(poll(notification), 0);
    raw::yield_now();
    // Faults: a page fault, an invalid instruction, a system call that is none, a capability that is none.
    let faults = env.endpoint();
    let faulty: [fn(); 4] = [
        || _ = Mapped(NOWHERE).read(0),
        // SAFETY: faults, and the thread does not go on.
        || unsafe { core::arch::asm!("ud2") },
        || _ = raw::any_syscall(-100, 0, MessageInfo(0), [0; 4], 0, 0),
        || _ = raw::call(NOWHERE, MessageInfo(0), [0; 4]),
    ];
    for fault in faulty {
        let thread = env.spawn_faulting(LOW, faults, move || {
            fault();
            0
        });
        raw::recv(faults, env.reply());
        env.forget(thread);
    }
    // The timer: two threads of one priority take turns.
    let threads = [(); 2].map(|()| env.spawn(MIDDLE, || { machine::work(15_000); 1 }));
    assert_eq!(threads.map(Thread::join), [1; 2]);
}

fn the_extra_information_is_well_formed(_: &Env) {
    let bi = boot_info();
    let first = bi as *const _ as u64 + 4096;
    let (mut at, end) = (first, first + bi.extra_len);
    let mut seen = [0; BootInfoId::ALL.len()];
    while at < end {
        // SAFETY: the kernel maps `extra_len` bytes there.
        let header = unsafe { (at as *const BootInfoHeader).read_unaligned() };
        assert!(header.len >= 16 && at + header.len <= end, "a chunk of {} bytes", header.len);
        let kind = BootInfoId::ALL.iter().position(|id| id.word() == header.id);
        let Some(kind) = kind else { panic!("a chunk of kind {}", header.id) };
        seen[kind] += 1;
        at += header.len;
    }
    assert_eq!(at, end);
    for (id, count) in BootInfoId::ALL.iter().zip(seen) {
        let needed = match id {
            BootInfoId::X86AcpiRsdp
            | BootInfoId::X86TscFreq
            | BootInfoId::X86MbMmap
            | BootInfoId::X86IsaIrqs => 1,
            _ => 0,
        };
        assert!(count >= needed && (count <= 1 || *id == BootInfoId::Padding), "{count} chunks {id:?}");
    }
    assert_eq!(bi.extra_bi_pages.len(), bi.extra_len.div_ceil(4096));
}

fn interrupts_of_the_isa_bus_are_where_the_firmware_says(_: &Env) {
    let bi = boot_info();
    let mut at = bi as *const _ as u64 + 4096;
    let irqs = loop {
        // SAFETY: the kernel maps a chain of chunks there, and this kind is among them (the test above).
        let header = unsafe { (at as *const BootInfoHeader).read_unaligned() };
        if header.id == BootInfoId::X86IsaIrqs.word() {
            // SAFETY: such a chunk is of this type.
            break unsafe { (at as *const BootInfoIsaIrqs).read_unaligned() }.irqs;
        }
        at += header.len;
    };
    // QEMU's tables: the timer's on pin 2, those of PCI devices level-triggered.
    let irq = |pin, level| IsaIrq { ioapic: 0, pin, level, active_low: 0 };
    assert_eq!((irqs[0], irqs[1], irqs[4], irqs[5]), (irq(2, 0), irq(1, 0), irq(4, 0), irq(5, 1)));
    assert_eq!(irqs[2].ioapic, IsaIrq::NOWHERE, "the second controller's");
}

fn the_time_stamp_counter_runs_as_said(env: &Env) {
    // Budgets are in microseconds of the kernel, so a thread's use of time in them must agree with ours.
    let thread = env.spawn(crate::env::HIGH, || {
        machine::spin(5_000);
        0
    });
    thread.join();
    let used = inv::sched_context_consumed(thread.sc).expect("consumed");
    assert!((4_500..500_000).contains(&used), "{used} us of the kernel for 5,000 us of ours");
}

fn the_initial_thread_has_the_highest_priority(env: &Env) {
    let tcb = env.tcb();
    inv::tcb_set_sched_params(tcb, slot::INIT_THREAD_TCB, c::MAX_PRIORITY, c::MAX_PRIORITY, 0, 0)
        .expect("the initial thread may give any priority");
    let registers = inv::tcb_read_registers(slot::INIT_THREAD_TCB, false, 0, UserContext::WORDS as u64);
    assert!(registers.is_ok());
}

fn the_regions_do_not_overlap(_: &Env) {
    let bi = boot_info();
    let fixed = SlotRegion { start: 0, end: slot::NUM_INITIAL_CAPS };
    let regions = [
        fixed,
        bi.empty,
        bi.shared_frames,
        bi.user_image_frames,
        bi.user_image_paging,
        bi.extra_bi_pages,
        bi.sched_control,
        bi.untyped,
    ];
    for (index, a) in regions.iter().enumerate().filter(|(_, r)| !r.is_empty()) {
        for b in regions[index + 1..].iter().filter(|r| !r.is_empty()) {
            assert!(a.end <= b.start || b.end <= a.start, "{a:?} and {b:?} overlap");
        }
    }
}
