//! What a test is given: slots, objects, threads, and ways to ask the kernel for things.

use core::{
    cell::{Cell, RefCell},
    fmt::Debug,
};

use pecan::{
    Error, Result,
    raw::{self, invocations as inv},
};
use pecan_abi::{
    CPtr, CapRights, Error as Kind, Label, MessageInfo, ObjectType, boot::slot,
    constants::MIN_SCHED_CONTEXT_BITS,
};

use crate::{
    snapshot::Snapshot,
    start::{self, THREADS},
    thread::{Spaces, Thread},
};

/// The priority of the thread that a test runs in.
pub const TEST: u64 = 100;
/// A higher priority: a thread started with it runs at once, until it blocks.
pub const HIGH: u64 = 120;
/// A priority between the two.
pub const MIDDLE: u64 = 110;
/// A lower priority: a thread started with it runs when the test blocks.
pub const LOW: u64 = 80;
/// The depth at which an address uses all of its bits.
pub const DEPTH: u8 = 64;
/// The root CNode.
pub const ROOT: CPtr = slot::INIT_THREAD_CNODE;
/// log2 of the bytes of a scheduling context as tests use them.
const SC_BITS: u64 = MIN_SCHED_CONTEXT_BITS as u64 + 1;
/// How many CNodes and untypeds of a test are watched for changes.
const WATCHED: usize = 8;

/// Where tests map pages in their own address space.
pub const WINDOW: u64 = 0x0100_0000_0000;

/// Memory of frames that a test has mapped.
#[derive(Clone, Copy)]
pub struct Mapped(pub u64);

impl Mapped {
    /// The word at an index.
    pub fn read(self, index: u64) -> u64 {
        // SAFETY: the address is in memory that the test has mapped for this; if it is not, the thread faults, and
        // the fault is what the test waits for.
        unsafe { ((self.0 + 8 * index) as *const u64).read_volatile() }
    }

    /// Writes the word at an index.
    pub fn write(self, index: u64, word: u64) {
        // SAFETY: as in `read`; nothing of the program lies there.
        unsafe { ((self.0 + 8 * index) as *mut u64).write_volatile(word) }
    }
}

/// A CNode made by a test.
#[derive(Clone, Copy, Default)]
pub struct CNode {
    /// Its capability, whose guard is empty.
    pub cap: CPtr,
    /// log2 of its slots.
    pub radix: u8,
}

/// What a test is given.
pub struct Env {
    /// The untyped that all of the test's objects are made of.
    pub untyped: CPtr,
    /// log2 of its bytes.
    pub untyped_bits: u64,
    /// The test's first slot.
    pub first_slot: CPtr,
    /// The slot after the last that the test may use.
    pub end_slot: CPtr,
    next_slot: Cell<CPtr>,
    next_thread: Cell<usize>,
    /// The next free address of the window, once it has page tables.
    next_page: Cell<u64>,
    pub(crate) cnodes: RefCell<[CNode; WATCHED]>,
    pub(crate) untypeds: RefCell<[CPtr; WATCHED]>,
    pub(crate) threads: RefCell<[CPtr; THREADS]>,
}

impl Env {
    /// An environment with nothing in it yet. Threads have indices from `first_thread`.
    pub fn new(
        untyped: CPtr,
        untyped_bits: u64,
        first_slot: CPtr,
        end_slot: CPtr,
        first_thread: usize,
    ) -> Self {
        Env {
            untyped,
            untyped_bits,
            first_slot,
            end_slot,
            next_slot: Cell::new(first_slot),
            next_thread: Cell::new(first_thread),
            next_page: Cell::new(0),
            cnodes: RefCell::default(),
            untypeds: RefCell::default(),
            threads: RefCell::default(),
        }
    }

    /// The slot after the last one in use.
    pub fn next_slot(&self) -> CPtr {
        self.next_slot.get()
    }

    /// A run of empty slots of the root CNode.
    #[track_caller]
    pub fn slots(&self, count: u64) -> CPtr {
        let first = self.next_slot.get();
        assert!(first + count <= self.end_slot, "the test has no slots left");
        self.next_slot.set(first + count);
        first
    }

    /// An empty slot of the root CNode.
    #[track_caller]
    pub fn slot(&self) -> CPtr {
        self.slots(1)
    }

    /// Makes objects with capabilities in consecutive slots; returns the first.
    #[track_caller]
    pub fn retype(&self, object_type: ObjectType, size_bits: u64, count: u64) -> CPtr {
        let first = self.slots(count);
        inv::untyped_retype(self.untyped, object_type.word(), size_bits, ROOT, 0, 0, first, count)
            .expect("retype");
        first
    }

