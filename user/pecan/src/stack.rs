//! Walking a stack through its frame pointers.

/// The return addresses on a stack, innermost first. Each frame is two words: the address of the caller's frame, and
/// the return address.
#[derive(Clone, Debug)]
pub struct Frames<R> {
    frame: u64,
    read: R,
}

impl<R: FnMut(u64) -> Option<u64>> Frames<R> {
    /// Walks from a frame pointer. `read` reads the word at an address that is a multiple of 8, or says `None` where
    /// there is no stack; so a broken chain ends the walk and does no harm. For another program's stack, read through
    /// a [`crate::vspace::Window`].
    pub const fn new(frame: u64, read: R) -> Self {
        Self { frame, read }
    }
}

impl<R: FnMut(u64) -> Option<u64>> Iterator for Frames<R> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.frame == 0 || !self.frame.is_multiple_of(8) {
            return None;
        }
        let next = (self.read)(self.frame)?;
        let address = (self.read)(self.frame.checked_add(8)?)?;
        // Frames of callers are at higher addresses; anything else is the end, or a circle.
        self.frame = if next > self.frame { next } else { 0 };
        (address != 0).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x7000;

    /// Walks a stack in which frame `n` points to frame `next[n]`, at 16 bytes each.
    fn walk(start: u64, next: [u64; 3]) -> impl Iterator<Item = u64> {
        let read = move |address: u64| {
            let word = usize::try_from(address.checked_sub(BASE)? / 8).ok()?;
            let next = *next.get(word / 2)?;
            Some(if word.is_multiple_of(2) { next } else { 0x40_0000 + word as u64 / 2 })
        };
        Frames::new(start, read)
    }

    #[test]
    fn the_chain_is_followed_to_its_end() {
        assert!(walk(BASE, [BASE + 16, BASE + 32, 0]).eq([0x40_0000, 0x40_0001, 0x40_0002]));
        assert!(walk(BASE + 32, [0; 3]).eq([0x40_0002]));
    }

    #[test]
    fn a_broken_chain_ends() {
        assert_eq!(walk(BASE, [BASE + 16, BASE, 0]).count(), 2);
        assert_eq!(walk(BASE, [BASE + 0x1000, 0, 0]).count(), 1);
        assert_eq!(walk(BASE + 4, [0; 3]).count(), 0);
        assert_eq!(walk(0, [0; 3]).count(), 0);
        assert_eq!(walk(u64::MAX - 7, [0; 3]).count(), 0);
    }
}
