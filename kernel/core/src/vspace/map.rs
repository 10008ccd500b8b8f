//! Mapping and unmapping of paging structures and frames.

use pecan_abi::{Label, constants::USER_TOP};
use pecan_arch::{CacheAttr, PhysAddr, level_shift, tlb_flush_page};
use pecan_mem::{
    Cap, Kernel, Link, LookupFailure, Mapping, PageTable, Slot, Tcb,
    cap::tag,
    vspace::{Content, Entry, Root, empty_table},
};

use super::{entry, find_root, maps, page_rights, unmap_frame, unmap_table};
use crate::{
    derivation,
    error::{Decoded, SyscallError},
    invoke::{Done, Invocation, args},
    message,
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

/// A decoded invocation of a frame.
pub(super) enum FrameOp {
    Map(Map),
    Unmap {
        slot: Link<Slot>,
        base: PhysAddr,
        level: u8,
        mapping: Option<Mapping>,
    },
    /// Answer with the frame's address, if there is a thread to answer.
    Address {
        thread: Option<Link<Tcb>>,
        base: PhysAddr,
    },
}

/// The address space that an invocation's extra capability names: its root and its ASID.
#[inline(always)]
fn vspace_argument(k: &Kernel, slot: Link<Slot>) -> Decoded<(Root, u16)> {
    slot.get(k).words().vspace().ok_or(SyscallError::InvalidCapability(1))
}

/// Fails unless the address space is the one that its ASID stands for now.
fn check_root(k: &Kernel, root: Root, asid: u16) -> Decoded<()> {
    match find_root(k, asid) {
        None => Err(failed(LookupFailure::InvalidRoot)),
        Some(found) if found != root => Err(SyscallError::InvalidCapability(1)),
        Some(_) => Ok(()),
    }
}

fn failed(failure: LookupFailure) -> SyscallError {
    SyscallError::FailedLookup { source: false, failure }
}

pub(super) fn decode_table(k: &Kernel, inv: Invocation<'_>) -> Decoded<TableOp> {
    let Some(Cap::PageTable { table, level, mapping }) = inv.cap_of(tag::PAGE_TABLE) else {
        return Err(SyscallError::IllegalOperation);
    };
    let (map, unmap) = match level {
        0 => (Label::X86PageTableMap, Label::X86PageTableUnmap),
        1 => (Label::X86PageDirectoryMap, Label::X86PageDirectoryUnmap),
        2 => (Label::X86PdptMap, Label::X86PdptUnmap),
        _ => return Err(SyscallError::IllegalOperation),
    };
    if inv.label() == Some(unmap) {
        // Copies would keep speaking of the mapping.
        if !derivation::is_final(k, inv.slot) {
            return Err(SyscallError::RevokeFirst);
        }
        return Ok(TableOp::Unmap { slot: inv.slot, table, level, mapping });
    }
    if inv.label() != Some(map) {
        return Err(SyscallError::IllegalOperation);
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
    let entry = entry(k, root, vaddr, above).map_err(failed)?;
    if entry.get(k).is_present() {
        return Err(SyscallError::DeleteFirst);
    }
    let mapping = Mapping { asid, vaddr };
    let content = Content::table(inv.words).ok_or(SyscallError::IllegalOperation)?;
    Ok(TableOp::Map(Map { entry, content, slot: inv.slot, mapping, flush: false }))
}

#[inline(always)]
pub(super) fn decode_frame(k: &Kernel, inv: Invocation<'_>) -> Decoded<FrameOp> {
    let Some(Cap::Frame { base, level, rights, device, mapping }) = inv.cap_of(tag::FRAME) else {
        return Err(SyscallError::IllegalOperation);
    };
    match inv.label() {
        Some(Label::X86PageMap) => {}
        Some(Label::X86PageUnmap) => {
            return Ok(FrameOp::Unmap { slot: inv.slot, base, level, mapping });
        }
        Some(Label::X86PageGetAddress) => {
            return Ok(FrameOp::Address { thread: inv.call.then_some(inv.thread), base });
        }
        _ => return Err(SyscallError::IllegalOperation),
    }
    let args::X86PageMap { vspace, vaddr, rights: wanted, attr } = args::X86PageMap::decode(k, inv)?;
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
    let entry = entry(k, root, vaddr, level as usize).map_err(failed)?;
    let mut flush = false;
    if entry.get(k).is_present() {
        // In place of its own mapping a capability may put another; anybody else's has to go first.
        if mapping.is_none() || !maps(k, entry, base) {
            return Err(SyscallError::DeleteFirst);
        }
        flush = true;
    }
    let rights = page_rights(rights, wanted.read(), wanted.write());
    let content = Content::frame(inv.words, rights, cache).ok_or(SyscallError::IllegalOperation)?;
    Ok(FrameOp::Map(Map { entry, content, slot: inv.slot, mapping: Mapping { asid, vaddr }, flush }))
}

#[inline(always)]
fn commit_map(k: &Kernel, map: Map) -> Done {
    let Map { entry, content, slot, mapping, flush } = map;
    slot.get(k).set_mapping(Some(mapping));
    entry.set(k, content);
    // Entries that translated nothing are not cached.
    if flush {
        tlb_flush_page(mapping.asid, mapping.vaddr);
    }
    Done::ok()
}

pub(super) fn commit_table(k: &Kernel, op: TableOp) -> Done {
    match op {
        TableOp::Map(map) => commit_map(k, map),
        // Not mapped: nothing to undo.
        TableOp::Unmap { mapping: None, .. } => Done::ok(),
        TableOp::Unmap { slot, table, level, mapping: Some(mapping) } => {
            unmap_table(k, table, level, mapping);
            // What it maps must not show up where it is mapped next.
            empty_table(k, slot.get(k).words());
            slot.get(k).set_mapping(None);
            Done::ok()
        }
    }
}

#[inline(always)]
pub(super) fn commit_frame(k: &Kernel, op: FrameOp) -> Done {
    match op {
        FrameOp::Map(map) => commit_map(k, map),
        FrameOp::Unmap { mapping: None, .. } => Done::ok(),
        FrameOp::Unmap { slot, base, level, mapping: Some(mapping) } => {
            unmap_frame(k, base, level, mapping);
            slot.get(k).set_mapping(None);
            Done::ok()
        }
        FrameOp::Address { thread, base } => {
            let Some(thread) = thread else { return Done::ok() };
            message::put(k, thread.get(k), 0, base.0);
            Done::answer(1)
        }
    }
}
