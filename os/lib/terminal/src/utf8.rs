//! Text out of bytes that come one at a time.

use serde::{Deserialize, Serialize};

/// Puts bytes together to characters.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Decoder {
    bytes: [u8; 4],
    len: usize,
}

impl Decoder {
    pub const fn new() -> Self {
        Self { bytes: [0; 4], len: 0 }
    }

    /// Takes a byte. What is no text becomes a replacement character, after which the byte may be one of its own.
    pub fn feed(&mut self, byte: u8) -> [Option<char>; 2] {
        let continues = self.len > 0;
        self.bytes[self.len] = byte;
        self.len += 1;
        match core::str::from_utf8(&self.bytes[..self.len]) {
            Ok(text) => {
                let c = text.chars().next();
                self.len = 0;
                [c, None]
            }
            Err(error) if error.error_len().is_none() => [None, None],
            Err(_) => {
                self.len = 0;
                let [next, _] = if continues { self.feed(byte) } else { [None, None] };
                [Some(char::REPLACEMENT_CHARACTER), next]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn text(bytes: &[u8]) -> String {
        let mut decoder = Decoder::new();
        bytes.iter().flat_map(|b| decoder.feed(*b)).flatten().collect()
    }

    #[test]
    fn bytes_become_characters() {
        assert_eq!(text("aü€😀".as_bytes()), "aü€😀");
        assert_eq!(text(b"a\xffb\xc3c\xe2\x82\xe2\x82\xac"), "a\u{fffd}b\u{fffd}c\u{fffd}€");
        assert_eq!(text(b"\xed\xa0\x80"), "\u{fffd}".repeat(3));
    }
}
