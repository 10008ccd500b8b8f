//! The kernel's own address space, switching between address spaces, and the TLB.
//!
//! User level's tables have a register of their own, so all of the upper half is the kernel's (TTBR1_EL1): the *physmap* (all RAM
//! at [`PHYSMAP_BASE`], never executable, without the kernel's text and constants), and the *window*: the devices that the kernel
//! uses, and above them the kernel image where it is linked. Where the image lies in memory the boot loader chooses.

use core::arch::{asm, global_asm};
use core::cell::{Cell, UnsafeCell};

use super::core_block::CORE;
use super::cpu::{dsb, isb, write_register};
use super::entry;
use crate::builder::{self, Builder, Format, index};
use crate::format::aarch64::paging::{CacheAttr, Pte, Space};
use crate::one_core::OneCore;
use crate::{BootError, PT_LEVELS, PageTableEntry, PhysAddr, PhysRegion};

/// Where the kernel sees physical address 0: in the upper part of its half, since capabilities keep 48 bits of a kernel address and
/// take bit 47 for those above.
pub const PHYSMAP_BASE: usize = 0xffff_8000_0000_0000;
/// Bytes of RAM that the physmap can show: one entry of the root table.
pub const PHYSMAP_SIZE: u64 = 1 << 39;
const _: () = assert!(
    crate::fits_address_bits(PHYSMAP_BASE)
        && crate::fits_address_bits(PHYSMAP_BASE + (PHYSMAP_SIZE - 1) as usize)
        && crate::fits_address_bits(WINDOW)
);
/// Kernel addresses of devices, a page each, and of the image behind them.
pub const WINDOW: usize = 0xffff_ffff_8000_0000;
/// Where the image is linked in the window: on a boundary of the large frames that the boot code maps it with.
pub const IMAGE_OFFSET: usize = 0x20_0000;
/// Pages of the window: the console, and the interrupt controller's parts.
pub(super) const CONSOLE_SLOT: usize = 0;
pub(super) const DISTRIBUTOR_SLOT: usize = 1;
pub(super) const CORE_INTERFACE_SLOT: usize = 2;

unsafe extern "C" {
    static image_start: u8;
    static kernel_start: u8;
    static kernel_text_end: u8;
    static kernel_rodata_end: u8;
    static kernel_end: u8;
    static boot_memory_end: u8;
    static pecan_switch_tables: u8;
}

/// A page table that is part of the image.
#[repr(C, align(4096))]
pub struct StaticTable(UnsafeCell<[u64; 512]>);

/// The table of the devices' pages. The boot code's tables lead to it, too.
#[unsafe(export_name = "PECAN_DEVICE_TABLE")]
static DEVICE_TABLE: OneCore<StaticTable> = OneCore::new(StaticTable(UnsafeCell::new([0; _])));
/// The root table of an address space in which nothing is mapped: the user part of the kernel's own.
static NO_USER: OneCore<StaticTable> = OneCore::new(StaticTable(UnsafeCell::new([0; _])));

/// Where the image begins in memory.
static IMAGE: OneCore<Cell<u64>> = OneCore::new(Cell::new(0));

/// Says where the boot loader has put the image.
///
/// # Safety
/// 1. It is true. 2. Called before anything else here.
pub(super) unsafe fn set_image(start: u64) {
    IMAGE.set(start);
}

fn phys_of(symbol: *const u8) -> u64 {
    symbol as u64 - (WINDOW + IMAGE_OFFSET) as u64 + IMAGE.get()
}

/// The root table and the physmap's, of 1 GiB an entry. They are zero at first, and lie in the pages that must not be mapped
/// below the stacks, since nothing but the physmap is needed to reach them.
fn fixed_tables() -> [PhysAddr; 2] {
    entry::stack_guards().map(virt_to_phys)
}

fn entries(table: PhysAddr) -> *mut u64 {
    phys_to_virt(table) as *mut u64
}

/// The kernel image, without what only booting needs.
pub(super) fn image() -> PhysRegion {
    PhysRegion::new(phys_of(&raw const kernel_start), phys_of(&raw const kernel_end))
}

/// The code that only boots, in front of the image and in use until [`unmap_boot`]; and behind it the boot-time page
/// tables, in use until [`build`] has run, and the stack that the kernel boots on.
pub(super) fn boot_memory() -> [PhysRegion; 2] {
    [boot_text(), PhysRegion::new(phys_of(&raw const kernel_end), phys_of(&raw const boot_memory_end))]
}

fn boot_text() -> PhysRegion {
    PhysRegion::new(phys_of(&raw const image_start), phys_of(&raw const kernel_start))
}

/// The kernel's text and constants.
pub(super) fn image_read_only() -> PhysRegion {
    PhysRegion::new(phys_of(&raw const kernel_start), phys_of(&raw const kernel_rodata_end))
}

