//! The places that clients have in the roles of a server.

use alloc::vec::Vec;

use pecan::{Cap, types::SmallPage};
use pecan_manifest::{Badge, Rights, Server};

/// An end of a channel, or of a session with the server to which a channel leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Of the channel of this number in the description.
    Channel(usize),
    /// Of the session of this number; there is no other of that number, ever.
    Session(u64),
}

/// A role that a component serves.
#[derive(Default)]
pub struct Role {
    /// For each place, the page shared with the client that has it; empty if there are no such pages.
    pub pages: Vec<Cap<SmallPage>>,
    /// Who may write these pages.
    pub rights: Option<Rights>,
    /// For each place the client that has it, by which end, and how many had it before.
    pub places: Vec<(Option<(u64, End)>, u64)>,
}

impl Role {
    /// The pages shared with its clients, and whether the server may write them.
    pub fn pages_of_server(&self) -> (Vec<Cap<SmallPage>>, bool) {
        (self.pages.clone(), self.rights.is_some_and(Rights::server_writes))
    }

    /// The place of an end: the one it has, or a free one; or the `fixed` one, if nobody else has it.
    pub fn place(&mut self, end: (u64, End), fixed: Option<usize>) -> Option<usize> {
        if let Some(at) = self.places.iter().position(|(owner, _)| *owner == Some(end)) {
            return Some(at);
        }
        let is_free = |at: &usize| self.places.get(*at).is_some_and(|(owner, _)| owner.is_none());
        let at = match fixed {
            Some(at) => Some(at).filter(is_free),
            None => (0..self.places.len()).find(is_free),
        }?;
        let (owner, generation) = &mut self.places[at];
        *owner = Some(end);
        *generation += 1;
        Some(at)
    }

    /// The place of an end, where there are as many as are needed.
    pub fn place_or_more(&mut self, end: (u64, End)) -> usize {
        self.place(end, None).unwrap_or_else(|| {
            self.places.push((Some(end), 1));
            self.places.len() - 1
        })
    }
}

/// The badge of who has a place in a role of a server.
pub fn end_badge(
    description: &pecan_manifest::System,
    edge: &pecan_manifest::Channel,
    place: usize,
    role: &Role,
) -> Badge {
    let first = match edge.server {
        Server::Component(server) => {
            description.components[usize::from(server)].first_place(edge.server_role.into())
        }
        Server::Init => 0,
    };
    Badge::call(edge.server_role, (first + place) as u16, role.places[place].1)
}
