//! Invocations of kernel objects: making, naming, mapping and deleting.

use pecan::{
    Cap, CapRights, MessageInfo, Object, Result, Slot,
    abi::{Label, Syscall, constants::vm_attributes},
    alloc::Objects,
    boot, raw,
    types::{Endpoint, SmallPage, Tcb, Untyped},
    vspace::{AddressSpace, PAGE_SIZE},
};

use crate::{
    SAMPLES, least,
    probe::{self, Call, timed},
    report,
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

/// Makes as many objects as are measured; returns the least figure and the slots.
fn retype_all<T: Object>(objects: &mut Objects<'_>, memory: Cap<Untyped>) -> Result<(u32, Slot)> {
    let slots = objects.slots.take(SAMPLES as u64)?;
    let mut next = 0..;
    let figure = least(|| retype::<T>(memory, slots.offset(next.next().unwrap_or(0))))?;
    Ok((figure, slots))
}

/// Objects from an untyped of its own, which never is without children and so is not cleared meanwhile.
fn retypes(objects: &mut Objects<'_>) -> Result<()> {
    let memory = objects.split(20)?.untyped;
    let first = objects.slots.take(1)?;
    retype::<Endpoint>(memory, first)?;
    report("retype-ep", retype_all::<Endpoint>(objects, memory)?.0);
    report("retype-4k", retype_all::<SmallPage>(objects, memory)?.0);
    let (figure, tcbs) = retype_all::<Tcb>(objects, memory)?;
    report("retype-tcb", figure);
    let mut next = 0..;
    report("delete-tcb", least(|| delete(tcbs.offset(next.next().unwrap_or(0))))?);
    Ok(())
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
    report(
        "copy",
        least(|| {
            let n = copy()?;
            delete(dest)?;
            Ok(n)
        })?,
    );
    report(
        "mint",
        least(|| {
            let n = mint()?;
            delete(dest)?;
            Ok(n)
        })?,
    );
    report(
        "move",
        least(|| {
            copy()?;
            let n = invoke(root, Label::CNodeMove, [root], pair(other, dest))?;
            delete(other)?;
            Ok(n)
        })?,
    );
    report(
        "delete",
        least(|| {
            copy()?;
            delete(dest)
        })?,
    );
    Ok(())
}

fn mappings(objects: &mut Objects<'_>) -> Result<()> {
    let space = AddressSpace::new(boot::VSPACE, ADDRESS, ADDRESS + (1 << 30));
    let neighbour = objects.make::<SmallPage>()?;
    space.map(objects, neighbour, ADDRESS, CapRights::READ_WRITE, vm_attributes::DEFAULT)?;
    let frame = objects.make::<SmallPage>()?;
    let words = [ADDRESS + PAGE_SIZE, CapRights::READ_WRITE.0, vm_attributes::DEFAULT];
    let map = || invoke(frame.cptr(), Label::X86PageMap, [boot::VSPACE.cptr()], words);
    let unmap = || invoke(frame.cptr(), Label::X86PageUnmap, [], []);
    report(
        "map",
        least(|| {
            let n = map()?;
            unmap()?;
            Ok(n)
        })?,
    );
    report(
        "unmap",
        least(|| {
            map()?;
            unmap()
        })?,
    );
    Ok(())
}
