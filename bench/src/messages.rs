//! Messages, notifications, faults: everything that takes a second thread.

use core::sync::atomic::{AtomicU64, Ordering};

use pecan::{
    Cap, Message, Result, raw,
    types::{Endpoint, Notification, Reply},
};

use crate::{
    report,
    world::{HIGH, Helper, LOW, NORMAL, Place, World, stamp},
};

type Caps = [AtomicU64; 2];

static ECHO_HERE: Caps = [const { AtomicU64::new(0) }; 2];
static ECHO_THERE: Caps = [const { AtomicU64::new(0) }; 2];
static STAMPING: Caps = [const { AtomicU64::new(0) }; 2];
static RECEIVER: Caps = [const { AtomicU64::new(0) }; 2];
static LOW_WAITER: Caps = [const { AtomicU64::new(0) }; 2];
static HIGH_WAITER: Caps = [const { AtomicU64::new(0) }; 2];
static FAULTING: Caps = [const { AtomicU64::new(0) }; 2];

/// The two capability addresses of a helper.
fn caps(address: usize) -> (u64, u64) {
    // SAFETY: helpers are started with the address of one of the statics above.
    let [first, second] = unsafe { &*(address as *const Caps) };
    (first.load(Ordering::Relaxed), second.load(Ordering::Relaxed))
}

/// Answers calls with a message as long as the call.
extern "C" fn echo(address: usize) -> ! {
    let (endpoint, reply) = caps(address);
    let mut received = raw::recv(endpoint, reply);
    loop {
        received = raw::reply_recv(endpoint, received.info, received.regs, reply);
    }
}

/// Answers calls; notes the time when a call arrives.
extern "C" fn stamping(address: usize) -> ! {
    let (endpoint, reply) = caps(address);
    let mut received = raw::recv(endpoint, reply);
    loop {
        stamp();
        received = raw::reply_recv(endpoint, received.info, received.regs, reply);
    }
}

/// Takes messages and answers none.
extern "C" fn receiver(address: usize) -> ! {
    let (endpoint, reply) = caps(address);
    loop {
        raw::recv(endpoint, reply);
    }
}

/// Waits on a notification; notes the time when it is signalled.
extern "C" fn waiter(address: usize) -> ! {
    let (notification, _) = caps(address);
    loop {
        raw::wait(notification);
        stamp();
    }
}

/// Reads an address where nothing is mapped, again and again.
extern "C" fn faulting(_: usize) -> ! {
    loop {
        // SAFETY: the access faults, which is what it is for; it never completes.
        unsafe { core::arch::asm!("mov {0}, qword ptr [{0}]", inout(reg) 8u64 => _) };
    }
}

fn set(caps: &Caps, first: u64, second: u64) {
    caps[0].store(first, Ordering::Relaxed);
    caps[1].store(second, Ordering::Relaxed);
}

/// Measures and prints.
pub fn run(world: &mut World<'_>) -> Result<()> {
    calls(world)?;
    sends(world)?;
    notifications(world)?;
    faults(world)
}

fn calls(world: &mut World<'_>) -> Result<()> {
    let mut server = |entry, caps, place| -> Result<Cap<Endpoint>> {
        let endpoint = world.objects.make::<Endpoint>()?;
        set(caps, endpoint.cptr(), world.objects.make::<Reply>()?.cptr());
        world.start(&Helper { entry, caps, priority: NORMAL, passive: true, place, fault_ep: Cap::NULL })?;
        Ok(endpoint)
    };
    let here = server(echo, &ECHO_HERE, Place::Here)?;
    let there = server(echo, &ECHO_THERE, Place::There)?;
    let stamping = server(stamping, &STAMPING, Place::There)?;
    let short = Message::empty(0);
    let long = || Message::new(0, [7; 10]);
    report("ipc.round_trip", world.time(|| ok(there.call(short)))?);
    report("ipc.round_trip_same_space", world.time(|| ok(here.call(short)))?);
    report("ipc.round_trip_10_words", world.time(|| ok(there.call(long())))?);
    report("ipc.call", world.time_to_stamp(|| ok(stamping.call(short)))?);
    Ok(())
}

fn sends(world: &mut World<'_>) -> Result<()> {
    let endpoint = world.objects.make::<Endpoint>()?;
    set(&RECEIVER, endpoint.cptr(), world.objects.make::<Reply>()?.cptr());
    let helper = Helper {
        entry: receiver,
        caps: &RECEIVER,
        priority: LOW,
        passive: false,
        place: Place::There,
        fault_ep: Cap::NULL,
    };
    world.start(&helper)?;
    let least = world.time_with(|| {
        world.settle()?;
        let start = crate::world::now();
        endpoint.send(Message::empty(0));
        Ok(crate::world::now() - start)
    })?;
    report("ipc.send_to_waiting", least);
    Ok(())
}

fn notifications(world: &mut World<'_>) -> Result<()> {
    let idle = world.objects.make::<Notification>()?;
    report(
        "notification.signal",
        world.time(|| {
            idle.signal();
            Ok(())
        })?,
    );
    let least = world.time_with(|| {
        idle.signal();
        let start = crate::world::now();
        idle.wait();
        Ok(crate::world::now() - start)
    })?;
    report("notification.wait_signalled", least);
    report("notification.poll_empty", world.time(|| ok(idle.poll()))?);

    let low = world.objects.make::<Notification>()?;
    set(&LOW_WAITER, low.cptr(), 0);
    let place = Place::There;
    world.start(&Helper {
        entry: waiter,
        caps: &LOW_WAITER,
        priority: LOW,
        passive: false,
        place,
        fault_ep: Cap::NULL,
    })?;
    let least = world.time_with(|| {
        world.settle()?;
        let start = crate::world::now();
        low.signal();
        Ok(crate::world::now() - start)
    })?;
    report("notification.signal_lower", least);

    let high = world.objects.make::<Notification>()?;
    set(&HIGH_WAITER, high.cptr(), 0);
    world.start(&Helper {
        entry: waiter,
        caps: &HIGH_WAITER,
        priority: HIGH,
        passive: false,
        place,
        fault_ep: Cap::NULL,
    })?;
    report(
        "notification.signal_higher",
        world.time_to_stamp(|| {
            high.signal();
            Ok(())
        })?,
    );
    Ok(())
}

fn faults(world: &mut World<'_>) -> Result<()> {
    let endpoint = world.objects.make::<Endpoint>()?;
    let reply = world.objects.make::<Reply>()?;
    let helper = Helper {
        entry: faulting,
        caps: &FAULTING,
        priority: LOW,
        passive: false,
        place: Place::There,
        fault_ep: endpoint,
    };
    let thread = world.start(&helper)?;
    endpoint.recv(reply);
    // It has faulted already. The answer lets the thread try again, which faults again: one call is one round trip.
    let least = world.time(|| ok(endpoint.reply_recv(reply, Message::empty(0))))?;
    report("fault.round_trip", least);
    thread.tcb.suspend()
}

/// An operation that cannot fail.
fn ok<T>(_: T) -> Result<()> {
    Ok(())
}
