//! What a component in C stands on: `include/pecan.h` declares these functions and says what they do.
//!
//! All of them trust their caller as C does: a text ends with a zero byte, a pointer points to what its type says.
#![no_std]

extern crate alloc;

mod heap;
mod serve;

use alloc::{boxed::Box, vec::Vec};
use core::ffi::{CStr, c_char, c_int};

use pecan::{MessageInfo, raw};
use pecan_component::{Irq, Ports};
use pecan_service::CallError;

#[doc(hidden)]
pub use pecan_component;
// For its functions, which C calls.
use tinyrlibc as _;

/// Words of a message.
const WORDS: usize = pecan::abi::ipc::MSG_MAX_LENGTH;

/// Makes the C function `main` that of the component.
#[macro_export]
macro_rules! main {
    () => {
        $crate::pecan_component::main!(__main);
        fn __main() -> u64 {
            $crate::__run()
        }
    };
}

unsafe extern "C" {
    safe fn pecan_c_start(argc: c_int, argv: *mut *mut c_char) -> c_int;
}

/// Calls the C function `main` with the component's name and its arguments.
#[doc(hidden)]
pub fn __run() -> u64 {
    let startup = pecan_component::startup();
    let texts = core::iter::once(startup.name()).chain(startup.arguments());
    // As C wants them: they can be written to, live as long as the program, and end with a zero byte, and the list with null.
    let mut list: Vec<*mut c_char> = texts
        .map(|text| {
            let bytes: Vec<u8> = text.bytes().chain([0]).collect();
            Box::leak(bytes.into_boxed_slice()).as_mut_ptr().cast()
        })
        .collect();
    let count = list.len() as c_int;
    list.push(core::ptr::null_mut());
    pecan_c_start(count, Box::leak(list.into_boxed_slice()).as_mut_ptr()) as u64
}

/// A message, as `struct pecan_message`.
#[repr(C)]
pub struct Message {
    label: u64,
    length: u64,
    words: [u64; WORDS],
}

impl Message {
    /// The words that count.
    fn words(&self) -> &[u64] {
        &self.words[..WORDS.min(usize::try_from(self.length).unwrap_or(WORDS))]
    }

    /// Takes a message that arrived.
    fn fill(&mut self, label: u64, words: &[u64]) {
        let count = words.len().min(WORDS);
        (self.label, self.length) = (label, count as u64);
        self.words[..count].copy_from_slice(&words[..count]);
    }
}

/// The text that C has at an address.
///
/// # Safety
/// It must be one that ends with a zero byte and stays as it is meanwhile.
unsafe fn text<'a>(text: *const c_char) -> &'a str {
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or_default()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_channel(role: *const c_char) -> u64 {
    // SAFETY: it comes from C.
    pecan_component::endpoint(unsafe { text(role) }).cptr()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_call(endpoint: u64, message: *mut Message) {
    // SAFETY: it comes from C.
    let message = unsafe { &mut *message };
    if endpoint == 0 {
        (message.label, message.length) = (CallError::NoChannel.message().label(), 0);
        return;
    }
    let mut registers = [0; 4];
    for (index, word) in message.words().iter().enumerate() {
        match registers.get_mut(index) {
            Some(register) => *register = *word,
            None => raw::set_message_word(index, *word),
        }
    }
    let info = MessageInfo::new(message.label, 0, 0, message.words().len() as u64);
    // SAFETY: a component has no capability to anything that it consists of, so that this can change nothing of it.
    let reply = unsafe { raw::call(endpoint, info, registers) };
    message.label = reply.info.label();
    message.length = reply.info.length_capped() as u64;
    for index in 0..message.length as usize {
        message.words[index] = reply.word(index);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_error_text(error: c_int) -> *const c_char {
    let text = match error {
        0 => c"no error",
        1 => c"the server does not know this method, or speaks another version of the protocol",
        3 => c"the server is busy",
        4 => c"the server gave the call up",
        5 => c"the message is too long",
        6 => c"there is no channel to such a server",
        7 => c"the server is gone",
        8 => c"the server was started again meanwhile",
        _ => c"the message makes no sense",
    };
    text.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_print(bytes: *const c_char, length: usize) {
    // SAFETY: it comes from C.
    let bytes = unsafe { core::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    bytes.utf8_chunks().for_each(|chunk| {
        pecan_component::print!("{}", chunk.valid());
        if !chunk.invalid().is_empty() {
            pecan_component::print!("{}", char::REPLACEMENT_CHARACTER);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn pecan_ticks() -> u64 {
    pecan_component::ticks()
}

#[unsafe(no_mangle)]
extern "C" fn pecan_tsc_mhz() -> u64 {
    pecan_component::tsc_mhz()
}

#[unsafe(no_mangle)]
extern "C" fn exit(status: c_int) -> ! {
    pecan_component::exit(status as u64)
}

#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    panic!("abort() was called")
}

/// What C keeps as long as the component runs.
fn keep<T>(value: Option<T>) -> *const T {
    value.map_or(core::ptr::null(), |value| Box::leak(Box::new(value)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_ports(name: *const c_char) -> *const Ports {
    // SAFETY: it comes from C.
    keep(pecan_component::ports(unsafe { text(name) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_read8(ports: *const Ports, offset: u16, value: *mut u8) -> bool {
    // SAFETY: they come from C.
    let (ports, value) = unsafe { (&*ports, &mut *value) };
    ports.read8(offset).map(|read| *value = read).is_ok()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_write8(ports: *const Ports, offset: u16, value: u8) -> bool {
    // SAFETY: it comes from C.
    unsafe { &*ports }.write8(offset, value).is_ok()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_irq(name: *const c_char) -> *const Irq {
    // SAFETY: it comes from C.
    keep(pecan_component::irq(unsafe { text(name) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_irq_is_in(irq: *const Irq, bits: u64) -> bool {
    // SAFETY: it comes from C.
    unsafe { &*irq }.is_in(bits)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pecan_irq_acknowledge(irq: *const Irq) -> bool {
    // SAFETY: it comes from C.
    unsafe { &*irq }.acknowledge().is_ok()
}
