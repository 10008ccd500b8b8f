//! Whether components that run do what they should: who gives no sign of life, or uses up its budget for longer than it may,
//! is ended as one that has failed.

use pecan::{LongMessage, fault::Fault};
use pecan_protocols::{Cause, State};
use pecan_service::Answered;
use pecan_supervision::Expected;

use crate::system::{Entry, System};

/// What a description expects of a component.
pub fn expected(settings: &pecan_manifest::Settings) -> Expected {
    Expected {
        heartbeat: settings.heartbeat_ms.unwrap_or(0) * 1000,
        overrun: settings.overrun_ms.unwrap_or(0) * 1000,
        periods: core::iter::once(settings.period_us())
            .chain(settings.threads.values().map(|thread| thread.time_us().1))
            .collect(),
    }
}

/// Whether somebody has to look at the clock for a component.
pub fn is_watched(entry: &Entry) -> bool {
    entry.state == State::Running && entry.pulse.is_watched()
}

impl System {
    /// A component gives a sign of life.
    pub fn pulse(&mut self, id: u64) {
        let now = self.clock.now();
        if let Some(index) = self.find(id) {
            self.entries[index].pulse.beat(now);
        }
    }

    /// Ends those who have given no sign of life for too long, and asks the others for one.
    pub fn look_at_pulses(&mut self, now: u64) {
        while let Some(index) =
            self.entries.iter().position(|entry| is_watched(entry) && entry.pulse.is_silent(now))
        {
            let ms = self.spec(&self.entries[index]).settings.heartbeat_ms.unwrap_or(0);
            self.fail(index, 0, Cause::Silent { ms }, &[]);
        }
        for entry in &self.entries {
            let signal = entry.live.as_ref().and_then(|live| live.pulse_signal);
            if let Some(signal) = signal.filter(|_| entry.pulse.is_to_be_asked(now)) {
                signal.signal();
            }
        }
    }

    /// A component has faulted, or used up its budget, which is no fault for a while. Whether it goes on.
    pub fn fault(&mut self, id: u64, thread: u16, message: &LongMessage) -> Answered {
        let Some(index) = self.find(id) else { return Answered::Later };
        if !matches!(Fault::from_message(message), Some(Fault::Timeout { .. })) {
            self.fail(index, thread, Cause::Fault { label: message.label() }, message.words());
            return Answered::Later;
        }
        if !self.entries[index].pulse.used_up(thread.into(), self.clock.now()) {
            return Answered::Now;
        }
        let ms = self.spec(&self.entries[index]).settings.overrun_ms.unwrap_or(0);
        self.fail(index, thread, Cause::Overrun { ms }, &[]);
        Answered::Later
    }
}
