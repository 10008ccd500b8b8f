//! QEMU's debugger interface: the other side of the GDB remote protocol, as far as tests and measurements need it.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSymbol};

/// How long the machine may take to get somewhere, or to answer.
const TIME: Duration = Duration::from_secs(60);

/// A port for the interface.
pub fn free_port() -> Result<u16> {
    // It is free now; nobody else on this machine is expected to take it within the next second.
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The port that debuggers expect.
const USUAL_PORT: u16 = 1234;

/// The port for somebody's debugger: the one that is asked for, or with 0 the usual one if it is free, or else any.
pub fn port(wanted: u16) -> Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    match wanted {
        0 if free(USUAL_PORT) => Ok(USUAL_PORT),
        0 => free_port(),
        port if free(port) => Ok(port),
        port => {
            bail!("the port {port} is in use\n  to mend it: give --gdb alone, which takes one that is free")
        }
    }
}

/// The addresses of symbols in a program.
pub fn symbols<const N: usize>(program: &Path, names: [&str; N]) -> Result<[u64; N]> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let elf = object::File::parse(bytes.as_slice())?;
    let mut found = [0; N];
    for (address, name) in found.iter_mut().zip(names) {
        let symbol = elf.symbols().find(|s| s.name() == Ok(name));
        *address =
            symbol.map(|s| s.address()).with_context(|| format!("{} has no {name}", program.display()))?;
    }
    Ok(found)
}

/// The processor's registers.
pub struct Registers {
    /// In the order of the interface: rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15.
    pub general: [u64; 16],
    /// The instruction pointer.
    pub rip: u64,
}

impl Registers {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| Some(u64::from_le_bytes(bytes.get(i * 8..i * 8 + 8)?.try_into().ok()?));
        let mut general = [0; 16];
        for (i, register) in general.iter_mut().enumerate() {
            *register = word(i)?;
        }
        Some(Registers { general, rip: word(16)? })
    }
}

/// A connection to the interface.
pub struct Debugger(TcpStream);

impl Debugger {
    /// Connects, once QEMU listens.
    pub fn connect(port: u16) -> Result<Self> {
        let deadline = Instant::now() + TIME;
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(TIME))?;
                    stream.set_nodelay(true)?;
                    return Ok(Debugger(stream));
                }
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
                Err(e) => return Err(e).context("cannot reach QEMU's debugger interface"),
            }
        }
    }

    /// Runs until the instruction at an address is reached for the `count`-th time.
    pub fn run_to(&mut self, address: u64, count: usize) -> Result<()> {
        self.set_breakpoint(address)?;
        for _ in 0..count {
            if self.go_to_breakpoint()?.rip != address {
                bail!("the machine stopped elsewhere");
            }
        }
        self.clear_breakpoint(address)
    }

    /// Sets a breakpoint.
    pub fn set_breakpoint(&mut self, address: u64) -> Result<()> {
        let set = self.ask(&format!("Z1,{address:x},1"))?;
        if set == "OK" { Ok(()) } else { bail!("QEMU sets no breakpoint: {set}") }
    }

    /// Takes a breakpoint away.
    pub fn clear_breakpoint(&mut self, address: u64) -> Result<()> {
        self.ask(&format!("z1,{address:x},1")).map(drop)
    }

    /// Leaves the instruction where the machine is, and runs to the next one with a breakpoint.
    pub fn go_to_breakpoint(&mut self) -> Result<Registers> {
        // With a breakpoint here the machine would not move.
        self.step()?;
        self.ask("c").context("the machine does not get there")?;
        self.registers()
    }

    /// Lets the machine take interrupts while it executes single instructions; its timers stand still then.
    pub fn interrupt_steps(&mut self) -> Result<()> {
        // Bit 0 is single steps, bit 1 would keep interrupts back, bit 2 keeps timers back.
        let set = self.ask("Qqemu.sstep=5")?;
        if set == "OK" { Ok(()) } else { bail!("QEMU does not let interrupts into single steps: {set}") }
    }

    /// Executes an instruction.
    pub fn step(&mut self) -> Result<()> {
        self.ask("s").map(drop)
    }

    /// The registers.
    pub fn registers(&mut self) -> Result<Registers> {
        let answer = self.ask("g")?;
        unhex(&answer).and_then(|bytes| Registers::parse(&bytes)).context("QEMU sends no registers")
    }

    /// Bytes at an address.
    pub fn memory(&mut self, address: u64, bytes: usize) -> Result<Vec<u8>> {
        let answer = self.ask(&format!("m{address:x},{bytes:x}"))?;
        // An error, `E14`, could be read as digits, too.
        let read = unhex(&answer).filter(|read| read.len() == bytes && answer.len() == 2 * bytes);
        read.with_context(|| format!("QEMU cannot read {address:#x}: {answer}"))
    }

    /// Writes bytes at an address.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = self.ask(&format!("M{address:x},{:x}:{hex}", bytes.len()))?;
        if answer == "OK" { Ok(()) } else { bail!("QEMU cannot write to {address:#x}: {answer}") }
    }

    /// Sets the stack pointer.
    pub fn set_stack(&mut self, address: u64) -> Result<()> {
        const AT: usize = 7 * 16;
        let mut registers = self.ask("g")?;
        if !registers.is_ascii() || registers.len() < AT + 16 {
            bail!("QEMU sends no registers: {registers}");
        }
        registers.replace_range(AT..AT + 16, &format!("{:016x}", address.swap_bytes()));
        self.set_registers(&registers)
    }

    /// Sets all registers, to what QEMU has sent.
    fn set_registers(&mut self, registers: &str) -> Result<()> {
        let set = self.ask(&format!("G{registers}"))?;
        if set == "OK" { Ok(()) } else { bail!("QEMU does not set the registers: {set}") }
    }

    /// Executes instructions that keep to the order in which they stand, and returns the registers after them. They stand
    /// where the machine is for this time; it is put back there, its registers and the code as they were.
    pub fn execute(&mut self, code: &[u8]) -> Result<Registers> {
        let (registers, at) = (self.ask("g")?, self.registers()?.rip);
        let kept = self.memory(at, code.len())?;
        self.write(at, code)?;
        let end = at + code.len() as u64;
        self.set_breakpoint(end)?;
        let after = self.go_to_breakpoint()?;
        if after.rip != end {
            bail!("the machine stopped elsewhere");
        }
        self.clear_breakpoint(end)?;
        self.write(at, &kept)?;
        self.set_registers(&registers)?;
        Ok(after)
    }

    /// Goes on, for good.
    pub fn go_on(&mut self) -> Result<()> {
        self.send("c")
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        Ok(self.0.write_all(format!("${packet}#{:02x}", checksum(packet)).as_bytes())?)
    }

    /// Sends a packet and returns the answer.
    fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        let mut answer = String::new();
        let mut byte = [0];
        let mut next = || -> Result<char> {
            self.0.read_exact(&mut byte)?;
            Ok(char::from(byte[0]))
        };
        while next()? != '$' {}
        loop {
            match next()? {
                '#' => break,
                c => answer.push(c),
            }
        }
        let _ = (next()?, next()?);
        self.0.write_all(b"+")?;
        Ok(answer)
    }
}

fn checksum(packet: &str) -> u8 {
    packet.bytes().fold(0, u8::wrapping_add)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_summed_and_read() {
        assert_eq!(checksum("g"), 0x67);
        assert_eq!(unhex("00ff10"), Some(vec![0, 255, 16]));
        assert_eq!(unhex("0g"), None);
        assert!(Registers::parse(&[0; 100]).is_none());
    }
}
