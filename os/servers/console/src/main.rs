//! The console: the serial port's driver, and lines and characters for several clients.
#![no_std]
#![no_main]

extern crate alloc;

mod port;

use alloc::vec::Vec;

use pecan_component::{
    Handover, Irq, LOG_SIGNAL, Serves, clients, irq, log, main, pecan, ports,
    protocols::{Console, LINE_MAX, READ_MAX, Unfit},
    serve_replaceable,
    service::{Badge, Bytes, Caller, Later, Owed, Parked, Parking, shared::StreamReader},
    startup, supervisor, ticks, tsc_mhz,
};
use pecan_ns16550::{Clock, Ns16550, Output};
use pecan_terminal::{Editor, Event, Keyboard, Reader, Screen};
use serde::{Deserialize, Serialize};

use port::Com;

main!(main);

/// The roles in which this component is called, in the order of their clients' places: the owner's is the keyboard, and what
/// clients of the last write goes to the terminal as it is.
const ROLES: [Serves; 3] = [roles::CLIENTS, roles::OWNER, roles::RAW];
/// Ctrl-C.
const INTERRUPT: u8 = 0x03;
/// Input that waits for a reader. More than this is dropped.
const INPUT_MAX: usize = 4096;
/// Columns of the terminal, unless an argument says otherwise.
const COLUMNS: usize = 80;

/// Whether a byte ends a line.
fn is_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// What a reader wants.
enum Wanted {
    /// Bytes as they come.
    Raw(Later<Bytes<READ_MAX>>),
    /// A line.
    Line(Later<Bytes<LINE_MAX>>, Editor),
}

struct Terminal {
    output: Output<Com, Microseconds>,
    irq: Option<Irq>,
    log: Option<StreamReader<'static>>,
    screen: Screen,
    /// The place of the system log, after those of the clients.
    log_place: usize,
    input: Vec<u8>,
    keyboard: Keyboard<Wanted>,
    /// Those who wrote when there was no room for more.
    writers: Owed<Later<()>>,
    flushes: Owed<Later<()>>,
}

impl Terminal {
    /// Draws on the screen, below what the initial task had to say before.
    fn draw(&mut self, draw: impl FnOnce(&mut Screen, &mut Vec<u8>)) {
        self.show_log();
        let mut out = Vec::new();
        draw(&mut self.screen, &mut out);
        self.output.put(&out);
        self.pump();
    }

    /// Shows what is new in the system log, which has the place after those of the clients. What finds no room stays in
    /// the log's ring.
    fn show_log(&mut self) {
        let mut text = [0; 512];
        while self.output.has_room()
            && let Some(Ok(count @ 1..)) = self.log.as_mut().map(|log| log.read(&mut text))
        {
            let mut out = Vec::new();
            self.screen.write(self.log_place, &text[..count], &mut out);
            self.output.put(&out);
            self.output.pump(false);
        }
    }

    /// Sends what the port takes, and answers those who waited for that. The rest goes when the port interrupts.
    fn pump(&mut self) {
        let flushing = self.flushes.iter().next().is_some();
        let all_gone = self.output.pump(flushing);
        self.answer(all_gone);
    }

    /// Answers those who waited for room, or for the end of all output.
    fn answer(&mut self, all_gone: bool) {
        if self.output.has_room() {
            self.writers.take_if(|_| true).for_each(|later| later.answer(&()));
        }
        if all_gone {
            self.flushes.take_if(|_| true).for_each(|later| later.answer(&()));
        }
    }

    /// Answers a client that has written something: now, or when there is room again.
    fn written(&mut self, client: usize, later: Later<()>) {
        if self.output.has_room() {
            later.answer(&());
        } else {
            self.writers.put(client, later);
        }
    }

    fn take_input(&mut self) {
        while let Some(byte) = self.output.receive() {
            if byte == INTERRUPT && !self.takes_interrupts() {
                self.input.clear();
                self.interrupt();
            } else if self.input.len() < INPUT_MAX {
                self.input.push(byte);
                // Who has its line reads no more, and Ctrl-C after that is no input for it.
                if is_end(byte) {
                    self.serve_readers();
                }
            }
        }
        self.serve_readers();
    }

    /// Whether Ctrl-C is input: the keyboard's owner edits a line of its own, or somebody reads a line here.
    fn takes_interrupts(&self) -> bool {
        self.keyboard
            .peek()
            .is_some_and(|r| matches!(r.wants, Wanted::Line(..)) || self.keyboard.is_owner(r.client))
    }

