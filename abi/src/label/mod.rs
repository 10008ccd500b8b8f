//! Labels and their numbers: which a configuration of which architecture has.
//!
//! The ABI counts labels: number 0 is `InvalidInvocation`, then those that every architecture has, then the
//! architecture's own, leaving out what the configuration does not have. So an option shifts every number behind what
//! it adds. [`Architecture::number`] counts likewise, for every architecture on every build; the numbers of
//! [`crate::Label`] are what it makes of the configuration at hand.

#[macro_use]
pub(crate) mod define;
mod lists;

use crate::{HARDWARE_DEBUG, extension};

/// An option of a configuration on which labels depend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// Scheduling contexts ("mixed criticality systems"). Pecan always has them.
    Mcs,
    /// Several cores.
    Smp,
    /// Hardware breakpoints and single-stepping.
    HardwareDebug,
    /// Page tables for devices (x86_64).
    Iommu,
    /// Virtual machines (x86_64).
    Vtx,
    /// Virtual machines of 64 bits (x86_64).
    Vtx64BitGuests,
    /// Virtual machines (AArch64).
    ArmHypervisor,
    /// Page tables for devices (AArch64).
    ArmSmmu,
    /// Page tables for devices of one system on a chip (AArch64).
    Tk1Smmu,
    /// What Pecan adds to the ABI ([`extension`]).
    Extensions,
}

impl Setting {
    /// Every option.
    pub const ALL: &'static [Self] = &[
        Self::Mcs,
        Self::Smp,
        Self::HardwareDebug,
        Self::Iommu,
        Self::Vtx,
        Self::Vtx64BitGuests,
        Self::ArmHypervisor,
        Self::ArmSmmu,
        Self::Tk1Smmu,
        Self::Extensions,
    ];
}

/// The options of a configuration that are on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Configuration(u32);

impl Configuration {
    /// What every configuration of Pecan has.
    pub const PLAIN: Self = Configuration(0).with(Setting::Mcs);

    /// Nothing is on.
    pub const NONE: Self = Configuration(0);

    /// The same configuration with an option.
    pub const fn with(self, setting: Setting) -> Self {
        Configuration(self.0 | 1 << setting as u32)
    }

    /// The same configuration without an option.
    pub const fn without(self, setting: Setting) -> Self {
        Configuration(self.0 & !(1 << setting as u32))
    }

    /// True if the option is on.
    pub const fn has(self, setting: Setting) -> bool {
        self.0 >> setting as u32 & 1 != 0
    }
}

/// The configuration at hand. Extensions always have their numbers: those are nobody else's, and which of them a kernel has
/// is its own matter.
pub(crate) const CONFIGURATION: Configuration = match HARDWARE_DEBUG {
    true => Configuration::PLAIN.with(Setting::Extensions).with(Setting::HardwareDebug),
    false => Configuration::PLAIN.with(Setting::Extensions),
};

/// What a label asks of the configuration.
#[derive(Clone, Copy, Debug)]
enum Condition {
    With(Setting),
    Without(Setting),
}

/// A label in the order in which they are counted.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Its name in the ABI.
    label: &'static str,
    /// It is there if all of these hold.
    when: &'static [Condition],
}

impl Line {
    const fn exists(&self, configuration: Configuration) -> bool {
        let mut i = 0;
        while i < self.when.len() {
            let holds = match self.when[i] {
                Condition::With(setting) => configuration.has(setting),
                Condition::Without(setting) => !configuration.has(setting),
            };
            if !holds {
                return false;
            }
            i += 1;
        }
        true
    }
}

/// The labels of an architecture.
#[derive(Clone, Copy, Debug)]
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// Its labels behind the common ones.
    own: &'static [Line],
}

/// x86_64.
pub const X86_64: Architecture = Architecture { name: "x86_64", own: lists::X86_64 };
/// AArch64.
pub const AARCH64: Architecture = Architecture { name: "aarch64", own: lists::AARCH64 };
/// 64-bit RISC-V.
pub const RISCV64: Architecture = Architecture { name: "riscv64", own: lists::RISCV64 };

/// Every architecture of the ABI that has 64 bits.
pub const ARCHITECTURES: [Architecture; 3] = [X86_64, AARCH64, RISCV64];

impl Architecture {
    /// The number of a label, named as in the ABI (upper and lower case do not count), or of an extension; `None` if the
    /// configuration does not have it.
    pub const fn number(&self, configuration: Configuration, label: &str) -> Option<u64> {
        let mut last = 0;
        let (mut list, mut lists_left) = (lists::COMMON, true);
        loop {
            let mut i = 0;
            while i < list.len() {
                if list[i].exists(configuration) {
                    last += 1;
                    if is_same(list[i].label, label) {
                        return Some(last);
                    }
                }
                i += 1;
            }
            if !lists_left {
                break;
            }
            (list, lists_left) = (self.own, false);
        }
        let mut i = 0;
        while configuration.has(Setting::Extensions) && i < extension::LABELS.len() {
            if is_same(extension::LABELS[i].0, label) {
                return Some(extension::LABELS[i].1);
            }
            i += 1;
        }
        None
    }

    /// True if some configuration has the label, or it is an extension.
    pub const fn knows(&self, label: &str) -> bool {
        let mut i = 0;
        while i < lists::COMMON.len() {
            if is_same(lists::COMMON[i].label, label) {
                return true;
            }
            i += 1;
        }
        i = 0;
        while i < self.own.len() {
            if is_same(self.own[i].label, label) {
                return true;
            }
            i += 1;
        }
        i = 0;
        while i < extension::LABELS.len() {
            if is_same(extension::LABELS[i].0, label) {
                return true;
            }
            i += 1;
        }
        false
    }

    /// The labels of a configuration with their numbers.
    pub fn labels(&self, configuration: Configuration) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = lists::COMMON.iter().chain(self.own).filter(move |line| line.exists(configuration));
        let extensions = if configuration.has(Setting::Extensions) { extension::LABELS } else { &[] };
        counted.map(|line| line.label).zip(1..).chain(extensions.iter().copied())
    }
}

/// Compares two names, upper and lower case aside.
const fn is_same(a: &str, b: &str) -> bool {
    a.as_bytes().eq_ignore_ascii_case(b.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels of an architecture that has one of the ABI and one extension.
    mod extended {
        define_labels! {
            X86_64:
            /// Of the ABI.
            TcbSetFlags,
            /// Of Pecan.
            SetEventBuffer = "TCBSetEventBuffer",
        }
    }

    #[test]
    fn an_extension_has_its_reserved_number_and_shifts_no_other() {
        use extended::Label;
        assert_eq!(Label::SetEventBuffer.word(), 0x1_0020);
        assert_eq!(Label::from_word(0x1_0020), Some(Label::SetEventBuffer));
        assert_eq!(Label::TcbSetFlags.word(), crate::x86_64::Label::TcbSetFlags.word());
        assert!(Label::SetEventBuffer.exists());
        let (on, off) = (Configuration::PLAIN.with(Setting::Extensions), Configuration::PLAIN);
        assert_eq!(Label::SetEventBuffer.word_in(on), Some(0x1_0020));
        assert_eq!(Label::SetEventBuffer.word_in(off), None);
        for label in Label::ALL.iter().filter(|label| **label != Label::SetEventBuffer) {
            assert_eq!(label.word_in(on), label.word_in(off), "{}", label.name());
        }
        assert_eq!(Label::from_word(0x1_0000), None, "reserved, and not there");
    }
}
