//! Tells the build scripts of programs where the linker script is: `DEP_PECAN_RUNTIME_LINKER_SCRIPT`.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::metadata=LINKER_SCRIPT={here}/link/user.ld");
    println!("cargo::rerun-if-changed=link/user.ld");
    println!("cargo::rerun-if-changed=build.rs");
}
