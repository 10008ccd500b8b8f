//! What a port finds out while it boots and hands to the portable kernel.

use pecan_abi::boot::BootInfoId;

use crate::{BootExtras, PhysAddr, say};

/// Bytes of a page, in which memory is given out.
const PAGE: u64 = 4096;

/// A range of physical memory, `start` inclusive, `end` exclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PhysRegion {
    /// First byte.
    pub start: PhysAddr,
    /// First byte past the end.
    pub end: PhysAddr,
}

impl PhysRegion {
    /// The range from `start` up to `end`.
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start: PhysAddr(start), end: PhysAddr(end) }
    }

    /// Bytes in the range.
    pub const fn len(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// No byte is in the range.
    pub const fn is_empty(&self) -> bool {
        self.end.0 <= self.start.0
    }

    /// The pages that the range touches, from the first byte of the first to the end of the last.
    pub const fn whole_pages(&self) -> Self {
        let end = match self.end.0.checked_next_multiple_of(PAGE) {
            Some(end) => end,
            None => !(PAGE - 1),
        };
        Self::new(self.start.0 & !(PAGE - 1), end)
    }
}

/// What the boot loader and the firmware told the port.
#[derive(Clone, Copy, Debug)]
pub struct BootData<'a> {
    /// Usable RAM that the kernel sees through its window: page-aligned, sorted, disjoint, not empty.
    pub memory: &'a [PhysRegion],
    /// Bytes that the firmware calls usable, whether or not they can be used.
    pub usable: u64,
    /// Parts of `memory` in use for good: the kernel image and its page tables. Page-aligned, sorted, disjoint.
    /// Neither the module nor `boot_only` is among them.
    pub reserved: &'a [PhysRegion],
    /// The parts of `memory` that the kernel boots in (its code, and what this borrows from): free memory from the first
    /// return to user level on. Page-aligned.
    pub boot_only: &'a [PhysRegion],
    /// What user level does not get in any form, outside `memory`: registers with which it could send the kernel what ends
    /// it, and memory that is not kept track of. Page-aligned, sorted, disjoint.
    pub withheld: &'a [PhysRegion],
    /// First address that the processor cannot form; device memory ends here at the latest.
    pub phys_limit: PhysAddr,
    /// The root task's ELF file: the exact bytes, at any alignment. None if the boot loader brought none. It lies
    /// within `memory` and is free memory once the root task is loaded.
    pub module: Option<PhysRegion>,
    /// What else user level is told.
    pub extras: BootExtras<'a>,
}

/// Takes the extra boot information, chunk by chunk.
pub trait ChunkWriter {
    /// Begins a chunk of `len` bytes, of which [`ChunkWriter::bytes`] gives those behind the head.
    fn chunk(&mut self, id: BootInfoId, len: usize);
    /// The next bytes.
    fn bytes(&mut self, bytes: &[u8]);
    /// As many zeros.
    fn zeros(&mut self, count: usize);
}

/// Why a port cannot bring the machine up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootError {
    /// The processor lacks some of what the kernel or every program needs.
    Processor {
        /// What is needed, by name.
        needed: &'static [&'static str],
        /// Of these what is missing, a bit each.
        missing: u32,
    },
    /// The boot loader is not one the kernel knows.
    NotMultiboot,
    /// The boot loader's information is not where it should be or contradicts itself.
    MalformedBootInfo,
    /// The boot loader passed on no memory map.
    NoMemoryMap,
    /// Not enough memory where the kernel needs it.
    OutOfMemory,
    /// The boot module lies where there is no usable memory.
    ModuleOutside,
    /// No clock of known speed to tell time by.
    NoClock,
    /// Clocks that were compared do not agree.
    UnsteadyClock,
    /// No interrupt controller for devices.
    NoIoapic,
    /// The kernel image is larger than its page tables provide for.
    ImageTooLarge,
    /// The boot loader passed on no device tree.
    NoDeviceTree,
    /// No interrupt controller that the kernel knows.
    NoGic,
}

impl BootError {
    /// Prints the reason, in one line without its end.
    pub fn say(self) {
        let text = match self {
            Self::Processor { needed, missing } => {
                say("this processor lacks", &[]);
                let names = needed.iter().enumerate().filter(|(i, _)| missing >> i & 1 != 0);
                for (i, (_, name)) in names.enumerate() {
                    say(if i == 0 { " " } else { ", " }, &[]);
                    say(name, &[]);
                }
                ""
            }
            Self::NotMultiboot => "not started by a Multiboot 1 or 2 boot loader",
            Self::MalformedBootInfo => "the boot loader's information is malformed",
            Self::NoMemoryMap => "the boot loader passed on no memory map",
            Self::OutOfMemory => "too little memory",
            Self::ModuleOutside => "the root task's file lies outside the memory: give the machine more",
            Self::NoClock => {
                "no clock of known speed: neither the processor nor its platform tells the frequency"
            }
            Self::UnsteadyClock => {
                "the clock's speed cannot be measured: its measurements disagree, as on a host that is too busy"
            }
            Self::NoIoapic => "this machine has no I/O APIC, which interrupts of devices need",
            Self::NoDeviceTree => "the boot loader passed on no device tree",
            Self::NoGic => {
                "the device tree names no interrupt controller that this kernel knows: a GIC of version 2"
            }
            Self::ImageTooLarge => "the kernel image is larger than its page tables provide for",
        };
        say(text, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::take_console;

    #[test]
    fn all_that_a_processor_lacks_is_said() {
        let said = |missing| {
            BootError::Processor { needed: &["a", "b", "c"], missing }.say();
            take_console()
        };
        assert_eq!(said(0b010), "this processor lacks b");
        assert_eq!(said(0b111), "this processor lacks a, b, c");
    }

    #[test]
    fn pages_are_those_that_are_touched() {
        let pages = |start, end| {
            let r = PhysRegion::new(start, end).whole_pages();
            (r.start.0, r.end.0)
        };
        assert_eq!(pages(0x1000, 0x2000), (0x1000, 0x2000));
        assert_eq!(pages(0x1fff, 0x2001), (0x1000, 0x3000));
        assert_eq!(
            pages(u64::MAX - 5, u64::MAX),
            (u64::MAX - 4095, u64::MAX - 4095),
            "the last page has no end"
        );
    }
}
