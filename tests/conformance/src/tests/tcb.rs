//! Threads: their registers, spaces, priorities and flags.

use pecan::{CNodeCapData, Error, UserContext, raw::{self, invocations as inv}};
use pecan_abi::{CPtr, CapRights, Error as Kind, Label, ObjectType, boot::slot, constants::tcb_flag};

use crate::{
    Env,
    env::{DEPTH, HIGH, LOW, ROOT, TEST, delete, invoke_as, poll, send, signal},
    start::boot_info,
    thread::{Spaces, Thread},
};

tests! {
    registers_are_read_as_written: TcbReadRegisters / NoError, TcbWriteRegisters / NoError;
    some_registers_are_read: TcbReadRegisters / NoError;
    some_registers_are_written: TcbWriteRegisters / NoError;
    dangerous_flags_are_not_written: TcbWriteRegisters / NoError;
    an_address_that_does_not_exist_becomes_zero: TcbWriteRegisters / NoError;
    a_bad_instruction_pointer_faults_in_user_mode: TcbWriteRegisters / NoError;
    reading_stops_the_thread_if_asked: TcbReadRegisters / NoError, TcbSuspend / NoError;
    reading_a_number_out_of_range: TcbReadRegisters / RangeError;
    own_registers_cannot_be_read: TcbReadRegisters / IllegalOperation;
    own_registers_cannot_be_written: TcbWriteRegisters / IllegalOperation;
    writing_starts_the_thread_if_asked: TcbWriteRegisters / NoError;
    registers_are_copied_in_two_parts: TcbCopyRegisters / NoError;
    copying_stops_and_starts: TcbCopyRegisters / NoError;
    copying_from_what_is_no_thread: TcbCopyRegisters / InvalidCapability;
    configure_sets_three_things: TcbConfigure / NoError;
    configure_with_an_unaligned_buffer: TcbConfigure / AlignmentError, TcbSetIpcBuffer / AlignmentError;
    configure_with_the_wrong_types: TcbConfigure / IllegalOperation;
    configure_with_untypeds_in_use: TcbConfigure / RevokeFirst;
    set_ipc_buffer_moves_the_buffer: TcbSetIpcBuffer / NoError;
    set_ipc_buffer_with_the_wrong_type: TcbSetIpcBuffer / IllegalOperation;
    set_ipc_buffer_with_an_untyped_in_use: TcbSetIpcBuffer / RevokeFirst;
    set_space_changes_the_cspace: TcbSetSpace / NoError;
    set_space_with_the_wrong_types: TcbSetSpace / IllegalOperation;
    set_space_with_untypeds_in_use: TcbSetSpace / RevokeFirst;
    set_space_with_a_bad_fault_endpoint: TcbSetSpace / InvalidCapability;
    set_space_looks_at_the_spaces_first: TcbSetSpace / IllegalOperation;
    set_priority_reschedules: TcbSetPriority / NoError;
    set_priority_above_the_authority: TcbSetPriority / RangeError;
    set_priority_with_a_bad_authority: TcbSetPriority / InvalidCapability;
    set_mc_priority_bounds_others: TcbSetMcPriority / NoError;
    set_mc_priority_above_the_authority: TcbSetMcPriority / RangeError;
    set_mc_priority_with_a_bad_authority: TcbSetMcPriority / InvalidCapability;
    set_sched_params_sets_everything: TcbSetSchedParams / NoError;
    set_sched_params_above_the_authority: TcbSetSchedParams / RangeError;
    set_sched_params_with_bad_capabilities: TcbSetSchedParams / InvalidCapability;
    set_sched_params_with_what_is_bound: TcbSetSchedParams / IllegalOperation;
    set_timeout_endpoint_refuses_others: TcbSetTimeoutEndpoint / InvalidCapability, TcbSetTimeoutEndpoint / NoError;
    suspend_stops_a_running_thread: TcbSuspend / NoError;
    suspend_takes_a_thread_out_of_a_queue: TcbSuspend / NoError;
    suspend_of_oneself: TcbSuspend / NoError;
    resume_restarts_a_send: TcbResume / NoError;
    a_bound_notification_wakes_a_receiver: TcbBindNotification / NoError;
    a_pending_signal_is_received_at_once: TcbBindNotification / NoError;
    binding_twice: TcbBindNotification / IllegalOperation;
    binding_what_cannot_be_bound: TcbBindNotification / IllegalOperation;
    unbinding_ends_the_wakeups: TcbUnbindNotification / NoError;
    unbinding_nothing: TcbUnbindNotification / IllegalOperation;
    set_tls_base_of_another_thread: TcbSetTlsBase / NoError;
    set_tls_base_of_oneself;
    flags_are_cleared_then_set: TcbSetFlags / NoError;
    a_thread_without_fpu_faults: TcbSetFlags / NoError;
    a_new_thread_runs_nothing;
    a_thread_without_a_scheduling_context_does_not_run: TcbResume / NoError;
    deleting_a_running_thread_stops_it: CNodeDelete / NoError;
}

const WORDS: u64 = UserContext::WORDS as u64;

