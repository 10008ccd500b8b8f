//! Text and bytes with a bound in their type.

use core::{fmt, ops::Deref};

use crate::{Bounded, Reader, Wire, Writer, words_of};

/// Text of at most `N` bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text<const N: usize>(heapless::String<N>);

/// The text has more bytes than there can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl<const N: usize> Text<N> {
    /// The text, or as much of it as there can be, to a whole character. For what people read.
    pub fn cut(text: &str) -> Self {
        let end = text.floor_char_boundary(N);
        Self(heapless::String::try_from(&text[..end]).unwrap_or_default())
    }
}

impl<const N: usize> TryFrom<&str> for Text<N> {
    type Error = TooLong;
    fn try_from(text: &str) -> Result<Self, TooLong> {
        heapless::String::try_from(text).map(Self).map_err(|_| TooLong)
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<const N: usize> Bounded for Text<N> {
    const WORDS: usize = words_of(N);
}

impl<const N: usize> Wire<'_> for Text<N> {
    fn encode(&self, to: &mut Writer) {
        to.bytes(self.as_bytes());
    }
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Self::try_from(<&str>::decode(from)?).ok()
    }
}

/// At most `N` bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes<const N: usize>(heapless::Vec<u8, N>);

impl<const N: usize> TryFrom<&[u8]> for Bytes<N> {
    type Error = TooLong;
    fn try_from(bytes: &[u8]) -> Result<Self, TooLong> {
        heapless::Vec::from_slice(bytes).map(Self).map_err(|_| TooLong)
    }
}

impl<const N: usize> Deref for Bytes<N> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<const N: usize> Bounded for Bytes<N> {
    const WORDS: usize = words_of(N);
}

impl<const N: usize> Wire<'_> for Bytes<N> {
    fn encode(&self, to: &mut Writer) {
        to.bytes(self);
    }
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Self::try_from(from.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(&*Text::<4>::cut("abc"), "abc");
        assert_eq!(&*Text::<4>::cut("abcäö"), "abc");
        assert_eq!(&*Text::<5>::cut("abcäö"), "abcä");
        assert_eq!(&*Text::<0>::cut("ä"), "");
        assert!(Text::<2>::try_from("abc").is_err());
        assert!(Bytes::<2>::try_from(&[1, 2, 3][..]).is_err());
    }
}
