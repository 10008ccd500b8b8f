//! Where printing goes: to the console, or to the system log.

use core::sync::atomic::{AtomicU64, Ordering};

use pecan::{Cap, startup::well_known, types::Endpoint};
use pecan_manifest::layout::resource;
use pecan_protocols::{ConsoleClient, LogClient, WRITE_MAX};
use pecan_runtime::sync::Mutex;
use pecan_service::CallError;

use crate::role;

/// The role through which a component prints.
const CONSOLE_ROLE: &str = "console";

/// The endpoint of the console, which is looked up once.
static CONSOLE: AtomicU64 = AtomicU64::new(0);
/// That of the system log.
static LOG: AtomicU64 = AtomicU64::new(0);

fn endpoint(of: &AtomicU64) -> Cap<Endpoint> {
    // SAFETY: what is stored is the address of an endpoint that the start page lists, or null.
    unsafe { Cap::new(of.load(Ordering::Relaxed)) }
}

/// Lets printing go where the description says, and calls have limits. Called before `main`.
pub fn connect() {
    let cptr = |name| role::endpoint(name).cptr();
    CONSOLE.store(cptr(CONSOLE_ROLE), Ordering::Relaxed);
    LOG.store(cptr(resource::LOG), Ordering::Relaxed);
    pecan_runtime::set_console(print);
    pecan_service::set_supervisor(role::endpoint(well_known::SUPERVISOR));
}

/// Who has it prints: the console owes one answer to all threads of a component together, and a second call would end the first
/// before there is room for what it wrote.
static PRINTS: Mutex<()> = Mutex::new(());

/// How often something is said to servers that die one after the other.
const TRIES: u32 = 16;

/// Makes a call that says something, and makes it again if the server has died meanwhile: rather twice than not at all.
pub fn insist(call: impl Fn() -> Result<(), CallError>) -> Result<(), CallError> {
    for _ in 1..TRIES {
        match call() {
            Err(CallError::ServerRestarted { .. }) => {}
            said => return said,
        }
    }
    call()
}

/// Prints.
fn print_through(call: impl Fn() -> Result<(), CallError>) {
    // There is nobody to tell that printing does not work.
    let _ = insist(call);
}

fn print(bytes: &[u8]) {
    let _guard = PRINTS.lock();
    let (console, log) = (endpoint(&CONSOLE), endpoint(&LOG));
    for chunk in bytes.chunks(WRITE_MAX) {
        if !console.is_null() {
            print_through(|| ConsoleClient::new(console).write(chunk));
        } else if !log.is_null() {
            print_through(|| LogClient::new(log).write(chunk));
        }
    }
}

/// Writes a longer text at once, through the page shared with the console if there is one.
pub fn write(text: &str) {
    let console = endpoint(&CONSOLE);
    let page = role::memory(CONSOLE_ROLE);
    let (Some(page), false) = (page, console.is_null()) else { return print(text.as_bytes()) };
    let _guard = PRINTS.lock();
    let client = ConsoleClient::new(console);
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let len = page.write(rest);
        print_through(|| client.write_page(len as u64));
        rest = &rest[len..];
    }
}
