//! Tables become part of an address space, and leave it.

use pecan_abi::{ObjectType, Paging, constants::USER_TOP};
use pecan_arch::{PT_LEVELS, PageTableEntry, Pte, level_shift, switch_kernel_vspace, virt_to_phys};

use super::{Entry, ROOT_LEVEL, Root, entry, find_root, mapped_entry};
use crate::{
    Kernel,
    cap::{Cap, Mapping, Words, tag},
    derivation,
    link::Link,
    slot::Slot,
};

/// Which levels of tables are types of objects of their own.
const OWN_TYPES: [bool; PT_LEVELS] = {
    let mut own = [false; PT_LEVELS];
    let mut i = 0;
    while i < ObjectType::ALL.len() {
        if let Some(Paging::Table { level }) = ObjectType::ALL[i].paging() {
            own[level as usize] = true;
        }
        i += 1;
    }
    own
};

/// True if tables of this level are a type of object of their own, and never of another level. Otherwise a table becomes
/// one of this level where it is mapped.
#[inline(always)]
pub const fn has_own_type(level: usize) -> bool {
    level < PT_LEVELS && OWN_TYPES[level]
}

/// Notes of what level a table is and where it is mapped. False, and nothing changed, unless the slot holds `words` and no
/// other slot a capability to the table.
pub(super) fn settle(
    k: &Kernel,
    slot: Link<Slot>,
    words: Words,
    level: Option<u8>,
    mapping: Option<Mapping>,
) -> bool {
    let is_only = slot.get(k).words() == words && derivation::is_final(k, slot);
    if is_only {
        slot.get(k).set_words(words.table_at(level, mapping));
    }
    is_only
}

/// A place for a table in an address space: an entry that is empty and belongs to the level of the table, or makes it one of
/// its level.
pub struct TablePlace<'k> {
    entry: Entry<'k>,
    slot: Link<Slot>,
    /// What is in the slot.
    words: Words,
    mapping: Mapping,
}

/// Why there is no place for a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoPlace {
    /// The capability is not one to a table that can be mapped and is not.
    NoTable,
    /// The address is not one of user level's.
    NotUser,
    /// A table is missing on the way: the entry of this level lacks it.
    Missing(usize),
    /// Something is mapped there; all tables, for one whose level depends on its place.
    Taken,
}

impl<'k> TablePlace<'k> {
    /// The place for the table whose capability is in a slot: for an address anywhere in the range that it is to cover.
    /// A table whose level depends on its place belongs below the lowest table that there is for the address.
    ///
    /// # Errors
    /// In the order of [`NoPlace`].
    pub fn find(k: &'k Kernel, slot: Link<Slot>, root: Root<'k>, vaddr: u64) -> Result<Self, NoPlace> {
        let words = slot.get(k).words();
        let Some(Cap::PageTable { level, mapping: None, .. }) = Cap::unpack_as(tag::PAGE_TABLE, words) else {
            return Err(NoPlace::NoTable);
        };
        if vaddr >= USER_TOP {
            return Err(NoPlace::NotUser);
        }
        let entry = match level.map(usize::from) {
            Some(level) if level >= ROOT_LEVEL => return Err(NoPlace::NoTable),
            Some(level) => entry(k, root, vaddr, level + 1).map_err(NoPlace::Missing)?,
            None => Entry::lowest(k, root, vaddr),
        };
        // Level 0 is for frames.
        let above = entry.table.level;
        if above == 0 || entry.get(k).is_present() {
            return Err(NoPlace::Taken);
        }
        let mapping = Mapping { asid: root.asid, vaddr: vaddr & !((1 << level_shift(above)) - 1) };
        Ok(TablePlace { entry, slot, words, mapping })
    }

    /// Maps the table there. False, and nothing changed, if something else has come there, if the slot no longer holds what
    /// it did, or if another slot holds a capability to the table.
    pub fn take(self, k: &'k Kernel) -> bool {
        let TablePlace { entry, slot, words, mapping } = self;
        let level = entry.table.level - 1;
        let settled = !entry.get(k).is_present() && settle(k, slot, words, Some(level as u8), Some(mapping));
        if settled {
            entry.table.link.get(k).set_entry(entry.index, Pte::table(virt_to_phys(words.table_address())));
            pecan_arch::tables_written();
        }
        settled
    }
}

/// Empties the entry that refers to a table, where its capability says, if it (still) does. Returns the identifier of the
/// address space, of which the processor may have something cached. The table stays as it is: it is about to go.
pub fn detach(k: &Kernel, table: Words) -> Option<u16> {
    let Some(Cap::PageTable { table, level: Some(level), mapping: Some(mapping) }) =
        Cap::unpack_as(tag::PAGE_TABLE, table)
    else {
        return None;
    };
    let entry = mapped_entry(k, mapping, level as usize + 1).filter(|entry| entry.refers(k, table))?;
    entry.clear(k);
    Some(mapping.asid)
}

/// Unmaps and empties the table whose capability is in a slot, after which it is of no level again if it has become what it
/// is where it was mapped. Returns what [`detach`] does.
///
/// Nothing happens to one that is not mapped, that has other capabilities, or that is the root of an address space; one
/// that was is as good as any where a root is no type of object of its own. Then the processor is in no address space of
/// user level afterwards, and no thread knows its own.
pub fn unmap_table(k: &mut Kernel, slot: Link<Slot>) -> Option<u16> {
    let words = slot.get(k).words();
    let Some(Cap::PageTable { table, level: Some(level), mapping: Some(mapping) }) =
        Cap::unpack_as(tag::PAGE_TABLE, words)
    else {
        return None;
    };
    let own_type = has_own_type(level.into());
    let was_root = usize::from(level) == ROOT_LEVEL;
    if was_root && (own_type || find_root(k, mapping.asid).is_some_and(|root| root.link == table)) {
        return None;
    }
    if !settle(k, slot, words, own_type.then_some(level), None) {
        return None;
    }
    let asid = detach(k, words);
    if was_root {
        k.end_epoch();
        // Before it is cleared: it has the kernel's entries, and the processor may still be in it.
        switch_kernel_vspace();
    }
    table.get(k).clear();
    asid
}
