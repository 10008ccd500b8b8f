//! `cargo xtask image`: an ISO image that boots Pecan with GRUB, by Multiboot 2.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    Outcome, Target, absolute,
    build::{self, Form},
    doctor,
    paths::Workspace,
    process, qemu, run,
};

/// Options of `cargo xtask image`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// The system to put on it: a file of systems/, without its `.toml`, or the path of a description.
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    system: String,
    /// Put this root task on it instead of Pecan's.
    #[arg(long, value_name = "ELF", conflicts_with = "system")]
    root_task: Option<PathBuf>,
    /// Where to write the image.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What GRUB does: at once, on the serial line and the screen.
const GRUB_CFG: &str = "\
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=0
menuentry Pecan {
    multiboot2 /boot/pecan.elf
    module2 /boot/root-task.elf
    boot
}
";

/// Builds a system and writes an image that PCs with a BIOS boot from a disc or a USB stick.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    args.target.arch.only_pc("`cargo xtask image`")?;
    let out = absolute(&args.out)?;
    let toolchain = doctor::toolchain(ws)?;
    doctor::image_tools()?;
    let root_task = match &args.root_task {
        Some(path) => qemu::existing(path)?,
        None => run::assemble(ws, &toolchain, &args.system, Form::Release)?,
    };
    let kernel = build::kernel(ws, &toolchain, &args.target.profile)?;
    let tree = ws.bare().join("image");
    let write = || -> Result<()> {
        if tree.exists() {
            fs::remove_dir_all(&tree)?;
        }
        fs::create_dir_all(tree.join("boot/grub"))?;
        fs::copy(&kernel.image, tree.join("boot/pecan.elf"))?;
        fs::copy(&root_task, tree.join("boot/root-task.elf"))?;
        fs::write(tree.join("boot/grub/grub.cfg"), GRUB_CFG)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", tree.display()))?;
    let mut grub = Command::new("grub-mkrescue");
    // Only for BIOS, whatever else of GRUB is installed.
    grub.args(["-d", doctor::GRUB_BIOS, "-o"]).arg(&out).arg(&tree);
    process::step("writing the image", &mut grub)?;
    println!("{}: boot it with qemu-system-x86_64 -m 1G -nographic -cdrom", args.out.display());
    Ok(0)
}
