//! Servers in C.

use core::ffi::c_void;

use pecan::LongMessage;
use pecan_component::serve;
use pecan_service::{Answered, Caller, Dispatch, Refusal, Replies, Writer};

use crate::{Message, WORDS};

/// A caller, as `struct pecan_caller`.
#[repr(C)]
pub struct CCaller {
    role: u8,
    place: usize,
}

type CallHandler = unsafe extern "C" fn(state: *mut c_void, caller: CCaller, message: *mut Message);
type SignalHandler = unsafe extern "C" fn(state: *mut c_void, bits: u64);

/// A server in C.
struct Server {
    call: CallHandler,
    signal: Option<SignalHandler>,
    state: *mut c_void,
    message: Message,
}

/// Hands calls to it.
struct ToC;

impl Dispatch<Server> for ToC {
    fn dispatch(
        server: &mut Server,
        caller: Caller,
        question: &LongMessage,
        _: &mut Replies,
        answer: &mut Writer,
    ) -> Result<Answered, Refusal> {
        server.message.fill(question.label(), question.words());
        let caller = CCaller { role: caller.role(), place: caller.place() };
        // SAFETY: the handler and its state come from C, which is called by one thread.
        unsafe { (server.call)(server.state, caller, &mut server.message) };
        answer.reset(server.message.label);
        server.message.words().iter().for_each(|word| answer.word(*word));
        Ok(Answered::Now)
    }

    fn gone(_: &mut Server, _: usize) {}

    fn given_up(_: &mut Server, _: usize) {}
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_serve(call: CallHandler, signal: Option<SignalHandler>, state: *mut c_void) -> ! {
    let message = Message { label: 0, length: 0, words: [0; WORDS] };
    serve::<ToC, _>(&mut Server { call, signal, state, message }, |server, bits| {
        if let Some(signal) = server.signal {
            // SAFETY: as in `dispatch`.
            unsafe { signal(server.state, bits) }
        }
    })
}
