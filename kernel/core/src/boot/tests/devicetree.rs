//! The extra boot information where a device tree describes the machine.

use pecan_arch::BootExtras;

const TREE: [u8; 5] = [0xd0, 0x0d, 0xfe, 0xed, 9];

/// The chunks that are written.
pub const CHUNKS: &[u64] = &[6];

pub fn extras() -> BootExtras<'static> {
    BootExtras { device_tree: Some(&TREE) }
}

/// A chunk says what [`extras`] has.
pub fn check_chunk(id: u64, chunk: &[u8]) {
    match id {
        6 => {
            assert_eq!(chunk.len(), 16 + 8, "whole words");
            assert_eq!((&chunk[16..21], &chunk[21..]), (&TREE[..], &[0; 3][..]));
        }
        _ => assert_eq!(id, 0),
    }
}
