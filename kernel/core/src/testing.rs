//! A small world for the tests of this crate: a machine with one thread, whose CSpace is a CNode with a few
//! capabilities at well-known addresses. Tests make system calls in the name of that thread.

use pecan_abi::{
    CNodeCapData, CapRights, Error, Label, MessageInfo, ObjectType, Paging, Syscall, ipc::buffer,
};
use pecan_arch::{PhysAddr, reg};
use pecan_mem::{
    CNodeRef, Cap, Kernel, Link, Slot, Tcb, ThreadState, Words,
    cap::arch,
    retype::ObjectKind,
    testing::{FREE_START, Machine, forge, initial},
    vspace::{ROOT_LEVEL, has_own_type},
};

use crate::{
    base::{error::Preempted, message},
    cap::derivation,
    entry::sequence::{self, Leave, Report},
    invariants,
    invoke::{self, How, end::End},
    sched::{
        budget, choose,
        next::{self, Next},
        refill, wake,
    },
};

/// Ends an invocation by telling what it has come to.
pub struct Told;

impl End for Told {
    type Out = Result<Next, Preempted>;

    fn end(_k: &mut Kernel, result: Result<Next, Preempted>) -> Result<Next, Preempted> {
        result
    }
}

/// Slots of the root CNode, log2.
pub const ROOT_RADIX: u32 = 10;
/// The first thread.
pub const TCB: u64 = 1;
/// The root CNode, with the guard that makes it take all 64 bits.
pub const CNODE: u64 = 2;
/// The frame of the first thread's IPC buffer.
pub const BUFFER: u64 = 3;
/// The first thread's scheduling context.
pub const SC: u64 = 4;
/// Authority over time.
pub const SCHED_CONTROL: u64 = 5;
/// Authority over interrupts.
pub const IRQ_CONTROL: u64 = 6;
/// The first authority that only this architecture has, if there is one.
pub const ARCH_CONTROL: u64 = 7;
/// Authority over address-space identifiers.
pub const ASID_CONTROL: u64 = 8;
/// Authority over domains.
pub const DOMAIN: u64 = 9;
/// 1 MiB of untyped memory.
pub const UNTYPED: u64 = 10;
/// 2 MiB of untyped memory.
pub const UNTYPED_2M: u64 = 11;
/// 4 MiB of untyped memory.
pub const UNTYPED_4M: u64 = 12;
/// 4 KiB of device memory.
pub const DEVICE: u64 = 13;
/// From here on the root CNode is empty.
pub const FREE: u64 = 16;
/// The depth at which the root CNode resolves.
pub const DEPTH: u64 = 64;
/// Priority of the first thread.
pub const PRIORITY: u8 = 100;

/// What a call was answered: the message words, or an error and its details.
pub type Answer = Result<Vec<u64>, (Error, Vec<u64>)>;

/// How many rounds a random test plays: all of them, or a quarter where the environment has `PECAN_FAST`.
pub fn rounds(all: u64) -> u64 {
    if std::env::var_os("PECAN_FAST").is_some() { all.div_ceil(4) } else { all }
}

/// A machine with one running thread.
pub struct World {
    /// The machine; derefs to the kernel.
    pub k: Machine,
    /// The root CNode.
    pub root: CNodeRef,
    /// The first thread.
    pub thread: Link<Tcb>,
    /// How often a call was preempted.
    pub preemptions: usize,
    /// Preempt calls at every preemption point.
    pub preempt_often: bool,
}

