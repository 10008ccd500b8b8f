//! What a component of the system is made of: its entry, the services it uses, its devices, and the loop in which
//! it serves.
#![no_std]

extern crate alloc;

mod children;
mod device;
mod output;
mod ring;
mod role;
mod session;
mod tasks;
mod thread;

use alloc::vec::Vec;

use pecan::{
    Cap,
    startup::{Startup, well_known},
    types::Reply,
};
use pecan_manifest::layout::{self, resource};
use pecan_protocols::SupervisorClient;
use pecan_service::{Departure, Dispatch, Replies, Server};

pub use children::{estate, program};
pub use device::{Dma, Irq, Mmio, Ports, archive, dma, file, irq, log, mmio, ports};
pub use output::{connect, write};
pub use pecan;
pub use pecan_manifest::{
    self as manifest,
    layout::{INIT_SIGNAL, LOG_SIGNAL},
};
pub use pecan_protocols as protocols;
pub use pecan_runtime::{NoRandom, Outcome, component, exit, print, println, random};
pub use pecan_service::{self as service, ticks};
pub use pecan_supervision as supervision;
pub use ring::{Consumer, Consumes, Producer, Produces, Taken, wait};
pub use role::{Serves, Uses, endpoint};
pub use session::{OpenError, Session, SessionMemory, SessionTable, WithSessions};
pub use tasks::{Callers, Tasks};
pub use thread::{JoinHandle, SpawnError, spawn};

/// Makes a function the `main` of a component: `fn() -> impl Outcome`. The module `roles` has the component's roles as its
/// `Cargo.toml` says them.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        /// The roles of this component.
        #[allow(dead_code, reason = "a component need not use all that is made for it")]
        mod roles {
            include!(concat!(env!("OUT_DIR"), "/roles.rs"));
        }
        fn __component_main(_: &'static $crate::pecan::startup::Startup<'static>) -> u64 {
            $crate::connect();
            $crate::Outcome::status($main())
        }
        $crate::component!(__component_main);
    };
}

/// The start page of this component.
///
/// # Panics
/// In a program that was not started as a component.
pub fn startup() -> &'static Startup<'static> {
    pecan_runtime::startup().expect("a component has a start page")
}

/// The role that every component has: the initial task is its supervisor.
pub const SUPERVISOR: Uses<SupervisorClient> = Uses::new(well_known::SUPERVISOR, SupervisorClient::new);

/// The initial task, as this component sees it.
pub fn supervisor() -> SupervisorClient {
    SUPERVISOR.client()
}

/// Gives a sign of life: what a component with a `heartbeat_ms` in its description does that often at least. A server need
/// not: [`serve`] does it when it is asked.
pub fn pulse() {
    // A supervisor that does not answer expects none either.
    let _ = supervisor().pulse();
}

/// How many clients this component can have, in all roles that it serves. Their places are numbered from 0.
pub fn clients() -> usize {
    startup().parameter(resource::CLIENTS).unwrap_or(0) as usize
}

/// MHz of the time-stamp counter.
pub fn tsc_mhz() -> u64 {
    startup().parameter(resource::TSC_MHZ).unwrap_or(1000).max(1)
}

/// Serves for ever what the dispatcher `D` hands over; `signal` is told the bits of interrupts ([`Irq::bit`]) and of
/// the system log ([`LOG_SIGNAL`]).
///
/// # Panics
/// If the description lets this component serve nothing.
pub fn serve<D: Dispatch<S>, S>(server: &mut S, mut signal: impl FnMut(&mut S, u64)) -> ! {
    let endpoint = role::cap(resource::SERVICE).expect("the description lets this component serve");
    let first: Cap<Reply> = role::cap(resource::REPLY).expect("a server has reply objects");
    let count = startup().parameter(resource::REPLIES).unwrap_or(1);
    // SAFETY: the initial task put as many reply objects there, one after the other.
    let replies: Vec<_> = (0..count).map(|n| unsafe { first.offset(n) }).collect();
    Server::new(endpoint, Replies::new(&replies)).run::<D, S>(server, |server, bits, departed| {
        if bits >> layout::PULSE_SIGNAL & 1 != 0 {
            pulse();
        }
        if bits >> layout::GONE_SIGNAL & 1 != 0 {
            // An initial task that does not answer has no more clients to speak of.
            let told = supervisor().departures().unwrap_or_default();
            let places = |bits: u64| (0..64).filter(move |place| bits >> place & 1 != 0);
            places(told.calls).for_each(|place| departed(server, Departure::Call(place)));
            places(told.clients).for_each(|place| departed(server, Departure::Client(place)));
            if told.sessions != 0 {
                // Who is not told takes the memory back all the same, a little later.
                let _ = supervisor().let_go(told.sessions);
            }
        }
        signal(server, bits);
    })
}

const _: () = assert!(layout::LOG_SIGNAL < 63, "the signal's bit is not the one that marks signals");
const _: () = assert!(layout::CLIENTS_MAX <= 64, "a word says which clients are gone");
