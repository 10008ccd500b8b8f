//! The extra boot information of x86_64.

use pecan_arch::{BootExtras, IoapicPin, MemoryMapEntry};

use super::word;

const MAP: [MemoryMapEntry; 2] =
    [MemoryMapEntry { base: 0, len: 64 << 20, kind: 1 }, MemoryMapEntry { base: 1 << 32, len: 5, kind: 2 }];

/// The chunks that are written.
pub const CHUNKS: &[u64] = &[3, 2, 5, 0x10000];

pub fn extras() -> BootExtras<'static> {
    BootExtras {
        rsdp: Some(*b"RSD PTR 0123456789abcdefghijklmnopqr"),
        memory_map: &MAP,
        isa_irqs: isa_irqs(),
        tsc_mhz: 1234,
    }
}

/// Interrupt `n` on pin `n + 1`, each of another kind; the last one is nowhere.
fn isa_irqs() -> [Option<IoapicPin>; 16] {
    core::array::from_fn(|n| {
        (n < 15).then_some(IoapicPin { ioapic: n / 8, pin: n + 1, level: n % 2 == 1, active_low: n % 3 == 1 })
    })
}

/// A chunk says what [`extras`] has.
pub fn check_chunk(id: u64, chunk: &[u8]) {
    match id {
        3 => assert_eq!(&chunk[16..24], b"RSD PTR "),
        2 => {
            assert_eq!(chunk[16..20], 48u32.to_ne_bytes(), "two entries of 24 bytes");
            assert_eq!(chunk[20..24], 20u32.to_ne_bytes());
            assert_eq!(word(chunk, 24 + 24), 1 << 32, "base of the second");
            assert_eq!(chunk.len(), 1220);
        }
        5 => assert_eq!(chunk[16..20], 1234u32.to_ne_bytes()),
        0x10000 => {
            assert_eq!(chunk.len(), 16 + 64);
            let irq = |n: usize| &chunk[16 + 4 * n..20 + 4 * n];
            assert_eq!((irq(0), irq(1), irq(9)), (&[0, 1, 0, 0][..], &[0, 2, 1, 1][..], &[1, 10, 1, 0][..]));
            assert_eq!(irq(15)[0], 0xff);
        }
        _ => assert_eq!(id, 0),
    }
}
