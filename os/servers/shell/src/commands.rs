//! The commands.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use pecan_component::{
    exit, println,
    protocols::{Arguments, ComponentInfo, ControlError, Ending, Granted, MemoryInfo, State},
    service::CallError,
    ticks, tsc_mhz, write,
};

use pecan_terminal::words::commands;

use crate::{Shell, caps::Shown};

/// Status of a command that was given the wrong arguments.
pub const USAGE: u64 = 2;
/// Status of a program that was killed, and of a command that Ctrl-C ended.
const KILLED: u64 = 125;
/// Status of a program that died of a fault.
const FAULTED: u64 = 126;
/// Status of a command that does not exist.
const UNKNOWN: u64 = 127;

/// What names of the console's roles begin with.
const CONSOLE: &str = "console.";
/// Microseconds for which a command of the shell's own does not look whether Ctrl-C was pressed.
const BLIND_US: u64 = 50_000;

/// Why a command did not do what it should.
enum Failure {
    /// The arguments are wrong.
    Usage,
    /// For this reason.
    Because(String),
    /// With this status; what there is to say was said.
    Status(u64),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Because(format!("{error}"))
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        Self::Because(format!("{error}"))
    }
}

type Outcome = Result<(), Failure>;

/// A command of the shell.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&mut Shell, &[String], bool) -> Outcome,
    takes: Takes,
}

/// What the first argument of a command can be.
#[derive(Clone, Copy)]
enum Takes {
    /// Nothing that is known beforehand.
    Anything,
    /// The name of a program.
    Program,
    /// The name of a component.
    Component,
    /// The name of a program that runs beside the shell.
    Job,
    /// One of the words in the help, which are separated by `|`.
    Word,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        arguments: "",
        about: "list the commands",
        run: Shell::help,
        takes: Takes::Anything,
    },
    Command {
        name: "ps",
        arguments: "",
        about: "list the components",
        run: Shell::ps,
        takes: Takes::Anything,
    },
    Command {
        name: "caps",
        arguments: "NAME",
        about: "list the capabilities of a component",
        run: Shell::caps,
        takes: Takes::Component,
    },
    Command {
        name: "mem",
        arguments: "",
        about: "show who has how much memory",
        run: Shell::mem,
        takes: Takes::Anything,
    },
    Command {
        name: "ping",
        arguments: "N",
        about: "make N round trips to another component",
        run: Shell::ping,
        takes: Takes::Anything,
    },
    Command {
        name: "programs",
        arguments: "",
        about: "list the programs that can be run",
        run: Shell::programs,
        takes: Takes::Anything,
    },
    Command {
        name: "run",
        arguments: "PROGRAM [ARGUMENT ...] [&]",
        about: "run a program; with & beside the shell",
        run: Shell::run,
        takes: Takes::Program,
    },
    Command {
        name: "wait",
        arguments: "[NAME]",
        about: "wait for the end of programs that run beside the shell",
        run: Shell::wait,
        takes: Takes::Job,
    },
    Command {
        name: "kill",
        arguments: "NAME",
        about: "end a component",
        run: Shell::kill,
        takes: Takes::Component,
    },
    Command {
        name: "start",
        arguments: "NAME",
        about: "start a component that was given up or has ended",
        run: Shell::start,
        takes: Takes::Component,
    },
    Command {
        name: "replace",
        arguments: "NAME with PROGRAM",
        about: "let a server hand over to another program while it runs",
        run: Shell::replace,
        takes: Takes::Component,
    },
    Command {
        name: "crash",
        arguments: "null|stack|illegal|div0|panic|cap|fpu|frames",
        about: "let a program die that way",
        run: Shell::crash,
        takes: Takes::Word,
    },
    Command {
        name: "repeat",
        arguments: "N COMMAND ...",
        about: "do a command N times, or until it fails",
        run: Shell::repeat,
        takes: Takes::Anything,
    },
    Command {
        name: "sleep",
        arguments: "MS",
        about: "wait for so many milliseconds",
        run: Shell::sleep,
        takes: Takes::Anything,
    },
    Command {
        name: "uptime",
        arguments: "",
        about: "show the time since boot",
        run: Shell::uptime,
        takes: Takes::Anything,
    },
    Command {
        name: "echo",
        arguments: "[TEXT ...]",
        about: "print the text; $? is the status of the last command",
        run: Shell::print,
        takes: Takes::Anything,
    },
    Command {
        name: "exit",
        arguments: "[STATUS]",
        about: "switch the machine off, with the status of the last command or another",
        run: Shell::exit,
        takes: Takes::Anything,
    },
];