    /// Ctrl-C: what runs in the foreground is to end.
    fn interrupt(&mut self) {
        let place = self.log_place;
        self.draw(|screen, out| screen.write(place, b"^C\n", out));
        let program = self.keyboard.interrupt();
        // A supervisor that does not listen is no supervisor; there is nobody else to tell.
        let _ = supervisor().interrupt(program);
    }

    /// Gives the input to who waits for it.
    fn serve_readers(&mut self) {
        while !self.input.is_empty() {
            let Some(Reader { client, wants }) = self.keyboard.next_reader() else { return };
            match wants {
                Wanted::Raw(later) => {
                    // What comes after a line may be for the program that the line starts.
                    let end = self.input.iter().position(|b| is_end(*b)).map_or(usize::MAX, |end| end + 1);
                    let end = end.saturating_add(usize::from(self.input.get(end - 1..=end) == Some(b"\r\n")));
                    let count = self.input.len().min(READ_MAX).min(end);
                    later.answer(&bytes(&self.input[..count]));
                    self.input.drain(..count);
                }
                Wanted::Line(later, editor) => self.edit_line(client, later, editor),
            }
        }
    }

    /// Goes on with the line that a client waits for.
    fn edit_line(&mut self, client: usize, later: Later<Bytes<LINE_MAX>>, mut editor: Editor) {
        let mut event = Event::Typing;
        let mut used = 0;
        while used < self.input.len() && matches!(event, Event::Typing | Event::Complete) {
            event = editor.feed(self.input[used]);
            used += 1;
        }
        self.input.drain(..used);
        match event {
            Event::Typing | Event::Complete => {
                self.draw(|screen, out| screen.edit(client, &editor.text(), editor.cursor(), out));
                self.keyboard.wait(client, Wanted::Line(later, editor));
            }
            Event::Line(line) => {
                self.draw(|screen, out| screen.write(client, (line.clone() + "\n").as_bytes(), out));
                later.answer(&bytes(line.as_bytes()));
            }
            Event::End => {
                self.draw(|screen, out| screen.write(client, b"\n", out));
                later.answer(&Bytes::default());
            }
            Event::TooLong(_) => {
                self.draw(|screen, out| screen.write(client, b"\nThe line is too long. Once more: ", out));
                self.keyboard.wait(client, Wanted::Line(later, editor));
                self.draw(|screen, out| screen.show(client, out));
            }
            // The reader is what is to end. If it does not, its call is given up.
            Event::Interrupt(_) => self.interrupt(),
        }
    }

    fn wait_for_input(&mut self, caller: Caller, wants: Wanted) {
        let client = caller.place();
        // Who reads in the background does not come to the front.
        if self.keyboard.is_held_by(client) {
            self.draw(|screen, out| screen.show(client, out));
        }
        self.keyboard.wait(client, wants);
        self.serve_readers();
    }

    fn signal(&mut self, signals: u64) {
        if signals >> LOG_SIGNAL & 1 != 0 {
            self.show_log();
            self.pump();
        }
        if let Some(irq) = self.irq.filter(|irq| irq.is_in(signals)) {
            // The line goes down only when nothing is left to do, and only a line that goes up is noticed.
            self.output.acknowledge();
            self.take_input();
            self.pump();
            self.show_log();
            self.pump();
            let _ = irq.acknowledge();
        }
    }
}

impl Console for Terminal {
    fn write(&mut self, caller: Caller, text: &[u8], later: Later<()>) {
        let client = caller.place();
        self.draw(|screen, out| screen.write(client, text, out));
        self.written(client, later);
    }

