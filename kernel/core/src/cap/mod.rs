//! Capabilities: where an address leads, what a copy becomes, what goes along with a message. Nothing here looks at
//! threads' states or at time.

pub mod derivation;
pub mod extra;
pub mod handler;
pub mod lookup;
