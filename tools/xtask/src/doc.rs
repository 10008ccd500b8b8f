//! `cargo xtask doc`: the documentation of the crates that components are written against.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{Outcome, paths::Workspace, process, toolchain};

/// Options of `cargo xtask doc`.
#[derive(clap::Args)]
pub struct Args {
    /// Show it in a browser.
    #[arg(long)]
    open: bool,
}

/// The crates that components are written against; where to start comes first.
const CRATES: [&str; 9] = [
    "pecan-component",
    "pecan-service",
    "pecan-protocols",
    "pecan-runtime",
    "pecan-build",
    "pecan-c",
    "pecan-manifest",
    "pecan-supervision",
    "pecan",
];

/// Builds the documentation, and says where it is.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    process::step("building the documentation", &mut cargo(ws))?;
    let [first, ..] = CRATES;
    if args.open {
        let mut cargo = cargo(ws);
        let status = cargo.args(["--open", "--package", first]).status();
        return Ok(u8::from(!status.context("cannot start cargo")?.success()));
    }
    println!("{}", ws.join(format!("target/doc/{}/index.html", first.replace('-', "_"))).display());
    Ok(0)
}

/// Whether it can be built without a warning.
pub fn check(ws: &Workspace) -> Result<()> {
    process::strict_step("building the documentation of what components are written against", &mut cargo(ws))
}

fn cargo(ws: &Workspace) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    toolchain::clean(&mut cargo);
    cargo.current_dir(ws.root()).args(["doc", "--no-deps"]);
    CRATES.iter().for_each(|name| _ = cargo.args(["--package", name]));
    cargo
}