    /// Makes an object of one size.
    #[track_caller]
    pub fn object(&self, object_type: ObjectType) -> CPtr {
        self.retype(object_type, 0, 1)
    }

    /// A new endpoint.
    #[track_caller]
    pub fn endpoint(&self) -> CPtr {
        self.object(ObjectType::Endpoint)
    }

    /// A new notification.
    #[track_caller]
    pub fn notification(&self) -> CPtr {
        self.object(ObjectType::Notification)
    }

    /// A new reply object.
    #[track_caller]
    pub fn reply(&self) -> CPtr {
        self.object(ObjectType::Reply)
    }

    /// A new TCB, which is watched for changes.
    #[track_caller]
    pub fn tcb(&self) -> CPtr {
        let tcb = self.object(ObjectType::Tcb);
        self.watch_thread(tcb);
        tcb
    }

    pub(crate) fn watch_thread(&self, tcb: CPtr) {
        if let Some(place) = self.threads.borrow_mut().iter_mut().find(|t| **t == 0) {
            *place = tcb;
        }
    }

    /// A new frame of 4 KiB.
    #[track_caller]
    pub fn frame(&self) -> CPtr {
        self.object(ObjectType::Page4K)
    }

    /// A new CNode, which is watched for changes.
    #[track_caller]
    pub fn cnode(&self, radix: u8) -> CNode {
        let cap = self.retype(ObjectType::CNode, radix.into(), 1);
        let cnode = CNode { cap, radix };
        if let Some(place) = self.cnodes.borrow_mut().iter_mut().find(|c| c.cap == 0) {
            *place = cnode;
        }
        cnode
    }

    /// A new CNode that is not looked into.
    #[track_caller]
    pub fn retype_cnode(&self, radix: u64) -> CPtr {
        self.retype(ObjectType::CNode, radix, 1)
    }

    /// A new untyped, which is watched for changes.
    #[track_caller]
    pub fn child_untyped(&self, bits: u64) -> CPtr {
        let cap = self.retype(ObjectType::Untyped, bits, 1);
        if let Some(place) = self.untypeds.borrow_mut().iter_mut().find(|c| **c == 0) {
            *place = cap;
        }
        cap
    }

    /// A new scheduling context without parameters.
    #[track_caller]
    pub fn empty_sched_context(&self) -> CPtr {
        self.retype(ObjectType::SchedContext, SC_BITS, 1)
    }

    /// A new scheduling context with `budget` in each `period`, in microseconds.
    #[track_caller]
    pub fn sched_context(&self, budget: u64, period: u64) -> CPtr {
        let sc = self.empty_sched_context();
        inv::sched_control_configure_flags(sched_control(), sc, budget, period, 0, 0, 0).expect("configure");
        sc
    }

    /// A new address space with an ASID.
    #[track_caller]
    pub fn vspace(&self) -> CPtr {
        let vspace = self.object(ObjectType::VSPACE);
        inv::asid_pool_assign(slot::INIT_THREAD_ASID_POOL, vspace).expect("assign an ASID");
        vspace
    }

    /// Puts the paging structures for the 2 MiB around an address into an address space. Returns the page table.
    #[track_caller]
    pub fn map_tables(&self, vspace: CPtr, address: u64) -> CPtr {
        let (pdpt, directory, table) = (
            self.object(ObjectType::Pdpt),
            self.object(ObjectType::PageDirectory),
            self.object(ObjectType::PageTable),
        );
        inv::pdpt_map(pdpt, vspace, address, 0).expect("map a PDPT");
        inv::page_directory_map(directory, vspace, address, 0).expect("map a page directory");
        inv::page_table_map(table, vspace, address, 0).expect("map a page table");
        table
    }

    /// Maps a frame of 4 KiB into the test's own address space, to be read and written.
    #[track_caller]
    pub fn map(&self, frame: CPtr) -> Mapped {
        if self.next_page.get() == 0 {
            self.map_tables(slot::INIT_THREAD_VSPACE, WINDOW);
            self.next_page.set(WINDOW);
        }
        let address = self.next_page.get();
        self.next_page.set(address + 4096);
        inv::page_map(frame, slot::INIT_THREAD_VSPACE, address, CapRights::READ_WRITE, 0)
            .expect("map a page");
        Mapped(address)
    }

    /// Copies a capability to a new slot.
    #[track_caller]
    pub fn copy(&self, source: CPtr) -> CPtr {
        self.copy_with(source, CapRights::ALL)
    }

    /// Copies a capability with fewer rights.
    #[track_caller]
    pub fn copy_with(&self, source: CPtr, rights: CapRights) -> CPtr {
        let dest = self.slot();
        copy(dest, source, rights).expect("copy");
        dest
    }

