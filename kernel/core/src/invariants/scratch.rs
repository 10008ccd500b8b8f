//! The memory that a check of the invariants works in, and what it has to say.

use core::{
    cell::Cell,
    fmt::{self, Write},
};

use pecan_mem::{Link, Slot, Tcb};

/// What was found to be wrong, as text that is cut where it gets too long.
#[derive(Clone, PartialEq, Eq)]
pub struct Broken {
    text: [u8; 256],
    len: usize,
    /// Nothing is known to be wrong: there was no room to look.
    pub no_room: bool,
}

impl Broken {
    /// There are more objects than the check has room for.
    pub(super) const NO_ROOM: Broken = Broken { text: [0; 256], len: 0, no_room: true };

    #[cold]
    pub(super) fn new(text: fmt::Arguments) -> Self {
        let mut this = Broken { no_room: false, ..Self::NO_ROOM };
        // It does not fail.
        let _ = this.write_fmt(text);
        this
    }
}

impl Write for Broken {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (place, byte) in self.text[self.len..].iter_mut().zip(text.bytes()) {
            *place = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.no_room {
            true => "there is no room to check the invariants",
            false => str::from_utf8(&self.text[..self.len]).unwrap_or("an invariant"),
        })
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Room for a check with up to `N` capabilities, and as many threads.
pub struct Scratch<const N: usize> {
    pub(super) slots: [Option<Link<Slot>>; N],
    pub(super) order: [Option<Link<Slot>>; N],
    pub(super) threads: [Option<Link<Tcb>>; N],
    pub(super) seen: Marks<N>,
}

/// The entries of a [`Set`].
pub(super) struct Marks<const N: usize>([[Cell<u64>; 8]; N]);

impl<const N: usize> Marks<N> {
    pub(super) fn clear(&self) {
        self.0.as_flattened().iter().for_each(|entry| entry.set(0));
    }
}

impl<const N: usize> Scratch<N> {
    /// Room to check in.
    #[expect(clippy::new_without_default, reason = "it is large: whoever makes one decides where")]
    pub const fn new() -> Self {
        Scratch {
            slots: [None; N],
            order: [None; N],
            threads: [None; N],
            seen: Marks([const { [const { Cell::new(0) }; 8] }; N]),
        }
    }
}

/// A set of addresses, each with a kind of mark: open addressing, linear probing.
#[derive(Clone, Copy)]
pub(super) struct Set<'s>(&'s [Cell<u64>]);

impl<'s> Set<'s> {
    pub(super) fn new<const N: usize>(marks: &'s Marks<N>) -> Self {
        Set(marks.0.as_flattened())
    }

    /// Where a mark is, or would be.
    fn place(&self, addr: usize, kind: u64) -> Option<(&Cell<u64>, u64)> {
        // Addresses of the kernel's window have no information in their top bits; no mark is 0.
        let key = ((addr as u64) << 16 >> 8) | (kind + 1);
        let hash = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        (0..self.0.len())
            .map(|i| &self.0[(hash + i) % self.0.len()])
            .find(|entry| entry.get() == 0 || entry.get() == key)
            .map(|entry| (entry, key))
    }

    /// Adds a mark; false if it was there.
    pub(super) fn insert(&self, addr: usize, kind: u64) -> Result<bool, Broken> {
        let (entry, key) = self.place(addr, kind).ok_or(Broken::NO_ROOM)?;
        Ok(entry.replace(key) == 0)
    }

    /// True if the mark is there.
    pub(super) fn contains(&self, addr: usize, kind: u64) -> bool {
        self.place(addr, kind).is_some_and(|(entry, _)| entry.get() != 0)
    }
}
