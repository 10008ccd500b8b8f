//! Reading a profile with what it inherits. `build.rs` and `cargo xtask` both include this file, so that they agree.
//!
//! Profiles use the simplest part of TOML (`key = value`, comments), which is read here without a crate so that the
//! kernel's build depends on nothing.

use std::{collections::BTreeMap, fs, path::Path};

/// The key that names the profile whose options apply where this one sets none.
const INHERITS: &str = "inherits";

/// The options of a profile and their values, as TOML writes them: those of the profile, and for the rest those of the
/// profiles that it inherits from. `visit` is given the path of each file that is read.
///
/// # Errors
/// Says which file is wrong, and how: it cannot be read, a line is not `key = value`, a key is set twice, or a profile
/// inherits from itself.
pub fn read(
    folder: &Path,
    name: &str,
    mut visit: impl FnMut(&Path),
) -> Result<BTreeMap<String, String>, String> {
    let mut options = BTreeMap::new();
    let mut chain = vec![name.to_string()];
    loop {
        let name = &chain[chain.len() - 1];
        let path = folder.join(format!("{name}.toml"));
        visit(&path);
        let text = fs::read_to_string(&path).map_err(|e| match chain.len() {
            1 => format!("cannot read {}: {e}", path.display()),
            n => format!("profile `{}` inherits `{name}`, which cannot be read: {e}", chain[n - 2]),
        })?;
        let mut own = parse(&text).map_err(|why| format!("profile `{name}`: {why}"))?;
        let parent = own.remove(INHERITS);
        for (key, value) in own {
            options.entry(key).or_insert(value);
        }
        let Some(parent) = parent else { return Ok(options) };
        let quoted = parent.strip_prefix('"').and_then(|p| p.strip_suffix('"'));
        let parent =
            quoted.ok_or(format!("profile `{name}`: `inherits` is {parent}, not a name in quotes"))?;
        if chain.iter().any(|p| p == parent) {
            return Err(format!(
                "profile `{}` inherits from itself: {} -> {parent}",
                chain[0],
                chain.join(" -> ")
            ));
        }
        chain.push(parent.to_string());
    }
}

/// The options of one file.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut options = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (key, value) =
            line.split_once('=').ok_or(format!("line {number} is not of the form `key = value`: {line}"))?;
        let (key, value) = (key.trim().to_string(), value.trim().to_string());
        if let Some(before) = options.insert(key, value) {
            return Err(format!("line {number} sets again what is {before} already: {line}"));
        }
    }
    Ok(options)
}
