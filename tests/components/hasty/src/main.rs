//! Calls with time-outs, and looks what they leave behind.
#![no_std]
#![no_main]

use core::time::Duration;

use pecan_component::{
    SpawnError, main, println,
    protocols::Arguments,
    service::{CallError, Cancel},
    spawn, startup, ticks, tsc_mhz,
};

main!(main);

/// Microseconds between two looks of the initial task at the calls that have limits.
const GRAIN: u64 = 10_000;

fn now() -> u64 {
    ticks() / tsc_mhz()
}

fn timed_out<T>(result: Result<T, CallError>) -> bool {
    matches!(result, Err(CallError::TimedOut))
}

/// A server that never answers: the call ends when its time is over and not before, and the server forgets it.
fn never() -> Result<bool, CallError> {
    let tardy = roles::TARDY.client();
    let (told, before) = (tardy.told()?, now());
    let out = timed_out(tardy.within(Duration::from_millis(30)).never());
    let took = now() - before;
    let well = out && (30_000..30_000 + 3 * GRAIN).contains(&took);
    Ok(well && tardy.told()? == told + 1 && tardy.owes()? == 0)
}

/// A call that waits behind another one: it ends, and the server never hears of it.
fn queued() -> Result<bool, CallError> {
    let tardy = roles::TARDY.client();
    tardy.stall(100_000)?;
    let before = now();
    let out = timed_out(tardy.within(Duration::from_millis(20)).number(1));
    let in_time = now() - before < 80_000;
    Ok(out && in_time && tardy.number(2)? == 2)
}

/// Answers that come just when the time is over: each call has its own answer or none, and none has that of another.
fn at_the_time() -> Result<bool, CallError> {
    let tardy = roles::TARDY.client();
    let (mut answered, mut late) = (0, 0);
    for n in 0..100 {
        // Around the moment at which the initial task looks, wherever it is.
        let us = GRAIN + n * GRAIN / 50;
        match tardy.within(Duration::from_micros(GRAIN)).number_after(n, us) {
            Ok(number) if number == n => answered += 1,
            Err(CallError::TimedOut) => late += 1,
            _ => return Ok(false),
        }
        if tardy.number(1000 + n)? != 1000 + n {
            return Ok(false);
        }
    }
    Ok(answered > 0 && late > 0)
}

/// A time that is not over changes nothing, nor does one that was over before.
fn in_time() -> Result<bool, CallError> {
    let patient = roles::TARDY.client().within(Duration::from_secs(100));
    let zero = roles::TARDY.client().within(Duration::ZERO);
    Ok(patient.number_after(7, 30_000)? == 7
        && timed_out(zero.number_after(8, 50_000))
        && patient.number(9)? == 9)
}

/// A call of the initial task itself ends, too, and it waits no longer for the program that it was asked about.
fn of_init() -> Result<bool, CallError> {
    let control = roles::CONTROL.client();
    let Ok(id) = control.run("idle", Arguments::new(""))? else { return Ok(false) };
    let out = timed_out(control.within(Duration::from_millis(20)).wait(id));
    Ok(out && control.kill("idle")?.is_ok() && control.name(id)?.is_none())
}

static CANCEL: Cancel = Cancel::new();

fn wait(us: u64) {
    let end = now() + us;
    while now() < end {}
}

/// A thread does what it is given, and can be given something else when that was waited for; what it uses is counted.
fn threads() -> Result<bool, CallError> {
    let add = |a: u64, b: u64| spawn("helper", move || a + b).map(|thread| thread.join());
    let taken = match spawn("helper", || roles::TARDY.client().number(5)) {
        Ok(first) => {
            let second = spawn("helper", || ());
            first.join()? == 5 && matches!(second, Err(SpawnError::Busy))
        }
        Err(_) => false,
    };
    let missing = matches!(spawn("nobody", || ()), Err(SpawnError::NoSuchThread));
    Ok(taken && missing && (0..50).all(|n| add(n, 1) == Ok(n + 1)))
}

/// A call that another thread cancels, while the server has it, and while it waits to be received.
fn cancelled() -> Result<bool, CallError> {
    let tardy = roles::TARDY.client();
    let cancellable = tardy.cancelled_by(&CANCEL);
    let cancel = || {
        spawn("helper", || {
            wait(30_000);
            CANCEL.cancel();
        })
    };
    let told = tardy.told()?;
    let Ok(thread) = cancel() else { return Ok(false) };
    let received = cancellable.never() == Err(CallError::Cancelled);
    thread.join();
    // Those that come later are not even made.
    let later = cancellable.number(1) == Err(CallError::Cancelled);
    let known = tardy.told()? == told + 1 && tardy.owes()? == 0;
    CANCEL.reset();
    let Ok(thread) = cancel() else { return Ok(false) };
    tardy.stall(100_000)?;
    let queued = cancellable.number(2) == Err(CallError::Cancelled);
    thread.join();
    CANCEL.reset();
    Ok(received && later && known && queued && cancellable.number(3)? == 3)
}

/// A server that waits for another one in the name of one client serves the others meanwhile.
fn relayed() -> Result<bool, CallError> {
    let Ok(thread) = spawn("helper", || roles::RELAY.client().fetch(1, 60_000)) else { return Ok(false) };
    let other = roles::OTHER.client();
    while other.waits()? == 0 {}
    let mut served = 0;
    while other.waits()? > 0 {
        if other.number(served)? != served {
            return Ok(false);
        }
        served += 1;
    }
    Ok(served > 10 && thread.join()? == Some(1) && other.fetch(2, 10_000)? == Some(2))
}

/// When a server dies, the calls of all threads of its client end: with an error if it is started again, and if it is not, the
/// initial task answers them.
fn server_died() -> Result<bool, CallError> {
    let control = roles::CONTROL.client();
    let first = spawn("helper", || roles::TARDY.client().never());
    let second = spawn("second", || roles::LATE.client().never());
    let (Ok(first), Ok(second)) = (first, second) else { return Ok(false) };
    // The server has a lower priority: it receives them while this waits.
    let slept = roles::OTHER.client().fetch(1, 30_000)? == Some(1);
    let killed = control.kill("tardy")?.is_ok();
    let restarted = |result| matches!(result, Err(CallError::ServerRestarted { .. }));
    let told = restarted(first.join()) & restarted(second.join());
    let anew = roles::TARDY.client().owes()? == 0;

    let Ok(thread) = spawn("helper", || roles::RELAY.client().fetch(2, 60_000_000)) else { return Ok(false) };
    wait(30_000);
    let gone = control.kill("relay")?.is_ok() && thread.join() == Err(CallError::Gone);
    let back = control.start("relay")?.is_ok() && roles::OTHER.client().number(3)? == 3;
    Ok(slept && killed && told && anew && gone && back)
}

type Test = (&'static str, fn() -> Result<bool, CallError>);

const TESTS: [Test; 9] = [
    ("a server that never answers", never),
    ("a call that waits behind another", queued),
    ("answers at the time", at_the_time),
    ("a time that is not over", in_time),
    ("a call of init", of_init),
    ("threads", threads),
    ("calls that are cancelled", cancelled),
    ("a server that waits for another", relayed),
    ("a server that dies", server_died),
];

fn main() -> u64 {
    let wanted = startup().arguments().next();
    let mut wrong = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted.is_none_or(|wanted| name.contains(wanted))) {
        match test() {
            Ok(true) => println!("{name}: well"),
            Ok(false) => {
                println!("{name}: wrong");
                wrong += 1;
            }
            Err(error) => {
                println!("{name}: {error}");
                wrong += 1;
            }
        }
    }
    wrong
}
