//! What a program on Pecan uses: typed capabilities, messages, and allocators of slots and memory.
//!
//! - [`Cap`] is the address of a capability together with the type of what it refers to; the methods of each
//!   type are the invocations it answers.
//! - [`ipc`] builds and reads messages; [`fault`] reads those that the kernel sends about a thread,
//!   and [`stack`] finds out who called what on a stack.
//! - [`boot`] is what a root task is given, [`startup`] what any other program is given.
//! - [`cspace`], [`memory`] and [`alloc`] hand out slots, untyped memory, and objects made of both;
//!   [`vspace`] maps frames and [`thread`] starts threads.
//! - [`raw`] has the system calls as they are, and one function for each invocation.
//!
//! # What is `unsafe`
//!
//! A capability can be to the program's own memory, threads or CSpace; then what is done to it is done to the program. So what
//! can take away, change or hand to others what the program's own code relies on is an unsafe function, and says what to see
//! to. What acts on foreign objects only, or can only stop or slow a thread, is safe. In particular:
//!
//! - A [`Cap`] of type `T` is a promise that what it names is a `T`, or foreign. Making one of a number, or taking it for
//!   another type, is unsafe ([`Cap::new`], [`Cap::cast`], [`Slot::cap`]). A message that is sent is then never an invocation
//!   in disguise.
//! - Emptying a slot ([`Slot::delete`], [`Slot::revoke`], [`Slot::move_from`], ...) is unsafe: memory can go with it, and names
//!   that are left may soon name something else.
//! - Mapping and unmapping frames is unsafe, but for frames that are made for it. [`vspace::OwnSpace`] is this program's
//!   address space, [`vspace::AddressSpace`] another's, so that the two are not taken for one another.
//! - Writing registers, or choosing who answers a thread's faults and so can write them, is unsafe.
//!   [`thread::Thread`] does it right for threads of this program.
//! - Memory that others write is read by atomics or volatile.
//!
//! Not promised: that memory is there. A stack that is too deep, or a supervisor that takes memory back, ends in a fault, which
//! stops the thread. Devices that access memory by themselves do what their registers say: what is written there is the
//! driver's responsibility, and an IOMMU's.
//!
//! ```compile_fail,E0133
//! // The number of some capability is no promise.
//! pecan::Cap::<pecan::types::Endpoint>::new(7).call(&pecan::Message::empty(0));
//! ```
//! ```compile_fail,E0133
//! // A thread of this program would go on somewhere else.
//! pecan::boot::TCB.write_registers(true, &pecan::UserContext::default()).ok();
//! ```
//! ```compile_fail,E0133
//! // The IPC buffer would be gone.
//! pecan::boot::IPC_BUFFER.unmap().ok();
//! ```
//! ```compile_fail,E0133
//! // So would it here.
//! pecan::boot::CNODE.slot(pecan::boot::IPC_BUFFER.cptr()).delete().ok();
//! ```
//! ```compile_fail,E0133
//! // Some system calls set the TLS base.
//! pecan::raw::any_syscall(-25, 0, pecan::MessageInfo(0), [0; 4], 0, 0);
//! ```
//! ```compile_fail,E0133
//! // A message to a thread's capability is an invocation.
//! pecan::raw::call(1, pecan::MessageInfo(0), [0; 4]);
//! ```
//! ```compile_fail,E0382
//! # fn example(region: pecan::memory::Region) {
//! // A copy would count on its own, and say wrong physical addresses.
//! let copy = region;
//! region.available();
//! # }
//! ```
//! ```compile_fail,E0308
//! # fn example(objects: &mut pecan::alloc::Objects<'_>, other: &mut pecan::vspace::AddressSpace, params: &pecan::thread::ThreadParams) {
//! // Its stack would be written here at addresses of another program.
//! pecan::thread::Thread::create(objects, other, params).ok();
//! # }
//! ```
//! ```compile_fail,E0277
//! // The block is the thread's own: nobody else can have a reference to it.
//! fn send<T: Send>(_: T) {}
//! send(pecan::raw::ThreadBlock::current());
//! ```
//! ```compile_fail,E0133
//! # fn example(page: pecan::startup::Startup<'static>) {
//! // Whatever is called so need not be an endpoint.
//! page.cap::<pecan::types::Endpoint>("tcb");
//! # }
//! ```
//!
//! A thread must have a [`raw::ThreadBlock`] before it uses any of this; `pecan-runtime` sees to that.
#![no_std]

pub mod alloc;
pub mod arch;
pub mod boot;
mod cap;
pub mod cspace;
mod error;
pub mod fault;
pub mod ipc;
pub mod memory;
mod objects;
pub mod raw;
pub mod stack;
pub mod startup;
pub mod thread;
pub mod vspace;

#[allow(unused_imports, reason = "not every architecture has some of its own")]
pub use arch::objects::*;
pub use cap::{Cap, CapType, FixedSize, FrameType, Object, types};
pub use cspace::Slot;
pub use error::{Error, LookupFailure, Result};
pub use ipc::{LongMessage, Message, Outgoing, Received};
pub use objects::{CSpaceRoot, Priorities, SchedParams};
pub use pecan_abi as abi;
pub use pecan_abi::{CNodeCapData, CPtr, CapRights, MessageInfo, ObjectType, UserContext};
