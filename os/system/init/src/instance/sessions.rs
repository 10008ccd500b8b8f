//! What sessions change at their two ends: a capability of the client, and memory of the server.

use pecan::{
    CapRights, Error, Slot,
    abi::constants::vm_attributes,
    types::{LargePage, SmallPage},
    vspace::PAGE_SIZE,
};
use pecan_manifest::{Badge, layout};
use pecan_protocols::Granted;

use super::{CALL_RIGHTS, LARGE_PAGE, Live};
use crate::memory::Home;

impl Live {
    /// The number of the channel to whose server a capability at an address leads, itself or in a session.
    pub fn end_at(&self, cptr: u64) -> Option<usize> {
        self.granted.iter().find_map(|granted| match granted {
            Granted::Channel { slot, channel, .. } | Granted::Session { slot, channel, .. } => {
                (*slot == cptr).then_some(usize::from(*channel))
            }
            _ => None,
        })
    }

    /// A slot of its CSpace for another session.
    pub fn session_slot(&self, is_taken: impl Fn(u64) -> bool) -> Option<u64> {
        (self.first_session..self.first_session + layout::SESSIONS_MAX).find(|slot| !is_taken(*slot))
    }

    /// Gives it the capability of a session.
    pub fn give_session(
        &mut self,
        (cptr, channel): (u64, usize),
        endpoint: Slot,
        badge: Badge,
        bytes: u64,
    ) -> pecan::Result<()> {
        let slot = self.cnode.slot_in(self.cnode_bits, cptr);
        slot.mint_from(endpoint, CALL_RIGHTS, badge.word())?;
        let (channel, badge) = (channel as u16, badge.word());
        self.granted.push(Granted::Session { slot: cptr, badge, channel, bytes, over: false });
        Ok(())
    }

    /// Lets its calls in a session be answered by the initial task from now on.
    pub fn end_session(&mut self, cptr: u64, id: u64, supervisor: Slot) -> pecan::Result<()> {
        let slot = self.cnode.slot_in(self.cnode_bits, cptr);
        // SAFETY: the slot is one of the component's CSpace, and holds an endpoint.
        unsafe { slot.delete() }?;
        let ended = Badge::ended(id).word();
        slot.mint_from(supervisor, CALL_RIGHTS, ended)?;
        for granted in &mut self.granted {
            if let Granted::Session { slot, badge, over, .. } = granted
                && *slot == cptr
            {
                (*badge, *over) = (ended, true);
            }
        }
        Ok(())
    }

    /// Takes the capability of a session away.
    pub fn take_session(&mut self, cptr: u64) -> pecan::Result<()> {
        let slot = self.cnode.slot_in(self.cnode_bits, cptr);
        // SAFETY: as above.
        unsafe { slot.delete() }?;
        self.granted.retain(|granted| !matches!(granted, Granted::Session { slot, .. } if *slot == cptr));
        Ok(())
    }

    /// Maps all of a session's memory in it, a server; returns the bytes. Page tables are made of that memory, too.
    pub fn map_session(&mut self, home: &mut Home, place: u16) -> pecan::Result<u64> {
        let address = session_address(place);
        let mut bytes = 0;
        // Large pages first: what is left between them does for small ones.
        while bytes + LARGE_PAGE <= layout::SESSION_SPAN {
            let Ok(frame) = home.objects().make::<LargePage>() else { break };
            let (objects, rights) = (&mut home.objects(), CapRights::READ_WRITE);
            // SAFETY: the frame was made for the session just now.
            let mapped =
                unsafe { self.space.map(objects, frame, address + bytes, rights, vm_attributes::DEFAULT) };
            match mapped {
                Ok(()) => bytes += LARGE_PAGE,
                Err(error) if is_all(error) => break,
                Err(error) => return Err(error),
            }
        }
        while bytes + PAGE_SIZE <= layout::SESSION_SPAN {
            let frame = match home.objects().make::<SmallPage>() {
                Ok(frame) => frame,
                Err(error) if is_all(error) => break,
                Err(error) => return Err(error),
            };
            let (objects, rights) = (&mut home.objects(), CapRights::READ_WRITE);
            // SAFETY: as above.
            let mapped =
                unsafe { self.space.map(objects, frame, address + bytes, rights, vm_attributes::DEFAULT) };
            match mapped {
                Ok(()) => bytes += PAGE_SIZE,
                Err(error) if is_all(error) => break,
                Err(error) => return Err(error),
            }
        }
        if bytes == 0 {
            return Err(Error::NoMemory { size_bits: PAGE_SIZE.ilog2() });
        }
        self.granted.push(Granted::SessionMemory { address, bytes, place });
        Ok(bytes)
    }

    /// The memory of the session in a place is gone.
    pub fn unmap_session(&mut self, gone: u16) {
        self.granted
            .retain(|granted| !matches!(granted, Granted::SessionMemory { place, .. } if *place == gone));
    }
}

/// Where a server has the memory of the session in a place.
pub const fn session_address(place: u16) -> u64 {
    layout::SESSIONS + place as u64 * layout::SESSION_SPAN
}

/// Whether an error says that the session's memory, or its slots, are used up.
const fn is_all(error: Error) -> bool {
    matches!(error, Error::NoMemory { .. } | Error::NotEnoughMemory { .. } | Error::NoSlots)
}
