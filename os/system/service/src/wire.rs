//! Values as message words.

use pecan::{LongMessage, abi::ipc::MSG_MAX_LENGTH};
use zerocopy::IntoBytes;

/// The most words of a message.
pub const WORDS_MAX: usize = MSG_MAX_LENGTH;

/// The words that bytes take, their number included.
pub const fn words_of(bytes: usize) -> usize {
    1 + bytes.div_ceil(8)
}

/// The words of several values.
#[doc(hidden)]
pub const fn sum(words: &[usize]) -> usize {
    match words.split_first() {
        Some((first, rest)) => *first + sum(rest),
        None => 0,
    }
}

/// The most of several numbers of words.
#[doc(hidden)]
pub const fn most(words: &[usize]) -> usize {
    match words.split_first() {
        Some((first, rest)) => {
            let most = most(rest);
            if *first > most { *first } else { most }
        }
        None => 0,
    }
}

/// A message that is being made.
#[derive(Debug)]
pub struct Writer {
    message: LongMessage,
    overflowed: bool,
}

impl Writer {
    /// An empty message with a label.
    #[inline]
    pub const fn new(label: u64) -> Self {
        Self { message: LongMessage::new(label), overflowed: false }
    }

    /// Makes it empty, with another label.
    #[inline]
    pub const fn reset(&mut self, label: u64) {
        self.message.reset(label);
        self.overflowed = false;
    }

    /// Adds a word.
    #[inline]
    pub fn word(&mut self, word: u64) {
        self.overflowed |= self.message.push(word).is_err();
    }

    /// Adds bytes, with their number in front.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.overflowed |= self.message.push_bytes(bytes).is_err();
    }

    /// The message; `None` when not all that was added had room.
    #[inline]
    pub const fn message(&self) -> Option<&LongMessage> {
        if self.overflowed { None } else { Some(&self.message) }
    }
}

/// A message that is being read.
#[derive(Clone, Debug)]
pub struct Reader<'m> {
    words: &'m [u64],
}

impl<'m> Reader<'m> {
    /// Reads the words of a message from the first.
    #[inline]
    pub const fn new(words: &'m [u64]) -> Self {
        Self { words }
    }

    /// The next word.
    #[inline]
    pub fn word(&mut self) -> Option<u64> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(*first)
    }

    /// The next bytes, which have their number in front. They are where the message is.
    pub fn bytes(&mut self) -> Option<&'m [u8]> {
        let (count, rest) = self.words.split_first()?;
        let count = usize::try_from(*count).ok()?;
        let (words, rest) = rest.split_at_checked(count.div_ceil(8))?;
        self.words = rest;
        words.as_bytes().get(..count)
    }
}

/// A value that travels in messages. What is decoded may borrow from the message.
///
/// These do: unsigned integers, `bool`, `()`, `&str` and `&[u8]` (as arguments, with `#[max(N)]`), [`crate::Text`],
/// [`crate::Bytes`], `Option` and `Result` of these, and whatever derives `Wire`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not travel in messages",
    note = "these do: unsigned integers, bool, &str, &[u8], Text<N>, Bytes<N>, Option, Result, and what derives `Wire`"
)]
pub trait Wire<'m>: Sized {
    /// Adds the value to a message.
    fn encode(&self, to: &mut Writer);
    /// Takes the value from a message; `None` if what is there is not one.
    fn decode(from: &mut Reader<'m>) -> Option<Self>;
}

/// A value that travels in messages and has a most.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can be of any length, and a message has 120 words",
    note = "say the most: `#[max(N)]` before an argument that is a `&str` or a `&[u8]`, or `Text<N>` or `Bytes<N>`"
)]
pub trait Bounded {
    /// The most words it takes.
    const WORDS: usize;
}

/// A value of any number of bytes, which `#[max(N)]` bounds. It travels as [`Writer::bytes`] writes these.
#[diagnostic::on_unimplemented(message = "`#[max(N)]` is for bytes and text, and `{Self}` is neither")]
pub trait Unbounded {
    /// Its bytes.
    fn as_bytes(&self) -> &[u8];
}

macro_rules! words {
    ($($ty:ty),+) => {$(
        impl Wire<'_> for $ty {
            #[inline]
            fn encode(&self, to: &mut Writer) {
                to.word(*self as u64);
            }
            #[inline]
            fn decode(from: &mut Reader<'_>) -> Option<Self> {
                <$ty>::try_from(from.word()?).ok()
            }
        }
        impl Bounded for $ty {
            const WORDS: usize = 1;
        }
    )+};
}

words!(u8, u16, u32, u64, usize);

impl Wire<'_> for bool {
    #[inline]
    fn encode(&self, to: &mut Writer) {
        to.word((*self).into());
    }
    #[inline]
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        match from.word()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Bounded for bool {
    const WORDS: usize = 1;
}

impl Wire<'_> for () {
    #[inline]
    fn encode(&self, _: &mut Writer) {}
    #[inline]
    fn decode(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl Bounded for () {
    const WORDS: usize = 0;
}

impl<'m> Wire<'m> for &'m [u8] {
    #[inline]
    fn encode(&self, to: &mut Writer) {
        to.bytes(self);
    }
    #[inline]
    fn decode(from: &mut Reader<'m>) -> Option<Self> {
        from.bytes()
    }
}

