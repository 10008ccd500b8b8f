//! Lines that have not ended yet, of many writers, in memory that outlives whoever collects them.

use crate::{
    AtomicU64, Memory,
    atomic::Ordering::{Relaxed, Release},
};

/// Bytes of a writer's place: four words, its name, and its line.
const PLACE: usize = 512;
/// Words of a place: the writer's number, the bytes of its line and of its name, and when it last wrote.
const ID: usize = 0;
const LINE: usize = 1;
const NAME: usize = 2;
const USED: usize = 3;
const NAME_MAX: usize = 40;
const LINE_MAX: usize = 400;
/// Where the name begins, and the line.
const NAME_AT: usize = 32;
const LINE_AT: usize = NAME_AT + NAME_MAX;

/// The unfinished lines of many writers, and a count. Each writer has a place with a name; when all places are taken, the one
/// that was not written for the longest time is given to the next, and its line ends there.
///
/// Whoever collects lines can die at any moment. Its successor goes on with the same memory: a text is added in such an order
/// that a line is never lost, and at worst is handed on twice when the same text is added again.
#[derive(Debug)]
pub struct Lines<'m> {
    head: Memory<'m>,
    places: Memory<'m>,
    now: u64,
}

impl<'m> Lines<'m> {
    /// The most bytes of a line; a longer one is cut in two.
    pub const LINE_MAX: usize = LINE_MAX;
    /// The most bytes of a name; what is longer is left out.
    pub const NAME_MAX: usize = NAME_MAX;

    /// The lines in some memory, which is all zero at first. `None` if there is no room for one.
    pub fn new(memory: Memory<'m>) -> Option<Self> {
        let (head, places) = (memory.part(0, PLACE), memory.part(PLACE, memory.len()));
        if places.len() < PLACE {
            return None;
        }
        let lines = Self { head, places, now: 0 };
        let last = (0..lines.count()).map(|n| lines.words(n)[USED].load(Relaxed)).max();
        Some(Self { now: last.unwrap_or(0), ..lines })
    }

    /// The count, which means what its user wants.
    pub fn counter(&self) -> &'m AtomicU64 {
        &self.head.words()[0]
    }

    fn count(&self) -> usize {
        self.places.len() / PLACE
    }

    fn place(&self, n: usize) -> Memory<'m> {
        self.places.part(n * PLACE, PLACE)
    }

    fn words(&self, n: usize) -> &'m [AtomicU64] {
        self.place(n).words()
    }

    /// The bytes of a place's name, or of its line.
    fn read<const N: usize>(&self, n: usize, len: usize, at: usize) -> ([u8; N], usize) {
        let mut bytes = [0; N];
        let len = N.min(self.words(n)[len].load(Relaxed) as usize);
        self.place(n).part(at, len).read(&mut bytes);
        (bytes, len)
    }

    /// Adds text that writer `id` has written, which is not 0. `name` writes the writer's name and returns its bytes; it is
    /// asked when the writer has no place yet. `ended` is told the name and the line for each line that ends, without the
    /// end.
    pub fn add(
        &mut self,
        id: u64,
        text: &[u8],
        name: impl FnOnce(&mut [u8; NAME_MAX]) -> usize,
        mut ended: impl FnMut(&[u8], &[u8]),
    ) {
        let n = self.place_of(id, name, &mut ended);
        let words = self.words(n);
        self.now += 1;
        words[USED].store(self.now, Relaxed);
        let (name, name_len) = self.read::<NAME_MAX>(n, NAME, NAME_AT);
        let (mut line, kept) = self.read::<LINE_MAX>(n, LINE, LINE_AT);
        let (mut len, mut has_ended) = (kept, false);
        for byte in text {
            if *byte != b'\n' && len < line.len() {
                line[len] = *byte;
                len += 1;
                continue;
            }
            ended(&name[..name_len], &line[..len]);
            (len, has_ended) = (0, true);
            if *byte != b'\n' {
                line[0] = *byte;
                len = 1;
            }
        }
        let place = self.place(n).part(LINE_AT, Self::LINE_MAX);
        if has_ended {
            // What was kept was handed on. The rest is of this text.
            words[LINE].store(0, Release);
            place.write(&line[..len]);
        } else {
            place.part(kept, len - kept).write(&line[kept..len]);
        }
        words[LINE].store(len as u64, Release);
    }

    /// The place of a writer: the one it has, or one that it gets.
    fn place_of(
        &mut self,
        id: u64,
        name: impl FnOnce(&mut [u8; NAME_MAX]) -> usize,
        ended: &mut impl FnMut(&[u8], &[u8]),
    ) -> usize {
        let known = (0..self.count()).find(|n| self.words(*n)[ID].load(Relaxed) == id);
        if let Some(n) = known {
            return n;
        }
        // One that was never used is the one that was not used for longest.
        let oldest = (0..self.count()).min_by_key(|n| self.words(*n)[USED].load(Relaxed));
        let n = oldest.unwrap_or(0);
        let words = self.words(n);
        let (line, len) = self.read::<LINE_MAX>(n, LINE, LINE_AT);
        if len > 0 {
            let (name, name_len) = self.read::<NAME_MAX>(n, NAME, NAME_AT);
            ended(&name[..name_len], &line[..len]);
        }
        words[LINE].store(0, Release);
        words[ID].store(0, Release);
        let mut bytes = [0; NAME_MAX];
        let len = name(&mut bytes).min(bytes.len());
        self.place(n).part(NAME_AT, len).write(&bytes[..len]);
        words[NAME].store(len as u64, Relaxed);
        // Release: whoever finds the number finds the name and no line.
        words[ID].store(id, Release);
        n
    }
}