    /// Copies a capability with a badge or a guard.
    #[track_caller]
    pub fn mint(&self, source: CPtr, badge: u64) -> CPtr {
        self.mint_with(source, CapRights::ALL, badge)
    }

    /// Copies a capability with fewer rights, and a badge or a guard.
    #[track_caller]
    pub fn mint_with(&self, source: CPtr, rights: CapRights, badge: u64) -> CPtr {
        let dest = self.slot();
        inv::cnode_mint(ROOT, dest, DEPTH, ROOT, source, DEPTH, rights, badge).expect("mint");
        dest
    }

    /// A thread to be, with a scheduling context of its own. It is not started.
    #[track_caller]
    pub fn thread(&self, priority: u64) -> Thread {
        let sc = self.sched_context(10_000, 10_000);
        self.thread_with(priority, sc, Spaces::own())
    }

    /// A thread to be, without a scheduling context. It is not started.
    #[track_caller]
    pub fn passive_thread(&self, priority: u64) -> Thread {
        self.thread_with(priority, 0, Spaces::own())
    }

    /// A thread to be, with the spaces given. It is not started.
    #[track_caller]
    pub fn thread_with(&self, priority: u64, sc: CPtr, spaces: Spaces) -> Thread {
        self.thread_of(self.tcb(), priority, sc, spaces)
    }

    /// A thread to be, of a new TCB. It is not started.
    #[track_caller]
    pub fn thread_of(&self, tcb: CPtr, priority: u64, sc: CPtr, spaces: Spaces) -> Thread {
        let index = self.next_thread.get();
        assert!(index < THREADS, "the test has no threads left");
        self.next_thread.set(index + 1);
        let thread = Thread { tcb, sc, done: self.notification(), index };
        thread.configure(spaces, priority);
        thread
    }

    /// Runs parts of a test one after the other, each in an environment of its own: what it leaves is deleted after it, and
    /// its memory, slots and threads serve the next. All of its memory must have come back.
    pub fn rounds<T>(&self, parts: impl IntoIterator<Item = T>, run: impl Fn(&Env, T)) {
        const BITS: u64 = 23;
        let memory = self.retype(ObjectType::Untyped, BITS, 1);
        let (slot, thread) = (self.next_slot.get(), self.next_thread.get());
        for part in parts {
            let inner = Env::new(memory, BITS, slot, self.end_slot, thread);
            run(&inner, part);
            // A thread that still waits must not find its endpoint gone.
            for tcb in inner.threads.borrow().iter().filter(|tcb| **tcb != 0 && !is_empty(**tcb)) {
                inv::tcb_suspend(*tcb).expect("suspend");
            }
            for slot in slot..inner.next_slot.get() {
                delete(slot).expect("delete what a part of the test has left");
            }
            revoke(memory).expect("revoke");
            assert_eq!(memory_left(memory, slot), Some(1 << BITS), "memory leaked");
        }
    }

    /// Lets the memory of the thread made last be used for the next one. It must not run any more.
    pub fn reuse(&self, last: Thread) {
        debug_assert_eq!(last.index + 1, self.next_thread.get());
        self.next_thread.set(last.index);
    }

    /// Deletes the thread made last, and lets its memory and its slots be used again.
    #[track_caller]
    pub fn forget(&self, last: Thread) {
        self.reuse(last);
        for slot in [last.tcb, last.sc, last.done] {
            delete(slot).expect("delete a part of the thread");
        }
        if let Some(place) = self.threads.borrow_mut().iter_mut().find(|t| **t == last.tcb) {
            *place = 0;
        }
        if last.done + 1 == self.next_slot.get() {
            self.next_slot.set(last.sc);
        }
    }

    /// Starts a function in a thread of its own, with a scheduling context.
    #[track_caller]
    pub fn spawn<F: FnOnce() -> u64 + Send + 'static>(&self, priority: u64, function: F) -> Thread {
        let thread = self.thread(priority);
        thread.start(function);
        thread
    }

    /// Starts a function in a thread whose faults go to an endpoint of the test.
    #[track_caller]
    pub fn spawn_faulting<F: FnOnce() -> u64 + Send + 'static>(
        &self,
        priority: u64,
        fault_ep: CPtr,
        function: F,
    ) -> Thread {
        let sc = self.sched_context(10_000, 10_000);
        let thread = self.thread_with(priority, sc, Spaces { fault_ep, ..Spaces::own() });
        thread.start(function);
        thread
    }

    /// Bytes that the test's untyped has left.
    #[track_caller]
    pub fn memory_left(&self) -> u64 {
        memory_left(self.untyped, self.first_slot).expect("the test's untyped")
    }

    /// Makes an invocation that must be refused with exactly this error, and must change nothing.
    #[track_caller]
    pub fn refused<T: Debug>(&self, want: Error, call: impl FnOnce() -> Result<T>) {
        let before = Snapshot::take(self);
        match call() {
            Err(error) if error == want => {}
            other => panic!("expected Err({want:?}), got {other:?}"),
        }
        before.same(self);
    }

    /// Makes an invocation that must be refused with an error of this kind, and must change nothing.
    #[track_caller]
    pub fn refused_as<T: Debug>(&self, want: Kind, call: impl FnOnce() -> Result<T>) {
        let before = Snapshot::take(self);
        match call() {
            Err(error) if error.kind() == Some(want) => {}
            other => panic!("expected an error of kind {want:?}, got {other:?}"),
        }
        before.same(self);
    }

    /// The state of the test, to be compared with later.
    #[track_caller]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(self)
    }
}