fn read(tcb: CPtr) -> UserContext {
    inv::tcb_read_registers(tcb, false, 0, WORDS).expect("read registers")
}

fn write(tcb: CPtr, registers: &UserContext) {
    inv::tcb_write_registers(tcb, false, 0, WORDS, registers).expect("write registers");
}

/// Registers with a value of its own in each.
fn some_registers() -> UserContext {
    let mut words: [u64; UserContext::WORDS] = core::array::from_fn(|i| 0x1_0000 + 0x101 * i as u64);
    // Flags that every thread has: interrupts on, and the bit that is always set.
    words[2] = 0x202;
    UserContext::from_words(&words)
}

fn registers_are_read_as_written(env: &Env) {
    let tcb = env.tcb();
    let written = some_registers();
    write(tcb, &written);
    assert_eq!(read(tcb), written);
}

fn some_registers_are_read(env: &Env) {
    let tcb = env.tcb();
    let written = some_registers();
    write(tcb, &written);
    for count in [1, 2, 5, 17, 20] {
        let reply = invoke_as(tcb, Label::TcbReadRegisters, &[], &[0, count]).expect("read registers");
        assert_eq!(reply.info.length() as u64, count);
        let read: [u64; 20] = core::array::from_fn(|i| reply.word(i));
        assert_eq!(read[..count as usize], written.to_words()[..count as usize]);
    }
}

fn some_registers_are_written(env: &Env) {
    let tcb = env.tcb();
    write(tcb, &some_registers());
    // The message may have more.
    let mut words = [0x66; 22];
    words[..4].copy_from_slice(&[0, 2, 0x40_0000, 0x50_0000]);
    invoke_as(tcb, Label::TcbWriteRegisters, &[], &words).expect("write registers");
    assert_eq!(read(tcb), UserContext { rip: 0x40_0000, rsp: 0x50_0000, ..some_registers() });
    // More than there are is as many as there are.
    let mut words = [0; 26];
    words[1] = 24;
    words[2..22].copy_from_slice(&some_registers().to_words());
    invoke_as(tcb, Label::TcbWriteRegisters, &[], &words).expect("write registers");
    assert_eq!(read(tcb), some_registers());
}

fn dangerous_flags_are_not_written(env: &Env) {
    let tcb = env.tcb();
    write(tcb, &UserContext { rflags: !0, ..some_registers() });
    let flags = read(tcb).rflags;
    const INTERRUPTS: u64 = 1 << 9;
    const IOPL: u64 = 3 << 12;
    const NESTED_TASK: u64 = 1 << 14;
    const VM86: u64 = 1 << 17;
    assert_eq!(flags & INTERRUPTS, INTERRUPTS, "interrupts could be turned off");
    assert_eq!(flags & (IOPL | NESTED_TASK | VM86), 0, "system flags could be set: {flags:#x}");
    // Without hardware breakpoints, it is the arithmetic flags and the direction that can be chosen.
    assert!(pecan_abi::HARDWARE_DEBUG || flags == 0xed7, "{flags:#x}");
    write(tcb, &UserContext { rflags: 0, ..some_registers() });
    assert_eq!(read(tcb).rflags, INTERRUPTS | 2, "interrupts could be turned off");
}

fn an_address_that_does_not_exist_becomes_zero(env: &Env) {
    let tcb = env.tcb();
    let ips = [0x8000_0000_0000, 0xdead_0000_0000_0000, 0xffff_7fff_ffff_ffff, 0x7fff_ffff_ffff, 0xffff_8000_0000_0000];
    for (ip, read_back) in ips.into_iter().zip([0, 0, 0, ips[3], ips[4]]) {
        write(tcb, &UserContext { rip: ip, ..some_registers() });
        assert_eq!(read(tcb).rip, read_back, "{ip:#x}");
    }
}

/// A fault of a thread that is started at an address of another thread's choice.
fn a_bad_instruction_pointer_faults_in_user_mode(env: &Env) {
    let (fault_ep, reply) = (env.endpoint(), env.reply());
    for ip in [0xffff_ffff_8010_0000, 0x0000_8000_0000_0000, 0xdead_0000_0000_0000, 0x7fff_ffff_ffff] {
        let thread = env.thread_with(LOW, env.sched_context(10_000, 10_000), Spaces { fault_ep, ..Spaces::own() });
        let start = UserContext { rip: ip, ..thread.registers(|| 0) };
        inv::tcb_write_registers(thread.tcb, true, 0, WORDS, &start).expect("write registers");
        let fault = raw::recv(fault_ep, reply);
        // What is not canonical may be refused on the way, or reported as a page fault or a protection fault.
        assert!([3, 6].contains(&fault.info.label()), "label {} for {ip:#x}", fault.info.label());
    }
}

fn reading_stops_the_thread_if_asked(env: &Env) {
    let counter = Counter::start(env, TEST);
    raw::yield_now();
    inv::tcb_read_registers(counter.0.tcb, true, 0, WORDS).expect("read registers");
    assert!(counter.stands_still(), "the thread still runs");
}

