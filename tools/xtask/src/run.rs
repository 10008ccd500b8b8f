//! `cargo xtask run`: build, boot in QEMU, and talk to what runs there.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use regex_lite::Regex;

use crate::{
    Outcome, Target,
    build::{self, Form},
    debugger, doctor,
    paths::Workspace,
    process,
    profile::Profile,
    qemu::{self, Boot, End, Machine, Wait},
    shell::Shell,
    system::{self, System},
    toolchain::Toolchain,
    ui,
};

/// Options of `cargo xtask run`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    machine: Machine,
    /// The system to boot: a file of systems/, without its `.toml`, or the path of a description somewhere else.
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    system: String,
    /// Build the programs of the system to be worked on: more quickly, with checks of overflow, and with all names for
    /// debuggers.
    #[arg(long, conflicts_with_all = ["root_task", "package"])]
    develop: bool,
    /// Type these commands at the shell and end with the status of the last.
    #[arg(long, value_name = "CMD; CMD", conflicts_with = "until")]
    exec: Option<String>,
    /// Boot this root task instead of Pecan's.
    #[arg(long, value_name = "ELF", conflicts_with = "system")]
    root_task: Option<PathBuf>,
    /// Boot the program of this package as the root task.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["system", "root_task"])]
    package: Option<String>,
    /// Boot this kernel instead of building one.
    #[arg(long, value_name = "ELF", conflicts_with = "profile")]
    kernel: Option<PathBuf>,
    /// End with success once a line of the console matches.
    #[arg(long, value_name = "REGEX", value_parser = |r: &str| Regex::new(r))]
    until: Option<Regex>,
    /// Give up after so many seconds, with status 124. Without it, 120 with --exec or --until, never otherwise.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Wait for a debugger before the first instruction: on this port, or on 1234, or on any that is free.
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    gdb: Option<u16>,
}

/// Seconds after which a run that nobody watches is given up.
const TIMEOUT: u64 = 120;

/// Builds what the options name, boots it and returns its status.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    let arch = args.target.arch;
    let toolchain = doctor::toolchain(ws)?.for_arch(arch);
    doctor::qemu_for(arch)?;
    if args.root_task.is_none() && args.package.is_none() {
        arch.only_pc("the system")?;
    }
    if args.root_task.is_none() && Profile::load(ws, &args.target.profile)?.hardware_debug {
        bail!(
            "systems are built for kernels without hardware breakpoints, whose labels of invocations differ\n  \
             to mend it: choose another profile, or a root task for this one by --root-task"
        );
    }
    let root_task = || match (&args.root_task, &args.package) {
        (Some(path), _) => qemu::existing(path),
        (None, Some(package)) => build::root_task(ws, &toolchain, package),
        (None, None) => assemble(ws, &toolchain, &args.system, Form::of(args.develop)),
    };
    let kernel = || match &args.kernel {
        Some(elf) => build::given_kernel(ws, arch, &qemu::existing(elf)?),
        None => build::kernel(ws, &toolchain, &args.target.profile),
    };
    let (root_task, kernel) = process::both(root_task, kernel)?;
    let gdb = args.gdb.map(debugger::port).transpose()?;
    if let Some(port) = gdb {
        ui::note(format!(
            "the machine waits for a debugger: gdb {} -ex 'target remote :{port}'",
            kernel.elf.strip_prefix(ws.root()).unwrap_or(&kernel.elf).display()
        ));
    }
    let mut machine = args.machine.clone().for_arch(arch);
    if args.root_task.is_none() && args.package.is_none() {
        machine.offer_memory(System::load(ws, &args.system)?.memory().0);
    }
    let boot = Boot { machine: &machine, kernel: &kernel.image, root_task: Some(&root_task), gdb };
    // A run under a debugger takes as long as it takes.
    let patience = if gdb.is_some() { 24 * 3600 } else { TIMEOUT };
    let timeout = Duration::from_secs(args.timeout.unwrap_or(patience));
    if let Some(text) = &args.exec {
        return Shell::start(boot.session(true, timeout)?)?.run(text);
    }
    if let Some(regex) = &args.until {
        let mut session = boot.session(true, timeout)?;
        let mut seen = 0;
        let wait = session.wait(|c| {
            let new = c.lines().len() - seen;
            seen += new;
            c.lines()[seen - new..].iter().any(|l| regex.is_match(l)).then_some(())
        })?;
        // A last line may lack its end.
        let found = matches!(wait, Wait::Found(())) || regex.is_match(&session.console.partial());
        return if found {
            Ok(0)
        } else {
            Err(session.failure(&wait, &format!("a line that matches `{regex}`")))
        };
    }
    if ui::on_terminal() {
        ui::note("Ctrl-A X leaves");
    }
    match boot.interactive(args.timeout.map(Duration::from_secs))? {
        End::Status(status) => Ok(status),
        // Ctrl-A X switches the machine off, too.
        End::Reset => {
            ui::note("the machine was switched off or reset");
            Ok(0)
        }
        End::Failed => bail!("QEMU failed; what it said stands above"),
    }
}

/// Builds a system, with programs of a form, and puts it together into a root task.
pub fn assemble(ws: &Workspace, toolchain: &Toolchain, name: &str, form: Form) -> Result<PathBuf> {
    let system = System::load(ws, name)?;
    if system.has_c() {
        doctor::cc()?;
    }
    let programs =
        build::programs(ws, toolchain, &format!("building the system {name}"), &system.packages(), form)?;
    let dir = ws.bare().join("systems").join(form.name()).join(folder_of(ws, name)?);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    system.assemble(&programs, &dir)
}

/// The name of the folder in which a system is put together: one for each description, wherever that is.
fn folder_of(ws: &Workspace, system: &str) -> Result<String> {
    let path = system::find(ws, system)?;
    if path.starts_with(ws.join("systems")) {
        return Ok(system.to_string());
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    Ok(path.to_string_lossy().chars().map(plain).collect())
}
