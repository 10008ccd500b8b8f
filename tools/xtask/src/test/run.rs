//! `cargo xtask run` as a user calls it: how it ends, and with what status.
//!
//! These count among the scenarios, under names that start with `run::`.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::Tally;
use crate::{build::Kernel, paths::Workspace};

/// How the names of these tests start.
pub const PREFIX: &str = "run::";

/// How long a call may take that has nothing left to build.
const TIME: Duration = Duration::from_secs(60);

/// A call and how it must end.
struct Case {
    name: &'static str,
    /// Its arguments, separated by spaces; `PORT`, `ROOT` and `KERNEL` stand for a port that is in use, and for files in a
    /// folder with a space and a comma in its name.
    args: &'static str,
    /// What is typed, each text once the one before it in the pair was printed. `LONG` stands for 3,000 characters, `MANY`
    /// for a hundred commands.
    input: &'static [(&'static str, &'static str)],
    status: i32,
    /// What it must print.
    expected: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "input_that_comes_before_the_system_is_not_lost",
        args: "",
        input: &[("", "echo one\necho two; echo three\nexit 3\n")],
        status: 3,
        expected: "two\r\nthree\r\npecan> exit 3",
    },
    Case {
        name: "an_unknown_processor",
        args: "--cpu nosuch",
        input: &[],
        status: 1,
        expected: "QEMU failed",
    },
    Case {
        name: "a_folder_as_root_task",
        args: "--root-task /tmp",
        input: &[],
        status: 1,
        expected: "is not a file",
    },
    Case { name: "a_port_that_is_in_use", args: "--gdb=PORT", input: &[], status: 1, expected: "is in use" },
    Case { name: "a_timeout", args: "--timeout 3", input: &[], status: 124, expected: "still ran after 3 s" },
    Case {
        name: "a_timeout_of_commands",
        args: "--timeout 3 --exec sleep_3000000",
        input: &[],
        status: 124,
        expected: "the time of 3 s was over",
    },
    Case {
        name: "a_kernel_that_cannot_start",
        args: "--cpu max,-lm",
        input: &[],
        status: 1,
        expected: "the kernel stopped itself",
    },
    Case {
        name: "paths_with_spaces_and_commas",
        args: "--root-task ROOT --kernel KERNEL --exec exit_5",
        input: &[],
        status: 5,
        expected: "pecan> exit 5",
    },
    Case {
        name: "a_semicolon_between_quotes",
        args: "--exec echo_\"a;_b\";_exit_6",
        input: &[],
        status: 6,
        expected: "pecan> echo \"a; b\"\r\na; b\r\npecan> exit 6",
    },
    // Without random numbers of the processor there are none; nothing else is given out for such.
    Case {
        name: "a_processor_without_random_numbers",
        args: "--system kit --cpu max,-rdrand,-rdseed --exec run_crates",
        input: &[],
        status: 0,
        expected: "no random numbers: getrandom: this target is not supported",
    },
    typed("a_program_reads_what_is_typed", "Hello, Jürgen.", &[("", "run ask\nJürgen\nexit 7\n")]),
    typed(
        "a_program_in_the_background_does_not",
        "pecan> echo mine\r\nmine\r\npecan> exit 7",
        &[("", "run ask &\n"), ("ask runs", "echo mine\nexit 7\n")],
    ),
    typed("a_tab_completes", "pecan> programs \r\nhello", &[("", "prog\t\nexit 7\n")]),
    typed(
        "a_line_that_is_too_long_is_not_run",
        "900 bytes and is not run",
        &[("", "LONG\n"), ("not run", "exit 7\n")],
    ),
    typed("many_lines_at_once", "line 99\r\npecan> exit 7", &[("", "MANY"), ("line 99\r", "exit 7\n")]),
    typed(
        "ctrl_c_ends_sleep",
        "^C",
        &[("", "sleep 3000000\n"), ("sleep 3000000", "\x03"), ("^C", "exit 7\n")],
    ),
    typed(
        "ctrl_c_ends_repeat",
        "^C",
        &[("", "repeat 99999999 uptime\n"), (" s\r\n", "\x03"), ("^C", "exit 7\n")],
    ),
    typed(
        "ctrl_c_ends_ping",
        "^C",
        &[("", "ping 10000000\n"), ("ping 10000000", "\x03"), ("^C", "exit 7\n")],
    ),
    typed("ctrl_c_ends_a_program", "^C", &[("", "run nap 3000000\n"), ("nap", "\x03"), ("^C", "exit 7\n")]),
    // Somebody waits for the service, which is component 5.
    Case {
        name: "ctrl_c_ends_only_programs",
        args: "--system hostile",
        input: &[
            ("", "run attacker await 5 &\n"),
            ("attacker runs", "sleep 3000000\n"),
            ("sleep 3000000", "\x03"),
            ("^C", "caps impostor\nexit\n"),
        ],
        status: 0,
        expected: "its own, for those who call it",
    },
    typed(
        "ctrl_c_ends_the_rest_of_a_line",
        "^C\r\npecan> exit 7",
        &[("", "sleep 3000000; echo rest\n"), ("rest", "\x03"), ("^C", "exit 7\n")],
    ),
];

