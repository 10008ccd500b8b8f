//! Memory that the two ends of a channel share.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::Size;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// What the end of a channel that calls may do with memory that both ends have. The other end may read it, and may write it
/// unless this one alone does.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Rights {
    /// Read it; the other end writes it.
    R,
    /// Write it, and read it; the other end only reads it.
    W,
    /// Write it, and so may the other end.
    Rw,
}

impl Rights {
    /// Whether the end that calls may write.
    pub const fn client_writes(self) -> bool {
        matches!(self, Self::W | Self::Rw)
    }

    /// Whether the end that is called may write.
    pub const fn server_writes(self) -> bool {
        matches!(self, Self::R | Self::Rw)
    }

    /// What the two ends may do, for people: the one that calls, and the one that is called.
    pub const fn names(self) -> [&'static str; 2] {
        [if self.client_writes() { "rw" } else { "r" }, if self.server_writes() { "rw" } else { "r" }]
    }
}

/// What a component does at its end of a ring.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum RingEnd {
    /// It fills buffers.
    Produces,
    /// It takes out of buffers what the other end has filled in.
    Consumes,
}

impl fmt::Display for RingEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Produces => "produces",
            Self::Consumes => "consumes",
        })
    }
}

/// The ring of a role, as the component's crate says it.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleRing {
    /// What the component does.
    pub end: RingEnd,
    /// Bytes of a buffer.
    pub buffer: Size,
}

/// The ring of a channel: two groups of pages with the indices and descriptors of each side, and one with the data.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ring {
    /// Bytes of the data.
    pub data: Size,
    /// Who may write them.
    pub rights: Rights,
    /// Bytes of a buffer.
    pub buffer: Size,
}

impl Ring {
    /// The least and the most bytes of data.
    pub const DATA: [Size; 2] = [Size(PAGE), Size(16 << 20)];

    /// Pages of data.
    pub const fn data_pages(self) -> u64 {
        self.data.0.div_ceil(PAGE)
    }

    /// Pages with the indices and descriptors of one side: there is a descriptor for each buffer.
    pub const fn index_pages(self) -> u64 {
        /// Bytes before the descriptors, and of each of them, as `pecan-ring` has them.
        const HEAD: u64 = 24 * 8;
        const DESCRIPTOR: u64 = 16;
        let buffers = self.data.0 / if self.buffer.0 == 0 { 1 } else { self.buffer.0 };
        let buffers = if buffers == 0 { 1 } else { buffers };
        (HEAD + buffers.next_power_of_two() * DESCRIPTOR).div_ceil(PAGE)
    }

    /// All pages.
    pub const fn pages(self) -> u64 {
        self.data_pages() + 2 * self.index_pages()
    }

    /// Bytes that it takes, with the slots for its pages.
    pub const fn bytes(self) -> u64 {
        /// Bytes of a slot.
        const SLOT: u64 = 32;
        let slots = (self.slots() * SLOT).next_multiple_of(PAGE);
        self.pages() * PAGE + slots
    }

    /// Slots for its pages.
    pub const fn slots(self) -> u64 {
        (self.pages() + 1).next_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_descriptor_for_each_buffer() {
        let ring = |data, buffer| Ring { data: Size(data), rights: Rights::W, buffer: Size(buffer) };
        assert_eq!(ring(256 << 10, 2048).index_pages(), 1);
        assert_eq!(ring(256 << 10, 64).index_pages(), 17);
        assert_eq!(ring(4096, 4096).index_pages(), 1);
        // 128 of them have room in a page beside the counts; the next power of two has not.
        assert_eq!([ring(128 << 10, 1024).index_pages(), ring(132 << 10, 1024).index_pages()], [1, 2]);
        assert_eq!(ring(64 << 10, 1024).bytes(), (16 + 2 + 1) << 12);
        assert_eq!(ring(4096, 0).index_pages(), 17, "what no description can ask for is no panic");
    }

    #[test]
    fn who_may_write_is_said_from_the_end_that_calls() {
        assert_eq!(
            [Rights::R, Rights::W, Rights::Rw].map(Rights::names),
            [["r", "rw"], ["rw", "r"], ["rw", "rw"]]
        );
    }
}
