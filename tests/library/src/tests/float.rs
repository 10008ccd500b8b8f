//! Floating-point numbers and vector registers, which programs use as they like.

use core::{
    arch::x86_64::{_mm_cvtsd_f64, _mm_set1_pd, _mm_sqrt_pd},
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use pecan::{Cap, CapRights, SchedParams, types::Notification};

use crate::{Failure, Test, check, env::Env};

pub const TESTS: &[Test] = &[
    ("numbers_with_a_fraction_are_computed_by_the_vector_unit", vector_unit),
    ("threads_keep_their_vector_registers_apart", apart),
];

fn vector_unit(_: &mut Env<'_>) -> Result<(), Failure> {
    check!(cfg!(target_feature = "sse2"));
    // The instruction itself, whatever the compiler makes of the rest.
    // SAFETY: the target has SSE2, as was checked.
    let root = unsafe { _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set1_pd(black_box(2.0)))) };
    check!(root == core::f64::consts::SQRT_2);
    check!(black_box(0.1_f64) + black_box(0.2) == 0.30000000000000004);
    check!(alloc::format!("{:.3}", black_box(1e3_f64) / 7.0) == "142.857");
    Ok(())
}

/// What a thread computes, and where it says what came out.
struct Work {
    step: f64,
    result: AtomicU64,
    done: Cap<Notification>,
}

/// A sum that takes many time slices, all of it in vector registers.
fn sum(step: f64) -> f64 {
    let (mut sum, mut term) = (0.0, 1.0);
    for _ in 0..2_000_000 {
        sum += 1.0 / term;
        term += black_box(step);
    }
    sum
}

extern "C" fn computes(argument: usize) -> ! {
    // SAFETY: the test that started this thread keeps the structure until the thread has said that it is done.
    let work = unsafe { &*(argument as *const Work) };
    work.result.store(sum(work.step).to_bits(), Ordering::Relaxed);
    work.done.signal();
    loop {
        core::hint::spin_loop();
    }
}

fn apart(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let done = objects.make::<Notification>()?;
    let mut work = |step, bit| -> pecan::Result<Work> {
        Ok(Work { step, result: AtomicU64::new(0), done: objects.mint(done, CapRights::WRITE, bit)? })
    };
    let works = [work(0.5, 1)?, work(0.75, 2)?];
    let mut threads = [const { None }; 2];
    for (work, thread) in works.iter().zip(&mut threads) {
        let time = SchedParams::round_robin(1000);
        *thread = Some(env.thread_with(computes, &raw const *work as usize, Cap::NULL, time)?);
    }
    for thread in threads.iter().flatten() {
        thread.start()?;
    }
    let mut ended = 0;
    while ended != 3 {
        ended |= done.wait();
    }
    for thread in threads.iter().flatten() {
        thread.tcb.suspend()?;
    }
    for work in &works {
        check!(f64::from_bits(work.result.load(Ordering::Relaxed)) == sum(work.step));
    }
    Ok(())
}
