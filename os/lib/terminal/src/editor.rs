//! A line that is being typed.

use alloc::{string::String, vec::Vec};

/// What a byte did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Nothing that ends the line.
    Typing,
    /// The line is complete.
    Line(String),
    /// Ctrl-C: the line is dropped.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
}

/// The most characters of a line.
const LINE_MAX: usize = 400;
/// The most lines of the history.
const HISTORY_MAX: usize = 64;

const CTRL_A: u8 = 0x01;
const CTRL_B: u8 = 0x02;
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_E: u8 = 0x05;
const CTRL_F: u8 = 0x06;
const BELL: u8 = 0x07;
const BACKSPACE: u8 = 0x08;
const CTRL_K: u8 = 0x0b;
const CTRL_N: u8 = 0x0e;
const CTRL_P: u8 = 0x10;
const CTRL_U: u8 = 0x15;
const CTRL_W: u8 = 0x17;
const ESCAPE: u8 = 0x1b;
const DELETE: u8 = 0x7f;
/// Erases from the cursor to the end of the line.
const ERASE: &[u8] = b"\x1b[K";

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Text,
    Escape,
    /// In a control sequence; the last digit in it.
    Sequence(u8),
}

/// A line editor.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    line: Vec<u8>,
    cursor: usize,
    state: State,
    /// The last byte was a carriage return: a line feed after it does not end another line.
    returned: bool,
    history: Vec<Vec<u8>>,
    /// Which line of the history is shown, counted from the end; 0 is the new line.
    at: usize,
    /// The new line, while one of the history is shown.
    draft: Vec<u8>,
}

impl Editor {
    /// An empty line and no history.
    pub const fn new() -> Self {
        Self {
            line: Vec::new(),
            cursor: 0,
            state: State::Text,
            returned: false,
            history: Vec::new(),
            at: 0,
            draft: Vec::new(),
        }
    }

    /// Takes a byte that was typed. What to show is added to `out`.
    pub fn feed(&mut self, byte: u8, out: &mut Vec<u8>) -> Event {
        let returned = core::mem::replace(&mut self.returned, byte == b'\r');
        match (core::mem::take(&mut self.state), byte) {
            (State::Escape, b'[' | b'O') => self.state = State::Sequence(0),
            (State::Escape, _) => {}
            (State::Sequence(_), digit @ b'0'..=b'9') => self.state = State::Sequence(digit),
            (State::Sequence(digit), key) => self.sequence(digit, key, out),
            (State::Text, ESCAPE) => self.state = State::Escape,
            (State::Text, b'\n') if returned => {}
            (State::Text, b'\r' | b'\n') => return self.enter(out),
            (State::Text, CTRL_C) => {
                out.extend_from_slice(b"^C\n");
                self.start_over();
                return Event::Interrupt;
            }
            (State::Text, CTRL_D) if self.line.is_empty() => {
                out.push(b'\n');
                return Event::End;
            }
            (State::Text, byte) => self.key(byte, out),
        }
        Event::Typing
    }