    fn write_page(&mut self, caller: Caller, len: u64, later: Later<()>) {
        let client = caller.place();
        if let Some(page) = ROLES.iter().find_map(|role| role.page_view(client)) {
            let mut text = alloc::vec![0; page.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
            page.read(&mut text);
            self.draw(|screen, out| screen.write(client, &text, out));
        }
        self.written(client, later);
    }

    fn read(&mut self, caller: Caller, later: Later<Bytes<READ_MAX>>) {
        self.wait_for_input(caller, Wanted::Raw(later));
    }

    fn read_line(&mut self, caller: Caller, later: Later<Bytes<LINE_MAX>>) {
        self.wait_for_input(caller, Wanted::Line(later, Editor::new(LINE_MAX)));
    }

    fn flush(&mut self, caller: Caller, later: Later<()>) {
        let client = caller.place();
        self.draw(|screen, out| screen.show(client, out));
        self.flushes.put(client, later);
        self.pump();
    }

    fn edit(&mut self, caller: Caller, line: &str, cursor: u64, later: Later<()>) {
        let client = caller.place();
        let cursor = usize::try_from(cursor).unwrap_or(usize::MAX);
        if self.keyboard.is_held_by(client) {
            self.draw(|screen, out| screen.edit(client, line, cursor, out));
        }
        self.written(client, later);
    }

    fn foreground(&mut self, caller: Caller, client: u64, program: u64) -> bool {
        let lent = (client != 0).then(|| Badge::from_word(client).place().into());
        let done = self.keyboard.lend(caller.place(), lent, program);
        if let Some(reader) = self.keyboard.peek().map(|r| r.client) {
            self.draw(|screen, out| screen.show(reader, out));
        }
        self.serve_readers();
        done
    }

    fn interrupted(&mut self, caller: Caller) -> bool {
        self.keyboard.take_interrupt(caller.place())
    }

    fn gone(&mut self, place: usize) {
        self.keyboard.leave(place);
        self.writers.forget(place);
        self.flushes.forget(place);
        self.draw(|screen, out| screen.leave(place, out));
        self.serve_readers();
    }

    fn given_up(&mut self, place: usize) {
        self.keyboard.give_up(place);
        self.writers.forget(place);
        self.flushes.forget(place);
        self.serve_readers();
    }
}

/// What a console hands over. Of output there is nothing: it is ready when all of that has left the machine.
#[derive(Serialize, Deserialize)]
struct State {
    screen: Screen,
    input: Vec<u8>,
    keyboard: Keyboard<ParkedWish>,
}

/// What a reader wants, on its way to another program.
#[derive(Serialize, Deserialize)]
enum ParkedWish {
    Raw(Parked<Bytes<READ_MAX>>),
    Line(Parked<Bytes<LINE_MAX>>, Editor),
}

impl Handover for Terminal {
    const VERSION: u32 = 1;
    type State = State;

    fn is_ready(&mut self) -> bool {
        let all_gone = self.output.pump(true);
        self.answer(all_gone);
        all_gone
    }

    fn save(&mut self) -> State {
        let park = |wants| match wants {
            Wanted::Raw(later) => ParkedWish::Raw(later.park()),
            Wanted::Line(later, editor) => ParkedWish::Line(later.park(), editor),
        };
        State {
            screen: self.screen.clone(),
            input: core::mem::take(&mut self.input),
            keyboard: self.keyboard.drain_as(park),
        }
    }

    fn restore(&mut self, state: State, parking: &mut Parking) -> Result<(), Unfit> {
        let State { screen, input, mut keyboard } = state;
        if screen.clients() != self.screen.clients() {
            return Err(Unfit::State);
        }
        let resume = |wish| match wish {
            ParkedWish::Raw(later) => Wanted::Raw(parking.resume(later)),
            ParkedWish::Line(later, editor) => Wanted::Line(parking.resume(later), editor),
        };
        (self.screen, self.input, self.keyboard) = (screen, input, keyboard.drain_as(resume));
        Ok(())
    }
}

/// The columns in the argument `columns=N`.
fn columns() -> Option<usize> {
    startup().arguments().find_map(|a| a.strip_prefix("columns="))?.parse().ok()
}

/// The time, by the time-stamp counter.
struct Microseconds {
    mhz: u64,
}

impl Clock for Microseconds {
    fn now(&self) -> u64 {
        ticks() / self.mhz
    }
}

/// As many of the bytes as an answer takes.
fn bytes<const N: usize>(input: &[u8]) -> Bytes<N> {
    Bytes::try_from(&input[..input.len().min(N)]).unwrap_or_default()
}

fn main() -> pecan::Result<u64> {
    let Some(com1) = ports("com1") else { return Ok(1) };
    let clients = clients();
    let first = |role: Serves| role.first_place().unwrap_or(clients);
    let mut screen = Screen::new(clients + 1, columns().unwrap_or(COLUMNS));
    (first(roles::RAW)..clients).for_each(|place| screen.set_raw(place, true));
    let owner = first(roles::OWNER);
    let owner = (owner < first(roles::RAW)).then_some(owner);
    let mut terminal = Terminal {
        output: Output::new(Ns16550::new(Com(com1))?, Microseconds { mhz: tsc_mhz() }),
        irq: irq("com1"),
        log: log(),
        screen,
        log_place: clients,
        input: Vec::new(),
        keyboard: Keyboard::new(owner),
        writers: Owed::new(clients),
        flushes: Owed::new(clients),
    };
    serve_replaceable::<roles::Dispatch, _>(&mut terminal, Terminal::signal)
}
