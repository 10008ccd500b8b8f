//! Mapping and unmapping of paging structures and frames.

use pecan_abi::{CapRights, Label, constants::USER_TOP};
use pecan_arch::{CacheAttr, Pte, level_shift, tlb_flush_page};
use pecan_mem::{Cap, Kernel, Link, LookupFailure, Mapping, PageTable, Slot, Tcb};

use super::{Entry, ROOT_LEVEL, entry, find_root, page_rights, table_pte, unmap_frame, unmap_table};
use crate::{
    derivation,
    error::{Decoded, SyscallError},
    invoke::{Done, Invocation},
    message,
};

/// A decoded invocation of a paging structure or a frame.
pub(super) enum Op {
    /// Set an entry of a page table, and the capability to say so.
    Map {
        entry: Entry,
        pte: Pte,
        slot: Link<Slot>,
        cap: Cap,
        /// What the entry held before must be forgotten.
        flush: Option<Mapping>,
    },
    /// Undo the mapping of the capability.
    Unmap { slot: Link<Slot>, cap: Cap },
    /// Answer with a word.
    Answer { thread: Option<Link<Tcb>>, word: u64 },
}

/// The address space that an invocation's extra capability names: its root and its ASID.
fn vspace_argument(k: &Kernel, inv: &Invocation) -> Decoded<(Link<PageTable>, u16)> {
    match inv.extra_cap(k, 0)?.1 {
        Cap::PageTable { table, level, mapping: Some(m) } if level as usize == ROOT_LEVEL => {
            Ok((table, m.asid))
        }
        _ => Err(SyscallError::InvalidCapability(1)),
    }
}

/// Fails unless the address space is the one that its ASID stands for now.
fn check_root(k: &Kernel, root: Link<PageTable>, asid: u16) -> Decoded<()> {
    match find_root(k, asid) {
        None => Err(failed(LookupFailure::InvalidRoot)),
        Some(found) if found != root => Err(SyscallError::InvalidCapability(1)),
        Some(_) => Ok(()),
    }
}

fn failed(failure: LookupFailure) -> SyscallError {
    SyscallError::FailedLookup { source: false, failure }
}

pub(super) fn decode_table(k: &Kernel, inv: &Invocation) -> Decoded<Op> {
    let Cap::PageTable { table, level, mapping } = inv.cap else {
        return Err(SyscallError::IllegalOperation);
    };
    let (map, unmap) = match level {
        0 => (Label::X86PageTableMap, Label::X86PageTableUnmap),
        1 => (Label::X86PageDirectoryMap, Label::X86PageDirectoryUnmap),
        2 => (Label::X86PdptMap, Label::X86PdptUnmap),
        _ => return Err(SyscallError::IllegalOperation),
    };
    if inv.label == Some(unmap) {
        // Copies would keep speaking of the mapping.
        if !derivation::is_final(k, inv.slot) {
            return Err(SyscallError::RevokeFirst);
        }
        return Ok(Op::Unmap { slot: inv.slot, cap: inv.cap });
    }
    if inv.label != Some(map) {
        return Err(SyscallError::IllegalOperation);
    }
    inv.need(2, 1)?;
    if mapping.is_some() {
        return Err(SyscallError::InvalidCapability(0));
    }
    let (root, asid) = vspace_argument(k, inv)?;
    let above = level as usize + 1;
    // An address anywhere in the range that the table covers will do.
    let vaddr = inv.arg(k, 0) & !((1 << level_shift(above)) - 1);
    if vaddr >= USER_TOP {
        return Err(SyscallError::InvalidArgument(0));
    }
    check_root(k, root, asid)?;
    let entry = entry(k, root, vaddr, above).map_err(failed)?;
    if entry.get(k).is_present() {
        return Err(SyscallError::DeleteFirst);
    }
    let cap = Cap::PageTable { table, level, mapping: Some(Mapping { asid, vaddr }) };
    Ok(Op::Map { entry, pte: table_pte(table), slot: inv.slot, cap, flush: None })
}

pub(super) fn decode_frame(k: &Kernel, inv: &Invocation) -> Decoded<Op> {
    let Cap::Frame { base, level, rights, device, mapping } = inv.cap else {
        return Err(SyscallError::IllegalOperation);
    };
    match inv.label {
        Some(Label::X86PageMap) => {}
        Some(Label::X86PageUnmap) => return Ok(Op::Unmap { slot: inv.slot, cap: inv.cap }),
        Some(Label::X86PageGetAddress) => {
            return Ok(Op::Answer { thread: inv.call.then_some(inv.thread), word: base.0 });
        }
        _ => return Err(SyscallError::IllegalOperation),
    }
    inv.need(3, 1)?;
    let vaddr = inv.arg(k, 0);
    let wanted = CapRights(inv.arg(k, 1));
    let cache = CacheAttr::from_abi(inv.arg(k, 2));
    let (root, asid) = vspace_argument(k, inv)?;
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
    let mut flush = None;
    if entry.get(k).is_present() {
        // In place of its own mapping a capability may put another; anybody else's has to go first.
        if mapping.is_none() || !entry.maps(k, base) {
            return Err(SyscallError::DeleteFirst);
        }
        flush = mapping;
    }
    let pte = Pte::frame(base, level as usize, page_rights(rights, wanted.read(), wanted.write()), cache);
    let cap = Cap::Frame { base, level, rights, device, mapping: Some(Mapping { asid, vaddr }) };
    Ok(Op::Map { entry, pte, slot: inv.slot, cap, flush })
}

pub(super) fn commit(k: &Kernel, op: Op) -> Done {
    match op {
        Op::Map { entry, pte, slot, cap, flush } => {
            slot.get(k).set_cap(cap);
            entry.set(k, pte);
            // Entries that translated nothing are not cached.
            if let Some(m) = flush {
                tlb_flush_page(m.asid, m.vaddr);
            }
            Done::ok()
        }
        Op::Unmap { slot, cap } => {
            match cap {
                Cap::Frame { base, level, rights, device, mapping: Some(m) } => {
                    unmap_frame(k, base, level, m);
                    slot.get(k).set_cap(Cap::Frame { base, level, rights, device, mapping: None });
                }
                Cap::PageTable { table, level, mapping: Some(m) } => {
                    unmap_table(k, table, level, m);
                    // What it maps must not show up where it is mapped next.
                    let table_ = table.get(k);
                    (0..1 << pecan_arch::PT_INDEX_BITS).for_each(|i| table_.set_entry(i, Pte::EMPTY));
                    slot.get(k).set_cap(Cap::PageTable { table, level, mapping: None });
                }
                // Not mapped: nothing to undo.
                _ => {}
            }
            Done::ok()
        }
        Op::Answer { thread, word } => {
            let Some(thread) = thread else { return Done::ok() };
            message::put(k, thread.get(k), 0, word);
            Done::answer(1)
        }
    }
}
