//! Address spaces (manual 7), as x86_64 has them: frames, and paging structures of three levels below a root.

use std::collections::BTreeMap;

use crate::map::Map;

use pecan_abi::{CapRights, Error, Label, constants::USER_TOP};

use super::{
    Answer, Cap, Entry, Failure, Held, Invocation, LookupFailure, Name, Slot, State, Step,
    cspace::failed_lookup, illegal, invalid_capability, thread_slot,
};

/// The level of a root; level 0 holds pages.
pub(super) const ROOT: u32 = 3;

/// Bits of an address below an entry of a table of this level.
fn shift(level: u32) -> u32 {
    12 + 9 * level
}

/// Bytes of a frame of this level.
pub(super) fn size(level: u32) -> u64 {
    1 << shift(level)
}

fn wrong(n: u64) -> Failure {
    Failure(Error::InvalidArgument, vec![n])
}

/// What an address space translates: frames with the right to write, by address.
pub fn translations(s: &State) -> BTreeMap<(u64, u64), (Name, bool)> {
    let mut found = BTreeMap::new();
    for (&asid, &root) in &s.spaces {
        let mut todo = vec![(root, ROOT, 0)];
        while let Some((table, level, base)) = todo.pop() {
            for (&index, &entry) in s.tables.get(&table).into_iter().flatten() {
                let address = base + (index << shift(level));
                match entry {
                    Entry::Table(below) => todo.push((below, level - 1, address)),
                    Entry::Frame { frame, read: true, write, .. } => {
                        found.insert((asid, address), (frame, write));
                    }
                    Entry::Frame { .. } => {}
                }
            }
        }
    }
    found
}

/// The address space that a thread runs in, and its identifier: the root that it was given, if that still has the
/// identifier.
pub fn space_of(s: &State, thread: Name) -> Option<(Name, u64)> {
    let slot = Slot { object: thread, index: thread_slot::VSPACE };
    match s.caps.get(&slot)?.cap {
        Cap::Table { table, level: ROOT, mapped: Some((asid, _)) } => {
            (s.spaces.get(&asid) == Some(&table)).then_some((table, asid))
        }
        _ => None,
    }
}

impl Step {
    /// Manual 7.1.1, 7.1.2: methods of paging structures and frames.
    pub(super) fn vspace(&mut self, cap: Cap, inv: &Invocation) -> Answer {
        let label = Label::from_word(inv.label).ok_or_else(illegal)?;
        match cap {
            Cap::Frame { frame, level, mapped, .. } => match label {
                Label::PageMap => self.map_frame(inv, cap),
                Label::PageUnmap => {
                    self.unmap_frame(frame, level, mapped);
                    self.set_mapped(inv.slot, None);
                    Ok(vec![])
                }
                Label::PageGetAddress => {
                    if inv.call {
                        self.put_word(inv.thread, 0, frame.0);
                    }
                    Ok(vec![frame.0])
                }
                _ => Err(illegal()),
            },
            Cap::Table { table, level, mapped } => match (label, level) {
                (Label::PageTableMap, 0) | (Label::X86PageDirectoryMap, 1) | (Label::X86PdptMap, 2) => {
                    self.map_table(inv, table, level, mapped)
                }
                (Label::PageTableUnmap, 0) | (Label::X86PageDirectoryUnmap, 1) | (Label::X86PdptUnmap, 2) => {
                    self.unmap_structure(inv, table, level, mapped)
                }
                _ => Err(illegal()),
            },
            _ => Err(invalid_capability(0)),
        }
    }

    /// Manual 7.1.2: `Page_Map`. Never more rights than the capability has.
    fn map_frame(&mut self, inv: &Invocation, cap: Cap) -> Answer {
        let Cap::Frame { frame, level, read, write, mapped, .. } = cap else { return Err(illegal()) };
        inv.need(3, 1)?;
        let (vaddr, rights, cache) = (inv.words[0], CapRights(inv.words[1]), inv.words[2] as u8 & 7);
        let (root, asid) = self.root_argument(inv)?;
        match mapped {
            Some((a, _)) if a != asid => return Err(invalid_capability(1)),
            Some((_, v)) if v != vaddr => return Err(wrong(0)),
            None if vaddr.saturating_add(size(level)) > USER_TOP => return Err(wrong(0)),
            _ => {}
        }
        self.check_root(root, asid)?;
        if vaddr % size(level) != 0 {
            return Err(Failure(Error::AlignmentError, vec![]));
        }
        let (table, index) = self.walk(root, vaddr, level)?;
        match self.table(table).get(&index) {
            Some(Entry::Frame { frame: f, .. }) if *f == frame && mapped.is_some() => {}
            Some(_) => return Err(Failure(Error::DeleteFirst, vec![])),
            None => {}
        }
        let read = read && rights.read();
        let entry = Entry::Frame { frame, read, write: read && write && rights.write(), cache };
        self.table(table).insert(index, entry);
        self.set_mapped(inv.slot, Some((asid, vaddr)));
        Ok(vec![])
    }

