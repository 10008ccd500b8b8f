//! The saved registers of a user thread.
//!
//! The layout serves the entry stubs: the last five words are the frame that the processor pushes on an
//! interrupt, so the stack pointer it loads on entry from user level is the end of the running thread's
//! context and the registers land there directly; `iretq` restores from the same place.
//!
//! A thread that entered by `SYSCALL` has `rcx` and `r11` overwritten by the processor. The entry stub then
//! stores neither, nor the address of the instruction, nor the selectors, which never differ; and it pushes the stack
//! pointer where the frame has the stack's selector. [`UserContext::get`] derives all that while the mark says so, and the
//! first write to one of them makes them real ([`UserContext::force_full_restore`]).
//!
//! The mark of a thread in user level always says so: the stubs set it when they return from another entry, where the
//! processor or the stub then overwrites it. So the stub of system calls need not store it.

use core::cell::Cell;

use crate::format::{Reg, RegisterFile};

/// Words in a [`UserContext`].
pub const CONTEXT_WORDS: usize = 24;

const R11: Reg = Reg(3);
const RCX: Reg = Reg(4);
const RAX: Reg = Reg(5);
const RBX: Reg = Reg(6);
const RDX: Reg = Reg(7);
const RBP: Reg = Reg(8);
const R8: Reg = Reg(9);
const R9: Reg = Reg(10);
const R10: Reg = Reg(11);
const R12: Reg = Reg(12);
const R13: Reg = Reg(13);
const R14: Reg = Reg(14);
const R15: Reg = Reg(15);
const RSI: Reg = Reg(16);
const RDI: Reg = Reg(17);
/// Error code of an exception (never all ones), or [`MARK_SYSCALL`].
const MARK: Reg = Reg(18);
const CS: Reg = Reg(20);
const SS: Reg = Reg(23);
/// The stack pointer of a thread that entered by `SYSCALL`.
const SYSCALL_SP: Reg = SS;

/// Value of the mark while the thread entered by `SYSCALL` and `sysretq` suffices to resume it.
pub const MARK_SYSCALL: u64 = u64::MAX;

const FAULT_IP: Reg = Reg(0);
/// The FS base.
const TLS_BASE: Reg = Reg(1);
/// Base of the GS segment.
pub const GS_BASE: Reg = Reg(2);
const NEXT_IP: Reg = Reg(19);
/// What user level can change without the kernel: see the port's `context_switch`.
#[cfg(not(target_os = "none"))]
pub const LIVE_REGISTERS: [Reg; 2] = [TLS_BASE, GS_BASE];
/// Flags.
pub const FLAGS: Reg = Reg(21);
const SP: Reg = Reg(22);
/// The message registers that travel in processor registers.
const MSG: [Reg; 4] = [R10, R8, R9, R15];

impl RegisterFile for UserContext {
    const WORDS: usize = CONTEXT_WORDS;

    const CAP: Reg = RDI;
    const INFO: Reg = RSI;
    const MSG: [Reg; 4] = MSG;
    const REPLY: Reg = R12;
    const SEND_DEST: Reg = R13;
    const SYSCALL: Reg = RDX;
    const FAULT_IP: Reg = FAULT_IP;
    const NEXT_IP: Reg = NEXT_IP;
    const SP: Reg = SP;
    const TLS_BASE: Reg = TLS_BASE;

    const FRAME: &'static [Reg] =
        &[FAULT_IP, SP, FLAGS, RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15];
    const INTEGER: &'static [Reg] = &[TLS_BASE, GS_BASE];
    const SYSCALL_MESSAGE: &'static [Reg] =
        &[RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, FAULT_IP, SP, FLAGS];
    const EXCEPTION_MESSAGE: &'static [Reg] = &[FAULT_IP, SP, FLAGS];
    const TIMEOUT_MESSAGE: &'static [Reg] = &[
        FAULT_IP, SP, FLAGS, RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15,
        TLS_BASE,
    ];
}

