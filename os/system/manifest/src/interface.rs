//! What a component serves and what it uses, as its crate says (`[package.metadata.component]` in its `Cargo.toml`).

use alloc::{collections::BTreeMap, string::String};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{ProtocolName, RoleName};

/// The roles of a component. The number of a role is its place in the order of the names.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The roles that others call.
    #[serde(default)]
    pub serves: BTreeMap<RoleName, Served>,
    /// The roles in which it calls others.
    #[serde(default)]
    pub uses: BTreeMap<RoleName, Protocol>,
}

/// A protocol, and where the types of it are.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// Its name.
    pub name: ProtocolName,
    /// The package with its trait; without it, that of the system's protocols.
    pub package: Option<String>,
}

/// A role that a component serves.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Served {
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// Whether it shares a page of memory with each client.
    pub page: bool,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.package {
            Some(package) => write!(f, "`{}` of {package}", self.name),
            None => write!(f, "`{}`", self.name),
        }
    }
}

/// A role as people write it: the name of the protocol alone, or a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    protocol: ProtocolName,
    #[serde(default, rename = "crate")]
    package: Option<String>,
    #[serde(default)]
    page: bool,
}

impl Role {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> de::Visitor<'de> for Written {
            type Value = Role;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a protocol, or `{ protocol = \"NAME\", ... }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Role, E> {
                let protocol = ProtocolName::try_from(String::from(text)).map_err(E::custom)?;
                Ok(Role { protocol, package: None, page: false })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Role, A::Error> {
                Role::deserialize(de::value::MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_any(Written)
    }

    fn protocol(self) -> Protocol {
        Protocol { name: self.protocol, package: self.package }
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            let (name, package) = Deserialize::deserialize(from)?;
            return Ok(Self { name, package });
        }
        let role = Role::read(from)?;
        if role.page {
            return Err(de::Error::custom("`page` is said by who serves: a role that is used has none"));
        }
        Ok(role.protocol())
    }
}

impl<'de> Deserialize<'de> for Served {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            let (protocol, page) = Deserialize::deserialize(from)?;
            return Ok(Self { protocol, page });
        }
        let role = Role::read(from)?;
        let page = role.page;
        Ok(Self { protocol: role.protocol(), page })
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
        let interface = Interface {
            serves: [(role("a"), Served { protocol: protocol.clone(), page: true })].into(),
            uses: [(role("b"), protocol)].into(),
        };
        let bytes = postcard::to_allocvec(&interface).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(interface));
    }
}
