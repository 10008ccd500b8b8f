//! What all layers stand on: errors, message words, and what is tracked and measured. It uses objects and the port only.

pub mod arch;
pub mod error;
pub mod latency;
pub mod message;
pub mod report;
pub mod track;
