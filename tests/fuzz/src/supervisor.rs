//! Lets rounds go by: hears of faults and ticks, keeps the random threads going, makes the calls that would be too
//! dangerous in their hands, asks the witness how it is, and says at the end what happened.

use core::sync::atomic::Ordering::Relaxed;

use pecan::raw::{self, invocations as inv};
use pecan_abi::{INVOCATIONS, MessageInfo, fault::FaultTag};
use pecan_runtime::{print, println};

use crate::{
    Options,
    generator::{self, KIND_NAMES},
    house::{House, IDLE, Step, TICK},
    learn,
    plan::{self, View},
    rng::{Rng, mix},
    shared::{self, GENERATORS, PUPPETS, RING_MAGIC, THREADS, count, shared},
    wild,
    world::{self, World},
};

/// Faults by their label.
const FAULT_LABELS: usize = 8;
/// Rounds between two signs of life.
const ROUNDS_PER_LINE: u64 = 16;

/// No more calls than this are made between two events.
const MOST_CALLS: u64 = 100_000;

/// What happened besides.
#[derive(Default)]
struct Tally {
    faults: [u64; FAULT_LABELS],
    ticks: u64,
    idle: u64,
    repairs: u64,
    replaced: u64,
}

/// Runs all rounds.
pub fn run(house: &mut House, options: Options) {
    let shared = shared();
    shared.magic.store(RING_MAGIC, Relaxed);
    match inv::page_get_address(house.frames) {
        Ok(address) => println!("fuzz: ring at {address:#x}"),
        Err(error) => println!("fuzz: FAILED: where the ring is: {error}"),
    }
    let mut tally = Tally::default();
    let mut round = 0;
    while shared.calls.load(Relaxed) < options.calls {
        let until = (shared.calls.load(Relaxed) + options.round).min(options.calls);
        if let Err(why) = one_round(house, options, round, until, &mut tally) {
            println!("fuzz: FAILED: seed {} round {round}: {why}", options.seed);
            return;
        }
        round += 1;
        if round.is_multiple_of(ROUNDS_PER_LINE) {
            println!("fuzz: at {} calls, {round} rounds", shared.calls.load(Relaxed));
        }
    }
    report(house, options, round, &tally);
}

/// Why a round failed.
enum Why {
    /// Something that must hold does not.
    Broken(&'static str),
    /// Something of the supervisor's did not work.
    Step(&'static str, pecan::Error),
}

impl core::fmt::Display for Why {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Why::Broken(what) => f.write_str(what),
            Why::Step(step, error) => write!(f, "{step}: {error}"),
        }
    }
}

impl From<&'static str> for Why {
    fn from(what: &'static str) -> Self {
        Why::Broken(what)
    }
}

impl From<(&'static str, pecan::Error)> for Why {
    fn from((step, error): (&'static str, pecan::Error)) -> Self {
        Why::Step(step, error)
    }
}

fn one_round(
    house: &mut House,
    options: Options,
    round: u64,
    until: u64,
    tally: &mut Tally,
) -> Result<(), Why> {
    let mut rng = Rng(mix(options.seed) ^ mix(round).rotate_left(17));
    let world = World::new(house, &mut rng)?;
    let mut play = Play { house, world, rng, seen: [0; GENERATORS], tally, strict: options.strict };
    for index in 0..THREADS {
        play.world.repair(play.house, index)?;
        if index >= GENERATORS {
            play.puppet(index);
        }
    }
    play.house.ping(false)?;
    let mut last = shared().calls.load(Relaxed);
    while last < until && play.world.spares_left() {
        play.event()?;
        let calls = shared().calls.load(Relaxed);
        if calls.wrapping_sub(last) > MOST_CALLS {
            return Err(Why::Broken("the random threads have overwritten what they share"));
        }
        last = calls;
    }
    let Play { world, house, tally, .. } = play;
    tally.repairs += world.repairs - THREADS as u64;
    tally.replaced += world.replaced;
    house.ping(options.strict)?;
    world.end(house)?;
    // From here on the witness has had no time; the next look at that begins anew.
    house.ping(false)?;
    Ok(())
}

/// A round that goes on.
struct Play<'a> {
    house: &'a mut House,
    world: World,
    rng: Rng,
    /// Calls that each random thread had made at the last tick.
    seen: [u64; GENERATORS],
    tally: &'a mut Tally,
    strict: bool,
}

