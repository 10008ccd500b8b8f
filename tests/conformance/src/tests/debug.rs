//! The system calls of debug kernels.

use pecan::raw;
use pecan_abi::{ObjectType, boot::slot};

use crate::{
    Env,
    env::{HIGH, ROOT, sched_control},
};

tests! {
    cap_identify_tells_types_apart;
    cap_identify_of_nothing;
    put_char_returns;
    name_thread_returns;
    dump_scheduler_returns;
    debug_calls_keep_the_message_registers;
}

fn cap_identify_tells_types_apart(env: &Env) {
    let caps = [
        env.endpoint(),
        env.notification(),
        env.reply(),
        env.tcb(),
        env.cnode(2).cap,
        env.empty_sched_context(),
        env.frame(),
        env.object(ObjectType::PageTable),
        env.child_untyped(12),
        slot::IRQ_CONTROL,
        slot::ASID_CONTROL,
        slot::INIT_THREAD_ASID_POOL,
        slot::IO_PORT_CONTROL,
        slot::DOMAIN,
        sched_control(),
    ];
    for (index, a) in caps.iter().enumerate() {
        assert_ne!(raw::debug_cap_identify(*a), 0);
        for b in &caps[index + 1..] {
            assert_ne!(raw::debug_cap_identify(*a), raw::debug_cap_identify(*b), "{a} and {b}");
        }
    }
    // It is the type that counts, not the capability.
    let (first, second) = (env.endpoint(), env.endpoint());
    assert_eq!(raw::debug_cap_identify(first), raw::debug_cap_identify(second));
    assert_eq!(raw::debug_cap_identify(env.mint(first, 1)), raw::debug_cap_identify(second));
}

fn cap_identify_of_nothing(env: &Env) {
    let empty = env.slot();
    assert_eq!(raw::debug_cap_identify(empty), 0);
    assert_eq!(raw::debug_cap_identify(slot::NULL), 0);
}

fn put_char_returns(_: &Env) {
    // An empty line is easy to overlook on the console.
    raw::debug_put_char(b' ');
}

fn name_thread_returns(env: &Env) {
    let tcb = env.tcb();
    let before = env.snapshot();
    for name in ["", "a", "a name", "a name that is much longer than the kernel has room for, which it may cut"] {
        raw::debug_name_thread(tcb, name);
    }
    before.same(env);
}

fn dump_scheduler_returns(env: &Env) {
    let never = env.notification();
    env.spawn(HIGH, move || raw::wait(never).badge);
    raw::debug_dump_scheduler();
}

fn debug_calls_keep_the_message_registers(_: &Env) {
    let (info, registers) = (pecan_abi::MessageInfo::new(5, 0, 1, 4), [1, 2, 3, 4]);
    let number = pecan_abi::Syscall::DebugCapIdentify.number();
    let reply = raw::any_syscall(number, ROOT, info, registers, 0, 0);
    assert_eq!((reply.info, reply.regs), (info, registers));
}
