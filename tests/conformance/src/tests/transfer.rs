//! Capabilities in messages: which arrive, where, and as what.

use pecan::{
    CNodeCapData,
    raw::{self, invocations as inv},
};
use pecan_abi::{CPtr, CapRights, ObjectType, boot::slot};

use crate::{
    Env,
    env::{
        DEPTH, HIGH, LOW, ROOT, answer, call, delete, info, is_empty, poll, registers, revoke, sched_control, signal,
    },
    snapshot::peek,
    thread::Spaces,
};

tests! {
    every_mix_of_three_in_a_send;
    every_mix_of_three_in_a_call;
    every_mix_of_three_in_an_answer;
    every_mix_of_three_without_grant;
    every_kind_of_receive_slot;
    a_receive_slot_that_is_filled_meanwhile;
    a_receive_cnode_that_is_deleted_meanwhile;
    a_receive_cnode_whose_deletion_has_begun;
    a_receive_slot_in_the_receivers_own_cspace;
    the_senders_slot_as_receive_slot;
    every_kind_of_capability;
    a_mapped_frame_arrives_unmapped;
    an_untyped_arrives_as_a_child;
    a_capability_that_is_half_deleted_stays;
    a_reply_capability_answers_from_its_new_place;
    what_arrives_descends_from_what_was_sent: CNodeRevoke / NoError;
    badge_and_rights_arrive_as_they_are;
    the_receiver_needs_no_grant;
    grant_reply_lets_none_pass_but_in_the_answer;
}

/// A capability in a message, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    /// One to the endpoint that the message goes through.
    Own,
    /// One to something else.
    Other,
    /// An empty slot.
    Null,
    /// One that cannot be copied.
    Stuck,
}

const SENT: [Sent; 4] = [Sent::Own, Sent::Other, Sent::Null, Sent::Stuck];

/// How many of these are to arrive, and which of them (a bit each) as their badges. In an answer there is no endpoint.
fn expected(sent: [Sent; 3], mut is_free: bool, grant: bool, through_endpoint: bool) -> (usize, u64, bool) {
    let (mut count, mut unwrapped, mut stored) = (0, 0, false);
    for (index, sent) in sent.into_iter().enumerate().filter(|_| grant) {
        match sent {
            Sent::Own if through_endpoint => unwrapped |= 1 << index,
            Sent::Own | Sent::Other if is_free => (is_free, stored) = (false, true),
            _ => break,
        }
        count = index + 1;
    }
    (count, unwrapped, stored)
}

/// What stands for each kind, and where it is received.
struct Mix {
    caps: [CPtr; 4],
    free: CPtr,
    used: CPtr,
    endpoint: CPtr,
    reply: CPtr,
}

const OWN_BADGE: u64 = 0x1234_5678_9abc_def0;

impl Mix {
    #[track_caller]
    fn new(env: &Env) -> Self {
        let (endpoint, untyped, child) = (env.endpoint(), env.child_untyped(12), env.slot());
        inv::untyped_retype(untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, child, 1).expect("retype");
        let caps = [env.mint(endpoint, OWN_BADGE), env.notification(), env.slot(), untyped];
        Mix { caps, free: env.slot(), used: env.tcb(), endpoint, reply: env.reply() }
    }

    /// All mixes, each for a free receive slot and for a used one.
    fn all() -> impl Iterator<Item = ([Sent; 3], bool)> {
        let mixes = (0..64).map(|n: usize| [SENT[n & 3], SENT[n >> 2 & 3], SENT[n >> 4]]);
        mixes.flat_map(|mix| [(mix, true), (mix, false)])
    }

    fn cptrs(&self, mix: [Sent; 3]) -> [CPtr; 3] {
        mix.map(|sent| self.caps[sent as usize])
    }

