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
    pub uses: BTreeMap<RoleName, ProtocolName>,
}

/// A role that a component serves. Where people write it, the protocol alone will do.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Served {
    /// The protocol it speaks.
    pub protocol: ProtocolName,
    /// Whether it shares a page of memory with each client.
    pub page: bool,
}

impl<'de> Deserialize<'de> for Served {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            protocol: ProtocolName,
            #[serde(default)]
            page: bool,
        }
        struct Written;
        impl<'de> de::Visitor<'de> for Written {
            type Value = Served;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a protocol: its name, or `{ protocol = \"NAME\", page = true }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Served, E> {
                let protocol = ProtocolName::try_from(String::from(text)).map_err(E::custom)?;
                Ok(Served { protocol, page: false })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Served, A::Error> {
                let whole = Whole::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Served { protocol: whole.protocol, page: whole.page })
            }
        }
        if from.is_human_readable() {
            from.deserialize_any(Written)
        } else {
            let Whole { protocol, page } = Whole::deserialize(from)?;
            Ok(Self { protocol, page })
        }
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
