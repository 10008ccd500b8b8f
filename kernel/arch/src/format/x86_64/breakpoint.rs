//! A thread's hardware breakpoints, in the form of the processor's debug registers.
//!
//! Intel SDM volume 3, "Debug, Branch Profile, TSC, and Intel RDT Features": debug registers.

use core::cell::Cell;

use pecan_abi::{
    breakpoint::{BreakpointAccess, BreakpointType},
    x86_64::constants::NUM_HW_BREAKPOINTS,
};

use crate::format::{Breakpoint, BreakpointPart, DebugEvent};

/// Bit of DR6 for a single step.
const STATUS_STEP: u64 = 1 << 14;
/// Bytes of data by the length field of DR7.
const SIZES: [u64; 4] = [1, 2, 8, 4];

/// Access and length field of DR7.
fn condition(breakpoint: Breakpoint) -> Result<u64, BreakpointPart> {
    let access = match (breakpoint.kind, breakpoint.access) {
        // Instructions are read.
        (BreakpointType::Instruction, BreakpointAccess::Read) => {
            return if breakpoint.size == 0 { Ok(0) } else { Err(BreakpointPart::Size) };
        }
        (BreakpointType::Data, BreakpointAccess::Write) => 1,
        (BreakpointType::Data, BreakpointAccess::ReadWrite) => 3,
        // Of data reads alone cannot be waited for.
        _ => return Err(BreakpointPart::Access),
    };
    let length = SIZES.iter().position(|size| *size == breakpoint.size).ok_or(BreakpointPart::Size)?;
    Ok(access | (length as u64) << 2)
}

/// The breakpoints of a thread: addresses (DR0 to DR3) and conditions (DR7). All zero: none.
#[derive(Default)]
pub struct DebugRegisters {
    addresses: [Cell<u64>; NUM_HW_BREAKPOINTS],
    control: Cell<u64>,
}

impl DebugRegisters {
    /// Whether the processor can wait for this.
    ///
    /// # Errors
    /// What it cannot do; the access comes first.
    pub fn check(breakpoint: Breakpoint) -> Result<(), BreakpointPart> {
        condition(breakpoint).map(|_| ())
    }

    /// Sets and enables breakpoint `index`, which must be possible; `None` disables it and clears it.
    pub fn set(&self, index: usize, breakpoint: Option<Breakpoint>) {
        self.addresses[index].set(breakpoint.map_or(0, |b| b.address));
        let mut control = self.control.get() & !(0xf << (16 + 4 * index) | 3 << (2 * index));
        if let Some(condition) = breakpoint.and_then(|breakpoint| condition(breakpoint).ok()) {
            control |= condition << (16 + 4 * index) | 1 << (2 * index);
        }
        self.control.set(control);
    }

    /// What breakpoint `index` waits for, and whether it is enabled. One that was cleared is on the instruction 0.
    pub fn get(&self, index: usize) -> (Breakpoint, bool) {
        let condition = self.control() >> (16 + 4 * index) & 15;
        let size = SIZES[condition as usize >> 2];
        let (kind, size, access) = match condition & 3 {
            0 => (BreakpointType::Instruction, 0, BreakpointAccess::Read),
            1 => (BreakpointType::Data, size, BreakpointAccess::Write),
            _ => (BreakpointType::Data, size, BreakpointAccess::ReadWrite),
        };
        let breakpoint = Breakpoint { address: self.address(index), kind, size, access };
        (breakpoint, self.control() >> (2 * index) & 1 != 0)
    }

    /// The value for DR7; 0 if no breakpoint is enabled.
    pub fn control(&self) -> u64 {
        self.control.get()
    }

    /// [`DebugRegisters::control`] with the breakpoints on data disabled.
    pub fn control_without_data(&self) -> u64 {
        let on_data = |&index: &usize| self.get(index).0.kind == BreakpointType::Data;
        (0..NUM_HW_BREAKPOINTS).filter(on_data).fold(self.control(), |c, index| c & !(3 << (2 * index)))
    }

