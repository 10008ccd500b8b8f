//! What a client should not do with sessions, over and over, in whatever order.

use alloc::vec::Vec;

use pecan_component::{Session, println, protocols::SESSION_ARGS_MAX, startup, supervisor, ticks};
use test_store::StoreClient;

use crate::roles;

/// A number that nobody can foresee, least of all this test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 20
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// So many steps; then it leaves what it has as it is.
pub fn run(steps: u64) -> u64 {
    let mut random = Random(ticks());
    let mut sessions: Vec<Session<StoreClient>> = Vec::new();
    let channels = [roles::STORE, roles::KEEPER];
    let (mut opened, mut answered) = (0, 0);
    for _ in 0..steps {
        match random.below(12) {
            0 | 1 => {
                let quota = [random.below(1 << 20), u64::MAX - random.below(9), 4096, 3 << 20];
                let session = roles::STORE.open(b"", quota[random.below(4) as usize]);
                opened += u64::from(session.is_ok());
                sessions.extend(session);
            }
            2 => drop(roles::KEEPER.open(b"", 16 << 10)),
            3 | 4 if !sessions.is_empty() => {
                let at = random.below(sessions.len() as u64) as usize;
                let session = sessions.swap_remove(at);
                if random.below(2) == 0 {
                    let _ = session.close();
                }
            }
            // Sessions that were not opened by it, servers' business, and channels that lead elsewhere.
            5 => _ = supervisor().close(random.below(300)),
            6 => _ = supervisor().let_go(random.next()),
            7 => _ = supervisor().session(random.below(80)),
            8 => {
                let args = [0; SESSION_ARGS_MAX];
                let len = random.below(SESSION_ARGS_MAX as u64 + 1) as usize;
                let other = roles::CONSOLE.endpoint().cptr();
                let endpoint = [random.below(300), other, u64::MAX, 0][random.below(4) as usize];
                let _ = supervisor().open(endpoint, random.next() % (1 << 20), &args[..len]);
            }
            9 => _ = channels[random.below(2) as usize].client().put("key", b"value"),
            10 => _ = supervisor().departures(),
            _ => {
                for session in &sessions {
                    answered += u64::from(session.client().put("key", &random.next().to_le_bytes()).is_ok());
                }
            }
        }
    }
    println!("{opened} sessions, {answered} answers: {}", opened > 0 && answered > 0);
    // Its sessions end with it, and not by being dropped.
    sessions.into_iter().for_each(core::mem::forget);
    u64::from(startup().name().is_empty())
}
