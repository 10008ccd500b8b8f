//! Rings whose other side keeps to the rules, against a model; and rings whose other side does anything.
#![cfg(not(loom))]

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pecan_ring::{
    Descriptor, Memory, PushError, RingError, Sink, Source, StreamReader, StreamWriter, pair,
    stream_words_for, words_for,
};

/// How many steps each test makes.
fn steps() -> usize {
    if std::env::var_os("PECAN_FAST").is_some() { 50_000 } else { 1_000_000 }
}

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A word that is likely to be near one that matters.
    fn word(&mut self, near: u64) -> u64 {
        match self.below(6) {
            0 => self.next(),
            1 => u64::MAX - self.next() % 4,
            2 => self.next() % 4,
            3 => near.wrapping_sub(self.next() % 20),
            4 => 1 << self.below(64),
            _ => near.wrapping_add(self.next() % 20),
        }
    }

    fn descriptor(&mut self) -> Descriptor {
        Descriptor { offset: self.next() as u32, len: self.next() as u32, tag: self.next() }
    }
}

/// Where a side's pages hold which life it is in, and which life of the other side it has met.
const LIFE: usize = 1;
const MET: usize = 2;

fn page(words: usize) -> Vec<AtomicU64> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

fn snapshot(page: &[AtomicU64]) -> Vec<u64> {
    page.iter().map(|w| w.load(Relaxed)).collect()
}

#[test]
fn a_queue_does_what_a_list_does() {
    let (a, b) = (page(words_for(8)), page(words_for(8)));
    let (mut sender, _) = pair(&a, &b).unwrap();
    let (_, mut receiver) = pair(&b, &a).unwrap();
    let mut random = Random(1);
    // What was pushed and not published; what can be popped; how many places are free.
    let (mut pushed, mut there, mut free, mut popped) = (VecDeque::new(), VecDeque::new(), 8, 0);
    let mut asleep = false;
    for _ in 0..steps() {
        match random.below(6) {
            0 | 1 => {
                let descriptor = random.descriptor();
                let expected = if free > 0 { Ok(()) } else { Err(PushError::Full) };
                assert_eq!(sender.push(descriptor), expected);
                if expected.is_ok() {
                    free -= 1;
                    pushed.push_back(descriptor);
                }
            }
            2 => {
                assert_eq!(sender.publish(), asleep && !pushed.is_empty());
                there.append(&mut pushed);
            }
            3 => {
                let expected = there.pop_front();
                assert_eq!(receiver.pop(), Ok(expected));
                popped += usize::from(expected.is_some());
            }
            4 => {
                receiver.release();
                free += std::mem::take(&mut popped);
            }
            _ if asleep => {
                receiver.awake();
                asleep = false;
            }
            _ => {
                asleep = receiver.sleep();
                assert_eq!(asleep, there.is_empty());
                free += std::mem::take(&mut popped);
            }
        }
    }
}

#[test]
fn a_stream_does_what_a_list_of_bytes_does() {
    let (a, b) = (page(stream_words_for(96)), page(stream_words_for(0)));
    let mut writer = StreamWriter::new(&a, &b).unwrap();
    let mut reader = StreamReader::new(&b, &a).unwrap();
    let mut random = Random(2);
    let mut there: VecDeque<u8> = VecDeque::new();
    for _ in 0..steps() / 10 {
        let len = random.below(130);
        if random.below(2) == 0 {
            let bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
            let written = writer.write(&bytes).unwrap();
            assert_eq!(written, len.min(96 - there.len()));
            there.extend(&bytes[..written]);
        } else {
            let mut bytes = vec![0; len];
            let read = reader.read(&mut bytes).unwrap();
            assert_eq!(read, len.min(there.len()));
            assert!(there.drain(..read).eq(bytes[..read].iter().copied()));
        }
    }
}

