//! Every interleaving of two threads, and everything each can see of the other's writes, as far as `loom` models the memory.
//!
//! Waiting is a notification as the kernel has them: a word of bits that is set by a signal and taken by a wait. A wake-up
//! that is lost leaves a thread waiting for ever, which `loom` reports as a deadlock. What `loom` does not model is a load
//! that sees a store which comes later in the order in which it runs the threads: that a descriptor is copied before its place
//! is given back rests on the `Release` in `Receiver::release`, not on these tests.
#![cfg(loom)]

use std::sync::Arc;

use loom::{
    model::Builder,
    sync::{Condvar, Mutex},
    thread,
};
use pecan_ring::{
    AtomicU64, Descriptor, Memory, Receiver, Sender, Sink, Source, StreamReader, StreamWriter, View, pair,
    words_for,
};

/// A notification.
#[derive(Default)]
struct Notification {
    signalled: Mutex<bool>,
    changed: Condvar,
}

impl Notification {
    fn signal(&self) {
        *self.signalled.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut signalled = self.signalled.lock().unwrap();
        while !*signalled {
            signalled = self.changed.wait(signalled).unwrap();
        }
        *signalled = false;
    }
}

/// What two sides share: the pages of each, and the notification of each.
struct Shared {
    pages: [Vec<AtomicU64>; 2],
    wake: [Notification; 2],
}

fn shared(words: usize) -> Arc<Shared> {
    let page = || (0..words).map(|_| AtomicU64::new(0)).collect();
    Arc::new(Shared { pages: [page(), page()], wake: Default::default() })
}

/// Explores with at most so many switches of threads that nothing forces.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn descriptor(n: u32) -> Descriptor {
    Descriptor { offset: n, len: !n, tag: u64::from(n) * 0x1_0000_0001 }
}

fn receive(receiver: &mut Receiver<'_>, wake: &Notification) -> Descriptor {
    loop {
        if let Some(descriptor) = receiver.pop().unwrap() {
            return descriptor;
        }
        if receiver.sleep() {
            wake.wait();
            receiver.awake();
        }
    }
}

fn send(sender: &mut Sender<'_>, descriptor: Descriptor, wake: &Notification) {
    sender.push(descriptor).unwrap();
    if sender.publish() {
        wake.signal();
    }
}

#[test]
fn a_receiver_that_sleeps_is_always_woken() {
    explore(4, || {
        let shared = shared(words_for(2));
        let other = shared.clone();
        let sender = thread::spawn(move || {
            let (mut sender, _) = pair(&other.pages[0], &other.pages[1]).unwrap();
            (0..2).for_each(|n| send(&mut sender, descriptor(n), &other.wake[1]));
        });
        let (_, mut receiver) = pair(&shared.pages[1], &shared.pages[0]).unwrap();
        for n in 0..2 {
            assert_eq!(receive(&mut receiver, &shared.wake[1]), descriptor(n));
        }
        sender.join().unwrap();
    });
}

#[test]
fn a_place_is_not_overwritten_before_it_was_read() {
    explore(3, || {
        // Room for one: each descriptor takes the place of the last, which the other side may just be copying.
        let shared = shared(words_for(1));
        let other = shared.clone();
        let sender = thread::spawn(move || {
            let (mut to, mut back) = pair(&other.pages[0], &other.pages[1]).unwrap();
            for n in 0..3 {
                send(&mut to, descriptor(n), &other.wake[1]);
                assert_eq!(receive(&mut back, &other.wake[0]), descriptor(100 + n));
                back.release();
            }
        });
        let (mut back, mut from) = pair(&shared.pages[1], &shared.pages[0]).unwrap();
        for n in 0..3 {
            assert_eq!(receive(&mut from, &shared.wake[1]), descriptor(n));
            from.release();
            send(&mut back, descriptor(100 + n), &shared.wake[0]);
        }
        sender.join().unwrap();
    });
}

#[test]
fn a_full_queue_is_not_torn() {
    explore(3, || {
        let shared = shared(words_for(1));
        let other = shared.clone();
        let sender = thread::spawn(move || {
            let (mut sender, _) = pair(&other.pages[0], &other.pages[1]).unwrap();
            let mut sent = 0;
            // It never waits: what finds no room is not sent.
            for n in 0..3 {
                if sender.push(descriptor(n)).is_ok() {
                    sent += 1;
                    sender.publish();
                }
            }
            sent
        });
        let (_, mut receiver) = pair(&shared.pages[1], &shared.pages[0]).unwrap();
        let mut got = Vec::new();
        for _ in 0..3 {
            got.extend(receiver.pop().unwrap());
            receiver.release();
        }
        let sent = sender.join().unwrap();
        while let Some(descriptor) = receiver.pop().unwrap() {
            got.push(descriptor);
            receiver.release();
        }
        assert_eq!(got.len(), sent);
        // Whole, and in order.
        assert!(got.iter().all(|d| *d == descriptor(d.offset)));
        assert!(got.is_sorted_by_key(|d| d.offset));
    });
}

