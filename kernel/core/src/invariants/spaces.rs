//! Address spaces: what is in page tables is there because a capability says so.

use pecan_arch::{PT_INDEX_BITS, PageTableEntry};
use pecan_mem::{AsidPool, Cap, cap::tag, vspace::Table};

use crate::{
    cap::derivation,
    invariants::{Broken, State, ensure, mark},
    space::tables,
};

impl State<'_, '_> {
    /// Every entry of a live address space is that of a capability, and the tables behind it are live.
    pub(super) fn check_spaces(&self) -> Result<(), Broken> {
        let k = self.k;
        for (_, cap) in self.caps() {
            if let Some(entry) = tables::entry_of(k, cap) {
                self.seen.insert(entry, mark::MAPPED)?;
            }
        }
        for (i, pool) in k.global().asid_pools.iter().enumerate() {
            let Some(pool) = pool.get() else { continue };
            self.alive(pool, tag::ASID_POOL, ("ASID pool", i))?;
            for n in 0..AsidPool::LEN {
                let asid = i * AsidPool::LEN + n;
                if let Some(root) = tables::find_root(k, asid as u16) {
                    self.check_table(root.table(), asid)?;
                }
            }
        }
        for (link, cap) in self.caps() {
            let Cap::AsidPool { pool, base } = cap else { continue };
            let known = k.global().asid_pools.get(base as usize / AsidPool::LEN).and_then(|pool| pool.get());
            ensure!(known == Some(pool), "{cap:?} in {link:?} is not in use");
        }
        Ok(())
    }

    /// All capabilities to a table say the same of it, and one that is of no level is empty and has no copies.
    pub(super) fn check_levels(&self) -> Result<(), Broken> {
        let k = self.k;
        for (link, cap) in self.caps() {
            let Cap::PageTable { table, level, .. } = cap else { continue };
            let words = link.get(k).words();
            let next = link.get(k).next().map(|next| next.get(k).words());
            let agree = next.is_none_or(|next| next == words || !next.same_object(words));
            ensure!(agree, "{cap:?} in {link:?} and the capability behind it differ");
            if level.is_none() {
                ensure!(derivation::is_final(k, link), "{cap:?} in {link:?} has copies");
                let is_empty = (0..1 << PT_INDEX_BITS).all(|index| !table.get(k).entry(index).is_present());
                ensure!(is_empty, "{cap:?} in {link:?} is not empty");
            }
        }
        Ok(())
    }

    fn check_table(&self, table: Table<'_>, asid: usize) -> Result<(), Broken> {
        let level = table.level();
        self.alive(table.link(), tag::PAGE_TABLE, ("address space", asid, level))?;
        for entry in table.entries() {
            let (pte, index) = (entry.get(self.k), entry.index());
            if !pte.is_present() {
                continue;
            }
            ensure!(
                self.seen.contains(tables::entry_address(entry), mark::MAPPED),
                "no capability maps entry {index} ({pte:x?}) of a table of level {level} in address space {asid}"
            );
            if let Some(below) = entry.child(self.k) {
                self.check_table(below, asid)?;
            }
        }
        Ok(())
    }
}
