//! The kernel's own address space, switching between address spaces, and the TLB.
//!
//! Kernel half: the *physmap* (all RAM at [`PHYSMAP_BASE`], never executable, without the kernel's text and constants),
//! the *window* (the kernel image where it is linked, and below the image the interrupt controllers).

use core::arch::asm;

use super::core_block::CORE;
use super::cpu::{read_cr3, write_cr3};
use super::entry;
use super::features::{Features, has};
use crate::builder::{self, Builder, Format, index};
use crate::format::x86_64::paging::{CacheAttr, Pte, Space, translations};
use crate::{BootError, PT_LEVELS, PageTableEntry, PhysAddr, PhysRegion, ROOT_USER_ENTRIES};

/// Where the kernel sees physical address 0.
pub const PHYSMAP_BASE: usize = 0xffff_8000_0000_0000;
/// Bytes of RAM that the physmap can show: one entry of the root table.
pub const PHYSMAP_SIZE: u64 = 1 << 39;
const _: () = assert!(
    crate::fits_address_bits(PHYSMAP_BASE)
        && crate::fits_address_bits(PHYSMAP_BASE + (PHYSMAP_SIZE - 1) as usize)
        && crate::fits_address_bits(WINDOW)
);
/// Where the linker sees physical address 0 for the kernel image.
const WINDOW: usize = 0xffff_ffff_8000_0000;
/// Kernel addresses of devices, a page each: below those of the image, so that one table serves both.
const DEVICES: usize = WINDOW;
const GLOBAL: u64 = 1 << 8;
const NO_FLUSH: u64 = 1 << 63;
const LINK: u64 = Pte::WRITE | Pte::PRESENT;

unsafe extern "C" {
    static image_start: u8;
    static kernel_start: u8;
    static kernel_text_end: u8;
    static kernel_rodata_end: u8;
    static kernel_window_end: u8;
    static kernel_end: u8;
    static boot_memory_end: u8;
}

fn phys_of(symbol: *const u8) -> u64 {
    symbol as u64 - WINDOW as u64
}

/// The root table and the physmap's, of 1 GiB an entry. They are zero at first, and lie in the pages that must not be mapped
/// below the stacks, since nothing but the physmap is needed to reach them.
fn fixed_tables() -> [PhysAddr; 2] {
    entry::stack_guards().map(virt_to_phys)
}

fn root() -> PhysAddr {
    fixed_tables()[0]
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
    PhysAddr(if v >= WINDOW { v - WINDOW } else { v.wrapping_sub(PHYSMAP_BASE) } as u64)
}

/// Where the kernel sees the registers mapped by [`map_device`].
pub fn device_address(slot: usize) -> usize {
    DEVICES + slot * 4096
}

/// Maps a page of device registers, uncached. Slots are below 256.
pub fn map_device(slot: usize, address: u64) {
    let pte = address & !0xfff
        | no_execute()
        | global()
        | Pte::cache_bits(0, CacheAttr::UNCACHEABLE)
        | Pte::WRITE
        | Pte::PRESENT;
    // The table is there: it is the image's.
    // SAFETY: the root is the kernel's own, and the pool is empty.
    let mut builder = unsafe { Builder::<Tables>::new(root(), PhysRegion::default()) };
    if let Ok(entry) = builder.entry(device_address(slot), 0) {
        // SAFETY: `entry` is in a table of `build`'s, for a page of the window that nothing else is mapped at. Then drops
        // what the TLB may hold of that page.
        unsafe {
            *entry = pte;
            asm!("invlpg [{}]", in(reg) device_address(slot), options(nostack, preserves_flags));
        }
    }
}

fn no_execute() -> u64 {
    if has(Features::NX) { Pte::NO_EXECUTE } else { 0 }
}

/// Kernel mappings outlive a switch of address spaces; with the Meltdown window they must not, or user level could use them.
fn global() -> u64 {
    if has(Features::WINDOW) { 0 } else { GLOBAL }
}

