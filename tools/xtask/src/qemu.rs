//! The machine: QEMU in software emulation, and a conversation with its serial console.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{Arch, console::Console, process, ui};

/// The machines that QEMU emulates: kinds of PC, and its own board for AArch64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Board {
    /// i440FX and PIIX, of 1996.
    Pc,
    /// Q35 and ICH9, of 2009.
    Q35,
    /// QEMU's own board, for AArch64.
    Virt,
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
            Board::Virt => "virt",
            Board::Isa => "isapc",
            Board::PcWithoutPit => "pc,pit=off",
        }
    }
}

/// The memory of a machine of which nothing else is said.
const MEMORY: &str = "1G";

/// What machine to run on.
#[derive(clap::Args, Clone, Debug)]
pub struct Machine {
    /// Kind of machine; without it `pc`, or `virt` for AArch64.
    #[arg(long, value_enum)]
    machine: Option<Board>,
    /// Processor, in QEMU's names; without it `max`, or `cortex-a57` for AArch64.
    #[arg(long)]
    cpu: Option<String>,
    /// Memory, in QEMU's notation. Without it, what the description of the system says; 1G if that says nothing.
    #[arg(long)]
    memory: Option<String>,
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
    /// What processor it has.
    #[arg(skip)]
    arch: Arch,
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
            machine: None,
            cpu: None,
            memory: None,
            smp: 1,
            command_line: String::new(),
            icount: false,
            device: None,
            arch: Arch::X86_64,
        }
    }
}

impl Machine {
    /// Gives the machine so many bytes of memory, unless the command line says how many.
    pub fn offer_memory(&mut self, bytes: u64) {
        self.memory.get_or_insert_with(|| format!("{}K", bytes >> 10));
    }

