//! Line editing, the output of several clients on one screen, whose the keyboard is, and command lines.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod complete;
mod editor;
mod keyboard;
mod screen;
mod utf8;
pub mod words;

pub use complete::{Completion, complete};
pub use editor::{Editor, Event};
pub use keyboard::{Keyboard, Reader};
pub use screen::{Screen, printable};
