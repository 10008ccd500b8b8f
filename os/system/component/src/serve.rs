//! The loop in which a component serves.

use alloc::vec::Vec;

use pecan::{Cap, types::Reply};
use pecan_manifest::layout::{self, resource};
use pecan_protocols::Unfit;
use pecan_service::{Dispatch, Replies, Server};

use crate::{
    handover::{self, Handover},
    role, startup, supervisor,
};

/// Whether a bit is among signals.
const fn has(bits: u64, bit: u32) -> bool {
    bits >> bit & 1 != 0
}

/// The reply objects of this component.
fn replies() -> Vec<Cap<Reply>> {
    let first: Cap<Reply> = role::cap(resource::REPLY).expect("a server has reply objects");
    let count = startup().parameter(resource::REPLIES).unwrap_or(1);
    // SAFETY: the initial task put as many reply objects there, one after the other.
    (0..count).map(|n| unsafe { first.offset(n) }).collect()
}

fn server(replies: Replies) -> Server {
    let endpoint = role::cap(resource::SERVICE).expect("the description lets this component serve");
    Server::new(endpoint, replies)
}

/// Does what every server does when it is signalled.
fn look_after<D: Dispatch<S>, S>(server: &mut S, bits: u64, replies: &mut Replies) {
    if has(bits, layout::PULSE_SIGNAL) {
        crate::pulse();
    }
    if has(bits, layout::GONE_SIGNAL) {
        // An initial task that does not answer has no more clients to speak of.
        let told = supervisor().departures().unwrap_or_default();
        let places = |bits: u64| (0..64).filter(move |place| bits >> place & 1 != 0);
        for place in places(told.calls) {
            D::given_up(server, place);
            replies.forget(place);
        }
        for place in places(told.clients) {
            D::gone(server, place);
            replies.forget(place);
        }
        if told.sessions != 0 {
            // Who is not told takes the memory back all the same, a little later.
            let _ = supervisor().let_go(told.sessions);
        }
    }
}

/// Serves for ever what the dispatcher `D` hands over; `signal` is told the bits of interrupts ([`crate::Irq::is_in`]) and of
/// the system log ([`crate::LOG_SIGNAL`]).
///
/// # Panics
/// If the description lets this component serve nothing.
pub fn serve<D: Dispatch<S>, S>(server: &mut S, mut signal: impl FnMut(&mut S, u64)) -> ! {
    if handover::is_successor() {
        handover::refuse(Unfit::Unable);
    }
    self::server(Replies::new(&replies())).run::<D, S>(server, |server, bits, replies| {
        look_after::<D, S>(server, bits, replies);
        if has(bits, layout::HANDOVER_SIGNAL) && handover::is_wanted() {
            // Who asked goes on without it, and so does this.
            let _ = supervisor().refuse(Unfit::Unable);
        }
        signal(server, bits);
    })
}

/// As [`serve`], for a server that can hand over to another program, and take over from one, without that a client notices.
///
/// A program that takes over has its predecessor's state before anything else happens. Before the first call `signal` is told all
/// bits at once, because signals for a predecessor may be lost.
///
/// # Panics
/// As [`serve`].
pub fn serve_replaceable<D: Dispatch<S>, S: Handover>(
    server: &mut S,
    mut signal: impl FnMut(&mut S, u64),
) -> ! {
    let all = replies();
    let replies = match handover::take_over::<D, S>(server, &all) {
        Some(replies) => replies,
        None => Replies::new(&all),
    };
    signal(server, layout::SIGNALS_OF_OTHERS);
    self::server(replies).run::<D, S>(server, |server, bits, replies| {
        let mut bits = bits;
        loop {
            look_after::<D, S>(server, bits, replies);
            signal(server, bits);
            // Once it is asked it receives no calls, so that it gets ready. They wait.
            if !has(bits, layout::HANDOVER_SIGNAL) || !handover::is_wanted() {
                return;
            }
            if server.is_ready() {
                return handover::hand_over::<D, S>(server, replies);
            }
            bits = crate::wait() | 1 << layout::HANDOVER_SIGNAL;
        }
    })
}
