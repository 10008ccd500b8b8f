//! What the processor can do, found out once at boot.
//!
//! What the kernel may use is decided here and nowhere else. A feature that is not found is not used; one that the
//! kernel cannot do without ends the boot with a line that names it. Measures against speculation are chosen
//! here, too.

use super::core_block::CORE;
use super::cpu::{self, cpuid};
use crate::firmware::Mitigations;
use crate::{BootError, say};

/// A set of processor features.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Features(pub(super) u32);

macro_rules! features {
    ($($bit:literal $name:ident $text:literal;)*) => {
        impl Features {
            /// Nothing.
            pub const NONE: Self = Self(0);
            $(#[doc = concat!("The processor has ", $text, ".")] pub const $name: Self = Self(1 << $bit);)*
        }
        const NAMES: &[(Features, &str)] = &[$((Features::$name, $text)),*];
    };
}
features! {
    0 NX "nx";
    1 SMEP "smep";
    2 SMAP "smap";
    3 UMIP "umip";
    4 PGE "pge";
    5 PCID "pcid";
    6 FSGSBASE "fsgsbase";
    7 XSAVE "xsave";
    8 XSAVEOPT "xsaveopt";
    9 GIB_PAGES "1gib-pages";
    10 X2APIC "x2apic";
    11 TSC_DEADLINE "tsc-deadline";
    12 PAT "pat";
    13 WINDOW "meltdown-window";
    14 IBRS "ibrs";
    15 AUTO_IBRS "auto-ibrs";
    16 SSBD "ssbd";
    17 IBPB "ibpb";
    18 RSB_FILL "rsb-fill";
    19 VERW "verw";
    20 X87_LEAK "x87-leak";
}

/// What the kernel and every program cannot do without, besides 64-bit mode: bits of CPUID leaf 1 (EDX), and of leaf
/// 0x8000_0001 (EDX) from 32 on. Compilers take `fxsr` to `sse2` for granted, and `cmov`, which the image's entry code asks for
/// (x86-64 psABI, "Micro-Architecture Levels").
const NEEDED: &[u32] = &[0, 4, 5, 6, 8, 9, 24, 25, 26, 32 + 11];
/// Their names.
const NEEDED_NAMES: &[&str] = &["fpu", "tsc", "msr", "pae", "cx8", "apic", "fxsr", "sse", "sse2", "syscall"];

/// Asks the processor for what it must have.
///
/// # Errors
/// It lacks some of it.
pub fn check() -> Result<(), BootError> {
    let has = u64::from(cpuid(0x8000_0001, 0).edx) << 32 | u64::from(cpuid(1, 0).edx);
    let missing = (0..NEEDED.len()).filter(|&i| has >> NEEDED[i] & 1 == 0).fold(0, |set, i| set | 1 << i);
    if missing == 0 { Ok(()) } else { Err(BootError::Processor { needed: NEEDED_NAMES, missing }) }
}

/// True if the kernel uses this feature. Constant after [`detect`].
#[inline(always)]
pub fn has(f: Features) -> bool {
    CORE.features.get().0 & f.0 != 0
}

/// Asks the processor. Features that depend on each other come together or not at all.
pub fn detect(mitigations: Mitigations) {
    let (l1, l7) = (cpuid(1, 0), cpuid(7, 0));
    let x1 = cpuid(0x8000_0001, 0);
    let mut set = 0;
    let mut add = |f: Features, there: bool| set |= if there { f.0 } else { 0 };
    add(Features::NX, x1.edx & 1 << 20 != 0);
    add(Features::SMEP, l7.ebx & 1 << 7 != 0);
    add(Features::SMAP, l7.ebx & 1 << 20 != 0);
    add(Features::UMIP, l7.ecx & 1 << 2 != 0);
    add(Features::PGE, l1.edx & 1 << 13 != 0);
    // Tagged translations need a way to drop those of another address space than the one in force.
    add(Features::PCID, l1.ecx & 1 << 17 != 0 && l7.ebx & 1 << 10 != 0);
    add(Features::FSGSBASE, l7.ebx & 1 << 0 != 0);
    let xsave = pecan_config::FPU_XSAVE && l1.ecx & 1 << 26 != 0 && xsave_fits();
    add(Features::XSAVE, xsave);
    add(Features::XSAVEOPT, xsave && cpuid(13, 1).eax & 1 != 0);
    add(Features::GIB_PAGES, x1.edx & 1 << 26 != 0);
    add(Features::X2APIC, l1.ecx & 1 << 21 != 0);
    add(Features::TSC_DEADLINE, l1.ecx & 1 << 24 != 0);
    add(Features::PAT, l1.edx & 1 << 16 != 0);
    // SAFETY: leaf 7 says whether the register exists.
    let says = if l7.edx & 1 << 29 != 0 { unsafe { cpu::rdmsr(cpu::MSR_ARCH_CAPABILITIES) } } else { 0 };
    let (x8, x21) = (cpuid(0x8000_0008, 0).ebx, cpuid(0x8000_0021, 0).eax);
    // QEMU's own processor, where figures are taken, never loads them either. It is for tests: it protects nobody, and
    // conformance looks at this where it does not say what it is.
    add(Features::X87_LEAK, is_amd() && x8 & 1 << 2 == 0 && !is_tcg());
    let all = mitigations == Mitigations::All;
    if mitigations != Mitigations::Off {
        add(Features::WINDOW, all || says & 1 << 0 == 0 && subject_to_meltdown());
        // Such that need not be turned on at every entry.
        add(Features::IBRS, l7.edx & 1 << 26 != 0 && says & 1 << 1 != 0);
        add(Features::AUTO_IBRS, x21 & 1 << 8 != 0);
        add(Features::SSBD, all && (l7.edx & 1 << 31 != 0 || x8 & 1 << 24 != 0));
        // Between domains, if there is more than one.
        let domains = pecan_config::NUM_DOMAINS > 1;
        add(Features::IBPB, domains && (l7.edx & 1 << 26 != 0 || x8 & 1 << 12 != 0));
        add(Features::RSB_FILL, domains);
        add(Features::VERW, domains && (l7.edx & 1 << 10 != 0 || says & 1 << 28 != 0 || x21 & 1 << 5 != 0));
    }
    CORE.features.set(Features(set));
}

/// User level can read what is mapped for the kernel alone: on every processor that does not say otherwise, but those of
/// AMD and Hygon.
fn subject_to_meltdown() -> bool {
    !is_amd()
}

/// The processor is of AMD or Hygon.
pub fn is_amd() -> bool {
    matches!(&cpuid(0, 0).ebx.to_le_bytes(), b"Auth" | b"Hygo")
}

/// The processor is QEMU's own, by the first letters of its signature as a hypervisor.
pub fn is_tcg() -> bool {
    cpuid(0x4000_0000, 0).ebx == u32::from_le_bytes(*b"TCGT")
}

/// The state components the profile asks for: those of them that this processor has. x87 and SSE always are.
pub fn xsave_components() -> u64 {
    let l13 = cpuid(13, 0);
    pecan_config::XSAVE_FEATURE_SET & (u64::from(l13.edx) << 32 | u64::from(l13.eax)) | 3
}

/// The components fit into the room that the profile gives them (the standard form has fixed offsets).
fn xsave_fits() -> bool {
    let mut end = 512 + 64;
    for c in 2..63 {
        if xsave_components() & 1 << c != 0 {
            let l = cpuid(13, c);
            end = end.max(l.eax + l.ebx);
        }
    }
    end as usize <= pecan_config::XSAVE_SIZE
}

/// Prints the names of what was found.
pub fn say_all() {
    NAMES.iter().filter(|(feature, _)| has(*feature)).for_each(|(_, name)| {
        say(" ", &[]);
        say(name, &[]);
    });
}
