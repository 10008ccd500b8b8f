//! Bare-metal builds: the kernel, and user-level programs.

mod outside;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSegment, ObjectSymbol};

use crate::{
    Arch, boot_text,
    paths::Workspace,
    process,
    profile::Profile,
    toolchain::{Purpose, Toolchain, soft_float},
};

/// A built kernel.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// What boot loaders take.
    pub image: PathBuf,
    /// The linker's output, with symbols, for debuggers.
    pub elf: PathBuf,
}

/// Builds the kernel with a profile.
pub fn kernel(ws: &Workspace, toolchain: &Toolchain, name: &str) -> Result<Kernel> {
    let profile = Profile::load(ws, name)?;
    let arch = toolchain.arch();
    let dir = kernel_dir(ws, arch, name);
    let mut cargo = toolchain.cargo(ws, "build", Purpose::Kernel, &dir)?;
    cargo.env("PECAN_PROFILE", name);
    set_hardware_debug(&mut cargo, profile.hardware_debug);
    cargo.args([
        "--profile",
        cargo_profile(&profile),
        "--package",
        "pecan-kernel",
        "--message-format=json-render-diagnostics",
    ]);
    let report = process::step(&format!("building the kernel, profile {name}"), &mut cargo)?;
    let elf = executables(&report)?.remove("pecan-kernel").context(
        "the package pecan-kernel has no program of that name\n  to mend it: see kernel/image/Cargo.toml",
    )?;
    boot_text::check(&fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?)?;
    let image = dir.join("pecan.elf");
    postprocess_kernel(arch, &elf, &image)?;
    Ok(Kernel { image, elf })
}

/// A kernel that was built elsewhere, made ready for boot loaders.
pub fn given_kernel(ws: &Workspace, arch: Arch, elf: &Path) -> Result<Kernel> {
    let image = ws.bare().join("given-kernel.elf");
    fs::create_dir_all(ws.bare())?;
    if object::FileKind::parse(fs::read(elf)?.as_slice()) == Ok(object::FileKind::Elf64) {
        postprocess_kernel(arch, elf, &image)?;
    } else {
        fs::copy(elf, &image)?;
    }
    Ok(Kernel { image, elf: elf.to_path_buf() })
}

/// Where the kernel of a profile is built, and then lies in the form that boot loaders take.
fn kernel_dir(ws: &Workspace, arch: Arch, profile: &str) -> PathBuf {
    ws.bare().join(match arch {
        Arch::X86_64 => format!("kernel-{profile}"),
        other => format!("kernel-{profile}-{}", other.name()),
    })
}

/// Where the linker's output for the kernel of a profile for 64-bit PCs is, once it is built.
pub fn kernel_elf(ws: &Workspace, name: &str, profile: &Profile) -> PathBuf {
    let arch = Arch::X86_64;
    let below = format!("{}/{}/pecan-kernel", soft_float(arch), cargo_profile(profile));
    kernel_dir(ws, arch, name).join(below)
}

/// Cargo's profile for a kernel: a debug kernel is optimised too, but checks its assertions. One that measures itself
/// is built as for products.
pub fn cargo_profile(profile: &Profile) -> &'static str {
    if profile.debug && !profile.measure_latency { "checked" } else { "kernel" }
}

/// Tells `pecan-abi` which form of the interface it describes (its `HARDWARE_DEBUG`).
fn set_hardware_debug(cargo: &mut Command, on: bool) {
    const VARIABLE: &str = "PECAN_HARDWARE_DEBUG";
    if on {
        cargo.env(VARIABLE, "1")
    } else {
        cargo.env_remove(VARIABLE)
    };
}

/// Root tasks that do without floating-point and vector registers: those that measure or test what the kernel does with
/// these, and the initial task of our systems, which is switched to at every fault. The description of a system says
/// which of its components do.
const WITHOUT_FPU: [&str; 4] = ["bench", "conformance", "fuzz", "pecan-init"];