fn reading_a_number_out_of_range(env: &Env) {
    let tcb = env.tcb();
    for count in [0, 21, 1 << 32, u64::MAX] {
        env.refused(Error::RangeError { min: 1, max: 20 }, || {
            inv::tcb_read_registers(tcb, true, 0, count).map(drop)
        });
    }
}

fn own_tcb() -> CPtr {
    raw::ThreadBlock::current().tcb
}

fn own_registers_cannot_be_read(env: &Env) {
    env.refused(Error::IllegalOperation, || inv::tcb_read_registers(own_tcb(), false, 0, WORDS).map(drop));
    env.refused(Error::IllegalOperation, || inv::tcb_read_registers(own_tcb(), true, 0, WORDS).map(drop));
}

fn own_registers_cannot_be_written(env: &Env) {
    let registers = some_registers();
    env.refused(Error::IllegalOperation, || inv::tcb_write_registers(own_tcb(), false, 0, WORDS, &registers));
}

fn writing_starts_the_thread_if_asked(env: &Env) {
    let thread = env.thread(HIGH);
    let start = thread.registers(|| 42);
    inv::tcb_write_registers(thread.tcb, false, 0, WORDS, &start).expect("write registers");
    assert!(!thread.has_returned(), "the thread ran without being resumed");
    inv::tcb_write_registers(thread.tcb, true, 0, WORDS, &start).expect("write registers");
    assert!(thread.has_returned(), "the thread has a higher priority and did not run");
    assert_eq!(thread.join(), 42);
}

/// The registers that count as the frame, and those that count as integer registers.
fn split(context: &UserContext) -> ([u64; 18], [u64; 2]) {
    let words = context.to_words();
    (core::array::from_fn(|i| words[i]), [words[18], words[19]])
}

fn registers_are_copied_in_two_parts(env: &Env) {
    let (from, to) = (env.tcb(), env.tcb());
    let (source, old) = (some_registers(), UserContext { rflags: 0x202, ..UserContext::default() });
    write(from, &source);
    write(to, &old);
    inv::tcb_copy_registers(to, from, false, false, false, false, 0).expect("copy nothing");
    assert_eq!(read(to), old);
    inv::tcb_copy_registers(to, from, false, false, true, false, 0).expect("copy the frame");
    let frame = read(to);
    assert_eq!((frame.rip, frame.rsp, frame.rflags), (source.rip, source.rsp, source.rflags));
    assert_ne!(frame, old);
    inv::tcb_copy_registers(to, from, false, false, true, true, 0).expect("copy both");
    let (copied, _) = split(&read(to));
    assert_eq!(copied, split(&source).0);
    assert_eq!(read(from), source, "the source has changed");
}

fn copying_stops_and_starts(env: &Env) {
    let source = Counter::start(env, TEST);
    let target = env.thread(HIGH);
    write(target.tcb, &target.registers(|| 11));
    raw::yield_now();
    inv::tcb_copy_registers(target.tcb, source.0.tcb, true, true, false, false, 0).expect("copy registers");
    assert_eq!(target.join(), 11, "the target was not started where it was");
    assert!(source.stands_still(), "the source still runs");
}

fn copying_from_what_is_no_thread(env: &Env) {
    let (tcb, endpoint, empty) = (env.tcb(), env.endpoint(), env.slot());
    for source in [endpoint, ROOT] {
        env.refused(Error::InvalidCapability { index: 1 }, || {
            inv::tcb_copy_registers(tcb, source, true, true, true, true, 0)
        });
    }
    env.refused_as(Kind::InvalidCapability, || inv::tcb_copy_registers(tcb, empty, false, false, true, true, 0));
}

fn configure_sets_three_things(env: &Env) {
    // A thread that sends a message of eight words through an endpoint that only its own CSpace has at this address.
    let (endpoint, cspace, reply) = (env.endpoint(), env.cnode(4), env.reply());
    inv::cnode_copy(cspace.cap, 3, 4, ROOT, endpoint, DEPTH, CapRights::ALL).expect("copy");
    let spaces = Spaces { cspace: cspace.cap, guard: CNodeCapData::new(0, 60).0, ..Spaces::own() };
    let thread = env.thread_with(LOW, env.sched_context(10_000, 10_000), spaces);
    thread.start(|| {
        send(3, 9, &[1, 2, 3, 4, 5, 6, 7, 8]);
        loop {
            core::hint::spin_loop();
        }
    });
    let received = raw::recv(endpoint, reply);
    assert_eq!((received.info.label(), received.info.length()), (9, 8));
    assert!((0..8).all(|i| received.word(i) == i as u64 + 1));
}

/// Calls configure or one of its parts with one capability in the place of the right one.
struct Wrong {
    tcb: CPtr,
    frame: CPtr,
}

impl Wrong {
    fn new(env: &Env) -> Self {
        Wrong { tcb: env.tcb(), frame: env.frame() }
    }

    fn configure(&self, cspace: CPtr, guard: u64, vspace: CPtr, buffer: u64, frame: CPtr) -> pecan::Result<()> {
        inv::tcb_configure(self.tcb, cspace, guard, vspace, 0, buffer, frame)
    }
}

