//! Threads, their faults and their time.

use core::arch::asm;

use pecan::{
    CSpaceRoot, Cap, CapRights, Error, LongMessage, Message, Priorities, SchedParams, UserContext,
    alloc::Objects,
    boot,
    fault::Fault,
    thread::{Room, Thread},
    types::{Endpoint, Notification, Reply, SchedContext, Tcb},
    vspace::{AddressSpace, PAGE_SIZE, Window},
};

use crate::{Failure, Test, check, env::Env};

pub const TESTS: &[Test] = &[
    ("an_invalid_instruction_is_reported", invalid_instruction),
    ("a_null_pointer_is_reported_with_its_address", null_pointer),
    ("a_stack_overflow_hits_the_page_below_the_stack", stack_overflow),
    ("a_division_by_zero_is_reported", division_by_zero),
    ("a_system_call_that_does_not_exist_is_reported", unknown_syscall),
    ("an_empty_slot_is_reported", empty_slot),
    ("a_fault_can_be_mended_by_its_handler", mended_fault),
    ("registers_are_read_and_written", registers),
    ("a_thread_is_destroyed_and_its_room_used_again", room),
    ("a_thread_that_cannot_be_made_leaves_nothing_behind", failed_thread),
    ("threads_have_budgets_of_their_own", own_budgets),
    ("time_that_was_used_is_counted", time_is_counted),
    ("a_thread_that_runs_out_of_time_is_reported", timeout),
    ("a_thread_runs_in_an_address_space_of_its_own", own_space),
];

/// Starts a thread and returns its first fault, with the thread and what its handler needs to answer.
fn fault_of(
    env: &mut Env<'_>,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
) -> Result<(Fault, Thread, Cap<Endpoint>, Cap<Reply>), Failure> {
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let handler = objects.mint(endpoint, CapRights::ALL, 11)?;
    let reply = objects.make::<Reply>()?;
    let thread = env.thread(entry, argument, handler)?;
    thread.start()?;
    let mut received = LongMessage::new(0);
    check!(endpoint.recv_long(reply, &mut received) == 11);
    match Fault::from_message(&received) {
        Some(fault) => Ok((fault, thread, endpoint, reply)),
        None => Err(Failure::Check("the message is a fault")),
    }
}

extern "C" fn does_ud2(_: usize) -> ! {
    // SAFETY: it only raises an exception.
    unsafe { asm!("ud2", options(noreturn)) }
}

fn invalid_instruction(env: &mut Env<'_>) -> Result<(), Failure> {
    let (fault, thread, ..) = fault_of(env, does_ud2, 0)?;
    let Fault::UserException { ip, sp, number, .. } = fault else {
        return Err(Failure::Check("a processor exception"));
    };
    check!(number == 6 && Fault::exception_name(number) == "invalid opcode");
    let registers = thread.tcb.read_registers(false)?;
    check!(registers.rip == ip && registers.rsp == sp);
    check!((ip as usize).wrapping_sub(does_ud2 as *const () as usize) < 64);
    Ok(())
}

extern "C" fn reads_from(address: usize) -> ! {
    // SAFETY: there is nothing there, which is the point: the thread stops here.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) address => _) };
    does_ud2(0)
}

fn null_pointer(env: &mut Env<'_>) -> Result<(), Failure> {
    let (fault, ..) = fault_of(env, reads_from, 0x18)?;
    check!(matches!(fault, Fault::Vm { addr: 0x18, instruction: false, .. }));
    Ok(())
}

extern "C" fn overflows(_: usize) -> ! {
    // SAFETY: it pushes until the stack ends, and stops there.
    unsafe { asm!("2: push rax", "jmp 2b", options(noreturn)) }
}

fn stack_overflow(env: &mut Env<'_>) -> Result<(), Failure> {
    let (fault, thread, ..) = fault_of(env, overflows, 0)?;
    let sp = thread.tcb.read_registers(false)?.rsp;
    let Fault::Vm { addr, .. } = fault else { return Err(Failure::Check("a page fault")) };
    // Exactly where the stack ends: the word below its lowest address.
    check!(sp.is_multiple_of(PAGE_SIZE) && addr == sp - 8);
    Ok(())
}

extern "C" fn divides_by(divisor: usize) -> ! {
    // SAFETY: the exception that a divisor of zero raises is the point.
    unsafe { asm!("xor edx, edx", "div {}", in(reg) divisor, inout("rax") 1 => _, out("rdx") _) };
    does_ud2(0)
}

fn division_by_zero(env: &mut Env<'_>) -> Result<(), Failure> {
    let (fault, ..) = fault_of(env, divides_by, 0)?;
    check!(matches!(fault, Fault::UserException { number: 0, .. }));
    Ok(())
}

extern "C" fn calls_number(number: usize) -> ! {
    // SAFETY: there is no system call of that number.
    unsafe { pecan::raw::any_syscall(number as i64, 0, pecan::MessageInfo(0), [0; 4], 0, 0) };
    does_ud2(0)
}

fn unknown_syscall(env: &mut Env<'_>) -> Result<(), Failure> {
    let (fault, ..) = fault_of(env, calls_number, 1234)?;
    check!(matches!(fault, Fault::UnknownSyscall { number: 1234, .. }));
    Ok(())
}

