//! What a description gives a component beside channels: heap, files, and devices' memory.

use alloc::format;

use pecan::{CapRights, abi::constants::vm_attributes, vspace::PAGE_SIZE};
use pecan_manifest::layout::resource;
use pecan_protocols::Granted;

use super::{Given, HEAP, Maker, Pages, StartError};
use crate::devices::Devices;

/// A heap of so many bytes is made of large pages. The first takes an aligned place, and what lies before that is lost.
const LARGE_HEAP: u64 = 8 << 20;

impl Maker<'_> {
    /// Maps the part of its heap that its description promises.
    pub(super) fn give_heap(&mut self) {
        let bytes = self.component.settings.heap.map_or(0, |heap| heap.0);
        let end = HEAP + bytes.next_multiple_of(PAGE_SIZE);
        self.live.to_do.push_back(Pages::zero(HEAP, end, bytes >= LARGE_HEAP));
        self.live.heap_mapped = end;
    }

    /// Gives it copies of its files.
    pub(super) fn give_files(&mut self, given: &Given<'_>) -> Result<(), StartError> {
        let settings = &self.component.settings;
        for file in &settings.files {
            let bytes = given.files.file(&settings.file(file));
            let bytes = bytes.ok_or(StartError::Program("has a file that is not in the archive"))?;
            let address = self.live.space.reserve(bytes.len() as u64, PAGE_SIZE)?;
            self.live.to_do.push_back(Pages::of_file(address, bytes));
            self.page.add_memory(&format!("{}{}", resource::FILE, file.name), address, bytes.len() as u64);
        }
        Ok(())
    }

    /// Gives it its registers in memory, and its memory for devices.
    pub(super) fn give_device_memory(
        &mut self,
        given: &Given<'_>,
        devices: &mut Devices,
    ) -> Result<(), StartError> {
        for mmio in &self.component.settings.mmio {
            let pages = devices.mmio(&mut self.memory.cspace, mmio)?;
            let address = self.map_copies(&pages, CapRights::READ_WRITE, vm_attributes::CACHE_DISABLED)?;
            let (bytes, paddr) = (mmio.bytes.0, mmio.address);
            self.page.add_memory(&format!("{}{}", resource::MMIO, mmio.name), address, bytes);
            self.live.granted.push(Granted::Mmio { address, bytes, paddr });
        }
        for (n, dma) in self.component.settings.dma.iter().enumerate() {
            let (paddr, pages) = devices.dma(self.memory, (given.spec, n), dma)?;
            let address = self.map_shared(&pages, CapRights::READ_WRITE)?;
            let (name, bytes) = (format!("{}{}", resource::DMA, dma.name), dma.bytes.0);
            self.page.add_memory(&name, address, bytes);
            self.page.add_parameter(&name, paddr);
            self.live.granted.push(Granted::Dma { address, bytes, number: n as u16 });
        }
        Ok(())
    }
}