    /// The message that has arrived is this mix, as far as it can arrive. Empties the slot again.
    #[track_caller]
    fn check(&self, received: &raw::Reply, (mix, is_free): ([Sent; 3], bool), grant: bool, through_endpoint: bool) {
        let (count, unwrapped, stored) = expected(mix, is_free, grant, through_endpoint);
        assert_eq!(
            (received.info.extra_caps(), received.info.caps_unwrapped(), received.regs[0]),
            (count, unwrapped, 7),
            "{mix:?}, free: {is_free}"
        );
        for index in (0..3).filter(|index| unwrapped & 1 << index != 0) {
            assert_eq!(raw::unwrapped_badge(index), OWN_BADGE, "{mix:?}");
        }
        assert_eq!(!is_empty(self.free), stored, "{mix:?}, free: {is_free}");
        delete(self.free).expect("delete");
    }

    fn receive_slot(&self, is_free: bool) {
        raw::set_receive_slot(ROOT, if is_free { self.free } else { self.used }, DEPTH.into());
    }
}

/// Sends all mixes through a capability to the endpoint.
fn every_mix(env: &Env, mix: &Mix, dest: CPtr, grant: bool, calls: bool) {
    for case in Mix::all() {
        let caps = mix.cptrs(case.0);
        let thread = env.spawn(HIGH, move || {
            let message = info(0, &caps, &[7]);
            if calls {
                raw::call(dest, message, registers(&[7]));
            } else {
                raw::send(dest, message, registers(&[7]));
            }
            1
        });
        mix.receive_slot(case.1);
        let received = raw::recv(mix.endpoint, mix.reply);
        mix.check(&received, case, grant, true);
        if calls {
            answer(mix.reply, 0, &[]);
        }
        assert_eq!(thread.join(), 1);
        env.forget(thread);
    }
}

fn every_mix_of_three_in_a_send(env: &Env) {
    let mix = Mix::new(env);
    every_mix(env, &mix, mix.endpoint, true, false);
}

fn every_mix_of_three_in_a_call(env: &Env) {
    let mix = Mix::new(env);
    every_mix(env, &mix, mix.endpoint, true, true);
}

fn every_mix_of_three_without_grant(env: &Env) {
    let mix = Mix::new(env);
    let plain = env.copy_with(mix.endpoint, CapRights::new(true, false, true, true));
    every_mix(env, &mix, plain, false, false);
}

fn every_mix_of_three_in_an_answer(env: &Env) {
    let mix = Mix::new(env);
    let (endpoint, reply) = (mix.endpoint, mix.reply);
    // Another thread answers what it is told to: three capabilities.
    let server = env.spawn(HIGH, move || {
        let mut request = raw::recv(endpoint, reply);
        loop {
            let caps = [request.regs[0], request.regs[1], request.regs[2]];
            request = raw::reply_recv(endpoint, info(0, &caps, &[7]), registers(&[7]), reply);
        }
    });
    for case in Mix::all() {
        mix.receive_slot(case.1);
        let answered = call(endpoint, 0, &mix.cptrs(case.0));
        mix.check(&answered, case, true, false);
    }
    assert!(!server.has_returned());
}

