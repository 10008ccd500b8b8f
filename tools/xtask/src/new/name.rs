//! What a component can be called.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use super::{Kind, template};
use crate::{paths::Workspace, system};

/// The most letters of a component's name (`pecan_manifest::ComponentName`).
const COMPONENT_MAX: usize = 18;
/// The most letters of a role's name (`pecan_manifest::RoleName`), which that of a service is for its client.
const ROLE_MAX: usize = 16;
/// What a crate cannot be called: words of Rust, and crates that are there without being asked for.
const WORDS: [&str; 56] = [
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue", "core",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
    "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "self", "static", "std", "struct", "super", "test", "trait", "true", "try", "type", "typeof", "union",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];
/// What the trait of a service cannot be called: types that its files use.
const TYPES: [&str; 8] = ["caller", "clock", "irq", "later", "option", "owed", "ports", "state"];

/// Whether a component of a kind can be called so.
pub fn check(ws: &Workspace, kind: Kind, name: &str) -> Result<()> {
    let most = if kind.has_client() {
        ROLE_MAX.min(COMPONENT_MAX - template::client("").len())
    } else {
        COMPONENT_MAX
    };
    let small = |c: char| c.is_ascii_lowercase();
    let allowed = |c: char| small(c) || c.is_ascii_digit() || c == '-';
    ensure!(
        name.starts_with(small) && name.chars().all(allowed) && !name.ends_with('-') && !name.contains("--"),
        "`{name}` is not a name for a component\n  to mend it: write small letters, digits and single `-`, a letter first"
    );
    ensure!(
        name.len() <= most,
        "`{name}` is longer than {most} letters\n  to mend it: choose a shorter name"
    );
    if WORDS.contains(&name) || kind.has_client() && TYPES.contains(&name) {
        bail!(
            "`{name}` means something else in Rust, or in the files of a component\n  to mend it: choose another name"
        );
    }
    if name == pecan_manifest::INIT {
        bail!("`{name}` is the initial task\n  to mend it: choose another name");
    }
    let known = packages(ws)?;
    for package in [name.to_string(), template::client(name)] {
        ensure!(
            !known.contains(&package),
            "there is a package `{package}` already, of Pecan's or among those that it uses\n  to mend it: choose \
             another name"
        );
    }
    Ok(())
}

/// The names of all packages that Pecan consists of and uses. What was made and not built yet is not in `Cargo.lock`.
fn packages(ws: &Workspace) -> Result<Vec<String>> {
    let path = ws.join("Cargo.lock");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let names = text.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    Ok(names.map(str::to_string).chain(system::packages(ws)?).collect())
}
