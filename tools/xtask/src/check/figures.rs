//! Figures about the kernel: lines, unsafe blocks, sizes.

use std::{fs, path::Path};

use object::{Object, ObjectSection, SectionKind};

use super::rules::File;
use crate::{
    boot_text::{BOOT_MEMORY, BOOT_TEXT},
    build,
    paths::Workspace,
    profile::Profile,
};

/// Folders of the kernel and how they are called; the first folder that holds a file is its own.
const PARTS: [(&str, &str); 7] = [
    ("abi/", "abi"),
    ("kernel/config/", "kernel/config"),
    ("kernel/arch/src/host", "kernel/arch, host port"),
    ("kernel/arch/", "kernel/arch"),
    ("kernel/mem/", "kernel/mem"),
    ("kernel/core/", "kernel/core"),
    ("kernel/image/", "kernel/image"),
];

#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
struct Figures {
    code: usize,
    blocks: usize,
    block_lines: usize,
}

fn measure(files: &[File]) -> Vec<Figures> {
    let mut parts = vec![Figures::default(); PARTS.len()];
    for file in files.iter().filter(|f| !f.is_test() && !f.path.ends_with("build.rs")) {
        let Some(part) = PARTS.iter().position(|(dir, _)| file.path.starts_with(dir)) else { continue };
        let blocks: Vec<_> = file.source.unsafes().into_iter().filter(|u| u.lines > 0).collect();
        parts[part].code += file.source.lines_of_code();
        parts[part].blocks += blocks.len();
        parts[part].block_lines += blocks.iter().map(|b| b.lines).sum::<usize>();
    }
    parts
}

/// Lines of the model of the kernel, and of what it describes.
fn model(files: &[File]) -> (usize, usize) {
    let is_code =
        |f: &&File| !f.is_test() && !f.path.ends_with("tests.rs") && !f.path.ends_with("testing.rs");
    let lines = |folder: &str| -> usize {
        let within = files.iter().filter(is_code).filter(|f| f.path.starts_with(folder));
        within.map(|f| f.source.lines_of_code()).sum()
    };
    (lines("spec/src/model/"), lines("kernel/core/") - lines("kernel/core/src/invariants/"))
}

/// Prints lines of code without comments and tests, and unsafe blocks, by crate of the kernel.
pub fn print(ws: &Workspace, files: &[File]) {
    println!("{:<24}{:>8}{:>16}{:>16}", "kernel", "lines", "unsafe blocks", "lines in them");
    let parts = measure(files);
    let mut sum = Figures::default();
    for ((_, name), part) in PARTS.iter().zip(&parts) {
        println!("{name:<24}{:>8}{:>16}{:>16}", part.code, part.blocks, part.block_lines);
        // The host port is a test bench, not part of any kernel.
        if !name.ends_with("host port") {
            sum.code += part.code;
            sum.blocks += part.blocks;
            sum.block_lines += part.block_lines;
        }
    }
    println!("{:<24}{:>8}{:>16}{:>16}", "x86_64 kernel in all", sum.code, sum.blocks, sum.block_lines);
    let (model, core) = model(files);
    println!(
        "model of the kernel (spec/src/model): {model} lines; kernel/core without the check of its invariants: {core}; \
         ratio {:.2}",
        model as f64 / core as f64
    );
    for (profile, Sizes { text, constants, data, zeroed, boot_text, boot_memory }) in sizes(ws) {
        println!(
            "kernel ELF, profile {profile}: text {text}, constants {constants}, data {data}, zeroed {zeroed}, \
             only to boot {boot_text} and {boot_memory} bytes"
        );
    }
}

/// Bytes of a kernel.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Code that stays.
    pub text: u64,
    /// Constants.
    pub constants: u64,
    /// Data with an initial value other than zero.
    pub data: u64,
    /// Zeroed memory, stacks included.
    pub zeroed: u64,
    /// Code that is given to user level once the kernel has booted.
    pub boot_text: u64,
    /// Other memory that is.
    pub boot_memory: u64,
}

impl Sizes {
    /// Reads them off an ELF file; `None` if there is no such file.
    pub fn of(elf: &Path) -> Option<Self> {
        let file = fs::read(elf).ok()?;
        let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(file.as_slice()).ok()?;
        let mut sizes = Sizes::default();
        for section in elf.sections() {
            *match section.kind() {
                SectionKind::Text if section.name() == Ok(BOOT_TEXT) => &mut sizes.boot_text,
                SectionKind::Text => &mut sizes.text,
                SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => &mut sizes.constants,
                SectionKind::Data => &mut sizes.data,
                SectionKind::UninitializedData if section.name() == Ok(BOOT_MEMORY) => &mut sizes.boot_memory,
                SectionKind::UninitializedData => &mut sizes.zeroed,
                _ => continue,
            } += section.size();
        }
        Some(sizes)
    }
}

/// The sizes of each kernel that has been built.
fn sizes(ws: &Workspace) -> Vec<(String, Sizes)> {
    let names = Profile::names(ws).unwrap_or_default().into_iter();
    names
        .filter_map(|name| {
            let profile = Profile::load(ws, &name).ok()?;
            let sizes = Sizes::of(&build::kernel_elf(ws, &name, &profile))?;
            Some((name, sizes))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::source::Source;

    #[test]
    fn figures_are_kept_by_crate_and_leave_tests_out() {
        let file = |path: &str, text: &str| File { path: path.into(), source: Source::new(text) };
        let parts = measure(&[
            file(
                "kernel/arch/src/x86_64/a.rs",
                "fn a() {\n    // SAFETY: b.\n    unsafe {\n        b()\n    }\n}\n",
            ),
            file("kernel/arch/src/host/a.rs", "fn a() {}\n"),
            file("kernel/core/src/tests.rs", "fn a() {}\n"),
            file("os/init/src/main.rs", "fn a() {}\n"),
        ]);
        assert_eq!(parts[3], Figures { code: 5, blocks: 1, block_lines: 3 });
        assert_eq!(parts[2].code, 1);
        assert_eq!(parts.iter().map(|p| p.code).sum::<usize>(), 6);
    }
}
