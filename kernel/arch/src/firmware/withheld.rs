//! What of the physical address space user level does not get, not even as device memory.
//!
//! A store into the window of interrupt messages is an interrupt, of any vector and any kind: a machine check or an NMI ends
//! the kernel, an INIT the machine. Devices that send messages by themselves, to any address, come to the same. Those that
//! are reached through PCI can do so, too, as a bus master can anything without an IOMMU: docs/devices.md says what follows.

use super::{Memory, acpi};
use crate::{PhysRegion, Regions};

/// Regions that are kept apart.
pub const MAX_REGIONS: usize = 64;

/// Where messages are sent to (SDM volume 3, "Message Signalled Interrupts"); the local APIC's registers are in it.
const MESSAGES: PhysRegion = PhysRegion::new(0xfee0_0000, 0xfef0_0000);
/// Where chipsets have their I/O APICs (Intel ICH9 datasheet, memory map).
const IOAPICS: PhysRegion = PhysRegion::new(0xfec0_0000, 0xfed0_0000);
/// On processors of AMD: what HyperTransport sends as interrupts, and as accesses to ports and to PCI configuration (BIOS and
/// kernel developer's guide for family 10h, memory map).
const HYPERTRANSPORT: PhysRegion = PhysRegion::new(0xfd_0000_0000, 0x100_0000_0000);

/// Adds what is withheld on every machine, and what the firmware's tables tell of this one.
pub fn add(
    withheld: &mut Regions<MAX_REGIONS>,
    memory: &impl Memory,
    rsdp: Option<&[u8; acpi::RSDP_LEN]>,
    hypertransport: bool,
) {
    let mut withhold = |region: PhysRegion| {
        withheld.cover(region.whole_pages());
    };
    [MESSAGES, IOAPICS].into_iter().for_each(&mut withhold);
    if hypertransport {
        withhold(HYPERTRANSPORT);
    }
    if let Some(rsdp) = rsdp {
        acpi::message_senders(memory, rsdp, &mut withhold);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pieces;
    use super::*;

    #[test]
    fn windows_are_withheld_without_any_table() {
        for hypertransport in [false, true] {
            let mut all = Regions::new();
            add(&mut all, &Pieces::default(), None, hypertransport);
            for (start, end) in [(0xfee0_0000, 0xfeef_ffff), (0xfec0_0000, 0xfecf_ffff)] {
                assert!(all.contains(PhysRegion::new(start, end)));
            }
            for free in [0xfebf_f000, 0xfed0_0000, 0xfed4_0000, 0xfef0_0000, 0xb000_0000u64] {
                assert!(!all.contains(PhysRegion::new(free, free + 1)), "{free:x}");
            }
            assert_eq!(all.contains(PhysRegion::new(0xfd_f800_0000, 0xfd_f900_0000)), hypertransport);
        }
    }
}
