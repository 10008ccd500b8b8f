//! What is taken down when a component faults, for the reporter: in a bounded number of steps, because a program can make
//! its stack look as deep as it likes.

use alloc::{collections::VecDeque, vec::Vec};

use pecan::{stack::Frames, vspace::PAGE_SIZE};
use pecan_protocols::{CALLERS_MAX, Cause, Report, bytes_of};
use pecan_service::Text;

use crate::{instance::Live, memory::Memory, output::say};

/// The most reports that wait for the reporter.
const WAITING_MAX: usize = 16;

/// Reports that the reporter has not done.
#[derive(Default)]
pub struct Waiting {
    reports: VecDeque<Report>,
    /// The number of the last one.
    last: u64,
}

impl Waiting {
    /// Takes down what a component died of, with the registers and the stack of one of its threads.
    pub fn take_down(
        &mut self,
        (name, program): (&str, &str),
        (cause, message): (Cause, &[u64]),
        (live, thread): (&Live, u16),
        memory: &mut Memory,
    ) {
        if self.reports.len() >= WAITING_MAX {
            say!("*** {name} died; its report is lost, because {WAITING_MAX} wait already");
            return;
        }
        let registers = live.numbered(thread).read_registers(false).ok();
        let mut pages = Pages { live, memory, page: None };
        let mut frames = Frames::new(registers.map_or(0, |r| r.rbp), |address| pages.word(address));
        let callers: Vec<u64> = frames.by_ref().take(CALLERS_MAX).collect();
        let more = callers.len() == CALLERS_MAX && frames.next().is_some();
        self.last += 1;
        self.reports.push_back(Report {
            number: self.last,
            name: Text::cut(name),
            program: Text::cut(program),
            cause,
            message: bytes_of(message.iter().copied()),
            registers: bytes_of(registers.iter().flat_map(|r| r.to_words())),
            callers: bytes_of(callers),
            more,
            bottom: live.bottom(thread),
        });
    }

    /// The oldest after number `done`; those up to it are dropped.
    pub fn next(&mut self, done: u64) -> Option<Report> {
        self.reports.retain(|report| report.number > done);
        self.reports.front().cloned()
    }
}

/// A component's memory, a page at a time.
struct Pages<'a> {
    live: &'a Live,
    memory: &'a mut Memory,
    page: Option<(u64, Vec<u8>)>,
}

impl Pages<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        let base = address & !(PAGE_SIZE - 1);
        if self.page.as_ref().is_none_or(|(b, _)| *b != base) {
            let frame = self.live.frame(base)?;
            let bytes = self.memory.with_mapped_frame(frame, |page| {
                let mut bytes = alloc::vec![0; page.len()];
                page.read(&mut bytes);
                bytes
            });
            let bytes = bytes.ok()?;
            self.page = Some((base, bytes));
        }
        let (_, bytes) = self.page.as_ref()?;
        let at = (address - base) as usize;
        Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
    }
}
