//! A line that is being typed. What it looks like on a terminal is [`crate::Screen`]'s business.

use alloc::{collections::VecDeque, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::utf8::Decoder;

/// What a byte did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Nothing that ends the line.
    Typing,
    /// The line is complete.
    Line(String),
    /// The line is complete, but was longer than a line may be; it is dropped. This is what fitted.
    TooLong(String),
    /// Tab: what is before the cursor is to be completed.
    Complete,
    /// Ctrl-C: this line is dropped.
    Interrupt(String),
    /// Ctrl-D on an empty line.
    End,
}

/// The most lines of the history.
const HISTORY_MAX: usize = 64;

const CTRL_A: u8 = 0x01;
const CTRL_B: u8 = 0x02;
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_E: u8 = 0x05;
const CTRL_F: u8 = 0x06;
const BACKSPACE: u8 = 0x08;
const TAB: u8 = 0x09;
const CTRL_K: u8 = 0x0b;
const CTRL_N: u8 = 0x0e;
const CTRL_P: u8 = 0x10;
const CTRL_U: u8 = 0x15;
const CTRL_W: u8 = 0x17;
const ESCAPE: u8 = 0x1b;
const DELETE: u8 = 0x7f;

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Text,
    Escape,
    /// In a control sequence: its first two numbers, and which of them is being read.
    Sequence([u16; 2], usize),
    /// The key of a sequence of the Linux console comes.
    Function,
}

/// A line editor.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Editor {
    /// The most bytes of a line.
    limit: usize,
    line: Vec<char>,
    /// How many characters are before the cursor.
    cursor: usize,
    /// More was typed than the line may have.
    too_long: bool,
    state: State,
    decoder: Decoder,
    /// The last byte was a carriage return: a line feed after it does not end another line.
    returned: bool,
    history: VecDeque<Vec<char>>,
    /// Which line of the history is shown, counted from the end; 0 is the new line.
    at: usize,
    /// The new line, while one of the history is shown.
    draft: Vec<char>,
}