/// Pages that [`build`] needs at most to map `regions`.
pub(super) fn tables_needed(regions: &[PhysRegion]) -> u64 {
    // Three for the image and the boot code; four for what user level has mapped of it, if that is but the Meltdown window.
    7 + builder::tables_needed(regions)
}

/// The kernel's tables, in this processor's format.
struct Tables;

impl Format for Tables {
    fn link(table: PhysAddr) -> u64 {
        table.0 | LINK
    }

    fn frame(frame: u64, level: usize, flags: u64) -> u64 {
        frame | if level > 0 { Pte::LARGE } else { 0 } | flags | global() | Pte::PRESENT
    }

    fn has_frames(level: usize) -> bool {
        frame_level_supported(level)
    }

    fn entries(table: PhysAddr) -> *mut u64 {
        entries(table)
    }
}

/// Builds the kernel's address space and switches to it: `regions` of RAM in the physmap (page-aligned, below
/// [`PHYSMAP_SIZE`]), with tables taken from the start of `pool`. Returns what it used of the pool.
pub(super) fn build(regions: &[PhysRegion], pool: PhysRegion) -> Result<PhysRegion, BootError> {
    let [root, physmap] = fixed_tables();
    // SAFETY: 1. The root table is zero and used by nobody yet. 2. The caller gives RAM below 4 GiB that nothing uses; both the
    // boot tables and the final ones show it at its place in the physmap.
    let mut builder = unsafe { Builder::<Tables>::new(root, pool) };
    // SAFETY: as above.
    unsafe { *entries(root).add(ROOT_USER_ENTRIES) = physmap.0 | LINK };
    for &r in regions {
        builder.map(PHYSMAP_BASE, r, no_execute() | Pte::WRITE)?;
    }
    let [guard, fault_guard] = fixed_tables().map(|p| p.0);
    let (text, rodata) = (phys_of(&raw const kernel_text_end), phys_of(&raw const kernel_rodata_end));
    // The boot code can be written through the physmap, since it will be free memory; it is gone from here by then.
    builder.map(WINDOW, boot_text(), 0)?;
    for (start, end, flags) in [
        (image().start.0, text, 0),
        (text, rodata, no_execute()),
        (rodata, guard, no_execute() | Pte::WRITE),
        (guard + 4096, fault_guard, no_execute() | Pte::WRITE),
        (fault_guard + 4096, image().end.0, no_execute() | Pte::WRITE),
    ] {
        builder.map(WINDOW, PhysRegion::new(start, end), flags)?;
    }
    CORE.user_root.set(root);
    if has(Features::WINDOW) {
        CORE.user_root.set(builder.new_root()?);
        let (text, data) = (phys_of(entry::window_text_end()), phys_of(&raw const kernel_window_end));
        builder.map(WINDOW, PhysRegion::new(image().start.0, text), 0)?;
        builder.map(WINDOW, PhysRegion::new(rodata, data), no_execute() | Pte::WRITE)?;
        CORE.asid_mask.set(core::hint::black_box(0));
    }
    // SAFETY: the table is complete, and is never given up.
    CORE.kernel_cr3.set(unsafe { space(root, 0) }.word());
    CORE.vspace.set(CORE.kernel_cr3.get());
    // SAFETY: this is boot, and the boot tables let the text be written. The new tables show the image where the boot tables do, but for the guard pages, and the RAM that `regions`
    // and the pool lie in, with the boot stack, at the same place of the physmap.
    unsafe {
        entry::redirect();
        write_cr3(root.0);
    }
    Ok(PhysRegion::new(pool.start.0, builder.next()))
}

