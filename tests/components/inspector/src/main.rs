//! Asks components what they have of what their description gives them.
#![no_std]
#![no_main]

use pecan_component::{main, println, service::CallError, startup};
use test_kit::{Beginning, ForDevices};

main!(main);

fn main() -> Result<(), CallError> {
    let (kit, small) = (roles::KIT.client(), roles::SMALL.client());
    let mut arguments = startup().arguments();
    match arguments.next() {
        Some("deep") => {
            println!("{} KiB of the small stack", small.stack(6)?);
            match small.stack(20) {
                Ok(kilobytes) => println!("{kilobytes} KiB of the small stack"),
                Err(error) => println!("20 KiB of the small stack: {error}"),
            }
        }
        Some("note") => kit.note(arguments.next().and_then(|a| a.parse().ok()).unwrap_or(0))?,
        _ => {
            // Of 3 MiB that are promised, the allocator takes a little for itself.
            let promised = 3008 << 10;
            println!(
                "heap: {}, and of the small one: {}",
                kit.heap()? >= promised,
                small.heap()? >= promised
            );
            println!("stack: {} KiB", kit.stack(400)?);
            match kit.file("text")? {
                Some(Beginning { line, bytes }) => println!("file: {line} ({bytes} bytes)"),
                None => println!("no file"),
            }
            println!("no other file: {}", kit.file("other")?.is_none());
            println!("registers: {:x?}", kit.register(0)?.map(|word| word >> 16 & 0xffff));
            match kit.dma()? {
                Some(ForDevices { address, bytes, word }) => {
                    println!("for devices: {bytes} bytes, aligned {}, {word}", address.is_multiple_of(bytes))
                }
                None => println!("no memory for devices"),
            }
            println!("the small one has registers: {}", small.register(0)?.is_some());
        }
    }
    Ok(())
}
