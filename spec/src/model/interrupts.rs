//! Interrupts (manual 8.1, 8.2.1).

use pecan_abi::{Label, constants::IRQ_VECTOR_MAX};

use super::{
    Answer, Cap, Failure, Interrupt, Invocation, Name, Pin, Slot, Step, illegal, invalid_capability, range,
};

/// The slots in which the kernel keeps, by interrupt, the notification that it signals.
pub const INTERRUPTS: Name = Name(u64::MAX);
/// The interrupt of vector 0.
pub const FIRST_INTERRUPT: u64 = pecan_arch::IRQ_USER_MIN as u64;

impl Step {
    /// `IRQControl_GetIOAPIC` and `IRQControl_GetMSI`: an interrupt gets its handler, of which there is one.
    /// (`IRQControl_Get` is for machines that have neither.)
    pub(super) fn irq_control(&mut self, inv: &Invocation) -> Answer {
        let by_pin = match Label::from_word(inv.label) {
            Some(Label::X86IrqIssueIrqHandlerIoapic) => true,
            Some(Label::X86IrqIssueIrqHandlerMsi) => false,
            Some(Label::IrqIssueIrqHandler) => {
                inv.need(3, 1)?;
                return Err(illegal());
            }
            _ => return Err(illegal()),
        };
        inv.need(7, 1)?;
        let irq = FIRST_INTERRUPT + at_most(inv, 6, IRQ_VECTOR_MAX)?;
        if self.s.interrupts.contains_key(&irq) {
            return Err(Failure(pecan_abi::Error::RevokeFirst, vec![]));
        }
        let dest = self.target(false, self.cap(inv.extra[0]), inv.words[0], inv.words[1])?;
        self.need_empty(dest)?;
        let pin = if by_pin {
            let chip = at_most(inv, 2, pecan_arch::num_ioapics() as u64 - 1)?;
            let pin = at_most(inv, 3, pecan_arch::ioapic_pins(chip as usize) as u64 - 1)?;
            Some(Pin { chip, pin, level: at_most(inv, 4, 1)? == 1, low: at_most(inv, 5, 1)? == 1 })
        } else {
            // Bus, device and function; the handle is the device's business.
            [(2, 255), (3, 31), (4, 7)].iter().try_for_each(|&(i, max)| at_most(inv, i, max).map(drop))?;
            None
        };
        self.s.interrupts.insert(irq, Interrupt { masked: false, pin });
        self.insert_copy(inv.slot, dest, Cap::IrqHandler { irq });
        Ok(vec![])
    }

    /// `IRQHandler_Ack`, `IRQHandler_SetNotification`, `IRQHandler_Clear`.
    pub(super) fn irq_handler(&mut self, irq: u64, inv: &Invocation) -> Answer {
        let slot = Slot { object: INTERRUPTS, index: irq };
        match Label::from_word(inv.label) {
            Some(Label::IrqAckIrq) => self.mask(irq, false),
            Some(Label::IrqSetIrqHandler) => {
                inv.need(0, 1)?;
                let source = inv.extra[0];
                match self.cap(source) {
                    Some(cap @ Cap::Notification { rights, .. }) if rights.write => {
                        self.delete(slot)?;
                        self.insert_copy(source, slot, cap);
                    }
                    _ => return Err(invalid_capability(1)),
                }
            }
            Some(Label::IrqClearIrqHandler) => self.delete(slot)?,
            _ => return Err(illegal()),
        }
        Ok(vec![])
    }

    /// Manual 8.1: an interrupt comes. It is masked until it is acknowledged, and its notification signalled.
    pub(super) fn interrupt(&mut self, irq: u64) {
        self.mask(irq, true);
        if let Some(Cap::Notification { ntfn, badge, rights }) =
            self.cap(Slot { object: INTERRUPTS, index: irq })
            && rights.write
        {
            self.signal(ntfn, badge);
        }
    }

    pub(super) fn mask(&mut self, irq: u64, masked: bool) {
        if let Some(interrupt) = self.s.interrupts.get_mut(&irq) {
            interrupt.masked = masked;
        }
    }
}

/// A word of an invocation that must not be greater than `max`.
fn at_most(inv: &Invocation, word: usize, max: u64) -> Result<u64, Failure> {
    Some(inv.words[word]).filter(|&w| w <= max).ok_or_else(|| range(0, max))
}
