//! Texts with bounds: what does not fit where it is to go is refused when it is read, not when it is used.

use alloc::string::String;
use core::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};

/// A name of 1 to `MAX` letters, digits, `-` and `_`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(try_from = "String", into = "String")]
pub struct Name<const MAX: usize>(String);

/// The name of a component. Lists show it in a column, with a number behind it where a program runs several times.
pub type ComponentName = Name<18>;
/// The name of a role or a device of a component.
pub type RoleName = Name<16>;
/// The name of a protocol.
pub type ProtocolName = Name<24>;

/// One line about something: at most 80 characters, all of them visible.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(try_from = "String", into = "String")]
pub struct About(String);

/// Characters of an [`About`].
const ABOUT_MAX: usize = 80;

/// Why a text is not a name, or not a line about something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadText {
    /// It is not made of so many letters, digits, `-` and `_`.
    Name(String, usize),
    /// It is longer than a line of a list.
    Long(usize),
    /// It has a character that cannot be shown.
    Invisible(char),
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, max) => {
                write!(f, "`{name}` is not a name, expected 1 to {max} letters, digits, `-` and `_`")
            }
            Self::Long(len) => write!(
                f,
                "the text has {len} characters, expected at most {ABOUT_MAX}, which have room in a list"
            ),
            Self::Invisible(c) => {
                write!(f, "the text has the character {c:?}, expected only such as can be shown in a line")
            }
        }
    }
}

impl<const MAX: usize> TryFrom<String> for Name<MAX> {
    type Error = BadText;

    fn try_from(text: String) -> Result<Self, BadText> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if (1..=MAX).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text))
        } else {
            Err(BadText::Name(text, MAX))
        }
    }
}

impl<const MAX: usize> From<Name<MAX>> for String {
    fn from(name: Name<MAX>) -> Self {
        name.0
    }
}

impl<const MAX: usize> Deref for Name<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Name<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const MAX: usize> core::borrow::Borrow<str> for Name<MAX> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for About {
    type Error = BadText;

    fn try_from(text: String) -> Result<Self, BadText> {
        let len = text.chars().count();
        match text.chars().find(|c| c.is_control()) {
            _ if len > ABOUT_MAX => Err(BadText::Long(len)),
            Some(c) => Err(BadText::Invisible(c)),
            None => Ok(Self(text)),
        }
    }
}

impl From<About> for String {
    fn from(about: About) -> Self {
        about.0
    }
}

impl Deref for About {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_bounds() {
        let name = |text: &str| ComponentName::try_from(String::from(text));
        assert_eq!(&*name("blk-0").unwrap(), "blk-0");
        assert!(name("").is_err());
        assert!(name("a b").is_err());
        assert!(name("ä").is_err());
        assert!(name(&"x".repeat(18)).is_ok());
        assert!(name(&"x".repeat(19)).is_err());
    }

    #[test]
    fn a_line_about_something_is_one_line() {
        let about = |text: &str| About::try_from(String::from(text));
        assert!(about("läuft").is_ok());
        assert_eq!(about("a\nb"), Err(BadText::Invisible('\n')));
        assert_eq!(about(&"x".repeat(960)), Err(BadText::Long(960)));
        assert!(about(&"ä".repeat(80)).is_ok());
    }
}