/// Takes the code that only boots out of the window: what becomes of its memory can never run as the kernel. With several
/// cores this comes after the last of them has been started, since they come up through that code, and each then forgets
/// its translations of it.
///
/// # Safety
/// Boot code does not run any more.
pub unsafe fn unmap_boot() {
    let mut table = entries(root());
    for level in (1..PT_LEVELS).rev() {
        // SAFETY: `build` has mapped the image below 2 MiB, so in one table, which this leads to; nothing writes there.
        table = entries(unsafe { Pte(*table.add(index(WINDOW as u64, level))).addr(level) });
    }
    for page in (boot_text().start.0..boot_text().end.0).step_by(4096) {
        // SAFETY: the entry is the boot code's, which by the obligation nobody runs; nobody else looks at it.
        unsafe {
            *table.add(index(page, 0)) = 0;
            asm!("invlpg [{}]", in(reg) page as usize + WINDOW, options(nostack, preserves_flags));
        }
    }
}

pub fn frame_level_supported(level: usize) -> bool {
    level < 2 || level == 2 && has(Features::GIB_PAGES)
}

pub fn kernel_root_entry(index: usize) -> Pte {
    // SAFETY: `build` has run and nothing writes to that table any more; the index is reduced to one that exists.
    Pte(unsafe { *entries(CORE.user_root.get()).add(index & 511) })
}

/// The address space with this root table (a page, not at 0) and ASID (below 4096), of which 0 is the kernel's own. CR3
/// takes the word: where translations are tagged, with the tag and a bit that says to keep them.
///
/// # Safety
/// Who makes the processor use it answers for the table: see [`switch_vspace`].
#[inline]
pub unsafe fn space(root: PhysAddr, asid: u16) -> Space {
    let tagged = if has(Features::PCID) { NO_FLUSH | u64::from(asid) & Space::ASID } else { 0 };
    Space::from_word(root.0 & !Space::ASID | tagged)
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
    // SAFETY: the caller's promise: the kernel's half is the same in every root table. With the Meltdown window it is not, and
    // the instruction is jumped over: the exit stubs load it.
    unsafe {
        asm!("2: mov cr3, {}", "3:", ".pushsection .window_sites, \"a\", @progbits", ".quad 2b, 3b", ".popsection",
            in(reg) space, options(nostack, preserves_flags));
    }
}

/// True if translations of the address space with this ASID are those that the processor uses now: with the Meltdown window,
/// in the kernel always the kernel's own. Where they are not tagged, nobody knows.
fn is_in_force(asid: u16) -> bool {
    !has(Features::PCID) || (CORE.vspace.get() & Space::ASID) as u16 & CORE.asid_mask.get() == asid
}

pub fn switch_kernel_vspace() {
    if CORE.vspace.get() != CORE.kernel_cr3.get() {
        // SAFETY: the kernel's own root.
        unsafe { load(CORE.kernel_cr3.get()) };
    }
}

/// `invpcid`: kind 0 is one page of an ASID, kind 1 a whole ASID, kind 3 all of them. Of what cannot be there is nothing to
/// drop.
fn invpcid(kind: u64, asid: u16, vaddr: u64) {
    let Some(descriptor) = translations(asid, vaddr) else { return };
    // SAFETY: only called where the processor has it (`Features::PCID`), with a descriptor that it accepts; dropping
    // translations is always safe.
    unsafe { asm!("invpcid {}, [{}]", in(reg) kind, in(reg) &descriptor, options(nostack, preserves_flags)) };
}

/// The processor's walks see its own stores in order.
#[inline(always)]
pub fn tables_written() {}

pub fn tlb_flush_page(asid: u16, vaddr: u64) {
    if is_in_force(asid) {
        // SAFETY: dropping a translation is always safe.
        unsafe { asm!("invlpg [{}]", in(reg) vaddr, options(nostack, preserves_flags)) };
    } else {
        invpcid(0, asid, vaddr);
    }
}

pub fn tlb_flush_asid(asid: u16) {
    if has(Features::PCID) {
        invpcid(1, asid, 0);
    } else {
        // SAFETY: loads the same address space again.
        unsafe { write_cr3(read_cr3()) };
    }
}

pub fn tlb_flush_asids() {
    if has(Features::PCID) {
        // Kind 3: all but global ones.
        invpcid(3, 0, 0);
    } else {
        // SAFETY: loads the same address space again.
        unsafe { write_cr3(read_cr3()) };
    }
}
