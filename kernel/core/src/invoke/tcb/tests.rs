//! Invocations on threads: what they do, and each error with nothing changed.

use pecan_abi::{CNodeCapData, CapRights, Error, Label, ObjectType};
use pecan_arch::{FRAME_REGISTERS, INTEGER_REGISTERS, Reg, UserContext, host, reg};
use pecan_mem::{Cap, Link, Tcb, ThreadState};

use crate::{
    cap::derivation,
    ipc::notification,
    sched::refill,
    testing::{Answer, CNODE, FREE, IRQ_CONTROL, PRIORITY, SC, SCHED_CONTROL, TCB, UNTYPED, World},
};

/// The thread under test.
const TARGET: u64 = FREE;
const OTHER_SC: u64 = FREE + 1;
const EP: u64 = FREE + 2;
const EP_SEND: u64 = FREE + 3;
const EP_RECEIVE: u64 = FREE + 4;
const NTFN: u64 = FREE + 5;
const NTFN_SEND: u64 = FREE + 6;
const FRAME: u64 = FREE + 7;
const DEVICE_FRAME: u64 = FREE + 8;
const OTHER_CNODE: u64 = FREE + 9;
const VSPACE: u64 = FREE + 10;
const OTHER_VSPACE: u64 = FREE + 11;
const POOL: u64 = FREE + 12;
const SMALL: u64 = FREE + 13;
const NOTHING: u64 = FREE + 14;
/// Below the first thread's maximum controlled priority.
const MCP: u8 = 150;

/// A world with the thread under test and what it can be given.
fn world() -> (World, Link<Tcb>) {
    let mut w = World::new();
    let made = [
        (ObjectType::Tcb, 0, TARGET),
        (ObjectType::SchedContext, 8, OTHER_SC),
        (ObjectType::Endpoint, 0, EP),
        (ObjectType::Notification, 0, NTFN),
        (ObjectType::Page4K, 0, FRAME),
        (ObjectType::CNode, 4, OTHER_CNODE),
    ];
    for (ty, bits, slot) in made {
        w.make(ty, bits, slot);
    }
    w.make_vspace(VSPACE);
    w.make_vspace(OTHER_VSPACE);
    w.mint(EP_SEND, EP, CapRights(1), 0).expect("mints");
    w.mint(EP_RECEIVE, EP, CapRights(2), 0).expect("mints");
    w.mint(NTFN_SEND, NTFN, CapRights(1), 0).expect("mints");
    let Cap::Frame { base, level, rights, mapping, .. } = w.cap(FRAME) else { unreachable!() };
    let device = Cap::Frame { base, level, rights, device: true, mapping };
    derivation::insert_root(&w.k, pecan_mem::testing::forge(device), w.slot(DEVICE_FRAME));
    w.retype(UNTYPED, ObjectType::Untyped, 12, SMALL, 1).expect("retypes");
    let asid_control = crate::testing::ASID_CONTROL;
    w.call(asid_control, Label::AsidControlMakePool, &[POOL, 64], &[SMALL, CNODE]).expect("makes a pool");
    w.call(POOL, Label::AsidPoolAssign, &[], &[VSPACE]).expect("assigns");
    w.thread.get(&w.k).mcp.set(MCP);
    let Cap::Tcb { tcb } = w.cap(TARGET) else { unreachable!() };
    (w, tcb)
}

/// A digest of all objects made from the 2 MiB of untyped memory: those under test.
fn digest(w: &World) -> u64 {
    (0..0x2_0000).step_by(8).fold(0, |d: u64, at| d.rotate_left(5) ^ w.k.word((2 << 20) + at))
}

fn fails(w: &mut World, label: Label, words: &[u64], extra: &[u64], error: Error, details: &[u64]) {
    let before = digest(w);
    let answer = w.call(TARGET, label, words, extra);
    assert_eq!(answer, Err((error, details.to_vec())), "{label:?} {words:?} {extra:?}");
    assert_eq!(digest(w), before, "{label:?} {words:?} {extra:?} changed something");
}

fn ok(w: &mut World, label: Label, words: &[u64], extra: &[u64]) -> Vec<u64> {
    let answer: Answer = w.call(TARGET, label, words, extra);
    answer.unwrap_or_else(|e| panic!("{label:?} {words:?} {extra:?}: {e:?}"))
}