/// Flags a thread has at its start: interrupts on, and the bit that is always one.
pub const FLAGS_INITIAL: u64 = 0x202;
/// Flags that user level may choose for a thread: CF, PF, AF, ZF, SF, DF, OF; where threads can be debugged TF, RF, AC and
/// ID, too.
const FLAGS_USER: u64 = if pecan_config::HARDWARE_DEBUG { 0x0025_0dd5 } else { 0xcd5 };
/// TF: a debug exception after each instruction.
const FLAG_TRAP: u64 = 1 << 8;
/// RF: no debug exception from a breakpoint on the next instruction.
const FLAG_RESUME: u64 = 1 << 16;
/// Flags that a thread can have: those that user level can set by its own instructions, and RF. So the I/O privilege level
/// is 0 and there is no virtual-8086 mode, whoever writes them.
const FLAGS_POSSIBLE: u64 = 0x0025_4fd7;
/// What an instruction pointer that no processor accepts becomes where a thread is to resume: a kernel address, so that
/// the thread page-faults at user level instead of making the return instruction fault inside the kernel.
pub(crate) const HARMLESS_IP: u64 = 0xffff_8000_0000_0000;

/// Selector of the user code segment, with privilege level 3 (`sysretq` fixes the order of the descriptors).
pub const USER_CS: u64 = 0x23;
/// Selector of the user data segment, with privilege level 3.
pub const USER_SS: u64 = 0x1b;

/// The registers of a user thread while it does not run.
#[repr(C, align(64))]
pub struct UserContext {
    words: [Cell<u64>; CONTEXT_WORDS],
}

const _: () = assert!(size_of::<UserContext>() == CONTEXT_WORDS * 8);

impl UserContext {
    /// The registers of a new thread: user flags and segments, everything else zero.
    pub const fn new() -> Self {
        let ctx = Self { words: [const { Cell::new(0) }; CONTEXT_WORDS] };
        ctx.words[FLAGS.0 as usize].replace(FLAGS_INITIAL);
        ctx.words[CS.0 as usize].replace(USER_CS);
        ctx.words[SS.0 as usize].replace(USER_SS);
        ctx
    }

    /// Makes a context that is all zero that of a new thread ([`UserContext::new`]).
    #[inline]
    pub fn start(&self) {
        self.words[FLAGS.0 as usize].set(FLAGS_INITIAL);
        self.words[CS.0 as usize].set(USER_CS);
        self.words[SS.0 as usize].set(USER_SS);
    }

    /// Makes a context that [`UserContext::start`] has made all zero again.
    #[inline]
    pub fn clear_start(&self) {
        for r in [FLAGS, CS, SS] {
            self.words[r.0 as usize].set(0);
        }
    }

    #[inline(always)]
    fn entered_by_syscall(&self) -> bool {
        self.words[MARK.0 as usize].get() == MARK_SYSCALL
    }

    /// Reads a register.
    #[inline(always)]
    pub fn get(&self, r: Reg) -> u64 {
        if matches!(r, FAULT_IP | RCX | R11 | SP) && self.entered_by_syscall() {
            return match r {
                FAULT_IP => self.words[NEXT_IP.0 as usize].get().wrapping_sub(2),
                RCX => self.words[NEXT_IP.0 as usize].get(),
                SP => self.words[SYSCALL_SP.0 as usize].get(),
                _ => self.words[FLAGS.0 as usize].get(),
            };
        }
        self.words[r.0 as usize].get()
    }

