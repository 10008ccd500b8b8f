//! Mapping and unmapping of paging structures and frames.

use pecan_abi::{Label, arch::TABLE_LABELS, constants::USER_TOP};
use pecan_arch::{CacheAttr, PageTableEntry, level_shift, tlb_flush_page};
use pecan_mem::{
    Cap, Kernel, Link, LookupFailure, Mapping, PageTable, Slot,
    cap::tag,
    vspace::{Content, Entry, NoPlace, Root, TablePlace},
};

use crate::{
    base::{
        error::{Decoded, SyscallError},
        message,
    },
    cap::derivation,
    invoke::{
        arch, args,
        invocation::{Done, Invocation},
    },
    space::{tables, unmap},
};

/// A new mapping of a frame, decoded: an entry of a page table to set, and the capability that will say so.
pub(super) struct Map<'k> {
    entry: Entry<'k>,
    content: Content,
    slot: Link<Slot>,
    mapping: Mapping,
    /// What the entry held before must be forgotten.
    flush: bool,
}

/// A decoded invocation of a paging structure.
pub(super) enum TableOp<'k> {
    Map(TablePlace<'k>),
    Unmap(Link<Slot>),
}

/// The address space that an invocation's extra capability names: its root and its ASID.
#[inline(always)]
fn vspace_argument(k: &Kernel, slot: Link<Slot>) -> Decoded<(Link<PageTable>, u16)> {
    slot.get(k).words().vspace().ok_or(SyscallError::InvalidCapability(1))
}

/// The address space, which must be the one that its ASID stands for now.
fn check_root(k: &Kernel, (table, asid): (Link<PageTable>, u16)) -> Decoded<Root<'_>> {
    match tables::find_root(k, asid) {
        None => Err(failed(LookupFailure::InvalidRoot)),
        Some(root) if root.link() != table => Err(SyscallError::InvalidCapability(1)),
        Some(root) => Ok(root),
    }
}

fn failed(failure: LookupFailure) -> SyscallError {
    SyscallError::FailedLookup { source: false, failure }
}

/// An invocation of a paging structure that maps or unmaps it; `None` if it asks for something else.
pub(super) fn decode_table<'k>(k: &'k Kernel, inv: Invocation<'_>) -> Decoded<Option<TableOp<'k>>> {
    let Some(Cap::PageTable { table, level, mapping }) = inv.cap_of(tag::PAGE_TABLE) else { return Ok(None) };
    // Those whose level depends on where they are mapped have one pair of labels.
    let Some((map, unmap)) = TABLE_LABELS.get(level.map_or(0, usize::from)).copied() else { return Ok(None) };
    if inv.label() == Some(unmap) {
        // Copies would keep speaking of the mapping, and address spaces of their root.
        let is_root = inv
            .words
            .vspace()
            .is_some_and(|(_, asid)| tables::find_root(k, asid).is_some_and(|root| root.link() == table));
        if is_root || !derivation::is_final(k, inv.slot) {
            return Err(SyscallError::RevokeFirst);
        }
        return Ok(Some(TableOp::Unmap(inv.slot)));
    }
    if inv.label() != Some(map) {
        return Ok(None);
    }
    let args::TableMap { vspace, vaddr, .. } = args::TableMap::decode(k, inv)?;
    if mapping.is_some() {
        return Err(SyscallError::InvalidCapability(0));
    }
    let vspace = vspace_argument(k, vspace)?;
    // An address anywhere in the range that the table covers will do.
    let vaddr = level.map_or(vaddr, |level| vaddr & !((1 << level_shift(level as usize + 1)) - 1));
    if vaddr >= USER_TOP {
        return Err(SyscallError::InvalidArgument(0));
    }
    let root = check_root(k, vspace)?;
    match TablePlace::find(k, inv.slot, root, vaddr) {
        Ok(place) => Ok(Some(TableOp::Map(place))),
        Err(NoPlace::NoTable) => Err(SyscallError::IllegalOperation),
        Err(NoPlace::NotUser) => Err(SyscallError::InvalidArgument(0)),
        Err(NoPlace::Missing(level)) => Err(failed(tables::missing(level))),
        Err(NoPlace::Taken) => Err(SyscallError::DeleteFirst),
    }
}