    /// Manual 7.1.1: a paging structure becomes part of an address space.
    fn map_table(&mut self, inv: &Invocation, table: Name, level: u32, mapped: Option<(u64, u64)>) -> Answer {
        inv.need(2, 1)?;
        if mapped.is_some() {
            return Err(invalid_capability(0));
        }
        let (root, asid) = self.root_argument(inv)?;
        let vaddr = inv.words[0] >> shift(level + 1) << shift(level + 1);
        if vaddr >= USER_TOP {
            return Err(wrong(0));
        }
        self.check_root(root, asid)?;
        let (above, index) = self.walk(root, vaddr, level + 1)?;
        if self.table(above).contains_key(&index) {
            return Err(Failure(Error::DeleteFirst, vec![]));
        }
        self.table(above).insert(index, Entry::Table(table));
        self.set_mapped(inv.slot, Some((asid, vaddr)));
        Ok(vec![])
    }

    /// Manual 7.1.1: a paging structure leaves its address space, and is empty then. There must be no other capability
    /// to it.
    fn unmap_structure(
        &mut self,
        inv: &Invocation,
        table: Name,
        level: u32,
        mapped: Option<(u64, u64)>,
    ) -> Answer {
        let is_to_it = |held: &&Held| matches!(held.cap, Cap::Table { table: t, .. } if t == table);
        if self.s.caps.values().filter(is_to_it).count() > 1 {
            return Err(Failure(Error::RevokeFirst, vec![]));
        }
        if mapped.is_some() {
            self.unmap_table(table, level, mapped);
            self.table(table).clear();
            self.set_mapped(inv.slot, None);
        }
        Ok(vec![])
    }

    /// The address space that an invocation names.
    fn root_argument(&self, inv: &Invocation) -> Result<(Name, u64), Failure> {
        match self.cap(inv.extra[0]) {
            Some(Cap::Table { table, level: ROOT, mapped: Some((asid, _)) }) => Ok((table, asid)),
            _ => Err(invalid_capability(1)),
        }
    }

    /// Manual 7.1.4: it must still be the one of its identifier.
    fn check_root(&self, root: Name, asid: u64) -> Result<(), Failure> {
        match self.s.spaces.get(&asid) {
            None => Err(failed_lookup(false, LookupFailure::InvalidRoot)),
            Some(&found) if found != root => Err(invalid_capability(1)),
            Some(_) => Ok(()),
        }
    }

    /// The table of a level in which an address has its entry, and the entry's index.
    fn walk(&self, root: Name, vaddr: u64, level: u32) -> Result<(Name, u64), Failure> {
        let index = |level| vaddr >> shift(level) & 511;
        let mut table = root;
        for above in (level + 1..=ROOT).rev() {
            match self.s.tables[&table].get(&index(above)) {
                Some(&Entry::Table(below)) => table = below,
                _ => {
                    let left = shift(above) as u64;
                    return Err(failed_lookup(false, LookupFailure::MissingCapability { left }));
                }
            }
        }
        Ok((table, index(level)))
    }

    /// A frame goes from where a capability has mapped it, if it is still there.
    pub(super) fn unmap_frame(&mut self, frame: Name, level: u32, mapped: Option<(u64, u64)>) {
        if let Some((table, index)) = self.place_of(mapped, level)
            && matches!(self.table(table).get(&index), Some(Entry::Frame { frame: f, .. }) if *f == frame)
        {
            self.table(table).remove(&index);
        }
    }

    /// The same for a paging structure.
    pub(super) fn unmap_table(&mut self, name: Name, level: u32, mapped: Option<(u64, u64)>) {
        if let Some((table, index)) = self.place_of(mapped, level + 1)
            && self.table(table).get(&index) == Some(&Entry::Table(name))
        {
            self.table(table).remove(&index);
        }
    }

    fn place_of(&self, mapped: Option<(u64, u64)>, level: u32) -> Option<(Name, u64)> {
        let (asid, vaddr) = mapped?;
        self.walk(*self.s.spaces.get(&asid)?, vaddr, level).ok()
    }

    pub(super) fn set_mapped(&mut self, slot: Slot, to: Option<(u64, u64)>) {
        if let Cap::Frame { mapped, .. } | Cap::Table { mapped, .. } = &mut self.held(slot).cap {
            *mapped = to;
        }
    }

    fn table(&mut self, name: Name) -> &mut Map<u64, Entry> {
        self.s.tables.get_mut(&name).expect("the table exists")
    }

    /// A paging structure goes; a root gives its identifier back.
    pub(super) fn end_table(&mut self, table: Name, level: u32, mapped: Option<(u64, u64)>) {
        if level < ROOT {
            self.unmap_table(table, level, mapped);
        } else if let Some((asid, _)) = mapped
            && self.s.spaces.get(&asid) == Some(&table)
        {
            self.s.spaces.remove(&asid);
        }
        self.s.tables.remove(&table);
    }
}
