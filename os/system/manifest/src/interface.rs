//! What a component serves and what it uses, as its crate says (`[package.metadata.component]` in its `Cargo.toml`).

use alloc::{collections::BTreeMap, string::String};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{ProtocolName, Rights, RingEnd, RoleName, RoleRing, Size};

/// The roles of a component. The number of a role is its place in the order of the names.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The roles that others call.
    #[serde(default)]
    pub serves: BTreeMap<RoleName, Served>,
    /// The roles in which it calls others.
    #[serde(default)]
    pub uses: BTreeMap<RoleName, Used>,
}

/// A protocol, and where the types of it are.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// Its name.
    pub name: ProtocolName,
    /// The package with its trait; without it, that of the system's protocols.
    pub package: Option<String>,
}

/// A role that a component serves.
pub type Served = Role<true>;
/// A role in which a component calls another one.
pub type Used = Role<false>;

/// A role of a component.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Role<const SERVED: bool> {
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// Who may write the page of memory that a server shares with each client of the role, if it shares one.
    pub page: Option<Rights>,
    /// What it does with the ring that its channel has, if that has one.
    pub ring: Option<RoleRing>,
    /// Whether clients open sessions, each with memory that the client gives for it.
    pub sessions: bool,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.package {
            Some(package) => write!(f, "`{}` of {package}", self.name),
            None => write!(f, "`{}`", self.name),
        }
    }
}

/// A role as people write it, if not as the name of its protocol alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    protocol: ProtocolName,
    #[serde(default, rename = "crate")]
    package: Option<String>,
    #[serde(default, deserialize_with = "page")]
    page: Option<Rights>,
    #[serde(default)]
    ring: Option<RingEnd>,
    #[serde(default)]
    buffer: Option<Size>,
    #[serde(default)]
    sessions: bool,
}

/// Who may write a page. That there is one says nobody, and somebody may try.
fn page<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Rights>, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Rights;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("what a client may do with the page: \"r\", \"w\" or \"rw\"")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Rights, E> {
            Rights::deserialize(de::value::StrDeserializer::new(text))
        }
    }
    from.deserialize_any(Visitor).map(Some)
}

/// Bytes of a buffer: the data of the smallest ring has room for one, and a descriptor for the length.
const BUFFER: core::ops::RangeInclusive<u64> = 8..=1 << 20;

impl<'de, const SERVED: bool> Deserialize<'de> for Role<SERVED> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            let (protocol, page, ring, sessions) = Deserialize::deserialize(from)?;
            return Ok(Self { protocol, page, ring, sessions });
        }
        struct Visitor<const SERVED: bool>;
        impl<'de, const SERVED: bool> de::Visitor<'de> for Visitor<SERVED> {
            type Value = Role<SERVED>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a protocol, or `{ protocol = \"NAME\", ... }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let name = ProtocolName::try_from(String::from(text)).map_err(E::custom)?;
                let protocol = Protocol { name, package: None };
                Ok(Role { protocol, page: None, ring: None, sessions: false })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let written = Written::deserialize(de::value::MapAccessDeserializer::new(map))?;
                if written.page.is_some() && !SERVED {
                    return Err(de::Error::custom(
                        "`page` is said by who serves: a role that is used has none",
                    ));
                }
                let ring = match (written.ring, written.buffer) {
                    (Some(end), Some(buffer)) if BUFFER.contains(&buffer.0) && buffer.0.is_multiple_of(8) => {
                        Some(RoleRing { end, buffer })
                    }
                    (None, None) => None,
                    (Some(_), Some(_)) => {
                        return Err(de::Error::custom("`buffer` is a multiple of 8 bytes, and at most 1M"));
                    }
                    (Some(_), None) => {
                        return Err(de::Error::custom(
                            "a role with a ring says how large a buffer is: `buffer = \"2K\"`",
                        ));
                    }
                    (None, Some(_)) => {
                        return Err(de::Error::custom(
                            "`buffer` belongs to a ring: say `ring = \"produces\"` or `ring = \"consumes\"`",
                        ));
                    }
                };
                if written.sessions && (written.page.is_some() || ring.is_some()) {
                    return Err(de::Error::custom(
                        "a role with `sessions` has no `page` and no `ring`: each session has memory of its own",
                    ));
                }
                let protocol = Protocol { name: written.protocol, package: written.package };
                Ok(Role { protocol, page: written.page, ring, sessions: written.sessions })
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl Interface {
    /// The number of a role that it serves.
    pub fn served(&self, role: &str) -> Option<u8> {
        self.serves.keys().position(|name| **name == *role).and_then(|n| u8::try_from(n).ok())
    }

    /// The number of a role in which it calls others.
    pub fn used(&self, role: &str) -> Option<u8> {
        self.uses.keys().position(|name| **name == *role).and_then(|n| u8::try_from(n).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_travels_as_it_is() {
        let name = |text: &str| ProtocolName::try_from(String::from(text)).unwrap();
        let protocol = Protocol { name: name("block"), package: Some("my-protocols".into()) };
        let role = |text: &str| RoleName::try_from(String::from(text)).unwrap();
        let ring = RoleRing { end: RingEnd::Consumes, buffer: Size(2048) };
        let interface = Interface {
            serves: [(
                role("a"),
                Role { protocol: protocol.clone(), page: Some(Rights::W), ring: None, sessions: false },
            )]
            .into(),
            uses: [
                (
                    role("b"),
                    Role { protocol: protocol.clone(), page: None, ring: Some(ring), sessions: false },
                ),
                (role("c"), Role { protocol, page: None, ring: None, sessions: true }),
            ]
            .into(),
        };
        let bytes = postcard::to_allocvec(&interface).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(interface));
    }
}
