//! The registers of a thread.

user_context! {
    rip rsp rflags rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15 fs_base gs_base
}
