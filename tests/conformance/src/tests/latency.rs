//! How long the kernel keeps interrupts off where it has most to do at one go: many threads in one queue, many that are
//! due at once, long ways through CSpaces, as many objects as one call makes. Each test checks what the kernel did; a
//! kernel that measures itself (profile `latency`) is also held to its limit, and the figure is printed.

use core::arch::global_asm;

use pecan::{
    UserContext,
    raw::{self, invocations as inv},
};
use pecan_abi::{
    CNodeCapData, CPtr, CapRights, Label, ObjectType, Syscall, boot::slot, constants::sched_context_flag::SPORADIC,
};

use crate::{
    Env,
    env::{DEPTH, HIGH, LOW, ROOT, TEST, call, delete, info, invoke_as, is_empty, registers, revoke, sched_control},
    machine::{ticks, tsc},
    print,
    thread::{Spaces, Thread},
};

tests! {
    many_senders_are_cancelled_with_their_endpoint: CNodeDelete / NoError;
    many_waiters_are_cancelled_with_their_notification: CNodeDelete / NoError;
    the_sends_of_one_badge_are_cancelled_among_many: CNodeCancelBadgedSends / NoError;
    a_queue_of_all_priorities_keeps_its_order: TcbSetPriority / NoError;
    an_interrupt_with_many_waiters_is_given_up: IrqClearIrqHandler / NoError;
    threads_due_at_one_instant_all_get_their_budget: SchedControlConfigureFlags / NoError;
    threads_due_at_the_end_of_a_long_call_wait_for_the_next_entry: TcbSetPriority / NoError;
    as_many_objects_as_a_call_makes: UntypedRetype / NoError;
    an_address_at_the_end_of_sixty_four_cnodes: CNodeCopy / NoError;
    the_longest_message_with_the_longest_ways;
    ways_through_a_cnode_that_a_message_brings;
    a_receiver_finds_its_place_after_the_longest_ways;
    a_server_and_its_clients_at_the_longest_ways;
    a_long_chain_of_calls_is_cut: CNodeDelete / NoError;
    a_deep_tree_of_copies_is_revoked: CNodeRevoke / NoError;
    a_large_empty_cnode_is_deleted: CNodeDelete / NoError;
    a_full_asid_pool_is_deleted: AsidPoolAssign / NoError, CNodeDelete / NoError;
    all_ports_are_issued_and_given_back: X86IoPortControlIssue / NoError;
    all_ports_are_issued_to_the_end_of_sixty_four_cnodes: X86IoPortControlIssue / NoError;
    a_budget_in_many_pieces_is_put_together: SchedControlConfigureFlags / NoError;
    a_full_page_table_is_unmapped: PageTableUnmap / NoError;
}

/// Instructions that the kernel may run at one go with interrupts off.
const LIMIT: u64 = 5_000;

/// Forgets what the kernel measured so far.
fn begin() {
    raw::latency_report();
}

/// What the kernel did since [`begin`] took no longer at one go than it may.
#[track_caller]
fn end(what: &str) {
    let (longest, cause, _) = raw::latency_report();
    if longest > 0 {
        print!("[{what}: {longest}] ");
    }
    assert!(longest <= LIMIT, "{what}: {longest} instructions with interrupts off, cause {cause:#x}");
}

/// Runs an operation whose longest stretch is looked at.
#[track_caller]
fn measured<T>(what: &str, operation: impl FnOnce() -> T) -> T {
    begin();
    let result = operation();
    end(what);
    result
}

// Threads without a stack, of which there can be many: they make one system call, over and over, with the number in rdx
// and what else it takes in the other registers.
global_asm!(".globl one_call", "one_call:", "syscall", "jmp one_call");

unsafe extern "C" {
    fn one_call();
}

/// Many threads without stacks. Their TCBs lie in a CNode of their own.
struct Crowd {
    cnode: CPtr,
    radix: u8,
    /// A slot of the root CNode, for the thread at hand.
    hand: CPtr,
    sc: CPtr,
}

