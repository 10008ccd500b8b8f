//! `cargo xtask generate`: the files that are written from the interface description in `abi/`.

mod decoders;
mod reference;
mod stubs;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::{Outcome, paths::Workspace};

/// The longest line of generated code, as `rustfmt.toml` has it.
const MAX_WIDTH: usize = 110;

/// Every generated file: its path below the top folder, and its text.
pub fn generated_files() -> Vec<(PathBuf, String)> {
    let mut files = decoders::files();
    files.extend(stubs::files());
    files.push((PathBuf::from("docs/abi.md"), reference::text()));
    files
}

/// The generated files whose text in the working tree is not what it should be.
pub fn stale(ws: &Workspace) -> Vec<PathBuf> {
    let differs = |(path, text): (PathBuf, String)| match fs::read_to_string(ws.join(&path)) {
        Ok(old) if old == text => None,
        _ => Some(path),
    };
    generated_files().into_iter().filter_map(differs).collect()
}

/// Writes the generated files that are not up to date.
pub fn run(ws: &Workspace) -> Outcome {
    let mut written = 0;
    let stale = stale(ws);
    for (path, text) in generated_files().into_iter().filter(|(p, _)| stale.contains(p)) {
        write(ws, &path, &text)?;
        println!("wrote {}", path.display());
        written += 1;
    }
    if written == 0 {
        println!("generated files are up to date");
    }
    Ok(0)
}

fn write(ws: &Workspace, path: &PathBuf, text: &str) -> Result<()> {
    let full = ws.join(path);
    if let Some(dir) = full.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    }
    fs::write(&full, text).with_context(|| format!("cannot write {}", path.display()))
}