#[test]
fn every_invocation_needs_its_arguments() {
    let (mut w, _) = world();
    let cases: &[(Label, usize, usize)] = &[
        (Label::TcbReadRegisters, 2, 0),
        (Label::TcbWriteRegisters, 2, 0),
        (Label::TcbCopyRegisters, 1, 1),
        (Label::TcbConfigure, 3, 3),
        (Label::TcbSetPriority, 1, 1),
        (Label::TcbSetMcPriority, 1, 1),
        (Label::TcbSetSchedParams, 2, 3),
        (Label::TcbSetTimeoutEndpoint, 0, 1),
        (Label::TcbSetIpcBuffer, 1, 1),
        (Label::TcbSetSpace, 2, 3),
        (Label::TcbBindNotification, 0, 1),
        (Label::TcbSetTlsBase, 1, 0),
        (Label::TcbSetFlags, 2, 0),
    ];
    for &(label, words, caps) in cases {
        if words > 0 {
            fails(&mut w, label, &vec![0; words - 1], &vec![TCB; caps], Error::TruncatedMessage, &[]);
        }
        if caps > 0 {
            fails(&mut w, label, &vec![0; words], &vec![TCB; caps - 1], Error::TruncatedMessage, &[]);
        }
    }
    fails(&mut w, Label::CNodeDelete, &[0, 0], &[], Error::IllegalOperation, &[]);
}

/// How many registers the interface has.
const ALL_REGISTERS: u64 = (FRAME_REGISTERS.len() + INTEGER_REGISTERS.len()) as u64;

/// The registers in the order of the interface.
fn registers() -> Vec<Reg> {
    [FRAME_REGISTERS, INTEGER_REGISTERS].concat()
}

/// Where a register is in that order.
fn place(register: Reg) -> u64 {
    registers().iter().position(|r| *r == register).expect("the interface has it") as u64
}

/// The words that write to each register a value of its own: 0x1000 and its place.
fn writes_all() -> Vec<u64> {
    [0, ALL_REGISTERS].into_iter().chain((0..ALL_REGISTERS).map(|i| 0x1000 + i)).collect()
}

#[test]
fn registers_are_written_and_read_back_in_the_order_of_the_abi() {
    let (mut w, target) = world();
    let words = writes_all();
    ok(&mut w, Label::TcbWriteRegisters, &words, &[]);
    let context = &target.get(&w.k).context;
    assert_eq!(context.get(reg::NEXT_IP), 0x1000);
    // What user level may not choose the processor's format keeps.
    let accepted = UserContext::new();
    for (i, register) in registers().into_iter().enumerate().skip(1) {
        accepted.set_user(register, 0x1000 + i as u64);
        assert_eq!(context.get(register), accepted.get(register), "register {i}");
    }
    assert_eq!(target.get(&w.k).state.get(), ThreadState::Inactive);
    let read = ok(&mut w, Label::TcbReadRegisters, &[0, ALL_REGISTERS], &[]);
    assert_eq!(read.len() as u64, ALL_REGISTERS);
    assert_eq!(read[0], 0x1000);
    let expected = registers().into_iter().map(|register| accepted.get(register));
    assert_eq!(read[1..], expected.collect::<Vec<_>>()[1..]);
    let sp = accepted.get(reg::SP);
    assert_eq!(sp, 0x1000 + place(reg::SP), "the stack is where user level says");
    // A part, with the thread started.
    ok(&mut w, Label::TcbWriteRegisters, &[1, 1, 0x2000], &[]);
    let thread = target.get(&w.k);
    assert_eq!(thread.state.get(), ThreadState::Restart);
    assert_eq!(thread.context.get(reg::SP), sp);
    assert_eq!(ok(&mut w, Label::TcbReadRegisters, &[1, 2], &[]), [0x2000, 0x1001]);
    assert_eq!(target.get(&w.k).state.get(), ThreadState::Inactive, "suspended on request");
}

