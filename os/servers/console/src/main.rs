//! The console: the serial port's driver, and lines and characters for several clients.
#![no_std]
#![no_main]

extern crate alloc;

mod port;

use alloc::{collections::VecDeque, vec::Vec};

use pecan_component::{
    Irq, LOG_SIGNAL, clients, irq, log, main, pecan, ports,
    protocols::{Console, LINE_MAX, READ_MAX},
    serve,
    service::{Bytes, Caller, Later, Owed, shared::StreamReader},
    supervisor,
};
use pecan_ns16550::Ns16550;
use pecan_terminal::{Editor, Event, Screen};

use port::Com;

main!(main);

/// Output that waits for the port. More than this makes writers wait.
const QUEUE_MAX: usize = 16 << 10;
/// Ctrl-C.
const INTERRUPT: u8 = 0x03;
/// Input that waits for a reader. More than this is dropped.
const INPUT_MAX: usize = 4096;
/// How often the port is asked whether it takes more, before output is dropped: a port that is not there.
const PATIENCE: u32 = 1_000_000;

/// Somebody who waits for input.
struct Reader {
    client: usize,
    how: How,
}

enum How {
    /// Wants bytes as they come.
    Raw(Later<Bytes<READ_MAX>>),
    /// Wants a line.
    Line(Later<Bytes<LINE_MAX>>, Editor),
}

struct Terminal {
    port: Ns16550<Com>,
    irq: Option<Irq>,
    log: Option<StreamReader<'static>>,
    screen: Screen,
    /// The place of the system log, after those of the clients.
    log_place: usize,
    output: VecDeque<u8>,
    input: Vec<u8>,
    /// The last to come is served first: who waits longer may be gone.
    readers: Vec<Reader>,
    flushes: Owed<Later<()>>,
}

impl Terminal {
    fn write_as(&mut self, client: usize, text: &[u8]) {
        // What the initial task had to say came first.
        self.show_log();
        let mut out = Vec::new();
        self.screen.write(client, text, &mut out);
        self.send(&out);
    }

    fn show(&mut self, client: usize) {
        self.show_log();
        let mut out = Vec::new();
        self.screen.show(client, &mut out);
        self.send(&out);
    }

    /// Shows what is new in the system log, which has the place after those of the clients.
    fn show_log(&mut self) {
        let mut text = [0; 512];
        while let Some(Ok(count @ 1..)) = self.log.as_mut().map(|log| log.read(&mut text)) {
            let mut out = Vec::new();
            self.screen.write(self.log_place, &text[..count], &mut out);
            self.send(&out);
        }
    }

    /// Queues bytes for the port.
    fn send(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
        self.pump();
        let mut patience = PATIENCE;
        while self.output.len() > QUEUE_MAX {
            self.pump();
            patience -= 1;
            if patience == 0 {
                self.output.clear();
            }
        }
    }

    /// Sends what the port takes. The rest goes when it interrupts.
    fn pump(&mut self) {
        // The only error is a port that is not ours; there would be nobody to tell.
        let _ = self.try_pump();
    }

    fn try_pump(&mut self) -> pecan::Result<()> {
        while !self.output.is_empty() {
            let (next, _) = self.output.as_slices();
            let sent = self.port.transmit(next)?;
            if sent == 0 {
                return self.port.interrupt_when_empty(true);
            }
            self.output.drain(..sent);
        }
        self.port.interrupt_when_empty(false)?;
        if self.flushes.iter().next().is_some() {
            for _ in 0..PATIENCE {
                if self.port.is_idle()? {
                    break;
                }
            }
            self.flushes.take_if(|_| true).for_each(|later| later.answer(&()));
        }
        Ok(())
    }

    fn take_input(&mut self) {
        while let Ok(Some(byte)) = self.port.receive() {
            if byte == INTERRUPT && self.readers.is_empty() {
                self.input.clear();
                self.interrupt();
            } else if self.input.len() < INPUT_MAX {
                self.input.push(byte);
            }
        }
        self.serve_readers();
    }

