//! Capability addressing (manual 3.3, 3.4) and the IPC buffer.

use pecan_abi::{
    Error, MessageInfo,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_LENGTH, buffer},
};

use super::{Cap, Failure, LookupFailure, Name, Slot, Step, register, thread_slot, vspace::size};

impl Step {
    /// Manual 3.3.1: the slot that an address means in a thread's CSpace, as far as CNodes go.
    pub(super) fn lookup(&self, thread: Name, address: u64) -> Result<Slot, LookupFailure> {
        let root = self.cap(Slot { object: thread, index: thread_slot::CSPACE });
        self.resolve(root, address, 64).map(|(slot, _)| slot)
    }

    /// Manual 3.3.1: resolves the low `depth` bits of an address from a CNode; gives the bits left over, too.
    fn resolve(&self, root: Option<Cap>, address: u64, depth: u32) -> Result<(Slot, u32), LookupFailure> {
        let Some(Cap::CNode { cnode, radix, guard, guard_bits }) = root else {
            return Err(LookupFailure::InvalidRoot);
        };
        let left = depth as u64;
        if guard_bits > depth || bits(address, depth - guard_bits, guard_bits) != guard {
            return Err(LookupFailure::GuardMismatch { left, guard, guard_bits: guard_bits as u64 });
        }
        if guard_bits + radix > depth {
            return Err(LookupFailure::DepthMismatch { left, found: (guard_bits + radix) as u64 });
        }
        let rest = depth - guard_bits - radix;
        let slot = Slot { object: cnode, index: bits(address, rest, radix) };
        match self.cap(slot) {
            next @ Some(Cap::CNode { .. }) if rest > 0 => self.resolve(next, address, rest),
            _ => Ok((slot, rest)),
        }
    }

    /// Manual 3.3.2: the slot that an invocation names by CNode, index and depth.
    pub(super) fn target(
        &self,
        source: bool,
        root: Option<Cap>,
        index: u64,
        depth: u64,
    ) -> Result<Slot, Failure> {
        if !matches!(root, Some(Cap::CNode { .. })) {
            return Err(failed_lookup(source, LookupFailure::InvalidRoot));
        }
        if !(1..=64).contains(&depth) {
            return Err(super::range(1, 64));
        }
        match self.resolve(root, index, depth as u32) {
            Ok((slot, 0)) => Ok(slot),
            Ok((_, left)) => {
                Err(failed_lookup(source, LookupFailure::DepthMismatch { left: left as u64, found: 0 }))
            }
            Err(failure) => Err(failed_lookup(source, failure)),
        }
    }

    /// A destination must be empty.
    pub(super) fn need_empty(&self, slot: Slot) -> Result<(), Failure> {
        if self.cap(slot).is_some() { Err(Failure(Error::DeleteFirst, vec![])) } else { Ok(()) }
    }

    /// Manual 4.1: the address of a thread's IPC buffer, if it has one that may be used so.
    fn buffer(&self, thread: Name, write_it: bool) -> Option<u64> {
        match self.cap(Slot { object: thread, index: thread_slot::BUFFER })? {
            Cap::Frame { frame, level, device: false, read: true, write, .. } if write || !write_it => {
                Some(frame.0 + (self.s.threads[&thread].buffer & (size(level) - 1024)))
            }
            _ => None,
        }
    }

    pub(super) fn get_buffer(&self, thread: Name, index: usize) -> Option<u64> {
        let at = self.buffer(thread, false)? + 8 * index as u64;
        Some(self.s.memory.get(&at).copied().unwrap_or(0))
    }

    pub(super) fn put_buffer(&mut self, thread: Name, index: usize, word: u64) -> bool {
        let Some(at) = self.buffer(thread, true) else { return false };
        match word {
            0 => self.s.memory.remove(&(at + 8 * index as u64)),
            _ => self.s.memory.insert(at + 8 * index as u64, word),
        };
        true
    }

    /// Manual 4.1: a word of a message; those beyond the registers are in the IPC buffer.
    pub(super) fn word(&self, thread: Name, i: usize) -> u64 {
        match register::WORDS.get(i) {
            Some(&register) => self.s.threads[&thread].registers[register],
            None => self.get_buffer(thread, buffer::MSG + i).unwrap_or(0),
        }
    }

    pub(super) fn put_word(&mut self, thread: Name, i: usize, word: u64) -> bool {
        if let Some(&register) = register::WORDS.get(i) {
            self.thread(thread).registers[register] = word;
            return true;
        }
        i < MSG_MAX_LENGTH && self.put_buffer(thread, buffer::MSG + i, word)
    }

    /// Puts words from the first on; gives how many had a place.
    pub(super) fn put_words(&mut self, thread: Name, words: &[u64]) -> usize {
        words.iter().enumerate().take_while(|&(i, &word)| self.put_word(thread, i, word)).count()
    }

    /// The words of a message that a thread can send.
    pub(super) fn sendable_length(&self, thread: Name) -> usize {
        let length = MessageInfo(self.s.threads[&thread].registers[register::INFO]).length_capped();
        if self.buffer(thread, false).is_some() { length } else { length.min(MESSAGE_REGISTERS) }
    }

    /// Manual 4.2.2: the capabilities that go with a thread's message.
    pub(super) fn extra_caps(&self, thread: Name) -> Result<Vec<Slot>, (u64, LookupFailure)> {
        let count = MessageInfo(self.s.threads[&thread].registers[register::INFO]).extra_caps();
        (0..count)
            .map_while(|i| self.get_buffer(thread, buffer::CAPS_OR_BADGES + i))
            .map(|address| self.lookup(thread, address).map_err(|failure| (address, failure)))
            .collect()
    }

    /// Manual 4.2.2: where a thread wants a capability, if the slot exists and is empty.
    pub(super) fn receive_slot(&self, thread: Name) -> Option<Slot> {
        let word = |index| self.get_buffer(thread, index);
        let root = self.lookup(thread, word(buffer::RECEIVE_CNODE)?).ok()?;
        let (index, depth) = (word(buffer::RECEIVE_INDEX)?, word(buffer::RECEIVE_DEPTH)?);
        self.target(false, self.cap(root), index, depth).ok().filter(|&slot| self.cap(slot).is_none())
    }
}

/// `count` bits of a word from bit `from` on.
fn bits(word: u64, from: u32, count: u32) -> u64 {
    if count == 0 { 0 } else { word >> from & (u64::MAX >> (64 - count)) }
}

/// Manual 3.4: how a failed lookup is described.
pub(super) fn describe(failure: LookupFailure) -> Vec<u64> {
    match failure {
        LookupFailure::InvalidRoot => vec![1],
        LookupFailure::MissingCapability { left } => vec![2, left],
        LookupFailure::DepthMismatch { left, found } => vec![3, left, found],
        LookupFailure::GuardMismatch { left, guard, guard_bits } => vec![4, left, guard, guard_bits],
    }
}

pub(super) fn failed_lookup(source: bool, failure: LookupFailure) -> Failure {
    let mut details = vec![source as u64];
    details.extend(describe(failure));
    Failure(Error::FailedLookup, details)
}
