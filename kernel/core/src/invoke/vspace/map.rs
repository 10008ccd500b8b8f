//! Mapping and unmapping of paging structures and frames.

use pecan_abi::{Label, arch::TABLE_LABELS, constants::USER_TOP};
use pecan_arch::{CacheAttr, PageTableEntry, level_shift, tlb_flush_page};
use pecan_mem::{
    Cap, Kernel, Link, LookupFailure, Mapping, PageTable, Slot,
    cap::tag,
    vspace::{Content, Entry, Root, empty_table},
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

/// A new mapping, decoded: an entry of a page table to set, and the capability that will say so.
pub(super) struct Map {
    entry: Entry,
    content: Content,
    slot: Link<Slot>,
    mapping: Mapping,
    /// What the entry held before must be forgotten.
    flush: bool,
}

/// A decoded invocation of a paging structure.
pub(super) enum TableOp {
    Map(Map),
    Unmap { slot: Link<Slot>, table: Link<PageTable>, level: u8, mapping: Option<Mapping> },
}

/// The address space that an invocation's extra capability names: its root and its ASID.
#[inline(always)]
fn vspace_argument(k: &Kernel, slot: Link<Slot>) -> Decoded<(Root, u16)> {
    slot.get(k).words().vspace().ok_or(SyscallError::InvalidCapability(1))
}

/// Fails unless the address space is the one that its ASID stands for now.
fn check_root(k: &Kernel, root: Root, asid: u16) -> Decoded<()> {
    match tables::find_root(k, asid) {
        None => Err(failed(LookupFailure::InvalidRoot)),
        Some(found) if found != root => Err(SyscallError::InvalidCapability(1)),
        Some(_) => Ok(()),
    }
}

fn failed(failure: LookupFailure) -> SyscallError {
    SyscallError::FailedLookup { source: false, failure }
}

/// An invocation of a paging structure that maps or unmaps it; `None` if it asks for something else.
pub(super) fn decode_table(k: &Kernel, inv: Invocation<'_>) -> Decoded<Option<TableOp>> {
    let Some(Cap::PageTable { table, level, mapping }) = inv.cap_of(tag::PAGE_TABLE) else { return Ok(None) };
    let Some((map, unmap)) = TABLE_LABELS.get(level as usize).copied() else { return Ok(None) };
    if inv.label() == Some(unmap) {
        // Copies would keep speaking of the mapping.
        if !derivation::is_final(k, inv.slot) {
            return Err(SyscallError::RevokeFirst);
        }
        return Ok(Some(TableOp::Unmap { slot: inv.slot, table, level, mapping }));
    }
    if inv.label() != Some(map) {
        return Ok(None);
    }
    let args::TableMap { vspace, vaddr, .. } = args::TableMap::decode(k, inv)?;
    if mapping.is_some() {
        return Err(SyscallError::InvalidCapability(0));
    }
    let (root, asid) = vspace_argument(k, vspace)?;
    let above = level as usize + 1;
    // An address anywhere in the range that the table covers will do.
    let vaddr = vaddr & !((1 << level_shift(above)) - 1);
    if vaddr >= USER_TOP {
        return Err(SyscallError::InvalidArgument(0));
    }
    check_root(k, root, asid)?;
    let entry = tables::entry(k, root, vaddr, above).map_err(failed)?;
    if entry.get(k).is_present() {
        return Err(SyscallError::DeleteFirst);
    }
    let mapping = Mapping { asid, vaddr };
    let content = Content::table(inv.words).ok_or(SyscallError::IllegalOperation)?;
    Ok(Some(TableOp::Map(Map { entry, content, slot: inv.slot, mapping, flush: false })))
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

fn decode_map(k: &Kernel, inv: Invocation<'_>) -> Decoded<Map> {
    let Some(Cap::Frame { base, level, rights, device, mapping }) = inv.cap_of(tag::FRAME) else {
        return Err(SyscallError::IllegalOperation);
    };
    let args::PageMap { vspace, vaddr, rights: wanted, attr } = args::PageMap::decode(k, inv)?;
    let cache = CacheAttr::of_frame(device, attr);
    let (root, asid) = vspace_argument(k, vspace)?;
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
    check_root(k, root, asid)?;
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
    let (root, asid) = vspace.get(k).words().vspace()?;
    const SIZE: u64 = 1 << level_shift(0);
    if vaddr > USER_TOP - SIZE || vaddr % SIZE != 0 || tables::find_root(k, asid) != Some(root) {
        return None;
    }
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
fn commit_map(k: &Kernel, map: Map) {
    let Map { entry, content, slot, mapping, flush } = map;
    slot.get(k).set_mapping(Some(mapping));
    entry.set(k, content);
    // Entries that translated nothing are not cached.
    if flush {
        tlb_flush_page(mapping.asid, mapping.vaddr);
    }
}

pub(super) fn commit_table(k: &Kernel, op: TableOp) {
    match op {
        TableOp::Map(map) => commit_map(k, map),
        // Not mapped: nothing to undo.
        TableOp::Unmap { mapping: None, .. } => {}
        TableOp::Unmap { slot, table, level, mapping: Some(mapping) } => {
            unmap::unmap_table(k, table, level, mapping);
            // What it maps must not show up where it is mapped next.
            empty_table(k, slot.get(k).words());
            slot.get(k).set_mapping(None);
        }
    }
}