/// What a root task is built for.
pub fn purpose(package: &str) -> Purpose {
    if WITHOUT_FPU.contains(&package) { Purpose::UserWithoutFpu } else { Purpose::User }
}

/// How programs are built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// To be worked on: quickly, with checks of overflow and all other assertions, and with all names for debuggers.
    Develop,
    /// To be used: small and fast. What is measured has this form.
    Release,
}

impl Form {
    /// The one to work on if an option `--develop` is there.
    pub fn of(develop: bool) -> Self {
        if develop { Form::Develop } else { Form::Release }
    }

    /// The name: that of cargo's profile for it, and of folders.
    pub fn name(self) -> &'static str {
        match self {
            Form::Develop => "develop",
            Form::Release => "release",
        }
    }
}

/// A user-level package, and what its program is built for.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// What for.
    pub purpose: Purpose,
    /// Its `Cargo.toml`, if it is none of Pecan's.
    pub outside: Option<&'a Path>,
}

impl<'a> Package<'a> {
    /// A package of Pecan's.
    pub fn of_pecan(name: &'a str, purpose: Purpose) -> Self {
        Package { name, purpose, outside: None }
    }
}

/// Builds user-level packages, each for its purpose, in a form; returns the path of each program.
pub fn programs(
    ws: &Workspace,
    toolchain: &Toolchain,
    what: &str,
    packages: &[Package],
    form: Form,
) -> Result<BTreeMap<(String, Purpose), PathBuf>> {
    programs_for(ws, toolchain, what, packages, form, false)
}

/// [`programs`], for kernels with or without hardware breakpoints: the labels of invocations differ.
fn programs_for(
    ws: &Workspace,
    toolchain: &Toolchain,
    what: &str,
    packages: &[Package],
    form: Form,
    hardware_debug: bool,
) -> Result<BTreeMap<(String, Purpose), PathBuf>> {
    // One folder for all purposes: what only runs while building is built once.
    let mut dir = ws.bare().join(if hardware_debug { "user-hwdebug" } else { "user" });
    if toolchain.arch() != Arch::X86_64 {
        dir.set_file_name(format!("user-{}", toolchain.arch().name()));
    }
    // By the purpose and the folder of the workspace that they are of.
    let mut parts: BTreeMap<(Purpose, Option<PathBuf>), Vec<&str>> = BTreeMap::new();
    for package in packages {
        let folder = package.outside.map(|manifest| outside::workspace(toolchain, manifest)).transpose()?;
        parts.entry((package.purpose, folder)).or_default().push(package.name);
    }
    let mut found = BTreeMap::new();
    for ((purpose, folder), packages) in parts {
        let kind = if purpose == Purpose::UserWithoutFpu { ", without vector registers" } else { "" };
        let place = folder.as_ref().map(|f| format!(", the part in {}", f.display())).unwrap_or_default();
        let mut cargo = toolchain.cargo(ws, "build", purpose, &dir)?;
        if let Some(folder) = &folder {
            outside::configure(ws, &mut cargo, folder)?;
        }
        set_hardware_debug(&mut cargo, hardware_debug);
        cargo.args(["--profile", form.name(), "--message-format=json-render-diagnostics"]);
        for package in packages {
            cargo.args(["--package", package]);
        }
        let report = process::step(&format!("{what}{kind}{place}"), &mut cargo)?;
        found.extend(executables(&report)?.into_iter().map(|(name, path)| ((name, purpose), path)));
    }
    Ok(found)
}

/// Builds packages of root tasks, in the form that is used, for kernels with or without hardware breakpoints; returns the path of each program by
/// its name.
pub fn root_tasks(
    ws: &Workspace,
    toolchain: &Toolchain,
    what: &str,
    packages: &[&str],
    hardware_debug: bool,
) -> Result<BTreeMap<String, PathBuf>> {
    let packages: Vec<_> = packages.iter().map(|p| Package::of_pecan(p, purpose(p))).collect();
    let programs = programs_for(ws, toolchain, what, &packages, Form::Release, hardware_debug)?;
    Ok(programs.into_iter().map(|((name, _), path)| (name, path)).collect())
}