const VSPACE: CPtr = slot::INIT_THREAD_VSPACE;
/// An address for an IPC buffer.
const BUFFER: u64 = 0x10_0000;

fn configure_with_an_unaligned_buffer(env: &Env) {
    let wrong = Wrong::new(env);
    for off in [1, 8, 512] {
        env.refused(Error::AlignmentError, || wrong.configure(ROOT, 0, VSPACE, BUFFER + off, wrong.frame));
        env.refused(Error::AlignmentError, || inv::tcb_set_ipc_buffer(wrong.tcb, BUFFER + off, wrong.frame));
    }
    wrong.configure(ROOT, 0, VSPACE, BUFFER + 1024, wrong.frame).expect("aligned to the buffer's size");
}

fn device_frame(env: &Env) -> CPtr {
    let bi = boot_info();
    let device = bi.untyped_list[..bi.untyped.len() as usize].iter().position(|u| u.is_device != 0);
    let dest = env.slot();
    let device = bi.untyped.start + device.expect("a PC has device memory") as u64;
    inv::untyped_retype(device, ObjectType::Page4K.word(), 0, ROOT, 0, 0, dest, 1).expect("retype");
    dest
}

fn configure_with_the_wrong_types(env: &Env) {
    let wrong = Wrong::new(env);
    let (endpoint, device) = (env.endpoint(), device_frame(env));
    let unassigned = env.object(ObjectType::VSPACE);
    let illegal = |call: &dyn Fn() -> pecan::Result<()>| env.refused(Error::IllegalOperation, call);
    illegal(&|| wrong.configure(endpoint, 0, VSPACE, BUFFER, wrong.frame));
    illegal(&|| wrong.configure(ROOT, 0, endpoint, BUFFER, wrong.frame));
    illegal(&|| wrong.configure(ROOT, 0, unassigned, BUFFER, wrong.frame));
    illegal(&|| wrong.configure(ROOT, CNodeCapData::new(0, 58).0, VSPACE, BUFFER, wrong.frame));
    illegal(&|| wrong.configure(ROOT, 0, VSPACE, BUFFER, endpoint));
    illegal(&|| wrong.configure(ROOT, 0, VSPACE, BUFFER, device));
}

/// An untyped that has a child, so that it cannot be derived.
fn untyped_in_use(env: &Env) -> CPtr {
    let (untyped, child) = (env.child_untyped(12), env.slot());
    inv::untyped_retype(untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, child, 1).expect("retype");
    untyped
}

fn configure_with_untypeds_in_use(env: &Env) {
    let (wrong, untyped) = (Wrong::new(env), untyped_in_use(env));
    env.refused(Error::RevokeFirst, || wrong.configure(untyped, 0, VSPACE, BUFFER, wrong.frame));
    env.refused(Error::RevokeFirst, || wrong.configure(ROOT, 0, untyped, BUFFER, wrong.frame));
    env.refused(Error::RevokeFirst, || wrong.configure(ROOT, 0, VSPACE, BUFFER, untyped));
}

fn set_ipc_buffer_moves_the_buffer(env: &Env) {
    let (endpoint, reply, frame) = (env.endpoint(), env.reply(), env.frame());
    let mapped = env.map(frame);
    let thread = env.spawn(HIGH, move || {
        raw::recv(endpoint, reply);
        0
    });
    // The second half of the page: the message must arrive there.
    let shared = env.copy(frame);
    inv::tcb_set_ipc_buffer(thread.tcb, mapped.0 + 2048, shared).expect("set the IPC buffer");
    send(endpoint, 0, &[0, 1, 2, 3, 44, 55]);
    assert_eq!((mapped.read(256 + 5), mapped.read(256 + 6)), (44, 55));
    // Without a buffer only what fits the registers arrives.
    let thread = env.spawn(HIGH, move || raw::recv(endpoint, reply).info.length() as u64);
    inv::tcb_set_ipc_buffer(thread.tcb, 0, 0).expect("take the IPC buffer away");
    send(endpoint, 0, &[0, 1, 2, 3, 4, 5]);
    assert!(thread.has_returned());
    assert_eq!(thread.join(), 4);
}

fn set_ipc_buffer_with_the_wrong_type(env: &Env) {
    let wrong = Wrong::new(env);
    let (endpoint, device) = (env.endpoint(), device_frame(env));
    for frame in [endpoint, ROOT, device] {
        env.refused(Error::IllegalOperation, || inv::tcb_set_ipc_buffer(wrong.tcb, BUFFER, frame));
    }
}

fn set_ipc_buffer_with_an_untyped_in_use(env: &Env) {
    let (wrong, untyped) = (Wrong::new(env), untyped_in_use(env));
    env.refused(Error::RevokeFirst, || inv::tcb_set_ipc_buffer(wrong.tcb, BUFFER, untyped));
}