impl Crowd {
    /// `2^radix` threads, none of which has run.
    fn new(env: &Env, radix: u8) -> Self {
        let cnode = env.retype_cnode(radix.into());
        let mut made = 0;
        while made < 1 << radix {
            let count = 256.min((1 << radix) - made);
            inv::untyped_retype(env.untyped, ObjectType::Tcb.word(), 0, cnode, 0, 0, made, count).expect("retype");
            made += count;
        }
        Crowd { cnode, radix, hand: env.slot(), sc: env.sched_context(10_000, 10_000) }
    }

    fn len(&self) -> u64 {
        1 << self.radix
    }

    /// With the TCB of a thread at hand.
    #[track_caller]
    fn with<T>(&self, index: u64, act: impl FnOnce(CPtr) -> T) -> T {
        inv::cnode_copy(ROOT, self.hand, DEPTH, self.cnode, index, self.radix, CapRights::ALL).expect("copy");
        let result = act(self.hand);
        delete(self.hand).expect("delete");
        result
    }

    /// Lets a thread make a system call that blocks, on a scheduling context that it has only for that.
    #[track_caller]
    fn block(&self, index: u64, call: Syscall, cap: CPtr) {
        self.block_with(index, &UserContext { rdi: cap, ..one_call_of(call) });
    }

    /// The same with these registers.
    #[track_caller]
    fn block_with(&self, index: u64, regs: &UserContext) {
        self.with(index, |tcb| {
            inv::tcb_set_space(tcb, 0, slot::INIT_THREAD_CNODE, 0, slot::INIT_THREAD_VSPACE, 0).expect("space");
            inv::tcb_set_priority(tcb, slot::INIT_THREAD_TCB, HIGH).expect("priority");
            inv::tcb_write_registers(tcb, true, 0, UserContext::WORDS as u64, regs).expect("registers");
            inv::sched_context_bind(self.sc, tcb).expect("bind");
            inv::sched_context_unbind_object(self.sc, tcb).expect("unbind");
        });
    }

    /// Makes all threads block so.
    #[track_caller]
    fn block_all(&self, call: Syscall, cap: CPtr) {
        (0..self.len()).for_each(|index| self.block(index, call, cap));
    }
}

const CALL: Syscall = Syscall::Call;
const RECV: Syscall = Syscall::Recv;
const SEND: Syscall = Syscall::Send;
const WAIT: Syscall = Syscall::Wait;

/// The registers of a thread that makes a system call again and again.
fn one_call_of(call: Syscall) -> UserContext {
    UserContext {
        rip: one_call as *const () as u64,
        rflags: 0x202,
        rdx: call.number() as u64,
        ..UserContext::default()
    }
}

fn many_senders_are_cancelled_with_their_endpoint(env: &Env) {
    let (endpoint, crowd) = (env.endpoint(), Crowd::new(env, 10));
    crowd.block_all(SEND, endpoint);
    measured("delete", || delete(endpoint)).expect("delete");
    assert!(is_empty(endpoint));
    // All of them would make their call again.
    for index in [0, crowd.len() / 2, crowd.len() - 1] {
        let regs = crowd.with(index, |tcb| inv::tcb_read_registers(tcb, false, 0, 20).expect("read"));
        assert_eq!(regs.rip, one_call as *const () as u64);
    }
}

fn many_waiters_are_cancelled_with_their_notification(env: &Env) {
    let (notification, crowd) = (env.notification(), Crowd::new(env, 9));
    crowd.block_all(WAIT, notification);
    // Inside a CNode that dies: the deletion goes on in the middle.
    let cnode = env.retype_cnode(4);
    inv::cnode_move(cnode, 5, 4, ROOT, notification, DEPTH).expect("move");
    measured("delete", || delete(cnode)).expect("delete");
    assert!(is_empty(cnode));
    let regs = crowd.with(crowd.len() - 1, |tcb| inv::tcb_read_registers(tcb, false, 0, 20).expect("read"));
    assert_eq!(regs.rip, one_call as *const () as u64);
}

