//! Memory that a component has with others: pages, and its ends of rings.

use alloc::format;

use pecan::{
    Cap, CapRights,
    abi::constants::vm_attributes,
    types::{Notification, SmallPage},
    vspace::PAGE_SIZE,
};
use pecan_manifest::layout::resource;
use pecan_protocols::{Granted, RingPart};

use super::{Given, Live, Maker, Pages, StartError};
use crate::rings::End;

impl Live {
    /// Maps pages that somebody else also has, one behind the other; returns where.
    pub fn map_copies(
        &mut self,
        frames: &[Cap<SmallPage>],
        rights: CapRights,
        attributes: u64,
    ) -> pecan::Result<u64> {
        let address = self.space.reserve(frames.len() as u64 * PAGE_SIZE, PAGE_SIZE)?;
        for (n, frame) in frames.iter().enumerate() {
            self.map_copy(*frame, address + n as u64 * PAGE_SIZE, rights, attributes)?;
        }
        Ok(address)
    }

    /// Maps a page that somebody else also has.
    pub(super) fn map_copy(
        &mut self,
        frame: Cap<SmallPage>,
        address: u64,
        rights: CapRights,
        attributes: u64,
    ) -> pecan::Result<()> {
        let copy = self.home.objects().copy(frame, rights)?;
        // SAFETY: the initial task accesses frames that are shared with components by atomics only.
        unsafe { self.space.map(&mut self.home.objects(), copy, address, rights, attributes) }
    }
}

impl Maker<'_> {
    /// Maps pages that somebody else also has, one behind the other, before the component runs; returns where.
    pub(super) fn map_shared(
        &mut self,
        frames: &[Cap<SmallPage>],
        rights: CapRights,
    ) -> Result<u64, StartError> {
        self.map_copies(frames, rights, vm_attributes::DEFAULT)
    }

    /// The same, with attributes of the mapping.
    pub(super) fn map_copies(
        &mut self,
        frames: &[Cap<SmallPage>],
        rights: CapRights,
        attributes: u64,
    ) -> Result<u64, StartError> {
        let address = self.live.space.reserve(frames.len() as u64 * PAGE_SIZE, PAGE_SIZE)?;
        self.live.to_do.push_back(Pages::copies(address, frames, rights, attributes));
        Ok(address)
    }

    /// The same, with the name that the start page has for it; returns where, and the bytes.
    pub(super) fn give_shared(
        &mut self,
        name: &str,
        frames: &[Cap<SmallPage>],
        writable: bool,
    ) -> Result<(u64, u64), StartError> {
        let bytes = frames.len() as u64 * PAGE_SIZE;
        let address = if writable {
            let address = self.map_shared(frames, CapRights::READ_WRITE)?;
            self.page.add_memory(name, address, bytes);
            address
        } else {
            let address = self.map_shared(frames, CapRights::READ)?;
            self.page.add_memory(&format!("{name}{}", resource::READ_ONLY), address, bytes);
            address
        };
        Ok((address, bytes))
    }

    /// Gives the component what its predecessor has handed over.
    pub(super) fn give_handover(&mut self, given: &Given<'_>) -> Result<(), StartError> {
        let Some((pages, bytes)) = &given.handover else { return Ok(()) };
        let address = self.map_shared(pages, CapRights::READ)?;
        let mapped = pages.len() as u64 * PAGE_SIZE;
        self.page.add_memory(resource::HANDOVER, address, mapped);
        self.page.add_parameter(resource::HANDOVER, *bytes);
        self.live.granted.push(Granted::Handover { address, bytes: mapped, writable: false });
        Ok(())
    }

    /// Gives the component its ends of rings, and its signals to wait for: a server waits for nothing else while it hands over.
    pub(super) fn give_rings(
        &mut self,
        given: &Given<'_>,
        signals: Cap<Notification>,
    ) -> Result<(), StartError> {
        for End { name, channel, parts, bit, wake: (notification, badge) } in &given.rings {
            let channel = *channel;
            for (part, pages, writable) in parts {
                let (part, writable) = (*part, *writable);
                let (address, bytes) = match part {
                    RingPart::Own => {
                        self.give_shared(&format!("{name}{}", resource::RING_OWN), pages, writable)?
                    }
                    // What reads it knows that it cannot be written.
                    RingPart::Other => {
                        let address = self.map_shared(pages, CapRights::READ)?;
                        let bytes = pages.len() as u64 * PAGE_SIZE;
                        self.page.add_memory(&format!("{name}{}", resource::RING_OTHER), address, bytes);
                        (address, bytes)
                    }
                    RingPart::Data => {
                        self.give_shared(&format!("{name}{}", resource::RING_DATA), pages, writable)?
                    }
                };
                self.live.granted.push(Granted::RingMemory { address, bytes, channel, part, writable });
            }
            let slot = self.slot();
            slot.mint_from(self.memory.slot_of(*notification), CapRights::WRITE, *badge)?;
            let name = format!("{name}{}", resource::RING);
            self.page.add_cap(&name, slot.index);
            self.page.add_parameter(&name, (*bit).into());
            self.live.granted.push(Granted::RingSignal { slot: slot.index, badge: *badge, channel });
        }
        let slot = self.slot();
        slot.copy_from(self.memory.slot_of(signals), CapRights::READ)?;
        self.page.add_cap(resource::SIGNALS, slot.index);
        self.live.granted.push(Granted::Signals { slot: slot.index });
        Ok(())
    }
}
