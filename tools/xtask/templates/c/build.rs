//! Compiles the component, with the headers of the services that it serves and uses.

fn main() {
    pecan_build::c_component(&["src/main.c"]);
}