    /// Ctrl-C: what runs in the foreground is to end.
    fn interrupt(&mut self) {
        self.write_as(self.log_place, b"^C\n");
        // A supervisor that does not listen is no supervisor; there is nobody else to tell.
        let _ = supervisor().interrupt();
    }

    /// Gives the input to who waits for it.
    fn serve_readers(&mut self) {
        while !self.input.is_empty() {
            let Some(Reader { client, how }) = self.readers.pop() else { return };
            match how {
                How::Raw(later) => {
                    let rest = self.input.split_off(self.input.len().min(READ_MAX));
                    later.answer(&bytes(&self.input));
                    self.input = rest;
                }
                How::Line(later, mut editor) => {
                    let mut echo = Vec::new();
                    let mut event = Event::Typing;
                    let mut used = 0;
                    while used < self.input.len() && event == Event::Typing {
                        event = editor.feed(self.input[used], &mut echo);
                        used += 1;
                    }
                    self.input.drain(..used);
                    self.write_as(client, &echo);
                    self.show(client);
                    match event {
                        Event::Typing => {
                            self.readers.push(Reader { client, how: How::Line(later, editor) });
                        }
                        Event::Line(line) => later.answer(&bytes(line.as_bytes())),
                        Event::End => later.answer(&Bytes::default()),
                        // The reader is what is to end. If it does not, its call is given up.
                        Event::Interrupt => {
                            let _ = supervisor().interrupt();
                        }
                    }
                }
            }
        }
    }

    fn wait_for_input(&mut self, caller: Caller, how: How) {
        let client = caller.place();
        self.show(client);
        self.readers.retain(|r| r.client != client);
        self.readers.push(Reader { client, how });
        self.serve_readers();
    }

    fn signal(&mut self, signals: u64) {
        if signals >> LOG_SIGNAL & 1 != 0 {
            self.show_log();
        }
        if let Some(irq) = self.irq.filter(|irq| irq.is_in(signals)) {
            // The line goes down only when nothing is left to do, and only a line that goes up is noticed.
            let _ = self.port.acknowledge();
            self.take_input();
            self.pump();
            let _ = irq.acknowledge();
        }
    }
}

impl Console for Terminal {
    fn write(&mut self, caller: Caller, text: &[u8]) {
        self.write_as(caller.place(), text);
    }

    fn write_page(&mut self, caller: Caller, len: u64) {
        let client = caller.place();
        if let Some(page) = roles::CLIENTS.page(client) {
            let mut text = alloc::vec![0; page.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
            page.read(&mut text);
            self.write_as(client, &text);
        }
    }

    fn read(&mut self, caller: Caller, later: Later<Bytes<READ_MAX>>) {
        self.wait_for_input(caller, How::Raw(later));
    }

    fn read_line(&mut self, caller: Caller, later: Later<Bytes<LINE_MAX>>) {
        self.wait_for_input(caller, How::Line(later, Editor::new()));
    }

    fn flush(&mut self, caller: Caller, later: Later<()>) {
        let client = caller.place();
        self.show(client);
        self.flushes.put(client, later);
        self.pump();
    }

    fn gone(&mut self, place: usize) {
        self.readers.retain(|r| r.client != place);
        self.flushes.forget(place);
        let mut out = Vec::new();
        self.screen.leave(place, &mut out);
        self.send(&out);
    }
}

/// As many of the bytes as an answer takes.
fn bytes<const N: usize>(input: &[u8]) -> Bytes<N> {
    Bytes::try_from(&input[..input.len().min(N)]).unwrap_or_default()
}

fn main() -> pecan::Result<u64> {
    let Some(com1) = ports("com1") else { return Ok(1) };
    let port = Ns16550::new(Com(com1))?;
    let clients = clients();
    let mut terminal = Terminal {
        port,
        irq: irq("com1"),
        log: log(),
        screen: Screen::new(clients + 1),
        log_place: clients,
        output: VecDeque::new(),
        input: Vec::new(),
        readers: Vec::new(),
        flushes: Owed::new(clients),
    };
    terminal.show_log();
    terminal.take_input();
    serve::<roles::Dispatch, _>(&mut terminal, Terminal::signal)
}