impl Editor {
    /// An empty line and no history. A line has at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            cursor: 0,
            too_long: false,
            state: State::Text,
            decoder: Decoder::new(),
            returned: false,
            history: VecDeque::new(),
            at: 0,
            draft: Vec::new(),
        }
    }

    /// The line as it is now.
    pub fn text(&self) -> String {
        self.line.iter().collect()
    }

    /// How many characters are before the cursor.
    pub const fn cursor(&self) -> usize {
        self.cursor
    }

    /// What is before the cursor.
    pub fn before_cursor(&self) -> String {
        self.line[..self.cursor].iter().collect()
    }

    /// Takes a byte that was typed.
    pub fn feed(&mut self, byte: u8) -> Event {
        let returned = core::mem::replace(&mut self.returned, byte == b'\r');
        match (core::mem::take(&mut self.state), byte) {
            // Such keys count wherever they come: an escape sequence may be cut off.
            (_, ESCAPE) => self.state = State::Escape,
            (_, b'\n') if returned => {}
            (_, b'\r' | b'\n') => return self.enter(),
            (_, CTRL_C) => {
                let text = self.text();
                self.start_over();
                return Event::Interrupt(text);
            }
            (_, CTRL_D) if self.line.is_empty() => return Event::End,
            (State::Text, TAB) => return Event::Complete,
            (State::Text, byte) => self.key(byte),
            (State::Escape, b'[' | b'O') => self.state = State::Sequence([0; 2], 0),
            (State::Escape, key) => self.alt(key),
            (State::Sequence([0, 0], 0), b'[') => self.state = State::Function,
            (State::Sequence(mut numbers, at), digit @ b'0'..=b'9') => {
                if let Some(number) = numbers.get_mut(at) {
                    *number = number.saturating_mul(10).saturating_add((digit - b'0').into());
                }
                self.state = State::Sequence(numbers, at);
            }
            (State::Sequence(numbers, at), b';') => self.state = State::Sequence(numbers, at + 1),
            (State::Sequence(numbers, _), key @ b'@'..=b'~') => self.sequence(numbers, key),
            // What else a sequence may have; no key that is known here.
            (State::Sequence(numbers, at), b' '..=b'?') => self.state = State::Sequence(numbers, at),
            (State::Sequence(..) | State::Function, _) => {}
        }
        Event::Typing
    }

    /// Puts text in at the cursor, as if it had been typed.
    pub fn insert(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c));
    }

    fn key(&mut self, byte: u8) {
        match byte {
            BACKSPACE | DELETE => self.erase(self.cursor.saturating_sub(1), self.cursor),
            CTRL_D => self.erase(self.cursor, self.cursor + 1),
            CTRL_A => self.cursor = 0,
            CTRL_B => self.cursor = self.cursor.saturating_sub(1),
            CTRL_E => self.cursor = self.line.len(),
            CTRL_F => self.cursor = (self.cursor + 1).min(self.line.len()),
            CTRL_K => self.erase(self.cursor, self.line.len()),
            CTRL_U => self.erase(0, self.cursor),
            CTRL_W => {
                let before = &self.line[..self.cursor];
                let word = before.iter().rposition(|c| *c != ' ').map_or(0, |end| {
                    before[..end].iter().rposition(|c| *c == ' ').map_or(0, |space| space + 1)
                });
                self.erase(word, self.cursor);
            }
            CTRL_P => self.recall(self.at + 1),
            CTRL_N => self.recall(self.at.wrapping_sub(1)),
            0..b' ' => {}
            byte => {
                for c in self.decoder.feed(byte).into_iter().flatten() {
                    // A character that commands a terminal is no text, in whichever way it is written.
                    if !c.is_control() {
                        self.put(c);
                    }
                }
            }
        }
    }

    /// A key that was pressed together with Alt.
    fn alt(&mut self, key: u8) {
        match key {
            b'b' => self.cursor = self.word_before(),
            b'f' => self.cursor = self.word_after(),
            b'd' => self.erase(self.cursor, self.word_after()),
            BACKSPACE | DELETE => self.erase(self.word_before(), self.cursor),
            _ => {}
        }
    }

    fn sequence(&mut self, [number, modifiers]: [u16; 2], key: u8) {
        // One more than a bit each: Shift, Alt, Ctrl. After `ESC O` they are the only number.
        let modifiers = if modifiers == 0 && key != b'~' { number } else { modifiers };
        let by_words = modifiers.wrapping_sub(1) & 0b110 != 0 && modifiers != 0;
        match (key, number) {
            (b'A', _) => self.recall(self.at + 1),
            (b'B', _) => self.recall(self.at.wrapping_sub(1)),
            (b'C', _) if by_words => self.cursor = self.word_after(),
            (b'D', _) if by_words => self.cursor = self.word_before(),
            (b'C', _) => self.key(CTRL_F),
            (b'D', _) => self.key(CTRL_B),
            (b'H', _) | (b'~', 1 | 7) => self.key(CTRL_A),
            (b'F', _) | (b'~', 4 | 8) => self.key(CTRL_E),
            (b'~', 3) if by_words => self.erase(self.cursor, self.word_after()),
            (b'~', 3) => self.erase(self.cursor, self.cursor + 1),
            _ => {}
        }
    }

    /// Where the word begins that ends at or before the cursor.
    fn word_before(&self) -> usize {
        let before = &self.line[..self.cursor];
        let end = before.iter().rposition(|c| c.is_alphanumeric()).map_or(0, |at| at + 1);
        before[..end].iter().rposition(|c| !c.is_alphanumeric()).map_or(0, |at| at + 1)
    }

    /// Where the word ends that begins at or after the cursor.
    fn word_after(&self) -> usize {
        let from = |at: usize, is_end: fn(&char) -> bool| {
            self.line[at..].iter().position(is_end).map_or(self.line.len(), |n| at + n)
        };
        from(from(self.cursor, |c| c.is_alphanumeric()), |c| !c.is_alphanumeric())
    }

    fn put(&mut self, c: char) {
        let bytes: usize = self.line.iter().map(|c| c.len_utf8()).sum();
        if bytes + c.len_utf8() > self.limit {
            self.too_long = true;
            return;
        }
        self.line.insert(self.cursor, c);
        self.cursor += 1;
    }

    fn enter(&mut self) -> Event {
        let line = core::mem::take(&mut self.line);
        let too_long = self.too_long;
        self.start_over();
        let text = line.iter().collect();
        if too_long {
            return Event::TooLong(text);
        }
        if line.iter().any(|c| *c != ' ') && self.history.back() != Some(&line) {
            self.history.push_back(line);
            if self.history.len() > HISTORY_MAX {
                self.history.pop_front();
            }
        }
        Event::Line(text)
    }

    fn start_over(&mut self) {
        self.line.clear();
        self.draft.clear();
        self.cursor = 0;
        self.at = 0;
        self.too_long = false;
    }

    /// Shows a line of the history.
    fn recall(&mut self, at: usize) {
        if at > self.history.len() {
            return;
        }
        if self.at == 0 {
            self.draft = self.line.clone();
        }
        self.at = at;
        self.line = if at == 0 { self.draft.clone() } else { self.history[self.history.len() - at].clone() };
        self.cursor = self.line.len();
    }

    /// Takes the characters from `start` to `end` out.
    fn erase(&mut self, start: usize, end: usize) {
        let end = end.min(self.line.len());
        if start < end {
            self.line.drain(start..end);
            self.cursor = start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editor() -> Editor {
        Editor::new(400)
    }

    /// Types text; returns what came of it that is not typing.
    fn events(editor: &mut Editor, text: &[u8]) -> Vec<Event> {
        text.iter().map(|b| editor.feed(*b)).filter(|e| *e != Event::Typing).collect()
    }

    /// Types text; returns the lines.
    fn lines(editor: &mut Editor, text: &str) -> Vec<String> {
        let of = |event| if let Event::Line(line) = event { Some(line) } else { None };
        events(editor, text.as_bytes()).into_iter().filter_map(of).collect()
    }

    /// Types text in an empty line; returns the line with a `|` where the cursor is.
    fn typed(text: &[u8]) -> String {
        let mut editor = editor();
        assert_eq!(events(&mut editor, text), []);
        let before = editor.before_cursor();
        alloc::format!("{before}|{}", &editor.text()[before.len()..])
    }

    #[test]
    fn a_line_ends_with_return_or_line_feed_or_both() {
        assert_eq!(lines(&mut editor(), "one\rtwo\nthree\r\nfour\r"), ["one", "two", "three", "four"]);
        assert_eq!(
            lines(&mut editor(), "a\x1b\rb\x1b[1\r"),
            ["a", "b"],
            "a cut off sequence does not take it"
        );
    }

    #[test]
    fn keys_edit_the_line() {
        for (keys, line) in [
            ("helq\x7flo", "hello|"),
            ("hello\x01\x04\x04", "|llo"),
            ("world\x01hello \x05!", "hello world!|"),
            ("abc\x1b[D\x1b[Dx", "ax|bc"),
            ("abc\x1b[D\x1b[D\x1b[C\x7f", "a|c"),
            ("abc\x1b[D\x1b[3~", "ab|"),
            ("run  primes \x17", "run  |"),
            ("one two\x15", "|"),
            ("one two\x1b[H\x0bthree", "three|"),
            ("one two\x1b[1~x\x1b[4~y\x1bOHz", "z|xone twoy"),
            ("\x7f\x1b[Dx", "x|"),
        ] {
            assert_eq!(typed(keys.as_bytes()), line, "after {keys:?}");
        }
    }

    #[test]
    fn keys_with_ctrl_and_alt_move_by_words() {
        for (keys, line) in [
            ("one two\x1b[1;5D", "one |two"),
            ("one two\x1b[1;3D\x1b[1;5D", "|one two"),
            ("one two\x01\x1b[1;5C", "one| two"),
            ("one two\x01\x1bf\x1bf", "one two|"),
            ("one two\x1bb\x1bbx", "x|one two"),
            ("one two\x1bO5D", "one |two"),
            ("one two\x1b\x1b[D", "one tw|o"),
            ("one two\x01\x1bd", "| two"),
            ("one two\x1b\x7f", "one |"),
            ("one two\x01\x1b[3;5~", "| two"),
            ("one two\x1b[1;2D", "one tw|o"),
            // Keys that mean nothing here, with and without what else a sequence may have.
            ("x\x1b[15~\x1b[[A\x1b[?1;2c\x1b[200~\x1bOP\x1bx", "x|"),
        ] {
            assert_eq!(typed(keys.as_bytes()), line, "after {keys:?}");
        }
    }

    #[test]
    fn characters_of_several_bytes_are_edited_as_one() {
        assert_eq!(typed("Jürgen".as_bytes()), "Jürgen|");
        assert_eq!(typed("aü€😀\x7f\x1b[D\x7f".as_bytes()), "a|€");
        assert_eq!(typed("ü\x01x".as_bytes()), "x|ü");
        // What is no text is seen, and does no harm.
        assert_eq!(typed(b"a\xffb\xc3c"), "a\u{fffd}b\u{fffd}c|");
        assert_eq!(typed("a\u{9b}2Jb".as_bytes()), "a2Jb|");
    }

    #[test]
    fn the_history_goes_back_and_forth() {
        let mut editor = editor();
        lines(&mut editor, "first\rsecond\rsecond\r  \r");
        assert_eq!(lines(&mut editor, "draft\x1b[A\r"), ["second"]);
        assert_eq!(lines(&mut editor, "\x1b[A\x1b[A\r"), ["first"]);
        assert_eq!(lines(&mut editor, "draft\x1b[A\x1b[B\x1b[B\r"), ["draft"]);
    }

    #[test]
    fn control_c_drops_the_line() {
        let mut editor = editor();
        assert_eq!(events(&mut editor, b"half a comm\x03"), [Event::Interrupt("half a comm".into())]);
        assert_eq!(lines(&mut editor, "ps\r"), ["ps"]);
        assert_eq!(editor.feed(CTRL_D), Event::End);
    }

    #[test]
    fn a_tab_asks_for_more() {
        let mut editor = editor();
        assert_eq!(events(&mut editor, b"ki x\x1b[D\x1b[D\t"), [Event::Complete]);
        assert_eq!(editor.before_cursor(), "ki");
        editor.insert("ll ");
        assert_eq!(lines(&mut editor, "\r"), ["kill  x"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_as_a_whole() {
        let mut editor = Editor::new(8);
        assert_eq!(events(&mut editor, b"12345678\r"), [Event::Line("12345678".into())]);
        assert_eq!(
            events(&mut editor, b"123456789\rps\r"),
            [Event::TooLong("12345678".into()), Event::Line("ps".into())]
        );
        // Bytes count, not characters.
        assert_eq!(events(&mut editor, "üüüüx\r".as_bytes()), [Event::TooLong("üüüü".into())]);
        assert_eq!(events(&mut editor, b"\x1b[A\r"), [Event::Line("ps".into())]);
    }
}
