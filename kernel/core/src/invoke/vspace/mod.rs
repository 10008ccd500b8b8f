//! Invocations of frames, paging structures, ASID control and ASID pools.
//!
//! What an entry maps belongs to one capability, and that says where. Whoever removes an entry flushes what
//! the processor may have cached of it; an entry that was empty needs no flush. Invocations map and unmap,
//! deletion unmaps, and the scheduler asks for the address space of a thread.

mod asid;
mod map;
#[cfg(test)]
mod tests;

use pecan_abi::Label;
use pecan_mem::{Kernel, cap::tag};

use crate::{
    base::error::{Stop, SyscallError},
    invoke::{
        arch,
        invocation::{Done, Invocation},
    },
    space::unmap,
};

/// Invocations of frames.
#[inline(always)]
pub fn invoke_frame(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    Ok(map::invoke_frame(k, inv)?)
}

/// True for what [`quick_map`] does.
#[inline(always)]
pub fn is_quick(label: u64) -> bool {
    label == Label::PageMap.word()
}

/// Mappings as most are: of frames of memory of the smallest size, where nothing is mapped. `None` for others, and where it
/// fails: nothing has changed then, and [`invoke_frame`] says what is to become of it.
#[inline(always)]
pub fn quick_map(k: &Kernel, inv: Invocation<'_>) -> Option<()> {
    map::quick(k, inv)
}

/// Invocations of paging structures, ASID control and ASID pools.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    match inv.words.tag() {
        tag::PAGE_TABLE => {
            match map::decode_table(k, inv)? {
                Some(map::TableOp::Map(place)) => {
                    place.take(k);
                }
                Some(map::TableOp::Unmap(slot)) => unmap::unmap_table(k, slot),
                None => return Ok(arch::invoke_table(k, inv)?),
            }
            Ok(Done::stay())
        }
        tag::ASID_CONTROL => {
            let op = asid::decode_control(k, inv)?;
            asid::make_pool(k, op);
            Ok(Done::stay())
        }
        tag::ASID_POOL => {
            let op = asid::decode_pool(k, inv)?;
            asid::assign(k, op);
            Ok(Done::stay())
        }
        _ => Err(SyscallError::InvalidCapability(0).into()),
    }
}
