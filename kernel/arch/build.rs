//! Chooses the architecture.

include!("../../abi/arch.rs");

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../abi/arch.rs");
    select_arch();
}
