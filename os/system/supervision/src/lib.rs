//! What whoever makes components and looks after them needs: the initial task, and any component that has others below it.
//!
//! - [`Stock`] keeps untyped memory in halves of halves, and puts them together again.
//! - [`Rooms`] keeps the capabilities of each component in a CNode that is made of the component's own memory.
//! - [`Estate`] is what a component has that may make others; it makes a [`Child`] of a [`Plan`], and takes it apart.
//! - [`Pulse`] says whether a component that runs gives signs of life, and keeps to its budget.
//! - [`Watch`] says what comes when a component has ended: whether, and when, it is started again.
#![no_std]

extern crate alloc;

mod child;
mod estate;
mod policy;
mod pulse;
mod rooms;
mod stock;

pub use child::{Child, Event, Plan};
pub use estate::{Authority, Estate, Home, Ledger, names};
pub use policy::{BackOff, Health, Next, Restart, Watch, Why};
pub use pulse::{Expected, Pulse};
pub use rooms::{Keeper, Room, Rooms};
pub use stock::{Halver, NotTaken, Piece, Stock, Untypeds};
