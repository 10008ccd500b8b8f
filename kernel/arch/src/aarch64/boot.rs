//! From the boot loader's state to one in which the portable kernel can run.
//!
//! Runs once, on the boot code's page tables and stack. What the loader left, a device tree, is untrusted, and read through
//! `firmware` alone. At the end the kernel's own tables are in force, and `BootData` has all that the portable kernel is told.

use super::{console, core_block::CORE, cpu, entry, features, fpu, irq, time, vspace};
use crate::firmware::devicetree::{self, Info};
use crate::format::aarch64::boot::BootExtras;
use crate::{BootData, BootError, PhysAddr, PhysRegion, Regions, say};

/// The size of the frames by which the boot tables show the image and the device tree in the physmap.
const BOOT_WINDOW: u64 = 1 << 30;

/// What [`BootData`] borrows from.
#[derive(Default)]
pub struct Store {
    memory: Regions<{ devicetree::MAX_REGIONS }>,
    reserved: Regions<4>,
    withheld: Regions<{ devicetree::MAX_REGIONS }>,
    boot_only: [PhysRegion; 3],
}

/// The frame of the boot tables that an address is in.
fn boot_window(at: u64) -> PhysRegion {
    let start = at & !(BOOT_WINDOW - 1);
    PhysRegion::new(start, start + BOOT_WINDOW)
}

/// Brings the processor and the platform up, with what the boot code passes on: where the loader left the device tree, and where
/// the image lies. Prints one line that says what is in use.
///
/// # Safety
/// To be called once, first, on the boot tables and the boot stack of the image's entry code, with `store` on that stack.
pub unsafe fn init(tree: u64, image: u64, store: &mut Store) -> Result<BootData<'_>, BootError> {
    // SAFETY: 1. The boot code has found out. 2. Nothing else has been called yet.
    unsafe { vspace::set_image(image) };
    entry::init();
    console::init(None);
    let tree = PhysRegion::new(tree, boot_window(tree).end.0);
    let bytes = |len: usize| {
        let there = tree.start.0.is_multiple_of(8) && !tree.is_empty() && len as u64 <= tree.len();
        // SAFETY: 1. The boot tables map these addresses, and the final ones do if it is in memory, which is looked at below. 2.
        // Nothing writes there: it is not free before user level runs. Addresses without memory behind them read as something;
        // every reader checks what it reads.
        there.then(|| unsafe {
            core::slice::from_raw_parts(vspace::phys_to_virt(tree.start) as *const u8, len)
        })
    };
    let mut info = Info::default();
    let bytes = devicetree::find(bytes).and_then(|bytes| devicetree::read(bytes, &mut info).map(|()| bytes));
    let bytes = bytes.map_err(|e| match e {
        devicetree::Error::None => BootError::NoDeviceTree,
        devicetree::Error::Malformed => BootError::MalformedBootInfo,
    })?;
    if let Some(port) = info.console {
        console::init(Some(port.blocks[0].start.0));
    }
    features::check()?;
    let Store { memory, reserved, withheld, boot_only } = store;
    let tree = PhysRegion::new(tree.start.0, tree.start.0 + bytes.len() as u64).whole_pages();
    let [text, rest] = vspace::boot_memory();
    *boot_only = [text, rest, tree];

    *memory = info.memory;
    let usable = memory.total();
    if usable == 0 {
        return Err(BootError::NoMemoryMap);
    }
    for &region in info.reserved.as_slice() {
        let region = region.whole_pages();
        memory.remove(region);
        withheld.cover(region);
    }
    let phys_limit = 1 << features::physical_bits();
    let beyond = PhysRegion::new(vspace::PHYSMAP_SIZE.min(phys_limit), u64::MAX);
    for region in memory.as_slice() {
        withheld.cover(PhysRegion { start: region.start.max(beyond.start), ..*region });
    }
    memory.remove(beyond);
    memory.align(12);
    let mut mapped = *memory;
    if let Some(lost) = mapped.remove(vspace::image_read_only()) {
        memory.remove(lost);
        withheld.cover(lost);
    }
    if !memory.contains(vspace::image()) || !memory.contains(tree) {
        return Err(BootError::OutOfMemory);
    }
    let module = info.module;
    if module.is_some_and(|m| !memory.contains(m)) {
        return Err(BootError::ModuleOutside);
    }

    let mut free = *memory;
    let window = boot_window(image);
    let in_use = boot_only.iter().copied().chain([
        vspace::image(),
        module.unwrap_or_default().whole_pages(),
        PhysRegion::new(0, window.start.0),
        PhysRegion::new(window.end.0, u64::MAX),
    ]);
    in_use.for_each(|region| {
        free.remove(region);
    });
    // The image's hole splits a region, which costs a directory and two tables.
    let needed = (vspace::tables_needed(memory.as_slice()) + 3) * 4096;
    let pool = free.take_room(needed).ok_or(BootError::OutOfMemory)?;
    let used = vspace::build(mapped.as_slice(), pool)?;
    reserved.add(vspace::image());
    reserved.add(used);

    fpu::set(true);
    CORE.interrupt.set(0);
    let gic = info.gic.ok_or(BootError::NoGic)?;
    irq::init(gic.blocks[0].start.0, gic.blocks[1].start.0);
    // With its registers user level could send the kernel interrupts of any kind, or keep them from it.
    gic.blocks.iter().for_each(|block| {
        withheld.cover(block.whole_pages());
    });
    time::init(info.timer_hz)?;
    cpu::isb();

    announce(memory.total(), info.processors);
    Ok(BootData {
        memory: memory.as_slice(),
        usable,
        reserved: reserved.as_slice(),
        boot_only,
        withheld: withheld.as_slice(),
        phys_limit: PhysAddr(phys_limit),
        module,
        extras: BootExtras { device_tree: Some(bytes) },
    })
}

fn announce(memory: u64, processors: usize) {
    say(concat!("Pecan ", env!("CARGO_PKG_VERSION"), " aarch64 ("), &[]);
    say(pecan_config::PROFILE, &[]);
    say("): ", &[]);
    say(features::name(), &[]);
    let numbers = [time::ticks_per_us().into(), memory >> 20, irq::numbers() as u64, processors as u64];
    say(" gicv2; # MHz, # MiB, # interrupts, # CPU", &numbers);
    say(if processors == 1 { "\n" } else { "s, 1 used\n" }, &[]);
}
