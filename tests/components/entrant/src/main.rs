//! Calls services of all kinds while they are killed, and compares what they have done with what they said.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::fmt;

use pecan_component::{
    main, println,
    service::{CallError, shared::Shared},
    startup,
};
use test_ledger::{ENTRIES, LedgerClient, TEXT_MAX};

main!(main);

/// How often the ledger must have made an entry.
#[derive(Clone, Copy)]
enum Expect {
    Once,
    AtMostOnce,
    AtLeastOnce,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Once => "once",
            Self::AtMostOnce => "at most once",
            Self::AtLeastOnce => "at least once",
        })
    }
}

/// A ledger, and the log of what it has said.
struct Account {
    client: LedgerClient,
    page: Shared,
    log: Vec<Expect>,
}

enum Wrong {
    Call(CallError),
    Answer,
    Entry(usize, Expect, u8),
    NoPage,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => write!(f, "a call ended with an error: {error}"),
            Self::Answer => f.write_str("an answer is wrong"),
            Self::Entry(entry, expect, count) => {
                write!(f, "entry {entry} was made {count} times, and should have been {expect}")
            }
            Self::NoPage => f.write_str("there is no page to compare with"),
        }
    }
}

impl From<CallError> for Wrong {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl Account {
    fn new(client: LedgerClient, page: Option<Shared>) -> Result<Self, Wrong> {
        Ok(Self { client, page: page.ok_or(Wrong::NoPage)?, log: Vec::new() })
    }

    /// Makes a call of the kind of a number; whether it ended with `ServerRestarted`.
    fn call(&mut self, kind: u64, text: &[u8]) -> Result<bool, Wrong> {
        if self.log.len() == ENTRIES {
            self.compare()?;
        }
        let entry = self.log.len() as u64;
        let outcome = match kind % 5 {
            0 => {
                self.client.put(entry)?;
                self.log.push(Expect::AtLeastOnce);
                return Ok(false);
            }
            1 => {
                if self.client.count(entry)? != 0 {
                    return Err(Wrong::Answer);
                }
                return Ok(false);
            }
            2 => self.client.enter(entry),
            3 => match self.client.enter_text(entry, text) {
                Ok(sum) if sum != text.iter().map(|byte| u64::from(*byte)).sum() => {
                    return Err(Wrong::Answer);
                }
                other => other.map(|_| ()),
            },
            _ => self.client.enter_later(entry),
        };
        let (expect, restarted) = match outcome {
            Ok(()) => (Expect::Once, false),
            Err(CallError::ServerRestarted { .. }) => (Expect::AtMostOnce, true),
            Err(error) => return Err(error.into()),
        };
        self.log.push(expect);
        Ok(restarted)
    }

    /// Compares both logs, and begins new ones.
    fn compare(&mut self) -> Result<(), Wrong> {
        let mut noted = alloc::vec![0; ENTRIES];
        self.page.read(&mut noted);
        for (entry, (expect, count)) in self.log.iter().zip(&noted).enumerate() {
            let right = match expect {
                Expect::Once => *count == 1,
                Expect::AtMostOnce => *count <= 1,
                Expect::AtLeastOnce => *count >= 1,
            };
            if !right {
                return Err(Wrong::Entry(entry, *expect, *count));
            }
        }
        self.log.clear();
        self.page.clear();
        Ok(())
    }
}

fn pound(seed: u64, duration: u64) -> Result<u64, Wrong> {
    let (timer, echo) = (roles::TIMER.client(), roles::ECHO.client());
    let mut accounts = [
        Account::new(roles::A.client(), roles::A.page())?,
        Account::new(roles::B.client(), roles::B.page())?,
    ];
    let end = timer.now()? + duration;
    let (mut random, mut restarted) = (seed, 0);
    while timer.now()? < end {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let text: [u8; TEXT_MAX] = core::array::from_fn(|n| (random >> (n % 56)) as u8);
        let kind = random >> 33;
        match kind % 12 {
            0 => _ = timer.sleep(100)?,
            1 if echo.ping(kind)? != kind + 1 => return Err(Wrong::Answer),
            1 => {}
            n => restarted += u64::from(accounts[n as usize % 2].call(kind / 12, &text)?),
        }
    }
    for account in &mut accounts {
        account.compare()?;
    }
    Ok(restarted)
}

fn main() -> u64 {
    let mut arguments = startup().arguments().map(|argument| argument.parse().unwrap_or(1));
    let (seed, duration) = (arguments.next().unwrap_or(1), arguments.next().unwrap_or(1));
    match pound(seed, duration) {
        Ok(restarted) => 1000 + restarted,
        Err(wrong) => {
            println!("{}: {wrong}", startup().name());
            1
        }
    }
}
