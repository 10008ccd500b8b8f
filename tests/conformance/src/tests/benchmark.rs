//! The benchmark system calls: which of them there are, and those that track nothing. What a kernel tracks is tested in
//! `utilisation` and `entries`.

use pecan::{Error, raw};
use pecan_abi::{MessageInfo, ObjectType, Syscall, fault::{FaultTag, unknown_syscall}};

use crate::{Env, env::HIGH, runner::benchmark};

tests! {
    calls_that_the_kernel_lacks_fault;
    calls_without_an_answer_keep_all_registers;
    a_kernel_without_a_log_takes_no_buffer;
}

/// The calls that every kernel with benchmark system calls has, and those of one that tracks utilisation.
const ALL: [Syscall; 5] = [
    Syscall::BenchmarkFlushCaches,
    Syscall::BenchmarkResetLog,
    Syscall::BenchmarkFinalizeLog,
    Syscall::BenchmarkSetLogBuffer,
    Syscall::BenchmarkNullSyscall,
];
const UTILISATION: [Syscall; 4] = [
    Syscall::BenchmarkGetThreadUtilisation,
    Syscall::BenchmarkResetThreadUtilisation,
    Syscall::BenchmarkDumpAllThreadsUtilisation,
    Syscall::BenchmarkResetAllThreadsUtilisation,
];

fn calls_that_the_kernel_lacks_fault(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    // Numbers of debug calls of other configurations, around those of the benchmark calls.
    let never = [-18, -19, -20, -30, -31, -32];
    let all = ALL.iter().filter(|_| benchmark() == "none");
    let utilisation = UTILISATION.iter().filter(|_| benchmark() != "track_utilisation");
    for number in never.into_iter().chain(all.chain(utilisation).map(|call| call.number())) {
        let thread = env.spawn_faulting(HIGH, endpoint, move || {
            raw::any_syscall(number, 0, MessageInfo(0), [0; 4], 0, 0);
            0
        });
        let fault = raw::nb_recv(endpoint, reply);
        assert_eq!(fault.info.label(), FaultTag::UnknownSyscall.word(), "of the call {number}");
        assert_eq!(fault.word(unknown_syscall::SYSCALL) as i64, number);
        pecan::raw::invocations::tcb_suspend(thread.tcb).expect("suspend");
        env.reuse(thread);
    }
}

fn calls_without_an_answer_keep_all_registers(_: &Env) {
    if benchmark() == "none" {
        return;
    }
    for call in [Syscall::BenchmarkNullSyscall, Syscall::BenchmarkFlushCaches] {
        let got = raw::any_syscall(call.number(), 0xca9, MessageInfo(0x1f0), [1, 2, 3, 4], 5, 6);
        assert_eq!((got.badge, got.info.0, got.regs), (0xca9, 0x1f0, [1, 2, 3, 4]), "{call:?}");
    }
}

fn a_kernel_without_a_log_takes_no_buffer(env: &Env) {
    if matches!(benchmark(), "none" | "track_kernel_entries") {
        return;
    }
    let frame = env.object(ObjectType::LargePage);
    assert_eq!(raw::benchmark_set_log_buffer(frame), Err(Error::IllegalOperation));
    assert_eq!((raw::benchmark_reset_log(), raw::benchmark_finalize_log()), (Ok(()), 0));
}