const _: () = assert!(LINE_AT + Lines::LINE_MAX <= PLACE);

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;
    use std::{format, string::String, vec::Vec};

    use super::*;

    fn memory(places: usize) -> Vec<AtomicU64> {
        (0..(places + 1) * PLACE / 8).map(|_| AtomicU64::new(0)).collect()
    }

    /// What ends when a writer adds a text.
    fn add(words: &[AtomicU64], id: u64, text: &str) -> Vec<String> {
        // Each time somebody else collects.
        let mut lines = Lines::new(Memory::new(words)).unwrap();
        let mut out = Vec::new();
        let name = |to: &mut [u8; Lines::NAME_MAX]| {
            to[0] = b'a' + id as u8;
            1
        };
        lines.add(id, text.as_bytes(), name, |name, line| {
            out.push(format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(line)));
        });
        out
    }

    #[test]
    fn lines_end_where_they_end_whoever_collects_them() {
        let words = memory(4);
        assert!(add(&words, 1, "one ").is_empty());
        assert!(add(&words, 2, "two").is_empty());
        assert_eq!(add(&words, 1, "line\n\nand a"), ["b: one line", "b: "]);
        assert_eq!(add(&words, 2, "\n"), ["c: two"]);
        assert_eq!(add(&words, 1, "nother\n"), ["b: and another"]);
    }

    #[test]
    fn a_long_line_is_cut_and_nothing_is_left_out() {
        let words = memory(1);
        let text = "x".repeat(Lines::LINE_MAX - 1);
        assert!(add(&words, 1, &text).is_empty());
        assert!(add(&words, 1, "y").is_empty());
        assert_eq!(add(&words, 1, "z"), [format!("b: {text}y")]);
        assert_eq!(add(&words, 1, "\n"), ["b: z"]);
    }

    #[test]
    fn who_was_silent_for_longest_gives_its_place_away() {
        let words = memory(2);
        for (id, text) in [(1, "first"), (2, "second"), (1, " more")] {
            assert!(add(&words, id, text).is_empty());
        }
        assert_eq!(add(&words, 3, "third"), ["c: second"]);
        assert_eq!(add(&words, 1, "\n"), ["b: first more"]);
        assert_eq!(add(&words, 3, "\n"), ["d: third"]);
    }

    #[test]
    fn there_is_room_for_one_or_none() {
        assert!(Lines::new(Memory::new(&memory(0))).is_none());
        let words = memory(1);
        let lines = Lines::new(Memory::new(&words)).unwrap();
        lines.counter().store(7, Relaxed);
        add(&words, 1, "text\n");
        assert_eq!(Lines::new(Memory::new(&words)).unwrap().counter().load(Relaxed), 7);
    }
}
