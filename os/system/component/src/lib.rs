//! What a component of the system is made of: its entry, the services it uses, its devices, and the loop in which
//! it serves.
#![no_std]

extern crate alloc;

mod children;
mod device;
mod handover;
mod log;
mod output;
mod ring;
mod role;
mod serve;
mod session;
mod tasks;
mod thread;

use pecan::startup::{Startup, well_known};
use pecan_manifest::layout::{self, resource};
use pecan_protocols::{LogClient, SupervisorClient};

pub use children::{estate, program};
pub use device::{Dma, Irq, Mmio, Ports, archive, dma, file, irq, mmio, ports};
pub use handover::Handover;
pub use log::{LogMemory, log, log_memory};
pub use output::{connect, insist, write};
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
pub use serve::{serve, serve_replaceable};
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

/// The role that every component has at the system log: what it writes there stands under its name.
pub const LOG: Uses<LogClient> = Uses::new(resource::LOG, LogClient::new);

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

const _: () = assert!(layout::LOG_SIGNAL < 63, "the signal's bit is not the one that marks signals");
const _: () = assert!(layout::CLIENTS_MAX <= 64, "a word says which clients are gone");
