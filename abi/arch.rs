// Which architecture a build is for. The build scripts of the crates that depend on it include this file, so that they agree.

/// The architectures that there are.
const ARCHITECTURES: [&str; 3] = ["x86_64", "aarch64", "riscv64"];

/// Sets `cfg(pecan_arch = "...")` for this crate: the target's architecture; on the host what the environment variable
/// `PECAN_ARCH` says, so that tests of the portable kernel can take the numbers of each, or else x86_64.
fn select_arch() {
    println!("cargo:rerun-if-env-changed=PECAN_ARCH");
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let bare = var("CARGO_CFG_TARGET_OS") == "none";
    let arch = match var("PECAN_ARCH") {
        _ if bare => var("CARGO_CFG_TARGET_ARCH"),
        none if none.is_empty() => ARCHITECTURES[0].to_string(),
        chosen => chosen,
    };
    assert!(ARCHITECTURES.contains(&arch.as_str()), "there is no architecture `{arch}`, only {ARCHITECTURES:?}");
    println!("cargo:rustc-check-cfg=cfg(pecan_arch, values({}))", ARCHITECTURES.map(|a| format!("{a:?}")).join(", "));
    println!("cargo:rustc-cfg=pecan_arch={arch:?}");
}