/// The authority over the time of this core.
pub fn sched_control() -> CPtr {
    start::boot_info().sched_control.start
}

/// Bytes that an untyped has left: asks for more than it can have. `None` if it is not an untyped.
pub fn memory_left(untyped: CPtr, free_slot: CPtr) -> Option<u64> {
    const TOO_MUCH: u64 = pecan_abi::constants::MAX_UNTYPED_BITS as u64;
    match inv::untyped_retype(untyped, ObjectType::Untyped.word(), TOO_MUCH, ROOT, 0, 0, free_slot, 1) {
        Err(Error::NotEnoughMemory { available }) => Some(available),
        // The slot is looked at first.
        Err(Error::DeleteFirst) => memory_left(untyped, free_slot + 1),
        _ => None,
    }
}

/// Copies a capability between two slots of the root CNode.
pub fn copy(dest: CPtr, source: CPtr, rights: CapRights) -> Result<()> {
    inv::cnode_copy(ROOT, dest, DEPTH, ROOT, source, DEPTH, rights)
}

/// Deletes the capability in a slot of the root CNode.
pub fn delete(slot: CPtr) -> Result<()> {
    inv::cnode_delete(ROOT, slot, DEPTH)
}

/// Revokes the capability in a slot of the root CNode.
pub fn revoke(slot: CPtr) -> Result<()> {
    inv::cnode_revoke(ROOT, slot, DEPTH)
}

/// Whether a slot of the root CNode is empty.
pub fn is_empty(slot: CPtr) -> bool {
    raw::debug_cap_identify(slot) == 0
}

/// Invokes a capability with a label and parameters that no stub would put together.
pub fn invoke(service: CPtr, label: u64, caps: &[CPtr], words: &[u64]) -> Result<raw::Reply> {
    let reply = raw::call(service, info(label, caps, words), registers(words));
    match reply.info.label() {
        0 => Ok(reply),
        label => Err(Error::from_reply(label, |index| reply.word(index))),
    }
}

/// Invokes a capability with a label of the interface and any parameters.
pub fn invoke_as(service: CPtr, label: Label, caps: &[CPtr], words: &[u64]) -> Result<raw::Reply> {
    invoke(service, label.word(), caps, words)
}

/// Puts capabilities and words in place and returns the message information.
pub fn info(label: u64, caps: &[CPtr], words: &[u64]) -> MessageInfo {
    for (index, cap) in caps.iter().enumerate() {
        raw::set_cap(index, *cap);
    }
    for (index, word) in words.iter().enumerate().skip(4) {
        raw::set_message_word(index, *word);
    }
    MessageInfo::new(label, 0, caps.len() as u64, words.len() as u64)
}

/// The words that travel in registers.
pub fn registers(words: &[u64]) -> raw::Registers {
    core::array::from_fn(|index| words.get(index).copied().unwrap_or(0))
}

/// Sends a message of words.
pub fn send(dest: CPtr, label: u64, words: &[u64]) {
    raw::send(dest, info(label, &[], words), registers(words));
}

/// Sends a message of words if somebody waits for one.
pub fn nb_send(dest: CPtr, label: u64, words: &[u64]) {
    raw::nb_send(dest, info(label, &[], words), registers(words));
}

/// Calls with a message of words.
pub fn call(dest: CPtr, label: u64, words: &[u64]) -> raw::Reply {
    raw::call(dest, info(label, &[], words), registers(words))
}

/// Answers through a reply object.
pub fn answer(reply: CPtr, label: u64, words: &[u64]) {
    send(reply, label, words);
}

/// Signals a notification.
pub fn signal(notification: CPtr) {
    raw::send(notification, MessageInfo(0), [0; 4]);
}

/// The word of a notification, if it has been signalled; it is 0 then.
pub fn poll(notification: CPtr) -> u64 {
    raw::nb_wait(notification).badge
}
