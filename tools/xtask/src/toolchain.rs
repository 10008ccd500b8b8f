//! Which compiler builds for bare metal, and how it is called.
//!
//! The libraries `core` and `alloc` are built from their sources, on every machine alike ([`libraries`]): those that rustup
//! installs for a target (`rustup target add`) have the code model and the instructions of that target, which are not those
//! of programs, and linking the two together fails. The sources are rustup's component `rust-src`, or Debian's package
//! `rust-web-src`. The code itself is stable Rust; building the libraries is what needs `RUSTC_BOOTSTRAP`.
//!
//! Of the toolchains here the first that is complete is taken: the one that runs `cargo xtask`, so that
//! `cargo +VERSION xtask` chooses, and then Debian's. One that is newer than what was tried (`versions.toml`) comes last.

mod libraries;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{Arch, paths::Workspace, process};
use libraries::Libraries;

/// A version of Rust: its first two numbers.
type Version = (u32, u32);

/// `versions.toml`: which compilers are supported.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Supported {
    oldest: String,
    newest: String,
}

impl Supported {
    /// The oldest and the newest version.
    fn load() -> Result<(Version, Version)> {
        let Supported { oldest, newest } = toml::from_str(include_str!("../versions.toml"))?;
        let version = |text: &str| parse_version(text).context("tools/xtask/versions.toml has no version");
        Ok((version(&oldest)?, version(&newest)?))
    }
}

/// The version in `1.95`, or in what `rustc --version` prints.
fn parse_version(text: &str) -> Option<Version> {
    let mut numbers = text.trim_start_matches("rustc ").split(['.', '-', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The target of code that uses neither floating-point nor vector registers.
pub const fn soft_float(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64-unknown-none",
        Arch::AArch64 => "aarch64-unknown-none-softfloat",
    }
}

/// The description of the target of all other programs for 64-bit PCs, which the compiler does not know of itself.
pub const HARD_FLOAT_X86_64: &str = "user/targets/x86_64-pecan.json";

/// How C is compiled for programs, on 64-bit PCs.
const C_FLAGS: &str = "-ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
    -mcmodel=small -mno-red-zone";

/// A toolchain that can build for bare metal.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The `bin` folder.
    bin: PathBuf,
    /// Whether `ld.lld` is called by name; otherwise the linker that comes with the compiler is used.
    system_linker: bool,
    /// What it builds for.
    arch: Arch,
}

/// What a build is for: the kernel and the programs differ in where they live in the address space, and in the registers
/// that they may use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Purpose {
    /// The kernel, in the highest 2 GiB, without floating-point and vector registers.
    Kernel,
    /// Programs, in the lowest 2 GiB, with all registers.
    User,
    /// Programs that do without floating-point and vector registers, which need not be switched for them.
    UserWithoutFpu,
}

impl Purpose {
    /// The target, as cargo takes it.
    fn target(self, ws: &Workspace, arch: Arch) -> PathBuf {
        match (self, arch) {
            (Purpose::User, Arch::X86_64) => ws.join(HARD_FLOAT_X86_64),
            (Purpose::User, Arch::AArch64) => "aarch64-unknown-none".into(),
            (Purpose::Kernel | Purpose::UserWithoutFpu, arch) => soft_float(arch).into(),
        }
    }
}

impl Toolchain {
    /// The same toolchain, to build for this architecture.
    pub fn for_arch(self, arch: Arch) -> Self {
        Toolchain { arch, ..self }
    }

    /// What it builds for: 64-bit PCs, unless another architecture was asked for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The first toolchain that serves, or an error that says how to get one.
    pub fn find() -> Result<Self> {
        let system_linker = process::which("ld.lld").is_some();
        let (oldest, newest) = Supported::load()?;
        let mut untried = None;
        for bin in candidates() {
            let Some(rustlib) = rustlib(&bin) else { continue };
            if !has_sources(&rustlib) || !(system_linker || own_linker(&rustlib)) {
                continue;
            }
            let toolchain = Toolchain { bin, system_linker, arch: Arch::X86_64 };
            match parse_version(&toolchain.version()) {
                Some(version) if version > newest => untried = untried.or(Some(toolchain)),
                Some(version) if version >= oldest => return Ok(toolchain),
                _ => {}
            }
        }
        untried.with_context(|| {
            format!(
                "no Rust toolchain here can build for bare metal: it takes Rust {}.{} or later, with the sources of its \
                 libraries\n  to mend it: cargo xtask setup",
                oldest.0, oldest.1
            )
        })
    }

    /// The version, as the compiler says it.
    pub fn version(&self) -> String {
        process::output(rustc(&self.bin).arg("--version"))
            .map_or_else(|_| "a compiler that does not say its version".into(), |v| v.trim().to_string())
    }

