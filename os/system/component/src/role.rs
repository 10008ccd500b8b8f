//! The roles of a component, in which it calls others and is called. Its build script makes a constant of each
//! (`pecan-build`).

use alloc::{format, string::String};

use pecan::{Cap, types::Endpoint};
use pecan_manifest::layout::resource;
use pecan_service::{
    Caller,
    shared::{Shared, SharedView, from_startup},
};

use crate::ring::{Consumer, Consumes, Producer, Produces};

/// A role in which this component calls a server, by the client `C`; with a ring or with sessions, if `R` says so.
#[derive(Clone, Copy, Debug)]
pub struct Uses<C, R = ()> {
    name: &'static str,
    client: fn(Cap<Endpoint>) -> C,
    extra: R,
}

impl<C> Uses<C> {
    /// The role of a name, and how a client is made of an endpoint.
    pub const fn new(name: &'static str, client: fn(Cap<Endpoint>) -> C) -> Self {
        Self { name, client, extra: () }
    }
}

impl<C, R> Uses<C, R> {
    /// The same with a ring, or with sessions.
    pub const fn with(name: &'static str, client: fn(Cap<Endpoint>) -> C, extra: R) -> Self {
        Self { name, client, extra }
    }

    /// A client that calls the server to which the description connects this role. Were there none, every call would say
    /// so.
    pub fn client(&self) -> C {
        (self.client)(self.endpoint())
    }

    /// A client that calls through another capability.
    pub(crate) fn client_at(&self, endpoint: Cap<Endpoint>) -> C {
        (self.client)(endpoint)
    }

    /// The server's endpoint.
    pub fn endpoint(&self) -> Cap<Endpoint> {
        endpoint(self.name)
    }

    /// The page shared with the server, if the server shares one and lets its clients write it.
    pub fn page(&self) -> Option<Shared> {
        memory(self.name)
    }

    /// The page shared with the server, if the server shares one.
    pub fn page_view(&self) -> Option<SharedView> {
        view(self.name)
    }
}

impl<C> Uses<C, Produces> {
    /// This end of the ring, which fills buffers; `None` while there is another `Producer` of it.
    pub fn producer(&self) -> Option<Producer> {
        self.extra.producer(self.name, 0)
    }
}

impl<C> Uses<C, Consumes> {
    /// This end of the ring, which empties buffers; `None` while there is another `Consumer` of it.
    pub fn consumer(&self) -> Option<Consumer> {
        self.extra.consumer(self.name, 0)
    }
}

/// A role in which this component is called; with rings or with sessions, if `R` says so.
#[derive(Clone, Copy, Debug)]
pub struct Serves<R = ()> {
    name: &'static str,
    number: u8,
    extra: R,
}

impl Serves {
    /// The role of a name and a number.
    pub const fn new(name: &'static str, number: u8) -> Self {
        Self { name, number, extra: () }
    }
}

impl<R> Serves<R> {
    /// The same with a ring for each client, or with sessions.
    pub const fn with(name: &'static str, number: u8, extra: R) -> Self {
        Self { name, number, extra }
    }

    /// Whether it is this role that was called.
    pub const fn is_called_by(&self, caller: Caller) -> bool {
        caller.role() == self.number
    }

    /// The first of the places of the clients of this role. Those of the role that comes next by name follow.
    pub fn first_place(&self) -> Option<usize> {
        usize::try_from(crate::startup().parameter(&self.resource())?).ok()
    }

    fn resource(&self) -> String {
        format!("{}{}", resource::ROLE, self.name)
    }

    /// The page shared with a client of this role, by the client's place, if this side may write it.
    pub fn page(&self, place: usize) -> Option<Shared> {
        let page = memory(&self.resource())?.part(self.offset(place)?, PAGE);
        (!page.is_empty()).then_some(page)
    }

    /// The page shared with a client of this role, by the client's place.
    pub fn page_view(&self, place: usize) -> Option<SharedView> {
        let page = view(&self.resource())?.part(self.offset(place)?, PAGE);
        (!page.is_empty()).then_some(page)
    }

    fn offset(&self, place: usize) -> Option<usize> {
        place.checked_sub(self.first_place()?)?.checked_mul(PAGE)
    }

    /// The name of the ring of a client, and which of the role's places the client has.
    fn ring_of(&self, place: usize) -> Option<(String, usize)> {
        let at = place.checked_sub(self.first_place()?)?;
        Some((format!("{}.{at}", self.resource()), at))
    }
}

impl Serves<Produces> {
    /// This end of the ring with a client, by the client's place; as [`Uses::producer`].
    pub fn producer(&self, place: usize) -> Option<Producer> {
        let (name, at) = self.ring_of(place)?;
        self.extra.producer(&name, at)
    }
}

impl Serves<Consumes> {
    /// This end of the ring with a client, by the client's place; as [`Uses::consumer`].
    pub fn consumer(&self, place: usize) -> Option<Consumer> {
        let (name, at) = self.ring_of(place)?;
        self.extra.consumer(&name, at)
    }
}

/// Bytes of a page.
const PAGE: usize = 4096;

/// The endpoint that the start page has under a name, or the null capability.
pub fn endpoint(name: &str) -> Cap<Endpoint> {
    cap(name).unwrap_or(Cap::NULL)
}

/// The capability that the start page has under a name.
pub(crate) fn cap<T>(name: &str) -> Option<Cap<T>> {
    // SAFETY: it is the page that this component was started with, and of what the component consists of, the initial task
    // gives it only threads, which `thread` alone asks for, and what it makes components with: all else is foreign.
    unsafe { crate::startup().cap(name) }
}

/// The memory that the start page has under a name.
pub(crate) fn memory(name: &str) -> Option<Shared> {
    // SAFETY: it is the page that this component was started with, and here alone does a component get at its memory. What
    // is mapped read-only has a name that ends with `READ_ONLY` and is asked for by `view`; or it is handed out only as the
    // other side's pages of a stream or a ring, which write nothing there.
    unsafe { from_startup(crate::startup(), name) }
}

/// The same, to be read, whether or not it may be written.
pub(crate) fn view(name: &str) -> Option<SharedView> {
    let read_only = || memory(&format!("{name}{}", resource::READ_ONLY));
    memory(name).or_else(read_only).map(SharedView::from)
}
