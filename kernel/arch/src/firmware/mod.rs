//! Reading what the firmware and the boot loader left in memory. Nothing here touches hardware or trusts what it reads:
//! every access goes through [`Memory`], which gives only bytes that exist. Tested on the host.

#[cfg(any(test, pecan_arch = "x86_64"))]
pub mod acpi;
#[cfg(any(test, pecan_arch = "aarch64"))]
pub mod devicetree;
#[cfg(any(test, pecan_arch = "x86_64"))]
pub mod multiboot;
#[cfg(any(test, pecan_arch = "x86_64"))]
pub mod withheld;

/// Physical memory to read from.
#[cfg(any(test, pecan_arch = "x86_64"))]
pub trait Memory {
    /// The `len` bytes at physical address `at`; `None` if they are not all there.
    fn bytes(&self, at: u64, len: usize) -> Option<&[u8]>;

    /// The 32-bit device register at physical address `at`, a multiple of 4; `None` if none can be read there.
    fn register(&self, at: u64) -> Option<u32>;
}

/// Which measures against side channels are wanted: the word `mitigations=` of the kernel's command line.
#[cfg(any(test, pecan_arch = "x86_64"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mitigations {
    /// `auto`, or no such word: those that the processor needs.
    Auto,
    /// `off`: none.
    Off,
    /// `all`: all that the processor can do, needed or not.
    All,
}

/// The little-endian number at `offset`.
#[cfg(any(test, pecan_arch = "x86_64"))]
pub fn u16_at(b: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(b.get(offset..)?.first_chunk().copied()?))
}

/// The little-endian number at `offset`.
pub fn u32_at(b: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(offset..)?.first_chunk().copied()?))
}

/// The little-endian number at `offset`.
pub fn u64_at(b: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(b.get(offset..)?.first_chunk().copied()?))
}

#[cfg(test)]
pub mod testing {
    //! Memory made by hand.

    /// Pieces of memory with nothing between them.
    #[derive(Default)]
    pub struct Pieces(pub Vec<(u64, Vec<u8>)>);

    impl super::Memory for Pieces {
        fn bytes(&self, at: u64, len: usize) -> Option<&[u8]> {
            self.0.iter().find_map(|(base, b)| {
                let from = usize::try_from(at.checked_sub(*base)?).ok()?;
                b.get(from..from.checked_add(len)?)
            })
        }

        fn register(&self, at: u64) -> Option<u32> {
            super::u32_at(self.bytes(at, 4)?, 0)
        }
    }

    /// Little-endian bytes of 32-bit words.
    pub fn words(w: &[u32]) -> Vec<u8> {
        w.iter().flat_map(|w| w.to_le_bytes()).collect()
    }
}
