//! Identifiers of address spaces: which root each stands for.
//!
//! A pool has its identifiers from when it is made to when it goes, and a root from [`assign`] to when one of them goes.
//! Neither gets them again after that.

use core::{cell::Cell, marker::PhantomData};

use pecan_arch::{KERNEL_ROOT_ENTRIES, kernel_root_entry};

use super::{ROOT_LEVEL, Root, has_own_type, table::settle};
use crate::{
    Kernel,
    cap::{Cap, Mapping, NewCap, Words},
    derivation,
    link::Link,
    object::PageTable,
    slot::Slot,
    state::ASID_POOLS,
};

/// Address spaces by identifier.
#[repr(C, align(4096))]
pub struct AsidPool {
    /// The root table of each.
    roots: [Cell<Option<Link<PageTable>>>; AsidPool::LEN],
}

const _: () = assert!(size_of::<AsidPool>() == 4096);

impl AsidPool {
    /// Address spaces in a pool.
    pub const LEN: usize = 512;

    #[inline(always)]
    fn cell(&self, asid: u16) -> &Cell<Option<Link<PageTable>>> {
        &self.roots[asid as usize % AsidPool::LEN]
    }

    /// The root table of the address space with this identifier, of which the low nine bits count.
    #[inline(always)]
    pub fn root(&self, asid: u16) -> Option<Link<PageTable>> {
        self.cell(asid).get()
    }

    /// The first identifier in the pool, from `first` on, that no address space has.
    pub fn first_free(&self, first: usize) -> Option<usize> {
        let free = self.roots.get(first..)?.iter().position(|root| root.get().is_none());
        free.map(|free| first + free)
    }

    /// The identifier, of which the low nine bits count, stands for no address space any more.
    pub fn release(&self, asid: u16) {
        self.cell(asid).set(None);
    }

    /// Sets a root, whatever the table is.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn set_root(&self, asid: u16, root: Option<Link<PageTable>>) {
        self.cell(asid).set(root);
    }
}

/// Which pool has the identifiers of one of the ranges that there are pools for.
#[repr(transparent)]
pub struct PoolCell(Cell<Option<Link<AsidPool>>>);

impl PoolCell {
    /// The pool.
    #[inline(always)]
    pub fn get(&self) -> Option<Link<AsidPool>> {
        self.0.get()
    }

    /// The identifiers stand for no address spaces any more.
    pub fn clear(&self) {
        self.0.set(None);
    }

    /// Sets a pool, whatever its history.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn set(&self, pool: Option<Link<AsidPool>>) {
        self.0.set(pool);
    }
}

/// The pool that has an identifier. None has those beyond the last that there may be ([`register`]).
#[inline(always)]
fn pool_of(k: &Kernel, asid: u16) -> Option<&AsidPool> {
    Some(k.global().asid_pools[asid as usize / AsidPool::LEN].get()?.get(k))
}

/// The root table of the address space with this identifier.
#[inline(always)]
pub fn find_root(k: &Kernel, asid: u16) -> Option<Root<'_>> {
    let link = pool_of(k, asid)?.root(asid)?;
    Some(Root { link, asid, _lock: PhantomData })
}

/// Puts the identifiers of a new pool into use, unless another one has them or they are beyond the last. Its capability is in a slot.
pub(crate) fn register(k: &Kernel, pool: Words) {
    if let Cap::AsidPool { pool, base } = Cap::unpack(pool)
        && let Some(cell) = k.global().asid_pools[..ASID_POOLS].get(base as usize / AsidPool::LEN)
        && cell.get().is_none()
    {
        cell.0.set(Some(pool));
    }
}

/// Puts the first capability to a pool into an empty slot, and its identifiers into use. See also
/// [`Batch::place_pool`](crate::retype::Batch::place_pool).
pub fn insert_pool(k: &Kernel, pool: NewCap, dest: Link<Slot>) -> bool {
    let words = pool.words();
    let inserted = derivation::insert_root(k, pool, dest);
    if inserted {
        register(k, words);
    }
    inserted
}

/// Makes the table whose capability is in a slot the root of an address space, for which an identifier stands from now on.
/// False, and nothing changed, unless the identifier is free and not 0, which is the kernel's, and the capability is the
/// only one to a table that can become a root ([`Words::unassigned_root`]).
pub fn assign(k: &Kernel, asid: u16, slot: Link<Slot>) -> bool {
    let words = slot.get(k).words();
    let (Some(pool), Some(table)) = (pool_of(k, asid), words.unassigned_root()) else { return false };
    let (cell, place) = (pool.cell(asid), Mapping { asid, vaddr: 0 });
    if asid == 0 || cell.get().is_some() || !settle(k, slot, words, Some(ROOT_LEVEL as u8), Some(place)) {
        return false;
    }
    if !has_own_type(ROOT_LEVEL) {
        KERNEL_ROOT_ENTRIES
            .into_iter()
            .for_each(|index| table.get(k).set_entry(index, kernel_root_entry(index)));
    }
    cell.set(Some(table));
    true
}
