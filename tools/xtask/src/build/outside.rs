//! Builds of components that are not Pecan's own: packages of other workspaces, whose crates for Pecan are those of this
//! working tree.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item};

use crate::{paths::Workspace, process, toolchain::Toolchain};

/// The profiles that a program is built with. They are Pecan's, whatever the other workspace says: what a supervisor
/// makes of a program that died depends on them.
const PROFILES: [&str; 2] = ["release", "develop"];

/// The folder of the workspace that a package is of, by the package's `Cargo.toml`.
pub fn workspace(toolchain: &Toolchain, manifest: &Path) -> Result<PathBuf> {
    let mut cargo = toolchain.plain_cargo();
    cargo
        .args(["locate-project", "--workspace", "--message-format", "plain", "--manifest-path"])
        .arg(manifest);
    let found = process::output(&mut cargo)?;
    let folder = Path::new(found.trim()).parent().context("cargo says no path of a workspace")?;
    Ok(folder.to_path_buf())
}

/// Lets a build of user-level programs be one of the workspace in a folder.
pub fn configure(ws: &Workspace, cargo: &mut Command, folder: &Path) -> Result<()> {
    cargo.current_dir(folder);
    for setting in profile_settings(ws)? {
        cargo.args(["--config", &setting]);
    }
    Ok(())
}

/// Pecan's profiles as cargo takes them on the command line.
fn profile_settings(ws: &Workspace) -> Result<Vec<String>> {
    let path = ws.join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: DocumentMut = text.parse().with_context(|| format!("cannot use {}", path.display()))?;
    let mut settings = Vec::new();
    for name in PROFILES {
        let profile = manifest.get("profile").and_then(|p| p.get(name)).and_then(Item::as_table);
        let keys = profile
            .into_iter()
            .flat_map(|p| p.iter())
            .filter_map(|(key, item)| Some((key, item.as_value()?)));
        settings
            .extend(keys.map(|(key, value)| format!("profile.{name}.{key}={}", value.to_string().trim())));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_workspaces_are_built_with_the_profiles_of_this_one() {
        let settings = profile_settings(&Workspace::find().unwrap()).unwrap();
        assert!(settings.iter().any(|s| s == "profile.release.panic=\"abort\""), "{settings:?}");
    }
}
