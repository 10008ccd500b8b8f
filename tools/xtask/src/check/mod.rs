//! `cargo xtask check`: the rules of the house, mechanically.

pub mod figures;
mod layers;
mod licences;
mod loops;
mod pages;
mod rules;
mod source;

use std::process::Command;

use anyhow::Result;
use pecan_abi::label::{ARCHITECTURES, X86_64};

use crate::{
    Arch, Outcome, build, doc, doctor, generate,
    paths::Workspace,
    process,
    profile::Profile,
    toolchain::{self, Purpose, Toolchain},
};
use rules::{House, Metadata};

/// Runs every check, then prints the kernel's figures.
pub fn run(ws: &Workspace) -> Outcome {
    let toolchain = doctor::toolchain_for_checks(ws)?;
    let house = House::load(ws)?;
    let files = rules::rust_files(ws)?;
    let metadata = Metadata::load(ws)?;
    let mut report = Report::default();
    report.findings("layering", rules::layering(&house, &files));
    report.findings("files of the same names", rules::same_files(&house, &files));
    report.findings("layers of the portable kernel", layers::kept(&house.core_layers, &files));
    report.findings("SAFETY comments", rules::explained(&files));
    report.findings("the seal of the kernel's memory", rules::sealed(&house, &files));
    report.findings("length of files", rules::lengths(&house, &files));
    report.findings("every loop of the kernel listed", loops::listed(ws, &files));
    report.findings("dependencies of the kernel", rules::directions(&house, &metadata));
    report.findings("a README in every crate", rules::readmes(ws, &metadata));
    report.findings("links and named files of the pages", pages::sound(&pages::Tree::read(ws)?));
    report.findings("licences of dependencies", rules::licences(&house, &metadata));
    let stale = generate::stale(ws).into_iter();
    report.findings(
        "generated files",
        stale.map(|p| format!("{} is not fresh: run `cargo xtask generate`", p.display())).collect(),
    );
    report.findings("format", format(ws));
    report.result("lints on the host", host_lints(ws, &house));
    report.result("everything on the host", everything(ws));
    report.result("the portable kernel for other architectures", other_architectures(ws));
    report.result("documentation", documentation(ws));
    report.result("documentation of what components are written against", doc::check(ws));
    report.result("lints on bare metal", bare_metal_lints(ws, &toolchain, &house, &metadata));
    figures::print(ws, &files);
    println!("longest chain of uses: {}", layers::longest_chain(&house.core_layers, &files).join(" > "));
    if report.failed.is_empty() {
        println!("all checks passed");
        return Ok(0);
    }
    println!("failed: {}", report.failed.join(", "));
    Ok(1)
}

#[derive(Default)]
struct Report {
    failed: Vec<&'static str>,
}

impl Report {
    fn findings(&mut self, what: &'static str, findings: Vec<String>) {
        if findings.is_empty() {
            println!("ok    {what}");
            return;
        }
        println!("FAIL  {what}");
        findings.iter().for_each(|f| println!("      {f}"));
        self.failed.push(what);
    }

    fn result(&mut self, what: &'static str, result: Result<()>) {
        let findings = result.err().map(|e| format!("{e:#}")).into_iter().collect();
        self.findings(what, findings);
    }
}

fn host_cargo(ws: &Workspace) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    toolchain::clean(&mut cargo);
    cargo.current_dir(ws.root());
    cargo
}

fn format(ws: &Workspace) -> Vec<String> {
    let mut cargo = host_cargo(ws);
    cargo.args(["fmt", "--all", "--check", "--", "--files-with-diff"]);
    let out = match cargo.output() {
        Ok(out) if out.status.success() => return Vec::new(),
        Ok(out) => out,
        Err(error) => return vec![format!("cannot start cargo fmt: {error}")],
    };
    let files = String::from_utf8_lossy(&out.stdout).into_owned();
    let relative = |f: &str| {
        std::path::Path::new(f).strip_prefix(ws.root()).map_or(f.to_string(), |p| p.display().to_string())
    };
    let mut wrong: Vec<String> =
        files.lines().map(|f| format!("{}: run `cargo fmt --all`", relative(f))).collect();
    if wrong.is_empty() {
        wrong.push(String::from_utf8_lossy(&out.stderr).trim().to_string());
    }
    wrong.dedup();
    wrong
}

fn host_lints(ws: &Workspace, house: &House) -> Result<()> {
    let mut cargo = host_cargo(ws);
    // Warnings are not denied to clippy but counted by us: denied, they would hide those of the crates above.
    cargo.args(["clippy", "--all-targets"]);
    process::strict_step("linting for the host", &mut cargo)?;
    let mut cargo = host_cargo(ws);
    cargo.args(["clippy", "--all-targets"]);
    house.host_packages.iter().for_each(|p| {
        cargo.args(["--package", p]);
    });
    process::strict_step("linting what the host builds apart", &mut cargo)
}

/// Compiles all crates on the host, those for bare metal, too: what editors do (rust-analyzer), and `cargo check` in a folder.
fn everything(ws: &Workspace) -> Result<()> {
    let mut cargo = host_cargo(ws);
    cargo.args(["check", "--workspace", "--all-targets"]);
    process::strict_step("compiling everything on the host", &mut cargo)
}

/// Compiles the portable kernel on the host with the formats and the interface of every architecture but x86_64, with which
/// the host's tests are built.
fn other_architectures(ws: &Workspace) -> Result<()> {
    let mut result = Ok(());
    for architecture in ARCHITECTURES.iter().filter(|a| a.name != X86_64.name) {
        let name = architecture.name;
        let mut cargo = host_cargo(ws);
        cargo.args(["check", "--package", "pecan-core", "--target-dir"]);
        cargo.arg(ws.root().join(format!("target/host-{name}"))).env("PECAN_ARCH", name);
        result = result.and(process::strict_step(&format!("compiling for {name} on the host"), &mut cargo));
    }
    result
}

fn documentation(ws: &Workspace) -> Result<()> {
    let mut cargo = host_cargo(ws);
    cargo.args(["doc", "--no-deps"]);
    process::strict_step("building the documentation", &mut cargo)
}

/// Lints the crates that only build for bare metal, the kernel's with the kernel's settings.
fn bare_metal_lints(ws: &Workspace, toolchain: &Toolchain, house: &House, metadata: &Metadata) -> Result<()> {
    let (kernel, user): (Vec<_>, Vec<_>) =
        metadata.bare_metal(house).map(|p| p.name.as_str()).partition(|name| *name == "pecan-kernel");
    let mut result = Ok(());
    let aarch64 = toolchain.clone().for_arch(Arch::AArch64);
    for (what, toolchain, purpose, packages, dir) in [
        ("linting the kernel", toolchain, Purpose::Kernel, &kernel, "kernel-default"),
        ("linting the kernel for aarch64", &aarch64, Purpose::Kernel, &kernel, "kernel-default-aarch64"),
        ("linting user level", toolchain, Purpose::User, &user, "user"),
    ] {
        if packages.is_empty() {
            continue;
        }
        let mut cargo = toolchain.cargo(ws, "clippy", purpose, &ws.bare().join(dir))?;
        if purpose == Purpose::Kernel {
            cargo.args(["--profile", build::cargo_profile(&Profile::load(ws, "default")?)]);
        } else {
            cargo.arg("--release");
        }
        packages.iter().for_each(|p| {
            cargo.args(["--package", p]);
        });
        result = result.and(process::strict_step(what, &mut cargo));
    }
    result
}
