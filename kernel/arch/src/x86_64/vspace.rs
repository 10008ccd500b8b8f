//! The kernel's own address space, switching between address spaces, and the TLB.
//!
//! Kernel half: the *physmap* (all RAM at [`PHYSMAP_BASE`], never executable, without the kernel's text and constants),
//! the *window* (the kernel image where it is linked), and above it the *device window* (interrupt controllers).

use core::arch::asm;
use core::cell::UnsafeCell;

use super::core_block::{CORE, OneCore};
use super::cpu::{read_cr3, write_cr3};
use super::features::{Features, has};
use super::{PhysAddr, entry};
use crate::common::paging::{CacheAttr, Pte, ROOT_USER_ENTRIES, Space, level_shift};
use crate::{PhysRegion, boot::BootError};

/// Where the kernel sees physical address 0.
pub const PHYSMAP_BASE: usize = 0xffff_8000_0000_0000;
/// Bytes of RAM that the physmap can show: one entry of the root table.
pub const PHYSMAP_SIZE: u64 = 1 << 39;
/// Where the linker sees physical address 0 for the kernel image.
const WINDOW: usize = 0xffff_ffff_8000_0000;
/// Kernel addresses of devices, a page each.
const DEVICES: usize = 0xffff_ffff_ffe0_0000;
/// Tables for the image: 2 MiB each.
const IMAGE_TABLES: usize = 2;
const GLOBAL: u64 = 1 << 8;
const NO_FLUSH: u64 = 1 << 63;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

impl Table {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }
    fn get(&self, index: usize) -> u64 {
        // SAFETY: tables are only touched through this type and `Builder`, on one core, one access at a time.
        unsafe { (*self.0.get())[index] }
    }
    fn set(&self, index: usize, entry: u64) {
        // SAFETY: as in `get`. What an entry makes of memory is the concern of `build`.
        unsafe { (*self.0.get())[index] = entry }
    }
    fn phys(&self) -> u64 {
        virt_to_phys(self.0.get() as usize).0
    }
}

static ROOT: OneCore<Table> = OneCore::new(Table::new());
static PHYSMAP: OneCore<Table> = OneCore::new(Table::new());
static HIGH: OneCore<Table> = OneCore::new(Table::new());
static IMAGE_DIRECTORY: OneCore<Table> = OneCore::new(Table::new());
static IMAGE: OneCore<[Table; IMAGE_TABLES]> = OneCore::new([const { Table::new() }; IMAGE_TABLES]);
static DEVICE_DIRECTORY: OneCore<Table> = OneCore::new(Table::new());
static DEVICE: OneCore<Table> = OneCore::new(Table::new());

unsafe extern "C" {
    static kernel_start: u8;
    static kernel_text_end: u8;
    static kernel_rodata_end: u8;
    static kernel_end: u8;
    static boot_memory_end: u8;
}

fn phys_of(symbol: *const u8) -> u64 {
    symbol as u64 - WINDOW as u64
}

/// The kernel image, without what only booting needs.
pub(super) fn image() -> PhysRegion {
    PhysRegion::new(phys_of(&raw const kernel_start), phys_of(&raw const kernel_end))
}

/// The boot-time page tables behind the image: in use until [`build`] has run.
pub(super) fn boot_memory() -> PhysRegion {
    PhysRegion::new(phys_of(&raw const kernel_end), phys_of(&raw const boot_memory_end))
}

/// The kernel's text and constants.
pub(super) fn image_read_only() -> PhysRegion {
    PhysRegion::new(phys_of(&raw const kernel_start), phys_of(&raw const kernel_rodata_end))
}

/// Where the kernel sees a physical address (of RAM).
#[inline(always)]
pub fn phys_to_virt(p: PhysAddr) -> usize {
    PHYSMAP_BASE.wrapping_add(p.0 as usize)
}

/// The physical address behind a kernel address, of the physmap or of the kernel image.
#[inline(always)]
pub fn virt_to_phys(v: usize) -> PhysAddr {
    PhysAddr(if v >= WINDOW { v - WINDOW } else { v.wrapping_sub(PHYSMAP_BASE) } as u64)
}

/// Where the kernel sees the registers mapped by [`map_device`].
pub fn device_address(slot: usize) -> usize {
    DEVICES + slot * 4096
}

