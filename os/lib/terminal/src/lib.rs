//! Line editing, and the output of several clients on one screen.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod editor;
mod screen;

pub use editor::{Editor, Event};
pub use screen::Screen;
