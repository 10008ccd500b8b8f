//! Line editing, the output of several clients on one screen, and command lines.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod editor;
mod screen;
pub mod words;

pub use editor::{Editor, Event};
pub use screen::Screen;
