//! What components serve and use, as their crates say.

use std::process::Command;

use anyhow::{Context, Result};
use pecan_manifest::Interface;
use serde::Deserialize;

use super::description::Interfaces;
use crate::{paths::Workspace, process};

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    /// `[package.metadata]`, whatever it is.
    metadata: Option<Tables>,
}

#[derive(Deserialize)]
struct Tables {
    component: Option<serde_json::Value>,
}

/// The interface of every package of the workspace. One that says nothing serves and uses nothing.
pub fn of_packages(ws: &Workspace) -> Result<Interfaces> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(ws.root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_str(&process::output(&mut cargo)?)
        .context("what `cargo metadata` says makes no sense")?;
    let mut interfaces = Interfaces::new();
    for package in metadata.packages {
        let interface = match package.metadata.and_then(|tables| tables.component) {
            Some(table) => Interface::deserialize(table).with_context(|| {
                format!("cannot use `[package.metadata.component]` in the manifest of {}", package.name)
            })?,
            None => Interface::default(),
        };
        interfaces.insert(package.name, interface);
    }
    Ok(interfaces)
}
