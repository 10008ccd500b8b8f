//! A server hands over to another program, which goes on in its place: with its clients, its rings and its state.

use alloc::vec::Vec;

use pecan::{Cap, types::Reply};
use pecan_manifest::layout::resource;
use pecan_protocols::Unfit;
use pecan_service::{Dispatch, Parking, Replies, SavedReplies, shared};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{startup, supervisor};

/// A server that can hand over to another program, and take over from one ([`crate::serve_replaceable`]).
///
/// Endpoint, clients, reply objects, rings and shared pages stay where they are, and go on by themselves. The state is all
/// else that has to be kept. What waits to be answered goes with it ([`pecan_service::Later::park`]), or is answered before; if it
/// is neither, the client gets `Dropped`.
///
/// The server is made as always, by `main`, before it gets its predecessor's state: until then it must touch nothing that
/// outlives it.
pub trait Handover {
    /// The version of the state. Another layout or another meaning is another version.
    const VERSION: u32;
    /// The state, as it travels.
    type State: Serialize + DeserializeOwned;

    /// Whether it can hand over now. If not, no calls are received until it can, and this is asked again after each signal.
    fn is_ready(&mut self) -> bool {
        true
    }

    /// Takes the state out of this server, which then serves nobody until it gets it back.
    fn save(&mut self) -> Self::State;

    /// Puts the state into this server. An error leaves the predecessor's program in its place.
    fn restore(&mut self, state: Self::State, parking: &mut Parking) -> Result<(), Unfit>;

    /// The state of an older version as one of this version; `None` for one that it does not know.
    fn upgrade(version: u32, state: &[u8]) -> Option<Self::State> {
        let _ = (version, state);
        None
    }
}

/// The form of what follows. Another form has another number.
const FORM: u32 = 1;

/// What is handed over.
#[derive(Serialize, Deserialize)]
struct Parcel<'a> {
    form: u32,
    /// The methods that clients may call, in each role.
    methods: Vec<(u8, Vec<u64>)>,
    replies: SavedReplies,
    version: u32,
    state: &'a [u8],
}

/// Whether this program is to take over from another.
pub fn is_successor() -> bool {
    startup().memory(resource::HANDOVER).is_some()
}

/// Whether this server is to hand over. An initial task that does not answer wants nothing.
pub fn is_wanted() -> bool {
    supervisor().is_replaced().unwrap_or(false)
}

/// Does not take over, and ends.
pub fn refuse(why: Unfit) -> ! {
    // That it ends says so, too.
    let _ = supervisor().refuse(why);
    crate::exit(1)
}

/// Takes over from a predecessor, if there is one, or ends. Until it has, nothing is changed that the predecessor's program
/// would miss.
pub fn take_over<D: Dispatch<S>, S: Handover>(server: &mut S, all: &[Cap<Reply>]) -> Option<Replies> {
    let (address, _) = startup().memory(resource::HANDOVER)?;
    let bytes = startup().parameter(resource::HANDOVER).unwrap_or(0);
    // SAFETY: the initial task has mapped as many bytes there, read-only, until this program says that it has taken over. Who
    // wrote them has ended.
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, bytes as usize) };
    match open::<D, S>(server, all, bytes) {
        Ok((replies, parking)) => {
            // Without an initial task there is no system.
            let _ = supervisor().take_over();
            parking.close();
            Some(replies)
        }
        Err(why) => refuse(why),
    }
}

fn open<D: Dispatch<S>, S: Handover>(
    server: &mut S,
    all: &[Cap<Reply>],
    bytes: &[u8],
) -> Result<(Replies, Parking), Unfit> {
    let parcel: Parcel<'_> = postcard::from_bytes(bytes).map_err(|_| Unfit::State)?;
    if parcel.form != FORM {
        return Err(Unfit::State);
    }
    for (role, methods) in &parcel.methods {
        let served = D::METHODS.iter().find(|(r, _)| r == role).map_or(&[][..], |(_, served)| served);
        if let Some(method) = methods.iter().find(|method| served.iter().all(|m| m.number != **method)) {
            return Err(Unfit::Protocol { role: *role, method: *method });
        }
    }
    let state = if parcel.version == S::VERSION {
        postcard::from_bytes(parcel.state).map_err(|_| Unfit::State)?
    } else {
        let unknown = Unfit::Version { state: parcel.version, known: S::VERSION };
        S::upgrade(parcel.version, parcel.state).ok_or(unknown)?
    };
    let replies = Replies::restore(all, &parcel.replies).ok_or(Unfit::State)?;
    let mut parking = replies.parking();
    server.restore(state, &mut parking)?;
    Ok((replies, parking))
}

/// Hands over, and ends; or goes on, if it is not to hand over any more or cannot.
pub fn hand_over<D: Dispatch<S>, S: Handover>(server: &mut S, replies: &Replies) {
    let state = server.save();
    if let Some(parcel) = pack::<D, S>(&state, replies) {
        match supervisor().state_room(parcel.len() as u64) {
            Ok(Some(address)) => {
                // SAFETY: the initial task has mapped as many bytes there just now, for this.
                unsafe { shared::at(address as usize, parcel.len().next_multiple_of(8)) }.write(&parcel);
                let _ = supervisor().hand_over();
            }
            // Who asked goes on without it, and so does this.
            Ok(None) | Err(_) => _ = supervisor().refuse(Unfit::NoMemory),
        }
    } else {
        let _ = supervisor().refuse(Unfit::NoMemory);
    }
    let mut parking = replies.parking();
    // It is its own.
    let _ = server.restore(state, &mut parking);
    parking.close();
}

fn pack<D: Dispatch<S>, S: Handover>(state: &S::State, replies: &Replies) -> Option<Vec<u8>> {
    let numbers = |(role, methods): &(u8, &'static [pecan_service::Method])| {
        (*role, methods.iter().map(|method| method.number).collect())
    };
    let state = postcard::to_allocvec(state).ok()?;
    let parcel = Parcel {
        form: FORM,
        methods: D::METHODS.iter().map(numbers).collect(),
        replies: replies.save(),
        version: S::VERSION,
        state: &state,
    };
    postcard::to_allocvec(&parcel).ok()
}
