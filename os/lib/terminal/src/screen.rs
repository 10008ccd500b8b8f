//! The output of several clients on one screen.
//!
//! An unfinished line takes one row of the screen, of which a part is shown if it is longer: a terminal does not go back
//! over the end of a row. When the line is complete, all of it is shown.

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthChar;

/// The most bytes of an unfinished line; a longer one is broken.
const PARTIAL_MAX: usize = 1024;
/// Erases the row and goes back to its start.
const CLEAR: &str = "\x1b[2K\r";
/// Goes back by one column.
const BACK: &str = "\x08";
/// The fewest columns that a screen is taken to have.
const COLUMNS_MIN: usize = 16;

#[derive(Serialize, Deserialize, Clone, Debug, Default)]
struct Client {
    /// Its unfinished line.
    partial: Vec<u8>,
    /// The line that is being typed behind that, and how many of its characters are before the cursor.
    edit: Option<(String, usize)>,
    /// Its bytes go to the terminal as they are.
    raw: bool,
}

/// A screen that several clients write on, in lines.
///
/// What they write is shown as text: a character that does not print is shown as its number (`\x1b`), so that no client
/// can change what others have written, or make the terminal answer.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Screen {
    clients: Vec<Client>,
    columns: usize,
    /// Whose unfinished line is on the screen.
    front: Option<usize>,
    /// What is in the row of the unfinished line.
    row: String,
    /// How many columns the cursor is before the end of that.
    back: usize,
}

impl Screen {
    /// A screen of so many columns for so many clients.
    pub fn new(clients: usize, columns: usize) -> Self {
        Self {
            clients: alloc::vec![Client::default(); clients],
            columns: columns.max(COLUMNS_MIN),
            front: None,
            row: String::new(),
            back: 0,
        }
    }

    /// For how many clients it is.
    pub const fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Passes the bytes of a client on as they are, or shows them as text.
    pub fn set_raw(&mut self, client: usize, raw: bool) {
        if let Some(client) = self.clients.get_mut(client) {
            client.raw = raw;
        }
    }

    /// A client writes. What is to be sent to the terminal is added to `out`.
    pub fn write(&mut self, client: usize, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(state) = self.clients.get_mut(client) else { return };
        // What was being typed is done with.
        let edited = state.edit.take().is_some();
        let mut put_aside = false;
        for byte in bytes {
            let state = &mut self.clients[client];
            if *byte != b'\n' {
                state.partial.push(*byte);
                if state.partial.len() < PARTIAL_MAX {
                    continue;
                }
            }
            let state = core::mem::take(&mut state.partial);
            let text = self.shown(client, state.strip_suffix(b"\r").unwrap_or(&state));
            put_aside |= self.front.is_some_and(|front| front != client);
            self.draw(&text, 0, out);
            out.extend_from_slice(b"\r\n");
            self.row.clear();
            if self.front == Some(client) {
                self.front = None;
            }
        }
        match self.front {
            Some(front) if put_aside => self.draw_front(front, out),
            Some(front) if front == client && edited => self.draw_front(front, out),
            _ => {}
        }
    }

    /// Shows a client's unfinished line.
    pub fn show(&mut self, client: usize, out: &mut Vec<u8>) {
        let is_empty = |c: &Client| c.partial.is_empty() && c.edit.is_none();
        if self.clients.get(client).is_some_and(|c| !is_empty(c)) {
            self.draw_front(client, out);
        }
    }

    /// Shows a line that a client's user is typing, behind its unfinished line, and the cursor behind so many of its
    /// characters.
    pub fn edit(&mut self, client: usize, text: &str, cursor: usize, out: &mut Vec<u8>) {
        let Some(state) = self.clients.get_mut(client) else { return };
        state.edit = Some((text.into(), cursor));
        self.draw_front(client, out);
    }

    /// A client is gone: its unfinished line is ended.
    pub fn leave(&mut self, client: usize, out: &mut Vec<u8>) {
        let Some(state) = self.clients.get_mut(client) else { return };
        if let Some((text, _)) = state.edit.take() {
            state.partial.extend_from_slice(text.as_bytes());
        }
        if !state.partial.is_empty() {
            self.write(client, b"\n", out);
        }
    }

    /// What bytes of a client look like.
    fn shown(&self, client: usize, bytes: &[u8]) -> String {
        if self.clients[client].raw { String::from_utf8_lossy(bytes).into_owned() } else { printable(bytes) }
    }