    /// Writes a register with a value that the kernel made. What the processor would refuse in the kernel is changed: flags
    /// that no thread can have are dropped, a segment base that is not canonical becomes 0, and an address to resume at
    /// that is not (a fault can report such a one) becomes one that page-faults.
    #[inline(always)]
    pub fn set(&self, r: Reg, mut value: u64) {
        if matches!(r, FAULT_IP | NEXT_IP | FLAGS | RCX | R11 | SP | TLS_BASE | GS_BASE) {
            if matches!(r, TLS_BASE | GS_BASE) {
                value = if is_canonical(value) { value } else { 0 };
            } else {
                self.force_full_restore();
            }
            if r == NEXT_IP && !is_canonical(value) {
                value = HARMLESS_IP;
            } else if r == FLAGS {
                value = value & FLAGS_POSSIBLE | FLAGS_INITIAL;
            }
        }
        self.words[r.0 as usize].set(value);
    }

    /// Writes a register with a value from user level, changed where the processor would refuse it:
    /// flags that are not its to choose are dropped, an instruction pointer or segment base that is not canonical
    /// becomes 0.
    #[inline(always)]
    pub fn set_user(&self, r: Reg, value: u64) {
        self.set(
            r,
            match r {
                FLAGS => value & FLAGS_USER | FLAGS_INITIAL,
                FAULT_IP | NEXT_IP if !is_canonical(value) => 0,
                _ => value,
            },
        );
    }

    /// Writes a segment base that the processor has had, and so accepts. Emulators let programs set bases that are not
    /// canonical (QEMU 7.2), and accept those from the kernel as well.
    #[cfg_attr(not(target_os = "none"), allow(dead_code))]
    #[inline(always)]
    pub(crate) fn keep_base(&self, r: Reg, base: u64) {
        debug_assert!(matches!(r, TLS_BASE | GS_BASE));
        self.words[r.0 as usize].set(base);
    }

    /// Copies the first `count` message registers to another context; all there are if it is more.
    #[inline(always)]
    pub fn copy_message(&self, to: &UserContext, count: usize) {
        let copy = |i: usize| {
            let word = MSG[i].0 as usize;
            to.words[word].set(self.words[word].get());
        };
        // Written out: a handful of moves, where a loop would look every index up.
        if count > 0 {
            copy(0);
            if count > 1 {
                copy(1);
                if count > 2 {
                    copy(2);
                    if count > 3 {
                        copy(3);
                    }
                }
            }
        }
    }

    /// Makes the processor raise a debug exception after each instruction of this thread, or ends that.
    pub fn set_single_step(&self, on: bool) {
        let flags = self.get(FLAGS) & !FLAG_TRAP;
        self.set(FLAGS, if on { flags | FLAG_TRAP } else { flags });
    }

    /// Makes the thread go on with an instruction that has a breakpoint without stopping there again.
    pub fn pass_breakpoint(&self) {
        self.set(FLAGS, self.get(FLAGS) | FLAG_RESUME);
    }

    /// Makes the next return to this thread restore every register. Needed by code that goes round
    /// [`UserContext::set`], which calls it where it matters.
    #[inline]
    pub fn force_full_restore(&self) {
        if self.entered_by_syscall() {
            self.derive();
        }
    }

    /// Makes what [`UserContext::get`] derives real.
    #[inline(never)]
    fn derive(&self) {
        for r in [FAULT_IP, RCX, R11, SP] {
            self.words[r.0 as usize].set(self.get(r));
        }
        self.words[SS.0 as usize].set(USER_SS);
        self.words[MARK.0 as usize].set(0);
    }

    /// Makes this context look as if its thread had just entered by `SYSCALL` with the instruction after it
    /// at `next_ip`. For tests; on the target the entry stub does this.
    #[cfg(not(target_os = "none"))]
    pub fn enter_by_syscall(&self, next_ip: u64) {
        let sp = self.get(SP);
        self.words[NEXT_IP.0 as usize].set(next_ip);
        self.words[SYSCALL_SP.0 as usize].set(sp);
        self.words[MARK.0 as usize].set(MARK_SYSCALL);
    }
}

impl Default for UserContext {
    fn default() -> Self {
        Self::new()
    }
}

