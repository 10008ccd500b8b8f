//! Chooses the architecture.

include!("arch.rs");

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=arch.rs");
    select_arch();
}
