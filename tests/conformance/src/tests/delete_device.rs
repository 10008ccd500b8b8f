//! Capabilities to interrupts and I/O ports in every state when they go, and control capabilities.

use pecan::{
    Error,
    raw::{self, invocations as inv},
};
use pecan_abi::{CPtr, boot::slot};

use super::{
    deletion::{ALL, Place, Way},
    irq::Timer,
};
use crate::{
    Env,
    env::{DEPTH, HIGH, ROOT, delete, is_empty, poll, sched_control},
    machine,
};

states! {
    irq_handler_without_notification: "IRQ handler" "without notification", ALL;
    irq_handler_with_notification: "IRQ handler" "with a notification, waiting for an interrupt", ALL;
    irq_handler_with_waiter: "IRQ handler" "a thread waits for its notification", ALL;
    irq_handler_unacknowledged: "IRQ handler" "the interrupt has come and is not acknowledged", ALL;
    io_ports: "I/O ports" "issued", ALL;
    asid_control: "ASID control" "in use", &[Way::Copy];
    sched_control_cap: "SchedControl" "in use", &[Way::Copy];
    domain_cap: "DomainSet" "in use", &[Way::Copy];
}

const VECTOR: u64 = 43;

fn get(dest: CPtr) -> pecan::Result<()> {
    inv::irq_control_get_ioapic(slot::IRQ_CONTROL, ROOT, dest, DEPTH, 0, 2, 0, 0, VECTOR)
}

/// The handler of the interval timer's interrupt.
#[track_caller]
fn handler(env: &Env) -> (Place<'_>, CPtr) {
    let handler = env.slot();
    get(handler).expect("get IOAPIC");
    (Place::of_control(env, slot::IRQ_CONTROL), handler)
}

/// The vector can be had again.
#[track_caller]
fn is_free(env: &Env) {
    let dest = env.slot();
    get(dest).expect("the vector is not free");
    delete(dest).expect("delete");
}

#[track_caller]
fn is_taken(env: &Env) {
    assert_eq!(get(env.slot()), Err(Error::RevokeFirst));
}

/// Lets the timer's interrupt come, and some time pass.
fn raise(timer: &Timer) {
    timer.once(50);
    machine::spin(500);
}

fn irq_handler_without_notification(env: &Env, way: Way) {
    let (place, handler) = handler(env);
    way.go(&place, handler, || is_taken(env), || is_free(env));
}

fn irq_handler_with_notification(env: &Env, way: Way) {
    let (place, handler) = handler(env);
    let (notification, timer) = (env.notification(), Timer::new(env));
    inv::irq_handler_set_notification(handler, env.mint(notification, 3)).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    let gone = || {
        raise(&timer);
        assert_eq!(poll(notification), 0, "an interrupt without a handler signalled");
        is_free(env);
    };
    let alive = || {
        is_taken(env);
        raise(&timer);
        assert_eq!(poll(notification), 3);
    };
    way.go(&place, handler, alive, gone);
}

fn irq_handler_with_waiter(env: &Env, way: Way) {
    let (place, handler) = handler(env);
    let (notification, timer) = (env.notification(), Timer::new(env));
    let badged = env.mint(notification, 3);
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    let waiter = env.spawn(HIGH, move || raw::wait(notification).badge);
    let alive = || {
        raise(&timer);
        assert_eq!(waiter.join(), 3);
    };
    let gone = || {
        raise(&timer);
        assert!(!waiter.has_returned());
        crate::env::signal(badged);
        assert_eq!(waiter.join(), 3);
    };
    way.go(&place, handler, alive, gone);
}

fn irq_handler_unacknowledged(env: &Env, way: Way) {
    let (place, handler) = handler(env);
    let (notification, timer) = (env.notification(), Timer::new(env));
    let badged = env.mint(notification, 3);
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    raise(&timer);
    assert_eq!(poll(notification), 3);
    raise(&timer);
    assert_eq!(poll(notification), 0, "a second interrupt came without an acknowledgement");
    let hears = |handler| {
        // The one that came meanwhile may be heard first.
        inv::irq_handler_ack(handler).expect("ack");
        machine::spin(500);
        if poll(notification) != 0 {
            inv::irq_handler_ack(handler).expect("ack");
        }
        raise(&timer);
        assert_eq!(poll(notification), 3, "no interrupt came after the acknowledgement");
    };
    let gone = || {
        // Whoever has the interrupt next hears it.
        let next = env.slot();
        get(next).expect("get IOAPIC");
        inv::irq_handler_set_notification(next, badged).expect("set notification");
        hears(next);
    };
    way.go(&place, handler, || hears(handler), gone);
}

fn io_ports(env: &Env, way: Way) {
    let (place, ports) = (Place::of_control(env, slot::IO_PORT_CONTROL), env.slot());
    let issue = |dest| inv::io_port_control_issue(slot::IO_PORT_CONTROL, 0x3f8, 0x3ff, ROOT, dest, DEPTH);
    issue(ports).expect("issue");
    let alive = || {
        assert_eq!(issue(env.slot()), Err(Error::RevokeFirst));
        inv::io_port_in8(ports, 0x3ff).expect("in");
    };
    let gone = || {
        assert!(inv::io_port_in8(ports, 0x3ff).is_err());
        issue(env.slot()).expect("the ports are free");
    };
    way.go(&place, ports, alive, gone);
}

/// A copy of a control capability does what the original does, and goes without a trace. (Once the last has gone there is
/// no way to another.)
fn control(env: &Env, control: CPtr, works: impl Fn(CPtr)) {
    let copied = env.copy(control);
    works(copied);
    delete(copied).expect("delete");
    assert!(is_empty(copied) && !is_empty(control));
    works(control);
}

fn asid_control(env: &Env, _: Way) {
    control(env, slot::ASID_CONTROL, |cap| {
        let (untyped, pool) = (env.child_untyped(12), env.slot());
        inv::asid_control_make_pool(cap, untyped, ROOT, pool, DEPTH).expect("make pool");
    });
}

fn sched_control_cap(env: &Env, _: Way) {
    let sc = env.empty_sched_context();
    control(env, sched_control(), |cap| {
        inv::sched_control_configure_flags(cap, sc, 1_000, 1_000, 0, 0, 0).expect("configure");
    });
}

fn domain_cap(env: &Env, _: Way) {
    let tcb = env.tcb();
    control(env, slot::DOMAIN, |cap| inv::domain_set_set(cap, 1, tcb).expect("set the domain"));
}
