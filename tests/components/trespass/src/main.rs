//! Calls the interface of the initial task through every endpoint that it has, none of which leads there.
#![no_std]
#![no_main]

use pecan_component::{SUPERVISOR, main, println, protocols::ControlClient};

main!(main);

fn main() {
    let endpoints = [
        ("supervisor", SUPERVISOR.endpoint()),
        ("console", roles::CONSOLE.endpoint()),
        ("control", roles::CONTROL.endpoint()),
    ];
    for (role, endpoint) in endpoints {
        let control = ControlClient::new(endpoint);
        match control.component(0) {
            Ok(_) => println!("{role}: it lists the components"),
            Err(error) => println!("{role}: list: {error}"),
        }
        match control.kill("echo") {
            Ok(_) => println!("{role}: it kills"),
            Err(error) => println!("{role}: kill: {error}"),
        }
    }
}
