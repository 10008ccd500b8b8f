//! The drain.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use pecan_component::{
    Consumer, clients, main, serve,
    service::{
        Caller,
        shared::{Filled, RingError},
    },
    startup,
};
use test_drain::{BUFFER, Drain, Progress};

main!(main);

/// The ring with a client.
struct Line {
    ring: Consumer,
    progress: Progress,
}

struct Server(Vec<Line>);

impl Line {
    /// Whether a buffer is the next one, and whole.
    fn is_next(&self, buffer: &Filled<'static>) -> bool {
        let mut bytes = [0; BUFFER];
        let len = buffer.view().read(&mut bytes);
        let number = (self.progress.count + 1).to_le_bytes();
        len == BUFFER && buffer.tag() == self.progress.count + 1 && bytes.chunks(8).all(|word| word == number)
    }

    /// Takes all that is there. An error is mended once: whoever makes more of them has to signal again.
    fn take_all(&mut self) {
        let mut mended = false;
        loop {
            match self.ring.take() {
                Ok(Some(buffer)) => {
                    if self.is_next(&buffer) {
                        self.progress.count += 1;
                    } else {
                        self.progress.wrong += 1;
                    }
                    if self.ring.give(buffer).is_ok() {
                        self.ring.publish();
                    }
                }
                Ok(None) if self.ring.sleep() => return,
                Ok(None) => {}
                Err(error) => {
                    match error {
                        RingError::Restarted => self.progress.restarts += 1,
                        RingError::Broken => self.progress.broken += 1,
                    }
                    self.progress.count = 0;
                    self.ring.begin_anew();
                    if core::mem::replace(&mut mended, true) {
                        return;
                    }
                }
            }
        }
    }
}

impl Drain for Server {
    fn progress(&mut self, caller: Caller) -> Progress {
        self.0.get(caller.place()).map(|line| line.progress).unwrap_or_default()
    }
}

/// Writes into the data of the first ring, which this side may only read.
fn write() {
    if let Some((address, _)) = startup().memory("serves.in.0.ring.data.r") {
        // SAFETY: the memory is mapped, and read-only: this component dies here, which is what it is there to do.
        unsafe { (address as *mut u64).write_volatile(1) };
    }
}

fn main() {
    let lines = (0..clients())
        .filter_map(|place| Some(Line { ring: roles::IN.consumer(place)?, progress: Progress::default() }));
    let mut server = Server(lines.collect());
    server.0.iter_mut().for_each(Line::take_all);
    let writes = startup().arguments().any(|a| a == "write");
    serve::<roles::Dispatch, _>(&mut server, |server, signals| {
        if writes {
            write();
        }
        server.0.iter_mut().filter(|line| line.ring.is_in(signals)).for_each(Line::take_all);
    })
}
