//! What a machine needs for Pecan: looking for it, and installing it.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{Outcome, paths::Workspace, process, toolchain::Toolchain};

/// Something that must be on the machine.
struct Need {
    /// What it is for.
    what: &'static str,
    /// Debian packages that provide it.
    packages: &'static [&'static str],
    /// Where it was found, or why it was not.
    found: fn() -> Result<String, String>,
}

const QEMU: Need = Need {
    what: "QEMU, to run Pecan",
    packages: &["qemu-system-x86"],
    found: || program("qemu-system-x86_64"),
};

/// The linker comes first: a toolchain without one does not serve.
const LINKER: Need = Need { what: "a linker for bare metal", packages: &["lld"], found: linker };

const TOOLCHAIN: Need = Need {
    what: "Rust for bare metal",
    packages: &["rustc-web", "cargo-web", "rust-web-src"],
    found: || match Toolchain::find() {
        Ok(toolchain) => Ok(toolchain.describe()),
        Err(_) => {
            Err(format!("no installed toolchain has {} or the library sources", crate::toolchain::TARGET))
        }
    },
};

/// What everything needs, in the order in which it is looked for.
const NEEDS: [Need; 3] = [QEMU, LINKER, TOOLCHAIN];

/// What only the fuzzer for the host needs, for its library.
const CXX: Need =
    Need { what: "a C++ compiler, for `fuzz --host`", packages: &["g++"], found: || program("c++") };

/// What only `cargo xtask check` needs: the lints of the toolchain that builds for bare metal.
const CLIPPY: Need = Need {
    what: "clippy for bare metal, for `check`",
    packages: &["rust-web-clippy"],
    found: || match Toolchain::find() {
        Ok(toolchain) if toolchain.has_clippy() => Ok("comes with the toolchain above".into()),
        Ok(_) => Err("the toolchain above has none".into()),
        Err(_) => Err("needs Rust for bare metal first".into()),
    },
};

/// What only `cargo xtask check` needs, too.
const RUSTFMT: Need =
    Need { what: "rustfmt, for `check`", packages: &["rustfmt-web"], found: || program("cargo-fmt") };

/// Where GRUB's modules for PCs with a BIOS are.
pub const GRUB_BIOS: &str = "/usr/lib/grub/i386-pc";

/// What only `cargo xtask image` needs.
const IMAGE_NEEDS: [Need; 3] = [
    Need { what: "GRUB, for `image`", packages: &["grub-common"], found: || program("grub-mkrescue") },
    Need {
        what: "GRUB's BIOS modules, for `image`",
        packages: &["grub-pc-bin"],
        found: || {
            let there = Path::new(GRUB_BIOS).is_dir();
            if there { Ok(GRUB_BIOS.into()) } else { Err(format!("{GRUB_BIOS} is not there")) }
        },
    },
    Need { what: "ISO tools, for `image`", packages: &["xorriso", "mtools"], found: || program("xorriso") },
];

fn program(name: &str) -> Result<String, String> {
    process::which(name).map(|p| p.display().to_string()).ok_or(format!("`{name}` is not on the search path"))
}

fn linker() -> Result<String, String> {
    // A toolchain is only ever found together with a linker.
    program("ld.lld")
        .or_else(|why| Toolchain::find().map(|_| "comes with the toolchain".into()).map_err(|_| why))
}

/// The packages that a list of needs is short of.
fn missing<'a>(needs: impl IntoIterator<Item = &'a Need>) -> Vec<&'static str> {
    needs.into_iter().filter(|n| (n.found)().is_err()).flat_map(|n| n.packages).copied().collect()
}