fn the_sends_of_one_badge_are_cancelled_among_many(env: &Env) {
    let (endpoint, reply, crowd) = (env.endpoint(), env.reply(), Crowd::new(env, 10));
    let badges = [env.mint(endpoint, 1), env.mint(endpoint, 2)];
    for index in 0..crowd.len() {
        // One in 64 sends with badge 2.
        crowd.block(index, SEND, badges[usize::from(index % 64 == 0)]);
    }
    let keep = env.slot();
    inv::cnode_move(ROOT, keep, DEPTH, ROOT, badges[1], DEPTH).expect("move");
    measured("cancel", || invoke_as(ROOT, Label::CNodeCancelBadgedSends, &[], &[keep, DEPTH.into()])).expect("cancel");
    let mut left = 0;
    while raw::nb_recv(endpoint, reply).badge == 1 {
        left += 1;
    }
    assert_eq!(left, crowd.len() - crowd.len() / 64);
}

fn a_queue_of_all_priorities_keeps_its_order(env: &Env) {
    // Two threads of each priority, then one above them all, which must find its place past all the others.
    let (endpoint, reply, crowd) = (env.endpoint(), env.reply(), Crowd::new(env, 9));
    for index in 0..crowd.len() {
        let badged = env.slot();
        inv::cnode_mint(ROOT, badged, DEPTH, ROOT, endpoint, DEPTH, CapRights::ALL, index + 1).expect("mint");
        crowd.block(index, SEND, badged);
    }
    let priority = |index: u64| index / 2 % 255;
    begin();
    for index in 0..crowd.len() {
        crowd.with(index, |tcb| inv::tcb_set_priority(tcb, slot::INIT_THREAD_TCB, priority(index)).expect("priority"));
    }
    // From the end to the front.
    crowd.with(0, |tcb| inv::tcb_set_priority(tcb, slot::INIT_THREAD_TCB, 255).expect("priority"));
    end("insert");
    let mut last = 256;
    for n in 0..crowd.len() {
        let index = raw::nb_recv(endpoint, reply).badge.checked_sub(1).expect("a sender");
        let now = if index == 0 { 255 } else { priority(index) };
        assert!(now <= last, "priority {now} after {last}, number {n}");
        last = now;
    }
}

fn an_interrupt_with_many_waiters_is_given_up(env: &Env) {
    // The kernel's own slot of the interrupt holds the last capability to the notification.
    let (handler, notification, crowd) = (env.slot(), env.notification(), Crowd::new(env, 9));
    inv::irq_control_get_msi(slot::IRQ_CONTROL, ROOT, handler, DEPTH, 0, 0, 0, 0, 70).expect("get MSI");
    inv::irq_handler_set_notification(handler, notification).expect("set notification");
    crowd.block_all(WAIT, notification);
    delete(notification).expect("delete");
    measured("delete", || delete(handler)).expect("delete");
    inv::irq_control_get_msi(slot::IRQ_CONTROL, ROOT, handler, DEPTH, 0, 0, 0, 0, 70).expect("it is free again");
}

/// Microseconds from one instant to the next at which the threads of [`due_together`] are due.
const PERIOD_US: u64 = 5_000;

/// Threads that get their budgets at one instant and give them up, again and again from when the notification goes. Returns
/// their scheduling contexts.
#[track_caller]
fn due_together(env: &Env, crowd: &Crowd, notification: CPtr) -> CPtr {
    // Sporadic scheduling contexts begin anew when their threads become ready, all of these in one system call; each
    // thread then gives its budget up, so that they all get the next one at the same time.
    let scs = env.slots(crowd.len());
    let count = crowd.len();
    inv::untyped_retype(env.untyped, ObjectType::SchedContext.word(), 8, ROOT, 0, 0, scs, count).expect("retype");
    crowd.block_all(WAIT, notification);
    for index in 0..count {
        inv::sched_control_configure_flags(sched_control(), scs + index, 100, PERIOD_US, 0, 0, SPORADIC).expect("configure");
        crowd.with(index, |tcb| {
            inv::sched_context_bind(scs + index, tcb).expect("bind");
            inv::tcb_set_priority(tcb, slot::INIT_THREAD_TCB, TEST + 1).expect("priority");
            // What it does when its wait is over.
            let regs = one_call_of(Syscall::Yield);
            inv::tcb_write_registers(tcb, false, 0, UserContext::WORDS as u64, &regs).expect("registers");
        });
    }
    scs
}