    /// One line for the doctor.
    pub fn describe(&self) -> String {
        let version = self.version();
        let newer = Supported::load().is_ok_and(|(_, newest)| parse_version(&version) > Some(newest));
        let note = if newer { ", newer than what was tried" } else { "" };
        format!("{version} in {}{note}", self.bin.display())
    }

    /// The name that rustup knows the toolchain by, if it is one of rustup's.
    pub fn rustup_name(&self) -> Option<String> {
        rustup_name(&self.bin)
    }

    /// Whether clippy is installed with this toolchain.
    pub fn has_clippy(&self) -> bool {
        self.bin.join("cargo-clippy").exists() && self.bin.join("clippy-driver").exists()
    }

    /// `cargo SUBCOMMAND` for bare metal, with a fixed set of flags so that caches hit; `target_dir` is one for each
    /// set of flags. Nothing of the caller's environment that could change the result gets through. Rust's libraries for the
    /// target are built first if they are not there.
    pub fn cargo(
        &self,
        ws: &Workspace,
        subcommand: &str,
        purpose: Purpose,
        target_dir: &Path,
    ) -> Result<Command> {
        let sysroot = Libraries::of(purpose).sysroot(ws, self)?;
        let mut flags = self.flags(ws, purpose);
        flags.push(format!("--sysroot={}", sysroot.display()));
        Ok(self.cargo_for(ws, subcommand, purpose, target_dir, &flags))
    }

    /// [`Toolchain::cargo`], with these flags for the compiler.
    fn cargo_for(
        &self,
        ws: &Workspace,
        subcommand: &str,
        purpose: Purpose,
        target_dir: &Path,
        flags: &[String],
    ) -> Command {
        let mut command = if subcommand == "clippy" {
            // Called by its path: cargo would take the first cargo-clippy on the search path, maybe another toolchain's.
            let mut c = Command::new(self.bin.join("cargo-clippy"));
            c.arg("clippy");
            c
        } else {
            let mut c = Command::new(self.bin.join("cargo"));
            c.arg(subcommand);
            c
        };
        clean(&mut command);
        command.current_dir(ws.root());
        command.env("CARGO", self.bin.join("cargo")).env("RUSTC", self.bin.join("rustc"));
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        command.arg("--target").arg(purpose.target(ws, self.arch)).arg("--target-dir").arg(target_dir);
        command.env("RUSTC_BOOTSTRAP", "1").arg("-Zjson-target-spec");
        // What later compilers will refuse in the libraries is not ours to mend.
        command.env("CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY", "never");
        // For crates that compile C by themselves (`tinyrlibc`): the host's compiler serves, as for components in C
        // (`pecan_build::c`).
        let soft_float = if purpose == Purpose::User { "" } else { " -mgeneral-regs-only" };
        command.env("TARGET_CC", std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        command.env("TARGET_CFLAGS", format!("{C_FLAGS}{soft_float}"));
        if ui_color() {
            command.args(["--color", "always"]);
        }
        command
    }

    /// `cargo` for questions that build nothing.
    pub fn plain_cargo(&self) -> Command {
        let mut command = Command::new(self.bin.join("cargo"));
        clean(&mut command);
        command
    }

    /// What every build says to the compiler, that of the libraries too.
    fn common_flags(&self, ws: &Workspace) -> Vec<String> {
        let mut flags = vec!["-Crelocation-model=static".to_string()];
        if self.system_linker {
            flags.push("-Clinker=ld.lld".into());
        }
        flags.push(format!("--remap-path-prefix={}=.", ws.root().display()));
        flags
    }

    fn flags(&self, ws: &Workspace, purpose: Purpose) -> Vec<String> {
        let mut flags = self.common_flags(ws);
        flags.push(format!("-Ccode-model={}", Libraries::of(purpose).code_model(self.arch)));
        match purpose {
            // No indirect jumps (docs/side-channels.md): a `match` becomes comparisons. Names as the linker script expects
            // them, whatever this compiler would choose.
            Purpose::Kernel => {
                flags.extend(["-Cjump-tables=no", "-Csymbol-mangling-version=v0"].map(String::from));
            }
            // Frame pointers let the supervisor walk the stack of a component that died. The crate `getrandom` is to ask the
            // runtime (`user/runtime/src/crates.rs`).
            Purpose::User | Purpose::UserWithoutFpu => flags.extend(
                ["-Cforce-frame-pointers=yes", "--cfg=getrandom_backend=\"custom\""].map(String::from),
            ),
        }
        flags
    }
}

fn ui_color() -> bool {
    crate::ui::on_terminal()
}

/// `bin` folders of the toolchains to look at, the best one first.
fn candidates() -> Vec<PathBuf> {
    let mut bins: Vec<PathBuf> = running().into_iter().collect();
    bins.push("/usr/bin".into());
    bins.retain(|b| b.join("rustc").exists() && b.join("cargo").exists());
    bins
}

/// The `bin` folder of the toolchain that runs us.
fn running() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").map(PathBuf::from).or_else(|| process::which("cargo"))?;
    cargo.parent().map(Path::to_path_buf)
}

