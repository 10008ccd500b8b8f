//! Values as message words.

use alloc::{string::String, vec::Vec};

use pecan::{Message, abi::ipc::MSG_MAX_LENGTH};

/// A message that is being made.
#[derive(Debug)]
pub struct Writer {
    message: Message,
    overflowed: bool,
}

impl Writer {
    /// An empty message with a label.
    #[inline]
    pub const fn new(label: u64) -> Self {
        Self { message: Message::empty(label), overflowed: false }
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
    pub fn finish(self) -> Option<Message> {
        (!self.overflowed).then_some(self.message)
    }
}

/// A message that is being read.
#[derive(Debug)]
pub struct Reader<'a> {
    message: &'a Message,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads a message from its start.
    #[inline]
    pub const fn new(message: &'a Message) -> Self {
        Self { message, at: 0 }
    }

    /// The next word.
    #[inline]
    pub fn word(&mut self) -> Option<u64> {
        if self.at >= self.message.len() {
            return None;
        }
        self.at += 1;
        Some(self.message.word(self.at - 1))
    }

    /// The next bytes, which have their number in front.
    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        let len =
            usize::try_from((self.at < self.message.len()).then(|| self.message.word(self.at))?).ok()?;
        if len > MSG_MAX_LENGTH * 8 {
            return None;
        }
        let mut bytes = alloc::vec![0; len];
        let (_, next) = self.message.bytes(self.at, &mut bytes)?;
        self.at = next;
        Some(bytes)
    }
}

/// A value that travels in messages.
pub trait Wire: Sized {
    /// The value as whoever sends it has it.
    type Ref<'a>
    where
        Self: 'a;

    /// The value as it is sent.
    fn lend(&self) -> Self::Ref<'_>;
    /// Adds the value to a message.
    fn encode(value: Self::Ref<'_>, to: &mut Writer);
    /// Takes the value from a message; `None` if what is there is not one.
    fn decode(from: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! words {
    ($($ty:ty),+) => {$(
        impl Wire for $ty {
            type Ref<'a> = $ty;
            #[inline]
            fn lend(&self) -> $ty { *self }
            #[inline]
            fn encode(value: $ty, to: &mut Writer) { to.word(value as u64) }
            #[inline]
            fn decode(from: &mut Reader<'_>) -> Option<Self> { <$ty>::try_from(from.word()?).ok() }
        }
    )+};
}

words!(u8, u16, u32, u64, usize);

impl Wire for bool {
    type Ref<'a> = bool;
    fn lend(&self) -> bool {
        *self
    }
    fn encode(value: bool, to: &mut Writer) {
        to.word(value.into());
    }
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        match from.word()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Wire for () {
    type Ref<'a> = ();
    fn lend(&self) {}
    fn encode((): (), _: &mut Writer) {}
    fn decode(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl Wire for Vec<u8> {
    type Ref<'a> = &'a [u8];
    fn lend(&self) -> &[u8] {
        self
    }
    fn encode(value: &[u8], to: &mut Writer) {
        to.bytes(value);
    }
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        from.bytes()
    }
}

impl Wire for Vec<String> {
    type Ref<'a> = &'a [String];
    fn lend(&self) -> &[String] {
        self
    }
    fn encode(value: &[String], to: &mut Writer) {
        to.word(value.len() as u64);
        value.iter().for_each(|item| to.bytes(item.as_bytes()));
    }
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let count = from.word()?;
        // A message has far fewer items than this; what claims more is garbled.
        (count <= MSG_MAX_LENGTH as u64).then(|| (0..count).map(|_| String::decode(from)).collect())?
    }
}

impl Wire for String {
    type Ref<'a> = &'a str;
    fn lend(&self) -> &str {
        self
    }
    fn encode(value: &str, to: &mut Writer) {
        to.bytes(value.as_bytes());
    }
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        String::from_utf8(from.bytes()?).ok()
    }
}

impl<T: Wire> Wire for Option<T> {
    type Ref<'a>
        = Option<T::Ref<'a>>
    where
        T: 'a;
    fn lend(&self) -> Option<T::Ref<'_>> {
        self.as_ref().map(T::lend)
    }
    fn encode(value: Option<T::Ref<'_>>, to: &mut Writer) {
        to.word(value.is_some().into());
        if let Some(value) = value {
            T::encode(value, to);
        }
    }
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Some(if bool::decode(from)? { Some(T::decode(from)?) } else { None })
    }
}

impl<T: Wire, E: Wire> Wire for Result<T, E> {
    type Ref<'a>
        = Result<T::Ref<'a>, E::Ref<'a>>
    where
        T: 'a,
        E: 'a;
    fn lend(&self) -> Self::Ref<'_> {
        self.as_ref().map(T::lend).map_err(E::lend)
    }
    fn encode(value: Self::Ref<'_>, to: &mut Writer) {
        to.word(value.is_err().into());
        match value {
            Ok(value) => T::encode(value, to),
            Err(error) => E::encode(error, to),
        }
    }
    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Some(if bool::decode(from)? { Err(E::decode(from)?) } else { Ok(T::decode(from)?) })
    }
}