    fn key(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            BACKSPACE | DELETE => self.erase_before(1, out),
            CTRL_D => self.erase_after(1, out),
            CTRL_A => self.move_to(0, out),
            CTRL_B => self.move_to(self.cursor.saturating_sub(1), out),
            CTRL_E => self.move_to(self.line.len(), out),
            CTRL_F => self.move_to((self.cursor + 1).min(self.line.len()), out),
            CTRL_K => self.erase_after(self.line.len(), out),
            CTRL_U => self.erase_before(self.cursor, out),
            CTRL_W => {
                let before = &self.line[..self.cursor];
                let word = before.iter().rposition(|b| *b != b' ').map_or(0, |end| {
                    before[..end].iter().rposition(|b| *b == b' ').map_or(0, |space| space + 1)
                });
                self.erase_before(self.cursor - word, out);
            }
            CTRL_P => self.recall(self.at + 1, out),
            CTRL_N => self.recall(self.at.wrapping_sub(1), out),
            b' '..=b'~' if self.line.len() < LINE_MAX => {
                self.line.insert(self.cursor, byte);
                self.cursor += 1;
                out.push(byte);
                self.draw_rest(out);
            }
            b' '..=b'~' => out.push(BELL),
            _ => {}
        }
    }

    fn sequence(&mut self, digit: u8, key: u8, out: &mut Vec<u8>) {
        match (digit, key) {
            (_, b'A') => self.recall(self.at + 1, out),
            (_, b'B') => self.recall(self.at.wrapping_sub(1), out),
            (_, b'C') => self.key(CTRL_F, out),
            (_, b'D') => self.key(CTRL_B, out),
            (_, b'H') | (b'1' | b'7', b'~') => self.key(CTRL_A, out),
            (_, b'F') | (b'4' | b'8', b'~') => self.key(CTRL_E, out),
            (b'3', b'~') => self.erase_after(1, out),
            _ => {}
        }
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> Event {
        out.push(b'\n');
        let line = core::mem::take(&mut self.line);
        self.start_over();
        let blank = line.iter().all(|b| *b == b' ');
        if !blank && self.history.last() != Some(&line) {
            self.history.push(line.clone());
            if self.history.len() > HISTORY_MAX {
                self.history.remove(0);
            }
        }
        Event::Line(String::from_utf8_lossy(&line).into_owned())
    }

    fn start_over(&mut self) {
        self.line.clear();
        self.draft.clear();
        self.cursor = 0;
        self.at = 0;
    }

    /// Shows a line of the history.
    fn recall(&mut self, at: usize, out: &mut Vec<u8>) {
        if at > self.history.len() {
            return;
        }
        if self.at == 0 {
            self.draft = self.line.clone();
        }
        self.at = at;
        let line = if at == 0 { self.draft.clone() } else { self.history[self.history.len() - at].clone() };
        self.move_to(0, out);
        out.extend_from_slice(&line);
        out.extend_from_slice(ERASE);
        self.cursor = line.len();
        self.line = line;
    }

    fn erase_before(&mut self, count: usize, out: &mut Vec<u8>) {
        let count = count.min(self.cursor);
        if count > 0 {
            self.move_to(self.cursor - count, out);
            self.erase_after(count, out);
        }
    }

    fn erase_after(&mut self, count: usize, out: &mut Vec<u8>) {
        let end = (self.cursor + count).min(self.line.len());
        if end > self.cursor {
            self.line.drain(self.cursor..end);
            out.extend_from_slice(ERASE);
            self.draw_rest(out);
        }
    }

    fn move_to(&mut self, to: usize, out: &mut Vec<u8>) {
        if to <= self.cursor {
            out.extend(core::iter::repeat_n(BACKSPACE, self.cursor - to));
        } else {
            out.extend_from_slice(&self.line[self.cursor..to]);
        }
        self.cursor = to;
    }

    /// Draws what is after the cursor, and goes back.
    fn draw_rest(&self, out: &mut Vec<u8>) {
        let rest = &self.line[self.cursor..];
        out.extend_from_slice(rest);
        out.extend(core::iter::repeat_n(BACKSPACE, rest.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types text; returns the lines and what was shown.
    fn feed(editor: &mut Editor, text: &str) -> (Vec<String>, Vec<u8>) {
        let (mut lines, mut out) = (Vec::new(), Vec::new());
        for byte in text.bytes() {
            if let Event::Line(line) = editor.feed(byte, &mut out) {
                lines.push(line);
            }
        }
        (lines, out)
    }

    /// Types text in an empty line; returns how the screen's last line looks.
    fn type_in(editor: &mut Editor, text: &str) -> String {
        screen(&feed(editor, text).1)
    }

    /// Types text; returns the lines.
    fn lines(editor: &mut Editor, text: &str) -> Vec<String> {
        feed(editor, text).0
    }

    /// What a terminal shows in its last line.
    fn screen(out: &[u8]) -> String {
        let (mut line, mut cursor) = (Vec::new(), 0);
        let mut bytes = out.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\n' => (line, cursor) = (Vec::new(), 0),
                BACKSPACE => cursor -= 1,
                ESCAPE => {
                    assert_eq!((bytes.next(), bytes.next()), (Some(b'['), Some(b'K')));
                    line.truncate(cursor);
                }
                byte => {
                    line.truncate(line.len().max(cursor));
                    if cursor == line.len() {
                        line.push(byte);
                    } else {
                        line[cursor] = byte;
                    }
                    cursor += 1;
                }
            }
        }
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_ends_with_return_or_line_feed_or_both() {
        assert_eq!(lines(&mut Editor::new(), "one\rtwo\nthree\r\nfour\r"), ["one", "two", "three", "four"]);
    }

    #[test]
    fn keys_edit_the_line_and_the_screen_alike() {
        for (keys, line) in [
            ("helq\x7flo", "hello"),
            ("hello\x01\x04\x04", "llo"),
            ("world\x01hello \x05!", "hello world!"),
            ("abc\x1b[D\x1b[Dx", "axbc"),
            ("abc\x1b[D\x1b[D\x1b[C\x7f", "ac"),
            ("abc\x1b[D\x1b[3~", "ab"),
            ("run  primes \x17", "run  "),
            ("one two\x15", ""),
            ("one two\x1b[H\x0bthree", "three"),
            ("tab\tand\u{e4}bytes", "tabandbytes"),
            ("\x7f\x1b[Dx", "x"),
        ] {
            let mut editor = Editor::new();
            assert_eq!(type_in(&mut editor, keys), line, "screen after {keys:?}");
            assert_eq!(lines(&mut editor, "\r"), [line], "line after {keys:?}");
        }
    }

    #[test]
    fn the_history_goes_back_and_forth() {
        let mut editor = Editor::new();
        type_in(&mut editor, "first\rsecond\rsecond\r  \r");
        assert_eq!(type_in(&mut editor, "draft\x1b[A"), "second");
        assert_eq!(lines(&mut editor, "\x1b[A\x1b[A\r"), ["first"]);
        assert_eq!(lines(&mut editor, "draft\x1b[A\x1b[B\x1b[B\r"), ["draft"]);
    }

    #[test]
    fn control_c_drops_the_line() {
        let mut editor = Editor::new();
        let mut out = Vec::new();
        type_in(&mut editor, "half a comm");
        assert_eq!(editor.feed(CTRL_C, &mut out), Event::Interrupt);
        assert_eq!(out, b"^C\n");
        assert_eq!(lines(&mut editor, "ps\r"), ["ps"]);
        assert_eq!(editor.feed(CTRL_D, &mut out), Event::End);
    }

    #[test]
    fn a_line_has_an_end() {
        let mut editor = Editor::new();
        let long = "x".repeat(LINE_MAX + 9);
        assert_eq!(lines(&mut editor, &(long + "\r"))[0].len(), LINE_MAX);
    }
}
