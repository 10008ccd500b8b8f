//! A server that takes its time.
#![no_std]
#![no_main]

use pecan_component::{
    clients, main, serve,
    service::{Caller, Later, Owed},
    ticks, tsc_mhz,
};
use test_tardy::Tardy;

main!(main);

struct Server {
    owed: Owed<Later<()>>,
    told: u64,
}

fn wait(us: u64) {
    let end = ticks() + us * tsc_mhz();
    while ticks() < end {}
}

impl Tardy for Server {
    fn number(&mut self, _: Caller, number: u64) -> u64 {
        number
    }

    fn number_after(&mut self, _: Caller, number: u64, us: u64) -> u64 {
        wait(us);
        number
    }

    fn stall(&mut self, _: Caller, us: u64, later: Later<()>) {
        later.answer(&());
        wait(us);
    }

    fn never(&mut self, caller: Caller, later: Later<()>) {
        self.owed.put(caller.place(), later);
    }

    fn owes(&mut self, _: Caller) -> u64 {
        self.owed.iter().count() as u64
    }

    fn told(&mut self, _: Caller) -> u64 {
        self.told
    }

    fn gone(&mut self, place: usize) {
        self.owed.forget(place);
    }

    fn given_up(&mut self, place: usize) {
        self.owed.forget(place);
        self.told += 1;
    }
}

fn main() {
    let mut server = Server { owed: Owed::new(clients()), told: 0 };
    serve::<roles::Dispatch, _>(&mut server, |_, _| ())
}
