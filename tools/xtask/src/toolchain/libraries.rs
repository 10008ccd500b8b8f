//! The libraries `core` and `alloc` for bare metal: built once for each target, for every build to take.
//!
//! cargo builds them, for a package that is empty but needs them (`-Z build-std`). The result is laid out as the compiler
//! expects its own libraries, in a folder that it is then given as its `--sysroot`. If instead each build had its own
//! (which is what `-Z build-std` does), the first `cargo xtask run` would build them three times, the tests a dozen times.
//!
//! There is one set for a target, so what is said about code generation is what all its users need: the kernel, which
//! must not have indirect jumps, and programs without vector registers, whose stacks are walked by frame pointers, share one.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};

use super::{Purpose, Toolchain, rustc, rustlib};
use crate::{Arch, paths::Workspace, process};

/// The libraries of one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Libraries {
    /// Without floating-point and vector registers: for the kernel, and programs that do without them.
    SoftFloat,
    /// With all registers, for all other programs.
    HardFloat,
}

impl Libraries {
    /// What a purpose takes.
    pub fn of(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Kernel | Purpose::UserWithoutFpu => Libraries::SoftFloat,
            Purpose::User => Libraries::HardFloat,
        }
    }

    /// A purpose that takes them.
    fn purpose(self) -> Purpose {
        match self {
            Libraries::SoftFloat => Purpose::UserWithoutFpu,
            Libraries::HardFloat => Purpose::User,
        }
    }

    /// The package that is built for their sake. Of what the kernel takes little is on a hot path.
    fn package(self) -> String {
        let level = if self == Libraries::SoftFloat { "\"s\"" } else { "3" };
        format!(
            "[package]\nname = \"libraries\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n\n\
             [profile.release]\npanic = \"abort\"\nopt-level = {level}\ncodegen-units = 1\ndebug = \"line-tables-only\"\n"
        )
    }

    /// How their code is generated, on top of what every build for the target says.
    fn flags(self, arch: Arch) -> Vec<String> {
        // Those who link with optimisation across crates take the bitcode, all others the code.
        let mut flags =
            vec!["-Cembed-bitcode=yes", "-Cforce-frame-pointers=yes", "-Csymbol-mangling-version=v0"];
        if self == Libraries::SoftFloat {
            flags.push("-Cjump-tables=no");
        }
        let mut flags: Vec<String> = flags.into_iter().map(String::from).collect();
        flags.push(format!("-Ccode-model={}", self.code_model(arch)));
        flags
    }

    /// Where code of this kind may lie. What is linked together must say the same.
    ///
    /// On x86_64 addresses of the kernel's model are numbers of 32 bits with their sign: they reach the highest 2 GiB, where
    /// the kernel is, and the lowest 2 GiB, where programs are (System V ABI, AMD64 supplement, section 3.5.1). Of AArch64's
    /// models the small one serves at any address.
    pub fn code_model(self, arch: Arch) -> &'static str {
        match (self, arch) {
            (Libraries::SoftFloat, Arch::X86_64) => "kernel",
            _ => "small",
        }
    }

    /// The folder that the compiler takes as its `--sysroot`, for this toolchain. They are built if they are not there.
    pub fn sysroot(self, ws: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
        // Of two builds at the same time one waits until the other has built them. In other processes, too.
        static BUILDING: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
        let _guard = BUILDING[self as usize].lock().unwrap_or_else(PoisonError::into_inner);

        let target = self.purpose().target(ws, toolchain.arch);
        let target = target.file_stem().context("a target has a name")?.to_string_lossy().into_owned();
        let all = ws.bare().join("libraries");
        let sysroot = all.join(format!("{target}-{:016x}", self.key(toolchain)));
        if sysroot.is_dir() {
            return Ok(sysroot);
        }
        let work = all.join(&target);
        fs::create_dir_all(&work).with_context(|| format!("cannot make the folder {}", work.display()))?;
        let lock = fs::File::create(work.join("lock"))?;
        lock.lock().context("cannot lock the folder of the libraries")?;
        if sysroot.is_dir() {
            return Ok(sysroot);
        }
        let built = self.build(ws, toolchain, &work, &target)?;
        lay_out(toolchain, &built, &target, &work.join("sysroot"))?;
        fs::rename(work.join("sysroot"), &sysroot)
            .with_context(|| format!("cannot name the folder {}", sysroot.display()))?;
        // All that cargo left behind would only fill the disk.
        fs::remove_dir_all(work.join("target"))?;
        Ok(sysroot)
    }

    /// A number that changes with all that the result depends on.
    fn key(self, toolchain: &Toolchain) -> u64 {
        let mut hasher = DefaultHasher::new();
        let verbose =
            process::output(rustc(&toolchain.bin).arg("--verbose").arg("--version")).unwrap_or_default();
        (verbose, &toolchain.bin, self.package(), self.flags(toolchain.arch)).hash(&mut hasher);
        hasher.finish()
    }

    /// Builds them in a folder, and returns the files of the libraries.
    fn build(
        self,
        ws: &Workspace,
        toolchain: &Toolchain,
        folder: &Path,
        target: &str,
    ) -> Result<Vec<PathBuf>> {
        fs::write(folder.join("Cargo.toml"), self.package())?;
        fs::write(folder.join("lib.rs"), "#![no_std]\nextern crate alloc;\n")?;
        let mut cargo = self.command(ws, toolchain, folder);
        let report = process::step(&format!("building Rust's libraries for {target}"), &mut cargo)?;
        let mut found = Vec::new();
        for message in process::artifacts(&report)? {
            let files = message["filenames"].as_array().into_iter().flatten().filter_map(|f| f.as_str());
            found.extend(files.filter(|f| f.ends_with(".rlib")).map(PathBuf::from));
        }
        for name in ["core", "alloc", "compiler_builtins"] {
            let start = format!("lib{name}-");
            let is = |f: &PathBuf| f.file_name().is_some_and(|f| f.to_string_lossy().starts_with(&start));
            ensure!(found.iter().any(is), "cargo built no library `{name}` for {target}");
        }
        Ok(found)
    }

    fn command(self, ws: &Workspace, toolchain: &Toolchain, folder: &Path) -> Command {
        let mut flags = toolchain.common_flags(ws);
        flags.extend(self.flags(toolchain.arch));
        let mut cargo = toolchain.cargo_for(ws, "build", self.purpose(), &folder.join("target"), &flags);
        cargo.current_dir(folder).args(["--release", "--message-format=json-render-diagnostics"]);
        cargo.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"]);
        cargo
    }
}

