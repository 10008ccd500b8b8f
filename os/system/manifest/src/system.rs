//! A system: its components, and the channels between them.

use alloc::{borrow::Cow, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{Interface, Ring, RoleName, Settings};

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
    /// The ring between the two, if there is one.
    pub ring: Option<Ring>,
}

/// A component's end of a ring.
#[derive(Clone, Copy, Debug)]
pub struct RingAt<'a> {
    /// The number of the channel in the system.
    pub number: usize,
    /// The channel.
    pub channel: &'a Channel,
    /// The ring.
    pub ring: Ring,
    /// Whether it is the end of the component that calls.
    pub calls: bool,
    /// The component's role there.
    pub role: &'a RoleName,
    /// Which of the role's places it is; 0 for the end that calls.
    pub place: usize,
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

    /// Its role for what components print, if it writes the system log.
    pub fn printing(&self) -> Option<u8> {
        let role = self.interface.serves.values().position(|served| *served.protocol.name == *LOG)?;
        u8::try_from(role).ok()
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

    /// The ends of rings that a component has. What signals the nth of them is the bit [`crate::layout::RING_SIGNAL`] + n.
    pub fn rings_of(&self, component: usize) -> impl Iterator<Item = RingAt<'_>> {
        let number = component as u16;
        self.channels.iter().enumerate().filter_map(move |(at, channel)| {
            let ring = channel.ring?;
            let interface = &self.components.get(component)?.interface;
            if channel.client == number {
                let role = interface.uses.keys().nth(channel.client_role.into())?;
                return Some(RingAt { number: at, channel, ring, calls: true, role, place: 0 });
            }
            (channel.server == Server::Component(number)).then_some(())?;
            let role = interface.serves.keys().nth(channel.server_role.into())?;
            let place = self.ring_place(at)?;
            Some(RingAt { number: at, channel, ring, calls: false, role, place })
        })
    }

    /// The place that the client of a channel has in the server's role, if it has a ring: always the same, as the ring is.
    pub fn ring_place(&self, channel: usize) -> Option<usize> {
        let this = self.channels.get(channel).filter(|this| this.ring.is_some())?;
        let same = |c: &&Channel| (c.server, c.server_role) == (this.server, this.server_role);
        Some(self.channels.iter().take(channel).filter(same).count())
    }

    /// Whether a component is a part of the system: it calls the initial task, which starts it first, and again whenever it
    /// has ended.
    pub fn is_part(&self, component: usize) -> bool {
        self.channels_of(component).any(|(_, channel)| channel.server == Server::Init)
    }

    /// The component that writes the system log: the one that the initial task tells of it.
    pub fn log_writer(&self) -> Option<usize> {
        let role = self.init.serves.values().position(|served| *served.protocol.name == *BACKLOG)?;
        let edge =
            self.channels.iter().find(|c| c.server == Server::Init && usize::from(c.server_role) == role);
        edge.map(|edge| edge.client.into())
    }

    /// The name in the archive of one of the programs that a component can run, by its number.
    pub fn program(&self, component: usize, number: u8) -> Option<Cow<'_, str>> {
        let settings = &self.components.get(component)?.settings;
        Some(settings.program_of(settings.packages().nth(number.into())?))
    }

    /// What the client of a channel calls it.
    pub fn client_role(&self, channel: &Channel) -> &str {
        let component = self.components.get(usize::from(channel.client));
        let role = component.and_then(|c| c.interface.uses.keys().nth(channel.client_role.into()));
        role.map_or("?", |name| name)
    }

    /// The client of a channel and the role that it has there, by name.
    pub fn client_name(&self, channel: &Channel) -> (&str, &str) {
        let component = self.components.get(usize::from(channel.client));
        (component.map_or("?", |c| &c.settings.name), self.client_role(channel))
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

/// The protocol that the writer of the system log speaks with the initial task.
const BACKLOG: &str = "backlog";
/// The one by which components print.
const LOG: &str = "log";

/// The name of the initial task in a description.
pub const INIT: &str = "init";
