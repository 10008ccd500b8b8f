//! Answers that are owed by one program and given by another, which goes on in its place.
//!
//! The reply objects belong to the service and outlive the program, so whoever has the same numbers for them goes on with the same
//! calls.

use alloc::{rc::Rc, vec::Vec};
use core::{cell::RefCell, marker::PhantomData};

use pecan::{Cap, types::Reply};
use serde::{Deserialize, Serialize};

use crate::{
    CallError, Later, Replies,
    server::{Numbered, Place, Places},
};

/// An answer that is owed, on its way to another program ([`Later::park`], [`Parking::resume`]).
#[derive(Serialize, Deserialize, Debug)]
#[serde(bound = "")]
pub struct Parked<T> {
    at: u32,
    call: u64,
    of: PhantomData<fn(T)>,
}

impl<T> Later<T> {
    /// Leaves the answer to the program that goes on in this one's place.
    pub fn park(mut self) -> Parked<T> {
        // No call has the number 0, so that nothing is owed any more by what is dropped here.
        let call = core::mem::take(&mut self.call);
        Parked { at: u32::try_from(self.at).unwrap_or(u32::MAX), call, of: PhantomData }
    }
}

/// Which reply objects have which callers.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct SavedReplies {
    current: u16,
    places: Vec<SavedPlace>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
struct SavedPlace {
    client: usize,
    reply: u16,
    call: u64,
    owed: bool,
}

impl Replies {
    /// What another program needs to go on with these.
    pub fn save(&self) -> SavedReplies {
        let place = |place: &Place| SavedPlace {
            client: place.client,
            reply: place.reply.number,
            call: place.call,
            owed: place.owed,
        };
        SavedReplies {
            current: self.current.number,
            places: self.places.borrow().iter().map(place).collect(),
        }
    }

    /// Goes on with those of another program; `replies` are the same objects in the same order. `None` if what was saved does
    /// not name each of them once.
    pub fn restore(replies: &[Cap<Reply>], saved: &SavedReplies) -> Option<Self> {
        let mut numbers: Vec<_> = saved.places.iter().map(|place| place.reply).collect();
        numbers.push(saved.current);
        numbers.sort_unstable();
        if !numbers.iter().map(|number| usize::from(*number)).eq(0..replies.len()) {
            return None;
        }
        let numbered = |number: u16| Numbered { cap: replies[usize::from(number)], number };
        let place = |place: &SavedPlace| Place {
            client: place.client,
            reply: numbered(place.reply),
            call: place.call,
            owed: place.owed,
        };
        let places = Rc::new(RefCell::new(saved.places.iter().map(place).collect()));
        Some(Self { current: numbered(saved.current), places })
    }

    /// Where answers are that were parked.
    pub fn parking(&self) -> Parking {
        let resumed = alloc::vec![false; self.places.borrow().len()];
        Parking { places: self.places.clone(), resumed }
    }
}

/// Answers that another program has left.
#[derive(Debug)]
pub struct Parking {
    places: Places,
    resumed: Vec<bool>,
}

impl Parking {
    /// An answer that is owed. One that nobody left, or that was given up meanwhile, is not owed ([`Later::is_owed`]).
    pub fn resume<T>(&mut self, parked: Parked<T>) -> Later<T> {
        let at = usize::try_from(parked.at).unwrap_or(usize::MAX);
        let later = Later { at, call: parked.call, places: self.places.clone(), of: PhantomData };
        if let Some(resumed) = self.resumed.get_mut(at).filter(|_| later.is_owed()) {
            *resumed = true;
        }
        later
    }

    /// Gives up the calls whose answers nobody resumed.
    pub fn close(self) {
        for (place, resumed) in self.places.borrow_mut().iter_mut().zip(self.resumed) {
            if place.owed && !resumed {
                place.reply.cap.reply(&CallError::Dropped.message());
                place.owed = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pecan_manifest::Badge;

    use super::*;
    use crate::Caller;

    const REPLIES: [Cap<Reply>; 4] = [Cap::NULL; 4];

    fn caller(place: u16) -> Caller {
        Caller { badge: Badge::call(0, place, 1) }
    }

    #[test]
    fn another_program_owes_what_was_parked() {
        let mut replies = Replies::new(&REPLIES);
        let (first, second) = (replies.defer::<u64>(caller(7)).unwrap(), replies.defer(caller(2)).unwrap());
        assert!(first.is_owed() && second.is_owed());
        let parked: [Parked<u64>; 2] = [first.park(), second.park()];
        let saved = replies.save();
        let bytes = postcard::to_allocvec(&(&saved, &parked)).unwrap();

        let (saved, [first, second]): (SavedReplies, [Parked<u64>; 2]) =
            postcard::from_bytes(&bytes).unwrap();
        let mut replies = Replies::restore(&REPLIES, &saved).unwrap();
        assert_eq!(replies.save(), saved);
        let mut parking = replies.parking();
        let (first, second) = (parking.resume(first), parking.resume(second));
        assert!(first.is_owed() && second.is_owed());
        // All are resumed, so that nobody is told that there is no answer.
        parking.close();
        replies.forget(7);
        assert!(!first.is_owed() && second.is_owed());
        second.park();
    }

    #[test]
    fn what_nobody_parked_is_not_owed() {
        let mut replies = Replies::new(&REPLIES);
        let later = replies.defer::<u64>(caller(1)).unwrap();
        let Parked { at, call, .. } = later.park();
        let mut parking = replies.parking();
        for (at, call) in [(at, call + 1), (at, 0), (2, call), (u32::MAX, call)] {
            assert!(!parking.resume(Parked::<u64> { at, call, of: PhantomData }).is_owed(), "{at} {call}");
        }
        let later = parking.resume(Parked::<u64> { at, call, of: PhantomData });
        assert!(later.is_owed());
        later.park();
    }

    #[test]
    fn each_reply_object_is_named_once() {
        let saved = Replies::new(&REPLIES).save();
        assert!(Replies::restore(&REPLIES, &saved).is_some());
        assert!(Replies::restore(&REPLIES[..3], &saved).is_none());
        let wrong = [
            SavedReplies { current: 1, ..saved.clone() },
            SavedReplies { current: 4, ..saved.clone() },
            SavedReplies { places: saved.places[..2].to_vec(), ..saved.clone() },
            SavedReplies { places: [&saved.places[..], &saved.places[..1]].concat(), ..saved },
        ];
        assert!(wrong.iter().all(|wrong| Replies::restore(&REPLIES, wrong).is_none()));
    }
}
