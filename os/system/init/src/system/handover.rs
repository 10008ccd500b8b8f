//! Servers that hand over to another program: what each has left is kept here, and given to its successor.

use alloc::vec::Vec;

use pecan::{Cap, CapRights, abi::constants::vm_attributes, types::SmallPage, vspace::PAGE_SIZE};
use pecan_manifest::layout::STATE_MAX;
use pecan_protocols::{ControlError, Ending, Granted, Handover, Stage, State, Unfit};

use super::{Entry, System};
use crate::{
    handle::INSTANCES,
    memory::{Home, Memory},
};

/// Bytes of a slot.
const SLOT: u64 = 32;

/// What one hands over.
pub struct Change {
    /// How far it has come.
    pub info: Handover,
    left: Option<Left>,
}

/// A state that a server has left, in memory that is neither its own nor its successor's.
struct Left {
    home: Home,
    pages: Vec<Cap<SmallPage>>,
    bytes: u64,
}

impl Left {
    /// Memory for so many bytes.
    fn new(bytes: u64, memory: &mut Memory) -> pecan::Result<Self> {
        let count = bytes.div_ceil(PAGE_SIZE).max(1);
        let slots = (count + 1).next_power_of_two();
        let home = memory.take(count * PAGE_SIZE + (slots * SLOT).next_multiple_of(PAGE_SIZE), slots)?;
        let mut left = Self { home, pages: Vec::new(), bytes };
        for _ in 0..count {
            match left.home.objects().make::<SmallPage>() {
                Ok(page) => left.pages.push(page),
                Err(error) => {
                    memory.give_back(left.home);
                    return Err(error);
                }
            }
        }
        Ok(left)
    }
}

impl Change {
    /// The pages of the state, and its bytes, for who is to take over.
    pub fn state(&self) -> Option<(Vec<Cap<SmallPage>>, u64)> {
        let left = self.left.as_ref()?;
        Some((left.pages.clone(), left.bytes))
    }
}

impl System {
    fn change_of(&mut self, id: u64) -> Option<(&mut Entry, Stage)> {
        let entry = self.entries.iter_mut().find(|e| e.id == id)?;
        let stage = entry.handover.as_ref()?.info.stage;
        Some((entry, stage))
    }

    /// Asks a server that runs to hand over to another of its programs.
    pub fn ask_handover(&mut self, id: u64, program: u8) -> Result<(), ControlError> {
        let index = self.find(id).ok_or(ControlError::NotRunning)?;
        let unfit = self.has_sessions(id).then_some(Unfit::Sessions);
        if self.spec(&self.entries[index]).settings.packages().nth(program.into()).is_none() {
            return Err(ControlError::NoSuchProgram);
        }
        let entry = &mut self.entries[index];
        if entry.handover.is_some() {
            return Err(ControlError::Running);
        }
        let signal = entry.live.as_ref().and_then(|live| live.handover_signal);
        let signal = signal.ok_or(ControlError::NotRunning)?;
        let info = Handover { stage: Stage::Asked, from: entry.program, to: program, unfit };
        entry.handover = Some(Change { info, left: None });
        if unfit.is_none() {
            signal.signal();
        }
        Ok(())
    }

    /// Whether a component is to hand over.
    pub fn is_replaced(&mut self, id: u64) -> bool {
        let change = self.find(id).and_then(|index| self.entries[index].handover.as_ref());
        change.is_some_and(|change| change.info.stage == Stage::Asked && change.info.unfit.is_none())
    }