fn threads_due_at_one_instant_all_get_their_budget(env: &Env) {
    let (notification, crowd) = (env.notification(), Crowd::new(env, 7));
    let (scs, count) = (due_together(env, &crowd, notification), crowd.len());
    begin();
    delete(notification).expect("delete");
    crate::machine::spin(12 * PERIOD_US);
    end("release");
    let used: [u64; 3] = [0, count / 2, count - 1].map(|n| inv::sched_context_consumed(scs + n).expect("consumed"));
    assert!(used.iter().all(|us| (2..=12 * 100).contains(us)), "the first, one in the middle and the last used {used:?} us");
}

fn threads_due_at_the_end_of_a_long_call_wait_for_the_next_entry(env: &Env) {
    // The call: a thread finds its place in a queue of all priorities.
    let (endpoint, queue) = (env.endpoint(), Crowd::new(env, 9));
    queue.block_all(SEND, endpoint);
    let set = |tcb, priority| inv::tcb_set_priority(tcb, slot::INIT_THREAD_TCB, priority).expect("priority");
    (0..queue.len()).for_each(|index| queue.with(index, |tcb| set(tcb, index / 2 % 255)));
    let (notification, crowd) = (env.notification(), Crowd::new(env, 7));
    let scs = due_together(env, &crowd, notification);
    queue.with(0, |tcb| {
        delete(notification).expect("delete");
        // We see in the clock when they run.
        let mut last = tsc();
        let due = loop {
            let now = tsc();
            if now - last > ticks(20) {
                break last;
            }
            last = now;
        };
        inv::sched_context_consumed(scs).expect("consumed");
        // The kernel takes threads for due that are so within 10 us. To begin takes longer.
        begin();
        let next = due + ticks(PERIOD_US);
        while tsc() < next - ticks(6) {}
        set(tcb, 255);
        end("insert and release");
        while tsc() < next + ticks(PERIOD_US / 2) {}
    });
    assert!(inv::sched_context_consumed(scs).expect("consumed") > 0, "the first thread was not released");
}

fn as_many_objects_as_a_call_makes(env: &Env) {
    const COUNT: u64 = 256;
    let node = env.retype_cnode(8);
    let kinds = [
        (ObjectType::Endpoint, 0, 13),
        (ObjectType::Notification, 0, 14),
        (ObjectType::Reply, 0, 13),
        (ObjectType::CNode, 1, 14),
        (ObjectType::Untyped, 4, 12),
        (ObjectType::Tcb, 0, 20),
        (ObjectType::SchedContext, 7, 15),
        (ObjectType::Page4K, 0, 20),
        (ObjectType::PageTable, 0, 20),
        (ObjectType::VSPACE, 0, 20),
    ];
    for (kind, size, bits) in kinds {
        let untyped = env.child_untyped(bits);
        let make = || inv::untyped_retype(untyped, kind.word(), size, node, 0, 0, 0, COUNT);
        measured("retype", make).expect("retype");
        // Again, with memory to be zeroed.
        measured("revoke", || revoke(untyped)).expect("revoke");
        measured("again", make).expect("retype");
        measured("delete", || delete(untyped)).expect("delete");
        measured("and all", || delete(node)).expect("delete");
        inv::untyped_retype(env.untyped, ObjectType::CNode.word(), 8, ROOT, 0, 0, node, 1).expect("retype");
    }
}

/// A CSpace as deep as can be, for the bits that each level takes: CNodes one in the first slot of the other, and the first
/// again in the last one. The address 0 leads from the first through all of them, back to the first.
#[derive(Clone, Copy)]
struct Deep {
    /// The first of as many slots as there are CNodes, with capabilities to them that have no guards.
    cnodes: CPtr,
    /// The capability to the first one, with its guard.
    root: CPtr,
    radix: u8,
    /// Bits that a level takes, guard and index.
    bits: u64,
}

impl Deep {
    #[track_caller]
    fn new(env: &Env, radix: u8, guard: u64) -> Self {
        let bits = u64::from(radix) + guard;
        let levels = 64 / bits;
        let (cnodes, root) = (env.slots(levels), env.slot());
        inv::untyped_retype(env.untyped, ObjectType::CNode.word(), radix.into(), ROOT, 0, 0, cnodes, levels).expect("retype");
        let data = CNodeCapData::new(0, guard).0;
        let mint = |node, slot, depth, source| inv::cnode_mint(node, slot, depth, ROOT, source, DEPTH, CapRights::ALL, data);
        for n in 0..levels {
            mint(cnodes + n, 0, radix, cnodes + (n + 1) % levels).expect("mint");
        }
        mint(ROOT, root, DEPTH, cnodes).expect("mint");
        Deep { cnodes, root, radix, bits }
    }

