//! Calls the interface of the initial task through every endpoint that it has, none of which leads there.
#![no_std]
#![no_main]

use pecan_component::{
    channel, main,
    pecan::{Cap, startup::well_known, types::Endpoint},
    println,
    protocols::ControlClient,
};

main!(main);

fn main() {
    for role in [well_known::SUPERVISOR, "console", "control"] {
        let endpoint: Cap<Endpoint> = channel(role).unwrap_or(Cap::NULL);
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