#[inline(always)]
pub fn phys_to_virt(p: PhysAddr) -> usize {
    PHYSMAP_BASE.wrapping_add(p.0 as usize)
}

/// The physical address behind a kernel address, of the physmap or of the kernel image.
#[inline(always)]
pub fn virt_to_phys(v: usize) -> PhysAddr {
    if v >= WINDOW {
        PhysAddr(phys_of(v as *const u8))
    } else {
        PhysAddr(v.wrapping_sub(PHYSMAP_BASE) as u64)
    }
}

/// Where the kernel sees the registers mapped by [`map_device`].
pub(super) fn device_address(slot: usize) -> usize {
    WINDOW + slot * 4096
}

/// A TLB instruction, with what makes it count: changes of tables are seen before it, and its end is waited for.
macro_rules! tlb {
    ($instruction:literal, $which:expr) => {{
        let which: u64 = $which;
        // SAFETY: 1. Dropping translations is always safe.
        unsafe {
            asm!("dsb ishst", concat!("tlbi ", $instruction, ", {}"), "dsb ish", "isb", in(reg) which,
                options(nostack, preserves_flags));
        }
    }};
}

/// Maps a page of device registers. Slots are below 512.
pub(super) fn map_device(slot: usize, address: u64) {
    let v = device_address(slot);
    let entry = DEVICE_TABLE.0.get().cast::<u64>().wrapping_add(slot & 511);
    let pte = Pte::kernel_frame(address & !0xfff, 0, Pte::NO_EXECUTE, CacheAttr::DEVICE);
    // No entry changes to another one without being empty in between, as the processor wants it ("Using break-before-make").
    // SAFETY: 1. The table is used here only, at boot, and its entry for a slot maps nothing else.
    unsafe { entry.write_volatile(0) };
    tlb!("vaae1is", v as u64 >> 12 & ((1 << 44) - 1));
    // SAFETY: 1. As above.
    unsafe { entry.write_volatile(pte) };
    dsb();
    isb();
}

/// The kernel's tables, in this processor's format.
struct Tables;

impl Format for Tables {
    fn link(table: PhysAddr) -> u64 {
        Pte::table(table).0
    }

    fn frame(frame: u64, level: usize, flags: u64) -> u64 {
        Pte::kernel_frame(frame, level, flags, CacheAttr::WRITE_BACK)
    }

    fn has_frames(level: usize) -> bool {
        frame_level_supported(level)
    }

    fn entries(table: PhysAddr) -> *mut u64 {
        entries(table)
    }
}

/// Pages that [`build`] needs at most to map `regions`.
pub(super) fn tables_needed(regions: &[PhysRegion]) -> u64 {
    // Three for the image and the boot code.
    3 + builder::tables_needed(regions)
}

// Tables in use are not to be replaced by others that map the same addresses in frames of another size: the TLB could hold both.
// So this runs where the lower half maps it, with the upper half off. x0 = root table; x1 is used.
global_asm!(
    r#"
    .section .text.boot, "ax", @progbits
    .global pecan_switch_tables
pecan_switch_tables:
    mrs x1, tcr_el1
    orr x1, x1, #1 << 23
    msr tcr_el1, x1
    isb
    tlbi vmalle1
    dsb nsh
    msr ttbr1_el1, x0
    bic x1, x1, #1 << 23
    msr tcr_el1, x1
    isb
    ret
    .text
    "#
);

/// Builds the kernel's address space and switches to it: `regions` of RAM in the physmap (page-aligned, below
/// [`PHYSMAP_SIZE`]), with tables taken from the start of `pool`. Returns what it used of the pool.
pub(super) fn build(regions: &[PhysRegion], pool: PhysRegion) -> Result<PhysRegion, BootError> {
    let [root, physmap] = fixed_tables();
    // SAFETY: 1. The root table is zero and used by nobody yet. 2. The caller gives RAM that nothing uses, and that the boot tables
    // show at its place in the physmap, as the final ones do.
    let mut builder = unsafe { Builder::<Tables>::new(root, pool) };
    // SAFETY: 1. As above, of both tables.
    unsafe {
        *entries(root).add(index(PHYSMAP_BASE as u64, PT_LEVELS - 1)) = Pte::table(physmap).0;
        let devices = virt_to_phys(DEVICE_TABLE.0.get() as usize);
        *builder.entry(WINDOW, 1)? = Pte::table(devices).0;
    }
    for &r in regions {
        builder.map(PHYSMAP_BASE, r, Pte::NO_EXECUTE)?;
    }
    let [guard, fault_guard] = fixed_tables().map(|p| p.0);
    let (text, rodata) = (phys_of(&raw const kernel_text_end), phys_of(&raw const kernel_rodata_end));
    let offset = (WINDOW + IMAGE_OFFSET).wrapping_sub(IMAGE.get() as usize);
    // The boot code can be written through the physmap, since it will be free memory; it is gone from here by then.
    for (start, end, flags) in [
        (boot_text().start.0, boot_text().end.0, Pte::READ_ONLY),
        (image().start.0, text, Pte::READ_ONLY),
        (text, rodata, Pte::NO_EXECUTE | Pte::READ_ONLY),
        (rodata, guard, Pte::NO_EXECUTE),
        (guard + 4096, fault_guard, Pte::NO_EXECUTE),
        (fault_guard + 4096, image().end.0, Pte::NO_EXECUTE),
    ] {
        builder.map(offset, PhysRegion::new(start, end), flags)?;
    }
    dsb();
    // SAFETY: 1. The boot tables map the routine at its physical address, too, as code. 2. The new tables show the image where the
    // boot tables do, but for the guard pages, and the RAM that `regions` and the pool lie in, with the boot stack, at the same
    // place of the physmap. 3. The routine changes no other registers.
    unsafe {
        asm!("blr {}", in(reg) phys_of(&raw const pecan_switch_tables), in("x0") root.0, lateout("x1") _,
            lateout("x30") _, options(nostack));
    }
    CORE.vspace.set(0);
    switch_kernel_vspace();
    tlb_flush_asids();
    Ok(PhysRegion::new(pool.start.0, builder.next()))
}