    /// Where the second slot of the CNode is that so many others follow: the index, and the bits that lead there.
    fn nth_last(self, n: u64) -> (CPtr, u8) {
        (1, (64 - self.bits * n) as u8)
    }

    /// Puts a copy of a capability there; returns its address.
    #[track_caller]
    fn put(self, n: u64, cap: CPtr) -> CPtr {
        let node = self.cnodes + 64 / self.bits - 1 - n;
        inv::cnode_copy(node, 1, self.radix, ROOT, cap, DEPTH, CapRights::ALL).expect("copy");
        1 << (self.bits * n)
    }

    /// A thread that has this for its CSpace.
    #[track_caller]
    fn thread(self, env: &Env, priority: u64) -> Thread {
        let spaces = Spaces { cspace: self.root, fault_ep: 0, ..Spaces::own() };
        env.thread_with(priority, env.sched_context(10_000, 10_000), spaces)
    }
}

/// The bits of index and guard of CSpaces with which walks take longest.
const DEEPEST: [(u8, u64); 3] = [(1, 0), (1, 1), (2, 0)];

fn an_address_at_the_end_of_sixty_four_cnodes(env: &Env) {
    for (radix, guard) in DEEPEST {
        let space = Deep::new(env, radix, guard);
        // The address 0 is one of the CSpace itself.
        let (at, far) = (space.nth_last(1), space.nth_last(2));
        let caller = space.thread(env, HIGH);
        space.put(2, env.tcb());
        begin();
        caller.start(move || {
            let copied = inv::cnode_copy(0, at.0, at.1, 0, far.0, far.1, CapRights::ALL);
            let moved = inv::cnode_move(0, space.nth_last(3).0, space.nth_last(3).1, 0, far.0, far.1);
            let ((d, d_bits), (p, p_bits), (s, s_bits)) = (far, space.nth_last(3), at);
            let rotated = inv::cnode_rotate(0, d, d_bits, 0, 0, p, p_bits, 0, 0, s, s_bits);
            // With more capabilities than it takes.
            let more = [0, 1 << space.bits, 1 << (2 * space.bits)];
            let (to, from) = (space.nth_last(4), p);
            let words = [to.0, to.1.into(), from, p_bits.into(), CapRights::ALL.0];
            let copied_again = invoke_as(0, Label::CNodeCopy, &more, &words);
            u64::from(copied.and(moved).and(rotated).and(copied_again).is_ok())
        });
        end("copy, move, rotate");
        assert!(caller.has_returned() && caller.join() == 1);
    }
}

/// As many words as a message has at most.
fn all_words() -> [u64; 120] {
    core::array::from_fn(|i| i as u64)
}

/// A message of [`all_words`] has come, and so many capabilities.
fn is_all(got: &raw::Reply, caps: u64) -> bool {
    let (info, last) = (got.info, raw::message_word(119));
    info.length() == all_words().len() && info.extra_caps() == caps as usize && last == 119
}

