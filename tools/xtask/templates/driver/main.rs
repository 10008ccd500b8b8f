//! The driver `@name@`: as it was made, of the PC's real-time clock.
#![no_std]
#![no_main]

use pecan_component::{
    Irq, Ports, clients, irq, main, pecan, ports, println, serve,
    service::{Caller, Later, Owed},
};

use @crate@::@Trait@;

main!(main);

/// The ports, from the first of the range: the number of a register, and what is in it.
const INDEX: u16 = 0;
const DATA: u16 = 1;

/// Registers.
const SECONDS: u8 = 0x00;
const CONTROL: u8 = 0x0b;
const INTERRUPTS: u8 = 0x0c;

/// In `CONTROL`: an interrupt once in a second; numbers are binary, and not two decimal digits.
const EACH_SECOND: u8 = 1 << 4;
const BINARY: u8 = 1 << 2;

struct Clock {
    ports: Ports,
    irq: Irq,
    ticks: u64,
    waiting: Owed<Later<u64>>,
}

impl Clock {
    fn read(&self, register: u8) -> pecan::Result<u8> {
        self.ports.write8(INDEX, register)?;
        self.ports.read8(DATA)
    }

    fn write(&self, register: u8, value: u8) -> pecan::Result<()> {
        self.ports.write8(INDEX, register)?;
        self.ports.write8(DATA, value)
    }

    /// Lets the interrupts come. Reading why one came lets the next come.
    fn start(&self) -> pecan::Result<()> {
        self.write(CONTROL, self.read(CONTROL)? | EACH_SECOND)?;
        self.read(INTERRUPTS)?;
        Ok(())
    }

    fn shown_seconds(&self) -> pecan::Result<u8> {
        let (shown, control) = (self.read(SECONDS)?, self.read(CONTROL)?);
        Ok(if control & BINARY != 0 { shown } else { shown / 16 * 10 + shown % 16 })
    }

    /// Called when a signal has come; which one, its bits say.
    fn signal(&mut self, signals: u64) {
        if !self.irq.is_in(signals) {
            return;
        }
        self.ticks += 1;
        // The device first, and then the interrupt; both fail only if they are not ours, and then nothing comes.
        let _ = self.read(INTERRUPTS);
        let _ = self.irq.acknowledge();
        for later in self.waiting.take_if(|_| true) {
            later.answer(&self.ticks);
        }
    }
}

impl @Trait@ for Clock {
    fn seconds(&mut self, _: Caller) -> Option<u8> {
        self.shown_seconds().ok()
    }

    fn tick(&mut self, caller: Caller, later: Later<u64>) {
        self.waiting.put(caller.place(), later);
    }

    fn gone(&mut self, place: usize) {
        self.waiting.forget(place);
    }
}

fn main() -> u64 {
    let (Some(ports), Some(irq)) = (ports("@name@"), irq("@name@")) else {
        println!("the description gives no ports and no interrupt of the name @name@");
        return 1;
    };
    let mut clock = Clock { ports, irq, ticks: 0, waiting: Owed::new(clients()) };
    if let Err(error) = clock.start() {
        println!("the clock cannot be started: {error}");
        return 1;
    }
    serve::<roles::Dispatch, _>(&mut clock, Clock::signal)
}