/// Maps a page of device registers, uncached. Slots are below 512.
pub fn map_device(slot: usize, address: u64) {
    DEVICE.set(
        slot,
        address & !0xfff
            | no_execute()
            | GLOBAL
            | Pte::cache_bits(0, CacheAttr::UNCACHEABLE)
            | Pte::WRITE
            | Pte::PRESENT,
    );
    // SAFETY: drops what the TLB may hold of the one page.
    unsafe { asm!("invlpg [{}]", in(reg) device_address(slot), options(nostack, preserves_flags)) };
}

fn no_execute() -> u64 {
    if has(Features::NX) { Pte::NO_EXECUTE } else { 0 }
}

/// Pages that [`build`] needs at most to map `regions`.
pub(super) fn tables_needed(regions: &[PhysRegion]) -> u64 {
    // For each region a directory for every GiB it touches and a table for each ragged end.
    regions.iter().map(|r| ((r.end.0 - 1) >> 30) - (r.start.0 >> 30) + 1 + 2).sum()
}

/// Makes page tables out of boot memory.
struct Builder {
    next: u64,
    end: u64,
}

impl Builder {
    fn table(&mut self) -> Result<u64, BootError> {
        if self.next == self.end {
            return Err(BootError::OutOfMemory);
        }
        let page = self.next;
        self.next += 4096;
        // SAFETY: `build`'s caller gives RAM below 4 GiB that nothing uses; both the boot tables and the final ones
        // show it at this address.
        unsafe { core::ptr::write_bytes(phys_to_virt(PhysAddr(page)) as *mut u64, 0, 512) };
        Ok(page)
    }

    /// The entry of `level` that translates physmap address `p`, with the tables on the way to it.
    fn entry(&mut self, p: u64, level: usize) -> Result<*mut u64, BootError> {
        let mut table = PHYSMAP.0.get() as *mut u64;
        for l in (level + 1..=2).rev() {
            let entry = table.wrapping_add(index(p, l));
            // SAFETY: `table` is PHYSMAP or a page that `table()` gave, and the index is below 512.
            unsafe {
                if *entry == 0 {
                    *entry = self.table()? | Pte::WRITE | Pte::PRESENT;
                }
                table = phys_to_virt(PhysAddr(*entry & 0x000f_ffff_ffff_f000)) as *mut u64;
            }
        }
        Ok(table.wrapping_add(index(p, level)))
    }

    fn physmap(&mut self, region: PhysRegion) -> Result<(), BootError> {
        let flags = no_execute() | GLOBAL | Pte::WRITE | Pte::PRESENT;
        let (mut p, end) = (region.start.0, region.end.0);
        while p < end {
            let fits = |level| p & ((1 << level_shift(level)) - 1) == 0 && end - p >= 1 << level_shift(level);
            let level = (1..=2).rev().find(|&l| fits(l) && super::frame_level_supported(l)).unwrap_or(0);
            let entry = self.entry(p, level)?;
            let (size, large) = (1u64 << level_shift(level), if level > 0 { Pte::LARGE } else { 0 });
            // Neighbours in one table need no new walk.
            let run = (512 - index(p, level) as u64).min(((end - p) >> level_shift(level)).max(1));
            for i in 0..run {
                // SAFETY: `entry` and its `run - 1` successors are in one table that `entry()` found or made.
                unsafe { *entry.add(i as usize) = (p + i * size) | large | flags };
            }
            p += run * size;
        }
        Ok(())
    }
}

fn index(address: u64, level: usize) -> usize {
    (address >> level_shift(level)) as usize & 511
}

