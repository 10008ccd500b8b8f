//! The fast paths against the slow path: two machines make the same random system calls, one with fast paths
//! and one without, and must agree on every word of kernel memory after every step.

use std::thread;

use pecan_abi::{MessageInfo, Syscall, constants::tcb_flag};
use pecan_arch::{Exception, PhysAddr, host, phys_to_virt, reg, virt_to_phys};
use pecan_mem::{
    Cap, EndpointRights, Link, Mapping, Tcb, ThreadState,
    retype::ObjectKind,
    testing::{FREE_START, MEMORY_BITS, STATE_BYTES, forge, set_cap, set_pool, set_root},
    vspace::ROOT_LEVEL,
};

use crate::{
    base::message,
    cap::derivation,
    entry::{
        exception,
        fast::{self, Miss},
        syscall,
    },
    ipc::{endpoint, notification, stop},
    sched::{choose, next, ready, refill, units},
    testing::{FREE, World, rounds},
};

/// Where the capabilities of the test lie in the CSpace that all threads share.
pub(crate) const EP: u64 = FREE;
const EP_BADGED: u64 = FREE + 1;
const EP_SEND_ONLY: u64 = FREE + 2;
pub(crate) const NTFN: u64 = FREE + 3;
pub(crate) const REPLY: u64 = FREE + 4;
const THREADS: u64 = 5;

/// A small random number generator (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % below
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next(from.len() as u64) as usize]
    }
}

/// Clients with scheduling contexts and passive servers, all in one CSpace, in two address spaces.
pub(crate) fn world() -> (World, Vec<Link<Tcb>>) {
    let mut w = World::new();
    let put = |w: &World, slot, cap| derivation::insert_root(&w.k, forge(cap), w.slot(slot));
    let Cap::Endpoint { ep, .. } = w.k.boot_object(ObjectKind::Endpoint) else { unreachable!() };
    let all = EndpointRights { send: true, receive: true, grant: true, grant_reply: true };
    put(&w, EP, Cap::Endpoint { ep, badge: 0, rights: all });
    let call_only = EndpointRights { grant: false, receive: false, ..all };
    put(&w, EP_BADGED, Cap::Endpoint { ep, badge: 77, rights: call_only });
    let send_only = EndpointRights { grant_reply: false, ..call_only };
    put(&w, EP_SEND_ONLY, Cap::Endpoint { ep, badge: 5, rights: send_only });
    let ntfn = w.k.boot_object(ObjectKind::Notification);
    put(&w, NTFN, ntfn);
    for i in 0..THREADS {
        let reply = w.k.boot_object(ObjectKind::Reply);
        put(&w, REPLY + i, reply);
    }
    let Cap::AsidPool { pool, base } = w.k.boot_object(ObjectKind::AsidPool { base: 0 }) else {
        unreachable!()
    };
    set_pool(&w.k, base as usize, Some(pool));
    let roots: Vec<Cap> = (1..3u16)
        .map(|asid| {
            let Cap::PageTable { table, .. } = w.k.boot_object(ObjectKind::table(ROOT_LEVEL)) else {
                unreachable!()
            };
            set_root(pool.get(&w.k), asid, Some(table));
            Cap::PageTable { table, level: Some(ROOT_LEVEL as u8), mapping: Some(Mapping { asid, vaddr: 0 }) }
        })
        .collect();

    let mut threads = vec![w.thread];
    set_cap(&w.thread.get(&w.k).slots[Tcb::SLOT_VSPACE], roots[0]);
    for i in 1..THREADS {
        let Cap::Tcb { tcb } = w.k.boot_object(ObjectKind::Tcb) else { unreachable!() };
        let Cap::SchedContext { sc, .. } = w.k.boot_object(ObjectKind::SchedContext { bits: 8 }) else {
            unreachable!()
        };
        let frame = w.k.boot_object(ObjectKind::Frame { level: 0 });
        let (t, sc) = (tcb.get(&w.k), sc.get(&w.k));
        set_cap(&t.slots[Tcb::SLOT_CSPACE], w.thread.get(&w.k).slots[Tcb::SLOT_CSPACE].cap());
        set_cap(&t.slots[Tcb::SLOT_VSPACE], roots[i as usize % 2]);
        if i != 2 {
            // All but one have an IPC buffer.
            set_cap(&t.slots[Tcb::SLOT_IPC_BUFFER], frame);
            t.ipc_buffer.set(0x40_0400);
        }
        set_cap(&t.slots[Tcb::SLOT_FAULT_HANDLER], Cap::Endpoint { ep, badge: i, rights: all });
        t.priority.set(98 + i as u8);
        threads.push(tcb);
        if i > 2 {
            // A passive server.
            let Cap::Reply { reply, .. } = w.cap(REPLY + i) else { unreachable!() };
            let _ = endpoint::receive(&w.k, t, ep.get(&w.k), true, Some(reply));
            continue;
        }
        refill::start(sc, 2, pecan_arch::us_to_ticks(5_000), 0, pecan_arch::now());
        t.state.set(ThreadState::Running);
        t.sched_context.set(Some(sc.link()));
        sc.tcb.set(Some(tcb));
        ready::append(&w.k, t);
    }
    // One of them takes signals while it receives.
    let Cap::Notification { ntfn, .. } = ntfn else { unreachable!() };
    notification::bind(threads[1].get(&w.k), ntfn.get(&w.k));
    let next = choose::schedule(&w.k, next::Next::Choose).link();
    assert!(threads.contains(&next));
    // Most may use the vector unit, one client and one server may not.
    for i in [1, 4] {
        threads[i].get(&w.k).set_flags(tcb_flag::FPU_DISABLED as u8);
    }
    units::load_units(&w.k, next.get(&w.k));
    (w, threads)
}

