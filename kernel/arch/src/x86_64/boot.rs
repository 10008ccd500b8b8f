//! From the boot loader's state to one in which the portable kernel can run.
//!
//! Runs once, on the boot code's page tables and stack. What the loader and the firmware left is untrusted,
//! and read through `firmware` alone. At the end the kernel's own tables are in force, and `BootData` has all
//! that the portable kernel is told.

use super::cpu::{self, cpuid, rdmsr, write_cr0, write_cr4, wrmsr};
use super::features::{self, Features, has};
use super::{console, irq, tables, time, vspace};
use crate::firmware::acpi::{self, MAX_IOAPICS, Platform};
use crate::firmware::multiboot::MAX_REGIONS;
use crate::firmware::{Memory, multiboot, withheld};
use crate::format::x86_64::boot::BootExtras;
use crate::format::x86_64::paging::PAT;
use crate::{BootData, BootError, PhysAddr, PhysRegion, Regions, say};

/// What the boot tables show: the first 4 GiB, at the start of the physmap.
const BOOT_WINDOW: u64 = 1 << 32;
/// The interrupt vectors and the data of the BIOS: not RAM to us, whatever the memory map says.
const BIOS_DATA: PhysRegion = PhysRegion::new(0, 4096);

/// Physical memory through the boot tables.
struct BootMemory;

impl Memory for BootMemory {
    fn bytes(&self, at: u64, len: usize) -> Option<&[u8]> {
        if at.checked_add(len as u64)? > BOOT_WINDOW {
            return None;
        }
        // SAFETY: the boot tables map these addresses (until `vspace::build`, after which this type is not used), and
        // nothing writes there while the firmware's and the loader's tables are read. Addresses without memory behind
        // them read as something; every reader checks what it reads.
        Some(unsafe { core::slice::from_raw_parts(vspace::phys_to_virt(PhysAddr(at)) as *const u8, len) })
    }

    fn register(&self, at: u64) -> Option<u32> {
        if !at.is_multiple_of(4) || at.checked_add(4)? > BOOT_WINDOW {
            return None;
        }
        // SAFETY: the boot tables map the address, as above, and it is aligned. The firmware's memory types keep registers out of
        // the cache. Addresses with nothing behind them read as something.
        Some(unsafe { (vspace::phys_to_virt(PhysAddr(at)) as *const u32).read_volatile() })
    }
}

/// What [`BootData`] borrows from.
#[derive(Default)]
pub struct Store {
    memory: Regions<MAX_REGIONS>,
    reserved: Regions<4>,
    withheld: Regions<{ withheld::MAX_REGIONS }>,
    info: multiboot::Info,
    boot_only: [PhysRegion; 2],
}

/// Brings the processor and the platform up, with what a Multiboot loader left in `eax` and `ebx`. Prints one line that says
/// what is in use.
///
/// # Safety
/// To be called once, first, on the boot tables and the boot stack of the image's entry code, with `store` on that stack.
pub unsafe fn init(magic: u64, info: u64, store: &mut Store) -> Result<BootData<'_>, BootError> {
    console::init();
    features::check()?;
    let Store { memory, reserved, withheld, info: loaded, boot_only } = store;
    *boot_only = vspace::boot_memory();
    multiboot::read(&BootMemory, magic as u32, info, loaded).map_err(|e| match e {
        multiboot::Error::NotMultiboot => BootError::NotMultiboot,
        multiboot::Error::Malformed => BootError::MalformedBootInfo,
        multiboot::Error::NoMemoryMap => BootError::NoMemoryMap,
    })?;
    let info = &*loaded;
    features::detect(info.mitigations);
    let rsdp = info.rsdp.and_then(|b| acpi::check_rsdp(&b)).or_else(|| acpi::find_rsdp(&BootMemory));
    let platform = rsdp.and_then(|r| acpi::platform(&BootMemory, &r));
    let phys_bits = match cpuid(0x8000_0008, 0).eax & 0xff {
        0 => 36,
        bits => bits.min(52),
    };

    // RAM is what the firmware calls so and nothing else of its map claims.
    let mut withhold = |region: PhysRegion| {
        withheld.cover(region.whole_pages());
    };
    *memory = info.usable;
    info.other.as_slice().iter().filter_map(|&r| memory.remove(r)).for_each(&mut withhold);
    let usable = memory.total();
    memory.remove(BIOS_DATA).into_iter().for_each(&mut withhold);
    let beyond = PhysRegion::new(vspace::PHYSMAP_SIZE.min(1 << phys_bits), u64::MAX);
    memory
        .as_slice()
        .iter()
        .map(|r| PhysRegion { start: r.start.max(beyond.start), ..*r })
        .for_each(&mut withhold);
    memory.remove(beyond);
    info.unfit.as_slice().iter().copied().for_each(&mut withhold);
    withheld::add(withheld, &BootMemory, rsdp.as_ref(), features::is_amd());
    memory.align(12);
    let mut mapped = *memory;
    if let Some(lost) = mapped.remove(vspace::image_read_only()) {
        memory.remove(lost);
        withheld.cover(lost);
    }
    if !memory.contains(vspace::image()) {
        return Err(BootError::OutOfMemory);
    }

    // SAFETY: the values are those the processor's features allow; the boot tables satisfy SMEP and SMAP (no user pages).
    unsafe { control_registers() };
    let mut free = free_memory(memory, info);
    // The image's hole splits a region, which costs a directory and two tables.
    let pool = free
        .take_room((vspace::tables_needed(memory.as_slice()) + 3) * 4096)
        .ok_or(BootError::OutOfMemory)?;
    let module = info.modules().first().copied().filter(|m| !m.is_empty());
    if module.is_some_and(|m| !memory.contains(m)) {
        return Err(BootError::ModuleOutside);
    }
    let used = vspace::build(mapped.as_slice(), pool)?;
    reserved.add(vspace::image());
    reserved.add(used);

    tables::init();
    irq::disable_legacy();
    let local = irq::init_local();
    withheld.cover(PhysRegion::new(local, local + 4096));
    let platform = platform.unwrap_or_else(|| Platform::usual(irq::DEFAULT_IOAPIC));
    let mut first_pins = [0; MAX_IOAPICS];
    for ioapic in &platform.ioapics[..platform.num_ioapics] {
        let index = irq::num_ioapics();
        if irq::init_ioapic(ioapic.address) {
            first_pins[index] = ioapic.first;
        }
    }
    if irq::num_ioapics() == 0 {
        return Err(BootError::NoIoapic);
    }
    let in_use = (0..irq::num_ioapics()).map(|i| (first_pins[i], irq::ioapic_pins(i)));
    time::init()?;

    announce(memory, &platform);
    Ok(BootData {
        memory: memory.as_slice(),
        usable,
        reserved: reserved.as_slice(),
        boot_only,
        withheld: withheld.as_slice(),
        phys_limit: PhysAddr(1 << phys_bits),
        module,
        extras: BootExtras {
            rsdp,
            memory_map: info.map(),
            isa_irqs: platform.isa_routes(in_use),
            tsc_mhz: time::ticks_per_us(),
        },
    })
}

