//! The timer: sleep and alarms for several clients, on channel 0 of the PC's interval timer. What time it is says the
//! processor's time-stamp counter.
#![no_std]
#![no_main]

use pecan_component::{
    Handover, Irq, Ports, clients, irq, main, pecan, ports, println,
    protocols::{Timer, Unfit},
    serve_replaceable,
    service::{Caller, Later, Owed, Parked, Parking},
    ticks, tsc_mhz,
};

main!(main);

/// Ticks of the interval timer in a second.
const FREQUENCY: u64 = 1_193_182;
const CHANNEL_0: u16 = 0;
const COMMAND: u16 = 3;
/// Channel 0, both bytes of the count, and one interrupt when the count has run out.
const ONE_SHOT: u8 = 0b0011_0000;

struct Alarm {
    at: u64,
    later: Later<u64>,
}

struct Clock {
    ports: Ports,
    irq: Irq,
    mhz: u64,
    alarms: Owed<Alarm>,
}

impl Clock {
    /// Microseconds since the machine started, whichever timer it is that counts.
    fn time(&self) -> u64 {
        ticks() / self.mhz
    }

    fn set(&mut self, caller: Caller, at: u64, later: Later<u64>) {
        self.alarms.put(caller.place(), Alarm { at, later });
        self.ring();
    }

    /// Answers those whose time has come, and sets the interval timer for the next.
    fn ring(&mut self) {
        loop {
            let now = self.time();
            for alarm in self.alarms.take_if(|a| a.at <= now) {
                alarm.later.answer(&now);
            }
            let Some(next) = self.alarms.iter().map(|a| a.at).min() else { return };
            match next.checked_sub(self.time()) {
                None | Some(0) => {}
                Some(wait) => {
                    // A port that is not ours; the alarm stays.
                    if let Err(error) = self.count_down(wait) {
                        println!("the interval timer cannot be set: {error}");
                    }
                    return;
                }
            }
        }
    }

    /// Sets the interval timer, as far as it goes.
    fn count_down(&self, us: u64) -> pecan::Result<()> {
        let count = (us.saturating_mul(FREQUENCY) / 1_000_000 + 1).min(0xffff) as u16;
        let [low, high] = count.to_le_bytes();
        self.ports.write8(COMMAND, ONE_SHOT)?;
        self.ports.write8(CHANNEL_0, low)?;
        self.ports.write8(CHANNEL_0, high)
    }

    fn signal(&mut self, signals: u64) {
        if self.irq.is_in(signals) {
            // It fails only if the interrupt is not ours, and then it does not come.
            let _ = self.irq.acknowledge();
            self.ring();
        }
    }
}

impl Timer for Clock {
    fn now(&mut self, _: Caller) -> u64 {
        self.time()
    }

    fn alarm(&mut self, caller: Caller, at: u64, later: Later<u64>) {
        self.set(caller, at, later);
    }

    fn sleep(&mut self, caller: Caller, duration: u64, later: Later<u64>) {
        self.set(caller, self.time().saturating_add(duration), later);
    }

    fn pending(&mut self, _: Caller) -> u64 {
        self.alarms.iter().count() as u64
    }

    fn gone(&mut self, place: usize) {
        self.alarms.forget(place);
    }

    fn given_up(&mut self, place: usize) {
        self.alarms.forget(place);
    }
}

impl Handover for Clock {
    const VERSION: u32 = 1;
    /// When each alarm is due, and who waits for it.
    type State = Owed<(u64, Parked<u64>)>;

    fn save(&mut self) -> Self::State {
        self.alarms.drain_as(|alarm| (alarm.at, alarm.later.park()))
    }

    fn restore(&mut self, state: Self::State, parking: &mut Parking) -> Result<(), Unfit> {
        self.alarms.fill_from(state, |(at, later)| Alarm { at, later: parking.resume(later) });
        self.ring();
        Ok(())
    }
}

fn main() -> u64 {
    let (Some(ports), Some(irq)) = (ports("pit"), irq("pit")) else {
        println!("the description gives no interval timer");
        return 1;
    };
    let mut clock = Clock { ports, irq, mhz: tsc_mhz(), alarms: Owed::new(clients()) };
    // The firmware leaves the timer running; without a count it stands still.
    if let Err(error) = clock.ports.write8(COMMAND, ONE_SHOT) {
        println!("the interval timer cannot be stopped: {error}");
        return 1;
    }
    serve_replaceable::<roles::Dispatch, _>(&mut clock, Clock::signal)
}