fn set_space_changes_the_cspace(env: &Env) {
    let (first, second, cspace) = (env.notification(), env.notification(), env.cnode(4));
    let (first, second_badged) = (env.mint(first, 1), env.mint(second, 2));
    // In the other CSpace the address of `first` means something else.
    inv::cnode_copy(cspace.cap, first & 15, 4, ROOT, second_badged, DEPTH, CapRights::ALL).expect("copy");
    let thread = env.thread(HIGH);
    let guard = CNodeCapData::new(first >> 4, 60).0;
    inv::tcb_set_space(thread.tcb, 0, cspace.cap, guard, VSPACE, 0).expect("set space");
    thread.start(move || {
        signal(first);
        0
    });
    assert_eq!((poll(first), poll(second)), (0, 2));
}

fn set_space_with_the_wrong_types(env: &Env) {
    let wrong = Wrong::new(env);
    let endpoint = env.endpoint();
    let unassigned = env.object(ObjectType::VSPACE);
    let set = |cspace, guard, vspace| inv::tcb_set_space(wrong.tcb, 0, cspace, guard, vspace, 0);
    env.refused(Error::IllegalOperation, || set(endpoint, 0, VSPACE));
    env.refused(Error::IllegalOperation, || set(ROOT, 0, endpoint));
    env.refused(Error::IllegalOperation, || set(ROOT, 0, unassigned));
    env.refused(Error::IllegalOperation, || set(ROOT, CNodeCapData::new(0, 58).0, VSPACE));
}

fn set_space_with_untypeds_in_use(env: &Env) {
    let (wrong, untyped) = (Wrong::new(env), untyped_in_use(env));
    env.refused(Error::RevokeFirst, || inv::tcb_set_space(wrong.tcb, 0, untyped, 0, VSPACE, 0));
    env.refused(Error::RevokeFirst, || inv::tcb_set_space(wrong.tcb, 0, ROOT, 0, untyped, 0));
}

/// Capabilities that cannot be fault endpoints.
fn bad_fault_endpoints(env: &Env) -> [CPtr; 5] {
    let endpoint = env.endpoint();
    [
        env.notification(),
        ROOT,
        env.copy_with(endpoint, CapRights::NO_WRITE),
        env.copy_with(endpoint, CapRights::READ_WRITE),
        env.copy_with(endpoint, CapRights::GRANT),
    ]
}

fn set_space_with_a_bad_fault_endpoint(env: &Env) {
    let wrong = Wrong::new(env);
    for bad in bad_fault_endpoints(env) {
        env.refused_as(Kind::InvalidCapability, || inv::tcb_set_space(wrong.tcb, bad, ROOT, 0, VSPACE, 0));
    }
    // Either of the two rights to grant will do.
    let endpoint = env.endpoint();
    for rights in [CapRights::WRITE.or(CapRights::GRANT), CapRights::WRITE.or(CapRights::GRANT_REPLY)] {
        let good = env.copy_with(endpoint, rights);
        inv::tcb_set_space(wrong.tcb, good, ROOT, 0, VSPACE, 0).expect("set space");
    }
}

fn set_space_looks_at_the_spaces_first(env: &Env) {
    let (tcb, bad, endpoint) = (env.tcb(), env.notification(), env.endpoint());
    for (cspace, vspace) in [(endpoint, VSPACE), (ROOT, endpoint), (0, VSPACE), (ROOT, 0)] {
        env.refused(Error::IllegalOperation, || inv::tcb_set_space(tcb, bad, cspace, 0, vspace, 0));
    }
    env.refused(Error::InvalidCapability { index: 1 }, || inv::tcb_set_space(tcb, bad, ROOT, 0, VSPACE, 0));
}

const AUTHORITY: CPtr = slot::INIT_THREAD_TCB;

fn set_priority_reschedules(env: &Env) {
    let thread = env.spawn(LOW, || 1);
    assert!(!thread.has_returned());
    inv::tcb_set_priority(thread.tcb, AUTHORITY, HIGH).expect("set priority");
    assert!(thread.has_returned(), "a thread of a higher priority did not run at once");
    assert_eq!(thread.join(), 1);
}

/// A thread whose maximum controlled priority is `mcp`, as an authority.
fn authority(env: &Env, mcp: u64) -> CPtr {
    let tcb = env.tcb();
    inv::tcb_set_mc_priority(tcb, AUTHORITY, mcp).expect("set MCP");
    tcb
}

fn set_priority_above_the_authority(env: &Env) {
    let (tcb, authority) = (env.tcb(), authority(env, 50));
    for priority in [51, 255, 256, u64::MAX] {
        env.refused(Error::RangeError { min: 0, max: 50 }, || inv::tcb_set_priority(tcb, authority, priority));
    }
    inv::tcb_set_priority(tcb, authority, 50).expect("set priority");
    env.refused(Error::RangeError { min: 0, max: 255 }, || inv::tcb_set_priority(tcb, AUTHORITY, 256));
}

fn set_priority_with_a_bad_authority(env: &Env) {
    let (tcb, endpoint) = (env.tcb(), env.endpoint());
    for bad in [endpoint, ROOT] {
        env.refused(Error::InvalidCapability { index: 1 }, || inv::tcb_set_priority(tcb, bad, 1));
    }
}