impl Shell {
    /// Does what a line says.
    pub fn line(&mut self, line: &str) {
        // Taken apart anew for each command, because `$?` is what the one before it left.
        self.interrupted = false;
        let mut done = 0;
        while !self.is_interrupted() {
            let command = match commands(line, self.status) {
                Ok(commands) => commands.into_iter().nth(done),
                Err(wrong) => {
                    println!("{wrong}");
                    self.status = USAGE;
                    return;
                }
            };
            let Some(command) = command else { return };
            self.command(&command.words, command.background);
            done += 1;
        }
    }

    /// What can come after these words of a command.
    pub fn known(&self, words: &[&str]) -> Vec<String> {
        let (command, arguments) = match words {
            // What is repeated is a command, too.
            ["repeat", _, command @ ..] => return self.known(command),
            [command, arguments @ ..] => (*command, arguments),
            [] => return COMMANDS.iter().map(|c| c.name.into()).collect(),
        };
        let Some(command) = COMMANDS.iter().find(|c| c.name == command && arguments.is_empty()) else {
            return Vec::new();
        };
        // Who does not answer knows no names.
        match command.takes {
            Takes::Anything => Vec::new(),
            Takes::Program => (0..)
                .map_while(|n| self.control.program(n).ok().flatten())
                .map(|p| String::from(&*p.name))
                .collect(),
            Takes::Component => (0..)
                .map_while(|n| self.control.component(n).ok().flatten())
                .map(|c| String::from(&*c.name))
                .collect(),
            Takes::Job => self.jobs.iter().map(|(name, _)| name.clone()).collect(),
            Takes::Word => command.arguments.split('|').map(String::from).collect(),
        }
    }

    /// An end of a command if Ctrl-C was pressed.
    fn go_on(&mut self) -> Outcome {
        if self.is_interrupted() { Err(Failure::Status(KILLED)) } else { Ok(()) }
    }

    fn command(&mut self, words: &[String], background: bool) {
        let Some((name, arguments)) = words.split_first() else { return };
        let Some(command) = COMMANDS.iter().find(|c| c.name == name) else {
            println!("{name}: there is no such command; `help` lists them");
            self.status = UNKNOWN;
            return;
        };
        let result = if background && !["run", "repeat"].contains(&command.name) {
            Err(Failure::Because("only programs can run beside the shell".into()))
        } else {
            (command.run)(self, arguments, background)
        };
        self.status = match result {
            Ok(()) => 0,
            Err(Failure::Usage) => {
                println!("usage: {} {}", command.name, command.arguments);
                USAGE
            }
            Err(Failure::Because(why)) => {
                println!("{name}: {why}");
                1
            }
            Err(Failure::Status(status)) => status,
        };
    }

    fn help(&mut self, arguments: &[String], _: bool) -> Outcome {
        none(arguments)?;
        let mut text = String::new();
        for command in COMMANDS {
            let call = format!("{} {}", command.name, command.arguments);
            line(&mut text, format_args!("{call:<40} {}", command.about));
        }
        write(&text);
        Ok(())
    }

    fn ps(&mut self, arguments: &[String], _: bool) -> Outcome {
        none(arguments)?;
        let mut text = String::new();
        line(
            &mut text,
            format_args!(
                "{:<12} {:<8} {:>4} {:>9} {:>8}  {}",
                "NAME", "STATE", "PRIO", "CPU us", "RESTARTS", "ABOUT"
            ),
        );
        for index in 0.. {
            let Some(info) = self.control.component(index)? else { break };
            let ComponentInfo { name, state, priority, cpu_us, restarts, wait_ms, about } = info;
            let state = match wait_ms {
                0 => String::from(state.name()),
                ms => format!("in {}.{} s", ms / 1000, ms / 100 % 10),
            };
            line(
                &mut text,
                format_args!("{name:<12} {state:<8} {priority:>4} {cpu_us:>9} {restarts:>8}  {about}"),
            );
        }
        write(&text);
        Ok(())
    }