/// Invocations of frames. What each does is carried out where it has been decoded: an operation that could be any of them
/// would have to be kept in memory.
#[inline(always)]
pub(super) fn invoke_frame(k: &Kernel, inv: Invocation<'_>) -> Decoded<Done> {
    let Some(Cap::Frame { base, level, mapping, .. }) = inv.cap_of(tag::FRAME) else {
        return Err(SyscallError::IllegalOperation);
    };
    match inv.label() {
        Some(Label::PageMap) => {
            commit_map(k, decode_map(k, inv)?);
            Ok(Done::stay())
        }
        Some(Label::PageUnmap) => {
            if let Some(mapping) = mapping {
                unmap::unmap_frame(k, base, level, mapping);
                inv.slot.get(k).set_mapping(None);
            }
            Ok(Done::stay())
        }
        // Nobody may want to know.
        Some(Label::PageGetAddress) if !inv.call => Ok(Done::stay()),
        Some(Label::PageGetAddress) => {
            message::put(k, inv.thread.get(k), 0, base.0);
            Ok(Done::answer(1))
        }
        _ => arch::invoke_frame(k, inv),
    }
}

fn decode_map<'k>(k: &'k Kernel, inv: Invocation<'_>) -> Decoded<Map<'k>> {
    let Some(Cap::Frame { base, level, rights, device, mapping }) = inv.cap_of(tag::FRAME) else {
        return Err(SyscallError::IllegalOperation);
    };
    let args::PageMap { vspace, vaddr, rights: wanted, attr } = args::PageMap::decode(k, inv)?;
    let cache = CacheAttr::of_frame(device, attr);
    let (table, asid) = vspace_argument(k, vspace)?;
    let size = 1u64 << level_shift(level as usize);
    match mapping {
        Some(m) if m.asid != asid => return Err(SyscallError::InvalidCapability(1)),
        Some(m) if m.vaddr != vaddr => return Err(SyscallError::InvalidArgument(0)),
        Some(_) => {}
        None if vaddr.checked_add(size).is_none_or(|end| end > USER_TOP) => {
            return Err(SyscallError::InvalidArgument(0));
        }
        None => {}
    }
    let root = check_root(k, (table, asid))?;
    if vaddr & (size - 1) != 0 {
        return Err(SyscallError::AlignmentError);
    }
    let entry = tables::entry(k, root, vaddr, level as usize).map_err(failed)?;
    let mut flush = false;
    if entry.get(k).is_present() {
        // In place of its own mapping a capability may put another; anybody else's has to go first.
        if mapping.is_none() || !tables::maps(k, entry, base) {
            return Err(SyscallError::DeleteFirst);
        }
        flush = true;
    }
    let rights = tables::page_rights(rights, wanted.read(), wanted.write(), CacheAttr::may_execute(attr));
    let content = Content::frame(inv.words, rights, cache).ok_or(SyscallError::IllegalOperation)?;
    Ok(Map { entry, content, slot: inv.slot, mapping: Mapping { asid, vaddr }, flush })
}

/// See [`super::quick_map`].
#[inline(always)]
pub(super) fn quick(k: &Kernel, inv: Invocation<'_>) -> Option<()> {
    let args::PageMap { vspace, vaddr, rights: wanted, attr } = args::PageMap::decode(k, inv).ok()?;
    if !inv.words.is_unmapped_page() {
        return None;
    }
    let Cap::Frame { rights, .. } = inv.cap_of(tag::FRAME)? else { return None };
    let (table, asid) = vspace.get(k).words().vspace()?;
    const SIZE: u64 = 1 << level_shift(0);
    if vaddr > USER_TOP - SIZE || vaddr % SIZE != 0 {
        return None;
    }
    let root = tables::find_root(k, asid).filter(|root| root.link() == table)?;
    let entry = Entry::find(k, root, vaddr, 0).ok()?;
    if entry.get(k).is_present() {
        return None;
    }
    let rights = tables::page_rights(rights, wanted.read(), wanted.write(), CacheAttr::may_execute(attr));
    let content = Content::frame(inv.words, rights, CacheAttr::of_frame(false, attr))?;
    commit_map(k, Map { entry, content, slot: inv.slot, mapping: Mapping { asid, vaddr }, flush: false });
    Some(())
}

#[inline(always)]
fn commit_map(k: &Kernel, map: Map<'_>) {
    let Map { entry, content, slot, mapping, flush } = map;
    slot.get(k).set_mapping(Some(mapping));
    entry.set(k, content);
    // Entries that translated nothing are not cached.
    if flush {
        tlb_flush_page(mapping.asid, mapping.vaddr);
    }
}
