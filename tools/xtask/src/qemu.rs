//! The machine: QEMU in software emulation, and a conversation with its serial console.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{console::Console, process, ui};

/// The kinds of PC that QEMU emulates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Board {
    /// i440FX and PIIX, of 1996.
    Pc,
    /// Q35 and ICH9, of 2009.
    Q35,
    /// A PC without PCI and I/O APIC.
    #[value(skip)]
    Isa,
    /// [`Board::Pc`] without its interval timer.
    #[value(skip)]
    PcWithoutPit,
}

impl Board {
    /// Its name, and options, in QEMU's terms.
    fn name(self) -> &'static str {
        match self {
            Board::Pc => "pc",
            Board::Q35 => "q35",
            Board::Isa => "isapc",
            Board::PcWithoutPit => "pc,pit=off",
        }
    }
}

/// What machine to run on.
#[derive(clap::Args, Clone, Debug)]
pub struct Machine {
    /// Kind of PC.
    #[arg(long, value_enum, default_value = "pc")]
    machine: Board,
    /// Processor, in QEMU's names.
    #[arg(long, default_value = "max")]
    cpu: String,
    /// Memory, in QEMU's notation.
    #[arg(long, default_value = "1G")]
    memory: String,
    /// Cores; one, until the kernel runs on more.
    #[arg(long, default_value_t = 1, value_parser = one_core)]
    smp: u32,
    /// Words for the kernel, as the boot loader passes them on: `mitigations=auto`, `off` or `all`.
    #[arg(long, value_name = "WORDS", default_value = "")]
    command_line: String,
    /// Count instructions instead of time: the clock advances by one nanosecond per instruction.
    #[arg(skip)]
    icount: bool,
    /// A device more, in QEMU's names.
    #[arg(skip)]
    device: Option<&'static str>,
}

fn one_core(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(1) => Ok(1),
        Ok(n) if n > 1 => Err(format!("this kernel runs on one core, not on {n}: leave --smp out or give 1")),
        _ => Err("not a number of cores".into()),
    }
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            machine: Board::Pc,
            cpu: "max".into(),
            memory: "1G".into(),
            smp: 1,
            command_line: String::new(),
            icount: false,
            device: None,
        }
    }
}

impl Machine {
    /// A machine of that kind, with that processor and memory in QEMU's names.
    pub fn of(machine: Board, cpu: &str, memory: &str) -> Self {
        Machine { machine, cpu: cpu.into(), memory: memory.into(), ..Machine::default() }
    }

    /// The machine for measurements, whose clock advances by one nanosecond per instruction.
    pub fn counting() -> Self {
        Machine { icount: true, ..Machine::default() }
    }

    /// The same with a device more, in QEMU's names.
    pub fn with_device(self, device: &'static str) -> Self {
        Machine { device: Some(device), ..self }
    }

    /// The same with a command line for the kernel.
    pub fn with_command_line(self, words: &str) -> Self {
        Machine { command_line: words.into(), ..self }
    }

    /// The same with another processor, in QEMU's names.
    pub fn with_cpu(self, cpu: &str) -> Self {
        Machine { cpu: cpu.into(), ..self }
    }
}

/// Port of the device through which the system ends QEMU. A byte `s` written there makes QEMU exit with
/// `(s << 1) | 1`; [`end`] maps that back.
const EXIT_PORT: &str = "isa-debug-exit,iobase=0xf4,iosize=0x04";

/// How a run of the machine ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The system wrote this status to the exit device.
    Status(u8),
    /// The machine was reset or switched off: a triple fault, unless the system meant to.
    Reset,
    /// QEMU itself failed, or was ended from outside.
    Failed,
}

/// Reads QEMU's exit status: odd ones come from the exit device, except that QEMU reports its own errors as 1.
fn end(status: ExitStatus, started: bool) -> End {
    match status.code() {
        Some(0) => End::Reset,
        // Status 0 and QEMU's own failure look alike; a machine that printed something did start.
        Some(1) if !started => End::Failed,
        Some(code) if code & 1 == 1 => End::Status((code >> 1) as u8),
        _ => End::Failed,
    }
}