    /// The value for DR0 to DR3.
    pub fn address(&self, index: usize) -> u64 {
        self.addresses[index].get()
    }

    /// What a debug exception with this status (DR6) was for. Of several breakpoints it is the first, and breakpoints
    /// go before a step. The status also tells of breakpoints that are disabled.
    pub fn event(&self, status: u64) -> DebugEvent {
        let hit = |&index: &usize| status >> index & 1 != 0 && self.get(index).1;
        match (0..NUM_HW_BREAKPOINTS).find(hit) {
            Some(index) => DebugEvent::Breakpoint(index),
            None if status & STATUS_STEP != 0 => DebugEvent::Step,
            None => DebugEvent::Software,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: Breakpoint =
        Breakpoint { address: 0x1000, kind: BreakpointType::Data, size: 8, access: BreakpointAccess::Write };
    const CODE: Breakpoint = Breakpoint {
        address: 0x40_0001,
        kind: BreakpointType::Instruction,
        size: 0,
        access: BreakpointAccess::Read,
    };

    #[test]
    fn what_was_set_is_read_back() {
        for index in 0..NUM_HW_BREAKPOINTS {
            let registers = DebugRegisters::default();
            for size in [1, 2, 4, 8] {
                for access in [BreakpointAccess::Write, BreakpointAccess::ReadWrite] {
                    let breakpoint = Breakpoint { size, access, ..WRITE };
                    assert_eq!(DebugRegisters::check(breakpoint), Ok(()));
                    registers.set(index, Some(breakpoint));
                    assert_eq!(registers.get(index), (breakpoint, true));
                }
            }
            registers.set(index, Some(CODE));
            assert_eq!(registers.get(index), (CODE, true));
            assert!((0..NUM_HW_BREAKPOINTS).all(|other| registers.get(other).1 == (other == index)));
            registers.set(index, None);
            assert_eq!((registers.control(), registers.address(index)), (0, 0));
        }
    }

    #[test]
    fn control_has_the_bits_of_the_manual() {
        let registers = DebugRegisters::default();
        registers.set(0, Some(CODE));
        registers.set(1, Some(WRITE));
        registers.set(3, Some(Breakpoint { size: 4, access: BreakpointAccess::ReadWrite, ..WRITE }));
        assert_eq!(registers.control(), 1 | 1 << 2 | 1 << 6 | 0b1001 << 20 | 0b1111 << 28);
        assert_eq!(registers.control_without_data() & 0xff, 1);
        assert_eq!((registers.address(0), registers.address(1)), (0x40_0001, 0x1000));
    }

    #[test]
    fn what_no_register_can_express_is_impossible() {
        use BreakpointPart::{Access, Size};
        for (breakpoint, part) in [
            (Breakpoint { size: 1, ..CODE }, Size),
            (Breakpoint { access: BreakpointAccess::Write, ..CODE }, Access),
            (Breakpoint { access: BreakpointAccess::Read, ..WRITE }, Access),
            (Breakpoint { size: 0, ..WRITE }, Size),
            (Breakpoint { size: 3, ..WRITE }, Size),
            (Breakpoint { size: 16, ..WRITE }, Size),
            (Breakpoint { kind: BreakpointType::SingleStep, ..CODE }, Access),
            (Breakpoint { kind: BreakpointType::SoftwareBreakRequest, ..CODE }, Access),
        ] {
            assert_eq!(DebugRegisters::check(breakpoint), Err(part), "{breakpoint:?}");
        }
    }

    #[test]
    fn events_are_told_apart() {
        let registers = DebugRegisters::default();
        registers.set(2, Some(CODE));
        assert_eq!(registers.event(0xf), DebugEvent::Breakpoint(2));
        assert_eq!(registers.event(STATUS_STEP | 1 << 2), DebugEvent::Breakpoint(2));
        assert_eq!(registers.event(STATUS_STEP | 1), DebugEvent::Step);
        assert_eq!(registers.event(1), DebugEvent::Software);
        assert_eq!(registers.event(0), DebugEvent::Software);
    }
}
