//! Does the check bite? Kernels that are wrong in one line must be told from the right one.
//!
//! The sources are copied to a temporary folder, one line of the copy is made wrong, and the family that should see
//! it is explored with the copy. The story that it tells is what a developer would see.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A kernel that is wrong in one line.
pub struct Fault {
    /// What is wrong.
    pub name: &'static str,
    /// The file, from the root of the sources.
    file: &'static str,
    /// The line, or a part of it that occurs once in the file.
    right: &'static str,
    /// What it becomes.
    wrong: &'static str,
    /// The family that sees it.
    family: &'static str,
}

/// The faults that are tried.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "a missing badge check",
        file: "kernel/core/src/ipc/queue.rs",
        right: "ThreadState::BlockedOnSend { badge: b, .. } if b == badge)",
        wrong: "ThreadState::BlockedOnSend { badge: b, .. } if b == badge || true)",
        family: "deletion",
    },
    Fault {
        name: "a queue not unlinked at delete",
        file: "kernel/core/src/delete/mod.rs",
        right: "cancel::cancel_all(k, ep.get(k)).inspect_err(|_| slot.get(k).become_ending())?",
        wrong: "let _ = (ep, cancel::cancel_all);
            Next::Resume",
        family: "deletion",
    },
    Fault {
        name: "a rights mask dropped on mint",
        file: "kernel/core/src/invoke/cnode.rs",
        right: "cap.badged_with_rights(rights)?.with_badge(badge)",
        wrong: "cap.badged_with_rights(pecan_abi::CapRights(rights.0 | 15))?.with_badge(badge)",
        family: "capabilities",
    },
    Fault {
        name: "a budget not charged",
        file: "kernel/core/src/sched/budget.rs",
        right: "        } else {\n            refill::charge(sc, usage);\n        }\n        sc.consumed.set(sc.consumed.get().wrapping_add(usage));\n    }\n}",
        wrong: "        }\n        sc.consumed.set(sc.consumed.get().wrapping_add(usage));\n    }\n}",
        family: "budgets",
    },
    Fault {
        name: "a stale mapping kept",
        file: "kernel/core/src/space/unmap.rs",
        right: "        entry.clear(k);\n        tlb_flush_page(mapping.asid, mapping.vaddr);",
        wrong: "        entry.clear(k);",
        family: "mappings",
    },
    Fault {
        name: "an endpoint that is half deleted lets others in",
        file: "kernel/core/src/delete/mod.rs",
        right: "cancel::cancel_all(k, ep.get(k)).inspect_err(|_| slot.get(k).become_ending())?",
        wrong: "cancel::cancel_all(k, ep.get(k))?",
        family: "stopped queues",
    },
];

/// What a copy of the sources consists of.
const PARTS: [&str; 3] = ["abi", "kernel", "spec"];
/// The packages of the copy's workspace.
const MEMBERS: &str = r#"["abi", "kernel/config", "kernel/arch", "kernel/mem", "kernel/core", "spec"]"#;

/// A copy of the sources, removed when done.
pub struct Copy {
    dir: PathBuf,
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Copy {
    /// Copies the sources.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn new() -> io::Result<Copy> {
        let copy = Copy { dir: std::env::temp_dir().join(format!("pecan-spec-{}", std::process::id())) };
        for part in PARTS {
            copy_tree(&root().join(part), &copy.dir.join(part))?;
        }
        let workspace = fs::read_to_string(root().join("Cargo.toml"))?;
        fs::write(copy.dir.join("Cargo.toml"), with_members(&workspace))?;
        fs::copy(root().join("Cargo.lock"), copy.dir.join("Cargo.lock"))?;
        Ok(copy)
    }

    /// Makes the copy wrong, explores it, and makes it right again. Gives the story.
    ///
    /// # Errors
    /// Why the fault was not seen, in words.
    pub fn bite(&self, fault: &Fault) -> Result<String, String> {
        let path = self.dir.join(fault.file);
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", fault.file))?;
        if text.matches(fault.right).count() != 1 {
            return Err(format!("{} has changed: the line to make wrong is not in it once", fault.file));
        }
        let write = |text: &str| fs::write(&path, text).map_err(|e| format!("{}: {e}", fault.file));
        write(&text.replace(fault.right, fault.wrong))?;
        let result = self.run(fault.family);
        write(&text)?;
        result
    }

    fn run(&self, family: &str) -> Result<String, String> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.dir).args(["run", "--offline", "--quiet", "--package", "pecan-spec"]);
        cargo.args(["--profile", "spec", "--target-dir", "target", "--", "--families", family]);
        // What is built six times is to be built quickly.
        cargo.env("CARGO_PROFILE_SPEC_LTO", "off").env("CARGO_PROFILE_SPEC_CODEGEN_UNITS", "8");
        cargo.env("CARGO_PROFILE_SPEC_OPT_LEVEL", "1").stdin(Stdio::null());
        let out = cargo.output().map_err(|e| format!("cargo cannot be started: {e}"))?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if !text.contains("1 failed") {
            let errors = String::from_utf8_lossy(&out.stderr);
            return Err(format!("it was not seen ({})\n{text}{errors}", out.status));
        }
        Ok(text
            .lines()
            .skip(1)
            .take_while(|l| !l.starts_with("FAILED"))
            .map(|l| format!("    {l}\n"))
            .collect())
    }
}

/// The workspace's description with only the copied packages in it.
fn with_members(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let list = ["members", "default-members"].into_iter().find(|k| line.starts_with(&format!("{k} = [")));
        match list {
            Some(key) => {
                out += &format!("{key} = {MEMBERS}\n");
                if !line.ends_with(']') {
                    lines.by_ref().find(|l| l.starts_with(']'));
                }
            }
            None => out += &format!("{line}\n"),
        }
    }
    out
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true if entry.file_name() == "target" => {}
            true => copy_tree(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_fault_is_of_a_line_that_is_there() {
        for fault in super::FAULTS {
            let text = std::fs::read_to_string(super::root().join(fault.file)).expect("the file is there");
            assert_eq!(text.matches(fault.right).count(), 1, "{}: {}", fault.name, fault.file);
        }
    }

    #[test]
    fn the_copys_workspace_has_the_copied_packages() {
        let text = "[workspace]\nmembers = [\n  \"a\",\n]\ndefault-members = [\"a\"]\n[profile.spec]\n";
        let members = super::MEMBERS;
        let expected =
            format!("[workspace]\nmembers = {members}\ndefault-members = {members}\n[profile.spec]\n");
        assert_eq!(super::with_members(text), expected);
    }
}
