//! The devices: who may touch which is the description's business; here is the authority over all of them.

use alloc::vec::Vec;

use pecan::{
    Cap, IoapicPin, Result,
    boot::{self, BootInfo},
    cspace::{CSpace, Slots},
    types::{IoPort, IrqHandler},
};
use pecan_manifest::{Irq, IrqSource};

use crate::instance::StartError;

/// Capabilities to devices, made when they are first asked for and kept, so that a component that is started
/// again gets a copy of the same.
pub struct Devices {
    boot: BootInfo,
    ports: Vec<(u16, u16, Cap<IoPort>)>,
    irqs: Vec<((u64, u64), Cap<IrqHandler>)>,
}

impl Devices {
    /// The devices of the machine that the kernel tells of; nobody has any yet.
    pub const fn new(boot: BootInfo) -> Self {
        Self { boot, ports: Vec::new(), irqs: Vec::new() }
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
