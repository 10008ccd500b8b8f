//! Calls of a service: from the client's method to the server's, and back with the answer.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU64, Ordering},
};

use pecan::{
    Cap, LongMessage, Message, Result, UserContext,
    alloc::Objects,
    raw::ThreadBlock,
    types::{Endpoint, Reply},
};
use pecan_service::{CallError, Caller, Replies, Server, service};

use crate::{
    PRIORITY, least,
    partner::{Partners, Role},
    ring::between,
};

/// Bytes of the long argument.
const LONG: usize = 900;

/// What is called.
#[service(name = "bench", version = 1)]
pub trait Bench {
    /// Takes and returns nothing.
    fn nothing(&mut self, caller: Caller);
    /// Takes and returns 8 bytes.
    fn word(&mut self, caller: Caller, word: u64) -> u64;
    /// Takes many bytes, and returns how many.
    fn bytes(&mut self, caller: Caller, #[max(LONG)] bytes: &[u8]) -> usize;
}

struct Answers;

impl Bench for Answers {
    fn nothing(&mut self, _: Caller) {}

    fn word(&mut self, _: Caller, word: u64) -> u64 {
        word
    }

    fn bytes(&mut self, _: Caller, bytes: &[u8]) -> usize {
        bytes.len()
    }
}

#[repr(C, align(4096))]
struct Stack(UnsafeCell<[u8; 4 * 4096]>);

// SAFETY: only the server's thread uses it.
unsafe impl Sync for Stack {}

struct Block(UnsafeCell<ThreadBlock>);

// SAFETY: it is written before the server's thread starts, and is that thread's from then on.
unsafe impl Sync for Block {}

/// Servers that are started.
const SERVERS: usize = 2;

static STACKS: [Stack; SERVERS] = [const { Stack(UnsafeCell::new([0; 4 * 4096])) }; SERVERS];
static BLOCKS: [Block; SERVERS] = [const { Block(UnsafeCell::new(ThreadBlock::new())) }; SERVERS];
static ENDPOINT: AtomicU64 = AtomicU64::new(0);
static REPLY: AtomicU64 = AtomicU64::new(0);

/// The endpoint and the reply object of the server that is started.
fn own_end() -> (Cap<Endpoint>, Cap<Reply>) {
    let [endpoint, reply] = [&ENDPOINT, &REPLY].map(|word| word.load(Ordering::Relaxed));
    // SAFETY: they were stored before the server's thread was started.
    unsafe { (Cap::new(endpoint), Cap::new(reply)) }
}

/// A server, in the other address space.
unsafe extern "C" fn serve() {
    let (endpoint, reply) = own_end();
    Server::new(endpoint, Replies::new(&[reply])).run::<BenchDispatch, _>(&mut Answers, |_, _, _| ())
}

/// What a server without a protocol would do with messages of any length.
unsafe extern "C" fn receive() {
    let (endpoint, reply) = own_end();
    let mut question = LongMessage::new(0);
    endpoint.recv_long(reply, &mut question);
    loop {
        endpoint.reply_recv_long(reply, &Message::new(0, [question.words().len() as u64]), &mut question);
    }
}

/// Starts a server in the other address space; returns its endpoint.
fn start(
    partners: &mut Partners,
    objects: &mut Objects<'_>,
    entry: unsafe extern "C" fn(),
    place: usize,
) -> Result<Cap<Endpoint>> {
    let endpoint = objects.make::<Endpoint>()?;
    ENDPOINT.store(endpoint.cptr(), Ordering::Relaxed);
    REPLY.store(objects.make::<Reply>()?.cptr(), Ordering::Relaxed);
    let (this, bottom) = (BLOCKS[place].0.get(), STACKS[place].0.get() as usize);
    let top = bottom + size_of::<Stack>();
    let block = ThreadBlock {
        this,
        ipc_buffer: partners.next_ipc_buffer(),
        stack_bottom: bottom,
        stack_top: top,
        ..ThreadBlock::new()
    };
    // SAFETY: the thread does not run yet.
    unsafe { this.write(block) };
    let registers = UserContext { rsp: top as u64 - 8, fs_base: this as u64, ..UserContext::default() };
    let role = Role {
        entry,
        other_space: true,
        priority: PRIORITY + 1,
        active: false,
        fpu: false,
        fault_ep: Cap::NULL,
        registers,
    };
    partners.start(objects, role)?;
    Ok(endpoint)
}

/// Measures calls of 0, 8 and 900 bytes, and a message of as many words as the last.
pub fn measure(partners: &mut Partners, objects: &mut Objects<'_>) -> Result<()> {
    let (bytes, nothing) = ([7; LONG], least(|| Ok(between(|| ())))?);
    let endpoint = start(partners, objects, receive, 0)?;
    let mut message = LongMessage::new(0);
    message.push_bytes(&bytes)?;
    row("message-900", nothing, || {
        endpoint.call(&message);
        Ok(())
    })?;
    let client = BenchClient::new(start(partners, objects, serve, 1)?);
    row("service-0", nothing, || client.nothing())?;
    row("service-8", nothing, || client.word(8).map(drop))?;
    row("service-900", nothing, || client.bytes(&bytes).map(drop))
}

/// Measures a call that succeeds, with its instructions at user level.
fn row(id: &str, nothing: u32, call: impl Fn() -> core::result::Result<(), CallError>) -> Result<()> {
    let instructions = least(|| {
        let mut outcome = Ok(());
        let taken = between(|| outcome = call());
        outcome.map_err(|_| pecan::Error::IllegalOperation)?;
        Ok(taken - nothing)
    })?;
    pecan_runtime::println!("bench {id} {instructions}");
    Ok(())
}