/// RAM below 4 GiB that neither the image nor a boot module occupies.
fn free_memory(memory: &Regions<MAX_REGIONS>, info: &multiboot::Info) -> Regions<MAX_REGIONS> {
    let mut free = *memory;
    free.remove(vspace::image());
    for r in vspace::boot_memory() {
        free.remove(r);
    }
    for m in info.modules() {
        free.remove(PhysRegion::new(m.start.0 & !0xfff, m.end.0.saturating_add(0xfff) & !0xfff));
    }
    free.remove(PhysRegion::new(BOOT_WINDOW, u64::MAX));
    free
}

/// Turns on what the processor has.
///
/// # Safety
/// The tables in force must not map kernel code or data for user level.
unsafe fn control_registers() {
    let bit = |f, b: u32| if has(f) { 1u64 << b } else { 0 };
    // Protection, paging, write protection in ring 0, x87 errors as exceptions; no emulation.
    let cr0 = 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1;
    // Physical address extension, FXSAVE and its exceptions, and what there is. Tables have four levels, whatever mode the
    // boot loader used.
    let cr4 = 1 << 5
        | u64::from(cpuid(1, 0).edx >> 7 & 1) << 6 // machine checks
        | 1 << 9
        | 1 << 10
        | bit(Features::PGE, 7)
        | bit(Features::UMIP, 11)
        | bit(Features::FSGSBASE, 16)
        | bit(Features::PCID, 17)
        | bit(Features::XSAVE, 18)
        | bit(Features::SMEP, 20)
        | bit(Features::SMAP, 21);
    // SAFETY: the caller's promise; NX comes before the tables that use it; PCID is turned on while CR3's low bits are 0.
    unsafe {
        wrmsr(cpu::MSR_EFER, rdmsr(cpu::MSR_EFER) | 1 | bit(Features::NX, 11) | bit(Features::AUTO_IBRS, 21));
        write_cr0(cr0);
        write_cr4(cr4);
        let speculation = bit(Features::IBRS, 0) | bit(Features::SSBD, 2);
        if speculation != 0 {
            wrmsr(cpu::MSR_SPEC_CTRL, speculation);
        }
        if has(Features::PAT) {
            wrmsr(cpu::MSR_PAT, PAT);
        }
        if has(Features::XSAVE) {
            let components = features::xsave_components();
            core::arch::asm!("xsetbv", in("ecx") 0, in("eax") components as u32, in("edx") (components >> 32) as u32,
                options(nostack, preserves_flags));
        }
    }
}

fn announce(memory: &Regions<MAX_REGIONS>, platform: &Platform) {
    let unless = |feature, text| {
        if !has(feature) {
            say(text, &[])
        }
    };
    say(concat!("Pecan ", env!("CARGO_PKG_VERSION"), " x86_64 ("), &[]);
    say(pecan_config::PROFILE, &[]);
    say("):", &[]);
    features::say_all();
    unless(Features::XSAVE, " fxsave");
    unless(Features::X2APIC, " xapic");
    unless(Features::TSC_DEADLINE, " apic-timer");
    let pins = (0..irq::num_ioapics()).map(irq::ioapic_pins).sum::<usize>();
    let numbers =
        [time::ticks_per_us().into(), memory.total() >> 20, pins as u64, platform.processors as u64];
    say("; # MHz, # MiB, # IOAPIC pins, # CPU", &numbers);
    say(if platform.processors == 1 { "\n" } else { "s, 1 used\n" }, &[]);
}