#[test]
fn a_queue_keeps_to_its_own_pages_whatever_the_other_side_writes() {
    let capacity = 8;
    let (own, other) = (page(words_for(capacity)), page(words_for(capacity)));
    let mut random = Random(3);
    let (mut broken, mut popped, mut pushed) = (0, 0, 0);
    for _ in 0..steps() / 100 {
        let (mut sender, mut receiver) = pair(&own, &other).unwrap();
        for _ in 0..100 {
            let before = snapshot(&other);
            match random.below(8) {
                0 => pushed += usize::from(sender.push(random.descriptor()).is_ok()),
                1 => drop(sender.publish()),
                2 | 3 => match receiver.pop() {
                    Ok(Some(_)) => popped += 1,
                    Ok(None) => {}
                    Err(_) => broken += 1,
                },
                4 => receiver.release(),
                5 => {
                    receiver.sleep();
                    receiver.awake();
                }
                _ => {
                    let index = random.below(other.len());
                    let near = own[random.below(own.len())].load(Relaxed);
                    other[index].store(random.word(near), Relaxed);
                    // The counts matter most.
                    let near = own[8 * random.below(2)].load(Relaxed);
                    other[8 * random.below(2)].store(random.word(near), Relaxed);
                    continue;
                }
            }
            assert_eq!(snapshot(&other), before, "it wrote to the other side's pages");
        }
    }
    assert!(
        broken > 100 && popped > 100 && pushed > 100,
        "{broken} {popped} {pushed}: the test does not test"
    );
}

#[test]
fn one_visit_takes_no_more_than_a_queue_holds() {
    let (own, other) = (page(words_for(8)), page(words_for(8)));
    let (_, mut receiver) = pair(&own, &other).unwrap();
    // The other side counts on, as fast as it is read.
    let mut given = 0;
    for _ in 0..100 {
        given += 8;
        other[0].store(given, Relaxed);
        let mut visit = 0;
        while let Ok(Some(_)) = receiver.pop() {
            visit += 1;
        }
        receiver.release();
        assert_eq!(visit, 8);
    }
}

#[test]
fn buffers_are_whole_and_inside_whatever_the_other_side_writes() {
    const SIZE: u32 = 64;
    let (own, other) = (page(words_for(8)), page(words_for(8)));
    let words = page(100);
    let data = Memory::new(&words);
    let mut random = Random(4);
    let (mut filled, mut empty) = (0, 0);
    for _ in 0..steps() / 200 {
        own.iter().chain(&other).for_each(|w| w.store(0, Relaxed));
        let filling = random.below(2) == 0;
        let mut source = Source::new(&own, &other, data, SIZE).unwrap();
        // A side has its pages to itself.
        let mut sink = (!filling).then(|| Sink::new(&own, &other, data.into(), SIZE).unwrap());
        for _ in 0..20 {
            // Without a life that has met this one, nothing else is looked at.
            other[LIFE].store(2, Relaxed);
            other[MET].store(own[LIFE].load(Relaxed), Relaxed);
            for word in &other[24..] {
                if random.below(4) == 0 {
                    let near = u64::from(SIZE) << 32 | u64::from(SIZE);
                    let near = near.wrapping_mul(random.next() % 14);
                    word.store(random.word(near), Relaxed);
                }
            }
            if random.below(10) == 0 {
                let word = random.below(3);
                other[word].store(random.word(2), Relaxed);
            }
            if let (true, Ok(Some(buffer))) = (filling, source.take()) {
                assert_eq!(buffer.memory().len(), SIZE as usize);
                empty += 1;
                // It may be refused, but it is not written to where it should not be.
                let _ = source.give(buffer, random.below(200), 0);
            }
            if let Some(sink) = &mut sink
                && let Ok(Some(buffer)) = sink.take()
            {
                assert!(buffer.view().len() <= SIZE as usize);
                filled += 1;
                buffer.view().read(&mut [0; 64]);
                let _ = sink.give(buffer);
            }
            // The other side sets the counts right now and then, or nothing would get through.
            other[0].store(own[8].load(Relaxed) + random.next() % 9, Relaxed);
            other[8].store(own[0].load(Relaxed), Relaxed);
        }
    }
    assert!(filled > 50 && empty > 50, "{filled} {empty}: the test does not test");
}