/// Builds the package of a root task and returns its program of the same name.
pub fn root_task(ws: &Workspace, toolchain: &Toolchain, package: &str) -> Result<PathBuf> {
    root_tasks(ws, toolchain, &format!("building {package}"), &[package], false)?
        .remove(package)
        .with_context(|| format!("the package {package} has no program of its name"))
}

/// The programs that cargo reports to have built, by name.
pub fn executables(report: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for message in process::artifacts(report)? {
        if let (Some(path), Some(name)) = (message["executable"].as_str(), message["target"]["name"].as_str())
        {
            found.insert(name.to_string(), PathBuf::from(path));
        }
    }
    Ok(found)
}

/// Makes the file that boot loaders take out of the linker's output.
///
/// A Multiboot 1 loader (QEMU's `-kernel`) refuses a 64-bit ELF unless the Multiboot header says where to load
/// it. With such a header the file is taken as it is; without one its segments are wrapped in a 32-bit ELF. On AArch64 loaders
/// take a Linux image: what is to be in memory, from its first byte on, where its header is.
fn postprocess_kernel(arch: Arch, elf: &Path, image: &Path) -> Result<()> {
    let input = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let output = match crate::multiboot::load_addresses(&input) {
        _ if arch == Arch::AArch64 => memory_of(&input)?,
        Some(true) => input,
        Some(false) => crate::multiboot::wrap_in_elf32(&input)?,
        None => bail!(
            "{} has no Multiboot header in its first 8 KiB\n  to mend it: see the linker script of kernel/image",
            elf.display()
        ),
    };
    if fs::read(image).is_ok_and(|old| old == output) {
        return Ok(());
    }
    fs::write(image, output).with_context(|| format!("cannot write {}", image.display()))
}

/// What an ELF file is to be in memory, up to the last byte that the file holds.
fn memory_of(elf: &[u8]) -> Result<Vec<u8>> {
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(elf)
        .context("the kernel is not a 64-bit ELF file")?;
    let start = elf.segments().map(|s| s.address()).min().context("the kernel has nothing to load")?;
    let mut memory = Vec::new();
    for segment in elf.segments() {
        let (at, data) = ((segment.address() - start) as usize, segment.data()?);
        memory.resize(memory.len().max(at + data.len()), 0);
        memory[at..at + data.len()].copy_from_slice(data);
    }
    Ok(memory)
}

/// Writes a text into the bytes of a symbol in a copy of the program, padded with zeros, if the program has that symbol;
/// returns the program to use.
pub fn with_text(program: &Path, symbol: &str, text: &str, copy: &Path) -> Result<PathBuf> {
    let mut file = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let place = {
        let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(file.as_slice())
            .with_context(|| format!("{} is not a 64-bit ELF file", program.display()))?;
        let symbol = elf.symbols().find(|s| s.name() == Ok(symbol));
        symbol.and_then(|s| {
            // What lies beyond a segment's part of the file is zeroed at start: no text can be put there.
            let segment = elf
                .segments()
                .find(|g| (g.address()..g.address() + g.file_range().1).contains(&s.address()))?;
            Some(((segment.file_range().0 + s.address() - segment.address()) as usize, s.size() as usize))
        })
    };
    let Some((at, size)) = place else { return Ok(program.to_path_buf()) };
    if text.len() >= size {
        bail!("`{text}` is longer than {} bytes", size - 1);
    }
    let bytes = file.get_mut(at..at + size).context("its place lies outside the file")?;
    bytes.fill(0);
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    fs::write(copy, file).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_off_cargos_report() {
        let report = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"a\"},\"executable\":null}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"init\"},\"executable\":\"/t/init\"}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        let found = executables(report).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found["init"], PathBuf::from("/t/init"));
    }
}