/// Takes the code that only boots out of the window: what becomes of its memory can never run as the kernel. With several
/// cores this comes after the last of them has been started, since they come up through that code.
///
/// # Safety
/// Boot code does not run any more.
pub unsafe fn unmap_boot() {
    let mut table = entries(fixed_tables()[0]);
    for level in (1..PT_LEVELS).rev() {
        // SAFETY: 1. `build` has mapped the image within one large frame's size, so in one table, which this leads to; nothing
        // writes there.
        table =
            entries(unsafe { Pte(*table.add(index((WINDOW + IMAGE_OFFSET) as u64, level))).table_addr() });
    }
    let text = boot_text();
    for page in 0..text.len() >> 12 {
        // SAFETY: 1. The entry is the boot code's, which by the obligation nobody runs; nobody else looks at it.
        unsafe { *table.add(page as usize) = 0 };
    }
    tlb_flush_asids();
    // The root task's code has been written as data.
    super::flush_caches();
}

pub fn frame_level_supported(level: usize) -> bool {
    level <= Pte::MAX_FRAME_LEVEL
}

/// There are none.
pub fn kernel_root_entry(_index: usize) -> Pte {
    Pte::EMPTY
}

/// The address space with this root table (a page, not at 0) and ASID, of which 0 is the kernel's own.
///
/// # Safety
/// Who makes the processor use it answers for the table: see [`switch_vspace`].
#[inline]
pub unsafe fn space(root: PhysAddr, asid: u16) -> Space {
    Space::new(root, asid)
}

/// Switches to an address space; nothing happens if it is in force already. Translations that the processor still has for the
/// ASID stay valid: whoever gives an ASID to another address space, or a root table's memory to another use, first calls
/// [`tlb_flush_asid`] and, if it is in force, [`switch_kernel_vspace`].
///
/// # Safety
/// It must have a root table, and an ASID of its own that is not 0.
#[inline(always)]
pub unsafe fn switch_vspace(space: Space) {
    if CORE.vspace.get() != space.word() {
        // SAFETY: 1. The caller's promise.
        unsafe { load(space.word()) };
    }
}

/// # Safety
/// As for [`switch_vspace`], or [`NO_USER`] and ASID 0.
#[inline(always)]
unsafe fn load(space: u64) {
    CORE.vspace.set(space);
    // SAFETY: 1. The caller's promise. The kernel does not use the lower half. What comes next must not find the old tables in use,
    // speculation included.
    unsafe { write_register!("ttbr0_el1", space) };
    isb();
}

pub fn switch_kernel_vspace() {
    let own = virt_to_phys(NO_USER.0.get() as usize).0;
    if CORE.vspace.get() != own {
        // SAFETY: 1. The table is empty for good.
        unsafe { load(own) };
    }
}

/// The operand of an instruction for an ASID.
fn of_asid(asid: u16) -> u64 {
    u64::from(asid) << 48
}

/// The return to user level is what a walk waits for besides.
#[inline(always)]
pub fn tables_written() {
    // SAFETY: 1. It only orders.
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
}

pub fn tlb_flush_page(asid: u16, vaddr: u64) {
    tlb!("vae1is", of_asid(asid) | vaddr >> 12 & ((1 << 44) - 1));
}

pub fn tlb_flush_asid(asid: u16) {
    tlb!("aside1is", of_asid(asid));
}

/// The kernel's own translations go, too: there is no way to keep them apart.
pub fn tlb_flush_asids() {
    // SAFETY: 1. Dropping translations is always safe.
    unsafe { asm!("dsb ishst", "tlbi vmalle1is", "dsb ish", "isb", options(nostack, preserves_flags)) };
}
