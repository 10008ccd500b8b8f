//! Hands the linker its script.

fn main() {
    println!("cargo:rerun-if-changed=kernel.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!(
            "cargo:rustc-link-arg-bins=-T{}/kernel.ld",
            std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo")
        );
    }
}
