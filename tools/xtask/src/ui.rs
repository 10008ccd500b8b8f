//! What the user sees of the work: steps with their times, errors with their cure.

use std::{
    io::{IsTerminal, Write},
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

static VERBOSE: AtomicBool = AtomicBool::new(false);

/// The lines of the steps that last, each below the other.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Turns on the display of commands and of all that they print.
pub fn set_verbose(on: bool) {
    VERBOSE.store(on, Ordering::Relaxed);
}

/// Whether commands and their output are displayed.
pub fn verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Whether standard error is a terminal, where colours and moving parts make sense.
pub fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Prints an error and its causes, outermost first.
pub fn error(error: &anyhow::Error) {
    let _ = std::io::stdout().flush();
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// Prints a line about something that the user should know.
pub fn note(text: impl AsRef<str>) {
    eprintln!("note: {}", text.as_ref());
}

/// Prints what comes next.
pub fn heading(text: &str) {
    println!("== {text}");
}

/// One step of the work. On a terminal it is a line that moves while the step lasts; elsewhere a plain line when
/// it starts. A step of less than half a second leaves no trace.
pub struct Step {
    what: String,
    started: Instant,
    bar: ProgressBar,
    announced: bool,
}

impl Step {
    /// Starts a step; `what` reads like "building the kernel".
    pub fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        let bar = match on_terminal() && !verbose() {
            true => BARS.add(ProgressBar::new_spinner()),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(what.clone());
        bar.enable_steady_tick(Duration::from_millis(120));
        Step { what, started: Instant::now(), bar, announced: false }
    }

    /// Says what the step is at.
    pub fn at(&mut self, detail: &str) {
        if on_terminal() {
            self.bar.set_message(detail.trim().to_string());
        } else if !self.announced {
            self.announced = true;
            eprintln!("{} ...", self.what);
        }
    }

    /// Ends the step.
    pub fn done(self) {
        self.bar.finish_and_clear();
        let taken = self.started.elapsed();
        if taken >= Duration::from_millis(500) {
            BARS.suspend(|| eprintln!("{}: {:.1} s", self.what, taken.as_secs_f64()));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
