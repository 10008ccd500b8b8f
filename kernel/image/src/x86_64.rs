//! From the boot loader to Rust on 64-bit PCs: Multiboot headers, and the way from 32-bit code without paging to 64-bit
//! code where the kernel is linked.

use core::arch::global_asm;

use pecan_arch::x86_64::PHYSMAP_BASE;

/// Twice what the debug kernel takes of it; all that is only needed to boot is on it.
const BOOT_STACK_SIZE: usize = 80 * 1024;

global_asm!(
    r#"
    .set WINDOW, 0xffffffff80000000
    .set PHYSMAP, {physmap}

    .section .multiboot, "a", @progbits
    // Multiboot 1: modules on page boundaries, a memory map, and addresses, since the loader need not know 64-bit ELF.
    .balign 8
1:  .long 0x1badb002
    .long 0x00010003
    .long -(0x1badb002 + 0x00010003)
    .long 1b - WINDOW
    .long image_start - WINDOW
    .long kernel_load_end - WINDOW
    .long boot_memory_end - WINDOW
    .long pecan_boot_entry - WINDOW

    // Multiboot 2: addresses, entry, modules on page boundaries.
    .balign 8
2:  .long 0xe85250d6, 0, 3f - 2b
    .long -(0xe85250d6 + (3f - 2b))
    .balign 8
    .short 2, 0
    .long 24
    .long 2b - WINDOW
    .long image_start - WINDOW
    .long kernel_load_end - WINDOW
    .long boot_memory_end - WINDOW
    .balign 8
    .short 3, 0
    .long 12
    .long pecan_boot_entry - WINDOW
    .balign 8
    .short 6, 0
    .long 8
    .balign 8
    .short 0, 0
    .long 8
3:

    // Page tables for the way up: the first 4 GiB at 0 and at the start of the physmap, the first at WINDOW.
    .section .boot_memory, "aw", @nobits
    .balign 4096
boot_root:
    .skip 4096
boot_low:
    .skip 4096
boot_high:
    .skip 4096
boot_directories:
    .skip 4 * 4096
    // The stack that the kernel boots on, used at its place in the physmap, and what `pecan_boot` keeps on it.
    .skip {stack_size}
boot_stack_top:

    .section .text.boot, "ax", @progbits
    .code32
    .global pecan_boot_entry
pecan_boot_entry:
    cli
    cld
    movl %eax, %ebp
    xorl %eax, %eax
    movl %eax, %dr7                     // no breakpoints
    movl %ebx, %esp

    // Code in Rust has conditional moves wherever the compiler likes; what else is needed is asked for there.
    movl $(no_cmov_text - WINDOW), %esi
    movl $1, %eax
    cpuid
    btl $15, %edx
    jnc cannot_start
    movl $(no_long_mode_text - WINDOW), %esi
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb cannot_start
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc cannot_start

    // Is there memory up to the end of what is needed to boot?
    movl $(too_little_memory_text - WINDOW), %esi
    movl %esp, boot_stack_top - WINDOW - 4
    cmpl %esp, boot_stack_top - WINDOW - 4
    jne cannot_start

    movl $(boot_directories - WINDOW), %edi
    movl $0x83, %eax                    // present, writable, 2 MiB
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x200000, %eax
    jnc 1b
    movl $(boot_directories - WINDOW + 3), %eax
    movl $(boot_low - WINDOW), %edi
    movl %eax, boot_high - WINDOW + 510 * 8
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $8, %edi
    addl $4096, %eax
    loop 2b
    movl $(boot_low - WINDOW + 3), %eax
    movl %eax, boot_root - WINDOW
    movl %eax, boot_root - WINDOW + 256 * 8
    movl $(boot_high - WINDOW + 3), boot_root - WINDOW + 511 * 8

    // Nothing is kept of what the boot loader had on: five levels of tables, for one.
    movl $(1 << 5), %eax                // physical address extension
    movl %eax, %cr4
    movl $(boot_root - WINDOW), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx              // EFER: long mode
    movl $(1 << 8), %eax
    xorl %edx, %edx
    wrmsr
    movl %cr0, %eax
    orl $0x80000001, %eax
    movl %eax, %cr0
    lgdtl boot_gdt_pointer - WINDOW
    ljmpl $8, $(boot_64 - WINDOW)

    // Nothing to run on: say so on the first serial port.
cannot_start:
3:  movw $0x3fd, %dx
    inb %dx, %al
    testb $0x20, %al
    jz 3b
    movw $0x3f8, %dx
    lodsb
    testb %al, %al
    jz 4f
    outb %al, %dx
    jmp 3b
4:  cli
    hlt
    jmp 4b

    .code64
boot_64:
    movabsq $boot_high_half, %rax
    jmpq *%rax
boot_high_half:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %ebp, %edi
    movl %esp, %esi
    movabsq $(boot_stack_top - WINDOW + PHYSMAP), %rsp
    xorl %ebp, %ebp
    call pecan_boot
    ud2

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff
boot_gdt_pointer:
    .short 15
    .long boot_gdt - WINDOW
no_cmov_text:
    .asciz "Pecan cannot start: this processor lacks cmov\r\n"
no_long_mode_text:
    .asciz "Pecan cannot start: this processor has no 64-bit mode\r\n"
too_little_memory_text:
    .asciz "Pecan cannot start: too little memory for the kernel\r\n"
    .text
    "#,
    stack_size = const BOOT_STACK_SIZE,
    physmap = const PHYSMAP_BASE,
    options(att_syntax)
);
