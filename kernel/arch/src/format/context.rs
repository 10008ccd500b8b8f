//! Registers of a user thread that are kept as they are: what makes a context of a description of registers.

/// Defines `UserContext`, with the words of a [`RegisterFile`](crate::RegisterFile) of which nothing has to be derived.
/// `$user` makes of a register and what user level wants to write to it what the processor accepts.
macro_rules! plain_context {
    ($words:expr, $initial:expr, $user:expr) => {
        /// The registers of a user thread while it does not run.
        #[repr(C, align(64))]
        pub struct UserContext {
            words: [core::cell::Cell<u64>; $words],
        }

        impl UserContext {
            /// The registers of a new thread.
            pub fn new() -> Self {
                let context = Self { words: [const { core::cell::Cell::new(0) }; $words] };
                context.start();
                context
            }

            /// Makes a context that is all zero that of a new thread ([`UserContext::new`]).
            #[inline]
            pub fn start(&self) {
                for (register, value) in $initial {
                    self.set(register, value);
                }
            }

            /// Makes a context that [`UserContext::start`] has made all zero again.
            #[inline]
            pub fn clear_start(&self) {
                for (register, _) in $initial {
                    self.set(register, 0);
                }
            }

            /// Reads a register.
            #[inline(always)]
            pub fn get(&self, register: Reg) -> u64 {
                self.words[register.0 as usize].get()
            }

            /// Writes a register with a value that the kernel made, or one that [`UserContext::get`] gave.
            #[inline(always)]
            pub fn set(&self, register: Reg, value: u64) {
                self.words[register.0 as usize].set(value);
            }

            /// Writes a register with a value from user level, changed where the processor would refuse it.
            #[inline(always)]
            pub fn set_user(&self, register: Reg, value: u64) {
                self.set(register, $user(register, value));
            }

            /// Copies the first `count` message registers to another context; all there are if it is more.
            #[inline(always)]
            pub fn copy_message(&self, to: &UserContext, count: usize) {
                for register in <Self as RegisterFile>::MSG.into_iter().take(count) {
                    to.set(register, self.get(register));
                }
            }

            /// Makes the processor raise a debug exception after each instruction of this thread, or ends that. Kernels
            /// with hardware breakpoints are not built for this architecture.
            pub fn set_single_step(&self, _on: bool) {}

            /// Makes the thread go on with an instruction that has a breakpoint without stopping there again.
            pub fn pass_breakpoint(&self) {}

            /// Every return restores every register.
            #[inline(always)]
            pub fn force_full_restore(&self) {}

            /// Makes this context look as if its thread had just made a system call, with the instruction behind it at
            /// `next_ip`. For tests; on the target the entry stub does this.
            #[cfg(not(target_os = "none"))]
            pub fn enter_by_syscall(&self, next_ip: u64) {
                self.set(<Self as RegisterFile>::NEXT_IP, next_ip);
                self.set(<Self as RegisterFile>::FAULT_IP, next_ip.wrapping_sub(SYSCALL_BYTES));
            }
        }

        impl Default for UserContext {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}
