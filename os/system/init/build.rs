//! Passes the linker script of the runtime on, with a larger heap: the initial task keeps the books of all others.

fn main() {
    let script = std::env::var("DEP_PECAN_RUNTIME_LINKER_SCRIPT").expect("depends on pecan-runtime");
    println!("cargo::rustc-link-arg-bins=-T{script}");
    println!("cargo::rustc-link-arg-bins=--defsym=heap_size=0x100000");
}