#[test]
fn register_errors() {
    let (mut w, _) = world();
    fails(&mut w, Label::TcbReadRegisters, &[1, 0], &[], Error::RangeError, &[1, ALL_REGISTERS]);
    let more = ALL_REGISTERS + 1;
    fails(&mut w, Label::TcbReadRegisters, &[1, more], &[], Error::RangeError, &[1, ALL_REGISTERS]);
    fails(&mut w, Label::TcbWriteRegisters, &[1, 3, 0, 0], &[], Error::TruncatedMessage, &[]);
    fails(&mut w, Label::TcbCopyRegisters, &[15], &[EP], Error::InvalidCapability, &[1]);
    for (label, words) in [(Label::TcbReadRegisters, vec![0, 1]), (Label::TcbWriteRegisters, vec![0, 1, 5])] {
        assert_eq!(w.call(TCB, label, &words, &[]), Err((Error::IllegalOperation, vec![])));
    }
}

#[test]
fn registers_are_copied_in_two_parts() {
    let (mut w, target) = world();
    w.make(ObjectType::Tcb, 0, NOTHING);
    w.call(NOTHING, Label::TcbWriteRegisters, &writes_all(), &[]).expect("writes");
    ok(&mut w, Label::TcbCopyRegisters, &[4], &[NOTHING]);
    let context = &target.get(&w.k).context;
    assert_eq!((context.get(reg::NEXT_IP), context.get(reg::SP)), (0x1000, 0x1000 + place(reg::SP)));
    assert_eq!(context.get(reg::TLS_BASE), 0);
    ok(&mut w, Label::TcbCopyRegisters, &[8 | 2], &[NOTHING]);
    assert_eq!(target.get(&w.k).context.get(reg::TLS_BASE), 0x1000 + place(reg::TLS_BASE));
    assert_eq!(target.get(&w.k).state.get(), ThreadState::Restart);
    ok(&mut w, Label::TcbCopyRegisters, &[1], &[TARGET]);
    assert_eq!(target.get(&w.k).state.get(), ThreadState::Inactive);
    // Those of the thread that asks may be in the processor only; and it is not suspended unless it asks for that.
    if !host::set_live(reg::TLS_BASE, 0x7000) {
        w.thread.get(&w.k).context.set(reg::TLS_BASE, 0x7000);
    }
    ok(&mut w, Label::TcbCopyRegisters, &[8], &[TCB]);
    assert_eq!(target.get(&w.k).context.get(reg::TLS_BASE), 0x7000);
    let sp = target.get(&w.k).context.get(reg::SP);
    assert_eq!(sp, 0x1000 + place(reg::SP), "it is of the other part");
    assert_eq!(w.thread.get(&w.k).state.get(), ThreadState::Running);
}

#[test]
fn priorities_are_limited_by_the_authority() {
    let (mut w, target) = world();
    let max = MCP as u64;
    for label in [Label::TcbSetPriority, Label::TcbSetMcPriority] {
        fails(&mut w, label, &[max + 1], &[TCB], Error::RangeError, &[0, max]);
        fails(&mut w, label, &[256], &[TCB], Error::RangeError, &[0, max]);
        fails(&mut w, label, &[1], &[EP], Error::InvalidCapability, &[1]);
        ok(&mut w, label, &[max], &[TCB]);
    }
    assert_eq!(target.get(&w.k).priority.get(), MCP);
    assert_eq!(target.get(&w.k).mcp.get(), MCP);
}