fn set_mc_priority_bounds_others(env: &Env) {
    let (first, second) = (authority(env, 30), env.tcb());
    inv::tcb_set_mc_priority(second, first, 30).expect("set MCP");
    env.refused(Error::RangeError { min: 0, max: 30 }, || inv::tcb_set_priority(second, second, 31));
    // Lowering one's own is final.
    inv::tcb_set_mc_priority(second, second, 10).expect("set MCP");
    env.refused(Error::RangeError { min: 0, max: 10 }, || inv::tcb_set_mc_priority(second, second, 11));
}

fn set_mc_priority_above_the_authority(env: &Env) {
    let (tcb, authority) = (env.tcb(), authority(env, 50));
    for mcp in [51, 255, 256, u64::MAX] {
        env.refused(Error::RangeError { min: 0, max: 50 }, || inv::tcb_set_mc_priority(tcb, authority, mcp));
    }
}

fn set_mc_priority_with_a_bad_authority(env: &Env) {
    let (tcb, endpoint) = (env.tcb(), env.endpoint());
    env.refused(Error::InvalidCapability { index: 1 }, || inv::tcb_set_mc_priority(tcb, endpoint, 1));
}

fn set_sched_params_sets_everything(env: &Env) {
    let (fault_ep, reply) = (env.endpoint(), env.reply());
    let thread = env.passive_thread(LOW);
    thread.start(|| {
        // SAFETY: raises an exception, which the test waits for.
        unsafe { core::arch::asm!("ud2") };
        0
    });
    let sc = env.sched_context(5_000, 5_000);
    inv::tcb_set_sched_params(thread.tcb, AUTHORITY, 33, HIGH, sc, fault_ep).expect("set scheduling parameters");
    // It ran at once and faulted to the new endpoint.
    let fault = raw::nb_recv(fault_ep, reply);
    assert_eq!(fault.info.label(), 3, "no fault has arrived");
    env.refused(Error::RangeError { min: 0, max: 33 }, || inv::tcb_set_priority(thread.tcb, thread.tcb, 34));
    let other = env.tcb();
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(sc, other));
}

fn set_sched_params_above_the_authority(env: &Env) {
    let (tcb, authority) = (env.tcb(), authority(env, 50));
    let set = |mcp, priority| inv::tcb_set_sched_params(tcb, authority, mcp, priority, 0, 0);
    env.refused(Error::RangeError { min: 0, max: 50 }, || set(51, 1));
    env.refused(Error::RangeError { min: 0, max: 50 }, || set(1, 51));
    env.refused(Error::RangeError { min: 0, max: 50 }, || set(u64::MAX, u64::MAX));
}

fn set_sched_params_with_bad_capabilities(env: &Env) {
    let (tcb, endpoint) = (env.tcb(), env.endpoint());
    env.refused(Error::InvalidCapability { index: 1 }, || {
        inv::tcb_set_sched_params(tcb, endpoint, 1, 1, 0, 0)
    });
    env.refused(Error::InvalidCapability { index: 2 }, || {
        inv::tcb_set_sched_params(tcb, AUTHORITY, 1, 1, endpoint, 0)
    });
    for bad in bad_fault_endpoints(env) {
        env.refused_as(Kind::InvalidCapability, || inv::tcb_set_sched_params(tcb, AUTHORITY, 1, 1, 0, bad));
    }
}

fn set_sched_params_with_what_is_bound(env: &Env) {
    let (tcb, other, notification) = (env.tcb(), env.tcb(), env.notification());
    let (mine, others, signals) =
        (env.sched_context(5_000, 5_000), env.sched_context(5_000, 5_000), env.sched_context(5_000, 5_000));
    inv::sched_context_bind(mine, tcb).expect("bind");
    inv::sched_context_bind(others, other).expect("bind");
    inv::sched_context_bind(signals, notification).expect("bind");
    let set = |tcb, sc| inv::tcb_set_sched_params(tcb, AUTHORITY, 1, 1, sc, 0);
    env.refused(Error::IllegalOperation, || set(tcb, others));
    let free = env.sched_context(5_000, 5_000);
    env.refused(Error::IllegalOperation, || set(tcb, free));
    // The one that it has will do.
    set(tcb, mine).expect("the same scheduling context again");
    // The current thread cannot lose its own.
    env.refused_as(Kind::IllegalOperation, || set(own_tcb(), 0));
    set(tcb, 0).expect("none");
    set(tcb, others).expect_err("still bound to the other thread");
}

fn set_timeout_endpoint_refuses_others(env: &Env) {
    let tcb = env.tcb();
    for bad in bad_fault_endpoints(env) {
        env.refused_as(Kind::InvalidCapability, || inv::tcb_set_timeout_endpoint(tcb, bad));
    }
    let endpoint = env.endpoint();
    inv::tcb_set_timeout_endpoint(tcb, endpoint).expect("set the timeout endpoint");
    inv::tcb_set_timeout_endpoint(tcb, 0).expect("take it away");
}

/// A thread that counts as fast as it can.
struct Counter(Thread);

static COUNT: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

impl Counter {
    fn start(env: &Env, priority: u64) -> Self {
        let thread = env.thread(priority.min(TEST));
        thread.start(|| {
            loop {
                COUNT.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
            }
        });
        Counter(thread)
    }

