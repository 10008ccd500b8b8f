//! The roles of a component, in which it calls others and is called. Its build script makes a constant of each
//! (`pecan-build`).

use alloc::{format, string::String};

use pecan::{Cap, types::Endpoint};
use pecan_manifest::layout::resource;
use pecan_service::{
    Caller,
    shared::{Shared, from_startup},
};

/// A role in which this component calls a server, by the client `C`.
#[derive(Clone, Copy, Debug)]
pub struct Uses<C> {
    name: &'static str,
    client: fn(Cap<Endpoint>) -> C,
}

impl<C> Uses<C> {
    /// The role of a name, and how a client is made of an endpoint.
    pub const fn new(name: &'static str, client: fn(Cap<Endpoint>) -> C) -> Self {
        Self { name, client }
    }

    /// A client that calls the server to which the description connects this role. Were there none, every call would say
    /// so.
    pub fn client(&self) -> C {
        (self.client)(self.endpoint())
    }

    /// The server's endpoint.
    pub fn endpoint(&self) -> Cap<Endpoint> {
        endpoint(self.name)
    }

    /// The page shared with the server, if the server shares one.
    pub fn page(&self) -> Option<Shared> {
        memory(self.name)
    }
}

/// A role in which this component is called.
#[derive(Clone, Copy, Debug)]
pub struct Serves {
    name: &'static str,
    number: u8,
}

impl Serves {
    /// The role of a name and a number.
    pub const fn new(name: &'static str, number: u8) -> Self {
        Self { name, number }
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

    /// The page shared with a client of this role, by the client's place.
    pub fn page(&self, place: usize) -> Option<Shared> {
        let at = place.checked_sub(self.first_place()?)?.checked_mul(4096)?;
        let page = memory(&self.resource())?.part(at, 4096);
        (!page.is_empty()).then_some(page)
    }
}

/// The endpoint that the start page has under a name, or the null capability.
pub fn endpoint(name: &str) -> Cap<Endpoint> {
    cap(name).unwrap_or(Cap::NULL)
}

/// The capability that the start page has under a name.
pub(crate) fn cap<T>(name: &str) -> Option<Cap<T>> {
    // SAFETY: it is the page that this component was started with, and the initial task gives a component nothing that the
    // component consists of: whatever the name stands for is foreign.
    unsafe { crate::startup().cap(name) }
}

/// The memory that the start page has under a name.
pub(crate) fn memory(name: &str) -> Option<Shared> {
    // SAFETY: it is the page that this component was started with, and here alone does a component get at its memory. What
    // is mapped read-only is handed out only as the other side's pages of a stream or a queue, which write nothing there.
    unsafe { from_startup(crate::startup(), name) }
}
