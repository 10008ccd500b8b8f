//! What components serve and use, as their crates say.

use std::{
    collections::BTreeMap,
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

/// Whether a package is a component in C: one that depends on `pecan-c`.
fn is_in_c(manifest: &str) -> bool {
    let depends =
        |line: &str| line.strip_prefix("pecan-c").is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    manifest.lines().any(depends)
}

/// The name in the text of a `Cargo.toml`, if that is one of a package.
pub fn package_name(manifest: &str) -> Option<String> {
    let manifest: toml::Table = manifest.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_string())
}

/// The interface of a package, and where its crate says it.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The interface. A crate that says nothing serves and uses nothing.
    pub interface: Interface,
    /// The name of the package, as the crate says it.
    pub package: Option<String>,
    /// Whether the component is in C.
    pub in_c: bool,
    table: Option<Node>,
}

impl Declared {
    /// Reads the interface of a package out of its manifest.
    pub fn read(reader: &mut Reader, path: &Path, text: &str) -> Result<Self, Problem> {
        let root = reader.table(path, text.to_string());
        let root = root.and_then(|root| root.get("package"));
        let package = root.as_ref().and_then(|root| root.get("name")?.read().ok());
        let table = root.and_then(|root| root.get("metadata")?.get("component"));
        let interface = table.as_ref().map(Node::read).transpose()?.unwrap_or_default();
        Ok(Self { interface, package, in_c: is_in_c(text), table })
    }

    /// Where the crate says what its interface is, if it does.
    pub fn interface_place(&self) -> Option<Place> {
        self.table.as_ref().map(Node::place)
    }

    /// Where the crate says that it has a role: `kind` is `serves` or `uses`.
    pub fn role(&self, kind: &str, role: &str) -> Option<Place> {
        Some(self.table.as_ref()?.get(kind)?.key(role))
    }
}