impl Play<'_> {
    /// Waits for something to happen.
    fn event(&mut self) -> Result<(), Why> {
        let received = raw::recv(self.house.ep, self.house.reply);
        match received.badge {
            IDLE => {
                self.tally.idle += 1;
                self.idle();
            }
            badge if badge & TICK != 0 => self.tick()?,
            badge @ 1.. if badge <= THREADS as u64 => self.fault(badge as usize - 1, received)?,
            _ => return Err(Why::Broken("a message came from nowhere")),
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Why> {
        self.tally.ticks += 1;
        let ticks = self.tally.ticks;
        let before = self.seen;
        self.wake()?;
        if before == self.seen {
            self.world.stop_puppets()?;
        }
        if ticks.is_multiple_of(8) {
            self.world.repair(self.house, self.rng.below(THREADS as u64) as usize)?;
        }
        let puppet = GENERATORS + self.rng.below(PUPPETS as u64) as usize;
        match self.rng.below(4) {
            0 => self.world.make_passive(puppet),
            1 => {}
            _ => self.puppet(puppet),
        }
        for _ in 0..4 {
            self.world.give_again(&mut self.rng)?;
        }
        self.direct();
        if ticks.is_multiple_of(4) {
            self.house.ping(self.strict)?;
        }
        raw::send(self.house.idle_go, MessageInfo(0), [0; 4]);
        Ok(())
    }

    /// Nobody runs: lets those that wait for something begin again.
    fn idle(&mut self) {
        let mut someone = false;
        for index in 0..GENERATORS {
            if shared::words(index).in_flight.load(Relaxed) != 0 {
                someone |= self.world.restart(index).is_ok();
            }
        }
        // Otherwise they are out of budget: the next tick is soon.
        if someone {
            raw::send(self.house.idle_go, MessageInfo(0), [0; 4]);
        }
    }

    /// Repairs those that have not made a call since the last time.
    fn wake(&mut self) -> Step<()> {
        for index in 0..GENERATORS {
            let calls = shared::words(index).calls.load(Relaxed);
            if calls == self.seen[index] {
                self.world.repair(self.house, index)?;
            }
            self.seen[index] = calls;
        }
        Ok(())
    }

    /// A random thread has faulted.
    fn fault(&mut self, index: usize, received: raw::Reply) -> Step<()> {
        let label = received.info.label();
        self.tally.faults[label as usize % FAULT_LABELS] += 1;
        if label == FaultTag::Timeout as u64 {
            // It goes on with what it gets in its next period.
            raw::send(self.house.reply, MessageInfo(0), [0; 4]);
            return Ok(());
        }
        if index < GENERATORS {
            let words = shared::words(index);
            words.fault.store(label + 1, Relaxed);
            words.missing.store(received.regs[1], Relaxed);
            if self.world.restart(index).is_err() {
                self.world.repair(self.house, index)?;
            }
            return Ok(());
        }
        match self.rng.below(8) {
            // An answer that is none, or that lets it go on with other registers.
            0 => {
                let words = [(); 4].map(|()| wild::odd_word(&mut self.rng));
                let info = MessageInfo::new(self.rng.below(3), 0, 0, self.rng.below(24));
                raw::send(self.house.reply, info, words);
            }
            1 => {}
            _ => self.puppet(index),
        }
        Ok(())
    }

    /// Gives a puppet something to do.
    fn puppet(&mut self, index: usize) {
        let view = View { table: 0, base: 0 };
        let words = if self.rng.percent(30) {
            let slots = [world::ENDPOINT as u64, world::REPLY as u64];
            wild::server_registers(&mut self.rng, index, slots, World::endpoints(index))
        } else {
            wild::puppet_registers(&mut self.rng, view)
        };
        // It may have been deleted or be somebody else's by now; it is repaired at times.
        let _ = self.world.play(index, &words);
    }

    /// Makes a call with an authority that is too dangerous in the random threads' hands.
    fn direct(&mut self) {
        let view = View { table: shared::DIRECTOR, base: World::director_base(self.house) };
        let Some((call, plan)) = plan::invocation(&mut self.rng, view) else { return };
        generator::log_as(THREADS as u64, 0, &call);
        // SAFETY: the IPC buffer of this thread; nothing holds a reference to it.
        let reply = unsafe { generator::execute(&call, raw::ipc_buffer()) };
        let error = reply.info.label();
        learn::learn(&plan, error, reply.regs[0]);
        if let Some(outcomes) = shared().outcomes.get(plan.invocation as usize) {
            let outcome = if call.number == -1 { (error as usize).min(10) } else { shared::UNANSWERED };
            count(&outcomes[outcome]);
        }
    }
}

/// Prints what happened.
fn report(house: &House, options: Options, rounds: u64, tally: &Tally) {
    let shared = shared();
    for (invocation, outcomes) in INVOCATIONS.iter().zip(&shared.outcomes).filter(|(i, _)| i.label.exists()) {
        print!("fuzz: row {}.{}", invocation.object.name(), invocation.method);
        outcomes.iter().for_each(|outcome| print!(" {}", outcome.load(Relaxed)));
        println!();
    }
    for (name, [done, lost]) in KIND_NAMES.iter().zip(&shared.kinds).filter(|(name, _)| !name.is_empty()) {
        println!("fuzz: kind {name} {} {}", done.load(Relaxed), lost.load(Relaxed));
    }
    print!("fuzz: faults");
    tally.faults.iter().for_each(|n| print!(" {n}"));
    println!();
    println!(
        "fuzz: {} ticks, {} times idle, {} repairs, {} threads replaced",
        tally.ticks, tally.idle, tally.repairs, tally.replaced
    );
    println!(
        "fuzz: witness: {} pings, slowest {} us, {} pages computed",
        house.pings,
        house.slowest_ping.div_ceil(house.tsc_mhz),
        house.computed
    );
    let calls = shared.calls.load(Relaxed);
    println!("fuzz: done: seed {}, {calls} calls, {rounds} rounds", options.seed);
}
