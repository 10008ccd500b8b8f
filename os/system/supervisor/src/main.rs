//! Decides when components are started, and what comes when one has ended. What it knows of a component, the initial task
//! keeps for it: when the supervisor dies, the next one goes on where it was.
#![no_std]
#![no_main]

extern crate alloc;

mod control;
mod policy;
mod replace;
mod steps;

use alloc::{string::String, vec::Vec};

use pecan_component::protocols::ControlError;
use pecan_component::{
    INIT_SIGNAL, archive, insist, main,
    manifest::{Archive, ArchiveError, Component, Server},
    protocols::{Arguments, Ending, Instance, InstancesClient, NoticesClient, Stopped, WRITE_MAX},
    serve,
    service::{CallError, Later},
    ticks, tsc_mhz,
};

main!(main);

/// Somebody who waits for the end of a program.
struct Waiter {
    /// The client's place.
    place: usize,
    /// The program's number.
    program: u64,
    later: Later<Result<Ending, ControlError>>,
}

/// The supervisor.
struct Supervisor {
    archive: Archive<'static>,
    instances: InstancesClient,
    notices: NoticesClient,
    waiters: Vec<Waiter>,
    /// Servers that hand over to another program, and who asked for it.
    changes: Vec<replace::Change>,
}

/// Microseconds since the machine was switched on, as the initial task counts them.
fn now() -> u64 {
    ticks() / tsc_mhz()
}

impl Supervisor {
    /// The component of the description that one is an instance of.
    fn spec(&self, of: &Instance) -> &Component {
        &self.archive.system().components[usize::from(of.spec)]
    }

    /// Whether the initial task itself looks after it.
    fn is_part(&self, of: &Instance) -> bool {
        self.archive.system().is_part(of.spec.into())
    }

    /// All that there are.
    fn all(&self) -> Result<Vec<Instance>, CallError> {
        let mut all = Vec::new();
        while let Some(instance) = self.instances.instance(all.len() as u64)? {
            all.push(instance);
        }
        Ok(all)
    }

    /// Those that do not run, or hand over: few, however many there are.
    fn all_stopped(&self) -> Result<Vec<Instance>, CallError> {
        let (mut all, mut from) = (Vec::new(), 0);
        while let Some(Stopped { index, instance }) = self.instances.stopped(from)? {
            all.push(instance);
            from = index + 1;
        }
        Ok(all)
    }

    /// Those of the servers of a component that do not run.
    fn stopped_servers(&self, of: &Instance) -> Result<Vec<Instance>, CallError> {
        let edges = self.archive.system().channels_of(of.spec.into());
        let servers: Vec<u16> = edges
            .filter_map(|(_, edge)| match edge.server {
                Server::Component(server) => Some(server),
                Server::Init => None,
            })
            .collect();
        let mut stopped = self.all_stopped()?;
        stopped.retain(|i| servers.contains(&i.spec) && i.id != of.id && !i.is_running() && !self.is_part(i));
        Ok(stopped)
    }

    /// Adds an instance of a component of the description; returns its number.
    fn add(
        &self,
        spec: usize,
        name: &str,
        arguments: &[String],
    ) -> Result<Result<u64, ControlError>, CallError> {
        let Some(arguments) = Arguments::join(arguments) else { return Ok(Err(ControlError::TooLong)) };
        self.instances.add(spec as u16, name, Arguments::new(&arguments))
    }

    /// Puts a line into the system log.
    fn say(&self, line: &str) -> Result<(), CallError> {
        for part in [line, "\n"].concat().as_bytes().chunks(WRITE_MAX) {
            insist(|| self.notices.say(part))?;
        }
        Ok(())
    }
}

/// Why there is no supervisor.
enum Failure {
    Archive(ArchiveError),
    Call(CallError),
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Archive(error) => error.fmt(f),
            Self::Call(error) => error.fmt(f),
        }
    }
}

fn main() -> Result<u64, Failure> {
    let archive = Archive::open(archive()).map_err(Failure::Archive)?;
    let mut supervisor = Supervisor {
        archive,
        instances: roles::INSTANCES.client(),
        notices: roles::NOTICES.client(),
        waiters: Vec::new(),
        changes: Vec::new(),
    };
    supervisor.begin().map_err(Failure::Call)?;
    serve::<roles::Dispatch, _>(&mut supervisor, |supervisor, bits| {
        if bits >> INIT_SIGNAL & 1 != 0 {
            // Without the initial task there is no system, and nobody to tell.
            let _ = supervisor.look();
        }
    })
}
