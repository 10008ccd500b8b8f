//! The registers of a thread: what makes the structure of an architecture, from their names.

/// Defines `UserContext`.
macro_rules! user_context {
    ($($register:ident)+) => {
        /// The registers of a thread, in the order in which reading and writing them counts.
        #[repr(C)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[allow(missing_docs)] // Registers are known by their names.
        pub struct UserContext {
            $(pub $register: u64,)+
        }

        impl UserContext {
            /// The names of the registers, in order.
            pub const NAMES: [&'static str; Self::WORDS] = [$(stringify!($register)),+];

            /// The number of registers.
            pub const WORDS: usize = [$(stringify!($register)),+].len();

            /// The registers as words, in order.
            pub const fn to_words(&self) -> [u64; Self::WORDS] {
                [$(self.$register),+]
            }

            /// Registers from words in the same order.
            pub const fn from_words(words: &[u64; Self::WORDS]) -> Self {
                let [$($register),+] = *words;
                Self { $($register),+ }
            }
        }

        const _: () = assert!(core::mem::size_of::<UserContext>() == 8 * UserContext::WORDS);
    };
}
