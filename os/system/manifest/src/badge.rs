//! What an endpoint's badge says: who calls, and on which edge. The kernel delivers the badge of the capability that was
//! used, and only the initial task makes such capabilities, so no component can forge one.

/// A badge.
///
/// ```text
///  63      62..60  59..52  51..40  39..0
///  signal  kind    role    place   generation
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Badge(u64);

/// What a message with a badge is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A call on an edge: to a role of the server.
    Call,
    /// A call to a server that does not come back, which the initial task answers.
    Gone,
    /// A call in a session that is over, which the initial task answers.
    Ended,
    /// What every component may say to the initial task: that it exits, and text for the system log.
    Supervisor,
    /// A fault, which the kernel reports.
    Fault,
    /// Not a message but signals: interrupts and notifications.
    Signal,
}

const ROLE: u32 = 52;
const PLACE: u32 = 40;
const KIND: u32 = 60;
const GENERATION: u64 = (1 << PLACE) - 1;

impl Badge {
    /// The bit that tells signals from messages. The bits of notifications' badges are combined, so it stands alone.
    pub const SIGNAL: u64 = 1 << 63;
    /// The most roles that a server has.
    pub const ROLES: usize = 1 << (KIND - ROLE);
    /// The most places of a role.
    pub const PLACES: usize = 1 << (ROLE - PLACE);

    /// The badge of a kind that comes from the component of a number.
    const fn of(kind: u64, id: u64) -> Self {
        Self(kind << KIND | id & GENERATION)
    }

    /// A client's badge at a role of a server: its place, and which of those that had the place one after the other it
    /// is. At the initial task there are no places, and the generation is the component's number.
    pub const fn call(role: u8, place: u16, generation: u64) -> Self {
        let place = place as u64 & (Self::PLACES as u64 - 1);
        Self((role as u64) << ROLE | place << PLACE | generation & GENERATION)
    }

    /// The badge of calls of a component to a server that is gone.
    pub const fn gone(id: u64) -> Self {
        Self::of(1, id)
    }

    /// The badge of a component at its supervisor.
    pub const fn supervisor(id: u64) -> Self {
        Self::of(2, id)
    }

    /// The badge of calls of a component in a session that is over.
    pub const fn ended(id: u64) -> Self {
        Self::of(3, id)
    }

    /// The badge of a component's faults. The place is the number of the thread, 0 for the first.
    pub const fn fault(id: u64, thread: u16) -> Self {
        Self(Self::of(4, id).0 | (thread as u64 & (Self::PLACES as u64 - 1)) << PLACE)
    }

    /// A badge as the kernel delivered it.
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The badge as the kernel takes it.
    pub const fn word(self) -> u64 {
        self.0
    }

    /// What the message is; `None` for a badge that nobody makes.
    pub const fn kind(self) -> Option<Kind> {
        match self.0 >> KIND {
            0 => Some(Kind::Call),
            1 => Some(Kind::Gone),
            2 => Some(Kind::Supervisor),
            3 => Some(Kind::Ended),
            4 => Some(Kind::Fault),
            8.. => Some(Kind::Signal),
            _ => None,
        }
    }

    /// Which role of the server was called.
    pub const fn role(self) -> u8 {
        (self.0 >> ROLE) as u8
    }

    /// The caller's place.
    pub const fn place(self) -> u16 {
        (self.0 >> PLACE) as u16 & (Self::PLACES as u16 - 1)
    }

    /// Which of those that had the place it is; at the initial task the component's number.
    pub const fn generation(self) -> u64 {
        self.0 & GENERATION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        for (role, place, generation) in [(0, 0, 0), (3, 17, 99), (255, 4095, (1 << 40) - 1)] {
            let badge = Badge::from_word(Badge::call(role, place, generation).word());
            assert_eq!(badge.kind(), Some(Kind::Call));
            assert_eq!((badge.role(), badge.place(), badge.generation()), (role, place, generation));
        }
    }

    #[test]
    fn kinds_are_apart_whatever_the_numbers_are() {
        for id in [0, 7, u64::MAX] {
            assert_eq!(Badge::call(255, 4095, id).kind(), Some(Kind::Call));
            assert_eq!(Badge::gone(id).kind(), Some(Kind::Gone));
            assert_eq!(Badge::ended(id).kind(), Some(Kind::Ended));
            assert_eq!(Badge::supervisor(id).kind(), Some(Kind::Supervisor));
            assert_eq!(Badge::fault(id, 9).kind(), Some(Kind::Fault));
        }
        assert_eq!(Badge::from_word(Badge::SIGNAL | 5).kind(), Some(Kind::Signal));
        assert_eq!(Badge::from_word(5 << 60).kind(), None);
    }
}