/// All of kernel memory and the vector unit, with addresses made independent of where the host put it. Faults are
/// compared by their values: their kinds are of different lengths, and what lies behind the shorter ones is left over.
pub(crate) fn digest(w: &World, threads: &[Link<Tcb>]) -> u64 {
    let base = phys_to_virt(PhysAddr(0)) as u64;
    let mut hash = 0u64;
    let mut faults = Vec::new();
    let machine = host::machine();
    for &byte in machine.fpu_registers.borrow().iter().chain(&[machine.fpu_enabled.get() as u8]) {
        hash = (hash ^ byte as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
    for thread in threads {
        let at = thread.get(&w.k).fault_memory();
        faults.push(virt_to_phys(at.start).0..virt_to_phys(at.end).0);
        for byte in std::format!("{:?}", thread.get(&w.k).fault()).bytes() {
            hash = (hash ^ byte as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        }
    }
    let objects = FREE_START / 2..w.k.used();
    for at in (0..STATE_BYTES).chain(objects).step_by(8) {
        if faults.iter().any(|fault| fault.contains(&at)) {
            continue;
        }
        let mut word = w.k.word(at);
        if word == 0 {
            continue;
        }
        // Links may be packed into 48 bits, with flags below, or into those of a capability that are for the address.
        let memory = base..base + (1 << MEMORY_BITS);
        if memory.contains(&word) {
            word = virt_to_phys(word as usize).0;
        } else if memory.contains(&(word >> 16)) {
            word = virt_to_phys((word >> 16) as usize).0 << 16 | word & 0xffff;
        }
        hash = (hash.rotate_left(23) ^ word ^ at << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash
}

/// Runs random system calls. Returns the digests after each step, and how many calls, answers and faults took a fast
/// path; and how many took the functions for words and vector registers, and the one for answers to faults.
fn run(seed: u64, steps: usize, fast: bool) -> (Vec<u64>, [usize; 5]) {
    let (mut w, threads) = world();
    let mut random = Random(seed);
    let (mut digests, mut taken) = (Vec::new(), [0; 5]);
    for _ in 0..steps {
        let current = w.k.core().current.get();
        let Some(index) = threads.iter().position(|t| *t == current) else { break };
        let machine = host::machine();
        if machine.fpu_enabled.get() {
            *machine.fpu_registers.borrow_mut() = vec![random.next(256) as u8; 64];
        }
        if index < 3 && random.next(6) == 0 {
            // A client faults; a server answers that, too.
            let exception = if random.next(2) == 0 {
                Exception::User { number: random.next(32), code: random.next(8) }
            } else {
                let (address, status) = (random.next(u64::MAX), random.next(16));
                Exception::PageFault { address, instruction: random.next(2) == 0, status }
            };
            let (k, fault) = (&*w.k, exception::fault_of(exception));
            let quick = if fast { fast::fault(k, k.running(), fault) } else { Err(Miss::Slow) };
            let quick = match quick {
                Err(Miss::OtherForm) => fast::fault_other_form(k, k.running(), fault).map(Tcb::link),
                quick => quick.map(|switch| switch.settle(k)),
            };
            match quick {
                Ok(next) => {
                    taken[2] += 1;
                    assert_eq!(next, w.k.core().current.get());
                }
                Err(_) => {
                    exception::exception(&mut w.k, exception);
                }
            }
            digests.push(digest(&w, &threads));
            continue;
        }
        // Mostly what clients and servers do, and now and then anything.
        let call = match random.next(8) {
            0 => random.pick(&[
                Syscall::Call,
                Syscall::ReplyRecv,
                Syscall::Recv,
                Syscall::NBSend,
                Syscall::NBSendRecv,
                Syscall::Yield,
                Syscall::NBRecv,
            ]),
            _ if index < 3 => Syscall::Call,
            _ => Syscall::ReplyRecv,
        };
        let sends = matches!(call, Syscall::Call | Syscall::NBSend);
        let cptr = if sends { random.pick(&[EP, EP_BADGED, EP_BADGED, EP_SEND_ONLY, NTFN]) } else { EP };
        // Calling a notification or a full endpoint for ever would end the test early; sometimes is right.
        let cptr = if cptr == NTFN && random.next(4) != 0 { EP_BADGED } else { cptr };
        let label = if random.next(2) == 0 { 0 } else { random.next(1 << 20) };
        let length = if random.next(4) == 0 { random.next(128) } else { random.next(6) };
        let unwrapped = if random.next(4) == 0 { random.next(8) } else { 0 };
        let info = MessageInfo::new(label, unwrapped, 0, length);
        {
            let context = &current.get(&w.k).context;
            context.set(reg::CAP, cptr);
            context.set(reg::INFO, info.0);
            context.set(reg::REPLY, REPLY + index as u64);
            context.set(reg::SEND_DEST, EP_BADGED);
            for r in reg::MSG {
                context.set(r, random.next(u64::MAX));
            }
            let word = random.next(u64::MAX);
            if let Some(buf) = message::buffer_for_writing(&w.k, current.get(&w.k)) {
                (1..121).for_each(|i| buf.set(i, word.wrapping_mul(i as u64)));
            }
        }
        let k = &*w.k;
        let quick = match call {
            Syscall::Call if fast => fast::call(k, k.running(), cptr),
            Syscall::ReplyRecv if fast => fast::reply_recv(k, k.running(), cptr),
            _ => Err(Miss::Slow),
        };
        let part = match quick {
            Err(Miss::Met(_)) => Some(3),
            Err(Miss::Faulty(_)) => Some(4),
            _ => None,
        };
        let quick = match (quick, call) {
            (Err(Miss::Met(met)), Syscall::Call) => fast::call_met(k, k.running(), met),
            (Err(Miss::Met(met)), _) => fast::reply_met(k, k.running(), met),
            (Err(Miss::Faulty(met)), _) => fast::reply_fault(k, k.running(), met),
            (quick, _) => quick,
        };
        if let (Some(part), Ok(_)) = (part, &quick) {
            taken[part] += 1;
        }
        let quick = match (quick, call) {
            (Err(Miss::OtherForm), Syscall::Call) => fast::call_other_form(k, k.running()).map(Tcb::link),
            (Err(Miss::OtherForm), _) => fast::reply_recv_other_form(k, k.running()).map(Tcb::link),
            (quick, _) => quick.map(|switch| switch.settle(k)),
        };
        match quick {
            Ok(next) => {
                taken[(call != Syscall::Call) as usize] += 1;
                assert_eq!(next, w.k.core().current.get());
            }
            Err(_) => {
                syscall::syscall::<syscall::Scheduled>(&mut w.k, call as i64);
            }
        }
        digests.push(digest(&w, &threads));
        if !threads.contains(&w.k.core().current.get()) {
            // Everybody waits: somebody gets a push.
            let thread = threads[random.next(3) as usize].get(&w.k);
            let next = stop::restart(&w.k, thread);
            choose::schedule(&w.k, next);
        }
    }
    (digests, taken)
}

#[test]
fn fast_paths_do_what_the_slow_path_does() {
    let mut taken = [0; 5];
    let rounds = rounds(100);
    for seed in 0..rounds {
        // A machine belongs to its host thread.
        let with = thread::spawn(move || run(seed, 60, true));
        let without = thread::spawn(move || run(seed, 60, false));
        let (with, fast) = with.join().expect("the run with fast paths ends");
        let (without, _) = without.join().expect("the run without fast paths ends");
        let differs = with.iter().zip(&without).position(|(a, b)| a != b);
        assert_eq!((differs, with.len()), (None, without.len()), "seed {seed}");
        taken.iter_mut().zip(fast).for_each(|(taken, fast)| *taken += fast);
    }
    let [calls, answers, faults, met, answered] = taken;
    let rounds = rounds as usize;
    assert!(
        calls > 2 * rounds
            && answers > rounds
            && faults > rounds / 4
            && met > rounds / 2
            && answered > rounds / 20,
        "{taken:?} in {rounds} rounds: too few"
    );
}

#[test]
fn a_short_message_needs_no_buffers() {
    let (w, threads) = world();
    for thread in &threads {
        set_cap(&thread.get(&w.k).slots[Tcb::SLOT_IPC_BUFFER], Cap::Null);
    }
    let info = |length| MessageInfo::new(7, 0, 0, length);
    let current = w.k.core().current.get();
    current.get(&w.k).context.set(reg::CAP, EP);
    current.get(&w.k).context.set(reg::INFO, info(5).0);
    let server = fast::call_other_form(&w.k, w.k.running()).expect("a server waits");
    assert!(threads[3..].contains(&server.link()));
    // What does not fit into registers has no place.
    assert_eq!(server.context.get(reg::INFO), info(4).0);
}