/// Either side is started again at any moment, and neither has a buffer that the other one has, or reads what was not
/// written for it.
#[test]
fn sides_that_are_started_again_lose_what_was_under_way_and_nothing_else() {
    const SIZE: u32 = 16;
    let (a, b) = (page(words_for(4)), page(words_for(4)));
    let words = page(8);
    let data = Memory::new(&words);
    let mut random = Random(6);
    let new_source = || Source::new(&a, &b, data, SIZE).unwrap();
    let new_sink = || Sink::new(&b, &a, data.into(), SIZE).unwrap();
    let (mut source, mut sink) = (new_source(), new_sink());
    let (mut filling, mut emptying) = (Vec::new(), Vec::new());
    let (mut next, mut last, mut passed, mut restarts) = (1u64, 0, 0, 0);
    for _ in 0..steps() {
        match random.below(40) {
            0 => {
                source = new_source();
                filling.clear();
                restarts += 1;
            }
            1 => {
                sink = new_sink();
                emptying.clear();
                restarts += 1;
            }
            2..15 => match source.take() {
                Ok(buffer) => filling.extend(buffer),
                Err(error) => {
                    assert_eq!(error, RingError::Restarted);
                    source = new_source();
                    filling.clear();
                }
            },
            15..20 if !filling.is_empty() => {
                let buffer = filling.swap_remove(random.below(filling.len()));
                buffer.memory().write(&next.to_le_bytes());
                if source.give(buffer, 8, next).is_ok() {
                    source.publish();
                    next += 1;
                }
            }
            20..35 => match sink.take() {
                Ok(Some(buffer)) => {
                    assert!(buffer.tag() > last, "in order, and once");
                    last = buffer.tag();
                    passed += 1;
                    emptying.push(buffer);
                }
                Ok(None) => {}
                Err(error) => {
                    assert_eq!(error, RingError::Restarted);
                    sink = new_sink();
                    emptying.clear();
                }
            },
            _ if !emptying.is_empty() => {
                let buffer = emptying.swap_remove(random.below(emptying.len()));
                let mut bytes = [0; 8];
                buffer.view().read(&mut bytes);
                if sink.give(buffer).is_ok() {
                    sink.publish();
                }
            }
            _ => {}
        }
        for buffer in &emptying {
            let mut bytes = [0; 8];
            buffer.view().read(&mut bytes);
            let is_own = u64::from_le_bytes(bytes) == buffer.tag();
            // Once the other side has begun anew, what is in a buffer is its business.
            assert!(is_own || a[LIFE].load(Relaxed) != b[MET].load(Relaxed), "a buffer in two hands");
        }
    }
    assert!(passed > 1000 && restarts > 100, "{passed} {restarts}: the test does not test");
}

#[test]
fn a_stream_stays_inside_whatever_the_other_side_writes() {
    let (own, other) = (page(stream_words_for(96)), page(stream_words_for(96)));
    let mut random = Random(5);
    let (mut broken, mut moved) = (0, 0);
    for _ in 0..steps() / 100 {
        let mut writer = StreamWriter::new(&own, &other).unwrap();
        let mut reader = StreamReader::new(&own, &other).unwrap();
        for _ in 0..20 {
            let near = own[8 * random.below(2)].load(Relaxed);
            other[8 * random.below(2)].store(random.word(near), Relaxed);
            let mut bytes = [0; 150];
            let len = random.below(bytes.len());
            let done = if random.below(2) == 0 {
                writer.write(&bytes[..len])
            } else {
                reader.read(&mut bytes[..len])
            };
            match done {
                Ok(count) => {
                    assert!(count <= 96);
                    moved += count;
                }
                Err(_) => broken += 1,
            }
        }
    }
    assert!(broken > 100 && moved > 100, "{broken} {moved}: the test does not test");
}
