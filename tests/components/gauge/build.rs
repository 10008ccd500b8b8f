//! Passes the linker script of the runtime on, and makes the roles of `Cargo.toml` constants.

fn main() {
    pecan_build::component();
}
