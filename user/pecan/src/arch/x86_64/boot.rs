//! What a root task is given on PCs.

use core::mem::offset_of;

use pecan_abi::boot::{
    BootInfoId, BootInfoIsaIrqs, BootInfoMmap, BootInfoRsdp, BootInfoTscFreq, IsaIrq, MbMmapEntry, slot,
};

use super::IoapicPin;
use crate::{Cap, boot::BootInfo, types::IoPortControl};

/// Authority over I/O ports.
pub const IO_PORT_CONTROL: Cap<IoPortControl> = Cap::at(slot::IO_PORT_CONTROL);

impl BootInfo {
    /// The frequency of the time-stamp counter in MHz.
    pub fn tsc_mhz(&self) -> Option<u32> {
        let chunk = self.chunk(BootInfoId::X86TscFreq)?;
        let at = offset_of!(BootInfoTscFreq, mhz);
        Some(u32::from_le_bytes(chunk.bytes.get(at..at + 4)?.try_into().ok()?))
    }

    /// Where an interrupt of the ISA bus comes in; none if it does not, or there is no such interrupt. The vector is left to
    /// whoever asks for it. A kernel that does not say is taken to run on a PC as most are: the timer, 0, is on pin 2,
    /// the others on pins of their own numbers.
    pub fn isa_irq(&self, irq: u8) -> Option<IoapicPin> {
        let Some(chunk) = self.chunk(BootInfoId::X86IsaIrqs) else { return usual_isa_irq(irq) };
        let at = offset_of!(BootInfoIsaIrqs, irqs) + usize::from(irq) * size_of::<IsaIrq>();
        isa_irq_of(chunk.bytes.get(at..)?.first_chunk()?)
    }

    /// Bytes of memory that the firmware calls usable, as far as the boot information lists its map.
    pub fn usable_memory(&self) -> Option<u64> {
        let bytes = self.chunk(BootInfoId::X86MbMmap)?.bytes;
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let map = offset_of!(BootInfoMmap, mmap);
        let entries = word(offset_of!(BootInfoMmap, mmap_length))? as usize / size_of::<MbMmapEntry>();
        let usable = (0..entries).filter_map(|i| {
            let at = map + i * size_of::<MbMmapEntry>();
            let len = at + offset_of!(MbMmapEntry, length);
            let kind = word(at + offset_of!(MbMmapEntry, kind))?;
            (kind == 1).then_some(u64::from(word(len)?) | u64::from(word(len + 4)?) << 32)
        });
        Some(usable.sum())
    }

    /// The ACPI root pointer, as it is in memory.
    pub fn acpi_rsdp(&self) -> Option<&'static [u8]> {
        self.chunk(BootInfoId::X86AcpiRsdp)?.bytes.get(offset_of!(BootInfoRsdp, rsdp)..)
    }
}

/// See [`BootInfo::isa_irq`].
fn usual_isa_irq(irq: u8) -> Option<IoapicPin> {
    match irq {
        0 => isa_irq_of(&[0, 2, 0, 0]),
        1 | 3..=15 => isa_irq_of(&[0, irq, 0, 0]),
        _ => None,
    }
}

/// The pin that an [`IsaIrq`] names, which has these bytes.
fn isa_irq_of(&[ioapic, pin, level, active_low]: &[u8; size_of::<IsaIrq>()]) -> Option<IoapicPin> {
    (ioapic != IsaIrq::NOWHERE).then(|| IoapicPin {
        ioapic: ioapic.into(),
        pin: pin.into(),
        level: level != 0,
        active_low: active_low != 0,
        vector: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_of_the_isa_bus_are_read() {
        let pin = IoapicPin { ioapic: 1, pin: 20, level: true, active_low: true, vector: 0 };
        assert_eq!(isa_irq_of(&[1, 20, 1, 1]), Some(pin));
        assert_eq!(isa_irq_of(&[IsaIrq::NOWHERE, 20, 1, 1]), None);
        let usual = |irq| usual_isa_irq(irq).map(|pin| pin.pin);
        assert_eq!([0, 1, 2, 3, 15, 16].map(usual), [Some(2), Some(1), None, Some(3), Some(15), None]);
    }
}