/// The name that rustup knows the toolchain by that runs us, if it is one of rustup's.
pub fn running_rustup_name() -> Option<String> {
    rustup_name(&running()?)
}

/// The name in `.../toolchains/NAME/bin`, if there is a rustup to call it by.
fn rustup_name(bin: &Path) -> Option<String> {
    let folder = bin.parent()?;
    let of_rustup = folder.parent()?.file_name()? == "toolchains" && process::which("rustup").is_some();
    of_rustup.then_some(folder.file_name()?.to_string_lossy().into_owned())
}

/// Whether a toolchain here comes with a linker for bare metal.
pub fn comes_with_linker() -> bool {
    candidates().iter().filter_map(|b| rustlib(b)).any(|rustlib| own_linker(&rustlib))
}

/// The compiler of a toolchain.
fn rustc(bin: &Path) -> Command {
    let mut rustc = Command::new(bin.join("rustc"));
    clean(&mut rustc);
    rustc
}

/// The toolchain's `lib/rustlib`, as its compiler says.
fn rustlib(bin: &Path) -> Option<PathBuf> {
    let sysroot = process::output(rustc(bin).args(["--print", "sysroot"])).ok()?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib"))
}

/// Whether the sources of the libraries lie in the toolchain.
fn has_sources(rustlib: &Path) -> bool {
    rustlib.join("src/rust/library/core/Cargo.toml").is_file()
}

/// Whether the compiler comes with a linker of its own for the target.
fn own_linker(rustlib: &Path) -> bool {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    rustlib.join(host).join("bin/rust-lld").exists()
}

/// Takes away what the environment would change in a build: flags, other compilers, what `cargo run` sets for us.
pub fn clean(command: &mut Command) {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_TERM_", "CARGO_SOURCE_"];
    const TAKEN: [&str; 7] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC",
        "RUSTDOC",
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
        "PECAN_PROFILE",
    ];
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let cargos = name.starts_with("CARGO") && !KEPT.iter().any(|k| name.starts_with(k));
        if cargos || TAKEN.contains(&name.as_str()) {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_libraries_do_not_serve() {
        let dir = std::env::temp_dir().join(format!("pecan-xtask-toolchain-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("x86_64-unknown-none/lib")).unwrap();
        assert!(!has_sources(&dir));
        std::fs::create_dir_all(dir.join("src/rust/library/core")).unwrap();
        std::fs::write(dir.join("src/rust/library/core/Cargo.toml"), "").unwrap();
        assert!(has_sources(&dir));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_oldest_version_is_that_of_the_workspace() {
        let (oldest, newest) = Supported::load().unwrap();
        assert_eq!(Some(oldest), parse_version(env!("CARGO_PKG_RUST_VERSION")));
        assert!(oldest <= newest);
        assert_eq!(parse_version("rustc 1.98.0-nightly (abc 2026-11-01)"), Some((1, 98)));
        assert_eq!(parse_version("a compiler that does not say its version"), None);
    }

    #[test]
    fn a_toolchain_of_rustups_is_known_by_its_folder() {
        if process::which("rustup").is_some() {
            let bin = Path::new("/home/me/.rustup/toolchains/stable-x86_64-unknown-linux-gnu/bin");
            assert_eq!(rustup_name(bin).as_deref(), Some("stable-x86_64-unknown-linux-gnu"));
        }
        assert_eq!(rustup_name(Path::new("/usr/bin")), None);
    }

    #[test]
    fn the_kernel_has_no_jump_tables_and_programs_have_frame_pointers() {
        let toolchain = Toolchain { bin: "/usr/bin".into(), system_linker: true, arch: Arch::X86_64 };
        let ws = Workspace::find().unwrap();
        let has = |purpose, flag: &str| toolchain.flags(&ws, purpose).contains(&flag.to_string());
        assert!(has(Purpose::Kernel, "-Cjump-tables=no") && !has(Purpose::User, "-Cjump-tables=no"));
        assert!(has(Purpose::User, "-Cforce-frame-pointers=yes"));
        assert!(has(Purpose::UserWithoutFpu, "-Cforce-frame-pointers=yes"));
        assert!(has(Purpose::User, "-Clinker=ld.lld"));
    }
}
