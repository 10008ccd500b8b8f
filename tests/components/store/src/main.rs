//! Keeps what its clients put there, in memory that they give for it.
#![no_std]
#![no_main]

use pecan_component::{
    Handover, SessionTable, clients, main,
    protocols::Unfit,
    serve_replaceable,
    service::{Bytes, Caller, Later, Owed, Parked, Parking, shared::Memory},
    ticks, tsc_mhz,
};
use test_store::{KEY_MAX, Store, StoreError, VALUE_MAX};

main!(main);

/// Bytes before each record: those of its key, and of its value.
const HEAD: usize = 2;

struct Server {
    /// For each session, how many bytes of its memory are used.
    sessions: SessionTable<usize>,
    owed: Owed<Later<()>>,
}

/// A record at a place: its key, its value, and where the next one is.
fn record(memory: Memory<'_>, at: usize) -> (Memory<'_>, Memory<'_>, usize) {
    let mut head = [0; 2 * HEAD];
    memory.part(at, head.len()).read(&mut head);
    let [key, value] = [0, HEAD].map(|n| usize::from(u16::from_le_bytes([head[n], head[n + 1]])));
    let start = at + head.len();
    (memory.part(start, key), memory.part(start + key, value), start + key + value)
}

impl Store for Server {
    fn put(&mut self, caller: Caller, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let (session, used) = self.sessions.of(caller, |_| 0).ok_or(StoreError::NoSession)?;
        let (memory, bytes) = (session.memory(), 2 * HEAD + key.len() + value.len());
        if memory.len() - *used < bytes {
            return Err(StoreError::Full);
        }
        let (mut at, head) = (*used, [key.len() as u16, value.len() as u16].map(u16::to_le_bytes));
        for part in [&head[0], &head[1], key.as_bytes(), value] {
            at += memory.part(at, part.len()).write(part);
        }
        *used = at;
        Ok(())
    }

    fn get(&mut self, caller: Caller, wanted: &str) -> Result<Bytes<VALUE_MAX>, StoreError> {
        let (session, used) = self.sessions.of(caller, |_| 0).ok_or(StoreError::NoSession)?;
        let (mut at, mut found) = (0, None);
        while at < *used {
            let (key, value, next) = record(session.memory(), at);
            let mut bytes = [0; KEY_MAX];
            let len = key.read(&mut bytes);
            found = if &bytes[..len] == wanted.as_bytes() { Some(value) } else { found };
            at = next;
        }
        let mut bytes = [0; VALUE_MAX];
        let len = found.ok_or(StoreError::NoSuchKey)?.read(&mut bytes);
        Bytes::try_from(&bytes[..len]).map_err(|_| StoreError::NoSuchKey)
    }

    fn args(&mut self, caller: Caller) -> Result<Bytes<VALUE_MAX>, StoreError> {
        let (session, _) = self.sessions.of(caller, |_| 0).ok_or(StoreError::NoSession)?;
        Bytes::try_from(session.args()).map_err(|_| StoreError::NoSession)
    }

    fn sessions(&mut self, _: Caller) -> u64 {
        (self.sessions.iter().count() + self.owed.iter().count()) as u64
    }

    fn never(&mut self, caller: Caller, later: Later<()>) {
        self.owed.put(caller.place(), later);
    }

    fn stall(&mut self, _: Caller, us: u64) {
        let end = ticks() + us * tsc_mhz();
        while ticks() < end {}
    }

    fn touch(&mut self, _: Caller) -> u64 {
        0
    }

    fn die(&mut self, _: Caller) {
        panic!("as it was asked to");
    }

    fn gone(&mut self, place: usize) {
        self.sessions.gone(place);
        self.owed.forget(place);
    }

    fn given_up(&mut self, place: usize) {
        self.owed.forget(place);
    }
}

impl Handover for Server {
    const VERSION: u32 = 1;
    /// To whom it owes an answer. As long as there are sessions, it is not replaced.
    type State = Owed<Parked<()>>;

    fn save(&mut self) -> Self::State {
        self.owed.drain_as(Later::park)
    }

    fn restore(&mut self, state: Self::State, parking: &mut Parking) -> Result<(), Unfit> {
        self.owed.fill_from(state, |parked| parking.resume(parked));
        Ok(())
    }
}

fn main() {
    let mut server = Server { sessions: SessionTable::new(roles::CLIENTS), owed: Owed::new(clients()) };
    serve_replaceable::<roles::Dispatch, _>(&mut server, |_, _| ())
}
