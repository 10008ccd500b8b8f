//! Compiles the part that takes variable arguments, which Rust cannot, and says where the headers are.

fn main() {
    let include = format!("{}/include", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::metadata=INCLUDE={include}");
    pecan_build::c::compile("pecan_c_printf", &["src/printf.c"], &[include]);
}