    fn count() -> u64 {
        COUNT.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Whether it does not count even when we let it.
    fn stands_still(&self) -> bool {
        let before = Self::count();
        raw::yield_now();
        raw::yield_now();
        Self::count() == before
    }
}

fn suspend_stops_a_running_thread(env: &Env) {
    let counter = Counter::start(env, TEST);
    assert!(!counter.stands_still(), "a thread of the same priority does not run");
    inv::tcb_suspend(counter.0.tcb).expect("suspend");
    assert!(counter.stands_still(), "a suspended thread runs");
    let before = env.snapshot();
    inv::tcb_suspend(counter.0.tcb).expect("suspend again");
    before.same(env);
    inv::tcb_resume(counter.0.tcb).expect("resume");
    assert!(!counter.stands_still(), "a resumed thread does not run");
}

fn suspend_takes_a_thread_out_of_a_queue(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let badged = env.mint(endpoint, 8);
    let senders: [Thread; 3] = [1, 2, 3].map(|word| {
        env.spawn(HIGH, move || {
            send(badged, 0, &[word]);
            word
        })
    });
    inv::tcb_suspend(senders[1].tcb).expect("suspend");
    assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 1);
    assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 3, "the suspended sender is still in the queue");
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0);
    assert_eq!((senders[0].join(), senders[2].join()), (1, 3));
}

fn suspend_of_oneself(env: &Env) {
    let thread = env.spawn(HIGH, || {
        inv::tcb_suspend(own_tcb()).expect("suspend");
        9
    });
    assert!(!thread.has_returned());
    // Resumed, it would suspend itself again; started elsewhere, it goes on there.
    thread.start(|| 10);
    assert_eq!(thread.join(), 10);
}

fn resume_restarts_a_send(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let badged = env.mint(endpoint, 8);
    let thread = env.spawn(HIGH, move || {
        send(badged, 3, &[4, 5]);
        6
    });
    inv::tcb_suspend(thread.tcb).expect("suspend");
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0);
    inv::tcb_resume(thread.tcb).expect("resume");
    let received = raw::nb_recv(endpoint, reply);
    assert_eq!((received.info.label(), received.regs[1]), (3, 5), "the send was not done again");
    assert_eq!(thread.join(), 6);
}

/// A thread that has the notification bound and receives on an endpoint; it returns the badge that it got.
fn bound_receiver(env: &Env, endpoint: CPtr, notification: CPtr) -> Thread {
    let (thread, reply) = (env.thread(HIGH), env.reply());
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || raw::recv(endpoint, reply).badge);
    thread
}

fn a_bound_notification_wakes_a_receiver(env: &Env) {
    let (endpoint, notification) = (env.endpoint(), env.notification());
    let badged = env.mint(notification, 0x77);
    let thread = bound_receiver(env, endpoint, notification);
    assert!(!thread.has_returned());
    signal(badged);
    assert_eq!(thread.join(), 0x77);
    inv::tcb_unbind_notification(thread.tcb).expect("unbind");
    assert_eq!(poll(notification), 0, "the signal was delivered twice");
    // A message still arrives as well.
    let notification = env.notification();
    let thread = bound_receiver(env, endpoint, notification);
    send(env.mint(endpoint, 0x99), 0, &[]);
    assert_eq!(thread.join(), 0x99);
}

fn a_pending_signal_is_received_at_once(env: &Env) {
    let (endpoint, notification) = (env.endpoint(), env.notification());
    signal(env.mint(notification, 0x55));
    let thread = bound_receiver(env, endpoint, notification);
    assert!(thread.has_returned(), "the receiver waits although its notification is signalled");
    assert_eq!(thread.join(), 0x55);
}

fn binding_twice(env: &Env) {
    let (tcb, other, notification, second) = (env.tcb(), env.tcb(), env.notification(), env.notification());
    inv::tcb_bind_notification(tcb, notification).expect("bind");
    env.refused(Error::IllegalOperation, || inv::tcb_bind_notification(tcb, notification));
    env.refused(Error::IllegalOperation, || inv::tcb_bind_notification(tcb, second));
    env.refused(Error::IllegalOperation, || inv::tcb_bind_notification(other, notification));
    inv::tcb_bind_notification(other, second).expect("the second is still free");
}

fn binding_what_cannot_be_bound(env: &Env) {
    let (tcb, notification, endpoint) = (env.tcb(), env.notification(), env.endpoint());
    let write_only = env.copy_with(notification, CapRights::WRITE);
    env.refused(Error::IllegalOperation, || inv::tcb_bind_notification(tcb, write_only));
    env.refused(Error::IllegalOperation, || inv::tcb_bind_notification(tcb, endpoint));
    // Somebody waits for it.
    env.spawn(HIGH, move || raw::wait(notification).badge);
    env.refused(Error::IllegalOperation, || inv::tcb_bind_notification(tcb, notification));
}

