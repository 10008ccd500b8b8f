//! From the boot loader to Rust on AArch64: the header of a Linux image, and the way from the processor without paging to where
//! the kernel is linked.
//!
//! The protocol is that of Linux ("Booting AArch64 Linux"): the image lies at a boundary of 2 MiB, x0 is the address of the device
//! tree, the MMU is off, and the processor is at EL1 or EL2. What belongs to the exception level that the kernel runs at is
//! here, at the label `at_el2`; it leaves EL2.

use core::arch::global_asm;

use pecan_arch::aarch64::{IMAGE_OFFSET, MAIR, PHYSMAP_BASE, WINDOW};

/// Twice what the debug kernel takes of it; all that is only needed to boot is on it.
const BOOT_STACK_SIZE: usize = 80 * 1024;

/// What SCTLR_EL1 has always: its bits that are one in Armv8.0, and everything off.
const CONTROL_OFF: u64 = 0x30d0_0800;
/// MMU, caches, aligned stack pointers at both levels; user level may use instructions of cache maintenance by address, zero by
/// lines, and wait.
const CONTROL_ON: u64 =
    CONTROL_OFF | 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 26;
/// TCR_EL1: 48 bits of address in both halves, tables in write-back memory that all cores share, granules of 4 KiB, ASIDs of 16
/// bits. The size of physical addresses is added.
const TRANSLATION: u64 =
    16 | 1 << 8 | 1 << 10 | 3 << 12 | 16 << 16 | 1 << 24 | 1 << 26 | 3 << 28 | 2 << 30 | 1 << 36;
/// A block of ordinary memory: accessed, shared, valid.
const BLOCK: u64 = 0x701;

global_asm!(
    r#"
    .section .head, "ax", @progbits
    .global pecan_boot_entry
pecan_boot_entry:
    b boot_start
    .long 0
    .quad 0                             // from a boundary of 2 MiB
    .quad pecan_image_size
    .quad 1 << 1 | 1 << 3               // granules of 4 KiB, anywhere in memory
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .long 0

    // Page tables for the way up. One root serves both halves: at 0 and at the start of the physmap, frames of 1 GiB with the
    // image and the device tree; where the kernel is linked, its devices and the image.
    .section .boot_memory, "aw", @nobits
    .balign 4096
boot_root:
    .skip 4096
boot_low:
    .skip 4096
boot_high:
    .skip 4096
boot_window:
    .skip 4096
    // The stack that the kernel boots on, used at its place in the physmap, and what `pecan_boot` keeps on it.
    .skip {stack_size}
boot_stack_top:

    .section .text.boot, "ax", @progbits
boot_start:
    msr daifset, #15
    mov x20, x0
    ldr x1, ={control_off}
    msr sctlr_el1, x1
    mrs x1, currentel
    cmp x1, #2 << 2
    b.eq at_el2
    b.hi cannot_start
at_el1:
    isb
    adrp x21, image_start
    tst x21, #0x1fffff
    b.ne cannot_start

    // What the file does not hold is zero. It is written past the caches, so no line of them may cover it.
    adrp x1, kernel_load_end
    add x1, x1, :lo12:kernel_load_end
    adrp x2, boot_memory_end
    bic x3, x1, #63
1:  dc civac, x3
    add x3, x3, #64
    cmp x3, x2
    b.lo 1b
    dsb sy
1:  str xzr, [x1], #8
    cmp x1, x2
    b.lo 1b

    mov x8, #{block}
    adrp x1, boot_root
    adrp x2, boot_low
    orr x3, x2, #3
    str x3, [x1]
    str x3, [x1, #{physmap_index} * 8]
    lsr x3, x21, #30
    cmp x3, #512
    b.hs cannot_start
    orr x4, x8, x3, lsl #30
    str x4, [x2, x3, lsl #3]
    lsr x3, x20, #30
    cmp x3, #512
    b.hs 1f                             // no tree lies there, as will be said
    orr x4, x8, x3, lsl #30
    str x4, [x2, x3, lsl #3]
1:  adrp x2, boot_high
    orr x3, x2, #3
    str x3, [x1, #511 * 8]
    adrp x4, boot_window
    orr x3, x4, #3
    str x3, [x2, #510 * 8]
    adrp x5, PECAN_DEVICE_TABLE
    orr x3, x5, #3
    str x3, [x4]
    orr x3, x21, x8
    str x3, [x4, #8]

    mov x2, #{mair}
    msr mair_el1, x2
    ldr x2, ={translation}
    mrs x3, id_aa64mmfr0_el1
    and x3, x3, #15
    mov x4, #5                          // 48 bits
    cmp x3, x4
    csel x3, x3, x4, lo
    orr x2, x2, x3, lsl #32
    msr tcr_el1, x2
    msr ttbr0_el1, x1
    msr ttbr1_el1, x1
    msr mdscr_el1, xzr
    msr cpacr_el1, xzr
    dsb sy
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    ldr x2, ={control_on}
    msr sctlr_el1, x2
    isb
    ldr x2, =boot_high_half
    br x2
boot_high_half:
    adrp x1, boot_stack_top
    ldr x2, ={physmap} - {linked}
    add x2, x2, x21
    add sp, x1, x2
    mov x29, xzr
    mov x30, xzr
    mov x0, x20
    mov x1, x21
    bl pecan_boot

    // The kernel runs at EL1, in 64-bit state, with timers and counters of its own and nothing trapped.
at_el2:
    mov x1, #1 << 31
    msr hcr_el2, x1
    mov x1, #3
    msr cnthctl_el2, x1
    msr cntvoff_el2, xzr
    mov x1, #0x33ff
    msr cptr_el2, x1
    msr hstr_el2, xzr
    mrs x1, midr_el1
    msr vpidr_el2, x1
    mrs x1, mpidr_el1
    msr vmpidr_el2, x1
    mov x1, #0x3c5                      // EL1 with its own stack pointer, all masked
    msr spsr_el2, x1
    adr x1, at_el1
    msr elr_el2, x1
    eret

    // Nothing is known of a machine on which this could be said.
cannot_start:
    wfi
    b cannot_start
    .ltorg
    .text
    "#,
    stack_size = const BOOT_STACK_SIZE,
    control_off = const CONTROL_OFF,
    control_on = const CONTROL_ON,
    translation = const TRANSLATION,
    block = const BLOCK,
    mair = const MAIR,
    physmap = const PHYSMAP_BASE,
    physmap_index = const PHYSMAP_BASE >> 39 & 511,
    linked = const WINDOW + IMAGE_OFFSET,
);