impl Unbounded for &[u8] {
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl<'m> Wire<'m> for &'m str {
    #[inline]
    fn encode(&self, to: &mut Writer) {
        to.bytes(self.as_bytes());
    }
    #[inline]
    fn decode(from: &mut Reader<'m>) -> Option<Self> {
        core::str::from_utf8(from.bytes()?).ok()
    }
}

impl Unbounded for &str {
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        str::as_bytes(self)
    }
}

impl<'m, T: Wire<'m>> Wire<'m> for Option<T> {
    #[inline]
    fn encode(&self, to: &mut Writer) {
        to.word(self.is_some().into());
        if let Some(value) = self {
            value.encode(to);
        }
    }
    #[inline]
    fn decode(from: &mut Reader<'m>) -> Option<Self> {
        Some(if bool::decode(from)? { Some(T::decode(from)?) } else { None })
    }
}

impl<T: Bounded> Bounded for Option<T> {
    const WORDS: usize = 1 + T::WORDS;
}

impl<'m, T: Wire<'m>, E: Wire<'m>> Wire<'m> for Result<T, E> {
    #[inline]
    fn encode(&self, to: &mut Writer) {
        to.word(self.is_err().into());
        match self {
            Ok(value) => value.encode(to),
            Err(error) => error.encode(to),
        }
    }
    #[inline]
    fn decode(from: &mut Reader<'m>) -> Option<Self> {
        Some(if bool::decode(from)? { Err(E::decode(from)?) } else { Ok(T::decode(from)?) })
    }
}

impl<T: Bounded, E: Bounded> Bounded for Result<T, E> {
    const WORDS: usize = 1 + if T::WORDS > E::WORDS { T::WORDS } else { E::WORDS };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, Text};

    fn message<'m, T: Wire<'m>>(value: &T) -> Writer {
        let mut writer = Writer::new(5);
        value.encode(&mut writer);
        writer
    }

    fn there_and_back<T: for<'m> Wire<'m> + PartialEq + core::fmt::Debug>(value: T) {
        let writer = message(&value);
        let mut reader = Reader::new(writer.message().unwrap().words());
        assert_eq!(T::decode(&mut reader), Some(value));
        assert_eq!(reader.word(), None, "something is left over");
    }

    #[test]
    fn values_come_back() {
        there_and_back(u64::MAX);
        there_and_back(true);
        there_and_back(());
        there_and_back(Text::<40>::cut("a string of 24 bytes ..."));
        there_and_back(Bytes::<7>::try_from(&[1, 2, 3][..]).unwrap());
        there_and_back(Some(7u8));
        there_and_back(None::<u8>);
        there_and_back(Ok::<u16, Text<3>>(9));
        there_and_back(Err::<u16, Text<3>>(Text::cut("no")));
    }

    #[test]
    fn borrowed_values_are_where_the_message_is() {
        let writer = message(&"a text of more than eight bytes");
        let words = writer.message().unwrap().words();
        let text = <&str>::decode(&mut Reader::new(words)).unwrap();
        assert_eq!(text, "a text of more than eight bytes");
        assert!(words.as_bytes().as_ptr_range().contains(&text.as_ptr()));
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let writer = message(&300u64);
        let words = writer.message().unwrap().words();
        assert_eq!(u8::decode(&mut Reader::new(words)), None);
        assert_eq!(bool::decode(&mut Reader::new(words)), None);
        assert_eq!(<&str>::decode(&mut Reader::new(words)), None);
        assert_eq!(Text::<9>::decode(&mut Reader::new(words)), None);
        let text = message(&"four");
        assert_eq!(Text::<3>::decode(&mut Reader::new(text.message().unwrap().words())), None);
        assert_eq!(Bytes::<3>::decode(&mut Reader::new(text.message().unwrap().words())), None);
        assert_eq!(<&str>::decode(&mut Reader::new(&[1, 0xff])), None);
        assert_eq!(<&[u8]>::decode(&mut Reader::new(&[u64::MAX, 0])), None);
    }

    #[test]
    fn a_short_message_is_refused() {
        let words = [3, u64::from_le_bytes(*b"abc\0\0\0\0\0")];
        let mut reader = Reader::new(&words);
        assert_eq!(<&str>::decode(&mut reader), Some("abc"));
        assert_eq!(u64::decode(&mut reader), None);
        assert_eq!(<&str>::decode(&mut Reader::new(&[9, 0])), None);
    }

    #[test]
    fn bounds_are_what_values_take() {
        fn takes<T: for<'m> Wire<'m> + Bounded>(value: T) {
            assert_eq!(message(&value).message().unwrap().words().len(), T::WORDS);
        }
        takes(7u8);
        takes(Some(1u64));
        takes(Ok::<u64, ()>(1));
        takes(Err::<(), u64>(1));
        takes(Text::<9>::cut("123456789"));
        takes(Bytes::<8>::try_from(&[0; 8][..]).unwrap());
    }
}
