//! Services as Rust traits: client stubs and server dispatch that come from the trait ([`service!`]), and memory
//! shared between components ([`shared`]).
#![no_std]

extern crate alloc;

mod call;
mod server;
pub mod shared;
mod wire;

pub use call::{CallError, call, label};
pub use server::{Caller, Dispatch, Later, Outcome, Owed, Replies, Server, decode};
pub use wire::{Reader, Wire, Writer};

#[doc(hidden)]
pub use pecan as __pecan;

/// The processor's time-stamp counter.
#[inline]
pub fn ticks() -> u64 {
    // SAFETY: reading the counter has no effect, and the kernel lets programs read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Makes a service out of its methods: the trait for servers, the client, and the dispatcher.
///
/// `N: now fn name(argument: Type, ...) -> Type;` is a method with number `N`; with `later` in place of `now` the
/// server answers when it can. All types are [`Wire`].
#[macro_export]
macro_rules! service {
    (
        $(#[$meta:meta])*
        pub trait $Trait:ident, client $Client:ident, dispatch $Dispatch:ident: $name:literal = $protocol:literal {
            $(
                $(#[$about:meta])*
                $number:literal : $when:ident fn $method:ident ( $($arg:ident : $ty:ty),* $(,)? ) -> $ret:ty;
            )+
        }
    ) => {
        $(#[$meta])*
        pub trait $Trait {
            $( $crate::service!(@declare $when [$(#[$about])*] $method ($($arg: $ty),*) -> $ret); )+

            /// The client in a place is gone: what is owed to it need not be kept.
            fn gone(&mut self, place: usize) {
                let _ = place;
            }
        }

        $(#[$meta])*
        ///
        /// This is the client's end.
        #[derive(Clone, Copy, Debug)]
        pub struct $Client {
            endpoint: $crate::__pecan::Cap<$crate::__pecan::types::Endpoint>,
        }

        impl $Client {
            /// The name of the protocol.
            pub const PROTOCOL: &'static str = $name;

            /// A client that calls through an endpoint capability.
            pub const fn new(endpoint: $crate::__pecan::Cap<$crate::__pecan::types::Endpoint>) -> Self {
                Self { endpoint }
            }

            $(
                $(#[$about])*
                #[inline]
                pub fn $method(&self, $($arg: <$ty as $crate::Wire>::Ref<'_>),*) -> Result<$ret, $crate::CallError> {
                    #[allow(unused_mut)]
                    let mut writer = $crate::Writer::new($crate::label($protocol, $number));
                    $( <$ty as $crate::Wire>::encode($arg, &mut writer); )*
                    $crate::call::<$ret>(self.endpoint, writer)
                }
            )+
        }

        $(#[$meta])*
        ///
        /// This hands calls to a server.
        #[derive(Debug)]
        pub struct $Dispatch;

        impl<S: $Trait> $crate::Dispatch<S> for $Dispatch {
            const PROTOCOL: &'static str = $name;

            #[inline]
            fn dispatch(
                server: &mut S,
                caller: $crate::Caller,
                label: u64,
                reader: &mut $crate::Reader<'_>,
                replies: &mut $crate::Replies,
            ) -> $crate::Outcome {
                $(
                    if label == $crate::label($protocol, $number) {
                        return $crate::service!(
                            @dispatch $when server caller reader replies $method ($($arg: $ty),*) -> $ret
                        );
                    }
                )+
                let _ = (server, caller, reader, replies);
                $crate::Outcome::Refused($crate::CallError::NoSuchMethod)
            }

            fn gone(server: &mut S, place: usize) {
                $Trait::gone(server, place);
            }
        }
    };

    (@declare now [$(#[$about:meta])*] $method:ident ($($arg:ident : $ty:ty),*) -> $ret:ty) => {
        $(#[$about])*
        fn $method(&mut self, caller: $crate::Caller, $($arg: $ty),*) -> $ret;
    };
    (@declare later [$(#[$about:meta])*] $method:ident ($($arg:ident : $ty:ty),*) -> $ret:ty) => {
        $(#[$about])*
        fn $method(&mut self, caller: $crate::Caller, $($arg: $ty,)* later: $crate::Later<$ret>);
    };

    (@dispatch now $server:ident $caller:ident $reader:ident $replies:ident
        $method:ident ($($arg:ident : $ty:ty),*) -> $ret:ty) => {{
        $(
            let Some($arg) = $crate::decode::<$ty>($reader) else {
                return $crate::Outcome::Refused($crate::CallError::Garbled);
            };
        )*
        $crate::Outcome::answer::<$ret>(&$server.$method($caller, $($arg),*))
    }};
    (@dispatch later $server:ident $caller:ident $reader:ident $replies:ident
        $method:ident ($($arg:ident : $ty:ty),*) -> $ret:ty) => {{
        $(
            let Some($arg) = $crate::decode::<$ty>($reader) else {
                return $crate::Outcome::Refused($crate::CallError::Garbled);
            };
        )*
        match $replies.defer::<$ret>($caller) {
            Some(later) => {
                $server.$method($caller, $($arg,)* later);
                $crate::Outcome::Later
            }
            None => $crate::Outcome::Refused($crate::CallError::Busy),
        }
    }};
}

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
            const PROTOCOL: &'static str = "";

            #[inline]
            fn dispatch(
                server: &mut S,
                caller: $crate::Caller,
                label: u64,
                reader: &mut $crate::Reader<'_>,
                replies: &mut $crate::Replies,
            ) -> $crate::Outcome {
                match caller.role() {
                    $($number => <$Role as $crate::Dispatch<S>>::dispatch(server, caller, label, reader, replies),)+
                    _ => $crate::Outcome::Refused($crate::CallError::NoSuchMethod),
                }
            }

            fn gone(server: &mut S, place: usize) {
                // No two roles have a place in common, and where nothing is known of a place, nothing is forgotten.
                $(<$Role as $crate::Dispatch<S>>::gone(server, place);)+
            }
        }
    };
}
