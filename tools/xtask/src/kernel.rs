//! `cargo xtask kernel`: only the kernel, for other people's boot loaders and root tasks.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::{Arch, Outcome, Target, absolute, build, doctor, paths::Workspace, profile::Profile};

/// Options of `cargo xtask kernel`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Where to write the kernel; its configuration goes to FILE.config.json.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Builds the kernel and writes it and its configuration.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    let out = absolute(&args.out)?;
    let profile = Profile::load(ws, &args.target.profile)?;
    let arch = args.target.arch;
    let toolchain = doctor::toolchain(ws)?.for_arch(arch);
    let kernel = build::kernel(ws, &toolchain, &args.target.profile)?;
    fs::copy(&kernel.image, &out).with_context(|| format!("cannot write {}", out.display()))?;
    let mut config_path = out.clone().into_os_string();
    config_path.push(".config.json");
    let config_path = PathBuf::from(config_path);
    write_config(&profile, arch, &config_path)?;
    println!("{}: the kernel for {}, profile {}", args.out.display(), arch.name(), args.target.profile);
    println!("{}.config.json: its configuration", args.out.display());
    Ok(0)
}

fn write_config(profile: &Profile, arch: Arch, path: &std::path::Path) -> Result<()> {
    let mut text = serde_json::to_string_pretty(&profile.config(arch))?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
