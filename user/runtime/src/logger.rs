//! The `log` crate's messages on the console.

use log::{LevelFilter, Log, Metadata, Record};

struct Console;

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        crate::println!("{:5} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

/// Sends log messages of level info and above to the console. `log::set_max_level` changes the level.
pub(crate) fn install() {
    // There is one call, before `main`, so nobody else can have been first.
    if log::set_logger(&Console).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