    /// A machine of that kind, with that processor and memory in QEMU's names.
    pub fn of(machine: Board, cpu: &str, memory: &str) -> Self {
        let (machine, cpu, memory) = (Some(machine), Some(cpu.into()), Some(memory.into()));
        Machine { machine, cpu, memory, ..Machine::default() }
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

    /// The same for another architecture.
    pub fn for_arch(self, arch: Arch) -> Self {
        Machine { arch, ..self }
    }

    /// The same with another processor, in QEMU's names.
    pub fn with_cpu(self, cpu: &str) -> Self {
        Machine { cpu: Some(cpu.into()), ..self }
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
    /// The kernel, in the form that a Multiboot 1 loader takes, or one of Linux images.
    pub kernel: &'a Path,
    /// The ELF of the root task; none, to see what the kernel says to that.
    pub root_task: Option<&'a Path>,
    /// Waits for a debugger on this port before the first instruction.
    pub gdb: Option<u16>,
}

impl Boot<'_> {
    fn command(&self, interactive: bool) -> Result<Invocation> {
        let machine = self.machine;
        let mut qemu = Command::new(format!("qemu-system-{}", machine.arch.name()));
        let (board, cpu) = match machine.arch {
            Arch::X86_64 => (Board::Pc, "max"),
            Arch::AArch64 => (Board::Virt, "cortex-a57"),
        };
        let board = machine.machine.unwrap_or(board).name();
        qemu.args([
            "-accel",
            "tcg",
            "-machine",
            board,
            "-cpu",
            machine.cpu.as_deref().unwrap_or(cpu),
            "-m",
            machine.memory.as_deref().unwrap_or(MEMORY),
        ]);
        qemu.args(["-smp", &machine.smp.to_string()]);
        qemu.args(["-display", "none", "-nic", "none", "-no-reboot"]);
        if machine.arch == Arch::X86_64 {
            qemu.args(["-device", EXIT_PORT]);
        }
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
        let mut links = Links::default();
        qemu.arg("-kernel").arg(links.plain(self.kernel, "kernel")?);
        if !machine.command_line.is_empty() {
            qemu.args(["-append", &machine.command_line]);
        }
        if let Some(root_task) = self.root_task {
            qemu.arg("-initrd").arg(links.plain(root_task, "root-task")?);
        }
        if let Some(folder) = &links.0 {
            qemu.current_dir(folder);
        }
        Ok(Invocation { command: qemu, links })
    }

    /// Boots with the console connected to our own standard input and output, until the machine ends or the time is
    /// over. What does not come from a terminal is held back until the machine has printed something: what a serial port
    /// receives before it is set up is lost.
    pub fn interactive(&self, timeout: Option<Duration>) -> Result<End> {
        let typed = std::io::stdin().is_terminal();
        let input = if typed { Stdio::inherit() } else { Stdio::piped() };
        let mut session = Session::with_input(self.command(true)?, true, timeout, input)?;
        // Who debugs the kernel wants to look at it after it has stopped.
        session.watched = self.gdb.is_none();
        let mut wait = session.wait(|c| c.has_printed().then_some(()))?;
        if wait == Wait::Found(()) {
            if let Some(mut stdin) = session.stdin.take() {
                // It ends with the input, or when the machine takes no more.
                std::thread::spawn(move || std::io::copy(&mut std::io::stdin(), &mut stdin));
            }
            wait = session.wait(|_| None)?;
        }
        match wait {
            Wait::Ended(end) => Ok(end),
            Wait::TimedOut => Err(TimeOver(format!(
                "the machine still ran after {} s\n  to mend it: give a longer --timeout",
                session.timeout.as_secs()
            ))
            .into()),
            Wait::Found(()) | Wait::Stopped => bail!("the kernel stopped itself; what it said stands above"),
        }
    }

    /// Boots with the console connected to us, and so that the machine's memory can be read; it stays there when the
    /// machine would end by itself.
    pub fn session_with_monitor(&self, timeout: Duration) -> Result<Session> {
        let socket = std::env::temp_dir().join(format!("pecan-monitor-{}", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let mut invocation = self.command(false)?;
        let chardev =
            [b"socket,id=qmp,server=on,wait=off,path=", doubled_commas(&socket).as_bytes()].concat();
        invocation.command.arg("-chardev").arg(OsStr::from_bytes(&chardev));
        invocation.command.args(["-mon", "chardev=qmp,mode=control", "-no-shutdown"]);
        let mut session = Session::with_input(invocation, false, Some(timeout), Stdio::piped())?;
        session.monitor = Some(socket);
        Ok(session)
    }

    /// Boots with the console connected to us.
    pub fn session(&self, echo: bool, timeout: Duration) -> Result<Session> {
        Session::with_input(self.command(false)?, echo, Some(timeout), Stdio::piped())
    }
}

/// A path as a value among QEMU's options, which commas separate.
fn doubled_commas(path: &Path) -> OsString {
    let bytes: Vec<u8> = path
        .as_os_str()
        .as_bytes()
        .iter()
        .flat_map(|b| std::iter::repeat_n(*b, 1 + usize::from(*b == b',')))
        .collect();
    OsStr::from_bytes(&bytes).to_os_string()
}

/// How QEMU is called, and what that needs.
struct Invocation {
    command: Command,
    links: Links,
}

/// A folder of links to files, removed with this. QEMU takes the path of a boot module apart at spaces and commas and
/// passes that of the kernel on as the first of its words, so paths with such characters are replaced by names in this
/// folder, in which QEMU then runs.
#[derive(Default)]
struct Links(Option<PathBuf>);

impl Links {
    /// The path itself, or the name of a link to it in this folder.
    fn plain(&mut self, path: &Path, name: &str) -> Result<PathBuf> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !path.as_os_str().as_bytes().iter().any(|b| b.is_ascii_whitespace() || *b == b',') {
            return Ok(path.to_path_buf());
        }
        let folder = match &self.0 {
            Some(folder) => folder,
            None => {
                let number = COUNT.fetch_add(1, Ordering::Relaxed);
                let folder = std::env::temp_dir().join(format!("pecan-boot-{}-{number}", std::process::id()));
                std::fs::create_dir(&folder)
                    .with_context(|| format!("cannot make the folder {}", folder.display()))?;
                self.0.insert(folder)
            }
        };
        symlink(path, folder.join(name)).with_context(|| format!("cannot link to {}", path.display()))?;
        Ok(name.into())
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

const NO_QEMU: &str = "cannot start QEMU\n  to mend it: cargo xtask setup";

fn show(command: &Command) {
    if ui::verbose() {
        eprintln!("$ {}", process::shown(command));
    }
}

/// A child that does not outlive us.
struct Running {
    child: Child,
    /// It has changed our terminal, and puts it back in order if it is told to end rather than killed.
    has_terminal: bool,
}

impl Running {
    fn end(&mut self) {
        if self.has_terminal {
            let kill = format!("kill {}", self.child.id());
            let told = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
            let deadline = Instant::now() + Duration::from_secs(2);
            while told.is_ok() && Instant::now() < deadline {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A machine whose console we read and type on.
pub struct Session {
    child: Arc<Mutex<Running>>,
    /// What is typed goes there, unless the machine has our own standard input.
    stdin: Option<ChildStdin>,
    output: mpsc::Receiver<Vec<u8>>,
    echo: bool,
    /// Without one, the machine has all the time it wants.
    deadline: Option<Instant>,
    timeout: Duration,
    /// A kernel that has stopped itself ends the wait.
    watched: bool,
    /// The socket of QEMU's monitor, if there is one.
    monitor: Option<PathBuf>,
    _links: Links,
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

/// The error of a machine that took more time than it had.
#[derive(Debug)]
pub struct TimeOver(String);

impl fmt::Display for TimeOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TimeOver {}

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
    /// Starts a machine; with `echo` its console is copied to standard output. Standard input is what is typed
    /// ([`Stdio::piped`]), or our own.
    fn with_input(
        invocation: Invocation,
        echo: bool,
        timeout: Option<Duration>,
        input: Stdio,
    ) -> Result<Session> {
        let Invocation { mut command, links } = invocation;
        show(&command);
        let mut child = command.stdin(input).stdout(Stdio::piped()).spawn().context(NO_QEMU)?;
        let stdin = child.stdin.take();
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
        let child = Arc::new(Mutex::new(Running { child, has_terminal: stdin.is_none() }));
        end_with_us(&child, stdin.is_none())?;
        Ok(Session {
            child,
            stdin,
            output,
            echo,
            deadline: timeout.map(|t| Instant::now() + t),
            timeout: timeout.unwrap_or_default(),
            watched: true,
            monitor: None,
            _links: links,
            console: Console::default(),
        })
    }

    /// A stand-in for the machine.
    #[cfg(test)]
    pub fn stand_in(command: Command, timeout: Duration) -> Session {
        let invocation = Invocation { command, links: Links::default() };
        Self::with_input(invocation, false, Some(timeout), Stdio::piped()).unwrap()
    }

    /// The process that is the machine.
    pub fn pid(&self) -> u32 {
        lock(&self.child).child.id()
    }

    /// Gives the machine so much time from now on.
    pub fn allow(&mut self, time: Duration) {
        (self.deadline, self.timeout) = (Some(Instant::now() + time), time);
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        // A machine that has just ended takes no input; `wait` tells why it ended.
        let stdin = self.stdin.as_mut().context("this machine is typed on by the user")?;
        let _ = stdin.write_all(format!("{line}\r").as_bytes()).and_then(|()| stdin.flush());
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
            if grace.is_none() && self.watched && self.console.stopped().is_some() {
                grace = Some(Instant::now() + Duration::from_millis(500));
            }
            let until = [grace, self.deadline].into_iter().flatten().min();
            let left = until.map_or(Duration::MAX, |u| u.saturating_duration_since(Instant::now()));
            match self.output.recv_timeout(left) {
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
        let started = self.console.has_printed();
        loop {
            if let Some(status) = lock(&self.child).child.try_wait()? {
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
        let text = format!(
            "{what} while waiting for {waited_for}; the console's last lines:\n{}",
            self.console.tail()
        );
        if matches!(wait, Wait::TimedOut) { TimeOver(text).into() } else { anyhow::Error::msg(text) }
    }
}

/// Ends the machine when we are told to end. One that has our terminal gets what is typed there, Ctrl-C included; where
/// the terminal makes a signal of that all the same, it goes to QEMU, too, and we stay to pass its status on.
fn end_with_us(child: &Arc<Mutex<Running>>, has_terminal: bool) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let child = Arc::downgrade(child);
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().find(|s| !has_terminal || *s != SIGINT) {
            let child = child.upgrade();
            // Locked until we are gone: nobody is to take this for an end of the machine's own.
            let mut child = child.as_ref().map(|c| lock(c));
            if let Some(child) = &mut child {
                child.end();
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
    let found = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    ensure!(found.is_file(), "{} is not a file", path.display());
    Ok(found)
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
        Session::stand_in(command, Duration::from_secs(seconds))
    }

    fn line<'a>(wanted: &'a str) -> impl FnMut(&Console) -> Option<()> + 'a {
        move |c| c.lines().iter().any(|l| l == wanted).then_some(())
    }

    #[test]
    fn a_line_is_found_even_if_it_is_the_last() {
        assert_eq!(script("echo one; echo two; exit 1", 10).wait(line("two")).unwrap(), Wait::Found(()));
    }

    #[test]
    fn paths_that_qemu_would_take_apart_are_replaced_by_links() {
        let mut links = Links::default();
        let of = |links: &mut Links, path: &str| links.plain(Path::new(path), "file").unwrap();
        assert_eq!(of(&mut links, "/tmp/plain.elf"), Path::new("/tmp/plain.elf"));
        assert!(links.0.is_none(), "no link is made where none is needed");
        assert_eq!(of(&mut links, "/tmp/a b,c/x.elf"), Path::new("file"));
        let folder = links.0.clone().unwrap();
        assert_eq!(std::fs::read_link(folder.join("file")).unwrap(), Path::new("/tmp/a b,c/x.elf"));
        drop(links);
        assert!(!folder.exists());
        assert_eq!(doubled_commas(Path::new("/a,b c")), "/a,,b c");
    }

    #[test]
    fn a_timeout_is_an_error_of_its_own() {
        let session = script("exec sleep 5", 0);
        assert!(session.failure(&Wait::<()>::TimedOut, "it").is::<TimeOver>());
        assert!(!session.failure(&Wait::<()>::Stopped, "it").is::<TimeOver>());
    }

    #[test]
    fn a_machine_without_a_deadline_is_waited_for() {
        let mut session = script("sleep 0.1; echo one; exit 3", 0);
        session.deadline = None;
        assert_eq!(session.wait(line("two")).unwrap(), Wait::Ended(End::Status(1)));
    }

    #[test]
    fn only_files_are_booted() {
        assert!(existing(Path::new("/tmp")).unwrap_err().to_string().contains("is not a file"));
        assert!(existing(Path::new("/tmp/pecan-no-such-file")).is_err());
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
