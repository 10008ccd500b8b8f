//! A command line, taken apart.

use alloc::{string::String, vec::Vec};

/// A command: its words, and whether it is to run beside the shell.
#[derive(Debug, Default)]
pub struct Command {
    /// The words.
    pub words: Vec<String>,
    /// It ended with `&`.
    pub background: bool,
}

/// What is wrong with a line.
#[derive(Debug)]
pub enum Wrong {
    /// A quotation mark has no partner.
    Quotes,
    /// There is something after `&` that is not `;`.
    Background,
}

/// The commands of a line. Words are separated by spaces, commands by `;`. What is between double quotes is one
/// word; `$?` outside of them is `status`.
pub fn commands(line: &str, status: u64) -> Result<Vec<Command>, Wrong> {
    let mut commands = Vec::new();
    let mut command = Command::default();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => command.words.extend(word.take()),
            ';' => {
                command.words.extend(word.take());
                commands.push(core::mem::take(&mut command));
            }
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
    commands.push(command);
    commands.retain(|c| !c.words.is_empty());
    Ok(commands)
}
