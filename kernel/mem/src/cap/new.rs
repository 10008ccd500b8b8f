//! Capabilities that are in no slot yet.

use super::{ArchControl, Cap, Words};

/// A capability that is in no slot yet: the first one to an object, or an authority that there is once. It goes into
/// one slot ([`crate::derivation::insert_root`]).
pub struct NewCap(pub(crate) Words);

impl NewCap {
    /// What it is.
    pub fn cap(&self) -> Cap {
        Cap::unpack(self.0)
    }

    /// The same, packed.
    pub fn words(&self) -> Words {
        self.0
    }

    pub(crate) fn control(control: Control) -> NewCap {
        NewCap(
            match control {
                Control::Sched { core } => Cap::SchedControl { core },
                Control::Asid => Cap::AsidControl,
                Control::Irq => Cap::IrqControl,
                #[allow(unreachable_code, reason = "architectures without any have no value here")]
                Control::Arch(control) => Cap::Arch(control.cap()),
                Control::Domain => Cap::Domain,
            }
            .pack(),
        )
    }
}

/// An authority that is not one over an object: see the variants of [`Cap`] of these names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "explained there")]
pub enum Control {
    Sched { core: u8 },
    Asid,
    Irq,
    Arch(ArchControl),
    Domain,
}