#[test]
fn a_stream_is_read_as_it_was_written_and_its_reader_is_woken() {
    explore(3, || {
        let shared = shared(pecan_ring::stream_words_for(8));
        let other = shared.clone();
        let writer = thread::spawn(move || {
            let mut writer = StreamWriter::new(&other.pages[0], &other.pages[1]).unwrap();
            for bytes in [&[1, 2, 3, 4, 5][..], &[6, 7]] {
                assert_eq!(writer.write(bytes), Ok(bytes.len()));
                if writer.reader_sleeps() {
                    other.wake[1].signal();
                }
            }
        });
        let mut reader = StreamReader::new(&shared.pages[1], &shared.pages[0]).unwrap();
        let mut got: Vec<u8> = Vec::new();
        while got.len() < 7 {
            let mut bytes = [0; 8];
            let count = reader.read(&mut bytes).unwrap();
            got.extend(&bytes[..count]);
            if count == 0 && reader.sleep() {
                shared.wake[1].wait();
                reader.awake();
            }
        }
        assert_eq!(got, [1, 2, 3, 4, 5, 6, 7]);
        writer.join().unwrap();
    });
}

#[test]
fn two_sides_meet_and_neither_is_left_waiting() {
    explore(3, || {
        let shared = shared(words_for(1));
        let data: Arc<Vec<AtomicU64>> = Arc::new((0..1).map(|_| AtomicU64::new(0)).collect());
        let (other, filled) = (shared.clone(), data.clone());
        let source = thread::spawn(move || {
            let mut source = Source::new(&other.pages[0], &other.pages[1], Memory::new(&filled), 8).unwrap();
            loop {
                let taken = source.take().unwrap();
                let is_last = taken.is_some();
                if let Some(buffer) = taken {
                    buffer.memory().write(&[7; 8]);
                    source.give(buffer, 8, 9).unwrap();
                    source.publish();
                }
                if source.must_wake() {
                    other.wake[1].signal();
                }
                if is_last {
                    return;
                }
                if source.sleep() {
                    other.wake[0].wait();
                    source.awake();
                }
            }
        });
        let mut sink = Sink::new(&shared.pages[1], &shared.pages[0], View::new(&data), 8).unwrap();
        let buffer = loop {
            let taken = sink.take().unwrap();
            if sink.must_wake() {
                shared.wake[0].signal();
            }
            if let Some(buffer) = taken {
                break buffer;
            }
            if sink.sleep() {
                shared.wake[1].wait();
                sink.awake();
            }
        };
        let mut bytes = [0; 8];
        buffer.view().read(&mut bytes);
        assert_eq!((bytes, buffer.tag()), ([7; 8], 9));
        source.join().unwrap();
    });
}

#[test]
fn a_side_that_begins_anew_is_noticed_and_met_again() {
    explore(2, || {
        let shared = shared(words_for(1));
        let data: Arc<Vec<AtomicU64>> = Arc::new((0..1).map(|_| AtomicU64::new(0)).collect());
        let (other, filled) = (shared.clone(), data.clone());
        let source = thread::spawn(move || {
            // Its first life ends before it has done anything, at any moment of the other side.
            let new = || Source::new(&other.pages[0], &other.pages[1], Memory::new(&filled), 8).unwrap();
            let mut source = new();
            let _ = source.take();
            source = new();
            loop {
                match source.take() {
                    Ok(Some(buffer)) => {
                        source.give(buffer, 8, 9).unwrap();
                        source.publish();
                        other.wake[1].signal();
                        return;
                    }
                    Ok(None) => {}
                    Err(_) => source = new(),
                }
                if source.must_wake() {
                    other.wake[1].signal();
                }
                if source.sleep() {
                    other.wake[0].wait();
                    source.awake();
                }
            }
        });
        let new = || Sink::new(&shared.pages[1], &shared.pages[0], View::new(&data), 8).unwrap();
        let mut sink = new();
        loop {
            match sink.take() {
                Ok(Some(buffer)) => {
                    assert_eq!(buffer.tag(), 9);
                    break;
                }
                Ok(None) => {}
                Err(_) => sink = new(),
            }
            if sink.must_wake() {
                shared.wake[0].signal();
            }
            if sink.sleep() {
                shared.wake[1].wait();
                sink.awake();
            }
        }
        source.join().unwrap();
    });
}
