//! The machine's switch: ends QEMU through its debug exit device; restarts a real machine.
#![no_std]
#![no_main]

use pecan_component::{Ports, main, ports, println, protocols::Power, serve, service::Caller};

main!(main);

/// Writing this to the reset control register switches the processor off and on; the bits come one after the other.
const RESET: [u8; 2] = [0x02, 0x06];
/// The keyboard controller's command to pull the processor's reset line, and the bit of its status that says that it
/// does not take commands now.
const PULSE_RESET: u8 = 0xfe;
const INPUT_FULL: u8 = 0x02;

struct Switch {
    /// QEMU's debug exit device: a byte `s` written to it makes QEMU exit with `2 s + 1`.
    exit: Option<Ports>,
    /// The reset control register of the chipset.
    reset: Option<Ports>,
    /// The keyboard controller's command port.
    keyboard: Option<Ports>,
}

impl Power for Switch {
    fn exit(&mut self, caller: Caller, status: u8) {
        if let Some(exit) = &self.exit {
            // Where there is no such device, nothing happens, and we go on.
            let _ = exit.write8(0, status);
        }
        self.restart(caller);
    }

    fn restart(&mut self, _: Caller) {
        if let Some(reset) = &self.reset {
            for value in RESET {
                // As above.
                let _ = reset.write8(0, value);
            }
        }
        if let Some(keyboard) = &self.keyboard {
            for _ in 0..10_000 {
                if keyboard.read8(0).is_ok_and(|status| status & INPUT_FULL == 0) {
                    break;
                }
            }
            // As above.
            let _ = keyboard.write8(0, PULSE_RESET);
        }
        println!("the machine can be neither ended nor restarted");
    }
}

fn main() {
    let mut switch = Switch { exit: ports("exit"), reset: ports("reset"), keyboard: ports("keyboard") };
    serve::<roles::Dispatch, _>(&mut switch, |_, _| ())
}