impl World {
    /// Boots.
    pub fn new() -> World {
        let mut k = Machine::new();
        let Cap::CNode { cnode: root, .. } = k.boot_object(ObjectKind::CNode { radix: ROOT_RADIX as u8 })
        else {
            unreachable!()
        };
        let tcb = k.boot_object(ObjectKind::Tcb);
        let frame = k.boot_object(ObjectKind::Frame { level: 0 });
        let sched_context = k.boot_object(ObjectKind::SchedContext { bits: 8 });
        let (Cap::Tcb { tcb: thread }, Cap::SchedContext { sc, .. }) = (tcb, sched_context) else {
            unreachable!()
        };
        let untyped = |base, bits| Cap::Untyped { base: PhysAddr(base), bits, device: false, used: 0 };
        let caps = [
            (TCB, tcb),
            (CNODE, Cap::CNode { cnode: root, guard: 0, guard_bits: 64 - ROOT_RADIX as u8 }),
            (BUFFER, frame),
            (SC, sched_context),
            (SCHED_CONTROL, Cap::SchedControl { core: 0 }),
            (IRQ_CONTROL, Cap::IrqControl),
            (ASID_CONTROL, Cap::AsidControl),
            (DOMAIN, Cap::Domain),
            (UNTYPED, untyped(FREE_START, 20)),
            (UNTYPED_2M, untyped(2 << 20, 21)),
            (UNTYPED_4M, untyped(4 << 20, 22)),
            (DEVICE, Cap::Untyped { base: PhysAddr(0xfee0_0000), bits: 12, device: true, used: 0 }),
        ];
        for (index, cap) in caps {
            derivation::insert_root(&k, forge(cap), root.slot(index));
        }
        for (index, control) in (ARCH_CONTROL..ASID_CONTROL).zip(arch::INITIAL) {
            derivation::insert_root(&k, initial(control.1), root.slot(index));
        }

        budget::start(&k);
        let (t, sc) = (thread.get(&k), sc.get(&k));
        derivation::insert(
            &k,
            root.get(&k, CNODE).words(),
            root.slot(CNODE),
            t.slots[Tcb::SLOT_CSPACE].link(),
        );
        derivation::insert(
            &k,
            root.get(&k, BUFFER).words(),
            root.slot(BUFFER),
            t.slots[Tcb::SLOT_IPC_BUFFER].link(),
        );
        t.ipc_buffer.set(0x1000);
        t.priority.set(PRIORITY);
        t.mcp.set(255);
        t.state.set(ThreadState::Running);
        t.sched_context.set(Some(sc.link()));
        sc.tcb.set(Some(thread));
        refill::start(sc, refill::MIN_REFILLS, pecan_arch::us_to_ticks(5_000), 0, pecan_arch::now());
        let next = wake::wake(&k, t);
        choose::schedule(&k, next);
        assert_eq!(k.core().current.get(), thread);
        World { k, root, thread, preemptions: 0, preempt_often: false }
    }

    /// A slot of the root CNode.
    pub fn slot(&self, index: u64) -> Link<Slot> {
        self.root.slot(index)
    }

    /// The capability in a slot of the root CNode.
    pub fn cap(&self, index: u64) -> Cap {
        self.root.get(&self.k, index).cap()
    }

    /// The same, packed.
    pub fn words(&self, index: u64) -> Words {
        self.root.get(&self.k, index).words()
    }

    /// Puts a message into the registers and the IPC buffer of a thread.
    pub fn set_message(&mut self, thread: Link<Tcb>, label: u64, words: &[u64], extra: &[u64]) {
        let (k, info) = (&*self.k, MessageInfo::new(label, 0, extra.len() as u64, words.len() as u64));
        let thread = thread.get(k);
        for (i, &word) in words.iter().enumerate() {
            assert!(message::put(k, thread, i, word));
        }
        if let Some(b) = message::buffer_for_writing(k, thread) {
            extra.iter().enumerate().for_each(|(i, &cptr)| b.set(buffer::CAPS_OR_BADGES + i, cptr));
        }
        thread.context.set(reg::INFO, info.0);
    }

    /// The label and the words of the message that a thread has received.
    pub fn message(&self, thread: Link<Tcb>) -> (u64, Vec<u64>) {
        let thread = thread.get(&self.k);
        let info = MessageInfo(thread.context.get(reg::INFO));
        (info.label(), (0..info.length()).map(|i| message::get(&self.k, thread, i)).collect())
    }

    /// Calls a capability in the name of the first thread until it is done, however often it is preempted.
    pub fn call(&mut self, cptr: u64, label: Label, words: &[u64], extra: &[u64]) -> Answer {
        loop {
            if self.preempt_often {
                self.preempt_soon();
            }
            match self.try_call(cptr, label, words, extra) {
                Ok(answer) => return answer,
                Err(Preempted) => self.preemptions += 1,
            }
            while pecan_arch::take_pending_irq().is_some() {}
        }
    }

