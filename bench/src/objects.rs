//! Invocations of kernel objects: making, naming, mapping and deleting.

use pecan::{
    Cap, CapRights, MessageInfo, Object, Result, Slot,
    abi::{Label, Syscall, constants::vm_attributes},
    alloc::Objects,
    boot, raw,
    types::{Endpoint, SmallPage, Tcb, Untyped},
    vspace::{OwnSpace, PAGE_SIZE},
};

use crate::{
    SAMPLES,
    probe::{self, Call, timed},
    row,
};

/// An address that nothing else uses.
const ADDRESS: u64 = 0x20_0000_0000;

/// Makes an invocation and returns the kernel's instructions; it must succeed.
fn invoke<const CAPS: usize, const WORDS: usize>(
    cap: u64,
    label: Label,
    caps: [u64; CAPS],
    words: [u64; WORDS],
) -> Result<u32> {
    let mut call = Call::new(Syscall::Call, cap, 0);
    call.info = MessageInfo::new(label.word(), 0, CAPS as u64, WORDS as u64);
    for (index, cap) in caps.into_iter().enumerate() {
        raw::set_cap(index, cap);
    }
    for (index, word) in words.into_iter().enumerate() {
        match call.regs.get_mut(index) {
            Some(register) => *register = word,
            None => raw::set_message_word(index, word),
        }
    }
    let timed = timed(call);
    match timed.label {
        0 => Ok(timed.after.wrapping_sub(timed.before) - probe::overhead()),
        label => Err(pecan::Error::from_reply(label, raw::message_word)),
    }
}

/// Measures all rows of invocations.
pub fn measure(objects: &mut Objects<'_>) -> Result<()> {
    retypes(objects)?;
    slots(objects)?;
    mappings(objects)
}

fn retype<T: Object>(memory: Cap<Untyped>, dest: Slot) -> Result<u32> {
    let words = [T::TYPE.word(), 0, 0, 0, dest.index, 1];
    invoke(memory.cptr(), Label::UntypedRetype, [dest.root.cptr()], words)
}

/// Measures retyping as the row `id`, which makes an object for each sample; returns their slots.
fn retype_row<T: Object>(id: &str, objects: &mut Objects<'_>, memory: Cap<Untyped>) -> Result<Slot> {
    let slots = objects.slots.take(SAMPLES as u64)?;
    let mut next = 0..;
    row(id, || retype::<T>(memory, slots.offset(next.next().unwrap_or(0))))?;
    Ok(slots)
}

/// Objects from an untyped of its own, which never is without children and so is not cleared meanwhile.
fn retypes(objects: &mut Objects<'_>) -> Result<()> {
    let memory = objects.split(20)?.untyped;
    let first = objects.slots.take(1)?;
    retype::<Endpoint>(memory, first)?;
    retype_row::<Endpoint>("retype-ep", objects, memory)?;
    retype_row::<SmallPage>("retype-4k", objects, memory)?;
    let tcbs = retype_row::<Tcb>("retype-tcb", objects, memory)?;
    let mut next = 0..;
    row("delete-tcb", || delete(tcbs.offset(next.next().unwrap_or(0))))
}

fn delete(slot: Slot) -> Result<u32> {
    invoke(slot.root.cptr(), Label::CNodeDelete, [], [slot.index, slot.depth.into()])
}

fn slots(objects: &mut Objects<'_>) -> Result<()> {
    let ep = objects.make::<Endpoint>()?;
    let source = objects.slots.slot_of(ep.cptr());
    let dest = objects.slots.take(2)?;
    let other = dest.offset(1);
    let root = dest.root.cptr();
    let rights = CapRights::ALL.0;
    let pair = |to: Slot, from: Slot| [to.index, to.depth.into(), from.index, from.depth.into()];
    let [a, b, c, d] = pair(dest, source);
    let copy = || invoke(root, Label::CNodeCopy, [root], [a, b, c, d, rights]);
    let mint = || invoke(root, Label::CNodeMint, [root], [a, b, c, d, rights, 7]);
    row("copy", || {
        let n = copy()?;
        delete(dest)?;
        Ok(n)
    })?;
    row("mint", || {
        let n = mint()?;
        delete(dest)?;
        Ok(n)
    })?;
    row("move", || {
        copy()?;
        probe::prepared();
        let n = invoke(root, Label::CNodeMove, [root], pair(other, dest))?;
        delete(other)?;
        Ok(n)
    })?;
    row("delete", || {
        copy()?;
        probe::prepared();
        delete(dest)
    })
}

fn mappings(objects: &mut Objects<'_>) -> Result<()> {
    let neighbour = objects.make::<SmallPage>()?;
    // SAFETY: it is this program's address space, nothing else is mapped there, and the page was made just now.
    unsafe {
        let space = OwnSpace::new(boot::VSPACE, ADDRESS, ADDRESS + (1 << 30));
        space.map(objects, neighbour, ADDRESS, CapRights::READ_WRITE, vm_attributes::DEFAULT)?;
    }
    let frame = objects.make::<SmallPage>()?;
    let words = [ADDRESS + PAGE_SIZE, CapRights::READ_WRITE.0, vm_attributes::DEFAULT];
    let map = || invoke(frame.cptr(), Label::PageMap, [boot::VSPACE.cptr()], words);
    let unmap = || invoke(frame.cptr(), Label::PageUnmap, [], []);
    row("map", || {
        let n = map()?;
        unmap()?;
        Ok(n)
    })?;
    row("unmap", || {
        map()?;
        probe::prepared();
        unmap()
    })
}
