//! The extra boot information of x86_64: what firmware and boot loader told, as the interface lays it out.

use core::mem::{offset_of, size_of};

use pecan_abi::{
    boot::{BootInfoHeader, BootInfoId},
    x86_64::boot::{
        AcpiRsdp, BootInfoIsaIrqs, BootInfoMmap, BootInfoRsdp, BootInfoTscFreq, ISA_IRQS, IsaIrq,
        MULTIBOOT_MAX_MMAP_ENTRIES, MbMmapEntry,
    },
};

use crate::{ChunkWriter, format::x86_64::irq::IoapicPin};

/// One entry of the firmware's memory map, as the extra boot information passes it on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryMapEntry {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub len: u64,
    /// Kind: 1 is usable memory.
    pub kind: u32,
}

/// What user level is told besides what every architecture tells it.
#[derive(Clone, Copy, Debug)]
pub struct BootExtras<'a> {
    /// The ACPI root pointer: 20 bytes of meaning in revision 0, 36 from revision 2 on.
    pub rsdp: Option<[u8; size_of::<AcpiRsdp>()]>,
    /// The firmware's memory map, unchanged.
    pub memory_map: &'a [MemoryMapEntry],
    /// Where each interrupt of the ISA bus comes in, if it does.
    pub isa_irqs: [Option<IoapicPin>; ISA_IRQS],
    /// Clock ticks per microsecond ([`ticks_per_us`](crate::ticks_per_us)).
    pub tsc_mhz: u32,
}

impl BootExtras<'_> {
    /// Bytes of all chunks.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        let rsdp = if self.rsdp.is_some() { size_of::<BootInfoRsdp>() } else { 0 };
        rsdp + size_of::<BootInfoMmap>() + size_of::<BootInfoTscFreq>() + size_of::<BootInfoIsaIrqs>()
    }

    /// Writes them.
    pub fn write(&self, to: &mut dyn ChunkWriter) {
        if let Some(rsdp) = self.rsdp {
            to.chunk(BootInfoId::X86AcpiRsdp, size_of::<BootInfoRsdp>());
            to.bytes(&rsdp);
        }
        to.chunk(BootInfoId::X86MbMmap, size_of::<BootInfoMmap>());
        let entries = &self.memory_map[..self.memory_map.len().min(MULTIBOOT_MAX_MMAP_ENTRIES)];
        to.bytes(&((entries.len() * size_of::<MbMmapEntry>()) as u32).to_ne_bytes());
        const { assert!(offset_of!(BootInfoMmap, mmap) == size_of::<BootInfoHeader>() + 4) }
        for entry in entries {
            to.bytes(&(size_of::<MbMmapEntry>() as u32 - 4).to_ne_bytes());
            to.bytes(&entry.base.to_ne_bytes());
            to.bytes(&entry.len.to_ne_bytes());
            to.bytes(&entry.kind.to_ne_bytes());
        }
        to.zeros((MULTIBOOT_MAX_MMAP_ENTRIES - entries.len()) * size_of::<MbMmapEntry>());
        to.chunk(BootInfoId::X86TscFreq, size_of::<BootInfoTscFreq>());
        to.bytes(&self.tsc_mhz.to_ne_bytes());
        to.chunk(BootInfoId::X86IsaIrqs, size_of::<BootInfoIsaIrqs>());
        const { assert!(size_of::<IsaIrq>() == 4) }
        for pin in self.isa_irqs {
            let place = |p: IoapicPin| [p.ioapic as u8, p.pin as u8, p.level as u8, p.active_low as u8];
            to.bytes(&pin.map_or([IsaIrq::NOWHERE, 0, 0, 0], place));
        }
    }
}