    fn caps(&mut self, arguments: &[String], _: bool) -> Outcome {
        let [name] = arguments else { return Err(Failure::Usage) };
        let mut text = String::new();
        line(
            &mut text,
            format_args!("{:>4} {:<18} {:<6} {:>18}  {}", "SLOT", "KIND", "RIGHTS", "BADGE", "OBJECT"),
        );
        for index in 0.. {
            let Some(info) = self.control.capability(name, index)?? else { break };
            let Shown { slot, kind, rights, badge, object } = Shown::of(&info);
            let slot = if slot == 0 { "-".into() } else { format!("{slot}") };
            let badge = if badge == 0 { String::new() } else { format!("{badge:#x}") };
            line(&mut text, format_args!("{slot:>4} {kind:<18} {rights:<6} {badge:>18}  {object}"));
        }
        write(&text);
        Ok(())
    }

    fn mem(&mut self, arguments: &[String], _: bool) -> Outcome {
        none(arguments)?;
        let mut text = String::new();
        let mut free = 0;
        line(&mut text, format_args!("{:<12} {:>12} {:>12}", "OWNER", "SIZE", "LEFT"));
        for index in 0.. {
            let Some(MemoryInfo { owner, size, left }) = self.control.memory(index)? else { break };
            line(&mut text, format_args!("{owner:<12} {size:>12} {left:>12}"));
            if index == 0 {
                free = left;
            }
        }
        if let Some(before) = self.free.replace(free) {
            let change = match free.abs_diff(before) {
                0 => "as much is free as".into(),
                bytes if free > before => format!("{bytes} bytes more are free than"),
                bytes => format!("{bytes} bytes less are free than"),
            };
            line(&mut text, format_args!("{change} when this was last asked"));
        }
        write(&text);
        Ok(())
    }

    fn repeat(&mut self, arguments: &[String], background: bool) -> Outcome {
        let [count, command @ ..] = arguments else { return Err(Failure::Usage) };
        let count = number(count).filter(|_| !command.is_empty()).ok_or(Failure::Usage)?;
        for _ in 0..count {
            self.go_on()?;
            self.command(command, background);
            if self.status != 0 {
                return Err(Failure::Status(self.status));
            }
        }
        Ok(())
    }

    fn ping(&mut self, arguments: &[String], _: bool) -> Outcome {
        let [count] = arguments else { return Err(Failure::Usage) };
        let count = number(count).filter(|n| (1..=10_000_000).contains(n)).ok_or(Failure::Usage)?;
        let (mut all, mut least) = (0, u64::MAX);
        let mut looked = ticks();
        for n in 0..count {
            let now = ticks();
            if now.wrapping_sub(looked) > BLIND_US * tsc_mhz() {
                self.go_on()?;
                looked = now;
            }
            let start = ticks();
            let answer = self.echo.ping(n)?;
            let taken = ticks().wrapping_sub(start);
            if answer != n + 1 {
                return Err(Failure::Because(format!("sent {n}, got {answer}")));
            }
            all += taken;
            least = least.min(taken);
        }
        println!("{count} round trips to echo: {} ticks each, {least} at least", all / count);
        println!(
            "(a tick of the time-stamp counter at {} MHz; an instruction where the machine counts those)",
            tsc_mhz()
        );
        Ok(())
    }

    fn programs(&mut self, arguments: &[String], _: bool) -> Outcome {
        none(arguments)?;
        for index in 0.. {
            let Some(program) = self.control.program(index)? else { break };
            println!("{:<12} {}", program.name, program.about);
        }
        Ok(())
    }

    /// Starts a program; returns its number.
    fn launch(&self, program: &str, arguments: &[String]) -> Result<u64, Failure> {
        let arguments = Arguments::join(arguments).ok_or(Failure::Usage)?;
        Ok(self.control.run(program, Arguments::new(&arguments))??)
    }

    fn run(&mut self, arguments: &[String], background: bool) -> Outcome {
        let Some((program, arguments)) = arguments.split_first() else { return Err(Failure::Usage) };
        let id = self.launch(program, arguments)?;
        if !background {
            return self.ended(id);
        }
        let name = self.control.name(id)?.map_or_else(|| program.clone(), |name| String::from(&*name));
        println!("{name} runs");
        self.jobs.push((name, id));
        Ok(())
    }

    /// The badge of a program at the console, if it has a channel there.
    fn badge_at_console(&self, name: &str) -> Result<Option<u64>, CallError> {
        for index in 0.. {
            // A program that has ended already has none.
            let Ok(Some(cap)) = self.control.capability(name, index)? else { break };
            if let Granted::Channel { badge, .. } = cap.granted
                && cap.to.starts_with(CONSOLE)
            {
                return Ok(Some(badge));
            }
        }
        Ok(None)
    }

