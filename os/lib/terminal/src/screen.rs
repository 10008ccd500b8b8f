//! The output of several clients on one screen.

use alloc::vec::Vec;

/// The most bytes of an unfinished line; a longer one is broken.
const PARTIAL_MAX: usize = 1024;
/// Erases the line and goes back to its start.
const CLEAR: &[u8] = b"\x1b[2K\r";

#[derive(Clone, Debug, Default)]
struct Client {
    /// Its unfinished line.
    partial: Vec<u8>,
    /// How much of that is on the screen.
    shown: usize,
}

/// A screen that several clients write on, in lines.
#[derive(Clone, Debug)]
pub struct Screen {
    clients: Vec<Client>,
    /// Whose unfinished line is on the screen.
    front: Option<usize>,
}

impl Screen {
    /// A screen for so many clients.
    pub fn new(clients: usize) -> Self {
        Self { clients: alloc::vec![Client::default(); clients], front: None }
    }

    /// A client writes. What is to be sent to the terminal is added to `out`.
    pub fn write(&mut self, client: usize, bytes: &[u8], out: &mut Vec<u8>) {
        let mut put_aside = false;
        for byte in bytes {
            let Some(state) = self.clients.get_mut(client) else { return };
            if *byte != b'\n' {
                state.partial.push(*byte);
                if state.partial.len() < PARTIAL_MAX {
                    continue;
                }
            }
            if self.front.is_some_and(|front| front != client) && !put_aside {
                out.extend_from_slice(CLEAR);
                put_aside = true;
            }
            let state = &mut self.clients[client];
            let shown = if self.front == Some(client) { state.shown } else { 0 };
            out.extend_from_slice(&state.partial[shown..]);
            out.extend_from_slice(b"\r\n");
            *state = Client::default();
            if self.front == Some(client) {
                self.front = None;
            }
        }
        if let Some(front) = self.front.filter(|_| put_aside) {
            out.extend_from_slice(&self.clients[front].partial);
            self.clients[front].shown = self.clients[front].partial.len();
        }
    }

    /// Shows a client's unfinished line.
    pub fn show(&mut self, client: usize, out: &mut Vec<u8>) {
        let Some(state) = self.clients.get(client).filter(|c| !c.partial.is_empty()) else { return };
        let mut shown = state.shown;
        if self.front != Some(client) {
            if self.front.is_some() {
                out.extend_from_slice(CLEAR);
            }
            shown = 0;
        }
        out.extend_from_slice(&state.partial[shown..]);
        self.front = Some(client);
        self.clients[client].shown = self.clients[client].partial.len();
    }

    /// A client is gone: its unfinished line is ended.
    pub fn leave(&mut self, client: usize, out: &mut Vec<u8>) {
        if self.clients.get(client).is_some_and(|c| !c.partial.is_empty()) {
            self.write(client, b"\n", out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    struct Test(Screen, Vec<u8>);

    impl Test {
        fn new() -> Self {
            Test(Screen::new(3), Vec::new())
        }
        fn write(&mut self, client: usize, text: &str) {
            self.0.write(client, text.as_bytes(), &mut self.1);
        }
        fn show(&mut self, client: usize) {
            self.0.show(client, &mut self.1);
        }
        /// What was sent since the last time; `|` stands for clearing the line.
        fn sent(&mut self) -> String {
            String::from_utf8(core::mem::take(&mut self.1))
                .unwrap()
                .replace("\x1b[2K\r", "|")
                .replace("\r\n", "/")
        }
    }

    #[test]
    fn lines_of_different_clients_do_not_mix() {
        let mut screen = Test::new();
        screen.write(0, "one ");
        screen.write(1, "three ");
        screen.write(0, "two\n");
        screen.write(1, "four\nfive\n");
        assert_eq!(screen.sent(), "one two/three four/five/");
    }

    #[test]
    fn a_prompt_stays_below_what_others_write() {
        let mut screen = Test::new();
        screen.write(0, "pecan> ");
        assert_eq!(screen.sent(), "");
        screen.show(0);
        screen.write(0, "p");
        screen.show(0);
        assert_eq!(screen.sent(), "pecan> p");
        screen.write(1, "a\nb\nc");
        assert_eq!(screen.sent(), "|a/b/pecan> p");
        screen.write(0, "s\n");
        assert_eq!(screen.sent(), "s/");
        screen.write(1, "\n");
        assert_eq!(screen.sent(), "c/");
    }

    #[test]
    fn who_reads_comes_to_the_front() {
        let mut screen = Test::new();
        screen.write(0, "pecan> ");
        screen.show(0);
        screen.write(1, "name? ");
        screen.show(1);
        assert_eq!(screen.sent(), "pecan> |name? ");
        screen.write(1, "x\n");
        assert_eq!(screen.sent(), "x/");
        screen.show(0);
        assert_eq!(screen.sent(), "pecan> ");
    }

    #[test]
    fn who_leaves_ends_its_line() {
        let mut screen = Test::new();
        screen.write(1, "half");
        screen.0.leave(1, &mut screen.1);
        screen.0.leave(2, &mut screen.1);
        assert_eq!(screen.sent(), "half/");
        screen.write(9, "nobody\n");
        assert_eq!(screen.sent(), "");
    }

    #[test]
    fn an_endless_line_is_broken() {
        let mut screen = Test::new();
        screen.write(0, &"x".repeat(PARTIAL_MAX + 1));
        assert_eq!(screen.sent().len(), PARTIAL_MAX + 1);
    }
}
