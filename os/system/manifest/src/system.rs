//! A system: its components, and the channels between them.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{Interface, Settings};

/// A system, checked, with the names in its channels resolved.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct System {
    /// Its name.
    pub name: String,
    /// The roles that the initial task serves.
    pub init: Interface,
    /// The components that are started at boot, in that order, and the programs that can be started later.
    pub components: Vec<Component>,
    /// Who may call whom.
    pub channels: Vec<Channel>,
}

/// A component.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Component {
    /// What the description says of it.
    pub settings: Settings,
    /// What its crate says of it.
    pub interface: Interface,
    /// For each role that it serves, how many clients the role has at once.
    pub places: Vec<u16>,
}

/// An edge: a client may call a server in a role.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The client, by its number in the system.
    pub client: u16,
    /// Which of the roles that the client uses.
    pub client_role: u8,
    /// The server.
    pub server: Server,
    /// Which of the roles that the server serves.
    pub server_role: u8,
}

/// Who serves.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// The initial task.
    Init,
    /// A component, by its number in the system.
    Component(u16),
}

impl Component {
    /// How many clients it can have at once, in all its roles together. Their places are numbered from 0, role after
    /// role.
    pub fn clients(&self) -> usize {
        self.first_place(self.places.len())
    }

    /// The first place of a role that it serves.
    pub fn first_place(&self, role: usize) -> usize {
        self.places.iter().take(role).map(|places| usize::from(*places)).sum()
    }
}

impl System {
    /// The channels of a client, each with its number.
    pub fn channels_of(&self, client: usize) -> impl Iterator<Item = (usize, &Channel)> {
        self.channels.iter().enumerate().filter(move |(_, c)| usize::from(c.client) == client)
    }

    /// What the client of a channel calls it.
    pub fn client_role(&self, channel: &Channel) -> &str {
        let component = self.components.get(usize::from(channel.client));
        let role = component.and_then(|c| c.interface.uses.keys().nth(channel.client_role.into()));
        role.map_or("?", |name| name)
    }

    /// The server of a channel and the role that it has there, by name.
    pub fn server_name(&self, channel: &Channel) -> (&str, &str) {
        let (name, interface) = match channel.server {
            Server::Init => (INIT, &self.init),
            Server::Component(n) => match self.components.get(usize::from(n)) {
                Some(component) => (&*component.settings.name, &component.interface),
                None => return ("?", "?"),
            },
        };
        (name, interface.serves.keys().nth(channel.server_role.into()).map_or("?", |name| name))
    }
}

/// The name of the initial task in a description.
pub const INIT: &str = "init";
