//! `cargo xtask`: set up a machine for Pecan, build it, run it, test it, measure it and check it.
//!
//! Every command does the set-up it needs by itself; every failure says what to do about it.

mod bench;
mod boot_text;
mod build;
mod check;
mod console;
mod debugger;
mod doc;
mod doctor;
mod fuzz;
mod generate;
mod graph;
mod hostfuzz;
mod image;
mod kernel;
mod multiboot;
mod new;
mod paths;
mod process;
mod profile;
mod qemu;
mod run;
mod shell;
mod system;
mod test;
mod toolchain;
mod ui;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use paths::Workspace;

/// What a command ends with: the status that the process exits with.
pub type Outcome = Result<u8>;

/// What the process exits with when a machine took more time than it had: no command of the system's shell does, and
/// `timeout` of other systems does the same.
const TIME_OVER: u8 = 124;

/// Set Pecan up, build it, run it, test it, measure it and check it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    /// Shows the commands that are run and all that they print.
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and running Pecan needs (as root; otherwise print the command to run).
    Setup,
    /// Report what is missing on this machine, and the command that installs it.
    Doctor,
    /// Build everything and boot it in QEMU, to an interactive shell.
    Run(Box<run::Args>),
    /// Run the test suites; the last line is `N passed, N failed, N skipped`.
    Test(test::Args),
    /// Build only the kernel, for use with other boot loaders and root tasks.
    Kernel(kernel::Args),
    /// Count the instructions of kernel operations and compare them with the budgets.
    Bench(bench::Args),
    /// Make random system calls on the target, and report the outcomes.
    Fuzz(fuzz::Args),
    /// Draw a system: its components, channels, shared memory and devices.
    Graph(graph::Args),
    /// Write a bootable ISO image (GRUB, BIOS).
    Image(image::Args),
    /// Make a component that builds, runs and has a test: a program, a service, a driver, or a program in C.
    New(new::Args),
    /// Build the documentation of the crates that components are written against.
    Doc(doc::Args),
    /// Check format, lints, layering, licences and generated files, and print the kernel's figures.
    Check,
    /// Write the files that are generated from the interface description.
    Generate,
}

/// The processor architectures that Pecan is built for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Arch {
    /// 64-bit PCs.
    #[default]
    #[value(name = "x86_64")]
    X86_64,
    /// Armv8-A, on QEMU's board `virt`.
    #[value(name = "aarch64")]
    AArch64,
}

impl Arch {
    /// The name, as on the command line and in the names of targets and of QEMU.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::AArch64 => "aarch64",
        }
    }

    /// Refuses what only 64-bit PCs have so far.
    pub fn only_pc(self, what: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            self == Arch::X86_64,
            "{what} for {} is not there yet\n  to mend it: leave --arch out",
            self.name()
        );
        Ok(())
    }
}

/// Options that choose what kernel is built.
#[derive(clap::Args, Clone)]
pub struct Target {
    /// Processor architecture.
    #[arg(long, value_enum, default_value = "x86_64")]
    arch: Arch,
    /// Configuration of the kernel: a file of kernel/profiles/, without its `.toml`.
    #[arg(long, default_value = "default")]
    profile: String,
}

/// An output path of the command line, relative to where the command was typed.
fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    Ok(std::path::absolute(path)?)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    ui::set_verbose(cli.verbose);
    let outcome = Workspace::find().and_then(|ws| match cli.command {
        Command::Setup => doctor::setup(&ws),
        Command::Doctor => doctor::doctor(&ws),
        Command::Run(args) => run::run(&ws, &args),
        Command::Test(args) => test::run(&ws, &args),
        Command::Kernel(args) => kernel::run(&ws, &args),
        Command::Bench(args) => bench::run(&ws, &args),
        Command::Fuzz(args) => fuzz::run(&ws, &args),
        Command::Graph(args) => graph::run(&ws, &args),
        Command::Image(args) => image::run(&ws, &args),
        Command::New(args) => new::run(&ws, &args),
        Command::Doc(args) => doc::run(&ws, &args),
        Command::Check => check::run(&ws),
        Command::Generate => generate::run(&ws),
    });
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            ui::error(&error);
            if error.is::<qemu::TimeOver>() { ExitCode::from(TIME_OVER) } else { ExitCode::FAILURE }
        }
    }
}
