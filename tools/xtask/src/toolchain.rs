//! Which compiler builds for bare metal, and how it is called.
//!
//! Two things are needed: a compiler, and the `core` and `alloc` libraries for the target. The libraries come
//! with the toolchain (`rustup target add x86_64-unknown-none`) or are built from their sources, as with Debian's
//! `rustc-web` and `rust-web-src`. The code itself is stable Rust; building the libraries is what needs
//! `RUSTC_BOOTSTRAP`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{paths::Workspace, process};

/// The bare-metal target for 64-bit PCs.
pub const TARGET: &str = "x86_64-unknown-none";

/// Where the libraries for the target come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Libraries {
    /// They are installed with the toolchain.
    Installed,
    /// They are built from the sources that lie in the toolchain.
    Sources,
}

/// A toolchain that can build for bare metal.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The `bin` folder.
    bin: PathBuf,
    /// Where the libraries come from.
    pub libraries: Libraries,
    /// Whether `ld.lld` is called by name; otherwise the linker that comes with the compiler is used.
    system_linker: bool,
}

/// What a build is for: the kernel and the programs differ in where they live in the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The kernel, in the highest 2 GiB.
    Kernel,
    /// Programs, in the lowest 2 GiB.
    User,
}

impl Toolchain {
    /// The first toolchain that serves, or an error that says how to get one.
    pub fn find() -> Result<Self> {
        let candidates = candidates();
        let system_linker = process::which("ld.lld").is_some();
        for libraries in [Libraries::Installed, Libraries::Sources] {
            for bin in &candidates {
                let Some(rustlib) = rustlib(bin) else { continue };
                if serves(&rustlib, libraries) && (system_linker || own_linker(&rustlib)) {
                    return Ok(Toolchain { bin: bin.clone(), libraries, system_linker });
                }
            }
        }
        bail!("no Rust toolchain here can build for bare metal\n  to mend it: cargo xtask setup")
    }

    /// One line for the doctor.
    pub fn describe(&self) -> String {
        let version =
            process::output(Command::new(self.bin.join("rustc")).arg("--version")).unwrap_or_default();
        let libraries = match self.libraries {
            Libraries::Installed => "libraries installed",
            Libraries::Sources => "libraries built from source",
        };
        format!("{} in {}, {libraries}", version.trim(), self.bin.display())
    }

    /// Whether clippy is installed with this toolchain.
    pub fn has_clippy(&self) -> bool {
        self.bin.join("cargo-clippy").exists() && self.bin.join("clippy-driver").exists()
    }

    /// `cargo SUBCOMMAND` for bare metal, with a fixed set of flags so that caches hit; `target_dir` is one for each
    /// set of flags. Nothing of the caller's environment that could change the result gets through.
    pub fn cargo(&self, ws: &Workspace, subcommand: &str, purpose: Purpose, target_dir: &Path) -> Command {
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
        command.env("CARGO_ENCODED_RUSTFLAGS", self.flags(ws, purpose).join("\u{1f}"));
        command.args(["--target", TARGET, "--target-dir"]).arg(target_dir);
        if self.libraries == Libraries::Sources {
            command.env("RUSTC_BOOTSTRAP", "1");
            let crates = if purpose == Purpose::Kernel { "core" } else { "core,alloc" };
            command.arg(format!("-Zbuild-std={crates}")).arg("-Zbuild-std-features=compiler-builtins-mem");
        }
        if ui_color() {
            command.args(["--color", "always"]);
        }
        command
    }

    fn flags(&self, ws: &Workspace, purpose: Purpose) -> Vec<String> {
        let mut flags = vec!["-Crelocation-model=static".to_string()];
        if self.system_linker {
            flags.push("-Clinker=ld.lld".into());
        }
        match purpose {
            // No indirect jumps (docs/side-channels.md): a `match` becomes comparisons.
            Purpose::Kernel => flags.extend(["-Ccode-model=kernel".into(), "-Cjump-tables=no".into()]),
            // Frame pointers let the supervisor walk the stack of a component that died.
            Purpose::User => flags.extend(["-Ccode-model=small".into(), "-Cforce-frame-pointers=yes".into()]),
        }
        flags.push(format!("--remap-path-prefix={}=.", ws.root().display()));
        flags
    }
}

fn ui_color() -> bool {
    crate::ui::on_terminal()
}

/// `bin` folders of the toolchains to look at: the one that runs us, then Debian's.
fn candidates() -> Vec<PathBuf> {
    let running = std::env::var_os("CARGO").map(PathBuf::from).or_else(|| process::which("cargo"));
    let mut bins: Vec<PathBuf> = running.iter().filter_map(|c| c.parent()).map(Path::to_path_buf).collect();
    bins.push("/usr/bin".into());
    bins.retain(|b| b.join("rustc").exists() && b.join("cargo").exists());
    bins
}

/// The toolchain's `lib/rustlib`, as its compiler says.
fn rustlib(bin: &Path) -> Option<PathBuf> {
    let mut rustc = Command::new(bin.join("rustc"));
    clean(&mut rustc);
    let sysroot = process::output(rustc.args(["--print", "sysroot"])).ok()?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib"))
}

fn serves(rustlib: &Path, libraries: Libraries) -> bool {
    match libraries {
        Libraries::Installed => rustlib.join(TARGET).join("lib").is_dir(),
        Libraries::Sources => rustlib.join("src/rust/library/core/Cargo.toml").is_file(),
    }
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
    fn libraries_are_found_where_the_toolchain_keeps_them() {
        let dir = std::env::temp_dir().join(format!("pecan-xtask-toolchain-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("x86_64-unknown-none/lib")).unwrap();
        assert!(serves(&dir, Libraries::Installed));
        assert!(!serves(&dir, Libraries::Sources));
        std::fs::create_dir_all(dir.join("src/rust/library/core")).unwrap();
        std::fs::write(dir.join("src/rust/library/core/Cargo.toml"), "").unwrap();
        assert!(serves(&dir, Libraries::Sources));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn kernel_and_programs_get_their_own_code_model() {
        let toolchain =
            Toolchain { bin: "/usr/bin".into(), libraries: Libraries::Sources, system_linker: true };
        let ws = Workspace::find().unwrap();
        let of = |purpose| toolchain.flags(&ws, purpose);
        assert!(of(Purpose::Kernel).contains(&"-Ccode-model=kernel".to_string()));
        assert!(of(Purpose::User).contains(&"-Ccode-model=small".to_string()));
        assert!(of(Purpose::User).contains(&"-Clinker=ld.lld".to_string()));
    }
}