/// Copies libraries to where the compiler looks for them below its `--sysroot`, beside its own tools.
fn lay_out(toolchain: &Toolchain, libraries: &[PathBuf], target: &str, sysroot: &Path) -> Result<()> {
    if sysroot.exists() {
        fs::remove_dir_all(sysroot)?;
    }
    let into = sysroot.join("lib/rustlib").join(target).join("lib");
    fs::create_dir_all(&into).with_context(|| format!("cannot make the folder {}", into.display()))?;
    for library in libraries {
        let name = library.file_name().context("a library has a name")?;
        fs::copy(library, into.join(name)).with_context(|| format!("cannot copy {}", library.display()))?;
    }
    // The linker that comes with rustup's toolchains lies with the libraries of the host.
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    if let Some(own) = rustlib(&toolchain.bin).map(|r| r.join(&host)).filter(|own| own.is_dir()) {
        symlink(own, sysroot.join("lib/rustlib").join(host))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_together_has_one_code_model() {
        for purpose in [Purpose::Kernel, Purpose::User, Purpose::UserWithoutFpu] {
            for arch in [Arch::X86_64, Arch::AArch64] {
                let model = format!("-Ccode-model={}", Libraries::of(purpose).code_model(arch));
                let toolchain = Toolchain { bin: "/usr/bin".into(), system_linker: true, arch };
                assert!(toolchain.flags(&Workspace::find().unwrap(), purpose).contains(&model));
                assert!(Libraries::of(purpose).flags(arch).contains(&model));
            }
        }
    }

    #[test]
    fn they_are_built_anew_when_what_they_depend_on_changes() {
        let x86_64 = Toolchain { bin: "/usr/bin".into(), system_linker: true, arch: Arch::X86_64 };
        let other = Toolchain { bin: "/opt/bin".into(), ..x86_64.clone() };
        assert_eq!(Libraries::SoftFloat.key(&x86_64), Libraries::SoftFloat.key(&x86_64));
        assert_ne!(Libraries::SoftFloat.key(&x86_64), Libraries::SoftFloat.key(&other));
        assert_ne!(Libraries::SoftFloat.key(&x86_64), Libraries::HardFloat.key(&x86_64));
    }

    #[test]
    fn they_are_built_from_their_sources() {
        let toolchain = Toolchain { bin: "/usr/bin".into(), system_linker: true, arch: Arch::X86_64 };
        let ws = Workspace::find().unwrap();
        for libraries in [Libraries::SoftFloat, Libraries::HardFloat] {
            let cargo = process::shown(&libraries.command(&ws, &toolchain, Path::new("target")));
            assert!(cargo.contains("-Zbuild-std=core,alloc"), "{cargo}");
        }
    }
}