    /// Draws a client's unfinished line in the row, as far as it fits.
    fn draw_front(&mut self, client: usize, out: &mut Vec<u8>) {
        let state = &self.clients[client];
        // A character may be complete when more is written.
        let complete = match core::str::from_utf8(&state.partial) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => state.partial.len(),
        };
        let mut text = self.shown(client, &state.partial[..complete]);
        let mut after = 0;
        if let Some((edit, cursor)) = &state.edit {
            let at = edit.char_indices().nth(*cursor).map_or(edit.len(), |(at, _)| at);
            let (before, behind) = edit.split_at(at);
            text.push_str(&printable(before.as_bytes()));
            let behind = printable(behind.as_bytes());
            after = behind.chars().count();
            text.push_str(&behind);
        }
        let (row, back) = window(&text, after, self.columns - 1);
        self.draw(&row, back, out);
        self.front = Some(client);
    }

    /// Makes the row show a text, and puts the cursor so many columns before its end.
    fn draw(&mut self, text: &str, back: usize, out: &mut Vec<u8>) {
        let more = if self.back == 0 { text.strip_prefix(self.row.as_str()) } else { None };
        match more {
            Some(more) => out.extend_from_slice(more.as_bytes()),
            None if self.row == text => {
                let (before, now) = (self.back, back);
                // To the right there is no way but to write what stands there.
                if now < before {
                    out.extend_from_slice(CLEAR.as_bytes());
                    out.extend_from_slice(text.as_bytes());
                } else {
                    out.extend_from_slice(BACK.repeat(now - before).as_bytes());
                    self.back = back;
                    return;
                }
            }
            None => {
                out.extend_from_slice(CLEAR.as_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
        out.extend_from_slice(BACK.repeat(back).as_bytes());
        self.row.clear();
        self.row.push_str(text);
        self.back = back;
    }
}

/// The columns that a character takes.
fn width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// The part of a text around the cursor that fits into so many columns, and how many of them are behind the cursor. The
/// cursor is so many characters before the end. Where something is left out there is a `<` or a `>`.
fn window(text: &str, after: usize, columns: usize) -> (String, usize) {
    let cells: Vec<(char, usize)> = text.chars().map(|c| (c, width(c))).collect();
    let total = |cells: &[(char, usize)]| cells.iter().map(|(_, w)| w).sum::<usize>();
    let cursor = cells.len() - after.min(cells.len());
    if total(&cells) <= columns {
        return (text.into(), total(&cells[cursor..]));
    }
    // Half of the columns before the cursor: one can see what one comes to in both directions. Two are for the marks.
    let room = columns - 2;
    let keep = if total(&cells[cursor..]) <= room / 2 { room - total(&cells[cursor..]) } else { room / 2 };
    let mut start = cursor;
    while start > 0 && total(&cells[start - 1..cursor]) <= keep {
        start -= 1;
    }
    let mut end = cursor;
    while end < cells.len() && total(&cells[start..=end]) <= room {
        end += 1;
    }
    let mut row = String::new();
    row.extend((start > 0).then_some('<'));
    row.extend(cells[start..end].iter().map(|(c, _)| c));
    row.extend((end < cells.len()).then_some('>'));
    (row, total(&cells[cursor..end]) + usize::from(end < cells.len()))
}

/// Bytes as a text that prints: what does not is replaced by its number.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Writing to a string does not fail.
            let _ = match u32::from(c) {
                // The terminal's own columns do not matter to what is only shown.
                9 => text.write_str("    "),
                _ if is_printed(c) => text.write_char(c),
                n @ ..0x100 => write!(text, "\\x{n:02x}"),
                n => write!(text, "\\u{{{n:x}}}"),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Whether a character is text that shows where it stands. Others command the terminal, or turn the direction of the
/// text around them.
fn is_printed(c: char) -> bool {
    let formats = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !formats
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Test(Screen, Vec<u8>);

    impl Test {
        fn new() -> Self {
            Test(Screen::new(3, 80), Vec::new())
        }
        fn narrow() -> Self {
            Test(Screen::new(3, 21), Vec::new())
        }
        fn write(&mut self, client: usize, text: &str) {
            self.0.write(client, text.as_bytes(), &mut self.1);
        }
        fn show(&mut self, client: usize) {
            self.0.show(client, &mut self.1);
        }
        fn edit(&mut self, text: &str, cursor: usize) {
            self.0.edit(0, text, cursor, &mut self.1);
        }
        /// What was sent since the last time; `|` stands for clearing the line, `^` for a step back.
        fn sent(&mut self) -> String {
            String::from_utf8(core::mem::take(&mut self.1))
                .unwrap()
                .replace("\x1b[2K\r", "|")
                .replace("\r\n", "/")
                .replace('\x08', "^")
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
        screen.edit("p", 1);
        assert_eq!(screen.sent(), "pecan> p");
        screen.write(1, "a\nb\nc");
        assert_eq!(screen.sent(), "|a/b/pecan> p");
        screen.write(0, "ps\n");
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
        screen.write(0, "> ");
        screen.edit("typed", 1);
        screen.0.leave(0, &mut screen.1);
        assert_eq!(screen.sent(), "> typed^^^^|> typed/");
    }

    #[test]
    fn an_endless_line_is_broken() {
        let mut screen = Test::new();
        screen.write(0, &"x".repeat(PARTIAL_MAX + 1));
        assert_eq!(screen.sent().len(), PARTIAL_MAX + 1);
    }

    #[test]
    fn the_cursor_moves_within_the_row() {
        let mut screen = Test::new();
        screen.write(0, "> ");
        screen.edit("abc", 3);
        screen.edit("abc", 1);
        assert_eq!(screen.sent(), "> abc^^");
        screen.edit("abc", 0);
        assert_eq!(screen.sent(), "^");
        screen.edit("abc", 2);
        assert_eq!(screen.sent(), "|> abc^");
        screen.edit("abxc", 3);
        assert_eq!(screen.sent(), "|> abxc^");
        screen.write(0, "abxc\n");
        assert_eq!(screen.sent(), "|> abxc/");
    }

    #[test]
    fn a_long_line_never_leaves_its_row() {
        let mut screen = Test::narrow();
        screen.write(0, "> ");
        let line: String = ('a'..='z').collect();
        screen.edit(&line, 26);
        assert_eq!(screen.sent(), "<ijklmnopqrstuvwxyz");
        screen.edit(&line, 13);
        assert_eq!(screen.sent(), "|<efghijklmnopqrstuv>^^^^^^^^^^");
        screen.edit("", 0);
        assert_eq!(screen.sent(), "|> ", "nothing is left of it");
        screen.edit(&line, 0);
        assert_eq!(screen.sent(), "abcdefghijklmnop>^^^^^^^^^^^^^^^^^");
        screen.write(0, &(line + "\n"));
        assert_eq!(screen.sent(), "|> abcdefghijklmnopqrstuvwxyz/");
    }

    #[test]
    fn every_row_fits() {
        for after in 0..60 {
            let text = "aüあ".repeat(20);
            let (row, back) = window(&text, after, 20);
            let columns: usize = row.chars().map(width).sum();
            assert!(columns <= 20 && back <= columns, "{row} {back}");
        }
        assert_eq!(window("あa", 1, 20), ("あa".into(), 1));
        assert_eq!(window("aあ", 1, 20), ("aあ".into(), 2));
    }

    #[test]
    fn what_does_not_print_is_shown_as_its_number() {
        assert_eq!(printable(b"\x1b[6n\rx\x07\x7f\x00"), "\\x1b[6n\\x0dx\\x07\\x7f\\x00");
        assert_eq!(printable("Jürgen 文\u{9b}2J\u{202e}\tx".as_bytes()), "Jürgen 文\\x9b2J\\u{202e}    x");
        assert_eq!(printable(b"\xff\xc3"), "\\xff\\xc3");
        let mut screen = Test::new();
        screen.write(0, "\x1b[2J*** timer died\rtimer is well\r\n");
        assert_eq!(screen.sent(), "\\x1b[2J*** timer died\\x0dtimer is well/");
        screen.edit("\x1b[A", 0);
        assert_eq!(screen.sent(), "\\x1b[A^^^^^^");
        screen.write(0, "\n");
        screen.sent();
        // A character that is written in two halves is one all the same.
        let mut bytes = Vec::new();
        screen.0.write(1, b"\xc3", &mut bytes);
        screen.0.show(1, &mut bytes);
        assert_eq!(bytes, b"");
        screen.0.write(1, b"\xbc\n", &mut bytes);
        assert_eq!(bytes, "ü\r\n".as_bytes());
    }

    #[test]
    fn who_may_draws_as_it_likes() {
        let mut screen = Test::new();
        screen.0.set_raw(1, true);
        screen.write(1, "\x1b[1mbold\x1b[0m\n");
        assert_eq!(screen.sent(), "\x1b[1mbold\x1b[0m/");
        screen.write(0, "\x1b[1mbold\n");
        assert_eq!(screen.sent(), "\\x1b[1mbold/", "others may not");
    }
}
