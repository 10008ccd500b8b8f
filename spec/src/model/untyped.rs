//! Kernel memory allocation (manual 2.4).

use pecan_abi::{Error, Label, ObjectType};

use super::{
    Answer, Cap, Failure, Invocation, LookupFailure, Name, Notification, Rights, SchedContext, Slot, Step,
    Stopped, Thread, cspace::failed_lookup, illegal, range,
};

const ALL: Rights = Rights { write: true, read: true, grant: true, grant_reply: true };
/// Objects that one invocation makes at most.
const FAN_OUT: u64 = pecan_config::RETYPE_FAN_OUT_LIMIT;

impl Step {
    /// `Untyped_Retype`.
    pub(super) fn untyped(&mut self, cap: Cap, inv: &Invocation) -> Answer {
        let Cap::Untyped { base, bits, device, used } = cap else { return Err(illegal()) };
        if Label::from_word(inv.label) != Some(Label::UntypedRetype) {
            return Err(illegal());
        }
        inv.need(6, 1)?;
        let [kind, size, index, depth, offset, count] = inv.words[..6] else { return Err(illegal()) };
        let object_bits = object_bits(kind, size)?;
        let root = self.cap(inv.extra[0]);
        let node = if depth == 0 { root } else { self.cap(self.target(false, root, index, depth)?) };
        let Some(Cap::CNode { cnode, radix, .. }) = node else {
            return Err(failed_lookup(false, LookupFailure::MissingCapability { left: depth }));
        };
        let slots = 1 << radix;
        if offset >= slots {
            return Err(range(0, slots - 1));
        }
        if !(1..=FAN_OUT).contains(&count) {
            return Err(range(1, FAN_OUT));
        }
        if count > slots - offset {
            return Err(range(1, slots - offset));
        }
        let dest = |i| Slot { object: cnode, index: offset + i };
        (0..count).try_for_each(|i| self.need_empty(dest(i)))?;
        // Manual 2.4.1: without children all of the memory is free again.
        let used = if self.has_children(inv.slot) { used } else { 0 };
        let start = used.next_multiple_of(1 << object_bits);
        if start + (count << object_bits) > 1 << bits {
            return Err(Failure(Error::NotEnoughMemory, vec![(1 << bits) - used]));
        }
        use ObjectType::{HugePage, LargePage, Page4K, Untyped};
        let kind = ObjectType::from_word(kind).ok_or_else(illegal)?;
        let plain = matches!(kind, Untyped | Page4K | LargePage | HugePage);
        if device && !plain {
            return Err(Failure(Error::InvalidArgument, vec![1]));
        }
        if !self.has_children(inv.slot) {
            self.clear(inv.slot)?;
        }
        for i in 0..count {
            let name = Name(base.0 + start + (i << object_bits));
            let cap = self.create(kind, size, name, device);
            self.insert_new(inv.slot, dest(i), cap);
        }
        let used = start + (count << object_bits);
        self.held(inv.slot).cap = Cap::Untyped { base, bits, device, used };
        Ok(vec![])
    }

    /// Manual 2.4.1: memory that was used before is cleared, from its end on and piece by piece.
    fn clear(&mut self, slot: Slot) -> Result<(), Stopped> {
        const PIECE: u64 = 1 << pecan_config::RESET_CHUNK_BITS;
        while let Cap::Untyped { device: false, used, .. } = &mut self.held(slot).cap
            && *used > PIECE
        {
            *used = (*used - 1) / PIECE * PIECE;
            self.may_stop()?;
        }
        Ok(())
    }

    /// A new object, and the first capability to it.
    fn create(&mut self, kind: ObjectType, size: u64, name: Name, device: bool) -> Cap {
        match kind {
            ObjectType::Untyped => Cap::Untyped { base: name, bits: size as u32, device, used: 0 },
            ObjectType::Tcb => {
                self.s.threads.insert(name, Thread::default());
                Cap::Thread { thread: name }
            }
            ObjectType::Endpoint => {
                self.s.endpoints.insert(name, vec![]);
                Cap::Endpoint { ep: name, badge: 0, rights: ALL }
            }
            ObjectType::Notification => {
                self.s.notifications.insert(name, Notification::default());
                let rights = Rights { grant: false, grant_reply: false, ..ALL };
                Cap::Notification { ntfn: name, badge: 0, rights }
            }
            ObjectType::CNode => Cap::CNode { cnode: name, radix: size as u32, guard: 0, guard_bits: 0 },
            ObjectType::SchedContext => {
                self.s.contexts.insert(name, SchedContext::default());
                Cap::SchedContext { sc: name, bits: size as u32 }
            }
            ObjectType::Reply => {
                self.s.replies.insert(name, None);
                Cap::Reply { reply: name, grant: true }
            }
            ObjectType::PageTable | ObjectType::PageDirectory | ObjectType::Pdpt | ObjectType::Pml4 => {
                self.s.tables.insert(name, Default::default());
                let level = match kind {
                    ObjectType::PageTable => 0,
                    ObjectType::PageDirectory => 1,
                    ObjectType::Pdpt => 2,
                    _ => 3,
                };
                Cap::Table { table: name, level, mapped: None }
            }
            ObjectType::Page4K | ObjectType::LargePage | ObjectType::HugePage => {
                let level = match kind {
                    ObjectType::Page4K => 0,
                    ObjectType::LargePage => 1,
                    _ => 2,
                };
                Cap::Frame { frame: name, level, device, read: true, write: true, mapped: None }
            }
        }
    }
}

/// Manual 2.4.2: the size of an object, log2.
fn object_bits(kind: u64, size: u64) -> Result<u32, Failure> {
    let wrong = |n| Failure(Error::InvalidArgument, vec![n]);
    let kind = ObjectType::from_word(kind).ok_or(wrong(0))?;
    if size >= 64 {
        return Err(range(0, 47));
    }
    let (bits, least) = match kind {
        ObjectType::Untyped => (size, 4),
        ObjectType::SchedContext => (size, 7),
        ObjectType::CNode => (size + 5, 1),
        ObjectType::Tcb => (if pecan_config::XSAVE_SIZE >= 832 { 12 } else { 11 }, 0),
        ObjectType::Endpoint => (4, 0),
        ObjectType::Notification => (6, 0),
        ObjectType::Reply => (5, 0),
        ObjectType::LargePage => (21, 0),
        ObjectType::HugePage => (30, 0),
        _ => (12, 0),
    };
    if bits > 47 {
        return Err(range(0, 47));
    }
    if size < least { Err(wrong(1)) } else { Ok(bits as u32) }
}