/// True if bits 63 to 47 are all equal, as the processor demands of an address.
pub const fn is_canonical(address: u64) -> bool {
    ((address as i64) << 16 >> 16) as u64 == address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_told_apart() {
        crate::format::testing::registers_are_told_apart::<UserContext>();
    }

    #[test]
    fn syscall_entry_derives_what_the_processor_overwrote() {
        let c = UserContext::new();
        c.enter_by_syscall(0x40_0002);
        assert_eq!(c.get(FAULT_IP), 0x40_0000);
        assert_eq!(c.get(RCX), 0x40_0002);
        assert_eq!(c.get(R11), FLAGS_INITIAL);
    }

    #[test]
    fn restarting_a_syscall_moves_back_by_its_length_once() {
        let c = UserContext::new();
        c.enter_by_syscall(0x40_0002);
        c.set(NEXT_IP, c.get(FAULT_IP));
        assert_eq!(c.get(NEXT_IP), 0x40_0000);
        assert_eq!(c.get(FAULT_IP), 0x40_0000);
        assert_eq!(c.get(RCX), 0x40_0002);
    }

    #[test]
    fn result_registers_leave_the_fast_return_possible() {
        let c = UserContext::new();
        c.enter_by_syscall(0x40_0002);
        for r in [UserContext::CAP, UserContext::INFO, MSG[0], MSG[3]] {
            c.set(r, 7);
        }
        assert!(c.entered_by_syscall());
        c.set(RCX, 1);
        assert!(!c.entered_by_syscall());
    }

    #[test]
    fn the_stack_pointer_is_kept_whatever_the_entry() {
        let c = UserContext::new();
        c.set(SP, 0x1000);
        c.enter_by_syscall(0x40_0002);
        assert_eq!(c.get(SP), 0x1000);
        c.force_full_restore();
        assert_eq!((c.get(SP), c.get(SS)), (0x1000, USER_SS));
        c.enter_by_syscall(0x40_0002);
        c.set(SP, 0x2000);
        assert_eq!((c.get(SP), c.get(SS), c.get(RCX)), (0x2000, USER_SS, 0x40_0002));
    }

    #[test]
    fn user_values_are_made_acceptable() {
        let c = UserContext::new();
        c.set_user(FLAGS, u64::MAX);
        assert_eq!(c.get(FLAGS), if pecan_config::HARDWARE_DEBUG { 0x25_0fd7 } else { 0xed7 });
        assert_eq!(c.get(FLAGS) & 0x7000, 0, "neither IOPL nor NT");
        c.set(FLAGS, u64::MAX);
        assert_eq!(c.get(FLAGS) & 0x1a_3000, 0, "neither IOPL nor virtual-8086 mode");
        c.set_user(FAULT_IP, 0x0000_8000_0000_0000);
        assert_eq!(c.get(FAULT_IP), 0);
        c.set(NEXT_IP, 0x1234_0000_0000_0000);
        assert_eq!(c.get(NEXT_IP), HARMLESS_IP);
        c.set_user(FAULT_IP, 0x0000_7fff_ffff_ffff);
        assert_eq!(c.get(FAULT_IP), 0x0000_7fff_ffff_ffff);
        c.set_user(TLS_BASE, 1 << 63);
        assert_eq!(c.get(TLS_BASE), 0);
        // A base that is written to the processor must be canonical, whoever says it.
        for base in [TLS_BASE, GS_BASE] {
            for write in [UserContext::set, UserContext::set_user] {
                for refused in [1 << 63, 0x0000_8000_0000_0000, 0xffff_7fff_ffff_ffff] {
                    write(&c, base, 8);
                    write(&c, base, refused);
                    assert_eq!(c.get(base), 0, "{refused:x}");
                }
                for taken in [0x0000_7fff_ffff_ffff, 0xffff_8000_0000_0000] {
                    write(&c, base, taken);
                    assert_eq!(c.get(base), taken);
                }
            }
        }
    }
}
