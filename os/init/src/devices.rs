//! The devices: who may touch which is the description's business; here is the authority over all of them.

use alloc::vec::Vec;

use pecan::{
    Cap, IoapicPin, Result, boot,
    cspace::{CSpace, Slots},
    types::{IoPort, IrqHandler},
};
use pecan_manifest::{Irq, Ports};

/// Capabilities to devices, made when they are first asked for and kept, so that a component that is started
/// again gets a copy of the same.
#[derive(Default)]
pub struct Devices {
    ports: Vec<(u16, u16, Cap<IoPort>)>,
    irqs: Vec<((u8, u8), Cap<IrqHandler>)>,
}

impl Devices {
    /// The capability to a range of I/O ports.
    pub fn ports(&mut self, cspace: &mut CSpace, ports: &Ports) -> Result<Cap<IoPort>> {
        let Ports { first, last, .. } = *ports;
        if let Some((_, _, cap)) = self.ports.iter().find(|(f, l, _)| (*f, *l) == (first, last)) {
            return Ok(*cap);
        }
        let slot = cspace.take(1)?;
        let cap = boot::IO_PORT_CONTROL.issue(first, last, slot).inspect_err(|_| cspace.give_back(slot))?;
        self.ports.push((first, last, cap));
        Ok(cap)
    }

    /// The handler of an interrupt.
    pub fn irq(&mut self, cspace: &mut CSpace, irq: &Irq) -> Result<Cap<IrqHandler>> {
        let key = (irq.ioapic, irq.pin);
        if let Some((_, cap)) = self.irqs.iter().find(|(k, _)| *k == key) {
            return Ok(*cap);
        }
        let pin = IoapicPin {
            ioapic: irq.ioapic.into(),
            pin: irq.pin.into(),
            level: irq.level,
            active_low: irq.active_low,
            vector: self.irqs.len() as u64,
        };
        let slot = cspace.take(1)?;
        let cap = boot::IRQ_CONTROL.get_ioapic(pin, slot).inspect_err(|_| cspace.give_back(slot))?;
        self.irqs.push((key, cap));
        Ok(cap)
    }
}