/// A call in which the shell is typed at and ends with status 7.
const fn typed(
    name: &'static str,
    expected: &'static str,
    input: &'static [(&'static str, &'static str)],
) -> Case {
    Case { name, args: "", input, status: 7, expected }
}

/// Files with a space and a comma in their names; removed with this.
struct Odd(PathBuf);

impl Odd {
    fn new(root_task: &Path, kernel: &Kernel) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("pecan run, {}", std::process::id()));
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let odd = Odd(dir);
        fs::copy(root_task, odd.root_task())?;
        fs::copy(&kernel.image, odd.kernel())?;
        Ok(odd)
    }

    fn root_task(&self) -> PathBuf {
        self.0.join("root task,1.elf")
    }

    fn kernel(&self) -> PathBuf {
        self.0.join("kernel mitigations=none,2.elf")
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes every call and counts.
pub fn run(ws: &Workspace, root_task: &Path, kernel: &Kernel, filter: Option<&str>) -> Result<Tally> {
    let mut tally = Tally::default();
    let odd = Odd::new(root_task, kernel)?;
    for case in CASES {
        let name = format!("{PREFIX}{}", case.name);
        if filter.is_some_and(|f| !name.contains(f)) {
            continue;
        }
        match call(ws, case, &odd) {
            Ok(()) => {
                println!("test {name} ... ok");
                tally.passed += 1;
            }
            Err(error) => {
                println!("test {name} ... FAILED\n{error}");
                tally.fail(format!("{name}: {error}"));
            }
        }
    }
    Ok(tally)
}

fn call(ws: &Workspace, case: &Case, odd: &Odd) -> Result<()> {
    let busy = TcpListener::bind("127.0.0.1:0")?;
    let port = busy.local_addr()?.port().to_string();
    let mut xtask = Command::new(std::env::current_exe()?);
    xtask.current_dir(ws.root()).arg("run");
    for arg in case.args.split_whitespace() {
        match arg {
            "ROOT" => xtask.arg(odd.root_task()),
            "KERNEL" => xtask.arg(odd.kernel()),
            // An underscore stands for a space within an argument.
            arg => xtask.arg(arg.replace("PORT", &port).replace('_', " ")),
        };
    }
    let out = odd.0.join("output");
    let file = fs::File::create(&out)?;
    let mut child = xtask
        .stdin(Stdio::piped())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("cannot start xtask")?;
    let mut stdin = child.stdin.take().context("standard input is piped")?;
    let printed = || -> Result<String> { Ok(String::from_utf8_lossy(&fs::read(&out)?).into_owned()) };
    let many: String = (0..100).map(|n| format!("echo line {n}\n")).collect();
    let deadline = Instant::now() + TIME;
    for (after, text) in case.input {
        while !printed()?.contains(after) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = text.replace("LONG", &"x".repeat(3000)).replace("MANY", &many);
        // A call that ends early takes no input.
        let _ = stdin.write_all(text.as_bytes());
    }
    drop(stdin);
    let status = end(&mut child, deadline)?;
    let text = printed()?;
    ensure!(
        status == Some(case.status),
        "it ended with status {status:?} rather than {}:\n{text}",
        case.status
    );
    ensure!(text.contains(case.expected), "it did not print `{}` but:\n{text}", case.expected);
    Ok(())
}

/// Waits for the end of a call; one that takes too long is ended, and has no status.
fn end(child: &mut Child, deadline: Instant) -> Result<Option<i32>> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
