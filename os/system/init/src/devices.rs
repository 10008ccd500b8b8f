//! The devices: who may touch which is the description's business; here is the authority over all of them.

use alloc::vec::Vec;

use pecan::{
    Cap, Error, IoapicPin, Result,
    abi::constants::PAGE_BITS,
    boot::{self, BootInfo},
    cspace::{CSpace, Slots},
    types::{IoPort, IrqHandler, SmallPage},
    vspace::PAGE_SIZE,
};
use pecan_manifest::{Dma, Irq, IrqSource, Mmio};
use pecan_supervision::{Stock, Untypeds};

use crate::{instance::StartError, memory::Memory};

/// Capabilities to devices, made when they are first asked for and kept, so that a component that is started
/// again gets a copy of the same.
pub struct Devices {
    boot: BootInfo,
    ports: Vec<(u16, u16, Cap<IoPort>)>,
    irqs: Vec<((u64, u64), Cap<IrqHandler>)>,
    /// Memory of devices from which nothing is made.
    registers: Stock,
    /// What was made of it: the physical address, and the pages.
    mmio: Vec<(u64, Vec<Cap<SmallPage>>)>,
    dma: Vec<ForDevice>,
}

/// Memory for a device. It stays its owner's, as a device may write to it after the component has died.
struct ForDevice {
    /// The component's place in the description, and the number among those that the component has.
    owner: (usize, usize),
    paddr: u64,
    pages: Vec<Cap<SmallPage>>,
}

impl Devices {
    /// The devices of the machine that the kernel tells of; nobody has any yet.
    pub fn new(boot: &BootInfo) -> Self {
        let mut registers = Stock::new();
        for (untyped, desc) in boot.untypeds().filter(|(_, desc)| desc.is_device != 0) {
            registers.add(untyped, desc.paddr, desc.size_bits.into());
        }
        let (ports, irqs, mmio, dma) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { boot: *boot, ports, irqs, registers, mmio, dma }
    }

    /// The pages with registers at a physical address.
    pub fn mmio(&mut self, cspace: &mut CSpace, mmio: &Mmio) -> Result<Vec<Cap<SmallPage>>> {
        if let Some((_, pages)) = self.mmio.iter().find(|(paddr, _)| *paddr == mmio.address) {
            return Ok(pages.clone());
        }
        let (mut pages, mut pieces) = (Vec::new(), Vec::new());
        for paddr in (mmio.address..mmio.end()).step_by(PAGE_SIZE as usize) {
            let page = self.registers.take_at(paddr, PAGE_BITS, &mut Untypeds(cspace)).and_then(|piece| {
                let made = cspace.take(1).and_then(|slot| {
                    let made = piece.region().retype::<SmallPage>(0, slot, 1);
                    made.inspect_err(|_| cspace.give_back(slot))
                });
                pieces.push(piece);
                made
            });
            match page {
                Ok(page) => pages.push(page),
                Err(error) => {
                    // What is of the kernel, or of somebody else, is not there for the next one either.
                    for piece in pieces {
                        // SAFETY: nobody has the names of the pages that were made of it.
                        let _ = unsafe { cspace.slot_of(piece.untyped().cptr()).revoke() };
                        let _ = self.registers.give_back(piece, &mut Untypeds(cspace));
                    }
                    for page in pages {
                        let slot = cspace.slot_of(Cap::<SmallPage>::cptr(page));
                        cspace.give_back(slot);
                    }
                    return Err(error);
                }
            }
        }
        self.mmio.push((mmio.address, pages.clone()));
        Ok(pages)
    }

