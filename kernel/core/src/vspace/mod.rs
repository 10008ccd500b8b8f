//! Address spaces: page tables, frames, and address-space identifiers (ASIDs).
//!
//! A capability to a frame or a paging structure remembers where it is mapped as an ASID and an address. Either
//! may have gone stale by the time it is used (the address space deleted, a table between unmapped), so every
//! use walks the tables again and looks whether what it finds there is what it expects.

use pecan_arch::PhysAddr;
use pecan_mem::{AsidPool, Kernel, Link, Mapping, PageTable, Tcb};

use crate::{
    error::Stop,
    invoke::{Done, Invocation},
};

/// Invocations of paging structures, frames, ASID control and ASID pools.
pub fn invoke(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}

/// The address space of a thread and its ASID, if the thread has a valid one.
#[inline(always)]
pub fn root(k: &Kernel, tcb: &Tcb) -> Option<(Link<PageTable>, u16)> {
    let (table, asid) = tcb.slots[Tcb::SLOT_VSPACE].words().vspace()?;
    (find_root(k, asid) == Some(table)).then_some((table, asid))
}

/// The root table of the address space with this ASID.
#[inline(always)]
pub fn find_root(k: &Kernel, asid: u16) -> Option<Link<PageTable>> {
    let pool = k.asid_pools[asid as usize / AsidPool::LEN % k.asid_pools.len()].get()?;
    pool.get(k).roots[asid as usize % AsidPool::LEN].get()
}

/// The last capability to an address space goes: its ASID becomes free.
pub fn delete_asid(_k: &Kernel, _asid: u16, _root: Link<PageTable>) {
    todo!()
}

/// The last capability to an ASID pool goes: its address spaces lose their ASIDs.
pub fn delete_asid_pool(_k: &Kernel, _base: u16, _pool: Link<AsidPool>) {
    todo!()
}

/// Unmaps a paging structure of `level`, if it is (still) mapped where its capability says.
pub fn unmap_table(_k: &Kernel, _table: Link<PageTable>, _level: u8, _mapping: Mapping) {
    todo!()
}

/// Unmaps a frame of `level`, if it is (still) mapped where its capability says.
pub fn unmap_frame(_k: &Kernel, _base: PhysAddr, _level: u8, _mapping: Mapping) {
    todo!()
}
