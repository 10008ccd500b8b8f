//! Single instructions as functions.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

use super::features::{Features, has};

pub const MSR_APIC_BASE: u32 = 0x1b;
pub const MSR_SPEC_CTRL: u32 = 0x48;
pub const MSR_PRED_CMD: u32 = 0x49;
pub const MSR_ARCH_CAPABILITIES: u32 = 0x10a;
pub const MSR_SYSENTER_CS: u32 = 0x174;
pub const MSR_PAT: u32 = 0x277;
pub const MSR_TSC_DEADLINE: u32 = 0x6e0;
pub const MSR_X2APIC: u32 = 0x800;
pub const MSR_EFER: u32 = 0xc000_0080;
pub const MSR_STAR: u32 = 0xc000_0081;
pub const MSR_LSTAR: u32 = 0xc000_0082;
pub const MSR_CSTAR: u32 = 0xc000_0083;
pub const MSR_SFMASK: u32 = 0xc000_0084;
pub const MSR_FS_BASE: u32 = 0xc000_0100;
pub const MSR_GS_BASE: u32 = 0xc000_0101;

/// Reads a model-specific register.
///
/// # Safety
/// The processor must have the register.
#[inline(always)]
pub unsafe fn rdmsr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading a register that exists (the caller's promise) changes nothing but eax and edx.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The processor must have the register, accept the value, and the value must keep Rust's assumptions.
#[inline(always)]
pub unsafe fn wrmsr(msr: u32, value: u64) {
    // SAFETY: the caller's promise. Not `nomem`: some registers order or change memory accesses.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags))
    };
}

#[inline]
pub fn flush_caches() {
    // SAFETY: changes where data is, not what it is.
    unsafe { asm!("wbinvd", options(nostack, preserves_flags)) };
}

macro_rules! control_register {
    (read $read:ident, $name:literal) => {
        #[doc = concat!("Reads ", $name, ".")]
        #[inline(always)]
        pub fn $read() -> u64 {
            let v: u64;
            // SAFETY: reading a control register in ring 0 has no effect.
            unsafe { asm!(concat!("mov {}, ", $name), out(reg) v, options(nomem, nostack, preserves_flags)) };
            v
        }
    };
    (write $write:ident, $name:literal) => {
        #[doc = concat!("Writes ", $name, ".")]
        ///
        /// # Safety
        /// The processor must accept the value, and it must keep the memory that Rust uses mapped as it is.
        #[inline(always)]
        pub unsafe fn $write(v: u64) {
            // SAFETY: the caller's promise.
            unsafe { asm!(concat!("mov ", $name, ", {}"), in(reg) v, options(nostack, preserves_flags)) };
        }
    };
}
control_register!(read read_cr0, "cr0");
control_register!(write write_cr0, "cr0");
control_register!(read read_cr3, "cr3");
control_register!(write write_cr3, "cr3");
control_register!(write write_cr4, "cr4");

/// The time-stamp counter.
#[inline(always)]
pub fn rdtsc() -> u64 {
    // SAFETY: every 64-bit processor has the instruction, and it touches nothing.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// One leaf of CPUID; zeros if the processor has no such leaf.
pub fn cpuid(leaf: u32, sub: u32) -> CpuidResult {
    if __cpuid(leaf & 0xc000_0000).eax < leaf {
        return CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    }
    __cpuid_count(leaf, sub)
}

/// Zeroes words of memory, without a call: the one that the compiler would make is indirect.
///
/// # Safety
/// The `words` words from `start` on are mapped, and nobody holds a reference to them.
#[inline]
pub unsafe fn zero(start: *mut u64, words: usize) {
    // SAFETY: the caller's obligation; the direction flag is clear in the kernel.
    unsafe {
        asm!("rep stosq", inout("rcx") words => _, inout("rdi") start => _, in("rax") 0,
            options(nostack, preserves_flags));
    }
}

#[inline]
pub fn io_read(port: u16, bytes: u32) -> u32 {
    // SAFETY: port reads do not touch memory; what they do to a device is the business of the device's owner,
    // and the devices that the kernel depends on are not reached by ports that user level is given.
    unsafe {
        match bytes {
            1 => {
                let v: u8;
                asm!("in al, dx", in("dx") port, out("al") v, options(nomem, nostack, preserves_flags));
                v.into()
            }
            2 => {
                let v: u16;
                asm!("in ax, dx", in("dx") port, out("ax") v, options(nomem, nostack, preserves_flags));
                v.into()
            }
            _ => {
                let v: u32;
                asm!("in eax, dx", in("dx") port, out("eax") v, options(nomem, nostack, preserves_flags));
                v
            }
        }
    }
}

#[inline]
pub fn io_write(port: u16, bytes: u32, value: u32) {
    // SAFETY: as for `io_read`. A device told to write memory does so by the hand of whoever holds its ports.
    unsafe {
        match bytes {
            1 => asm!("out dx, al", in("dx") port, in("al") value as u8, options(nostack, preserves_flags)),
            2 => asm!("out dx, ax", in("dx") port, in("ax") value as u16, options(nostack, preserves_flags)),
            _ => asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags)),
        }
    }
}

pub fn halt() -> ! {
    loop {
        // SAFETY: with interrupts off, waiting for one touches nothing.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

#[cold]
pub fn forget_domain() {
    // SAFETY: the registers and the meaning of `verw` exist where the features say so, and only speculation depends on them;
    // the calls come back to the stack pointer that they began with. The selector is that of the kernel's data.
    unsafe {
        if has(Features::IBPB) {
            wrmsr(MSR_PRED_CMD, 1);
        }
        if has(Features::RSB_FILL) {
            asm!("mov {n:e}, 32", "2:", "call 3f", "int3", "3:", "add rsp, 8", "dec {n:e}", "jnz 2b", "lfence", n = out(reg) _);
        }
        if has(Features::VERW) {
            asm!("verw word ptr [{}]", in(reg) &super::tables::KERNEL_SS, options(nostack, readonly));
        }
    }
}

#[inline(always)]
pub fn mask_surely(word: u64, mask: u64) -> u64 {
    let out: u64;
    // SAFETY: an operation on registers, of which this is the result. Where it stands is noted in a section that no machine
    // loads: `cargo xtask bench` looks for it.
    unsafe {
        asm!(
            "2: and {}, {}",
            ".pushsection .masks",
            ".quad 2b",
            ".popsection",
            inlateout(reg) mask => out,
            in(reg) word,
            options(pure, nomem, nostack),
        );
        core::hint::assert_unchecked(out <= mask);
    }
    out
}
