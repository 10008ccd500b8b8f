//! Passes the linker script of the runtime on.

fn main() {
    let script = std::env::var("DEP_PECAN_RUNTIME_LINKER_SCRIPT").expect("depends on pecan-runtime");
    println!("cargo::rustc-link-arg-bins=-T{script}");
}