extern "C" fn calls_cap(cptr: usize) -> ! {
    // SAFETY: there is nothing at that address.
    unsafe { Cap::<Endpoint>::new(cptr as u64) }.call(&Message::empty(0));
    does_ud2(0)
}

fn empty_slot(env: &mut Env<'_>) -> Result<(), Failure> {
    let cptr = 1 << 40 | 5;
    let (fault, ..) = fault_of(env, calls_cap, cptr)?;
    check!(matches!(fault, Fault::Cap { receiving: false, addr, .. } if addr == cptr as u64));
    Ok(())
}

fn mended_fault(env: &mut Env<'_>) -> Result<(), Failure> {
    let address = env.space.reserve(PAGE_SIZE, PAGE_SIZE)?;
    let (fault, _, endpoint, reply) = fault_of(env, reads_from, address as usize)?;
    check!(matches!(fault, Fault::Vm { addr, .. } if addr == address));
    let Env { space, slots, memory, .. } = env;
    let mut objects = Objects::new(*slots, core::slice::from_mut(*memory));
    // SAFETY: the address was reserved for this.
    unsafe { space.map_new_at(&mut objects, address, 1, CapRights::READ) }?;
    // Now it reads, and goes on to the next fault.
    let mut received = LongMessage::new(0);
    endpoint.reply_recv_long(reply, &Message::empty(0), &mut received);
    check!(matches!(Fault::from_message(&received), Some(Fault::UserException { number: 6, .. })));
    Ok(())
}

fn registers(env: &mut Env<'_>) -> Result<(), Failure> {
    let thread = env.thread(does_ud2, 0x77, Cap::NULL)?;
    let before = thread.tcb.read_registers(false)?;
    check!(before.rdi == 0x77 && before.rip == does_ud2 as *const () as u64);
    check!(before.fs_base > thread.ipc_buffer() && before.fs_base < thread.ipc_buffer() + PAGE_SIZE);
    let words = core::array::from_fn(|n| 0x1000 + n as u64);
    let written = UserContext { rflags: before.rflags, ..UserContext::from_words(&words) };
    // SAFETY: the thread never runs.
    unsafe { thread.tcb.write_registers(false, &written) }?;
    check!(thread.tcb.read_registers(false)? == written);
    Ok(())
}

extern "C" fn answers(signal: usize) -> ! {
    // SAFETY: it is the address of a notification that whoever made the thread waits for.
    unsafe { Cap::<Notification>::new(signal as u64) }.signal();
    does_ud2(0)
}

fn room(env: &mut Env<'_>) -> Result<(), Failure> {
    let notification = env.objects().make::<Notification>()?;
    let time = SchedParams::round_robin(10_000);
    let mut thread = env.thread_with(answers, notification.cptr() as usize, Cap::NULL, time)?;
    let (slots, memory) = (env.slots.used(), env.memory.available());
    for round in 0..50 {
        thread.start()?;
        check!(notification.wait() == 0);
        let room = thread.destroy().map_err(|(error, _)| error)?;
        let params = env.params(answers, notification.cptr() as usize).with_time(env.time()?, time);
        thread = room.thread(&env.space, &params).map_err(|(error, _)| error)?;
        check!(env.slots.used() == slots && env.memory.available() == memory);
        // Nothing of the last one is left: its stack is zero.
        let registers = thread.tcb.read_registers(false)?;
        // SAFETY: the word is on the stack of a thread that does not run.
        check!(round == 0 || unsafe { ((registers.rsp - 64) as *const u64).read_volatile() } == 0);
    }
    let room = thread.destroy().map_err(|(error, _)| error)?;
    let mut deep = env.params(answers, 0);
    deep.stack_pages = 5;
    let refused = room.thread(&env.space, &deep);
    check!(matches!(refused, Err((Error::RangeError { max: 4, .. }, _))));
    Ok(())
}

fn failed_thread(env: &mut Env<'_>) -> Result<(), Failure> {
    // One that is made leaves the paging structures there.
    let thread = env.thread(spins, 0, Cap::NULL)?;
    thread.destroy().map(drop).map_err(|(error, _)| error)?;
    let before = env.slots.used();
    // A budget of nothing is refused by the kernel, after most of the thread was made.
    let refused = env.thread_with(spins, 0, Cap::NULL, SchedParams::new(0, 0));
    check!(refused.is_err());
    check!(env.slots.used() == before);
    let room = Room::new(&mut Objects::new(env.slots, core::slice::from_mut(env.memory)), &mut env.space, 4)?;
    let params = env.params(spins, 0);
    let Err((_, room)) = room.thread(&env.space, &params.with_time(env.time()?, SchedParams::new(0, 0)))
    else {
        return Err(Failure::Check("a budget of nothing is refused"));
    };
    // The room is as it was.
    let time = SchedParams::round_robin(1_000);
    let thread = room.thread(&env.space, &params.with_time(env.time()?, time)).map_err(|(error, _)| error)?;
    check!(thread.start().is_ok());
    Ok(())
}

