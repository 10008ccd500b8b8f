//! Chunks of the extra boot information of x86_64.

use crate::boot::BootInfoHeader;

/// How many entries of the Multiboot memory map are passed on.
pub const MULTIBOOT_MAX_MMAP_ENTRIES: usize = 50;
/// The memory type of RAM in the Multiboot memory map.
pub const MULTIBOOT_RAM_REGION_TYPE: u32 = 1;

/// An entry of the Multiboot memory map, as Multiboot 1 lays it out.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MbMmapEntry {
    /// Bytes of this entry, this field not counted.
    pub size: u32,
    /// Physical address of the region.
    pub base_addr: u64,
    /// Bytes of the region.
    pub length: u64,
    /// What it is; [`MULTIBOOT_RAM_REGION_TYPE`] is RAM.
    pub kind: u32,
}

/// The chunk with the Multiboot memory map.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfoMmap {
    /// Head of the chunk.
    pub header: BootInfoHeader,
    /// Bytes of the map that are in use.
    pub mmap_length: u32,
    /// The map.
    pub mmap: [MbMmapEntry; MULTIBOOT_MAX_MMAP_ENTRIES],
}

/// The ACPI root system description pointer, version 2, as the ACPI specification lays it out.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default)]
pub struct AcpiRsdp {
    /// `RSD PTR `.
    pub signature: [u8; 8],
    /// Makes the first 20 bytes sum to 0.
    pub checksum: u8,
    /// Who made the machine.
    pub oem_id: [u8; 6],
    /// 0 for ACPI 1.0 (then only the first 20 bytes count), 2 since.
    pub revision: u8,
    /// Physical address of the RSDT.
    pub rsdt_address: u32,
    /// Bytes of the whole structure.
    pub length: u32,
    /// Physical address of the XSDT.
    pub xsdt_address: u64,
    /// Makes all bytes sum to 0.
    pub extended_checksum: u8,
    /// Reserved.
    pub reserved: [u8; 3],
}

/// The chunk with the ACPI root pointer.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BootInfoRsdp {
    /// Head of the chunk.
    pub header: BootInfoHeader,
    /// The pointer.
    pub rsdp: AcpiRsdp,
}

/// The chunk with the frequency of the time-stamp counter.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BootInfoTscFreq {
    /// Head of the chunk.
    pub header: BootInfoHeader,
    /// The frequency in MHz.
    pub mhz: u32,
}

/// Interrupts of the ISA bus.
pub const ISA_IRQS: usize = 16;

/// Where an interrupt of the ISA bus comes in, and how to ask for it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IsaIrq {
    /// Index of the I/O APIC; [`IsaIrq::NOWHERE`] if the interrupt does not come in.
    pub ioapic: u8,
    /// Its input pin.
    pub pin: u8,
    /// 1 if level-triggered, 0 if edge-triggered.
    pub level: u8,
    /// 1 if active low, 0 if active high.
    pub active_low: u8,
}

impl IsaIrq {
    /// See [`IsaIrq::ioapic`].
    pub const NOWHERE: u8 = 0xff;
}

/// The chunk that says where interrupts of the ISA bus come in.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfoIsaIrqs {
    /// Head of the chunk.
    pub header: BootInfoHeader,
    /// By the interrupt's number.
    pub irqs: [IsaIrq; ISA_IRQS],
}

/// The frame buffer, in the fields of Multiboot 2's frame buffer tag.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Framebuffer {
    /// Physical address.
    pub addr: u64,
    /// Bytes of a line.
    pub pitch: u32,
    /// Pixels of a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bits of a pixel.
    pub bpp: u8,
    /// How a pixel is stored: 0 palette, 1 RGB, 2 text.
    pub kind: u8,
}

/// The chunk with the frame buffer.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BootInfoFramebuffer {
    /// Head of the chunk.
    pub header: BootInfoHeader,
    /// The frame buffer.
    pub framebuffer: Framebuffer,
}

/// Bytes of the VESA BIOS information block and of its mode information block.
pub const VBE_INFO_BLOCK_BYTES: usize = 512;
/// Bytes of the VESA BIOS mode information block.
pub const VBE_MODE_INFO_BLOCK_BYTES: usize = 256;

/// The chunk with VESA BIOS information; the two blocks are as the VBE 3.0 specification lays them out.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfoVbe {
    /// Head of the chunk.
    pub header: BootInfoHeader,
    /// What the BIOS says of itself.
    pub info_block: [u8; VBE_INFO_BLOCK_BYTES],
    /// What it says of the current mode.
    pub mode_info_block: [u8; VBE_MODE_INFO_BLOCK_BYTES],
    /// The current mode.
    pub mode: u32,
    /// Segment of the protected-mode interface.
    pub interface_seg: u32,
    /// Its offset.
    pub interface_off: u32,
    /// Its bytes.
    pub interface_len: u32,
}

const _: () = {
    use core::mem::size_of;
    assert!(size_of::<MbMmapEntry>() == 24);
    assert!(size_of::<BootInfoMmap>() == 16 + 4 + 50 * 24);
    assert!(size_of::<AcpiRsdp>() == 36);
    assert!(size_of::<BootInfoRsdp>() == 52);
    assert!(size_of::<BootInfoTscFreq>() == 20);
    assert!(size_of::<BootInfoIsaIrqs>() == 16 + 64);
    assert!(size_of::<Framebuffer>() == 22);
    assert!(size_of::<BootInfoVbe>() == 16 + 512 + 256 + 16);
};
