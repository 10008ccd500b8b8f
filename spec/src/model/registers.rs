//! The registers of threads (manual 6.1.2, 6.1.14): those of the ABI's user context, in its order.

use pecan_abi::{Label, UserContext};

use super::{Answer, Cap, Doing, Failure, Invocation, Name, Step, illegal, invalid_capability, range};

/// Where a register is in [`Registers`], by what the ABI uses it for.
pub mod register {
    /// The instruction that entered the kernel.
    pub const IP: usize = 0;
    /// The stack pointer.
    pub const SP: usize = 1;
    /// The processor's flags.
    pub const FLAGS: usize = 2;
    /// The message information.
    pub const INFO: usize = 7;
    /// The capability address, and the badge that came with a message.
    pub const CAP: usize = 8;
    /// The reply object.
    pub const REPLY: usize = 14;
    /// The capability sent to first by `NBSendRecv`.
    pub const DEST: usize = 15;
    /// The first words of a message.
    pub const WORDS: [usize; 4] = [12, 10, 11, 17];
    /// The thread-local storage; the integer registers begin here.
    pub const TLS: usize = 18;
    /// The other segment base.
    pub const GS: usize = 19;
}
use register::{FLAGS, GS, IP, SP, TLS};

/// How many there are.
const COUNT: usize = UserContext::WORDS;
/// In the message of an unknown system call, and in its answer: the general registers, then where the thread is.
pub(super) const SYSCALL_MESSAGE: [usize; 18] =
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, IP, SP, FLAGS];
/// The same of an exception of the processor.
pub(super) const EXCEPTION_MESSAGE: [usize; 3] = [IP, SP, FLAGS];
/// In the answer to a timeout: all but the last.
pub(super) const TIMEOUT_MESSAGE: [usize; 19] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, TLS];

/// Flags that user level may choose: arithmetic and direction; where there are hardware breakpoints single step, alignment
/// and identification, too.
const USER_FLAGS: u64 = if pecan_config::HARDWARE_DEBUG { 0x25_0dd5 } else { 0xcd5 };
/// Flags that all of user level runs with: interrupts are on.
const FIXED_FLAGS: u64 = 0x202;

/// The registers of a thread.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Registers(pub [u64; COUNT]);

impl Default for Registers {
    fn default() -> Self {
        let mut all = [0; COUNT];
        all[FLAGS] = FIXED_FLAGS;
        Registers(all)
    }
}

impl std::ops::Index<usize> for Registers {
    type Output = u64;

    fn index(&self, register: usize) -> &u64 {
        &self.0[register]
    }
}

impl std::ops::IndexMut<usize> for Registers {
    fn index_mut(&mut self, register: usize) -> &mut u64 {
        &mut self.0[register]
    }
}

impl Registers {
    /// Sets a register to what user level wants, as far as the processor can have it.
    pub(super) fn set(&mut self, register: usize, value: u64) {
        let possible = (value as i64) << 16 >> 16 == value as i64;
        self[register] = match register {
            FLAGS => value & USER_FLAGS | FIXED_FLAGS,
            // An address that no processor can have.
            IP | TLS | GS if !possible => 0,
            _ => value,
        };
    }
}

impl Step {
    /// `TCB_ReadRegisters`, `TCB_WriteRegisters`, `TCB_CopyRegisters`.
    pub(super) fn registers_method(&mut self, label: Label, thread: Name, inv: &Invocation) -> Answer {
        match label {
            Label::TcbReadRegisters => self.read_registers(thread, inv),
            Label::TcbWriteRegisters => self.write_registers(thread, inv),
            _ => self.copy_registers(thread, inv),
        }
    }

    fn read_registers(&mut self, thread: Name, inv: &Invocation) -> Answer {
        inv.need(2, 0)?;
        let (suspend, count) = (inv.words[0] & 1 != 0, inv.words[1]);
        if !(1..=COUNT as u64).contains(&count) {
            return Err(range(1, COUNT as u64));
        }
        self.need_another(thread, inv)?;
        if suspend {
            self.suspend(thread);
        }
        Ok(self.thread(thread).registers.0[..count as usize].to_vec())
    }

    fn write_registers(&mut self, thread: Name, inv: &Invocation) -> Answer {
        inv.need(2, 0)?;
        let (resume, count) = (inv.words[0] & 1 != 0, inv.words[1]);
        let values = &inv.words[2..];
        if count > values.len() as u64 {
            return Err(Failure(pecan_abi::Error::TruncatedMessage, vec![]));
        }
        self.need_another(thread, inv)?;
        let target = self.thread(thread);
        for (register, &value) in values.iter().enumerate().take(COUNT.min(count as usize)) {
            target.registers.set(register, value);
        }
        target.goes_on_at = target.registers[IP];
        if resume {
            self.resume(thread);
        }
        Ok(vec![])
    }

    fn copy_registers(&mut self, thread: Name, inv: &Invocation) -> Answer {
        inv.need(1, 1)?;
        let wanted = |bit: u64| inv.words[0] >> bit & 1 != 0;
        let Some(Cap::Thread { thread: source }) = self.cap(inv.extra[0]) else {
            return Err(invalid_capability(1));
        };
        if wanted(0) {
            self.suspend(source);
        }
        if wanted(1) {
            self.resume(thread);
        }
        let from = self.thread(source).registers;
        let target = self.thread(thread);
        if wanted(2) {
            target.registers.0[..TLS].copy_from_slice(&from.0[..TLS]);
            target.goes_on_at = target.registers[IP];
        }
        if wanted(3) {
            target.registers.0[TLS..].copy_from_slice(&from.0[TLS..]);
        }
        Ok(vec![])
    }

    /// The registers of the thread that asks are in use.
    fn need_another(&self, thread: Name, inv: &Invocation) -> Result<(), Failure> {
        if thread == inv.thread { Err(illegal()) } else { Ok(()) }
    }

    /// A handler's answer sets registers: those of the message that its words are for.
    pub(super) fn answer_registers(&mut self, handler: Name, thread: Name, registers: &[usize]) {
        let length = self.sendable_length(handler).min(registers.len());
        for (i, &register) in registers[..length].iter().enumerate() {
            let word = self.word(handler, i);
            self.thread(thread).registers.set(register, word);
        }
    }

    /// A stopped or interrupted thread goes on with the instruction that it was in.
    pub(super) fn go_on(&mut self, thread: Name) {
        let t = self.thread(thread);
        if t.doing == Doing::Restarting {
            t.doing = Doing::Running;
            t.goes_on_at = t.registers[IP];
        }
    }
}
