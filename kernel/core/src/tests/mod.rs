//! Tests of capabilities: each makes invocations in the [`World`](crate::testing::World) and has every
//! invariant checked afterwards.

mod benchmark;
mod cnode;
mod deletion;
mod guided;
mod half_deleted;
mod lookup;
mod random;
mod scheduling;
mod token;
mod transfer;
mod untyped;
