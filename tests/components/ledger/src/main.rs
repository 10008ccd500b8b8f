//! The ledger.
#![no_std]
#![no_main]

use core::hint::black_box;

use pecan_component::{
    clients, main, serve,
    service::{Caller, Later, Owed},
    ticks,
};
use test_ledger::{ENTRIES, Ledger};

main!(main);

/// The most turns of the loop in which a request takes its time.
const WORK: u64 = 10_000;

struct Server {
    random: u64,
    owed: Owed<Later<()>>,
}

impl Server {
    /// Takes its time, so that it is killed here.
    fn work(&mut self) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        for turn in 0..(self.random >> 33) % WORK {
            black_box(turn);
        }
    }

    /// Answers those who wait for another call.
    fn answer_others(&mut self) {
        self.owed.take_if(|_| true).for_each(|later| later.answer(&()));
    }

    fn note(&mut self, caller: Caller, entry: u64) {
        self.work();
        let page = roles::CLIENTS.page(caller.place());
        if let (Some(page), true) = (page, entry < ENTRIES as u64) {
            let place = page.part(entry as usize, 1);
            let mut count = [0];
            place.read(&mut count);
            place.write(&[count[0].saturating_add(1)]);
        }
        self.work();
        self.answer_others();
    }
}

impl Ledger for Server {
    fn count(&mut self, caller: Caller, entry: u64) -> u64 {
        self.work();
        self.answer_others();
        let mut count = [0];
        if let (Some(page), true) = (roles::CLIENTS.page(caller.place()), entry < ENTRIES as u64) {
            page.part(entry as usize, 1).read(&mut count);
        }
        count[0].into()
    }

    fn put(&mut self, caller: Caller, entry: u64) {
        self.note(caller, entry);
    }

    fn enter(&mut self, caller: Caller, entry: u64) {
        self.note(caller, entry);
    }

    fn enter_text(&mut self, caller: Caller, entry: u64, text: &[u8]) -> u64 {
        self.note(caller, entry);
        text.iter().map(|byte| u64::from(*byte)).sum()
    }

    fn enter_later(&mut self, caller: Caller, entry: u64, later: Later<()>) {
        self.note(caller, entry);
        self.owed.put(caller.place(), later);
    }

    fn gone(&mut self, place: usize) {
        self.owed.forget(place);
    }

    fn given_up(&mut self, place: usize) {
        self.owed.forget(place);
    }
}

fn main() {
    let mut server = Server { random: ticks(), owed: Owed::new(clients()) };
    serve::<roles::Dispatch, _>(&mut server, |_, _| ())
}