    /// Makes the next preemption point stop the call.
    pub fn preempt_soon(&mut self) {
        pecan_arch::host::raise_irq(pecan_arch::IRQ_USER_MIN);
        self.k.core().work_units.set(pecan_config::MAX_NUM_WORK_UNITS_PER_PREEMPTION);
    }

    /// Calls a capability in the name of the first thread, once.
    pub fn try_call(
        &mut self,
        cptr: u64,
        label: Label,
        words: &[u64],
        extra: &[u64],
    ) -> Result<Answer, Preempted> {
        let thread = self.thread;
        self.set_message(thread, label as u64, words, extra);
        thread.get(&self.k).context.set(reg::CAP, cptr);
        self.k.set_current(thread.get(&self.k));
        let next = match self.k.running().slot(cptr) {
            Some(slot) => invoke::call_at::<Told>(&mut self.k, slot),
            None => invoke::invoke::<Told>(&mut self.k, cptr, How::Call),
        }?;
        // The thread goes on whatever it has made ready: queue that.
        let _ = next.and(&self.k, next::Next::Choose);
        let (label, words) = self.message(thread);
        Ok(match Error::from_word(label) {
            Some(Error::NoError) => Ok(words),
            Some(error) => Err((error, words)),
            None => panic!("the kernel answered with label {label}"),
        })
    }

    /// Makes a system call in the name of the current thread, whose registers hold the arguments, as a port's stubs do.
    /// Returns the thread that runs then.
    pub fn syscall(&mut self, call: Syscall) -> Link<Tcb> {
        let context = &self.k.running().get().context;
        let (cptr, info) = (context.get(reg::CAP), context.get(reg::INFO));
        let idle = self.k.core().idle_thread.link();
        let entered = self.k.entered_by_current();
        let left = match call {
            Syscall::Call => sequence::call::<Report>(entered, cptr),
            Syscall::ReplyRecv => sequence::reply_recv::<Report>(entered, cptr),
            Syscall::Send | Syscall::NBSend => {
                sequence::send::<Report>(entered, cptr, info, call == Syscall::Send)
            }
            Syscall::Wait | Syscall::NBWait => {
                sequence::wait::<Report>(entered, cptr, info, call == Syscall::Wait)
            }
            _ if Syscall::is_core(call as i64) => sequence::syscall::<Report>(entered, call),
            _ => sequence::special_syscall::<Report>(entered, call as i64),
        };
        match left {
            Leave::User(thread) => thread,
            Leave::Idle => idle,
        }
    }

    /// Retypes untyped memory into `count` objects, with capabilities from `dest` on in the root CNode.
    pub fn retype(&mut self, untyped: u64, ty: ObjectType, size_bits: u64, dest: u64, count: u64) -> Answer {
        self.call(untyped, Label::UntypedRetype, &[ty as u64, size_bits, 0, 0, dest, count], &[CNODE])
    }

    /// Makes an object out of [`UNTYPED_2M`] or panics.
    pub fn make(&mut self, ty: ObjectType, size_bits: u64, dest: u64) -> Cap {
        self.retype(UNTYPED_2M, ty, size_bits, dest, 1).expect("there is memory and the slot is empty");
        self.cap(dest)
    }

    /// Makes a paging structure that can be one of this level, out of [`UNTYPED_2M`].
    pub fn make_table(&mut self, level: u8, dest: u64) -> Cap {
        let is_it = |ty: &&ObjectType| match ty.paging() {
            Some(Paging::Table { level: own }) => own == level,
            Some(Paging::AnyTable) => !has_own_type(level.into()),
            Some(Paging::Frame { .. }) | None => false,
        };
        let ty = ObjectType::ALL.iter().find(is_it).expect("there are tables of every level");
        self.make(*ty, 0, dest)
    }

    /// Makes the root of an address space.
    pub fn make_vspace(&mut self, dest: u64) -> Cap {
        self.make_table(ROOT_LEVEL as u8, dest)
    }

    /// Copies within the root CNode.
    pub fn copy(&mut self, dest: u64, src: u64, rights: CapRights) -> Answer {
        self.call(CNODE, Label::CNodeCopy, &[dest, DEPTH, src, DEPTH, rights.0], &[CNODE])
    }

