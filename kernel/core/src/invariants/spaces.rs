//! Address spaces: what is in page tables is there because a capability says so.

use pecan_arch::ROOT_USER_ENTRIES;
use pecan_mem::{AsidPool, Cap, Link, PageTable, cap::tag};

use super::{Broken, State, ensure, mark};
use crate::vspace::{self, ROOT_LEVEL};

impl State<'_, '_> {
    /// Every entry of a live address space is that of a capability, and the tables behind it are live.
    pub(super) fn check_spaces(&self) -> Result<(), Broken> {
        let k = self.k;
        for (_, cap) in self.caps() {
            if let Some(entry) = vspace::entry_of(k, cap) {
                self.seen.insert(entry, mark::MAPPED)?;
            }
        }
        for (i, pool) in k.global().asid_pools.iter().enumerate() {
            let Some(pool) = pool.get() else { continue };
            self.alive(pool, tag::ASID_POOL, ("ASID pool", i))?;
            for (n, root) in pool.get(k).roots.iter().enumerate() {
                if let Some(root) = root.get() {
                    self.check_table(root, ROOT_LEVEL, i * AsidPool::LEN + n)?;
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

    fn check_table(&self, table: Link<PageTable>, level: usize, asid: usize) -> Result<(), Broken> {
        self.alive(table, tag::PAGE_TABLE, ("address space", asid, level))?;
        let entries = if level == ROOT_LEVEL { ROOT_USER_ENTRIES } else { 1 << pecan_arch::PT_INDEX_BITS };
        for index in 0..entries {
            let pte = table.get(self.k).entry(index);
            if !pte.is_present() {
                continue;
            }
            ensure!(
                self.seen.contains(vspace::entry_address(table, index), mark::MAPPED),
                "no capability maps entry {index} ({pte:x?}) of a table of level {level} in address space {asid}"
            );
            if let Some(below) = PageTable::child(pte, level) {
                self.check_table(below, level - 1, asid)?;
            }
        }
        Ok(())
    }
}
