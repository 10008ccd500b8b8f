//! Uses one protocol three times, at two servers, and tries what none of its roles allows.
#![no_std]
#![no_main]

use pecan_component::{
    main, println,
    protocols::{EchoClient, TimerClient},
    service::CallError,
};

main!(main);

fn main() -> Result<(), CallError> {
    println!("adder: {}", roles::ADDER.client().ping(20)?);
    println!("doubler: {}", roles::DOUBLER.client().ping(20)?);
    println!("echo: {}", roles::ECHO.client().ping(20)?);
    println!("clock: {}, and after 5 {}", roles::CLOCK.client().now()?, roles::CLOCK.client().sleep(5)?);
    println!(
        "a page with adder: {}, to write: {}, with doubler: {}",
        roles::ADDER.page_view().is_some(),
        roles::ADDER.page().is_some(),
        roles::DOUBLER.page_view().is_some()
    );
    // One endpoint serves all roles of the server, but a channel to one of them is none to the others.
    for (name, endpoint) in [("adder", roles::ADDER.endpoint()), ("doubler", roles::DOUBLER.endpoint())] {
        match TimerClient::new(endpoint).now() {
            Ok(time) => println!("{name} as a clock: {time}"),
            Err(error) => println!("{name} as a clock: {error}"),
        }
    }
    match EchoClient::new(roles::CLOCK.endpoint()).ping(1) {
        Ok(value) => println!("clock as an adder: {value}"),
        Err(error) => println!("clock as an adder: {error}"),
    }
    Ok(())
}
