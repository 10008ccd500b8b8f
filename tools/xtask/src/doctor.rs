//! What a machine needs for Pecan: looking for it, and installing it.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    Arch, Outcome,
    paths::Workspace,
    process,
    toolchain::{self, Toolchain},
    ui,
};

/// Something that must be on the machine.
struct Need {
    /// What it is for.
    what: &'static str,
    /// Debian packages that provide it.
    packages: &'static [&'static str],
    /// The component that provides it where the toolchain is rustup's; see [`Need::component_of`].
    component: Option<&'static str>,
    /// Where it was found, or why it was not.
    found: fn() -> Result<String, String>,
}

const QEMU: Need = Need {
    what: "QEMU, to run Pecan",
    packages: &["qemu-system-x86"],
    component: None,
    found: || program("qemu-system-x86_64"),
};

const QEMU_ARM: Need = Need {
    what: "QEMU for AArch64, for `run --arch aarch64`",
    packages: &["qemu-system-arm"],
    component: None,
    found: || program("qemu-system-aarch64"),
};

const LINKER: Need =
    Need { what: "a linker for bare metal", packages: &["lld"], component: None, found: linker };

const TOOLCHAIN: Need = Need {
    what: "Rust for bare metal",
    packages: &["rustc-web", "cargo-web", "rust-web-src"],
    component: Some("rust-src"),
    found: || match Toolchain::find() {
        Ok(toolchain) => Ok(toolchain.describe()),
        Err(_) => Err("no toolchain here has the sources of its libraries, and a linker".into()),
    },
};

/// What everything needs, in the order in which it is looked for.
const NEEDS: [Need; 3] = [QEMU, LINKER, TOOLCHAIN];

/// What only systems with components in C need (`systems/c.toml`).
const CC: Need = Need {
    what: "a C compiler, for components in C",
    packages: &["gcc"],
    component: None,
    found: || program("cc"),
};

/// What only the fuzzer for the host needs, for its library.
const CXX: Need = Need {
    what: "a C++ compiler, for `fuzz --host`",
    packages: &["g++"],
    component: None,
    found: || program("c++"),
};

/// What only `cargo xtask check` needs: the lints of the toolchain that builds for bare metal.
const CLIPPY: Need = Need {
    what: "clippy for bare metal, for `check`",
    packages: &["rust-web-clippy"],
    component: Some("clippy"),
    found: || match Toolchain::find() {
        Ok(toolchain) if toolchain.has_clippy() => Ok("comes with the toolchain above".into()),
        Ok(_) => Err("the toolchain above has none".into()),
        Err(_) => Err("needs Rust for bare metal first".into()),
    },
};

/// What only `cargo xtask check` needs, too.
const RUSTFMT: Need = Need {
    what: "rustfmt, for `check`",
    packages: &["rustfmt-web"],
    component: Some("rustfmt"),
    found: || program("cargo-fmt"),
};

/// What only the estimates of `cargo xtask bench` need; without it they are left out.
const LLVM: Need = Need {
    what: "llvm-mca, for the cycles of `bench`",
    packages: &["llvm"],
    component: None,
    found: || program("llvm-mca"),
};

/// Where GRUB's modules for PCs with a BIOS are.
pub const GRUB_BIOS: &str = "/usr/lib/grub/i386-pc";

/// What only `cargo xtask image` needs.
const IMAGE_NEEDS: [Need; 3] = [
    Need {
        what: "GRUB, for `image`",
        packages: &["grub-common"],
        component: None,
        found: || program("grub-mkrescue"),
    },
    Need {
        what: "GRUB's BIOS modules, for `image`",
        packages: &["grub-pc-bin"],
        component: None,
        found: || {
            let there = Path::new(GRUB_BIOS).is_dir();
            if there { Ok(GRUB_BIOS.into()) } else { Err(format!("{GRUB_BIOS} is not there")) }
        },
    },
    Need {
        what: "ISO tools, for `image`",
        packages: &["xorriso", "mtools"],
        component: None,
        found: || program("xorriso"),
    },
];

fn program(name: &str) -> Result<String, String> {
    process::which(name).map(|p| p.display().to_string()).ok_or(format!("`{name}` is not on the search path"))
}

fn linker() -> Result<String, String> {
    match toolchain::comes_with_linker() {
        true => program("ld.lld").or(Ok("comes with the toolchain".into())),
        false => program("ld.lld"),
    }
}

impl Need {
    /// The rustup toolchain that lacks this as a component: the one that was chosen for bare metal, or else the one that
    /// runs us. `None` where Debian's packages are the way.
    fn component_of(&self) -> Option<(&'static str, String)> {
        let toolchain = match Toolchain::find() {
            Ok(found) => found.rustup_name(),
            Err(_) => toolchain::running_rustup_name(),
        };
        Some((self.component?, toolchain?))
    }
}

/// What a list of needs is short of, by where it comes from.
#[derive(Default, PartialEq, Eq, Debug)]
struct Missing {
    /// Debian packages.
    packages: Vec<&'static str>,
    /// Components of rustup, and the toolchain that lacks them.
    components: Vec<(&'static str, String)>,
    /// Debian packages that serve instead of the components.
    instead: Vec<&'static str>,
}

impl Missing {
    fn of<'a>(needs: impl IntoIterator<Item = &'a Need>) -> Self {
        let mut missing = Missing::default();
        for need in needs.into_iter().filter(|n| (n.found)().is_err()) {
            match need.component_of() {
                Some(component) => {
                    missing.components.push(component);
                    missing.instead.extend(need.packages);
                }
                None => missing.packages.extend(need.packages),
            }
        }
        missing
    }

    fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.components.is_empty()
    }

    /// The commands that install all of it, on this machine and as this user.
    fn how_to_install(&self) -> String {
        let mut commands: Vec<String> =
            self.components.iter().map(|(name, toolchain)| component_command(name, toolchain)).collect();
        if !self.packages.is_empty() {
            commands.push(how_to_install(&self.packages));
        }
        commands.join(" && ")
    }

    /// Installs all of it. Rustup's components need no rights of root; Debian packages do.
    fn install(&self) -> Result<()> {
        let mut packages = self.packages.clone();
        for (name, toolchain) in &self.components {
            let mut rustup = Command::new("rustup");
            rustup.args(["component", "add", name, "--toolchain", toolchain]);
            let added = process::step(&format!("adding {name} to the toolchain {toolchain}"), &mut rustup);
            if let Err(error) = added {
                if !can_install() {
                    return Err(error.context(format!("to mend it: {}", self.how_to_install())));
                }
                ui::note(format!("rustup cannot add {name} ({error}); Debian's packages serve as well"));
                packages.extend(&self.instead);
                break;
            }
        }
        if packages.is_empty() { Ok(()) } else { install(&packages) }
    }
}

fn component_command(name: &str, toolchain: &str) -> String {
    format!("rustup component add {name} --toolchain {toolchain}")
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
    report(&QEMU_ARM, true);
    report(&CC, true);
    report(&CXX, true);
    report(&LLVM, true);
    IMAGE_NEEDS.iter().for_each(|n| report(n, true));
    let optional =
        Missing::of([&CLIPPY, &RUSTFMT, &QEMU_ARM, &CC, &CXX, &LLVM].into_iter().chain(&IMAGE_NEEDS));
    if !optional.is_empty() {
        println!(
            "what is absent is installed when a command needs it, or now: {}",
            optional.how_to_install()
        );
    }
    let missing = Missing::of(&NEEDS);
    if missing.is_empty() {
        println!("everything that `cargo xtask run` and `cargo xtask test` need is there");
        return Ok(0);
    }
    println!("to mend it: {}", missing.how_to_install());
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
    ensure(&[CLIPPY, RUSTFMT, CC])?;
    Toolchain::find()
}

/// Makes sure that QEMU is there, for 64-bit PCs.
pub fn qemu() -> Result<()> {
    ensure(&[QEMU])
}

/// Makes sure that QEMU is there for an architecture.
pub fn qemu_for(arch: Arch) -> Result<()> {
    match arch {
        Arch::X86_64 => qemu(),
        Arch::AArch64 => ensure(&[QEMU_ARM]),
    }
}

/// Makes sure that there is a C compiler.
pub fn cc() -> Result<()> {
    ensure(&[CC])
}

/// Makes sure that there is a C++ compiler.
pub fn cxx() -> Result<()> {
    ensure(&[CXX])
}

/// Makes sure that LLVM's tools are there.
pub fn llvm() -> Result<()> {
    ensure(&[LLVM])
}

/// Makes sure that the tools for images are there.
pub fn image_tools() -> Result<()> {
    ensure(&IMAGE_NEEDS)
}

fn ensure(needs: &[Need]) -> Result<()> {
    let missing = Missing::of(needs);
    if missing.is_empty() {
        return Ok(());
    }
    missing.install()?;
    match Missing::of(needs) {
        still if still.is_empty() => Ok(()),
        still => bail!(
            "what was missing was installed, but something still is\n  to mend it: {}",
            still.how_to_install()
        ),
    }
}

/// Installs Debian packages as root; otherwise says which command to run.
fn install(packages: &[&str]) -> Result<()> {
    if !can_install() {
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
            "install with this system's package manager what Debian has in the packages {}; a toolchain of rustup's \
             with the component rust-src serves as well as Debian's",
            packages.join(" ")
        );
    }
    let command = install_command(packages);
    if is_root() { command } else { format!("sudo sh -c '{command}'") }
}

/// Whether Debian packages can be installed here and now.
fn can_install() -> bool {
    process::which("apt-get").is_some() && is_root()
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let there = Need { what: "there", packages: &["a"], component: None, found: || Ok("here".into()) };
        let absent =
            Need { what: "absent", packages: &["b", "c"], component: None, found: || Err("nowhere".into()) };
        assert_eq!(Missing::of([&there, &absent]).packages, ["b", "c"]);
        assert!(install_command(&["b", "c"]).ends_with(" b c"));
    }

    #[test]
    fn the_container_has_every_package() {
        let text = fs::read_to_string(Workspace::find().unwrap().join("Containerfile")).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        for need in NEEDS.iter().chain([&CLIPPY, &RUSTFMT, &QEMU_ARM, &CC, &CXX]).chain(&IMAGE_NEEDS) {
            for package in need.packages {
                assert!(words.contains(package), "{package}, for {}", need.what);
            }
        }
    }

    #[test]
    fn components_come_from_rustup_and_the_rest_from_debian() {
        let missing = Missing {
            packages: vec!["lld"],
            components: vec![("rust-src", "stable-x86_64-unknown-linux-gnu".into())],
            instead: vec!["rust-web-src"],
        };
        let commands = missing.how_to_install();
        let (rustup, rest) = commands.split_once(" && ").unwrap();
        assert_eq!(rustup, "rustup component add rust-src --toolchain stable-x86_64-unknown-linux-gnu");
        assert!(rest.contains("lld") && !rest.contains("rust-web-src"), "{rest}");
    }
}
