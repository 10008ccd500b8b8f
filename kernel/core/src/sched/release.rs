//! The release queue: threads without budget, the one that gets some first at its head.
//!
//! It is a leftist heap made of links in the threads: in every subtree the way down to the right is the shortest to a
//! place with a child missing, so it has at most as many steps as the number of threads has bits. Insertion and removal
//! walk no other way, hence their cost is bounded however many threads wait. Threads of the same time leave in the
//! order in which they came.

use pecan_mem::{Kernel, Link, Tcb, follow};

use crate::sched::ready;

/// Takes a thread out of the release queue, if it is in it.
#[inline]
pub fn leave(k: &Kernel, thread: &Tcb) {
    if !thread.in_release_queue.get() {
        return;
    }
    if k.core().release_head.get() == Some(thread.link()) {
        k.core().reprogram.set(true);
    }
    take_out(k, thread);
}

/// When a thread of the queue gets budget.
#[inline(always)]
pub fn time(thread: &Tcb) -> u64 {
    thread.release.time.get()
}

/// Puts a thread, which is in no queue, into the release queue until `time`.
pub fn insert(k: &Kernel, thread: &Tcb, time: u64) {
    let (links, head) = (&thread.release, &k.core().release_head);
    links.time.set(time);
    links.turn.set(k.core().release_turn.get());
    k.core().release_turn.set(links.turn.get() + 1);
    links.rank.set(1);
    head.set(merge(k, head.get(), Some(thread.link())));
    thread.in_release_queue.set(true);
}

/// Takes a thread out of the release queue.
pub fn take_out(k: &Kernel, thread: &Tcb) {
    let links = &thread.release;
    let rest = merge(k, links.left.take(), links.right.take());
    let parent = follow(links.parent.take(), k);
    if let Some(rest) = follow(rest, k) {
        rest.release.parent.set(parent.map(Tcb::link));
    }
    match parent {
        None => k.core().release_head.set(rest),
        Some(parent) => {
            let links = &parent.release;
            let on_left = links.left.get() == Some(thread.link());
            if on_left { &links.left } else { &links.right }.set(rest);
            mend(k, Some(parent), false);
        }
    }
    thread.in_release_queue.set(false);
}

/// One heap of two.
fn merge(k: &Kernel, mut a: Option<Link<Tcb>>, mut b: Option<Link<Tcb>>) -> Option<Link<Tcb>> {
    // Down to the right in both, always on with the one that comes first.
    let (mut root, mut last) = (None, None::<&Tcb>);
    loop {
        let first = match (follow(a, k), follow(b, k)) {
            (Some(x), Some(y)) if key(y) < key(x) => {
                b = a;
                y
            }
            (Some(x), Some(_)) => x,
            (Some(rest), None) | (None, Some(rest)) => {
                attach(&mut root, last, rest);
                break;
            }
            (None, None) => break,
        };
        attach(&mut root, last, first);
        last = Some(first);
        a = first.release.right.get();
    }
    mend(k, last, true);
    root
}

/// What the heap is ordered by.
#[inline(always)]
fn key(thread: &Tcb) -> (u64, u64) {
    (thread.release.time.get(), thread.release.turn.get())
}

/// Makes a thread the right child of `parent`, or the root.
#[inline(always)]
fn attach(root: &mut Option<Link<Tcb>>, parent: Option<&Tcb>, thread: &Tcb) {
    thread.release.parent.set(parent.map(Tcb::link));
    match parent {
        None => *root = Some(thread.link()),
        Some(parent) => parent.release.right.set(Some(thread.link())),
    }
}

/// From `at` upwards, the shorter way goes to the right again: `all` the way to the root, or as far as something changes.
fn mend<'k>(k: &'k Kernel, mut at: Option<&'k Tcb>, all: bool) {
    while let Some(thread) = at {
        let links = &thread.release;
        let rank = |child: Option<Link<Tcb>>| follow(child, k).map_or(0, |c| c.release.rank.get());
        let (left, right) = (links.left.get(), links.right.get());
        if rank(left) < rank(right) {
            links.left.set(right);
            links.right.set(left);
        }
        let now = rank(left).min(rank(right)) + 1;
        if links.rank.replace(now) == now && !all {
            return;
        }
        at = follow(links.parent.get(), k);
    }
}

/// The thread after this one in no particular order, for listings: first down to the left, then back up.
pub fn after<'k>(k: &'k Kernel, thread: &'k Tcb) -> Option<&'k Tcb> {
    let links = &thread.release;
    if let Some(child) = follow(links.left.get().or(links.right.get()), k) {
        return Some(child);
    }
    let mut below = thread;
    while let Some(parent) = follow(below.release.parent.get(), k) {
        let right = parent.release.right.get();
        if right.is_some() && right != Some(below.link()) {
            return follow(right, k);
        }
        below = parent;
    }
    None
}

/// Takes a thread out of the ready and the release queue: it stops being schedulable, or what its place there
/// depends on is about to change.
pub fn leave_queues(k: &Kernel, thread: &Tcb) {
    ready::dequeue(k, thread);
    leave(k, thread);
}

#[cfg(test)]
mod tests {
    use super::*;

    use pecan_mem::{Kernel, Link, Tcb, follow, retype::ObjectKind};

    use crate::testing::World;

    /// The ranks of a heap, each of which is right.
    fn rank(k: &Kernel, at: Option<Link<Tcb>>) -> u8 {
        let Some(thread) = follow(at, k) else { return 0 };
        let links = &thread.release;
        let [left, right] = [&links.left, &links.right].map(|child| {
            assert!(child.get().is_none_or(|c| c.get(k).release.parent.get() == at));
            rank(k, child.get())
        });
        assert!(left >= right, "the shortest way down is not to the right");
        assert_eq!(links.rank.get() as u8, right + 1);
        right + 1
    }

    #[test]
    fn threads_leave_in_order_and_the_way_to_the_right_stays_short() {
        let mut w = World::new();
        let threads: [Link<Tcb>; 40] = core::array::from_fn(|_| match w.k.boot_object(ObjectKind::Tcb) {
            pecan_mem::Cap::Tcb { tcb } => tcb,
            _ => unreachable!(),
        });
        let k = &*w.k;
        let mut waiting: std::vec::Vec<(u64, Link<Tcb>)> = std::vec![];
        let mut seed = 1u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..4_000 {
            let thread = threads[random(40) as usize];
            match waiting.iter().position(|&(_, t)| t == thread) {
                Some(at) => {
                    waiting.remove(at);
                    take_out(k, thread.get(k));
                }
                None => {
                    let time = random(25);
                    // Behind those of the same time.
                    waiting.insert(waiting.partition_point(|&(other, _)| other <= time), (time, thread));
                    insert(k, thread.get(k), time);
                }
            }
            rank(k, k.core().release_head.get());
            assert_eq!(k.core().release_head.get(), waiting.first().map(|&(_, t)| t));
            let first = k.core().release_head.get().map(|first| first.get(k));
            assert_eq!(core::iter::successors(first, |t| after(k, t)).count(), waiting.len());
        }
        for (_, thread) in waiting {
            assert_eq!(k.core().release_head.get(), Some(thread));
            take_out(k, thread.get(k));
        }
        assert_eq!(k.core().release_head.get(), None);
    }
}