#[test]
fn scheduling_parameters() {
    let (mut w, target) = world();
    let label = Label::TcbSetSchedParams;
    let max = MCP as u64;
    fails(&mut w, label, &[1, 1], &[EP, OTHER_SC, EP], Error::InvalidCapability, &[1]);
    fails(&mut w, label, &[max + 1, 1], &[TCB, OTHER_SC, EP], Error::RangeError, &[0, max]);
    fails(&mut w, label, &[1, max + 1], &[TCB, OTHER_SC, EP], Error::RangeError, &[0, max]);
    fails(&mut w, label, &[1, 1], &[TCB, EP, EP], Error::InvalidCapability, &[2]);
    fails(&mut w, label, &[1, 1], &[TCB, SC, EP], Error::IllegalOperation, &[]);
    for ep in [EP_SEND, EP_RECEIVE, NTFN] {
        fails(&mut w, label, &[1, 1], &[TCB, OTHER_SC, ep], Error::InvalidCapability, &[3]);
    }
    ok(&mut w, label, &[3, 2], &[TCB, OTHER_SC, EP]);
    let thread = target.get(&w.k);
    assert_eq!((thread.mcp.get(), thread.priority.get()), (3, 2));
    assert!(thread.sched_context.get().is_some());
    assert_eq!(thread.slots[Tcb::SLOT_FAULT_HANDLER].cap(), w.cap(EP));
    // Another one is refused, the same again is not; none unbinds.
    w.make(ObjectType::SchedContext, 8, NOTHING);
    fails(&mut w, label, &[1, 1], &[TCB, NOTHING, EP], Error::IllegalOperation, &[]);
    ok(&mut w, label, &[3, 2], &[TCB, OTHER_SC, EP]);
    ok(&mut w, label, &[3, 2], &[TCB, FREE + 40, FREE + 40]);
    let thread = target.get(&w.k);
    assert!(thread.sched_context.get().is_none());
    assert!(thread.slots[Tcb::SLOT_FAULT_HANDLER].is_empty());
    // The current thread cannot lose its own.
    let answer = w.call(TCB, label, &[1, PRIORITY as u64], &[TCB, FREE + 40, FREE + 40]);
    assert_eq!(answer, Err((Error::IllegalOperation, vec![])));
}

#[test]
fn a_blocked_thread_gets_only_a_scheduling_context_with_budget() {
    let (mut w, target) = world();
    // It waits, without scheduling context.
    let Cap::Notification { ntfn, .. } = w.cap(NTFN) else { unreachable!() };
    notification::wait(&w.k, target.get(&w.k), ntfn.get(&w.k), true);
    fails(&mut w, Label::TcbSetSchedParams, &[1, 1], &[TCB, OTHER_SC, EP], Error::IllegalOperation, &[]);
    w.call(SCHED_CONTROL, Label::SchedControlConfigureFlags, &[100, 200, 0, 0, 0], &[OTHER_SC])
        .expect("sets");
    ok(&mut w, Label::TcbSetSchedParams, &[1, 1], &[TCB, OTHER_SC, EP]);
}

#[test]
fn the_same_scheduling_context_again_changes_nothing() {
    let (mut w, _) = world();
    const SPORADIC: u64 = 1;
    w.call(SCHED_CONTROL, Label::SchedControlConfigureFlags, &[100, 200, 0, 0, SPORADIC], &[OTHER_SC])
        .expect("sets");
    ok(&mut w, Label::TcbSetSchedParams, &[1, 1], &[TCB, OTHER_SC, EP]);
    let Cap::SchedContext { sc, .. } = w.cap(OTHER_SC) else { unreachable!() };
    let available = |w: &World| refill::head(sc.get(&w.k)).time.get();
    let since = available(&w);
    w.k.core().time.set(w.k.core().time.get() + 1_000_000);
    ok(&mut w, Label::TcbSetSchedParams, &[1, 1], &[TCB, OTHER_SC, EP]);
    assert_eq!(available(&w), since);
    // Bound anew it is available from now on.
    ok(&mut w, Label::TcbSetSchedParams, &[1, 1], &[TCB, FREE + 40, EP]);
    ok(&mut w, Label::TcbSetSchedParams, &[1, 1], &[TCB, OTHER_SC, EP]);
    assert_eq!(available(&w), w.k.core().time.get());
}

#[test]
fn timeout_endpoints() {
    let (mut w, target) = world();
    for ep in [EP_SEND, EP_RECEIVE, NTFN, TCB] {
        fails(&mut w, Label::TcbSetTimeoutEndpoint, &[], &[ep], Error::InvalidCapability, &[1]);
    }
    ok(&mut w, Label::TcbSetTimeoutEndpoint, &[], &[EP]);
    assert_eq!(target.get(&w.k).slots[Tcb::SLOT_TIMEOUT_HANDLER].cap(), w.cap(EP));
    // The copy goes with the endpoint.
    w.revoke(EP).expect("revokes");
    assert!(target.get(&w.k).slots[Tcb::SLOT_TIMEOUT_HANDLER].is_empty());
}