fn the_longest_message_with_the_longest_ways(env: &Env) {
    // A sender, a middle and a receiver, all capabilities at the end of deep CSpaces. Each has itself as the root in which it
    // receives a capability, in the last slot of all.
    for (radix, guard) in DEEPEST {
        let (from, to, reply) = (env.endpoint(), env.endpoint(), env.reply());
        let [s, m, r]: [Deep; 3] = core::array::from_fn(|_| Deep::new(env, radix, guard));
        let caps = |space: Deep| [1, 2, 3].map(|n| space.put(n, env.notification()));
        let (s_caps, m_caps) = (caps(s), caps(m));
        let s_from = s.put(4, from);
        let (m_from, m_to, m_reply) = (m.put(4, from), m.put(5, to), m.put(6, reply));
        let (r_to, r_reply) = (r.put(5, to), r.put(6, env.reply()));

        let receiver = r.thread(env, HIGH);
        receiver.start(move || {
            raw::set_receive_slot(0, 1, 64);
            u64::from(is_all(&raw::recv(r_to, r_reply), 1))
        });
        let sender = s.thread(env, HIGH);
        sender.start(move || {
            raw::send(s_from, info(0, &s_caps, &all_words()), registers(&all_words()));
            1
        });
        let middle = m.thread(env, LOW);
        begin();
        middle.start(move || {
            raw::set_receive_slot(0, 1, 64);
            let message = info(0, &m_caps, &all_words());
            u64::from(is_all(&raw::nb_send_recv(m_to, message, registers(&all_words()), m_from, m_reply), 1))
        });
        inv::tcb_set_priority(middle.tcb, slot::INIT_THREAD_TCB, HIGH).expect("priority");
        end("send and receive");
        for thread in [receiver, sender, middle] {
            assert!(thread.has_returned() && thread.join() == 1, "{radix} {guard}");
        }
    }
}

fn ways_through_a_cnode_that_a_message_brings(env: &Env) {
    // The receiver wants the capability in the second slot of the first CNode of the sender, who then receives by addresses
    // that lead through what has come there.
    for (radix, guard) in DEEPEST {
        let (from, to) = (env.endpoint(), env.endpoint());
        let [s, m, beyond]: [Deep; 3] = core::array::from_fn(|_| Deep::new(env, radix, guard));
        let top = 1 << (64 - m.bits);
        let s_caps = [1, 2, 3].map(|n| s.put(n, env.notification()));
        let s_from = s.put(4, from);
        let m_to = m.put(5, to);
        let bridge = env.slot();
        inv::cnode_mint(ROOT, bridge, DEPTH, ROOT, beyond.cnodes + 1, DEPTH, CapRights::ALL, CNodeCapData::new(0, guard).0)
            .expect("mint");
        let m_caps = [m.put(0, bridge), m.put(1, env.notification()), m.put(2, env.notification())];
        let (m_from, m_reply) = (top | beyond.put(4, from), top | beyond.put(6, env.reply()));

        let (place, r_reply) = (m.cnodes, env.reply());
        let receiver = env.thread(HIGH);
        receiver.start(move || {
            raw::set_receive_slot(place, 1, radix.into());
            u64::from(is_all(&raw::recv(to, r_reply), 1))
        });
        let sender = s.thread(env, HIGH);
        sender.start(move || {
            raw::send(s_from, info(0, &s_caps, &all_words()), registers(&all_words()));
            1
        });
        let middle = m.thread(env, LOW);
        begin();
        middle.start(move || {
            raw::set_receive_slot(top, 1, 64);
            let message = info(0, &m_caps, &all_words());
            u64::from(is_all(&raw::nb_send_recv(m_to, message, registers(&all_words()), m_from, m_reply), 1))
        });
        inv::tcb_set_priority(middle.tcb, slot::INIT_THREAD_TCB, HIGH).expect("priority");
        end("send and receive");
        for thread in [receiver, sender, middle] {
            assert!(thread.has_returned() && thread.join() == 1, "{radix} {guard}");
        }
    }
}

fn a_receiver_finds_its_place_after_the_longest_ways(env: &Env) {
    // Two threads of each priority wait, and then one above them all.
    let (endpoint, crowd) = (env.endpoint(), Crowd::new(env, 9));
    crowd.block_all(WAIT, endpoint);
    for index in 0..crowd.len() {
        crowd.with(index, |tcb| inv::tcb_set_priority(tcb, slot::INIT_THREAD_TCB, index / 2 % 255).expect("priority"));
    }
    for (radix, guard) in DEEPEST {
        let space = Deep::new(env, radix, guard);
        let (from, reply) = (space.put(4, endpoint), space.put(5, env.reply()));
        let receiver = space.thread(env, 255);
        begin();
        receiver.start(move || raw::recv(from, reply).badge);
        end("receive");
        assert!(!receiver.has_returned());
        let badged = env.mint(endpoint, 7);
        raw::send(badged, info(0, &[], &[]), registers(&[]));
        assert_eq!(receiver.join(), 7);
    }
}

