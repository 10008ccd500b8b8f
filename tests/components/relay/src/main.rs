//! Serves its clients while it waits for another server.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::rc::Rc;
use core::cell::Cell;

use pecan_component::{
    Callers, Tasks, main, serve,
    service::{Caller, Later},
};
use test_tardy::Relay;

main!(main);

struct Server {
    tasks: Tasks,
    callers: Callers,
    waits: Rc<Cell<u64>>,
}

impl Relay for Server {
    fn number(&mut self, _: Caller, number: u64) -> u64 {
        number
    }

    fn fetch(&mut self, _: Caller, number: u64, us: u64, later: Later<Option<u64>>) {
        let (callers, waits) = (self.callers.clone(), self.waits.clone());
        self.tasks.spawn(async move {
            waits.set(waits.get() + 1);
            let slept = callers.call(move || roles::TIMER.client().sleep(us)).await;
            waits.set(waits.get() - 1);
            later.answer(&slept.ok().and_then(Result::ok).map(|_| number));
        });
    }

    fn waits(&mut self, _: Caller) -> u64 {
        self.waits.get()
    }
}

fn main() {
    let callers = Callers::new(&["caller-1", "caller-2"]);
    let mut server = Server { tasks: Tasks::new(), callers, waits: Rc::default() };
    serve::<roles::Dispatch, _>(&mut server, |server, signals| server.tasks.run(signals))
}