#[test]
fn ipc_buffers() {
    let (mut w, target) = world();
    let label = Label::TcbSetIpcBuffer;
    fails(&mut w, label, &[0x1000], &[EP], Error::IllegalOperation, &[]);
    fails(&mut w, label, &[0x1000], &[DEVICE_FRAME], Error::IllegalOperation, &[]);
    fails(&mut w, label, &[0x1200], &[FRAME], Error::AlignmentError, &[]);
    ok(&mut w, label, &[0x1400], &[FRAME]);
    let thread = target.get(&w.k);
    assert_eq!(thread.ipc_buffer.get(), 0x1400);
    assert!(matches!(thread.slots[Tcb::SLOT_IPC_BUFFER].cap(), Cap::Frame { .. }));
    ok(&mut w, label, &[0], &[FRAME]);
    assert!(target.get(&w.k).slots[Tcb::SLOT_IPC_BUFFER].is_empty());
}

#[test]
fn spaces() {
    let (mut w, target) = world();
    // The same checks whichever invocation: the words before, and the capabilities around.
    let set_space = |c, v, ep| (Label::TcbSetSpace, vec![0, 0], vec![ep, c, v]);
    let configure = |c, v, _| (Label::TcbConfigure, vec![0, 0, 0], vec![c, v, FRAME]);
    for make in [&set_space as &dyn Fn(u64, u64, u64) -> (Label, Vec<u64>, Vec<u64>), &configure] {
        for (cspace, vspace) in
            [(EP, VSPACE), (NOTHING, VSPACE), (OTHER_CNODE, EP), (OTHER_CNODE, OTHER_VSPACE)]
        {
            let (label, words, extra) = make(cspace, vspace, EP);
            fails(&mut w, label, &words, &extra, Error::IllegalOperation, &[]);
            // They are looked at before the fault handler.
            let (label, words, extra) = make(cspace, vspace, NTFN);
            fails(&mut w, label, &words, &extra, Error::IllegalOperation, &[]);
        }
        let (label, words, extra) = make(OTHER_CNODE, VSPACE, EP);
        ok(&mut w, label, &words, &extra);
        let thread = target.get(&w.k);
        assert_eq!(thread.slots[Tcb::SLOT_CSPACE].cap(), w.cap(OTHER_CNODE));
        assert_eq!(thread.slots[Tcb::SLOT_VSPACE].cap(), w.cap(VSPACE));
    }
    for ep in [EP_SEND, EP_RECEIVE, TCB] {
        let (label, words, extra) = set_space(OTHER_CNODE, VSPACE, ep);
        fails(&mut w, label, &words, &extra, Error::InvalidCapability, &[1]);
    }
    // A guard, and one longer than any.
    ok(&mut w, Label::TcbSetSpace, &[CNodeCapData::new(5, 8).0, 0], &[EP, OTHER_CNODE, VSPACE]);
    let cap = target.get(&w.k).slots[Tcb::SLOT_CSPACE].cap();
    assert!(matches!(cap, Cap::CNode { guard: 5, guard_bits: 8, .. }));
    let too_long = CNodeCapData::new(0, 61).0;
    let extra = [EP, OTHER_CNODE, VSPACE];
    fails(&mut w, Label::TcbSetSpace, &[too_long, 0], &extra, Error::IllegalOperation, &[]);
    // The last capability to a CNode cannot be replaced: that would delete what is in it.
    w.delete(OTHER_CNODE).expect("deletes");
    w.make(ObjectType::CNode, 4, OTHER_CNODE);
    fails(&mut w, Label::TcbSetSpace, &[0, 0], &extra, Error::IllegalOperation, &[]);
}

#[test]
fn configure_checks_the_buffer_too() {
    let (mut w, target) = world();
    let label = Label::TcbConfigure;
    let extra = [OTHER_CNODE, VSPACE, FRAME];
    fails(&mut w, label, &[0, 0, 0x10], &extra, Error::AlignmentError, &[]);
    fails(&mut w, label, &[0, 0, 0x1000], &[OTHER_CNODE, VSPACE, EP], Error::IllegalOperation, &[]);
    ok(&mut w, label, &[0, 0, 0x1000], &extra);
    assert_eq!(target.get(&w.k).ipc_buffer.get(), 0x1000);
    assert!(!target.get(&w.k).slots[Tcb::SLOT_IPC_BUFFER].is_empty());
}

