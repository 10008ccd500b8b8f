//! System descriptions: what a system consists of, and the root task image that holds it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths::Workspace;

/// A file of `systems/`.
#[derive(Deserialize, Debug)]
pub struct System {
    /// Package of the initial task.
    pub root: String,
    /// Packages of the components that the initial task starts.
    #[serde(default)]
    pub components: Vec<String>,
}

impl System {
    /// Reads a description by its name.
    pub fn load(ws: &Workspace, name: &str) -> Result<System> {
        let path = ws.join("systems").join(format!("{name}.toml"));
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read the system description {}\n  to mend it: choose one of systems/ with --system",
                path.display()
            )
        })?;
        toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))
    }

    /// Every package that the system needs built.
    pub fn packages(&self) -> Vec<&str> {
        std::iter::once(&self.root).chain(&self.components).map(String::as_str).collect()
    }

    /// Puts the built programs together into the root task's image, in the folder `dir`, and returns its path.
    pub fn assemble(&self, programs: &BTreeMap<String, PathBuf>, _dir: &Path) -> Result<PathBuf> {
        if !self.components.is_empty() {
            bail!("boot archives are not written yet: this system can have no components");
        }
        programs
            .get(&self.root)
            .cloned()
            .with_context(|| format!("the package {} has no program of its name", self.root))
    }
}
