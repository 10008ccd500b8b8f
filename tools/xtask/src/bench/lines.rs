//! The cache lines that the kernel touches on a round trip: followed instruction by instruction.
//!
//! QEMU's debugger interface stops the machine where the benchmark begins a round trip and steps through it. Of every
//! instruction in the kernel its own lines count, and those of the memory that it reads or writes, as a disassembler
//! tells from the instruction and the registers.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, OpAccess, Register};
use object::{Object, ObjectSymbol};

use crate::qemu::Boot;

/// Bytes of a cache line.
const LINE: u64 = 64;
/// Addresses from here on are the kernel's.
const KERNEL: u64 = 1 << 63;
/// Which of the round trips between these marks is followed: one of those to another address space, not the first.
const HIT: usize = 24;
/// More instructions than any round trip has.
const MOST_STEPS: usize = 20_000;
/// How long the machine may take to get there, or to answer.
const TIME: Duration = Duration::from_secs(60);

/// Distinct lines of code and of data.
pub struct Lines {
    /// Lines that instructions lie in.
    pub code: u64,
    /// Lines that instructions read or write.
    pub data: u64,
}

/// Boots the benchmark under the debugger and follows a round trip.
pub fn measure(boot: &Boot<'_>) -> Result<Lines> {
    let (start, end) = marks(boot.root_task.context("the benchmark is a root task")?)?;
    // The port is free now; nobody else on this machine is expected to take it within the next second.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let boot = Boot { gdb: Some(port), ..*boot };
    let _session = boot.session(false, TIME)?;
    let mut machine = Debugger::connect(port)?;
    machine.run_to(start, HIT)?;
    let (mut code, mut data) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..MOST_STEPS {
        let registers = machine.registers()?;
        if registers.rip == end {
            return Ok(Lines { code: code.len() as u64, data: data.len() as u64 });
        }
        if registers.rip >= KERNEL {
            let bytes = machine.memory(registers.rip, 15)?;
            touched(&bytes, &registers, &mut code, &mut data);
        }
        machine.step()?;
    }
    bail!("the round trip did not end within {MOST_STEPS} instructions")
}

/// Where the round trip that is followed begins and ends in the benchmark program.
fn marks(program: &Path) -> Result<(u64, u64)> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let elf = object::File::parse(bytes.as_slice())?;
    let find = |name: &str| {
        let symbol = elf.symbols().find(|s| s.name() == Ok(name));
        symbol.map(|s| s.address()).with_context(|| format!("{} has no {name}", program.display()))
    };
    Ok((find("bench_lines_start")?, find("bench_lines_end")?))
}

/// Adds the lines of an instruction, and of the kernel memory that it uses.
fn touched(bytes: &[u8], registers: &Registers, code: &mut BTreeSet<u64>, data: &mut BTreeSet<u64>) {
    let instruction = Decoder::with_ip(64, bytes, registers.rip, DecoderOptions::NONE).decode();
    add(code, registers.rip, instruction.len());
    for memory in InstructionInfoFactory::new().info(&instruction).used_memory() {
        if memory.access() == OpAccess::NoMemAccess {
            continue;
        }
        let address = memory.virtual_address(0, |register, _, _| registers.value(register));
        if let Some(address) = address.filter(|a| *a >= KERNEL) {
            add(data, address, memory.memory_size().size().max(1));
        }
    }
}

fn add(lines: &mut BTreeSet<u64>, address: u64, bytes: usize) {
    let last = address.wrapping_add(bytes as u64 - 1);
    lines.extend(address / LINE..=last / LINE);
}

/// The registers that addresses are made of.
struct Registers {
    /// In the processor's numbering, but with rbx in the debugger's place.
    general: [u64; 16],
    rip: u64,
}

impl Registers {
    /// The order in which the debugger interface sends them.
    const ORDER: [Register; 16] = [
        Register::RAX,
        Register::RBX,
        Register::RCX,
        Register::RDX,
        Register::RSI,
        Register::RDI,
        Register::RBP,
        Register::RSP,
        Register::R8,
        Register::R9,
        Register::R10,
        Register::R11,
        Register::R12,
        Register::R13,
        Register::R14,
        Register::R15,
    ];

    fn value(&self, register: Register) -> Option<u64> {
        let at = Self::ORDER.iter().position(|r| *r == register.full_register());
        match at {
            Some(at) => Some(self.general[at]),
            // The bases of the other segments are 0 in 64-bit mode; the kernel does not use FS and GS.
            None if register.is_segment_register() => Some(0),
            None => None,
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| Some(u64::from_le_bytes(bytes.get(i * 8..i * 8 + 8)?.try_into().ok()?));
        let mut general = [0; 16];
        for (i, register) in general.iter_mut().enumerate() {
            *register = word(i)?;
        }
        Some(Registers { general, rip: word(16)? })
    }
}

/// The other side of QEMU's debugger interface (the GDB remote protocol).
struct Debugger(TcpStream);

impl Debugger {
    fn connect(port: u16) -> Result<Self> {
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
    fn run_to(&mut self, address: u64, count: usize) -> Result<()> {
        let set = self.ask(&format!("Z1,{address:x},1"))?;
        if set != "OK" {
            bail!("QEMU sets no breakpoint: {set}");
        }
        for _ in 0..count {
            self.ask("c").context("the machine does not get to the round trip")?;
            if self.registers()?.rip != address {
                bail!("the machine stopped elsewhere");
            }
        }
        self.ask(&format!("z1,{address:x},1"))?;
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        self.ask("s").map(drop)
    }

    fn registers(&mut self) -> Result<Registers> {
        let answer = self.ask("g")?;
        unhex(&answer).and_then(|bytes| Registers::parse(&bytes)).context("QEMU sends no registers")
    }

    fn memory(&mut self, address: u64, bytes: usize) -> Result<Vec<u8>> {
        let answer = self.ask(&format!("m{address:x},{bytes:x}"))?;
        unhex(&answer).with_context(|| format!("QEMU cannot read {address:#x}: {answer}"))
    }

    /// Sends a packet and returns the answer.
    fn ask(&mut self, packet: &str) -> Result<String> {
        self.0.write_all(format!("${packet}#{:02x}", checksum(packet)).as_bytes())?;
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

    #[test]
    fn lines_of_code_and_data_are_told_from_an_instruction() {
        let mut registers = Registers { general: [0; 16], rip: KERNEL + 62 };
        let (mut code, mut data) = (BTreeSet::new(), BTreeSet::new());
        registers.general[7] = KERNEL + 0x1000;
        // push rax; the stack pointer is at the start of a line.
        touched(&[0x50], &registers, &mut code, &mut data);
        assert_eq!(
            (code.len(), data.iter().copied().collect::<Vec<_>>()),
            (1, vec![(KERNEL + 0xff8) / LINE])
        );
        // mov rbx, [rsp + 0x3c]: over the end of a line; the instruction is, too.
        touched(&[0x48, 0x8b, 0x5c, 0x24, 0x3c], &registers, &mut code, &mut data);
        assert_eq!((code.len(), data.len()), (2, 3));
        // lea rbx, [rsp + 0x200] reads nothing, and user memory does not count.
        touched(&[0x48, 0x8d, 0x9c, 0x24, 0, 2, 0, 0], &registers, &mut code, &mut data);
        touched(&[0x48, 0x8b, 0x18], &registers, &mut code, &mut data);
        assert_eq!(data.len(), 3);
    }
}
