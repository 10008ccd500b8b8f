//! A command line, taken apart.

use alloc::{string::String, vec::Vec};
use core::fmt;

/// A command: its words, and whether it is to run beside the shell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Command {
    /// The words.
    pub words: Vec<String>,
    /// It ended with `&`.
    pub background: bool,
}

/// What is wrong with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// A quotation mark has no partner.
    Quotes,
    /// There is something after `&` that is not `;`.
    Background,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quotes => "a quotation mark has no partner",
            Self::Background => "nothing but `;` can come after `&`",
        })
    }
}

/// The texts of the commands of a line, which `;` separates where it is not between double quotes.
pub fn split(line: &str) -> Vec<&str> {
    let mut quoted = false;
    let commands = line.split(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    commands.map(str::trim).filter(|c| !c.is_empty()).collect()
}

/// The command that is being typed at the end of a line: its words before the last one, and the last one, which is empty
/// after a space. `None` within quotes.
pub fn unfinished(line: &str) -> Option<(Vec<&str>, &str)> {
    let (mut quoted, mut start) = (false, 0);
    for (at, c) in line.char_indices() {
        quoted ^= c == '"';
        if c == ';' && !quoted {
            start = at + 1;
        }
    }
    let command = &line[start..];
    let last = command.rfind([' ', '\t']).map_or(0, |at| at + 1);
    (!quoted).then(|| (command[..last].split_whitespace().collect(), &command[last..]))
}

/// The commands of a line. Words are separated by spaces, commands by `;`. What is between double quotes is one
/// word; `$?` outside of them is `status`.
pub fn commands(line: &str, status: u64) -> Result<Vec<Command>, Wrong> {
    let mut found = Vec::new();
    for text in split(line) {
        let command = command(text, status)?;
        if !command.words.is_empty() {
            found.push(command);
        }
    }
    Ok(found)
}

fn command(text: &str, status: u64) -> Result<Command, Wrong> {
    let mut command = Command::default();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => command.words.extend(word.take()),
            _ if command.background => return Err(Wrong::Background),
            '&' => {
                command.words.extend(word.take());
                command.background = true;
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some(c) => word.push(c),
                        None => return Err(Wrong::Quotes),
                    }
                }
            }
            '$' if chars.peek() == Some(&'?') => {
                chars.next();
                word.get_or_insert_default().push_str(&alloc::format!("{status}"));
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    command.words.extend(word);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        commands(line, 7).unwrap().into_iter().map(|c| c.words.join(",")).collect()
    }

    #[test]
    fn commands_are_separated_where_there_are_no_quotes() {
        assert_eq!(split(" help; ping 10 ;; exit"), ["help", "ping 10", "exit"]);
        assert_eq!(split("echo \"a;b\" c;ps"), ["echo \"a;b\" c", "ps"]);
        assert_eq!(split("echo \"a;b"), ["echo \"a;b"]);
        assert!(split(" ; ;").is_empty());
    }

    #[test]
    fn the_command_that_is_being_typed_is_found() {
        assert_eq!(unfinished(""), Some((Vec::new(), "")));
        assert_eq!(unfinished("ki"), Some((Vec::new(), "ki")));
        assert_eq!(unfinished("ps; run  hello "), Some((["run", "hello"].into(), "")));
        assert_eq!(unfinished("echo \"a;b\";kill t"), Some((["kill"].into(), "t")));
        assert_eq!(unfinished("echo \"ki"), None);
    }

    #[test]
    fn what_is_quoted_is_one_word() {
        assert_eq!(words("echo \"a ; b\"c  $? \"$?\"; ps"), ["echo,a ; bc,7,$?", "ps"]);
        assert_eq!(words("echo \"\""), ["echo,"]);
    }

    #[test]
    fn wrong_lines_are_refused_as_a_whole() {
        assert_eq!(commands("ps; echo \"half", 0), Err(Wrong::Quotes));
        assert_eq!(commands("run hello & echo", 0), Err(Wrong::Background));
        assert!(commands("run hello & ; ps", 0).unwrap()[0].background);
    }
}