    /// Mints within the root CNode.
    pub fn mint(&mut self, dest: u64, src: u64, rights: CapRights, badge: u64) -> Answer {
        self.call(CNODE, Label::CNodeMint, &[dest, DEPTH, src, DEPTH, rights.0, badge], &[CNODE])
    }

    /// Mints a CNode capability that takes all 64 bits of an address.
    pub fn mint_cnode(&mut self, dest: u64, src: u64, radix: u32) -> Answer {
        self.mint(dest, src, CapRights::ALL, CNodeCapData::skip_to(radix).0)
    }

    /// Deletes in the root CNode.
    pub fn delete(&mut self, index: u64) -> Answer {
        self.call(CNODE, Label::CNodeDelete, &[index, DEPTH], &[])
    }

    /// Revokes in the root CNode.
    pub fn revoke(&mut self, index: u64) -> Answer {
        self.call(CNODE, Label::CNodeRevoke, &[index, DEPTH], &[])
    }

    /// Makes a call that must fail with this error, whose details begin with these words, and change nothing.
    #[track_caller]
    pub fn fails(
        &mut self,
        (cptr, label): (u64, Label),
        words: &[u64],
        extra: &[u64],
        error: Error,
        details: &[u64],
    ) {
        let before = self.snapshot();
        match self.call(cptr, label, words, extra) {
            Err((e, d)) => {
                let d = &d[..details.len().min(d.len())];
                assert_eq!((e, d), (error, details), "{label:?} {words:x?}");
            }
            Ok(_) => panic!("{label:?} {words:x?} {extra:?} succeeded"),
        }
        assert!(self.snapshot() == before, "{label:?} {words:x?} failed and changed something");
    }

    /// What invocations of kernel objects can change: the capabilities in the root CNode, the objects made of
    /// [`UNTYPED_2M`], what the kernel knows of hardware, and the hardware.
    fn snapshot(&self) -> impl PartialEq + use<> {
        let (k, m) = (&self.k, pecan_arch::host::machine());
        (
            (0..1 << ROOT_RADIX).map(|i| self.cap(i)).collect::<Vec<_>>(),
            // Objects have padding, which Miri does not let us look at.
            if cfg!(miri) { Vec::new() } else { k.words_in(2 << 20..4 << 20) },
            k.global()
                .irq_states
                .iter()
                .zip(&k.global().irq_slots)
                .map(|(s, slot)| (s.get(), slot.cap()))
                .collect::<Vec<_>>(),
            (0..pecan_arch::MAX_IRQ).map(pecan_arch::host::irq_line).collect::<Vec<_>>(),
            k.global().asid_pools.iter().map(|p| p.get()).collect::<Vec<_>>(),
            k.words_of_arch(),
            (m.io_writes.borrow().len(), m.page_flushes.get(), m.asid_flushes.get(), m.vspace_switches.get()),
        )
    }

    /// The slots of the root CNode among the descendants of a capability, sorted.
    pub fn family(&self, index: u64) -> Vec<u64> {
        let family: Vec<_> = invariants::descendants(&self.k, self.slot(index)).collect();
        (0..1 << ROOT_RADIX).filter(|&i| family.contains(&self.slot(i))).collect()
    }

    /// How many capabilities descend from one, wherever they are.
    pub fn descendants(&self, index: u64) -> usize {
        invariants::descendants(&self.k, self.slot(index)).count()
    }

    /// Checks that the unused part of [`UNTYPED_2M`] and of all untyped memory made of it is zero: what objects
    /// are made of must be.
    pub fn check_unused_memory(&self) {
        let untyped = self.slot(UNTYPED_2M);
        for slot in invariants::descendants(&self.k, untyped).chain([untyped]) {
            if let Cap::Untyped { base, bits, device: false, used } = slot.get(&self.k).cap() {
                for at in (base.0 + used..base.0 + (1 << bits)).step_by(8) {
                    assert_eq!(self.k.word(at), 0, "unused memory at {at:#x}");
                }
            }
        }
    }

    /// Checks every invariant of the kernel; not under Miri, in which that takes long and finds nothing more.
    pub fn check(&self) {
        if cfg!(miri) {
            return;
        }
        if let Err(broken) = invariants::check(&self.k, &[self.cap(CNODE), self.cap(TCB)]) {
            panic!("{broken}");
        }
    }
}
