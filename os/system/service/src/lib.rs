//! Services as Rust traits: client stubs and server dispatch that come from the trait ([`macro@service`]), and memory
//! shared between components ([`shared`]).
#![no_std]

extern crate alloc;
// The macros name this crate, and its own tests use them.
extern crate self as pecan_service;

mod bounded;
mod call;
mod limit;
mod parked;
mod server;
pub mod shared;
mod wire;

pub use bounded::{Bytes, Text, TooLong};
pub use call::{CALL, CallError, Channel, Description, IDEMPOTENT, Method};
pub use limit::{Cancel, set_supervisor};
pub use parked::{Parked, Parking, SavedReplies};
pub use pecan_manifest::Badge;
pub use pecan_service_macros::{Wire, service};
#[doc(hidden)]
pub use server::first_methods;
pub use server::{Answered, Caller, Dispatch, Later, Owed, Refusal, Replies, Server};
pub use wire::{Bounded, Reader, Unbounded, WORDS_MAX, Wire, Writer, most, sum, words_of};

#[doc(hidden)]
pub use pecan as __pecan;

/// The processor's time-stamp counter.
#[inline]
pub fn ticks() -> u64 {
    // SAFETY: reading the counter has no effect, and the kernel lets programs read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests;

/// What does not compile.
///
/// Arguments and answers that do not fit into a message:
///
/// ```compile_fail,E0080
/// use pecan_service::{Caller, service};
/// #[service(name = "test", version = 1)]
/// pub trait Test {
///     fn one(&mut self, caller: Caller, #[max(953)] text: &str);
/// }
/// ```
///
/// ```compile_fail,E0080
/// use pecan_service::{Caller, Text, service};
/// #[service(name = "test", version = 1)]
/// pub trait Test {
///     fn one(&mut self, caller: Caller) -> Option<Text<945>>;
/// }
/// ```
///
/// ```
/// use pecan_service::{Caller, Text, service};
/// #[service(name = "test", version = 1)]
/// pub trait Test {
///     fn one(&mut self, caller: Caller, #[max(952)] text: &str) -> Option<Text<944>>;
/// }
/// ```
///
/// Text without a bound, and a bound for what is no text:
///
/// ```compile_fail,E0277
/// use pecan_service::{Caller, service};
/// #[service(name = "test", version = 1)]
/// pub trait Test {
///     fn one(&mut self, caller: Caller, text: &str);
/// }
/// ```
///
/// ```compile_fail,E0277
/// use pecan_service::{Caller, service};
/// #[service(name = "test", version = 1)]
/// pub trait Test {
///     fn one(&mut self, caller: Caller, #[max(9)] number: u64);
/// }
/// ```
///
/// What does not travel:
///
/// ```compile_fail,E0277
/// use pecan_service::{Caller, service};
/// #[service(name = "test", version = 1)]
/// pub trait Test {
///     fn one(&mut self, caller: Caller, number: f64);
/// }
/// ```
#[cfg(doctest)]
pub struct DoesNotCompile;

/// Makes `Dispatch`, which hands each call to the role that was called, and to nobody who does not have that role: with a
/// channel to one role of a component, its others cannot be called.
#[macro_export]
macro_rules! dispatch_roles {
    ($($number:literal => $Role:path),+ $(,)?) => {
        /// Hands each call to the role of this component that was called.
        #[derive(Debug)]
        pub struct Dispatch;

        impl<S> $crate::Dispatch<S> for Dispatch
        where
            $($Role: $crate::Dispatch<S>,)+
        {
            const METHODS: &'static [(u8, &'static [$crate::Method])] =
                &[$(($number, $crate::first_methods(<$Role as $crate::Dispatch<S>>::METHODS))),+];

            #[inline]
            fn dispatch(
                server: &mut S,
                caller: $crate::Caller,
                question: &$crate::__pecan::LongMessage,
                replies: &mut $crate::Replies,
                answer: &mut $crate::Writer,
            ) -> Result<$crate::Answered, $crate::Refusal> {
                match caller.role() {
                    $(
                        $number => <$Role as $crate::Dispatch<S>>::dispatch(
                            server, caller, question, replies, answer,
                        ),
                    )+
                    _ => Err($crate::Refusal::NoSuchMethod { version: 0 }),
                }
            }

            fn gone(server: &mut S, place: usize) {
                // No two roles have a place in common, and where nothing is known of a place, nothing is forgotten.
                $(<$Role as $crate::Dispatch<S>>::gone(server, place);)+
            }

            fn given_up(server: &mut S, place: usize) {
                $(<$Role as $crate::Dispatch<S>>::given_up(server, place);)+
            }
        }
    };
}