/// Builds the kernel's address space and switches to it: `regions` of RAM in the physmap (page-aligned, below
/// [`PHYSMAP_SIZE`]), with tables taken from the start of `pool`. Returns what it used of the pool.
pub(super) fn build(regions: &[PhysRegion], pool: PhysRegion) -> Result<PhysRegion, BootError> {
    let mut builder = Builder { next: pool.start.0, end: pool.end.0 };
    for r in regions {
        builder.physmap(*r)?;
    }
    let link = Pte::WRITE | Pte::PRESENT;
    ROOT.set(ROOT_USER_ENTRIES, PHYSMAP.phys() | link);
    ROOT.set(511, HIGH.phys() | link);
    HIGH.set(index(WINDOW as u64, 2), IMAGE_DIRECTORY.phys() | link);
    HIGH.set(index(DEVICES as u64, 2), DEVICE_DIRECTORY.phys() | link);
    DEVICE_DIRECTORY.set(index(DEVICES as u64, 1), DEVICE.phys() | link);
    for (i, table) in IMAGE.iter().enumerate() {
        IMAGE_DIRECTORY.set(i, table.phys() | link);
    }
    let end = |symbol: *const u8| symbol as usize;
    let (text, rodata) = (end(&raw const kernel_text_end), end(&raw const kernel_rodata_end));
    for v in (end(&raw const kernel_start)..end(&raw const kernel_end)).step_by(4096) {
        let flags = match v {
            _ if v == entry::stack_guard() => continue,
            _ if v < text => GLOBAL | Pte::PRESENT,
            _ if v < rodata => GLOBAL | no_execute() | Pte::PRESENT,
            _ => GLOBAL | no_execute() | Pte::WRITE | Pte::PRESENT,
        };
        let page = v - WINDOW;
        let table = IMAGE.get(page >> 21).ok_or(BootError::ImageTooLarge)?;
        table.set(index(v as u64, 0), page as u64 | flags);
    }
    CORE.vspace.set(ROOT.phys());
    if has(Features::PCID) {
        // Kept from the compiler, which would store one bit and compute the masks from it at every switch.
        CORE.cr3_mask.set(core::hint::black_box(!0));
        CORE.cr3_bits.set(core::hint::black_box(NO_FLUSH));
    }
    // SAFETY: the new tables show the image, with its stack, where the boot tables do, and the RAM that `regions` and the
    // pool lie in at the same place of the physmap.
    unsafe { write_cr3(ROOT.phys()) };
    Ok(PhysRegion::new(pool.start.0, builder.next))
}

/// Frames of this level's size exist on this processor.
pub fn frame_level_supported(level: usize) -> bool {
    level < 2 || level == 2 && has(Features::GIB_PAGES)
}

/// The kernel's entry `index` (from [`ROOT_USER_ENTRIES`] on) of every root table. Constant after boot.
pub fn kernel_root_entry(index: usize) -> Pte {
    Pte(ROOT.get(index))
}

/// Switches to an address space; nothing happens if it is in force already. Translations
/// that the processor still has for the ASID stay valid: whoever gives an ASID to another address space, or a root
/// table's memory to another use, first calls [`tlb_flush_asid`] and, if it is in force, [`switch_kernel_vspace`].
///
/// # Safety
/// It must have a root table with the kernel's entries in place, and an ASID of its own that is not 0.
#[inline(always)]
pub unsafe fn switch_vspace(space: Space) {
    if CORE.vspace.get() != space.word() {
        // SAFETY: the caller's promise.
        unsafe { load(space.word()) };
    }
}

/// # Safety
/// As for [`switch_vspace`], or the kernel's own root and ASID 0.
#[inline(always)]
unsafe fn load(space: u64) {
    CORE.vspace.set(space);
    // SAFETY: the caller's promise: the kernel's half is the same in every root table.
    unsafe { write_cr3(space & CORE.cr3_mask.get() | CORE.cr3_bits.get()) };
}

/// The ASID of the address space in force.
fn asid_in_force() -> u16 {
    (CORE.vspace.get() & 0xfff) as u16
}

/// Switches to the kernel's own address space, which has no user part.
pub fn switch_kernel_vspace() {
    if CORE.vspace.get() != ROOT.phys() {
        // SAFETY: the kernel's own root.
        unsafe { load(ROOT.phys()) };
    }
}

/// `invpcid`: kind 0 is one page of an ASID, kind 1 a whole ASID.
fn invpcid(kind: u64, asid: u16, vaddr: u64) {
    let descriptor = [u64::from(asid), vaddr];
    // SAFETY: only called where the processor has it (`Features::PCID`); dropping translations is always safe.
    unsafe { asm!("invpcid {}, [{}]", in(reg) kind, in(reg) &descriptor, options(nostack, preserves_flags)) };
}

/// Forgets the translation of one page, and what is cached of the tables that lead to it.
pub fn tlb_flush_page(asid: u16, vaddr: u64) {
    if asid_in_force() == asid {
        // SAFETY: dropping a translation is always safe.
        unsafe { asm!("invlpg [{}]", in(reg) vaddr, options(nostack, preserves_flags)) };
    } else if has(Features::PCID) {
        invpcid(0, asid, vaddr);
    }
}

/// Forgets all translations of an address space, and what is cached of its tables.
pub fn tlb_flush_asid(asid: u16) {
    if has(Features::PCID) {
        invpcid(1, asid, 0);
    } else if asid_in_force() == asid {
        // SAFETY: loads the same address space again.
        unsafe { write_cr3(read_cr3()) };
    }
}
