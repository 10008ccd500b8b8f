//! What components serve and use, as their crates say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use pecan_manifest::Interface;
use serde::Deserialize;

use super::{
    problem::{Place, Problem},
    source::{Node, Reader},
};
use crate::{paths::Workspace, process};

/// The manifests of packages, by their names: the path and the text of each.
pub type Packages = BTreeMap<String, (PathBuf, String)>;

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// The packages of the workspace.
pub fn packages(ws: &Workspace) -> Result<Packages> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(ws.root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_str(&process::output(&mut cargo)?)
        .context("what `cargo metadata` says makes no sense")?;
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let packages = metadata.packages.into_iter();
    packages.map(|p| Ok((p.name, (p.manifest_path.clone(), read(&p.manifest_path)?)))).collect()
}

/// The packages of components in C: those that depend on `pecan-c`.
pub fn packages_in_c(ws: &Workspace) -> Result<BTreeSet<String>> {
    let depends =
        |line: &str| line.strip_prefix("pecan-c").is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    let in_c = packages(ws)?.into_iter().filter(|(_, (_, text))| text.lines().any(depends));
    Ok(in_c.map(|(name, _)| name).collect())
}

/// The interface of a package, and where its crate says it.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The interface. A crate that says nothing serves and uses nothing.
    pub interface: Interface,
    table: Option<Node>,
}

impl Declared {
    /// Reads the interface of a package out of its manifest.
    pub fn read(reader: &mut Reader, path: &Path, text: &str) -> Result<Self, Problem> {
        let root = reader.table(path, text.to_string());
        let table = root.and_then(|root| root.get("package")?.get("metadata")?.get("component"));
        let interface = table.as_ref().map(Node::read).transpose()?.unwrap_or_default();
        Ok(Self { interface, table })
    }

    /// Where the crate says that it has a role: `kind` is `serves` or `uses`.
    pub fn role(&self, kind: &str, role: &str) -> Option<Place> {
        Some(self.table.as_ref()?.get(kind)?.key(role))
    }
}