fn unbinding_ends_the_wakeups(env: &Env) {
    let (endpoint, notification) = (env.endpoint(), env.notification());
    let badged = env.mint(notification, 1);
    let thread = bound_receiver(env, endpoint, notification);
    inv::tcb_unbind_notification(thread.tcb).expect("unbind");
    signal(badged);
    assert!(!thread.has_returned(), "the unbound notification woke the thread");
    assert_eq!(poll(notification), 1);
    let other = env.tcb();
    inv::tcb_bind_notification(other, notification).expect("the notification is free again");
}

fn unbinding_nothing(env: &Env) {
    let tcb = env.tcb();
    env.refused(Error::IllegalOperation, || inv::tcb_unbind_notification(tcb));
}

fn tls_base() -> u64 {
    raw::ThreadBlock::current() as *const _ as u64
}

fn set_tls_base_of_another_thread(env: &Env) {
    let go = env.notification();
    let thread = env.spawn(HIGH, move || {
        raw::wait(go);
        tls_base()
    });
    // A block that looks like the thread's own, somewhere else.
    let mapped = env.map(env.frame());
    let own = crate::start::Memory::of(thread.index).tls_base();
    for word in 0..8 {
        // SAFETY: the thread's block is mapped and the thread waits.
        mapped.write(word, unsafe { ((own + 8 * word) as *const u64).read() });
    }
    mapped.write(0, mapped.0);
    inv::tcb_set_tls_base(thread.tcb, mapped.0).expect("set TLS base");
    assert_eq!(read(thread.tcb).fs_base, mapped.0);
    signal(go);
    assert_eq!(thread.join(), mapped.0);
}

fn set_tls_base_of_oneself(env: &Env) {
    let block = env.map(env.frame());
    let own = tls_base();
    for word in 0..8 {
        // SAFETY: our own block.
        block.write(word, unsafe { ((own + 8 * word) as *const u64).read() });
    }
    block.write(0, block.0);
    // SAFETY: the copy is as good a block as the original.
    unsafe { raw::set_tls_base(block.0) };
    let now = tls_base();
    // SAFETY: back to the original.
    unsafe { raw::set_tls_base(own) };
    assert_eq!((now, tls_base()), (block.0, own));
}

fn flags_are_cleared_then_set(env: &Env) {
    let tcb = env.tcb();
    let set = |clear, set| inv::tcb_set_flags(tcb, clear, set).expect("set flags");
    assert_eq!(set(0, 0), tcb_flag::NONE, "a new thread has flags");
    assert_eq!(set(0, tcb_flag::FPU_DISABLED), tcb_flag::FPU_DISABLED);
    assert_eq!(set(0, 0), tcb_flag::FPU_DISABLED);
    assert_eq!(set(tcb_flag::FPU_DISABLED, tcb_flag::FPU_DISABLED), tcb_flag::FPU_DISABLED);
    assert_eq!(set(!0, 0), tcb_flag::NONE);
    assert_eq!(set(0, !tcb_flag::MASK), tcb_flag::NONE, "flags that do not exist are ignored");
}

fn a_thread_without_fpu_faults(env: &Env) {
    let (fault_ep, reply) = (env.endpoint(), env.reply());
    let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), Spaces { fault_ep, ..Spaces::own() });
    inv::tcb_set_flags(thread.tcb, 0, tcb_flag::FPU_DISABLED).expect("set flags");
    thread.start(|| {
        let out: u64;
        // SAFETY: uses a vector register, which the compiler does not use here.
        unsafe { core::arch::asm!("mov {0}, 77", "movq xmm0, {0}", "movq {0}, xmm0", out(reg) out) };
        out
    });
    let fault = raw::nb_recv(fault_ep, reply);
    assert_eq!((fault.info.label(), fault.regs[3]), (3, 7), "expected exception 7, device not available");
    // With the flag cleared the instruction can be done.
    inv::tcb_set_flags(thread.tcb, tcb_flag::FPU_DISABLED, 0).expect("set flags");
    send(reply, 0, &[]);
    assert_eq!(thread.join(), 77);
}

fn a_new_thread_runs_nothing(env: &Env) {
    let tcb = env.tcb();
    let registers = read(tcb);
    assert_eq!((registers.rip, registers.rsp, registers.rax, registers.fs_base), (0, 0, 0, 0));
}

fn a_thread_without_a_scheduling_context_does_not_run(env: &Env) {
    let thread = env.passive_thread(HIGH);
    thread.start(|| 3);
    assert!(!thread.has_returned());
    inv::tcb_resume(thread.tcb).expect("resume");
    assert!(!thread.has_returned(), "it ran on no time at all");
    inv::sched_context_bind(env.sched_context(1_000, 1_000), thread.tcb).expect("bind");
    assert_eq!(thread.join(), 3);
}

fn deleting_a_running_thread_stops_it(env: &Env) {
    let counter = Counter::start(env, TEST);
    assert!(!counter.stands_still());
    let copied = env.copy(counter.0.tcb);
    delete(counter.0.tcb).expect("delete");
    assert!(!counter.stands_still(), "a thread with a capability left was stopped");
    delete(copied).expect("delete");
    assert!(counter.stands_still(), "the thread runs without a capability to it");
}