fn a_server_and_its_clients_at_the_longest_ways(env: &Env) {
    // The server's own ways are as long, or short.
    let [long, longest, _] = DEEPEST;
    for ((radix, guard), is_far) in [(long, true), (longest, true), (longest, false)] {
        let endpoint = env.endpoint();
        let spaces: [Deep; 3] = core::array::from_fn(|_| Deep::new(env, radix, guard));
        let mut service = spaces.map(|space| space.put(4, endpoint));
        let mut caps = spaces.map(|space| [1, 2, 3].map(|n| space.put(n, env.notification())));
        if !is_far {
            (service[0], caps[0]) = (endpoint, [(); 3].map(|()| env.notification()));
        }
        let (reply, place, server) = match is_far {
            true => (spaces[0].put(5, env.reply()), (0, 1), spaces[0].thread(env, LOW)),
            false => (env.reply(), (ROOT, env.slot()), env.thread(LOW)),
        };
        begin();
        let clients = [1, 2].map(|n| {
            let client = spaces[n].thread(env, HIGH);
            client.start(move || {
                raw::set_receive_slot(0, 1, 64);
                let message = info(0, &caps[n], &all_words());
                let got = raw::call(service[n], message, registers(&all_words()));
                u64::from(is_all(&got, n as u64 - 1))
            });
            client
        });
        server.start(move || {
            raw::set_receive_slot(place.0, place.1, 64);
            let mut served = u64::from(is_all(&raw::recv(service[0], reply), 1));
            // The first answer without capabilities: the fast path tries. In the last slot is one by now.
            let message = info(0, &[], &all_words());
            served += u64::from(is_all(&raw::reply_recv(service[0], message, registers(&all_words()), reply), 0));
            let message = info(0, &caps[0], &all_words());
            raw::reply_recv(service[0], message, registers(&all_words()), reply);
            served
        });
        inv::tcb_set_priority(server.tcb, slot::INIT_THREAD_TCB, HIGH).expect("priority");
        end("calls and answers");
        for client in clients {
            assert!(client.has_returned() && client.join() == 1, "{radix} {guard}");
        }
    }
}

fn a_long_chain_of_calls_is_cut(env: &Env) {
    // Each thread, woken by a call whose badge names the next one's endpoint, calls that, all on the time of the first
    // caller. Then the reply objects go, from the middle outwards.
    let crowd = Crowd::new(env, 7);
    let count = crowd.len();
    let endpoints = env.slots(count + 1);
    inv::untyped_retype(env.untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, endpoints, count + 1).expect("retype");
    let replies = env.slots(count);
    inv::untyped_retype(env.untyped, ObjectType::Reply.word(), 0, ROOT, 0, 0, replies, count).expect("retype");
    let badged = env.slots(count + 1);
    for n in 0..=count {
        inv::cnode_mint(ROOT, badged + n, DEPTH, ROOT, endpoints + n, DEPTH, CapRights::ALL, badged + n + 1)
            .expect("mint");
    }
    for n in 0..count {
        let regs = UserContext { rdi: endpoints + n, r12: replies + n, ..one_call_of(RECV) };
        crowd.block_with(n, &regs);
        crowd.with(n, |tcb| {
            let then = UserContext { r12: replies + n, ..one_call_of(CALL) };
            inv::tcb_write_registers(tcb, false, 0, UserContext::WORDS as u64, &then).expect("registers");
        });
    }
    let sc = env.sched_context(10_000, 10_000);
    let caller = env.thread_with(HIGH, sc, Spaces::own());
    measured("calls", || caller.start(move || call(badged, 0, &[]).badge));
    // It has come to the end: the last one sends to an endpoint where nobody receives.
    let at_end = raw::nb_recv(endpoints + count, env.reply());
    assert_eq!(at_end.badge, badged + count + 1);
    measured("replies", || {
        for n in 0..count / 2 {
            delete(replies + count / 2 + n).expect("delete");
            delete(replies + count / 2 - 1 - n).expect("delete");
        }
    });
    measured("context", || delete(sc)).expect("delete");
    assert!(!caller.has_returned());
}

