//! Rings between components: memory and signals that outlive both ends, so that either can be started again.

use alloc::{format, string::String, vec::Vec};

use pecan::{
    Cap,
    types::{Notification, SmallPage},
};
use pecan_manifest::{Badge, RingAt, Server, System, layout, layout::resource};
use pecan_protocols::RingPart;

use crate::{
    instance::StartError,
    memory::{Home, Memory},
};

/// The rings of a system.
pub struct Rings {
    /// For each channel of the description, its ring.
    rings: Vec<Option<Ring>>,
    /// For each component of the description that has an end of a ring, or shows the system log, what signals it.
    signals: Vec<Option<Cap<Notification>>>,
}

/// A ring.
struct Ring {
    /// Its memory, which is never given back.
    _home: Home,
    /// The pages that the client writes, those that the server writes, and those of the data.
    parts: [Vec<Cap<SmallPage>>; 3],
    /// The number of the component that has the client's end.
    client: Option<u64>,
}

/// A component's end of a ring.
pub struct End {
    /// The name of the role, and for a server the place.
    pub name: String,
    /// The number of the channel in the description.
    pub channel: u16,
    /// What it has of the ring: which part, the pages, and whether it may write them.
    pub parts: [(RingPart, Vec<Cap<SmallPage>>, bool); 3],
    /// The bit, among the component's signals, of the other end's.
    pub bit: u32,
    /// What signals the other end, and with what.
    pub wake: (Cap<Notification>, u64),
}

impl Rings {
    /// Makes the rings of a system.
    pub fn new(system: &System, memory: &mut Memory) -> pecan::Result<Self> {
        let mut rings = Vec::new();
        for channel in &system.channels {
            let Some(ring) = channel.ring else {
                rings.push(None);
                continue;
            };
            let mut home = memory.take(ring.bytes(), ring.slots())?;
            let mut pages = |count: u64| -> pecan::Result<Vec<Cap<SmallPage>>> {
                (0..count).map(|_| home.objects().make::<SmallPage>()).collect()
            };
            let parts = [pages(ring.index_pages())?, pages(ring.index_pages())?, pages(ring.data_pages())?];
            rings.push(Some(Ring { _home: home, parts, client: None }));
        }
        let mut signals = Vec::new();
        for component in 0..system.components.len() {
            let has_ring = system.rings_of(component).next().is_some();
            let shows_log = system.components[component].settings.log;
            signals.push(if has_ring || shows_log {
                Some(memory.objects().make::<Notification>()?)
            } else {
                None
            });
        }
        Ok(Self { rings, signals })
    }

    /// What signals a component that has an end of a ring, or shows the system log.
    pub fn signals(&self, component: usize) -> Option<Cap<Notification>> {
        self.signals[component]
    }

    /// The ends that a component gets, which is number `id` of those that run.
    pub fn ends(&mut self, system: &System, component: usize, id: u64) -> Result<Vec<End>, StartError> {
        let mut ends = Vec::new();
        for (nth, at) in system.rings_of(component).enumerate() {
            let Some(ring) = &mut self.rings[at.number] else { continue };
            if at.calls {
                // It can run several times at once, but the ring has one end.
                if ring.client.is_some_and(|client| client != id) {
                    return Err(StartError::NoPlace(format!("the ring of {}", at.role)));
                }
                ring.client = Some(id);
            }
            let other = match (at.calls, at.channel.server) {
                (true, Server::Component(server)) => server,
                (true, Server::Init) => continue,
                (false, _) => at.channel.client,
            };
            let (Some(wake), Some(other_bit)) =
                (self.signals[usize::from(other)], nth_of(system, usize::from(other), &at))
            else {
                continue;
            };
            let [client, server, data] = ring.parts.clone();
            let (own, others) = if at.calls { (client, server) } else { (server, client) };
            let rights = at.ring.rights;
            let writes = if at.calls { rights.client_writes() } else { rights.server_writes() };
            ends.push(End {
                name: match at.calls {
                    true => String::from(&**at.role),
                    false => format!("{}{}.{}", resource::ROLE, at.role, at.place),
                },
                channel: at.number as u16,
                parts: [
                    (RingPart::Own, own, true),
                    (RingPart::Other, others, false),
                    (RingPart::Data, data, writes),
                ],
                bit: layout::RING_SIGNAL + nth as u32,
                wake: (wake, Badge::SIGNAL | 1 << (layout::RING_SIGNAL + other_bit)),
            });
        }
        Ok(ends)
    }

    /// A component has ended: its ends are free for the next one.
    pub fn leave(&mut self, id: u64) {
        self.rings
            .iter_mut()
            .flatten()
            .filter(|ring| ring.client == Some(id))
            .for_each(|ring| ring.client = None);
    }
}

/// Which of a component's ends the other end of a ring is.
fn nth_of(system: &System, component: usize, at: &RingAt<'_>) -> Option<u32> {
    let nth = system.rings_of(component).position(|other| other.number == at.number)?;
    u32::try_from(nth).ok()
}