    /// Gives a component that is to hand over memory for its state; returns where.
    pub fn state_room(&mut self, id: u64, bytes: u64) -> Option<u64> {
        if bytes > STATE_MAX || !self.is_replaced(id) {
            return None;
        }
        self.drop_state(id);
        let mut left = Left::new(bytes, &mut self.memory).ok()?;
        let index = self.find(id)?;
        let entry = &mut self.entries[index];
        let (live, change) = (entry.live.as_mut()?, entry.handover.as_mut()?);
        match live.map_copies(&left.pages, CapRights::READ_WRITE, vm_attributes::DEFAULT) {
            Ok(address) => {
                let bytes = left.pages.len() as u64 * PAGE_SIZE;
                live.granted.push(Granted::Handover { address, bytes, writable: true });
                change.left = Some(left);
                Some(address)
            }
            Err(_) => {
                left.pages.clear();
                self.memory.give_back(left.home);
                None
            }
        }
    }

    /// A component has left its state, and ends.
    pub fn hand_over(&mut self, id: u64) {
        if !self.is_replaced(id) {
            return;
        }
        // Somebody may have opened one meanwhile.
        if self.has_sessions(id) {
            return self.refuse(id, Unfit::Sessions);
        }
        let Some(index) = self.find(id) else { return };
        if let Some(change) = self.entries[index].handover.as_mut().filter(|change| change.left.is_some()) {
            change.info.stage = Stage::Left;
            self.end(index, Ending { state: State::Replaced, status: 0 });
        }
    }

    /// A component does not hand over, or does not take over.
    pub fn refuse(&mut self, id: u64, why: Unfit) {
        let Some((entry, stage)) = self.change_of(id) else { return };
        if let Some(change) = entry.handover.as_mut().filter(|change| change.info.unfit.is_none()) {
            change.info.unfit = Some(why);
        }
        if stage == Stage::Asked {
            self.drop_state(id);
            self.signal(INSTANCES);
        }
    }

    /// A component has taken over.
    pub fn take_over(&mut self, id: u64) {
        let Some((entry, stage)) = self.change_of(id) else { return };
        let next = match stage {
            Stage::Entering => Stage::Entered,
            Stage::Returning => Stage::Returned,
            Stage::Asked | Stage::Left | Stage::Entered | Stage::Returned => return,
        };
        if let Some(change) = entry.handover.as_mut() {
            change.info.stage = next;
        }
        self.drop_state(id);
        self.signal(INSTANCES);
    }

    /// Starts the program that is to take over; or the one that left the state, if the other is unfit.
    pub fn hand_on(&mut self, id: u64, unfit: Option<Unfit>) -> Result<(), ControlError> {
        let index = self.entries.iter().position(|e| e.id == id).ok_or(ControlError::NoSuchComponent)?;
        let entry = &mut self.entries[index];
        if entry.live.is_some() {
            return Err(ControlError::Running);
        }
        let change = entry.handover.as_mut().filter(|change| change.left.is_some());
        let info = &mut change.ok_or(ControlError::NotRunning)?.info;
        (info.stage, entry.program) = match unfit {
            Some(_) => (Stage::Returning, info.from),
            None => (Stage::Entering, info.to),
        };
        info.unfit = info.unfit.or(unfit);
        self.start(index, false)
    }

    /// A handover is over, however far it has come.
    pub fn end_handover(&mut self, id: u64) {
        self.drop_state(id);
        let Some((entry, stage)) = self.change_of(id) else { return };
        let Some(change) = entry.handover.take() else { return };
        if stage != Stage::Entered {
            entry.program = change.info.from;
        }
        // It may receive no calls because it gets ready.
        let signal = entry.live.as_ref().and_then(|live| live.handover_signal);
        if let Some(signal) = signal.filter(|_| stage == Stage::Asked) {
            signal.signal();
        }
    }

    /// Takes the memory of a state back.
    fn drop_state(&mut self, id: u64) {
        let Some((entry, _)) = self.change_of(id) else { return };
        let left = entry.handover.as_mut().and_then(|change| change.left.take());
        if let Some(live) = &mut entry.live {
            live.granted.retain(|granted| !matches!(granted, Granted::Handover { .. }));
        }
        if let Some(left) = left {
            self.memory.give_back(left.home);
        }
    }
}
