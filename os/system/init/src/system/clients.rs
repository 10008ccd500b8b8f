//! What becomes of the clients of a server that has died, or does not come back.

use alloc::{borrow::Cow, vec::Vec};

use pecan_manifest::Server;
use pecan_service::CallError;

use super::{Entry, System};
use crate::{
    calls,
    instance::Live,
    output::say,
    places::{End, end_badge},
};

impl System {
    /// Ends the calls of a server's clients that its predecessor took with it.
    pub(super) fn end_calls(&mut self, index: usize) {
        let (server, generation) = (self.entries[index].spec, self.entries[index].restarts);
        let entry = &self.entries[index];
        let failures = entry.watch.map_or(entry.note.failures, |watch| watch.failures());
        let again = failures <= calls::AGAIN;
        let description = self.archive.system();
        for (live, cptrs, _, program) in clients(&mut self.entries, description, server) {
            let elf = program.and_then(|program| self.archive.file(&program));
            calls::end(live, &cptrs, elf, generation, again);
        }
        self.end_session_calls(server, CallError::ServerRestarted { generation });
    }

    /// Lets the clients of a server know that it does not come back: the initial task answers in its place.
    pub(super) fn bury(&mut self, server: usize) {
        if let Some(service) = self.services[server].as_mut() {
            service.buried = true;
        }
        let endpoint = self.memory.slot_of(self.endpoint);
        for (live, cptrs, id, _) in clients(&mut self.entries, self.archive.system(), server) {
            for cptr in cptrs {
                let calling = live.calling(cptr);
                if let Err(error) = live.redirect(cptr, id, endpoint) {
                    say!("*** a client of a dead server cannot be told: {error}");
                } else {
                    // As above: they make their call again, and are answered.
                    calling.into_iter().for_each(|tcb| _ = tcb.resume());
                }
            }
        }
        self.end_session_calls(server, CallError::Gone);
    }

    /// Lets the clients of a server that was started after all call it again.
    pub(super) fn unearth(&mut self, server: usize) {
        let Some(service) = self.services[server].as_mut() else { return };
        service.buried = false;
        let endpoint = self.memory.slot_of(service.endpoint);
        let description = self.archive.system();
        for (id, live) in self.entries.iter_mut().filter_map(|e| Some((e.id, e.live.as_mut()?))) {
            let ends: Vec<_> = live.channels().collect();
            for (number, cptr) in ends {
                let Some(edge) = description.channels.get(number) else { continue };
                if edge.server != Server::Component(server as u16) {
                    continue;
                }
                let Some(role) = service.roles.get_mut(usize::from(edge.server_role)) else { continue };
                let end = (id, End::Channel(number));
                let Some(place) = role.place(end, description.ring_place(number)) else {
                    say!("*** a client of a server that is back finds no place");
                    continue;
                };
                let badge = end_badge(description, edge, place, role);
                if let Err(error) = live.give_back_channel(cptr, badge, endpoint) {
                    say!("*** a client of a server that is back cannot reach it: {error}");
                }
            }
        }
    }
}

/// Everybody who runs: what each is made of, where it has endpoints of a server, its number, and the name of its program.
fn clients<'a>(
    entries: &'a mut [Entry],
    description: &'a pecan_manifest::System,
    server: usize,
) -> impl Iterator<Item = (&'a mut Live, Vec<u64>, u64, Option<Cow<'a, str>>)> {
    let to = Server::Component(server as u16);
    let leads_there = move |number: usize| description.channels.get(number).is_some_and(|c| c.server == to);
    let live = entries
        .iter_mut()
        .filter_map(|entry| Some((entry.id, entry.spec, entry.program, entry.live.as_mut()?)));
    // Everybody prints into the system log.
    let is_log = description.log_writer() == Some(server);
    live.map(move |(id, spec, program, live)| {
        let ends = live.channels().filter(|(number, _)| leads_there(*number));
        let cptrs = ends.map(|(_, cptr)| cptr).chain(live.printing().filter(|_| is_log)).collect();
        (live, cptrs, id, description.program(spec, program))
    })
}