/// The one command that installs packages.
fn install_command(packages: &[&str]) -> String {
    format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// `cargo xtask doctor`: lists what is there, what is missing, and the command that mends it.
pub fn doctor(_ws: &Workspace) -> Outcome {
    let report = |need: &Need, optional: bool| match (need.found)() {
        Ok(place) => println!("  ok       {}: {place}", need.what),
        Err(why) => println!("  {}  {}: {why}", if optional { "absent " } else { "MISSING" }, need.what),
    };
    NEEDS.iter().for_each(|n| report(n, false));
    report(&CLIPPY, true);
    report(&RUSTFMT, true);
    report(&CXX, true);
    IMAGE_NEEDS.iter().for_each(|n| report(n, true));
    let optional = missing([&CLIPPY, &RUSTFMT, &CXX].into_iter().chain(&IMAGE_NEEDS));
    if !optional.is_empty() {
        println!(
            "what is absent is installed when a command needs it, or now: {}",
            install_command(&optional)
        );
    }
    let packages = missing(&NEEDS);
    if packages.is_empty() {
        println!("everything that `cargo xtask run` and `cargo xtask test` need is there");
        return Ok(0);
    }
    println!("to mend it: {}", how_to_install(&packages));
    Ok(1)
}

/// `cargo xtask setup`: installs what `run` and `test` need.
pub fn setup(ws: &Workspace) -> Outcome {
    let toolchain = toolchain(ws)?;
    qemu()?;
    println!("ready: {}", toolchain.describe());
    Ok(0)
}

/// The toolchain for bare metal, installed if it is not there.
pub fn toolchain(_ws: &Workspace) -> Result<Toolchain> {
    if let Ok(toolchain) = Toolchain::find() {
        return Ok(toolchain);
    }
    // QEMU comes along, so that a fresh machine is asked for everything at once.
    ensure(&NEEDS)?;
    Toolchain::find()
}

/// The toolchain for bare metal, with what `check` needs, installed if it is not there.
pub fn toolchain_for_checks(ws: &Workspace) -> Result<Toolchain> {
    toolchain(ws)?;
    ensure(&[CLIPPY, RUSTFMT]).context("with rustup: rustup component add clippy rustfmt")?;
    Toolchain::find()
}

/// Makes sure that QEMU is there.
pub fn qemu() -> Result<()> {
    ensure(&[QEMU])
}

/// Makes sure that there is a C++ compiler.
pub fn cxx() -> Result<()> {
    ensure(&[CXX])
}

/// Makes sure that the tools for images are there.
pub fn image_tools() -> Result<()> {
    ensure(&IMAGE_NEEDS)
}

fn ensure(needs: &[Need]) -> Result<()> {
    let packages = missing(needs);
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages)?;
    match missing(needs) {
        still if still.is_empty() => Ok(()),
        still => bail!(
            "{} was installed, but something is still missing\n  to mend it: cargo xtask doctor",
            still.join(" ")
        ),
    }
}

/// Installs Debian packages as root; otherwise says which command to run.
fn install(packages: &[&str]) -> Result<()> {
    if process::which("apt-get").is_none() || !is_root() {
        bail!("this machine lacks {}\n  to mend it: {}", packages.join(", "), how_to_install(packages));
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    };
    process::step("reading Debian's package lists", apt().arg("update"))?;
    let what = format!("installing {}", packages.join(" "));
    process::step(&what, apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
        .with_context(|| {
            format!("cannot install Debian packages\n  to mend it: {}", how_to_install(packages))
        })?;
    Ok(())
}

/// What to do, on this machine and as this user, to get packages.
fn how_to_install(packages: &[&str]) -> String {
    if process::which("apt-get").is_none() {
        return format!(
            "install QEMU and LLVM's linker with this system's package manager, then `rustup target add {}` \
             (on Debian these are the packages {})",
            crate::toolchain::TARGET,
            packages.join(" ")
        );
    }
    let command = install_command(packages);
    if is_root() { command } else { format!("sudo sh -c '{command}'") }
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let there = Need { what: "there", packages: &["a"], found: || Ok("here".into()) };
        let absent = Need { what: "absent", packages: &["b", "c"], found: || Err("nowhere".into()) };
        assert_eq!(missing([&there, &absent]), ["b", "c"]);
        assert!(install_command(&["b", "c"]).ends_with(" b c"));
    }
}
