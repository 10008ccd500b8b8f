//! What safe code above this crate cannot do, each shown by a program that does not compile beside the nearest one
//! that does. Together with what the types below say, it follows that a [`Link<T>`](crate::Link) names a `T` that was
//! made there, and that a capability ([`Words`](crate::Words)) is one to an object that was made, page tables apart: see
//! "What types prove" in `ARCHITECTURE.md`.
//!
//! # An object on the stack
//! Links are made of references, so who could build an object, or move one, would have a link to something that is
//! gone when they return. Every object that has a link has a private field.
//! ```
//! fn link(object: &pecan_mem::Notification) -> pecan_mem::Link<pecan_mem::Notification> {
//!     object.link()
//! }
//! ```
//! ```compile_fail,E0451
//! # use core::cell::Cell;
//! # use pecan_mem::{Notification, NotificationState};
//! let object = Notification {
//!     state: Cell::new(NotificationState::Idle),
//!     head: Cell::new(None),
//!     tail: Cell::new(None),
//!     badge: Cell::new(0),
//!     bound_tcb: Cell::new(None),
//!     sched_context: Cell::new(None),
//!     _unused: Default::default(),
//! };
//! let link = object.link();
//! ```
//!
//! # An address for a link
//! ```compile_fail,E0624
//! let link: pecan_mem::Link<pecan_mem::Tcb> = unsafe { pecan_mem::Link::from_addr(0x1000) };
//! ```
//! ```compile_fail,E0423
//! let link = pecan_mem::Link(core::ptr::NonNull::<pecan_mem::Tcb>::dangling());
//! ```
//!
//! # A description for a capability
//! `Cap` can be written down by anybody, so nothing takes it for a capability.
//! ```
//! # use pecan_arch::PhysAddr;
//! # use pecan_mem::{Cap, FrameRights};
//! let frame =
//!     Cap::Frame { base: PhysAddr(0), level: 0, rights: FrameRights::ReadWrite, device: false, mapping: None };
//! ```
//! ```compile_fail,E0624
//! # use pecan_arch::PhysAddr;
//! # use pecan_mem::{Cap, FrameRights};
//! let frame =
//!     Cap::Frame { base: PhysAddr(0), level: 0, rights: FrameRights::ReadWrite, device: false, mapping: None };
//! pecan_mem::retype::ipc_buffer(frame.pack(), 0, true);
//! ```
//! ```compile_fail,E0451
//! let words = pecan_mem::Words { w0: 1 << 59, w1: 0 };
//! ```
//! ```compile_fail,E0423
//! let cap = pecan_mem::NewCap(pecan_mem::Words::NULL);
//! ```
//! A capability that is in no slot yet goes into one slot only.
//! ```compile_fail,E0382
//! # use pecan_mem::{Kernel, Link, NewCap, Slot, derivation};
//! fn twice(k: &Kernel, cap: NewCap, a: Link<Slot>, b: Link<Slot>) {
//!     derivation::insert_root(k, cap, a);
//!     derivation::insert_root(k, cap, b);
//! }
//! ```
//!
//! # A slot that holds what it was not given
//! ```
//! # use pecan_mem::{Kernel, Link, Slot, derivation};
//! fn copy(k: &Kernel, src: Link<Slot>, dest: Link<Slot>) -> bool {
//!     derivation::insert(k, src.get(k).words(), src, dest)
//! }
//! ```
//! ```compile_fail,E0624
//! # use pecan_mem::{Slot, Words};
//! fn overwrite(slot: &Slot, words: Words) {
//!     slot.set_words(words);
//! }
//! ```
//! ```compile_fail,E0624
//! # use pecan_mem::{Link, Slot};
//! fn unchain(slot: &Slot, next: Option<Link<Slot>>) {
//!     slot.set_next(next);
//! }
//! ```
//! ```compile_fail,E0624
//! # use pecan_mem::Slot;
//! fn forget(slot: &Slot) {
//!     slot.clear();
//! }
//! ```
//! ```compile_fail,E0616
//! # use pecan_mem::Slot;
//! fn words(slot: &Slot) {
//!     slot.words[0].set(1 << 59);
//! }
//! ```
//! ```compile_fail,E0451
//! let slot = pecan_mem::Slot { words: Default::default(), prev: Default::default(), next: Default::default() };
//! ```
//!
//! # Slots that a CNode or a thread does not have
//! ```
//! # use pecan_mem::{Kernel, Link, Slot, Zombie};
//! fn slot(k: &Kernel, zombie: Zombie) -> Option<Link<Slot>> {
//!     zombie.slots(k).last().map(Slot::link)
//! }
//! ```
//! ```compile_fail,E0451
//! # use pecan_mem::{Kernel, Link, Slot, Zombie, ZombieKind};
//! fn slot(k: &Kernel, first: Link<Slot>) -> &Slot {
//!     &Zombie { kind: ZombieKind::CNode { radix: 40 }, first }.slots(k)[1 << 39]
//! }
//! ```
//! ```compile_fail,E0451
//! # use pecan_mem::{CNodeRef, Link, Slot};
//! fn slot(first: Link<Slot>) -> Link<Slot> {
//!     CNodeRef { first, radix: 40 }.slot(1 << 39)
//! }
//! ```
//! ```compile_fail,E0616
//! # use pecan_mem::CNodeRef;
//! fn widen(mut cnode: CNodeRef) {
//!     cnode.radix = 40;
//! }
//! ```
//!
//! # The same memory twice
//! ```compile_fail,E0624
//! # use pecan_mem::Words;
//! fn rewind(untyped: Words) -> Words {
//!     untyped.with_used(0)
//! }
//! ```
//! ```compile_fail,E0451
//! # use pecan_mem::{Words, retype::Batch};
//! fn larger(batch: Batch<'_>) -> Batch<'_> {
//!     Batch { size: 16, count: 64, ..batch }
//! }
//! ```
//! A batch is used up by placing it.
//! ```compile_fail,E0382
//! # use pecan_mem::{Link, Slot, derivation, retype::Batch};
//! fn twice(batch: Batch<'_>, slot: Link<Slot>) {
//!     derivation::place_one(batch, slot);
//!     derivation::place_one(batch, slot);
//! }
//! ```
//! Nothing happens to the memory before.
//! ```compile_fail,E0499
//! # use pecan_mem::{Kernel, Link, Slot, derivation, retype::{self, ObjectKind}};
//! fn both(k: &mut Kernel, untyped: Link<Slot>, slots: [Link<Slot>; 2]) {
//!     let endpoint = retype::carve(k, untyped, ObjectKind::Endpoint, 1).unwrap();
//!     while !retype::reset_step(k, untyped) {}
//!     let reply = retype::carve(k, untyped, ObjectKind::Reply, 1).unwrap();
//!     derivation::place_one(endpoint, slots[0]);
//!     derivation::place_one(reply, slots[1]);
//! }
//! ```
//! Nor to the capability to it: it can be moved only while the batch lends the lock, which the batch notices.
//! ```
//! # use pecan_mem::{Kernel, Link, Slot, derivation, retype::{self, ObjectKind}};
//! fn lent(k: &mut Kernel, untyped: Link<Slot>, slots: [Link<Slot>; 2]) {
//!     let mut endpoint = retype::carve(k, untyped, ObjectKind::Endpoint, 1).unwrap();
//!     endpoint.lend(|k| derivation::move_cap(k, untyped, slots[0]));
//!     derivation::place_one(endpoint, slots[1]);
//! }
//! ```
//! ```compile_fail,E0502
//! # use pecan_mem::{Kernel, Link, Slot, derivation, retype::{self, ObjectKind}};
//! fn moved(k: &mut Kernel, untyped: Link<Slot>, slots: [Link<Slot>; 2]) {
//!     let mut endpoint = retype::carve(k, untyped, ObjectKind::Endpoint, 1).unwrap();
//!     derivation::move_cap(k, untyped, slots[0]);
//!     derivation::place_one(endpoint, slots[1]);
//! }
//! ```
//! A batch does not give the lock away.
//! ```compile_fail
//! # use pecan_mem::{Kernel, Link, Slot, derivation, retype::Batch};
//! fn kept(batch: &mut Batch<'_>, untyped: Link<Slot>, slot: Link<Slot>) {
//!     let k: &Kernel = batch.lend(|k| k);
//!     derivation::move_cap(k, untyped, slot);
//! }
//! ```
//!
//! Memory is cleared in whole words, so nobody says by how much.
//! ```compile_fail,E0061
//! # use pecan_mem::{Kernel, Link, Slot, retype};
//! fn clear(k: &mut Kernel, untyped: Link<Slot>) {
//!     while !retype::reset_step(k, untyped, 0) {}
//! }
//! ```
//!
//! # Page-table entries that are no capability's
//! ```
//! # use pecan_arch::{CacheAttr, PageRights};
//! # use pecan_mem::{Kernel, Words, vspace::{Content, Entry}};
//! fn map(k: &Kernel, entry: Entry<'_>, frame: Words) -> bool {
//!     let rights = PageRights { read: true, write: true, execute: true };
//!     Content::frame(frame, rights, CacheAttr::WRITE_BACK).is_some_and(|content| entry.set(k, content))
//! }
//! ```
//! ```compile_fail,E0308
//! # use pecan_arch::{PageTableEntry, PhysAddr, Pte};
//! # use pecan_mem::{Kernel, vspace::Entry};
//! fn map(k: &Kernel, entry: Entry<'_>) -> bool {
//!     entry.set(k, Pte::table(PhysAddr(0x1000)))
//! }
//! ```
//! ```compile_fail,E0624
//! # use pecan_arch::{PageTableEntry, PhysAddr, Pte};
//! # use pecan_mem::PageTable;
//! fn map(table: &PageTable) {
//!     table.set_entry(511, Pte::table(PhysAddr(0x1000)));
//! }
//! ```
//! ```compile_fail,E0451
//! # use pecan_arch::{PageTableEntry, PhysAddr, Pte};
//! # use pecan_mem::vspace::Content;
//! let content = Content { pte: Pte::table(PhysAddr(0x1000)), level: 1 };
//! ```
//! A table is what its level says, which only the way to it from a root tells.
//! ```
//! # use pecan_mem::{Kernel, vspace::{Entry, Table}};
//! fn child<'k>(k: &'k Kernel, entry: Entry<'k>) -> Option<Table<'k>> {
//!     entry.child(k)
//! }
//! ```
//! ```compile_fail,E0599
//! # use pecan_arch::Pte;
//! # use pecan_mem::{Link, PageTable};
//! fn child(pte: Pte) -> Option<Link<PageTable>> {
//!     PageTable::child(pte, 1)
//! }
//! ```
//! ```compile_fail,E0451
//! # use core::marker::PhantomData;
//! # use pecan_mem::{Link, PageTable, vspace::Table};
//! fn table(link: Link<PageTable>) -> Table<'static> {
//!     Table { link, level: 3, _lock: PhantomData }
//! }
//! ```
//! ```compile_fail,E0451
//! # use core::marker::PhantomData;
//! # use pecan_mem::{Link, PageTable, vspace::Root};
//! fn root(link: Link<PageTable>) -> Root<'static> {
//!     Root { link, asid: 1, _lock: PhantomData }
//! }
//! ```
//!
//! # A table of two levels
//! Where a table is mapped its capability says, and with the level nothing else changes that.
//! ```
//! # use pecan_mem::{Kernel, Link, Slot, vspace::{Root, TablePlace}};
//! fn map(k: &Kernel, slot: Link<Slot>, root: Root<'_>) -> bool {
//!     TablePlace::find(k, slot, root, 0x1000).is_ok_and(|place| place.take(k))
//! }
//! ```
//! ```compile_fail,E0451
//! # use pecan_mem::{Link, Mapping, Slot, vspace::{Entry, TablePlace}};
//! fn lie<'k>(entry: Entry<'k>, slot: Link<Slot>, mapping: Mapping) -> TablePlace<'k> {
//!     TablePlace { entry, slot, words: pecan_mem::Words::NULL, mapping }
//! }
//! ```
//! ```compile_fail,E0624
//! # use pecan_mem::Words;
//! fn lift(table: Words) -> Words {
//!     table.table_at(Some(2), None)
//! }
//! ```
//! Nobody has an entry, a root or an address space that was found before a table was unmapped.
//! ```
//! # use pecan_mem::{Kernel, Link, Slot, vspace};
//! fn unmap(k: &mut Kernel, slot: Link<Slot>) {
//!     vspace::unmap_table(k, slot);
//!     if let Some(root) = vspace::find_root(k, 1) {
//!         k.switch_vspace(root.space());
//!     }
//! }
//! ```
//! ```compile_fail,E0502
//! # use pecan_mem::{Kernel, Link, Slot, vspace};
//! fn stale(k: &mut Kernel, slot: Link<Slot>) {
//!     let Some(root) = vspace::find_root(k, 1) else { return };
//!     vspace::unmap_table(k, slot);
//!     k.switch_vspace(root.space());
//! }
//! ```
//! ```compile_fail,E0502
//! # use pecan_mem::{Kernel, Link, Slot, vspace::{self, Entry, Root}};
//! fn stale(k: &mut Kernel, slot: Link<Slot>) {
//!     let Some(entry) = vspace::find_root(k, 1).and_then(|root| root.table().entries().next()) else { return };
//!     vspace::unmap_table(k, slot);
//!     entry.clear(k);
//! }
//! ```
//! ```compile_fail,E0502
//! # use pecan_mem::{Kernel, Link, Slot, Tcb, vspace};
//! fn stale(k: &mut Kernel, thread: Link<Tcb>, slot: Link<Slot>) {
//!     let Some(space) = thread.get(k).known_space(k) else { return };
//!     vspace::unmap_table(k, slot);
//!     k.switch_vspace(space);
//! }
//! ```
//! A root that has lost its identifier does not get it back, nor does a pool.
//! ```compile_fail,E0616
//! # use pecan_mem::{AsidPool, Link, PageTable};
//! fn assign(pool: &AsidPool, root: Link<PageTable>) {
//!     pool.roots[1].set(Some(root));
//! }
//! ```
//! ```compile_fail,E0624
//! # use pecan_mem::{AsidPool, Link, PageTable};
//! fn assign(pool: &AsidPool, root: Link<PageTable>) {
//!     pool.set_root(1, Some(root));
//! }
//! ```
//! ```
//! # use pecan_mem::Kernel;
//! fn forget(k: &Kernel) {
//!     k.global().asid_pools[0].clear();
//! }
//! ```
//! ```compile_fail,E0624
//! # use pecan_mem::{AsidPool, Kernel, Link};
//! fn again(k: &Kernel, pool: Link<AsidPool>) {
//!     k.global().asid_pools[0].set(Some(pool));
//! }
//! ```
//!
//! # An address space without a root
//! ```
//! # use pecan_mem::{Kernel, vspace::Root};
//! fn switch(k: &Kernel, root: Root<'_>) {
//!     k.switch_vspace(root.space());
//! }
//! ```
//! ```compile_fail,E0133
//! # use pecan_arch::PhysAddr;
//! fn space() -> pecan_arch::Space {
//!     pecan_arch::space(PhysAddr(0x1000), 1)
//! }
//! ```
//! ```compile_fail,E0133
//! fn switch(space: pecan_arch::Space) {
//!     pecan_arch::switch_vspace(space);
//! }
//! ```
//! ```compile_fail,E0308
//! # use pecan_mem::Kernel;
//! fn switch(k: &Kernel, space: pecan_arch::Space) {
//!     k.switch_vspace(space);
//! }
//! ```
//! ```compile_fail,E0624
//! # use pecan_mem::vspace::Space;
//! fn space(space: pecan_arch::Space) -> Space<'static> {
//!     unsafe { Space::known(space) }
//! }
//! ```
//! What a thread knows of its spaces comes from its own slots.
//! ```
//! # use pecan_mem::{Kernel, Tcb};
//! fn learn(k: &Kernel, thread: &Tcb) {
//!     thread.learn_spaces(k);
//! }
//! ```
//! ```compile_fail,E0061
//! # use pecan_mem::{CNodeRef, Kernel, Tcb};
//! fn learn(k: &Kernel, thread: &Tcb, cnode: CNodeRef) {
//!     thread.learn_spaces(k, None, Some(cnode));
//! }
//! ```
//!
//! # An object that moves
//! The token owns nothing, so nobody has an object to themselves.
//! ```
//! # use pecan_mem::{Kernel, Slot};
//! fn slot(k: &mut Kernel) -> &Slot {
//!     &k.global().irq_slots[0]
//! }
//! ```
//! ```compile_fail,E0596
//! # use pecan_mem::{Kernel, Slot};
//! fn swap(k: &mut Kernel, other: &mut Slot) {
//!     core::mem::swap(&mut k.global().irq_slots[0], other);
//! }
//! ```
//! ```compile_fail,E0507
//! # use pecan_mem::{Kernel, Link, Slot};
//! fn take(k: &Kernel, slot: Link<Slot>) -> Slot {
//!     *slot.get(k)
//! }
//! ```
//! A link followed is not alive when memory is cleared.
//! ```compile_fail,E0502
//! # use pecan_mem::{Kernel, Link, Slot, Tcb, retype};
//! fn stale(k: &mut Kernel, thread: Link<Tcb>, untyped: Link<Slot>) -> u8 {
//!     let thread = thread.get(k);
//!     retype::reset_step(k, untyped);
//!     thread.priority.get()
//! }
//! ```
//!
//! # What the running thread knew
//! It goes without asking for the epoch, so the epoch does not end while somebody looks at it.
//! ```
//! # use pecan_mem::{Kernel, Words};
//! fn look(k: &mut Kernel) -> Option<Words> {
//!     k.end_epoch();
//!     k.running().words(k, 1)
//! }
//! ```
//! ```compile_fail,E0502
//! # use pecan_mem::{Kernel, Link, Slot};
//! fn stale(k: &mut Kernel) -> Option<Link<Slot>> {
//!     let running = k.running();
//!     k.end_epoch();
//!     running.slot(1)
//! }
//! ```
//! ```compile_fail,E0596
//! # use pecan_mem::{Entered, Kernel, Tcb};
//! fn stale<'k>(entered: Entered<'k>, other: &Tcb) -> &'k mut Kernel {
//!     entered.kernel().set_current(other);
//!     entered.kernel().end_epoch();
//!     entered.settle()
//! }
//! ```
//!
//! # Words of a context that are no user registers
//! The processor returns to the privilege that a selector among them says.
//! ```
//! # use pecan_arch::{UserContext, reg};
//! fn resume_at(context: &UserContext, address: u64) {
//!     context.set(reg::NEXT_IP, address);
//! }
//! ```
//! ```compile_fail,E0423
//! # use pecan_arch::{Reg, UserContext};
//! fn privileged(context: &UserContext) {
//!     context.set(Reg(20), 8);
//! }
//! ```
