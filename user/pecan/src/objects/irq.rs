//! Interrupts. How handlers come into being, each architecture has invocations of its own for ([`crate::arch`]).

use crate::{
    Cap, Result,
    raw::invocations,
    types::{IrqHandler, Notification},
};

impl Cap<IrqHandler> {
    /// Acknowledges the interrupt, so that the next one is delivered.
    pub fn ack(self) -> Result<()> {
        invocations::irq_handler_ack(self.cptr())
    }

    /// Sets the notification that the interrupt signals; its badge tells interrupts apart.
    pub fn set_notification(self, notification: Cap<Notification>) -> Result<()> {
        invocations::irq_handler_set_notification(self.cptr(), notification.cptr())
    }

    /// Unsets the notification and masks the interrupt.
    pub fn clear(self) -> Result<()> {
        invocations::irq_handler_clear(self.cptr())
    }
}