/// What to boot.
#[derive(Clone, Copy)]
pub struct Boot<'a> {
    /// The machine to boot on.
    pub machine: &'a Machine,
    /// The kernel, in the form that a Multiboot 1 loader takes.
    pub kernel: &'a Path,
    /// The ELF of the root task; none, to see what the kernel says to that.
    pub root_task: Option<&'a Path>,
    /// Waits for a debugger on this port before the first instruction.
    pub gdb: Option<u16>,
}

impl Boot<'_> {
    fn command(&self, interactive: bool) -> Command {
        let machine = self.machine;
        let mut qemu = Command::new("qemu-system-x86_64");
        let board = machine.machine.name();
        qemu.args(["-accel", "tcg", "-machine", board, "-cpu", &machine.cpu, "-m", &machine.memory]);
        qemu.args(["-smp", &machine.smp.to_string()]);
        qemu.args(["-display", "none", "-nic", "none", "-no-reboot", "-device", EXIT_PORT]);
        if let Some(device) = machine.device {
            qemu.args(["-device", device]);
        }
        if interactive {
            // Ctrl-A X ends QEMU, Ctrl-A C is its monitor; Ctrl-C is for the system.
            qemu.args(["-chardev", "stdio,id=console,mux=on,signal=off"]);
            qemu.args(["-serial", "chardev:console", "-mon", "chardev=console"]);
        } else {
            qemu.args(["-serial", "stdio", "-monitor", "none"]);
        }
        if machine.icount {
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        if let Some(port) = self.gdb {
            qemu.args(["-gdb", &format!("tcp:127.0.0.1:{port}"), "-S"]);
        }
        qemu.arg("-kernel").arg(self.kernel);
        if !machine.command_line.is_empty() {
            qemu.args(["-append", &machine.command_line]);
        }
        if let Some(root_task) = self.root_task {
            qemu.arg("-initrd").arg(root_task);
        }
        qemu
    }

    /// Boots with the terminal connected to the console, until the machine ends or the time is over.
    pub fn interactive(&self, timeout: Option<Duration>) -> Result<End> {
        let mut command = self.command(true);
        show(&command);
        // Where the terminal sends it as a signal all the same, it is for QEMU, which puts the terminal back in
        // order; we stay to pass its status on.
        let _signals = Signals::new([SIGINT])?;
        let mut child = Running(command.spawn().context(NO_QEMU)?);
        let deadline = timeout.map(|t| Instant::now() + t);
        loop {
            if let Some(status) = child.0.try_wait()? {
                return Ok(end(status, true));
            }
            if deadline.is_some_and(|d| Instant::now() >= d) {
                bail!(
                    "the machine still ran after {} s\n  to mend it: give a longer --timeout",
                    timeout.unwrap_or_default().as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Boots with the console connected to us, and so that the machine's memory can be read; it stays there when the
    /// machine would end by itself.
    pub fn session_with_monitor(&self, timeout: Duration) -> Result<Session> {
        let socket = std::env::temp_dir().join(format!("pecan-monitor-{}", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let mut command = self.command(false);
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", socket.display())).arg("-no-shutdown");
        let mut session = Session::start(command, false, timeout)?;
        session.monitor = Some(socket);
        Ok(session)
    }

    /// Boots with the console connected to us.
    pub fn session(&self, echo: bool, timeout: Duration) -> Result<Session> {
        Session::start(self.command(false), echo, timeout)
    }
}

const NO_QEMU: &str = "cannot start QEMU\n  to mend it: cargo xtask setup";

fn show(command: &Command) {
    if ui::verbose() {
        eprintln!("$ {}", process::shown(command));
    }
}

/// A child that does not outlive us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A machine whose console we read and type on.
pub struct Session {
    child: Arc<Mutex<Running>>,
    stdin: ChildStdin,
    output: mpsc::Receiver<Vec<u8>>,
    echo: bool,
    deadline: Instant,
    timeout: Duration,
    /// The socket of QEMU's monitor, if there is one.
    monitor: Option<PathBuf>,
    /// The console's text so far.
    pub console: Console,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(socket) = &self.monitor {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Why [`Session::wait`] came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Wait<T> {
    /// What was waited for.
    Found(T),
    /// The machine ended first.
    Ended(End),
    /// The kernel stopped itself first.
    Stopped,
    /// The time was over first.
    TimedOut,
}

impl Session {
    /// Starts a machine; with `echo` its console is copied to standard output.
    pub fn start(mut command: Command, echo: bool, timeout: Duration) -> Result<Session> {
        show(&command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(NO_QEMU)?;
        let stdin = child.stdin.take().context("QEMU's standard input is piped")?;
        let mut stdout = child.stdout.take().context("QEMU's standard output is piped")?;
        let (send, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                if send.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let child = Arc::new(Mutex::new(Running(child)));
        end_with_us(&child)?;
        Ok(Session {
            child,
            stdin,
            output,
            echo,
            deadline: Instant::now() + timeout,
            timeout,
            monitor: None,
            console: Console::default(),
        })
    }

    /// The process that is the machine.
    pub fn pid(&self) -> u32 {
        lock(&self.child).0.id()
    }

    /// Gives the machine so much time from now on.
    pub fn allow(&mut self, time: Duration) {
        (self.deadline, self.timeout) = (Instant::now() + time, time);
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        // A machine that has just ended takes no input; `wait` tells why it ended.
        let _ = self.stdin.write_all(format!("{line}\r").as_bytes()).and_then(|()| self.stdin.flush());
        Ok(())
    }

    /// Waits for more than the first `seen` lines of the console and returns what has come, and counts it in. The
    /// machine may be silent for `silence` at most.
    pub fn more_lines(&mut self, seen: &mut usize, silence: Duration) -> Result<(Wait<()>, Vec<String>)> {
        self.allow(silence);
        let wait = self.wait(|c| (c.lines().len() > *seen).then_some(()))?;
        let lines = self.console.lines()[*seen..].to_vec();
        *seen += lines.len();
        Ok((wait, lines))
    }

    /// Waits until `found` sees in the console what it looks for.
    pub fn wait<T>(&mut self, mut found: impl FnMut(&Console) -> Option<T>) -> Result<Wait<T>> {
        let mut grace = None;
        loop {
            if let Some(value) = found(&self.console) {
                return Ok(Wait::Found(value));
            }
            // The kernel's last words come after the line that says it stopped.
            if grace.is_none() && self.console.stopped().is_some() {
                grace = Some(Instant::now() + Duration::from_millis(500));
            }
            let until = grace.unwrap_or(self.deadline).min(self.deadline);
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(mpsc::RecvTimeoutError::Timeout) if grace.is_some() => return Ok(Wait::Stopped),
                Err(mpsc::RecvTimeoutError::Timeout) => return Ok(Wait::TimedOut),
                Err(mpsc::RecvTimeoutError::Disconnected) if grace.is_some() => return Ok(Wait::Stopped),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return match found(&self.console) {
                        Some(value) => Ok(Wait::Found(value)),
                        None => Ok(Wait::Ended(self.reap()?)),
                    };
                }
            }
        }
    }

    /// Reads physical memory of a machine that was started with a monitor; `file` is used on the way.
    pub fn memory(&mut self, address: u64, length: usize, file: &Path) -> Result<Vec<u8>> {
        let _ = std::fs::remove_file(file);
        self.ask_monitor(&serde_json::json!({"execute": "pmemsave", "arguments": {
            "val": address, "size": length, "filename": file.display().to_string()}}))?;
        std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// All registers of a machine that was started with a monitor, as QEMU prints them.
    pub fn registers(&mut self) -> Result<String> {
        let answer = self
            .ask_monitor(&serde_json::json!({"execute": "human-monitor-command", "arguments": {
            "command-line": "info registers"}}))?;
        Ok(answer.as_str().context("the machine's monitor tells no registers")?.to_string())
    }

    /// Gives the machine's monitor a command and returns its answer.
    fn ask_monitor(&self, command: &serde_json::Value) -> Result<serde_json::Value> {
        let socket = self.monitor.as_ref().context("the machine has no monitor")?;
        let mut monitor = UnixStream::connect(socket).context("cannot reach the machine's monitor")?;
        monitor.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(monitor, "{{\"execute\": \"qmp_capabilities\"}}\n{command}\n")?;
        // The greeting, then an answer to each; events can come between.
        let mut answers = 0;
        for line in BufReader::new(monitor).lines() {
            let line = line.context("the machine's monitor does not answer")?;
            let message: serde_json::Value = serde_json::from_str(&line)?;
            if let Some(error) = message.get("error") {
                bail!("the machine's monitor refuses: {error}");
            }
            if let Some(answer) = message.get("return") {
                answers += 1;
                if answers == 2 {
                    return Ok(answer.clone());
                }
            }
        }
        bail!("the machine's monitor ended")
    }

    fn take(&mut self, bytes: &[u8]) {
        self.console.feed(bytes);
        if self.echo {
            let mut out = std::io::stdout();
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        }
    }

    fn reap(&mut self) -> Result<End> {
        let started = !self.console.all().is_empty();
        loop {
            if let Some(status) = lock(&self.child).0.try_wait()? {
                return Ok(end(status, started));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The error for a wait that found something else, as told to the user.
    pub fn failure<T>(&self, wait: &Wait<T>, waited_for: &str) -> anyhow::Error {
        let what = match wait {
            Wait::Found(_) => "found it".to_string(),
            Wait::Ended(End::Status(s)) => format!("the system ended with status {s}"),
            Wait::Ended(End::Reset) => "the machine was reset or switched off (a triple fault?)".into(),
            Wait::Ended(End::Failed) => "QEMU failed".into(),
            Wait::Stopped => "the kernel stopped itself".into(),
            Wait::TimedOut => format!("the time of {} s was over", self.timeout.as_secs()),
        };
        anyhow::anyhow!(
            "{what} while waiting for {waited_for}; the console's last lines:\n{}",
            self.console.tail()
        )
    }
}

/// Ends the machine when we are told to end.
fn end_with_us(child: &Arc<Mutex<Running>>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let child = Arc::downgrade(child);
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            if let Some(child) = child.upgrade() {
                let _ = lock(&child).0.kill();
            }
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

fn lock(child: &Mutex<Running>) -> MutexGuard<'_, Running> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of a file given on the command line, which must exist.
pub fn existing(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn the_exit_devices_status_is_mapped_back() {
        assert_eq!(end(exited(1), true), End::Status(0));
        assert_eq!(end(exited(7), true), End::Status(3));
        assert_eq!(end(exited(255), true), End::Status(127));
        assert_eq!(end(exited(0), true), End::Reset);
        assert_eq!(end(exited(1), false), End::Failed);
        assert_eq!(end(ExitStatus::from_raw(9), true), End::Failed);
    }

    #[test]
    fn only_one_core_is_accepted() {
        assert_eq!(one_core("1"), Ok(1));
        assert!(one_core("4").unwrap_err().contains("one core"));
        assert!(one_core("x").is_err());
    }

    /// A stand-in for the machine: a shell script that prints on its standard output.
    fn script(text: &str, seconds: u64) -> Session {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        Session::start(command, false, Duration::from_secs(seconds)).unwrap()
    }

    fn line<'a>(wanted: &'a str) -> impl FnMut(&Console) -> Option<()> + 'a {
        move |c| c.lines().iter().any(|l| l == wanted).then_some(())
    }

    #[test]
    fn a_line_is_found_even_if_it_is_the_last() {
        assert_eq!(script("echo one; echo two; exit 1", 10).wait(line("two")).unwrap(), Wait::Found(()));
    }

    #[test]
    fn an_early_end_is_told_from_a_timeout() {
        assert_eq!(script("echo one; exit 11", 10).wait(line("two")).unwrap(), Wait::Ended(End::Status(5)));
        assert_eq!(script("exec sleep 5", 0).wait(line("two")).unwrap(), Wait::TimedOut);
    }

    #[test]
    fn a_stop_ends_the_wait_but_not_before_its_last_words() {
        let mut session = script("echo KERNEL PANIC: why; sleep 0.1; echo registers; exec sleep 5", 10);
        assert_eq!(session.wait(line("two")).unwrap(), Wait::Stopped);
        assert_eq!(session.console.lines(), ["KERNEL PANIC: why", "registers"]);
    }
}