#[test]
fn suspend_and_resume() {
    let (mut w, target) = world();
    ok(&mut w, Label::TcbResume, &[], &[]);
    assert_eq!(target.get(&w.k).state.get(), ThreadState::Restart);
    assert!(!target.get(&w.k).is_queued.get(), "without a scheduling context it does not run");
    ok(&mut w, Label::TcbSuspend, &[], &[]);
    assert_eq!(target.get(&w.k).state.get(), ThreadState::Inactive);
}

#[test]
fn a_suspended_thread_goes_on_behind_a_system_call_only_if_it_has_finished() {
    let (mut w, target) = world();
    for (state, goes_on_at) in [(ThreadState::Running, 0x2002), (ThreadState::Restart, 0x2000)] {
        let thread = target.get(&w.k);
        thread.context.set(reg::FAULT_IP, 0x2000);
        thread.context.set(reg::NEXT_IP, 0x2002);
        thread.state.set(state);
        ok(&mut w, Label::TcbSuspend, &[], &[]);
        assert_eq!(target.get(&w.k).context.get(reg::FAULT_IP), goes_on_at, "{state:?}");
    }
}

#[test]
fn binding_notifications() {
    let (mut w, target) = world();
    let label = Label::TcbBindNotification;
    fails(&mut w, Label::TcbUnbindNotification, &[], &[], Error::IllegalOperation, &[]);
    for cap in [EP, NTFN_SEND, IRQ_CONTROL, NOTHING] {
        fails(&mut w, label, &[], &[cap], Error::IllegalOperation, &[]);
    }
    ok(&mut w, label, &[], &[NTFN]);
    assert!(target.get(&w.k).bound_notification().is_some());
    fails(&mut w, label, &[], &[NTFN], Error::IllegalOperation, &[]);
    assert_eq!(w.call(TCB, label, &[], &[NTFN]), Err((Error::IllegalOperation, vec![])), "bound elsewhere");
    ok(&mut w, Label::TcbUnbindNotification, &[], &[]);
    assert!(target.get(&w.k).bound_notification().is_none());
    // Not one that somebody waits for.
    let Cap::Notification { ntfn, .. } = w.cap(NTFN) else { unreachable!() };
    notification::wait(&w.k, target.get(&w.k), ntfn.get(&w.k), true);
    assert_eq!(w.call(TCB, label, &[], &[NTFN]), Err((Error::IllegalOperation, vec![])));
}

#[test]
fn tls_base_and_flags() {
    let (mut w, target) = world();
    ok(&mut w, Label::TcbSetTlsBase, &[0x7000], &[]);
    assert_eq!(target.get(&w.k).context.get(reg::TLS_BASE), 0x7000);
    // One's own takes effect at once.
    w.call(TCB, Label::TcbSetTlsBase, &[0x8000], &[]).expect("sets");
    let own = w.thread.get(&w.k).context.get(reg::TLS_BASE);
    assert_eq!(host::live(reg::TLS_BASE).unwrap_or(own), 0x8000);
    assert_eq!(ok(&mut w, Label::TcbSetFlags, &[0, !0], &[]), [1], "only flags that exist are set");
    assert_eq!(ok(&mut w, Label::TcbSetFlags, &[0, 0], &[]), [1]);
    assert_eq!(ok(&mut w, Label::TcbSetFlags, &[1, 1], &[]), [1], "set wins over clear");
    assert_eq!(ok(&mut w, Label::TcbSetFlags, &[1, 0], &[]), [0]);
}

#[test]
fn a_deleted_thread_leaves_nothing_behind() {
    let (mut w, _) = world();
    ok(&mut w, Label::TcbSetSchedParams, &[1, 1], &[TCB, OTHER_SC, EP]);
    ok(&mut w, Label::TcbBindNotification, &[], &[NTFN]);
    ok(&mut w, Label::TcbSetSpace, &[0, 0], &[EP, OTHER_CNODE, VSPACE]);
    w.delete(TARGET).expect("deletes");
    let (Cap::SchedContext { sc, .. }, Cap::Notification { ntfn, .. }) = (w.cap(OTHER_SC), w.cap(NTFN))
    else {
        unreachable!()
    };
    assert!(sc.get(&w.k).tcb.get().is_none());
    assert!(ntfn.get(&w.k).bound_tcb.get().is_none());
    // Its slots no longer hold copies.
    assert!(derivation::is_final(&w.k, w.slot(OTHER_CNODE)));
}