fn a_deep_tree_of_copies_is_revoked(env: &Env) {
    const RADIX: u8 = 13;
    let (original, cnode) = (env.endpoint(), env.retype_cnode(RADIX.into()));
    inv::cnode_copy(cnode, 0, RADIX, ROOT, original, DEPTH, CapRights::ALL).expect("copy");
    for index in 1..1 << RADIX {
        inv::cnode_copy(cnode, index, RADIX, cnode, index - 1, RADIX, CapRights::ALL).expect("copy");
    }
    measured("revoke", || revoke(original)).expect("revoke");
}

fn a_large_empty_cnode_is_deleted(env: &Env) {
    let cnode = env.retype_cnode(17);
    measured("delete", || delete(cnode)).expect("delete");
}

fn a_full_asid_pool_is_deleted(env: &Env) {
    let (untyped, pool) = (env.child_untyped(12), env.slot());
    measured("make", || inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, ROOT, pool, DEPTH)).expect("make");
    let count = 512;
    let vspaces = env.slots(count);
    for at in [0, 256] {
        let kind = ObjectType::VSPACE.word();
        inv::untyped_retype(env.untyped, kind, 0, ROOT, 0, 0, vspaces + at, 256).expect("retype");
    }
    begin();
    (0..count).for_each(|n| inv::asid_pool_assign(pool, vspaces + n).expect("assign"));
    end("assign");
    measured("delete", || delete(pool)).expect("delete");
    // Their identifiers have gone with it.
    let frame = env.frame();
    assert!(inv::page_map(frame, vspaces, 0, CapRights::ALL, 0).is_err());
}

fn all_ports_are_issued_and_given_back(env: &Env) {
    let ports = env.slot();
    for first in [0, 1] {
        measured("issue", || inv::io_port_control_issue(slot::IO_PORT_CONTROL, first, 0xffff, ROOT, ports, DEPTH))
            .expect("issue");
        measured("delete", || delete(ports)).expect("delete");
    }
}

fn all_ports_are_issued_to_the_end_of_sixty_four_cnodes(env: &Env) {
    for (radix, guard) in DEEPEST {
        let space = Deep::new(env, radix, guard);
        let (index, depth) = space.nth_last(1);
        measured("issue", || inv::io_port_control_issue(slot::IO_PORT_CONTROL, 0, 0xffff, space.root, index, depth))
            .expect("issue");
        inv::cnode_delete(space.root, index, depth).expect("delete");
    }
}

fn a_budget_in_many_pieces_is_put_together(env: &Env) {
    // As many refills as the object holds; each wait of the thread leaves a piece. Then it pauses until all are due.
    let sc = env.retype(ObjectType::SchedContext, 12, 1);
    let (ping, pong) = (env.notification(), env.notification());
    inv::sched_control_configure_flags(sched_control(), sc, 20_000, 40_000, 200, 0, 0).expect("configure");
    let thread = env.thread_with(HIGH, sc, Spaces::own());
    thread.start(move || {
        for _ in 0..400 {
            raw::wait(ping);
            crate::env::signal(pong);
        }
        7
    });
    begin();
    for n in 0..400 {
        if n % 100 == 99 {
            crate::machine::spin(100_000);
        }
        crate::machine::spin(30);
        crate::env::signal(ping);
        raw::wait(pong);
    }
    end("charge");
    assert_eq!(thread.join(), 7);
}

fn a_full_page_table_is_unmapped(env: &Env) {
    const AT: u64 = 0x0200_0000_0000;
    let vspace = env.vspace();
    let table = env.map_tables(vspace, AT);
    let frames = env.slots(512);
    for at in [0, 256] {
        let kind = ObjectType::Page4K.word();
        inv::untyped_retype(env.untyped, kind, 0, ROOT, 0, 0, frames + at, 256).expect("retype");
    }
    for n in 0..512 {
        inv::page_map(frames + n, vspace, AT + n * 4096, CapRights::ALL, 0).expect("map");
    }
    measured("unmap", || inv::page_table_unmap(table)).expect("unmap");
    inv::page_table_map(table, vspace, AT, 0).expect("map it again");
    inv::page_map(frames + 1, vspace, AT, CapRights::ALL, 0).expect_err("it was mapped elsewhere");
    measured("delete", || delete(vspace)).expect("delete");
}
