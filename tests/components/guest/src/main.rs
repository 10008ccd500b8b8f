//! Opens sessions, as it should and as it should not, and looks what the servers make of that.
#![no_std]
#![no_main]

extern crate alloc;

mod hostile;

use alloc::vec::Vec;

use pecan_component::{
    OpenError, Session, SpawnError, main, println,
    protocols::{SESSION_ARGS_MAX, SessionError},
    service::CallError,
    spawn, startup, ticks, tsc_mhz,
};
use test_store::{StoreClient, StoreError, VALUE_MAX};

main!(main);

/// What it has for sessions, as its description says.
const ALL: u64 = 4 << 20;
/// The most sessions.
const MOST: usize = 16;
/// Places of clients that the store has, of which the channel takes one.
const PLACES: usize = 20;
/// How long a server has to let go of a session's memory, and the time between two looks of the initial task.
const GRACE_US: u64 = 100_000;
const GRAIN_US: u64 = 10_000;

/// Why a test ends early.
#[derive(Debug)]
#[allow(dead_code, reason = "it is printed")]
enum Stop {
    Open(OpenError),
    Call(CallError),
    Store(StoreError),
    Spawn(SpawnError),
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SpawnError> for Stop {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}

type Outcome = Result<bool, Stop>;

fn now() -> u64 {
    ticks() / tsc_mhz()
}

fn open(quota: u64) -> Result<Session<StoreClient>, OpenError> {
    roles::STORE.open(b"guest", quota)
}

fn refused(quota: u64) -> Option<SessionError> {
    match open(quota) {
        Err(OpenError::Refused(error)) => Some(error),
        _ => None,
    }
}

/// What is put into one session is not in another one, and memory is zero at first whoever had it before.
fn apart() -> Outcome {
    let (one, two) = (open(64 << 10)?, open(64 << 10)?);
    one.client().put("key", b"one")??;
    two.client().put("key", b"two")??;
    two.client().put("other", b"more")??;
    let well = &*one.client().get("key")?? == b"one"
        && &*two.client().get("key")?? == b"two"
        && one.client().get("other")? == Err(StoreError::NoSuchKey)
        && &*one.client().args()?? == b"guest";
    one.close()?;
    let three = open(64 << 10)?;
    let well = well && three.client().get("key")? == Err(StoreError::NoSuchKey);
    three.close()?;
    two.close()?;
    Ok(well && roles::STORE.client().sessions()? == 0)
}

/// Without a session there is no room, and nothing else goes wrong.
fn without() -> Outcome {
    let channel = roles::STORE.client();
    Ok(channel.put("key", b"value")? == Err(StoreError::NoSession))
}

/// A session has what was given for it and not more; another one does not notice.
fn full() -> Outcome {
    let (small, other) = (open(16 << 10)?, open(64 << 10)?);
    let mut count = 0;
    while small.client().put("k", &[count; VALUE_MAX])?.is_ok() {
        count += 1;
    }
    let is_full = small.client().put("k", &[0; VALUE_MAX])? == Err(StoreError::Full);
    other.client().put("key", b"value")??;
    // 517 bytes each in one page, which is what is left of four.
    Ok(is_full
        && count == 7
        && small.bytes() == 4096
        && small.client().get("k")??[..] == [6; VALUE_MAX]
        && &*other.client().get("key")?? == b"value")
}

/// What cannot be had is refused, with what can, and nothing changes.
fn quotas() -> Outcome {
    let least = 16 << 10;
    let small = [0, 1, least - 1].map(refused) == [Some(SessionError::TooSmall { least }); 3];
    let large = [ALL + 1, u64::MAX, 1 << 63].map(refused) == [Some(SessionError::NoMemory { left: ALL }); 3];
    let odd = open(least + 1)?;
    let left = ALL - least - 4096;
    let less = refused(ALL) == Some(SessionError::NoMemory { left });
    let rest = open(left)?;
    let none = refused(least) == Some(SessionError::NoMemory { left: 0 });
    odd.close()?;
    rest.close()?;
    let all = open(ALL)?;
    let well = all.bytes() > ALL - (128 << 10) && all.bytes() < ALL;
    all.client().put("key", b"value")??;
    all.close()?;
    let long = roles::STORE.open(&[0; SESSION_ARGS_MAX + 1], least).err()
        == Some(OpenError::Call(CallError::TooLong));
    Ok(small && large && less && none && well && long)
}

/// A component has so many sessions and not more, and a server has so many places.
fn many() -> Outcome {
    let sessions = (0..MOST).map(|_| open(16 << 10)).collect::<Result<Vec<_>, _>>()?;
    let most = refused(16 << 10) == Some(SessionError::TooMany { most: MOST as u64 });
    for (n, session) in sessions.iter().enumerate() {
        session.client().put("n", &[n as u8])??;
    }
    let mut well = most && MOST < PLACES && roles::STORE.client().sessions()? == MOST as u64;
    for (n, session) in sessions.iter().enumerate() {
        well &= session.client().get("n")??[..] == [n as u8];
    }
    for session in sessions {
        session.close()?;
    }
    Ok(well && roles::STORE.client().sessions()? == 0)
}

/// A session that is closed in the middle of a call: the call ends, and the server forgets it.
fn in_mid_call() -> Outcome {
    let mut well = true;
    for _ in 0..20 {
        let session = open(32 << 10)?;
        session.client().put("key", b"value")??;
        let client = session.client();
        let caller = spawn("helper", move || client.never())?;
        while roles::STORE.client().sessions()? < 2 {
            // The helper has as much time as this thread: it comes to its call.
            pecan_component::pecan::raw::yield_now();
        }
        session.close()?;
        well &= caller.join() == Err(CallError::SessionEnded) && roles::STORE.client().sessions()? == 0;
    }
    Ok(well)
}

/// A server that dies takes its sessions with it: the call ends, later ones say so, and the memory is back.
fn server_dies() -> Outcome {
    let (one, two) = (open(1 << 20)?, open(ALL / 2)?);
    one.client().put("key", b"value")??;
    let died = matches!(one.client().die(), Err(CallError::ServerRestarted { .. }));
    let over = one.client().get("key") == Err(CallError::SessionEnded)
        && two.client().args() == Err(CallError::SessionEnded);
    let back = open(ALL)?;
    let fresh = back.client().get("key")? == Err(StoreError::NoSuchKey);
    one.close()?;
    two.close()?;
    back.close()?;
    Ok(died && over && fresh)
}

/// A server that does not let go: the memory comes back when its time is over, and what it does with it then is its own
/// end; others do not notice.
fn keeper() -> Outcome {
    let beside = open(64 << 10)?;
    beside.client().put("key", b"value")??;
    let session = roles::KEEPER.open(b"", ALL / 2)?;
    session.client().put("", b"")??;
    let before = now();
    session.close()?;
    let took = now() - before;
    let in_time = (GRACE_US - GRAIN_US..GRACE_US + 10 * GRAIN_US).contains(&took);
    let whole = open(ALL / 2)?;
    let died = matches!(roles::KEEPER.client().touch(), Err(CallError::ServerRestarted { .. }));
    let forgot = roles::KEEPER.client().sessions()? == 0;
    whole.close()?;
    Ok(in_time && died && forgot && &*beside.client().get("key")?? == b"value")
}

/// Sessions of all sizes come and go: afterwards the memory is whole.
fn churn() -> Outcome {
    let mut sessions: [Option<Session<StoreClient>>; MOST] = [const { None }; MOST];
    let mut seed = 1u64;
    for n in 0..1000u32 {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let (at, quota) = ((seed >> 33) as usize % MOST, (16 << 10) + (seed >> 40) % (600 << 10));
        if let Some(session) = sessions[at].take() {
            session.close()?;
        } else if let Ok(session) = open(quota) {
            session.client().put("n", &n.to_le_bytes())??;
            sessions[at] = Some(session);
        }
    }
    for session in sessions.into_iter().flatten() {
        session.close()?;
    }
    open(ALL)?.close()?;
    Ok(roles::STORE.client().sessions()? == 0)
}

fn main() -> u64 {
    let mut arguments = startup().arguments();
    match arguments.next() {
        // With sessions open, it waits to be killed.
        Some("hold") => {
            let held = [open(1 << 20), open(16 << 10), roles::KEEPER.open(b"", 1 << 20)];
            for session in held.iter().flatten() {
                let _ = session.client().put("key", b"value");
            }
            println!("{} sessions", held.iter().flatten().count());
            // Nobody wakes it.
            let _ = roles::TIMER.client().sleep(u64::MAX / 2);
            return 1;
        }
        Some("count") => {
            println!("sessions: {:?}", roles::STORE.client().sessions());
            return 0;
        }
        Some("hostile") => return hostile::run(arguments.next().and_then(|a| a.parse().ok()).unwrap_or(0)),
        _ => {}
    }
    type Test = (&'static str, fn() -> Outcome);
    let tests: [Test; 9] = [
        ("sessions are apart", apart),
        ("no session", without),
        ("a session that is full", full),
        ("too little and too much", quotas),
        ("as many as there can be", many),
        ("closed in the middle of a call", in_mid_call),
        ("a server that dies", server_dies),
        ("a server that does not let go", keeper),
        ("sessions come and go", churn),
    ];
    let mut status = 0;
    for (name, test) in tests {
        match test() {
            Ok(true) => println!("{name}: well"),
            other => {
                println!("{name}: {other:?}");
                status = 1;
            }
        }
    }
    status
}
