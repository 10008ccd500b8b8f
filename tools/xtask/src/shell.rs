//! Typing commands at Pecan's shell, one after the other.

use anyhow::{Result, bail};
use pecan_terminal::words;

use crate::qemu::{End, Session, Wait};

/// What came of one command.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// The shell waits for the next one.
    Prompt,
    /// The machine ended, with this status.
    Ended(u8),
}

/// A session at the shell's prompt.
pub struct Shell {
    session: Session,
}

impl Shell {
    /// Waits for the shell's first prompt.
    pub fn start(mut session: Session) -> Result<Shell> {
        match session.wait(|c| c.at_prompt().then_some(()))? {
            Wait::Found(()) => Ok(Shell { session }),
            other => Err(session.failure(&other, "the shell's prompt")),
        }
    }

    /// Types a command and waits until the shell is ready again; returns the lines that it printed.
    pub fn command(&mut self, command: &str) -> Result<(Done, Vec<String>)> {
        let before = self.session.console.lines().len();
        self.session.type_line(command)?;
        // A prompt counts only below the line with the command: others are shown again when something else prints.
        let wait =
            self.session.wait(|c| (c.at_prompt() && c.typed(before, command).is_some()).then_some(()))?;
        let done = match wait {
            Wait::Found(()) => Done::Prompt,
            Wait::Ended(End::Status(status)) => Done::Ended(status),
            other => {
                return Err(self.session.failure(&other, &format!("the end of the command `{command}`")));
            }
        };
        let console = &self.session.console;
        let first = console.typed(before, command).map_or(before, |line| line + 1);
        Ok((done, console.lines().get(first..).unwrap_or_default().to_vec()))
    }

    /// Types the commands of a line and leaves the shell; returns the status of the last one.
    pub fn run(mut self, commands: &str) -> Result<u8> {
        let commands = words::split(commands);
        for (n, command) in commands.iter().enumerate() {
            if let (Done::Ended(status), _) = self.command(command)? {
                let left = &commands[n + 1..];
                if !left.is_empty() {
                    crate::ui::note(format!("`{command}` ended the system; not typed: {}", left.join("; ")));
                }
                return Ok(status);
            }
        }
        // Without a status of its own, `exit` ends with that of the command before it.
        match self.command("exit")? {
            (Done::Ended(status), _) => Ok(status),
            (Done::Prompt, _) => bail!("the shell did not leave at `exit`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use super::*;

    /// A stand-in for the machine: a shell that echoes as a terminal would and knows four commands.
    fn shell() -> Shell {
        let script = r#"
            echo booting; status=0
            while printf 'pecan> '; IFS= read -r -d "$(printf '\r')" line; do
                printf '%s\r\n' "$line"
                case $line in
                    fail) echo failing; status=3 ;;
                    hello) echo one; echo two; status=0 ;;
                    exit) exit $((status * 2 + 1)) ;;
                    hang) sleep 5 ;;
                esac
            done"#;
        let mut command = Command::new("bash");
        command.args(["-c", script]);
        Shell::start(Session::stand_in(command, Duration::from_secs(2))).unwrap()
    }

    #[test]
    fn a_command_gives_its_own_output() {
        let mut shell = shell();
        assert_eq!(shell.command("hello").unwrap(), (Done::Prompt, vec!["one".into(), "two".into()]));
        assert_eq!(shell.command("fail").unwrap(), (Done::Prompt, vec!["failing".into()]));
        assert_eq!(shell.command("exit").unwrap().0, Done::Ended(3));
    }

    #[test]
    fn the_status_is_that_of_the_last_command() {
        assert_eq!(shell().run("fail; hello").unwrap(), 0);
        assert_eq!(shell().run("hello; fail").unwrap(), 3);
        assert_eq!(shell().run("fail; exit; hello").unwrap(), 3);
        // The stand-in knows no such command, and fails at none.
        assert_eq!(shell().run("fail; \"a; fail\"").unwrap(), 3);
    }

    #[test]
    fn a_command_that_hangs_is_named() {
        let error = shell().run("hello; hang").unwrap_err().to_string();
        assert!(error.contains("`hang`") && error.contains("  | two"), "{error}");
    }
}
