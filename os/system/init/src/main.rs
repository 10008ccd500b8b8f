//! The initial task: owns all memory and all devices, starts the components of the system with what its description
//! gives them, and looks after them.
#![no_std]
#![no_main]

extern crate alloc;

mod clock;
mod control;
mod devices;
mod instance;
mod memory;
mod output;
mod report;
mod rescue;
mod system;

use alloc::vec::Vec;
use core::convert::Infallible;

use pecan::{
    abi::constants::tcb_flag,
    boot::{self, BootInfo},
    types::Reply,
};
use pecan_manifest::{Archive, ArchiveError};
use pecan_service::Replies;

use system::System;

pecan_runtime::root_task!(main);

/// How many callers can wait for the end of programs at once, and one that is being answered.
const REPLIES: u64 = 33;

/// Where the boot archive is: its address and its length. `cargo xtask` fills it in when it puts archive and initial
/// task together; as the compiler must not know what it reads here, it is read as volatile.
#[used]
#[unsafe(no_mangle)]
static PECAN_ARCHIVE: [u64; 2] = [u64::MAX, 0];

/// The boot archive.
fn archive() -> Result<Archive<'static>, ArchiveError> {
    // SAFETY: the variable is there and aligned. If it was filled in, the archive is a read-only segment of this very
    // program, mapped for as long as it runs; if it was not, the length is zero.
    let bytes = unsafe {
        let [address, len] = (&raw const PECAN_ARCHIVE).read_volatile();
        if len == 0 {
            return Err(ArchiveError::Magic);
        }
        core::slice::from_raw_parts(address as *const u8, len as usize)
    };
    Archive::open(bytes)
}

/// Why there is no system.
enum Failure {
    Archive(ArchiveError),
    Kernel(pecan::Error),
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Archive(error) => write!(f, "{error}"),
            Self::Kernel(error) => write!(f, "the kernel did not give what the system needs: {error}"),
        }
    }
}

impl From<pecan::Error> for Failure {
    fn from(error: pecan::Error) -> Self {
        Self::Kernel(error)
    }
}

fn main(boot: BootInfo) -> Result<Infallible, Failure> {
    // It is built without vector registers: the kernel need not switch them when it comes here and goes back.
    boot::TCB.set_flags(0, tcb_flag::FPU_DISABLED)?;
    let archive = archive().map_err(Failure::Archive)?;
    let mut system = System::new(&boot, archive)?;
    pecan_runtime::set_console(output::write);
    let first = system.memory.objects().make_run::<Reply>(0, REPLIES)?;
    // SAFETY: as many were made, one behind the other.
    let replies: Vec<_> = (0..REPLIES).map(|n| unsafe { first.offset(n) }).collect();
    let mut replies = Replies::new(&replies);
    system.start_all();

    let endpoint = system.endpoint();
    let mut received = endpoint.recv(replies.current());
    loop {
        received = match system.handle(&received, &mut replies) {
            Some(message) => endpoint.reply_recv(replies.current(), message),
            None => endpoint.recv(replies.current()),
        };
    }
}
