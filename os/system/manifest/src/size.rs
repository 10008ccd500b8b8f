//! Numbers of bytes.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// A number of bytes: where people write it, a number or a text such as `"64K"`, `"2M"` or `"1G"`.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(pub u64);

const UNITS: [(char, u32); 3] = [('G', 30), ('M', 20), ('K', 10)];

impl Size {
    fn parse(text: &str) -> Option<u64> {
        let unit = UNITS.iter().find_map(|(letter, shift)| Some((text.strip_suffix(*letter)?, *shift)));
        let (number, shift) = unit.unwrap_or((text, 0));
        number.parse::<u64>().ok()?.checked_mul(1 << shift)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |shift: u32| self.0 > 0 && self.0.trailing_zeros() >= shift;
        match UNITS.iter().find(|(_, shift)| whole(*shift)) {
            Some((letter, shift)) => write!(f, "{}{letter}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Written;
        impl de::Visitor<'_> for Written {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size: a number of bytes, or a text such as \"512K\" or \"2M\"")
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                let size = u64::try_from(bytes).map(Size);
                size.map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                let size = Size::parse(text).map(Size);
                size.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Size, E> {
                self.visit_str(&text)
            }
        }
        if from.is_human_readable() {
            from.deserialize_any(Written)
        } else {
            u64::deserialize(from).map(Size)
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        for (text, bytes) in [("4096", 4096), ("64K", 64 << 10), ("3M", 3 << 20), ("1G", 1 << 30)] {
            assert_eq!(Size::parse(text), Some(bytes));
        }
        assert_eq!(Size::parse("4096K").map(|s| Size(s).to_string()).as_deref(), Some("4M"));
        assert_eq!(Size(1000).to_string(), "1000");
        for text in ["", "K", "1.5M", "-1K", "much", "18446744073709551615K"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
    }
}
