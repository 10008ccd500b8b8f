//! States that were found and not yet left, in the order in which they were found: few bytes each, and on disk when
//! they are many.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, Write},
};

/// Bytes of it that are kept in memory, before they go to a file.
const IN_MEMORY: usize = 64 << 20;

/// Words that are compared together.
const CHUNK: usize = 32;

/// A list of states, each the words in which its memory differs from that of the first state.
#[derive(Default)]
pub struct Frontier {
    /// The newest, encoded.
    bytes: Vec<u8>,
    /// The others.
    file: Option<File>,
    len: usize,
}

impl Frontier {
    /// How many states there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a state.
    ///
    /// # Panics
    /// If the disk is full.
    pub fn push(&mut self, first: &[u64], now: &[u64]) {
        assert_eq!(first.len(), now.len());
        if self.bytes.len() > IN_MEMORY {
            let file =
                self.file.get_or_insert_with(|| temporary().expect("there is a place for temporary files"));
            file.write_all(&self.bytes).expect("there is room for states that were not left yet");
            self.bytes.clear();
        }
        self.len += 1;
        let mut at = 0;
        let chunks = first.chunks(CHUNK).zip(now.chunks(CHUNK)).enumerate();
        for (chunk, (first, now)) in chunks.filter(|(_, (first, now))| first != now) {
            for (i, (a, b)) in first.iter().zip(now).enumerate().filter(|(_, (a, b))| a != b) {
                let place = chunk * CHUNK + i + 1;
                put(&mut self.bytes, (place - at) as u64);
                put(&mut self.bytes, a ^ b);
                at = place;
            }
        }
        self.bytes.push(0);
    }

    /// Gives them back, the first first.
    ///
    /// # Panics
    /// If the file cannot be read any more.
    pub fn drain(self) -> Drain {
        let file = self.file.map(|mut file| {
            file.rewind().expect("a file can be read from its beginning");
            BufReader::with_capacity(1 << 20, file)
        });
        Drain { file, bytes: self.bytes, at: 0, left: self.len }
    }
}

/// The states of a frontier in turn.
pub struct Drain {
    file: Option<BufReader<File>>,
    bytes: Vec<u8>,
    at: usize,
    left: usize,
}

impl Drain {
    /// Makes `memory` that of the next state. False if there is none.
    pub fn next(&mut self, first: &[u64], memory: &mut Vec<u64>) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        memory.clear();
        memory.extend_from_slice(first);
        let mut at = 0;
        loop {
            let step = self.number();
            if step == 0 {
                return true;
            }
            at += step as usize;
            memory[at - 1] ^= self.number();
        }
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        if let Some(file) = &mut self.file {
            match file.read(&mut byte).expect("what was written can be read") {
                0 => self.file = None,
                _ => return byte[0],
            }
        }
        self.at += 1;
        self.bytes[self.at - 1]
    }

    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= (byte as u64 & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return number;
            }
        }
    }
}

/// Seven bits a byte, the lowest first; more follow where the highest is set.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A file that is gone when it is closed.
fn temporary() -> std::io::Result<File> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("pecan-states-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_in_order() {
        let first: Vec<u64> = (0..500).map(|i| (i * i) << 20).collect();
        let state = |n: u64| {
            let mut words = first.clone();
            (0..n % 9)
                .for_each(|i| words[(n * 37 + i * 71) as usize % 500] ^= u64::MAX >> ((n + 7 * i) % 64));
            words
        };
        let mut frontier = Frontier::default();
        for n in 0..1000 {
            frontier.push(&first, &state(n));
            if n % 300 == 299 {
                // As if it had grown large.
                let bytes = std::mem::take(&mut frontier.bytes);
                frontier.file.get_or_insert_with(|| temporary().unwrap()).write_all(&bytes).unwrap();
            }
        }
        assert_eq!(frontier.len(), 1000);
        let (mut drain, mut memory) = (frontier.drain(), vec![]);
        for n in 0..1000 {
            assert!(drain.next(&first, &mut memory));
            assert_eq!(memory, state(n), "state {n}");
        }
        assert!(!drain.next(&first, &mut memory));
    }
}
