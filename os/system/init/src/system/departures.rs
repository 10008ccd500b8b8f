//! What servers are told of their clients.

use pecan_protocols::Departures;

use super::{Entry, System};
use crate::places::End;

impl System {
    /// Takes a component's places at its servers away, but for those of its sessions, and lets the servers know.
    pub(super) fn leave_services(&mut self, id: u64) {
        self.rings.leave(id);
        self.own
            .places
            .iter_mut()
            .filter(|(owner, _)| owner.is_some_and(|(client, _)| client == id))
            .for_each(|p| p.0 = None);
        for (spec, service) in self.services.iter_mut().enumerate() {
            let Some(service) = service else { continue };
            let places = service.roles.iter_mut().flat_map(|role| &mut role.places);
            for (at, (owner, _)) in places.enumerate() {
                if owner.is_some_and(|(client, end)| client == id && matches!(end, End::Channel(_))) {
                    *owner = None;
                    service.departures.clients |= 1 << at;
                }
            }
            if service.departures != Departures::default() {
                tell(&self.entries, spec);
            }
        }
    }

    /// Lets a server know that the session in one of its places is over.
    pub fn session_is_over(&mut self, server: usize, place: u16) {
        let Some(service) = self.services.get_mut(server).and_then(Option::as_mut) else { return };
        service.departures.clients |= 1 << place;
        service.departures.sessions |= 1 << place;
        tell(&self.entries, server);
    }

    /// Lets a server know that the call of who has an end is over, though it was not answered.
    pub fn call_is_over(&mut self, server: usize, end: (u64, End)) {
        let Some(service) = self.services.get_mut(server).and_then(Option::as_mut) else { return };
        let mut places = service.roles.iter().flat_map(|role| &role.places);
        if let Some(at) = places.position(|(owner, _)| *owner == Some(end)) {
            service.departures.calls |= 1 << at;
            tell(&self.entries, server);
        }
    }

    /// Lets a server that was started know if there is something to be told of its clients.
    pub(super) fn tell_of_departures(&self, index: usize) {
        let spec = self.entries[index].spec;
        if self.services[spec].as_ref().is_some_and(|service| service.departures != Departures::default()) {
            tell(&self.entries, spec);
        }
    }

    /// What has become of a server's clients and of their calls since it last asked.
    pub fn departures(&mut self, id: u64) -> Departures {
        let spec = self.find(id).map(|index| self.entries[index].spec);
        let service = spec.and_then(|spec| self.services[spec].as_mut());
        service.map(|service| core::mem::take(&mut service.departures)).unwrap_or_default()
    }
}

/// Signals a server, if it runs, that there is something to be told of its clients.
fn tell(entries: &[Entry], server: usize) {
    let live = entries.iter().find(|e| e.spec == server).and_then(|e| e.live.as_ref());
    if let Some(signal) = live.and_then(|live| live.gone_signal) {
        signal.signal();
    }
}
