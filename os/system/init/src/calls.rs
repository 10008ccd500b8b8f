//! What becomes of the calls that a server took with it when it died.

use object::{
    LittleEndian as LE,
    elf::{FileHeader64, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader},
};
use pecan::{Cap, MessageInfo, UserContext, abi::Syscall, types::Tcb};
use pecan_service::{CallError, IDEMPOTENT};

use crate::instance::Live;

/// The instruction with which a thread makes a system call.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// How often in a row a server may fail before calls of it are not made again: it may be one of them that it dies of.
pub const AGAIN: u32 = 3;

/// Ends the calls of a component's threads to these endpoints: with `again` each is made again if the method allows that,
/// otherwise its caller is told that the server was started again. `elf` is the component's program.
///
/// A component that has not come to its call yet, or whose call waits to be received, is none the worse for it: the call
/// is made, or is made later, or ends with an error that says that it may not have been carried out.
pub fn end(live: &Live, cptrs: &[u64], elf: Option<&[u8]>, generation: u64, again: bool) {
    live.tcbs().for_each(|tcb| end_of_thread(tcb, cptrs, elf, generation, again));
}

fn end_of_thread(tcb: Cap<Tcb>, cptrs: &[u64], elf: Option<&[u8]>, generation: u64, again: bool) {
    let Ok(registers) = tcb.read_registers(false) else { return };
    if registers.rdx as i64 != Syscall::Call.number() || !cptrs.contains(&registers.rdi) {
        return;
    }
    if again && MessageInfo(registers.rsi).label() & IDEMPOTENT != 0 {
        // A thread that is resumed in the middle of a call makes it once more. One that runs goes on.
        let _ = tcb.resume();
        return;
    }
    answer_in_place(tcb, cptrs, elf, CallError::ServerRestarted { generation });
}

/// Ends the call of a thread to one of these endpoints with an error, if it is in one or about to make it; whether it was.
/// `elf` is its program.
pub fn answer_in_place(tcb: Cap<Tcb>, cptrs: &[u64], elf: Option<&[u8]>, error: CallError) -> bool {
    let Ok(registers) = tcb.read_registers(false) else { return false };
    // These may be the registers of a call that is long over. Only if the next instruction makes a call is this one.
    let calls = registers.rdx as i64 == Syscall::Call.number() && cptrs.contains(&registers.rdi);
    if !calls || elf.and_then(|elf| code(elf, registers.rip)) != Some(SYSCALL) {
        return false;
    }
    let message = error.message();
    let answered = UserContext {
        rip: registers.rip + SYSCALL.len() as u64,
        rdi: 0,
        rsi: message.info().0,
        r10: message.word(0),
        ..registers
    };
    // SAFETY: the thread is another program's, and finds what the kernel leaves after a call that was answered.
    unsafe { tcb.write_registers(true, &answered) }.is_ok()
}

/// Two bytes of the code of a program. No component can write its code.
fn code(elf: &[u8], address: u64) -> Option<[u8; 2]> {
    let segments = FileHeader64::<LE>::parse(elf).ok()?.program_headers(LE, elf).ok()?;
    let mut loaded = segments.iter().filter(|s| s.p_type(LE) == PT_LOAD);
    let segment = loaded.find(|s| (s.p_vaddr(LE)..s.p_vaddr(LE) + s.p_memsz(LE)).contains(&address))?;
    let at = usize::try_from(address - segment.p_vaddr(LE)).ok()?;
    segment.data(LE, elf).ok()?.get(at..at + 2)?.try_into().ok()
}