fn own_budgets(env: &mut Env<'_>) -> Result<(), Failure> {
    // Both could run all the time; each gets what it was given.
    let budgets = [1_000, 4_000];
    let [small, large] =
        budgets.map(|budget| env.thread_with(spins, 0, Cap::NULL, SchedParams::new(budget, 10_000)));
    let (small, large) = (small?, large?);
    small.start()?;
    large.start()?;
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    // A third one, above them, says when a tenth of a second is over.
    let clock = env.thread_with(spins, 0, Cap::NULL, SchedParams::new(2_000, 100_000))?;
    // SAFETY: it is not answered.
    unsafe { clock.tcb.set_timeout_endpoint(endpoint) }?;
    clock.tcb.set_priority(boot::TCB, 101)?;
    clock.start()?;
    endpoint.recv(reply);
    let used = [small.sched_context.consumed()?, large.sched_context.consumed()?];
    check!(used.iter().zip(budgets).all(|(used, budget)| *used <= 2 * budget));
    Ok(())
}

extern "C" fn spins(_: usize) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

fn time_is_counted(env: &mut Env<'_>) -> Result<(), Failure> {
    let thread = env.thread(spins, 0, Cap::NULL)?;
    thread.start()?;
    check!(thread.sched_context.consumed()? == 0);
    // The other thread has a lower priority: it runs while this one sleeps, on time that a timeout ends.
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    let ticker = env.thread_with(spins, 0, Cap::NULL, SchedParams::new(2_000, 1_000_000).with_badge(5))?;
    // SAFETY: it is not answered.
    unsafe { ticker.tcb.set_timeout_endpoint(endpoint) }?;
    ticker.tcb.set_priority(boot::TCB, 99)?;
    thread.tcb.suspend()?;
    ticker.start()?;
    let mut received = LongMessage::new(0);
    endpoint.recv_long(reply, &mut received);
    let Some(Fault::Timeout { consumed, .. }) = Fault::from_message(&received) else {
        return Err(Failure::Check("a timeout"));
    };
    // A timeout takes the count along; an emulator may be late, but not early by much.
    check!((1_500..1_000_000).contains(&consumed));
    Ok(())
}

fn timeout(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let handler = objects.mint(endpoint, CapRights::ALL, 3)?;
    let reply = objects.make::<Reply>()?;
    let time = SchedParams::new(1_000, 10_000_000).with_badge(0xbad9e);
    let thread = env.thread_with(spins, 0, Cap::NULL, time)?;
    // SAFETY: it is not answered.
    unsafe { thread.tcb.set_timeout_endpoint(handler) }?;
    thread.start()?;
    let mut received = LongMessage::new(0);
    check!(endpoint.recv_long(reply, &mut received) == 3);
    check!(matches!(Fault::from_message(&received), Some(Fault::Timeout { badge: 0xbad9e, .. })));
    Ok(())
}

fn own_space(env: &mut Env<'_>) -> Result<(), Failure> {
    const CODE: u64 = 0x40_0000;
    /// mov rax, 0x1122334455667788; lea rbx, [rip]; ud2
    const PROGRAM: &[u8] = &[
        0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x48, 0x8d, 0x1d, 0, 0, 0, 0, 0x0f, 0x0b,
    ];
    let sched_control = env.boot.sched_control(0)?;
    let Env { space, slots, memory, .. } = env;
    let mut objects = Objects::new(*slots, core::slice::from_mut(*memory));
    let mut window = Window::new(space)?;
    let other = AddressSpace::create(&mut objects, boot::ASID_POOL, CODE)?;
    let frame = objects.make()?;
    // SAFETY: the frame was made just now; this program does not use it once the other has it.
    unsafe {
        window.with(&mut objects, frame, |bytes| bytes[..PROGRAM.len()].copy_from_slice(PROGRAM))?;
        other.map(&mut objects, frame, CODE, CapRights::READ, 0)?;
    }

    let endpoint = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    let tcb = objects.make::<Tcb>()?;
    let sched_context = objects.make_sized::<SchedContext>(7)?;
    sched_control.configure(sched_context, SchedParams::round_robin(10_000))?;
    let no_buffer = Cap::<pecan::types::SmallPage>::NULL;
    let priorities = Priorities { authority: boot::TCB, mcp: 0, priority: 100 };
    let start = UserContext { rip: CODE, rflags: 0x202, ..UserContext::default() };
    // SAFETY: the thread is another program's.
    unsafe {
        tcb.configure(CSpaceRoot::new(boot::CNODE), other.cap(), 0, no_buffer)?;
        tcb.set_sched_params(priorities, sched_context, endpoint)?;
        tcb.write_registers(true, &start)?;
    }
    let mut received = LongMessage::new(0);
    endpoint.recv_long(reply, &mut received);
    let ip = CODE + PROGRAM.len() as u64 - 2;
    check!(matches!(
        Fault::from_message(&received),
        Some(Fault::UserException { number: 6, ip: at, .. }) if at == ip
    ));
    let registers = tcb.read_registers(false)?;
    check!(registers.rax == 0x1122_3344_5566_7788 && registers.rbx == ip);
    Ok(())
}