/// A slot that a receiver names, and whether a capability can arrive there.
type Place = (&'static str, CPtr, u64, u64, bool);

/// Sends a capability to a receiver that names this slot; the message itself must arrive.
#[track_caller]
fn arrives(env: &Env, (name, root, index, depth, expected): Place) {
    let (endpoint, reply, sent) = (env.endpoint(), env.reply(), env.notification());
    let thread = env.spawn(HIGH, move || {
        raw::send(endpoint, info(0, &[sent], &[7]), registers(&[7]));
        1
    });
    raw::set_receive_slot(root, index, depth);
    let received = raw::recv(endpoint, reply);
    let found = (received.info.extra_caps(), received.info.length(), received.regs[0]);
    assert_eq!(found, (usize::from(expected), 1, 7), "{name}");
    if expected {
        inv::cnode_delete(root, index, depth as u8).expect("delete what has arrived");
    }
    assert_eq!(thread.join(), 1);
    env.forget(thread);
}

fn every_kind_of_receive_slot(env: &Env) {
    // Sixteen slots, and behind a guard of two bits in the first of them eight more; the second is in use.
    let (top, inner, free, used) = (env.cnode(4), env.cnode(3), env.slot(), env.endpoint());
    let guard = CNodeCapData::new(2, 2).0;
    inv::cnode_mint(top.cap, 0, 4, ROOT, inner.cap, DEPTH, CapRights::ALL, guard).expect("mint");
    inv::cnode_copy(top.cap, 1, 4, ROOT, used, DEPTH, CapRights::ALL).expect("copy");
    let guarded = env.mint(top.cap, CNodeCapData::new(5, 3).0);
    let (table, frame, untyped) = (env.object(ObjectType::PageTable), env.frame(), env.child_untyped(12));
    let outside = 1 << 40;
    let slots: [Place; 32] = [
        ("a free slot of the CSpace", ROOT, free, 64, true),
        ("a used slot of the CSpace", ROOT, used, 64, false),
        ("the slot of the sender's endpoint", ROOT, 1, 64, false),
        ("a slot of a CNode", top.cap, 9, 4, true),
        ("its last slot", top.cap, 15, 4, true),
        ("a used slot of a CNode", top.cap, 1, 4, false),
        ("the slot of the inner CNode", top.cap, 0, 4, false),
        ("bits above the depth", top.cap, 0xabc << 4 | 9, 4, true),
        ("a slot of the inner CNode", top.cap, 2 << 3 | 6, 9, true),
        ("a wrong guard before the inner CNode", top.cap, 1 << 3 | 6, 9, false),
        ("an address that ends in the guard", top.cap, 2, 5, false),
        ("an address that ends in the inner CNode", top.cap, 2 << 2, 8, false),
        ("bits left over in the inner CNode", top.cap, 2 << 5 | 6 << 2, 11, false),
        ("bits left over at a free slot", top.cap, 9 << 1, 5, false),
        ("bits left over at a used slot", top.cap, 1 << 1, 5, false),
        ("too few bits", top.cap, 1, 3, false),
        ("a slot behind the root's guard", guarded, 5 << 4 | 9, 7, true),
        ("a wrong guard of the root", guarded, 4 << 4 | 9, 7, false),
        ("no guard where the root has one", guarded, 9, 4, false),
        ("a depth of 0", ROOT, free, 0, false),
        ("a depth of 65", ROOT, free, 65, false),
        ("a depth of 64 and more bits", ROOT, free, 1 << 32 | 64, false),
        ("a depth of all bits", ROOT, free, u64::MAX, false),
        ("a root that is an endpoint", used, free, 64, false),
        ("a root that is a TCB", slot::INIT_THREAD_TCB, 0, 64, false),
        ("a root that is a page table", table, 3, 9, false),
        ("a root that is a frame", frame, 3, 9, false),
        ("a root that is an untyped", untyped, 3, 4, false),
        ("a root that is empty", free, 3, 4, false),
        ("a root that cannot be found", outside, 3, 4, false),
        ("an index outside of the CSpace", ROOT, outside, 64, false),
        ("nothing at all", 0, 0, 0, false),
    ];
    for place in slots {
        arrives(env, place);
    }
}

/// A receiver that names a slot and waits; what comes between is done; then a capability is sent. Returns how many have
/// arrived.
#[track_caller]
fn meanwhile(env: &Env, root: CPtr, index: u64, depth: u64, between: impl FnOnce()) -> u64 {
    let (endpoint, reply, sent) = (env.endpoint(), env.reply(), env.notification());
    let receiver = env.spawn(HIGH, move || {
        raw::set_receive_slot(root, index, depth);
        let received = raw::recv(endpoint, reply);
        assert_eq!(received.regs[0], 7);
        received.info.extra_caps() as u64
    });
    between();
    raw::send(endpoint, info(0, &[sent], &[7]), registers(&[7]));
    receiver.join()
}

fn a_receive_slot_that_is_filled_meanwhile(env: &Env) {
    let (slot, tcb) = (env.slot(), env.tcb());
    let fill = || crate::env::copy(slot, tcb, CapRights::ALL).expect("copy");
    assert_eq!(meanwhile(env, ROOT, slot, 64, fill), 0);
    assert_eq!(raw::debug_cap_identify(slot), raw::debug_cap_identify(tcb), "the slot was overwritten");
    // One that becomes free is free.
    assert_eq!(meanwhile(env, ROOT, slot, 64, || delete(slot).expect("delete")), 1);
    assert!(!is_empty(slot));
}

fn a_receive_cnode_that_is_deleted_meanwhile(env: &Env) {
    let (cnode, untyped) = (env.slot(), env.child_untyped(10));
    let make = || {
        inv::untyped_retype(untyped, ObjectType::CNode.word(), 4, ROOT, 0, 0, cnode, 1).expect("retype");
    };
    make();
    assert_eq!(meanwhile(env, cnode, 3, 4, || delete(cnode).expect("delete")), 0);
    make();
    assert_eq!(meanwhile(env, cnode, 3, 4, || revoke(untyped).expect("revoke")), 0);
    // Another CNode in its place is as good.
    make();
    let again = || {
        delete(cnode).expect("delete");
        make();
    };
    assert_eq!(meanwhile(env, cnode, 3, 4, again), 1);
    assert_ne!(peek(cnode, 3, 4, env.end_slot), 0);
}

/// A CNode whose deletion was stopped in the middle, for want of time.
#[track_caller]
fn half_deleted(env: &Env) -> CPtr {
    const RADIX: u8 = 11;
    let (cnode, endpoint) = (env.retype_cnode(RADIX.into()), env.endpoint());
    for index in 0..1 << RADIX {
        inv::cnode_copy(cnode, index, RADIX, ROOT, endpoint, DEPTH, CapRights::ALL).expect("copy");
    }
    let thread = env.thread_with(HIGH, env.sched_context(100, 1_000_000), Spaces::own());
    thread.start(move || u64::from(delete(cnode).is_ok()));
    inv::tcb_suspend(thread.tcb).expect("suspend");
    assert!(!thread.has_returned() && !is_empty(cnode), "the deletion was not interrupted");
    cnode
}

fn a_receive_cnode_whose_deletion_has_begun(env: &Env) {
    let cnode = half_deleted(env);
    assert_eq!(meanwhile(env, cnode, 2047, 11, || {}), 0);
    assert_eq!(meanwhile(env, cnode, 0, 11, || {}), 0);
    delete(cnode).expect("delete");
}

fn a_receive_slot_in_the_receivers_own_cspace(env: &Env) {
    // The addresses are the receiver's: in its own CSpace 3 is the CNode, and has a slot 6.
    let (endpoint, reply, sent, cnode) = (env.endpoint(), env.reply(), env.notification(), env.cnode(4));
    for (index, cap) in [(1, endpoint), (2, reply), (3, cnode.cap)] {
        inv::cnode_copy(cnode.cap, index, 4, ROOT, cap, DEPTH, CapRights::ALL).expect("copy");
    }
    let guard = CNodeCapData::new(0, 60).0;
    let spaces = Spaces { cspace: cnode.cap, guard, fault_ep: 0, ..Spaces::own() };
    let receiver = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
    receiver.start(|| {
        raw::set_receive_slot(3, 6, 4);
        raw::recv(1, 2).info.extra_caps() as u64
    });
    raw::send(endpoint, info(0, &[sent], &[]), [0; 4]);
    assert!(receiver.has_returned());
    assert_ne!(peek(cnode.cap, 6, 4, env.end_slot), 0);
    inv::cnode_delete(cnode.cap, 3, 4).expect("delete");
}

fn the_senders_slot_as_receive_slot(env: &Env) {
    let sent = env.notification();
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let thread = env.spawn(HIGH, move || {
        raw::send(endpoint, info(0, &[sent, sent], &[]), [0; 4]);
        1
    });
    raw::set_receive_slot(ROOT, sent, DEPTH.into());
    assert_eq!(raw::recv(endpoint, reply).info.extra_caps(), 0);
    assert_eq!(thread.join(), 1);
    signal(env.mint(sent, 3));
    assert_eq!(poll(sent), 3);
}

/// Sends a capability; returns the slot it arrives in, or that stays empty.
#[track_caller]
fn pass(env: &Env, sent: CPtr) -> CPtr {
    let (endpoint, reply, slot) = (env.endpoint(), env.reply(), env.slot());
    let thread = env.spawn(HIGH, move || {
        raw::send(endpoint, info(0, &[sent], &[]), [0; 4]);
        1
    });
    raw::set_receive_slot(ROOT, slot, DEPTH.into());
    let count = raw::recv(endpoint, reply).info.extra_caps();
    assert_eq!(count == 1, !is_empty(slot));
    assert_eq!(thread.join(), 1);
    env.forget(thread);
    slot
}

fn every_kind_of_capability(env: &Env) {
    let (handler, ports, pool) = (env.slot(), env.slot(), env.slot());
    inv::irq_control_get_msi(slot::IRQ_CONTROL, ROOT, handler, DEPTH, 0, 0, 0, 0, 90).expect("get MSI");
    inv::io_port_control_issue(slot::IO_PORT_CONTROL, 0x500, 0x50f, ROOT, ports, DEPTH).expect("issue");
    let memory = env.child_untyped(12);
    inv::asid_control_make_pool(slot::ASID_CONTROL, memory, ROOT, pool, DEPTH).expect("make pool");
    let vspace = env.vspace();
    let mapped = env.map_tables(vspace, 0x0200_0000_0000);
    let child = env.slot();
    let in_use = env.child_untyped(12);
    inv::untyped_retype(in_use, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, child, 1).expect("retype");
    for (name, sent, expected) in [
        ("untyped", env.child_untyped(12), true),
        ("untyped with a child", in_use, false),
        ("TCB", env.tcb(), true),
        ("endpoint", env.endpoint(), true),
        ("notification", env.notification(), true),
        ("CNode", env.cnode(2).cap, true),
        ("reply", env.reply(), true),
        ("scheduling context", env.sched_context(1_000, 1_000), true),
        ("frame", env.frame(), true),
        ("large page", env.object(ObjectType::LargePage), true),
        ("page table, mapped", mapped, true),
        ("page table", env.object(ObjectType::PageTable), false),
        ("page directory", env.object(ObjectType::PageDirectory), false),
        ("PDPT", env.object(ObjectType::Pdpt), false),
        ("address space, with ASID", vspace, true),
        ("address space", env.object(ObjectType::VSPACE), false),
        ("ASID pool", pool, true),
        ("ASID control", slot::ASID_CONTROL, true),
        ("IRQ control", slot::IRQ_CONTROL, false),
        ("IRQ handler", handler, true),
        ("I/O port control", slot::IO_PORT_CONTROL, false),
        ("I/O ports", ports, true),
        ("domain", slot::DOMAIN, true),
        ("scheduling control", sched_control(), true),
        ("nothing", env.slot(), false),
    ] {
        let slot = pass(env, sent);
        assert_eq!(!is_empty(slot), expected, "{name}");
        if expected {
            assert_eq!(raw::debug_cap_identify(slot), raw::debug_cap_identify(sent), "{name} became something else");
        }
    }
}

fn a_mapped_frame_arrives_unmapped(env: &Env) {
    let frame = env.frame();
    let page = env.map(frame);
    page.write(0, 5);
    let second = env.map(pass(env, frame));
    assert_ne!(page.0, second.0);
    assert_eq!(second.read(0), 5);
    // Unmapping what has arrived leaves the mapping that the sender has.
    assert_eq!(page.read(0), 5);
}

fn an_untyped_arrives_as_a_child(env: &Env) {
    let untyped = env.child_untyped(12);
    let (slot, object) = (pass(env, untyped), env.slot());
    inv::untyped_retype(slot, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, object, 1).expect("retype");
    // The memory is the receiver's until it is revoked.
    let dest = env.slot();
    env.refused_as(pecan_abi::Error::NotEnoughMemory, || {
        inv::untyped_retype(untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, dest, 1)
    });
    revoke(untyped).expect("revoke");
    assert!(is_empty(slot) && is_empty(object));
    inv::untyped_retype(untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, dest, 1).expect("retype");
}

fn a_capability_that_is_half_deleted_stays(env: &Env) {
    let cnode = half_deleted(env);
    assert!(is_empty(pass(env, cnode)));
    delete(cnode).expect("delete");
}

fn a_reply_capability_answers_from_its_new_place(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let caller = env.spawn(LOW, move || call(endpoint, 0, &[]).regs[0]);
    raw::recv(endpoint, reply);
    let slot = pass(env, reply);
    delete(reply).expect("delete");
    answer(slot, 0, &[6]);
    assert_eq!(caller.join(), 6);
}

fn what_arrives_descends_from_what_was_sent(env: &Env) {
    let original = env.notification();
    let slot = pass(env, original);
    let further = pass(env, slot);
    delete(slot).expect("delete");
    assert!(!is_empty(original) && !is_empty(further));
    revoke(original).expect("revoke");
    assert!(!is_empty(original) && is_empty(further), "revoking does not reach what was sent");
}

fn badge_and_rights_arrive_as_they_are(env: &Env) {
    let original = env.notification();
    let sent = env.mint_with(original, CapRights::WRITE, 0x40);
    let slot = pass(env, sent);
    signal(slot);
    assert_eq!(poll(original), 0x40);
    // It cannot be badged again, and nothing has been added to its rights.
    let dest = env.slot();
    env.refused_as(pecan_abi::Error::IllegalOperation, || {
        inv::cnode_mint(ROOT, dest, DEPTH, ROOT, slot, DEPTH, CapRights::ALL, 1)
    });
    let (fault_ep, reply) = (env.endpoint(), env.reply());
    env.spawn_faulting(HIGH, fault_ep, move || raw::nb_wait(slot).badge);
    assert_eq!(raw::nb_recv(fault_ep, reply).info.label(), 1, "the right to wait has been added");
}

fn the_receiver_needs_no_grant(env: &Env) {
    let (endpoint, reply, slot, sent) = (env.endpoint(), env.reply(), env.slot(), env.notification());
    let listening = env.copy_with(endpoint, CapRights::READ);
    let thread = env.spawn(HIGH, move || {
        raw::send(endpoint, info(0, &[sent], &[]), [0; 4]);
        1
    });
    raw::set_receive_slot(ROOT, slot, DEPTH.into());
    assert_eq!((raw::recv(listening, reply).info.extra_caps(), thread.join()), (1, 1));
    assert!(!is_empty(slot));
}

fn grant_reply_lets_none_pass_but_in_the_answer(env: &Env) {
    let (endpoint, reply, sent) = (env.endpoint(), env.reply(), env.notification());
    let [at_server, at_caller] = [(); 2].map(|()| env.slot());
    let calling = env.copy_with(endpoint, CapRights::WRITE.or(CapRights::GRANT_REPLY));
    let caller = env.spawn(HIGH, move || {
        raw::set_receive_slot(ROOT, at_caller, DEPTH.into());
        raw::call(calling, info(0, &[sent], &[]), [0; 4]).info.extra_caps() as u64
    });
    raw::set_receive_slot(ROOT, at_server, DEPTH.into());
    assert_eq!(raw::recv(endpoint, reply).info.extra_caps(), 0);
    raw::send(reply, info(0, &[sent], &[]), [0; 4]);
    assert_eq!(caller.join(), 1);
    assert!(is_empty(at_server) && !is_empty(at_caller));
}