    /// The memory of a component for a device, by its number among those of the component: the physical address, and the pages.
    pub fn dma(
        &mut self,
        memory: &mut Memory,
        owner: (usize, usize),
        dma: &Dma,
    ) -> Result<(u64, Vec<Cap<SmallPage>>)> {
        if let Some(known) = self.dma.iter().find(|known| known.owner == owner) {
            return Ok((known.paddr, known.pages.clone()));
        }
        // It has a power of two of bytes, so it is one piece as long as there is one.
        let mut pieces = memory.take_pieces(dma.bytes.0)?;
        let piece = match (pieces.pop(), pieces.is_empty()) {
            (Some(piece), true) => piece,
            (last, _) => {
                pieces.extend(last);
                memory.give_back_pieces(pieces);
                return Err(Error::NoMemory { size_bits: dma.bytes.0.ilog2() });
            }
        };
        let (paddr, mut region) = (piece.paddr(), piece.region());
        let mut pages = Vec::new();
        for _ in 0..dma.bytes.0 / PAGE_SIZE {
            let slot = memory.cspace.take(1);
            let made = slot.and_then(|slot| {
                region.retype::<SmallPage>(0, slot, 1).inspect_err(|_| memory.cspace.give_back(slot))
            });
            match made {
                Ok(page) => pages.push(page),
                Err(error) => {
                    memory.give_back_pieces(alloc::vec![piece]);
                    pages.iter().for_each(|page: &Cap<SmallPage>| {
                        let slot = memory.slot_of(*page);
                        memory.cspace.give_back(slot);
                    });
                    return Err(error);
                }
            }
        }
        self.dma.push(ForDevice { owner, paddr, pages: pages.clone() });
        Ok((paddr, pages))
    }

    /// The capability to a range of I/O ports.
    pub fn ports(&mut self, cspace: &mut CSpace, first: u16, last: u16) -> Result<Cap<IoPort>> {
        if let Some((_, _, cap)) = self.ports.iter().find(|(f, l, _)| (*f, *l) == (first, last)) {
            return Ok(*cap);
        }
        let slot = cspace.take(1)?;
        let cap = boot::IO_PORT_CONTROL.issue(first, last, slot).inspect_err(|_| cspace.give_back(slot))?;
        self.ports.push((first, last, cap));
        Ok(cap)
    }

    /// The handler of an interrupt.
    pub fn irq(&mut self, cspace: &mut CSpace, irq: &Irq) -> Result<Cap<IrqHandler>, StartError> {
        let vector = self.irqs.len() as u64;
        let pin = match irq.source() {
            Some(IrqSource::Isa(isa)) => self.boot.isa_irq(isa).ok_or(StartError::NoIsaIrq(isa))?,
            Some(IrqSource::Pin { ioapic, pin }) => IoapicPin {
                ioapic: ioapic.into(),
                pin: pin.into(),
                level: irq.level,
                active_low: irq.active_low,
                vector,
            },
            None => return Err(StartError::NoIrqSource(irq.name.clone())),
        };
        let key = (pin.ioapic, pin.pin);
        if let Some((_, cap)) = self.irqs.iter().find(|(k, _)| *k == key) {
            return Ok(*cap);
        }
        let slot = cspace.take(1)?;
        let cap = boot::IRQ_CONTROL
            .get_ioapic(IoapicPin { vector, ..pin }, slot)
            .inspect_err(|_| cspace.give_back(slot))?;
        self.irqs.push((key, cap));
        Ok(cap)
    }

    /// Restarts the machine. Returns only if that does not work.
    pub fn reboot(&mut self, cspace: &mut CSpace) {
        /// The chipset's reset control register, and what switches the processor off and on.
        const RESET: u16 = 0xcf9;
        const OFF_AND_ON: [u8; 2] = [0x02, 0x06];
        /// The keyboard controller's command port, and the command to pull the processor's reset line.
        const KEYBOARD: u16 = 0x64;
        const PULSE_RESET: u8 = 0xfe;
        for (port, values) in [(RESET, &OFF_AND_ON[..]), (KEYBOARD, &[PULSE_RESET])] {
            let Ok(cap) = self.ports(cspace, port, port) else { continue };
            for value in values {
                // Where there is no such device, the next may do.
                let _ = cap.out8(port, *value);
            }
        }
    }
}
