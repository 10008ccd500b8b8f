//! Hands the linker its script, that of the architecture.

fn main() {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    println!("cargo:rerun-if-changed=build.rs");
    if var("CARGO_CFG_TARGET_OS") == "none" {
        let script = format!("{}/{}.ld", var("CARGO_MANIFEST_DIR"), var("CARGO_CFG_TARGET_ARCH"));
        println!("cargo:rerun-if-changed={script}");
        println!("cargo:rustc-link-arg-bins=-T{script}");
    }
}
