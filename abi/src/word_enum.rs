/// Defines an enumeration whose variants are numbers of the interface, with the conversions that every such
/// enumeration needs. The word a user passes is untrusted, so the way in is `from_word`, never a cast.
macro_rules! word_enum {
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$vmeta:meta])* $Variant:ident = $number:literal,)+ }) => {
        $(#[$meta])*
        #[repr(u64)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $Name { $($(#[$vmeta])* $Variant = $number,)+ }

        impl $Name {
            /// Every value, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$Variant,)+];

            /// The value with this number, if there is one.
            #[inline]
            pub const fn from_word(word: u64) -> Option<Self> {
                match word {
                    $($number => Some(Self::$Variant),)+
                    _ => None,
                }
            }

            /// The number of this value.
            #[inline]
            pub const fn word(self) -> u64 {
                self as u64
            }

            /// The name of this value as it is written in the source.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Variant => stringify!($Variant),)+ }
            }
        }
    };
}