    /// Waits for the end of a program, which has the keyboard until then and which Ctrl-C ends, and says how it was if it was
    /// a bad one.
    fn ended(&mut self, id: u64) -> Outcome {
        if let Some(name) = self.control.name(id)? {
            let badge = self.badge_at_console(&name)?.unwrap_or(0);
            self.console.foreground(badge, id)?;
            // Ctrl-C before that did not end it; from now on it does.
            if self.is_interrupted() {
                // It may have ended by itself.
                let _ = self.control.kill(&name)?;
            }
        }
        let ended = self.wait_for(id);
        self.console.foreground(0, 0)?;
        ended
    }

    fn wait_for(&mut self, id: u64) -> Outcome {
        match self.control.wait(id)?? {
            Ending { state: State::Exited, status: 0 } => Ok(()),
            Ending { state: State::Exited, status } => Err(Failure::Status(status)),
            Ending { state: State::Killed, .. } => Err(Failure::Status(KILLED)),
            Ending { .. } => Err(Failure::Status(FAULTED)),
        }
    }

    fn wait(&mut self, arguments: &[String], _: bool) -> Outcome {
        let jobs: Vec<_> = match arguments {
            [] => core::mem::take(&mut self.jobs),
            [name] => {
                let at = self.jobs.iter().position(|(job, _)| job == name);
                let at =
                    at.ok_or_else(|| Failure::Because(format!("{name} does not run beside the shell")))?;
                Vec::from([self.jobs.remove(at)])
            }
            _ => return Err(Failure::Usage),
        };
        let mut outcome = Ok(());
        for (name, id) in jobs {
            let ended = self.ended(id);
            match &ended {
                Ok(()) => println!("{name} has ended"),
                Err(Failure::Status(status)) => println!("{name} has ended with status {status}"),
                Err(_) => {}
            }
            outcome = outcome.and(ended);
        }
        outcome
    }

    fn kill(&mut self, arguments: &[String], _: bool) -> Outcome {
        let [name] = arguments else { return Err(Failure::Usage) };
        Ok(self.control.kill(name)??)
    }

    fn start(&mut self, arguments: &[String], _: bool) -> Outcome {
        let [name] = arguments else { return Err(Failure::Usage) };
        Ok(self.control.start(name)??)
    }

    fn replace(&mut self, arguments: &[String], _: bool) -> Outcome {
        let [name, with, program] = arguments else { return Err(Failure::Usage) };
        if with != "with" {
            return Err(Failure::Usage);
        }
        match self.control.replace(name, program)? {
            Ok(()) => Ok(()),
            Err(error) => Err(Failure::Because(format!("{error}"))),
        }
    }

    fn crash(&mut self, arguments: &[String], _: bool) -> Outcome {
        let [kind] = arguments else { return Err(Failure::Usage) };
        let id = self.launch("crash", core::slice::from_ref(kind))?;
        // That it dies is what was wanted.
        match self.ended(id) {
            Err(Failure::Status(FAULTED)) => Ok(()),
            other => other,
        }
    }

    fn sleep(&mut self, arguments: &[String], _: bool) -> Outcome {
        let [ms] = arguments else { return Err(Failure::Usage) };
        let ms = number(ms).filter(|ms| *ms <= 3_600_000).ok_or(Failure::Usage)?;
        let mut now = self.timer.now()?;
        let end = now + ms * 1000;
        while now < end {
            self.go_on()?;
            now = self.timer.alarm(end.min(now + BLIND_US))?;
        }
        Ok(())
    }

    fn uptime(&mut self, arguments: &[String], _: bool) -> Outcome {
        none(arguments)?;
        let us = self.timer.now()?;
        println!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000);
        Ok(())
    }

    fn print(&mut self, arguments: &[String], _: bool) -> Outcome {
        write(&(arguments.join(" ") + "\n"));
        Ok(())
    }

    fn exit(&mut self, arguments: &[String], _: bool) -> Outcome {
        let status = match arguments {
            [] => self.status.min(127),
            [status] => number(status).filter(|s| *s <= 127).ok_or(Failure::Usage)?,
            _ => return Err(Failure::Usage),
        };
        self.console.flush()?;
        self.power.exit(status as u8)?;
        // The machine still runs; then at least the shell ends.
        exit(status)
    }
}

/// A number, if that is what the text is.
fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// There must be no arguments.
fn none(arguments: &[String]) -> Outcome {
    if arguments.is_empty() { Ok(()) } else { Err(Failure::Usage) }
}

/// Adds a line, without spaces at its end.
fn line(text: &mut String, args: core::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(args);
    text.truncate(text.trim_end().len());
    text.push('\n');
}
