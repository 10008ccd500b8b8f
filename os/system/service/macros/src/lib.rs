//! The macros of `pecan-service`, which exports them.
#![forbid(unsafe_code)]

mod number;
mod service;
mod wire;

use proc_macro::TokenStream;

/// Makes a service out of a trait: its client and its dispatcher.
///
/// `#[service(name = "echo", version = 1)]` on `pub trait Echo` adds `EchoClient`, whose methods make calls, and
/// `EchoDispatch`, which hands calls to whatever implements the trait. A method is
/// `fn name(&mut self, caller: Caller, argument: Type, ...) -> Type;`. If its last argument is a `Later<Type>`, the server
/// answers when it can, and the method returns nothing.
///
/// - `#[idempotent]` before a method: after a crash of the server the call is made again. The client of any other gets
///   `CallError::ServerRestarted`.
/// - `#[max(N)]` before an argument that is a `&str` or a `&[u8]`: the most bytes it can have. That all arguments of a
///   method fit into a message is proved when the program is compiled.
#[proc_macro_attribute]
pub fn service(attributes: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(attributes.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Lets a structure travel as its fields, in order, and an enumeration as the numbers of its variants, each with its fields.
#[proc_macro_derive(Wire)]
pub fn wire(item: TokenStream) -> TokenStream {
    wire::expand(item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