/// A structure that travels as its fields, in order.
#[macro_export]
macro_rules! wire_struct {
    ($(#[$meta:meta])* pub struct $Name:ident { $($(#[$about:meta])* pub $field:ident : $ty:ty,)+ }) => {
        $(#[$meta])*
        pub struct $Name { $($(#[$about])* pub $field: $ty,)+ }

        impl $crate::Wire for $Name {
            type Ref<'a> = &'a $Name;
            fn lend(&self) -> &Self { self }
            fn encode(value: &Self, to: &mut $crate::Writer) {
                $( <$ty as $crate::Wire>::encode(<$ty as $crate::Wire>::lend(&value.$field), to); )+
            }
            fn decode(from: &mut $crate::Reader<'_>) -> Option<Self> {
                Some(Self { $( $field: <$ty as $crate::Wire>::decode(from)?, )+ })
            }
        }
    };
}

/// An enumeration without data that travels as its number.
#[macro_export]
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$about:meta])* $Variant:ident = $number:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $Name { $($(#[$about])* $Variant = $number,)+ }

        impl $crate::Wire for $Name {
            type Ref<'a> = $Name;
            fn lend(&self) -> Self { *self }
            fn encode(value: Self, to: &mut $crate::Writer) { to.word(value as u64) }
            fn decode(from: &mut $crate::Reader<'_>) -> Option<Self> {
                match from.word()? {
                    $($number => Some(Self::$Variant),)+
                    _ => None,
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what fits into registers: a host has no IPC buffer.
    fn message<T: Wire>(value: &T) -> Message {
        let mut writer = Writer::new(5);
        T::encode(value.lend(), &mut writer);
        writer.finish().unwrap()
    }

    fn there_and_back<T: Wire + PartialEq + core::fmt::Debug>(value: T) {
        let message = message(&value);
        let mut reader = Reader::new(&message);
        assert_eq!(T::decode(&mut reader), Some(value));
        assert_eq!(reader.word(), None, "something is left over");
    }

    #[test]
    fn values_come_back() {
        there_and_back(u64::MAX);
        there_and_back(true);
        there_and_back(());
        there_and_back(String::from("a string of 24 bytes ..."));
        there_and_back(Some(7u8));
        there_and_back(None::<u8>);
        there_and_back(Ok::<u16, String>(9));
        there_and_back(Err::<u16, String>("no".into()));
        there_and_back(alloc::vec![String::from("x")]);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let message = message(&300u64);
        assert_eq!(u8::decode(&mut Reader::new(&message)), None);
        assert_eq!(bool::decode(&mut Reader::new(&message)), None);
        assert_eq!(String::decode(&mut Reader::new(&message)), None);
        assert_eq!(Vec::<String>::decode(&mut Reader::new(&message)), None);
    }

    #[test]
    fn a_short_message_is_refused() {
        let message = Message::new(0, [3, u64::from_le_bytes(*b"abc\0\0\0\0\0")]);
        let mut reader = Reader::new(&message);
        assert_eq!(String::decode(&mut reader).as_deref(), Some("abc"));
        assert_eq!(u64::decode(&mut reader), None);
        assert_eq!(String::decode(&mut Reader::new(&Message::new(0, [9, 0]))), None);
    }
}
