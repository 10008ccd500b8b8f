//! The text of a serial console: lines out of bytes, without the codes meant for a terminal.

/// How a line starts with which the kernel says that it has stopped itself: by a mistake of its own, or because it
/// was booted with something that it cannot start.
const STOPPED: [&str; 2] = ["KERNEL PANIC", "Pecan cannot start"];

/// What the shell prints at the beginning of a line when it waits for a command.
pub const PROMPT: &str = "pecan> ";

/// The console's text so far.
#[derive(Default)]
pub struct Console {
    lines: Vec<String>,
    /// The line that has not ended yet.
    partial: Vec<u8>,
    state: State,
    /// Number of the line in which the kernel says that it has stopped itself.
    stopped: Option<usize>,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Text,
    /// After a carriage return: what comes next decides whether it ends the line or goes back to its start.
    Return,
    /// After an escape character.
    Escape,
    /// In a control sequence, up to its final letter; the last byte before that.
    Sequence(u8),
}

impl Console {
    /// Takes in bytes as they come from the machine.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Escape, b'[') => State::Sequence(b'['),
                (State::Escape, _) => State::Text,
                (State::Sequence(last), key @ b'@'..=b'~') => {
                    // The whole line is erased.
                    if (last, key) == (b'2', b'K') {
                        self.partial.clear();
                    }
                    State::Text
                }
                (State::Sequence(_), byte) => State::Sequence(byte),
                (before, 0x1b) => {
                    if before == State::Return {
                        self.partial.clear();
                    }
                    State::Escape
                }
                (_, b'\r') => State::Return,
                (_, b'\n') => {
                    if self.stopped.is_none()
                        && STOPPED.iter().any(|s| self.partial.starts_with(s.as_bytes()))
                    {
                        self.stopped = Some(self.lines.len());
                    }
                    self.lines.push(String::from_utf8_lossy(&self.partial).into_owned());
                    self.partial.clear();
                    State::Text
                }
                (before, byte) => {
                    if before == State::Return {
                        self.partial.clear();
                    }
                    match byte {
                        0x08 | 0x7f => drop(self.partial.pop()),
                        0..0x20 if byte != b'\t' => {}
                        _ => self.partial.push(byte),
                    }
                    State::Text
                }
            };
        }
    }

    /// The lines that have ended.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The line that has not ended yet.
    pub fn partial(&self) -> String {
        String::from_utf8_lossy(&self.partial).into_owned()
    }

    /// Whether there is any text.
    pub fn has_printed(&self) -> bool {
        !self.lines.is_empty() || !self.partial.is_empty()
    }

    /// All lines, the unfinished one included.
    pub fn all(&self) -> Vec<String> {
        let mut all = self.lines.clone();
        if !self.partial.is_empty() {
            all.push(self.partial());
        }
        all
    }

    /// The last lines, for an error message.
    pub fn tail(&self) -> String {
        let all = self.all();
        if all.is_empty() {
            return "  (nothing was printed)".into();
        }
        all[all.len().saturating_sub(15)..].iter().map(|l| format!("  | {l}")).collect::<Vec<_>>().join("\n")
    }

    /// The line in which the kernel says that it has stopped itself.
    pub fn stopped(&self) -> Option<&str> {
        Some(&self.lines[self.stopped?])
    }

    /// Whether the shell waits for a command.
    pub fn at_prompt(&self) -> bool {
        self.partial == PROMPT.as_bytes()
    }

    /// The number of the line, from `from` on, on which a command was typed at the prompt.
    pub fn typed(&self, from: usize, command: &str) -> Option<usize> {
        // Keys that edit the line leave another line than was typed.
        let edits = command.contains(char::is_control);
        let is_it =
            |l: &String| l.strip_prefix(PROMPT).is_some_and(|typed| edits || typed.trim() == command.trim());
        self.lines.iter().skip(from).position(is_it).map(|n| from + n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(text: &str) -> Console {
        let mut console = Console::default();
        // One byte at a time: nothing may depend on how the text is cut.
        text.bytes().for_each(|b| console.feed(&[b]));
        console
    }

    #[test]
    fn lines_end_with_or_without_a_carriage_return() {
        let console = console("one\r\ntwo\nthr");
        assert_eq!(console.lines(), ["one", "two"]);
        assert_eq!(console.partial(), "thr");
    }

    #[test]
    fn a_command_is_found_where_it_was_typed() {
        let console = console("pecan> ps\r\nlist\r\npecan> echo hi\r\nhi\r\npecan> ");
        assert_eq!(console.typed(0, "echo hi"), Some(2));
        assert_eq!(console.typed(1, "ps"), None);
        // The arrow key brought the line back.
        assert_eq!(console.typed(1, "\x1b[A"), Some(2));
    }

    #[test]
    fn terminal_codes_are_left_out() {
        assert_eq!(console("\x1b[1;32mgreen\x1b[0m \x1b7x\n").lines(), ["green x"]);
        assert_eq!(console("pecan> pz\x08s\n").lines(), ["pecan> ps"]);
        assert_eq!(console("50 %\r100 %\r\n").lines(), ["100 %"]);
        assert_eq!(console("50 %\x1b[2K\r\r\n").lines(), [""]);
    }

    #[test]
    fn the_prompt_counts_only_alone_on_its_line() {
        let mut console = console("hello\r\npecan> ");
        assert!(console.at_prompt());
        console.feed(b"ps");
        assert!(!console.at_prompt(), "a command is being typed");
        // Something else prints: the line is cleared, and shown again below.
        console.feed(b"\r\x1b[2KNEWS\r\npecan> ps\r\n");
        assert_eq!(console.lines(), ["hello", "NEWS", "pecan> ps"]);
        assert_eq!(
            (console.typed(0, "ps"), console.typed(3, "ps"), console.typed(0, "p")),
            (Some(2), None, None)
        );
    }

    #[test]
    fn a_stop_is_seen_only_at_the_start_of_a_line() {
        assert_eq!(console("a\nKERNEL PANIC: x\n").stopped(), Some("KERNEL PANIC: x"));
        assert_eq!(console("Pecan cannot start: x\n").stopped(), Some("Pecan cannot start: x"));
        assert_eq!(console("no KERNEL PANIC here\n").stopped(), None);
    }

    #[test]
    fn the_tail_is_short_and_includes_the_unfinished_line() {
        let text: String = (0..40).map(|n| format!("line {n}\n")).collect();
        let tail = console(&(text + "end")).tail();
        assert!(tail.ends_with("  | end") && tail.contains("line 26") && !tail.contains("line 25"), "{tail}");
    }
}
