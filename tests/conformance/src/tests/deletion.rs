//! What the tests of objects' states at deletion have in common: an object is made out of an untyped of its own, put into
//! a state, and its capabilities go in one of several ways. If none is left, what others see is looked at with the
//! object's memory overwritten.

use core::cell::Cell;

use pecan::raw::{self, invocations as inv};
use pecan_abi::{CPtr, CapRights, ObjectType};

use crate::{
    Env,
    env::{DEPTH, Mapped, ROOT, copy, delete, is_empty, memory_left, revoke},
    thread::{Spaces, Thread},
};

/// A way in which capabilities to an object go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// A copy is deleted.
    Copy,
    /// The original is deleted; a copy is left.
    Original,
    /// The original is revoked: its copies go.
    Revoke,
    /// The only one is deleted.
    Last,
    /// What the object was made of is revoked.
    Parent,
}

/// All ways.
pub const ALL: &[Way] = &[Way::Copy, Way::Original, Way::Revoke, Way::Last, Way::Parent];
/// The ways of what cannot be copied.
pub const UNCOPIED: &[Way] = &[Way::Last, Way::Parent];

impl Way {
    /// Its name in the matrix.
    pub const fn name(self) -> &'static &'static str {
        match self {
            Way::Copy => &"copy",
            Way::Original => &"original",
            Way::Revoke => &"revoke",
            Way::Last => &"last",
            Way::Parent => &"parent",
        }
    }

    /// No capability to the object is left.
    pub fn ends(self) -> bool {
        matches!(self, Way::Last | Way::Parent)
    }

    /// Lets capabilities go. One that stays is in `cap` again. `parent` is what the object was made of, `scratch` an empty
    /// slot.
    #[track_caller]
    pub fn apply(self, parent: CPtr, cap: CPtr, scratch: CPtr) {
        if !self.ends() {
            copy(scratch, cap, CapRights::ALL).expect("copy");
        }
        match self {
            Way::Copy => delete(scratch).expect("delete the copy"),
            Way::Original => {
                delete(cap).expect("delete the original");
                inv::cnode_move(ROOT, cap, DEPTH, ROOT, scratch, DEPTH).expect("move the copy");
            }
            Way::Revoke => revoke(cap).expect("revoke the original"),
            Way::Last => delete(cap).expect("delete the last capability"),
            Way::Parent => revoke(parent).expect("revoke the parent"),
        }
        assert!(is_empty(scratch), "the copy is still there");
        assert_eq!(is_empty(cap), self.ends(), "the wrong capabilities have gone");
    }

    /// Lets capabilities go and looks what has become of the object. `gone` runs when its memory is overwritten.
    #[track_caller]
    pub fn go(self, place: &Place, cap: CPtr, alive: impl FnOnce(), gone: impl FnOnce()) {
        self.apply(place.parent, cap, place.env.slot());
        if self.ends() {
            place.overwrite();
            gone();
            place.is_untouched();
        } else {
            alive();
        }
    }
}

/// Runs a test once for each way, with an environment of its own.
pub fn in_all_ways(env: &Env, ways: &[Way], test: fn(&Env, Way)) {
    env.rounds(ways, |env, way| {
        crate::runner::note(way.name());
        test(env, *way);
    });
}

/// Where an object is made: an untyped of its own.
pub struct Place<'e> {
    /// The environment of the test.
    pub env: &'e Env,
    /// What the object is made of.
    pub parent: CPtr,
    /// log2 of its bytes; `None` if the object has no memory of user level's.
    bits: Option<u64>,
    /// What lies there once it has been overwritten, if it is a page.
    page: Cell<Option<Mapped>>,
}

/// What the memory of an object is overwritten with.
const OVERWRITTEN: u64 = u64::MAX;

impl<'e> Place<'e> {
    /// A page.
    #[track_caller]
    pub fn new(env: &'e Env) -> Self {
        Self::with_bits(env, 12)
    }

    /// An untyped of so many bytes, log2.
    #[track_caller]
    pub fn with_bits(env: &'e Env, bits: u64) -> Self {
        Place { env, parent: env.child_untyped(bits), bits: Some(bits), page: Cell::new(None) }
    }

    /// For objects that come from a control capability.
    pub fn of_control(env: &'e Env, control: CPtr) -> Self {
        Place { env, parent: control, bits: None, page: Cell::new(None) }
    }

    /// Makes an object of the untyped.
    #[track_caller]
    pub fn make(&self, object_type: ObjectType, size_bits: u64) -> CPtr {
        let slot = self.env.slot();
        inv::untyped_retype(self.parent, object_type.word(), size_bits, ROOT, 0, 0, slot, 1).expect("retype");
        slot
    }

    /// Makes an object of one size.
    #[track_caller]
    pub fn object(&self, object_type: ObjectType) -> CPtr {
        self.make(object_type, 0)
    }

    /// A thread to be whose TCB is made here. Its scheduling context is not.
    #[track_caller]
    pub fn thread(&self, priority: u64) -> Thread {
        let sc = self.env.sched_context(10_000, 10_000);
        self.thread_with(priority, sc, Spaces::own())
    }

    /// The same with a scheduling context and spaces.
    #[track_caller]
    pub fn thread_with(&self, priority: u64, sc: CPtr, spaces: Spaces) -> Thread {
        self.env.thread_of(self.object(ObjectType::Tcb), priority, sc, spaces)
    }

    /// Starts a function in a thread whose TCB is made here.
    #[track_caller]
    pub fn spawn<F: FnOnce() -> u64 + Send + 'static>(&self, priority: u64, function: F) -> Thread {
        let thread = self.thread(priority);
        thread.start(function);
        thread
    }

    /// All of the untyped's memory is free. It is had again and overwritten, so that whoever still uses it stumbles.
    #[track_caller]
    pub fn overwrite(&self) {
        let Some(bits) = self.bits else { return };
        let left = memory_left(self.parent, self.env.end_slot);
        assert_eq!(left, Some(1 << bits), "bytes that the object's untyped has left");
        if bits == 12 {
            let page = self.env.map(self.object(ObjectType::Page4K));
            (0..512).for_each(|index| page.write(index, OVERWRITTEN));
            self.page.set(Some(page));
        } else {
            self.make(ObjectType::Untyped, bits);
        }
        raw::yield_now();
    }

    /// Nobody has written to the memory since it was overwritten: the kernel has forgotten the object that was there.
    #[track_caller]
    pub fn is_untouched(&self) {
        if let Some(page) = self.page.get() {
            let touched = (0..512).find(|index| page.read(*index) != OVERWRITTEN);
            assert_eq!(touched, None, "the kernel wrote to an object that is gone, word");
        }
    }
}
