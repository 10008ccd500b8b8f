//! The initial task: owns all memory and all devices, makes components with what the system's description gives them, and
//! takes them apart. When that is to be done is the supervisor's business; only the parts of the system, which call the
//! initial task, are started and looked after here.
#![no_std]
#![no_main]

extern crate alloc;

mod calls;
mod clock;
mod devices;
mod handle;
mod instance;
mod instances;
mod limits;
mod log;
mod memory;
mod output;
mod places;
mod pulse;
mod report;
mod rescue;
mod revoker;
mod rings;
mod sessions;
mod system;

use core::convert::Infallible;

use pecan::{
    LongMessage, SchedParams,
    abi::constants::{max_extra_refills, tcb_flag},
    boot::{self, BootInfo},
    types::{Reply, SchedContext},
};
use pecan_manifest::{Archive, ArchiveError, Badge, layout};
use pecan_service::{Answered, CallError, Replies, Writer};

use system::System;

pecan_runtime::root_task!(main);

/// The initial task's own time, once the system is up: whoever lets it work much, by dying, printing or asking, takes no more
/// than this from others. To start a component takes it some 3 ms.
const TIME: SchedParams = SchedParams {
    sporadic: true,
    extra_refills: max_extra_refills(TIME_BITS) as u64,
    ..SchedParams::new(layout::INIT_BUDGET - layout::REVOKE_BUDGET, layout::INIT_PERIOD)
};

/// log2 of the bytes of the scheduling context with that time. It works in many small pieces, each of which takes a refill: where
/// there are too few, what was used long ago comes back only with what was used last.
const TIME_BITS: u32 = 11;

/// Where the boot archive is: its address and its length. `cargo xtask` fills it in when it puts archive and initial
/// task together; as the compiler must not know what it reads here, it is read as volatile.
#[used]
#[unsafe(no_mangle)]
static PECAN_ARCHIVE: [u64; 2] = [u64::MAX, 0];

/// The bytes of the boot archive.
fn archive() -> Result<&'static [u8], ArchiveError> {
    // SAFETY: the variable is there and aligned. If it was filled in, the archive is a read-only segment of this very
    // program, mapped for as long as it runs; if it was not, the length is zero.
    unsafe {
        let [address, len] = (&raw const PECAN_ARCHIVE).read_volatile();
        if len == 0 {
            return Err(ArchiveError::Magic);
        }
        Ok(core::slice::from_raw_parts(address as *const u8, len as usize))
    }
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
    let bytes = archive().map_err(Failure::Archive)?;
    let mut system = System::new(&boot, bytes, Archive::open(bytes).map_err(Failure::Archive)?)?;
    pecan_runtime::set_console(output::write_last);
    // It answers at once, or never: nobody waits for it.
    let reply = system.memory.objects().make::<Reply>()?;
    let mut replies = Replies::new(&[reply]);
    system.start_parts();
    let time = system.memory.objects().make_sized::<SchedContext>(TIME_BITS)?;
    boot.sched_control(0)?.configure(time, TIME)?;
    system.clock.exchange_time(time);
    system.time = time;

    let endpoint = system.endpoint();
    let (mut question, mut answer) = (LongMessage::new(0), Writer::new(0));
    let mut badge = endpoint.recv_long(reply, &mut question);
    loop {
        answer.reset(0);
        let outcome = system.handle(Badge::from_word(badge), &question, &mut replies, &mut answer);
        badge = match (outcome, answer.message()) {
            (Ok(Answered::Now), Some(answer)) => endpoint.reply_recv_long(reply, answer, &mut question),
            (Ok(Answered::Now), None) => {
                endpoint.reply_recv_long(reply, &CallError::TooLong.message(), &mut question)
            }
            (Ok(Answered::Later), _) => endpoint.recv_long(reply, &mut question),
            (Err(message), _) => endpoint.reply_recv_long(reply, &message, &mut question),
        };
    }
}
