//! Interrupts. The source is the programmable interval timer, which every PC has: its interrupt comes in on pin 2 of
//! the first IOAPIC.

use pecan::{Error, LookupFailure, raw::{self, invocations as inv}};
use pecan_abi::{CPtr, CapRights, Error as Kind, Label, boot::slot, constants as c};

use crate::{
    Env,
    env::{DEPTH, HIGH, ROOT, delete, invoke_as, is_empty, poll, revoke},
    machine,
};

tests! {
    get_is_refused_with_an_ioapic: IrqIssueIrqHandler / IllegalOperation;
    get_is_looked_at_even_so: IrqIssueIrqHandler / TruncatedMessage;
    an_interrupt_signals_its_notification: X86IrqIssueIrqHandlerIoapic / NoError, IrqSetIrqHandler / NoError,
        IrqAckIrq / NoError;
    an_interrupt_preempts_the_running_thread: IrqSetIrqHandler / NoError;
    without_an_ack_there_is_no_second_interrupt: IrqAckIrq / NoError;
    a_cleared_handler_signals_nobody: IrqClearIrqHandler / NoError;
    a_deleted_handler_signals_nobody: CNodeDelete / NoError;
    a_deleted_notification_gets_no_interrupts: CNodeDelete / NoError;
    a_second_notification_replaces_the_first: IrqSetIrqHandler / NoError;
    setting_what_is_no_notification: IrqSetIrqHandler / InvalidCapability;
    setting_a_notification_without_the_right: IrqSetIrqHandler / InvalidCapability;
    clearing_and_acknowledging_nothing: IrqClearIrqHandler / NoError, IrqAckIrq / NoError;
    a_vector_is_handed_out_once: X86IrqIssueIrqHandlerIoapic / RevokeFirst, X86IrqIssueIrqHandlerMsi / RevokeFirst;
    a_vector_is_free_again_after_deletion: X86IrqIssueIrqHandlerMsi / NoError, CNodeDelete / NoError;
    ioapic_parameters_out_of_range: X86IrqIssueIrqHandlerIoapic / RangeError;
    ioapic_into_a_used_slot: X86IrqIssueIrqHandlerIoapic / DeleteFirst;
    ioapic_with_a_root_that_is_no_cnode: X86IrqIssueIrqHandlerIoapic / FailedLookup;
    msi_parameters_out_of_range: X86IrqIssueIrqHandlerMsi / RangeError;
    msi_into_a_used_slot: X86IrqIssueIrqHandlerMsi / DeleteFirst;
    msi_with_a_root_that_is_no_cnode: X86IrqIssueIrqHandlerMsi / FailedLookup;
    every_vector_can_be_had: X86IrqIssueIrqHandlerMsi / NoError;
    revoking_the_control_takes_all_handlers: CNodeRevoke / NoError;
}

const CONTROL: CPtr = slot::IRQ_CONTROL;
/// The pin of the first IOAPIC that the interval timer is wired to.
const TIMER_PIN: u64 = 2;
const VECTOR: u64 = 40;

#[track_caller]
fn timer_handler(env: &Env) -> CPtr {
    let dest = env.slot();
    inv::irq_control_get_ioapic(CONTROL, ROOT, dest, DEPTH, 0, TIMER_PIN, 0, 0, VECTOR).expect("get IOAPIC");
    dest
}

fn get_msi(dest: CPtr, vector: u64) -> pecan::Result<()> {
    inv::irq_control_get_msi(CONTROL, ROOT, dest, DEPTH, 0, 0, 0, 0, vector)
}

#[track_caller]
fn msi_handler(env: &Env, vector: u64) -> CPtr {
    let dest = env.slot();
    get_msi(dest, vector).expect("get MSI");
    dest
}

/// The programmable interval timer's first channel.
pub struct Timer(CPtr);

impl Timer {
    /// The ports of the timer.
    #[track_caller]
    pub fn new(env: &Env) -> Self {
        let ports = env.slot();
        inv::io_port_control_issue(slot::IO_PORT_CONTROL, 0x40, 0x43, ROOT, ports, DEPTH).expect("issue");
        Timer(ports)
    }

    fn program(&self, mode: u64, us: u64) {
        // Its clock runs at 1.193182 MHz.
        let count = (us * 1_193_182 / 1_000_000).clamp(2, 0xffff);
        inv::io_port_out8(self.0, 0x43, 0x30 | mode << 1).expect("out");
        inv::io_port_out8(self.0, 0x40, count & 0xff).expect("out");
        inv::io_port_out8(self.0, 0x40, count >> 8).expect("out");
    }

    /// One interrupt in so many microseconds, at most 54,000.
    pub fn once(&self, us: u64) {
        self.program(0, us);
    }

    /// An interrupt every so many microseconds, at most 54,000.
    pub fn every(&self, us: u64) {
        self.program(2, us);
    }

    /// No more interrupts.
    pub fn stop(&self) {
        // A count that is not complete does not run.
        inv::io_port_out8(self.0, 0x43, 0x30).expect("out");
    }
}

/// Waits for a signal, at most so many microseconds.
fn signalled_within(notification: CPtr, us: u64) -> bool {
    let start = machine::tsc();
    while machine::us_since(start) < us {
        if poll(notification) != 0 {
            return true;
        }
    }
    false
}

const LONG: u64 = 2_000_000;
const SHORT: u64 = 20_000;

fn get_is_refused_with_an_ioapic(env: &Env) {
    let dest = env.slot();
    for irq in [0, 1, 15, 16, 200] {
        env.refused(Error::IllegalOperation, || inv::irq_control_get(CONTROL, irq, ROOT, dest, DEPTH));
    }
}

fn an_interrupt_signals_its_notification(env: &Env) {
    let (handler, timer, notification) = (timer_handler(env), Timer::new(env), env.notification());
    let badged = env.mint(notification, 0x100);
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    for _ in 0..3 {
        poll(notification);
        timer.once(500);
        assert_eq!(raw::wait(notification).badge, 0x100, "the badge of the capability that was set");
        inv::irq_handler_ack(handler).expect("ack");
    }
    timer.stop();
}

fn an_interrupt_preempts_the_running_thread(env: &Env) {
    let (handler, timer, notification) = (timer_handler(env), Timer::new(env), env.notification());
    inv::irq_handler_set_notification(handler, notification).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    poll(notification);
    let driver = env.spawn(HIGH, move || {
        raw::wait(notification);
        1
    });
    timer.once(1_000);
    let start = machine::tsc();
    while !driver.has_returned() {
        assert!(machine::us_since(start) < LONG, "the driver has not run");
    }
    timer.stop();
}

fn without_an_ack_there_is_no_second_interrupt(env: &Env) {
    let (handler, timer, notification) = (timer_handler(env), Timer::new(env), env.notification());
    let badged = env.mint(notification, 1);
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    timer.every(1_000);
    assert!(signalled_within(notification, LONG));
    assert!(!signalled_within(notification, SHORT), "a second interrupt before the first was acknowledged");
    inv::irq_handler_ack(handler).expect("ack");
    assert!(signalled_within(notification, LONG), "no interrupt after the acknowledgement");
    timer.stop();
}

fn a_cleared_handler_signals_nobody(env: &Env) {
    let (handler, timer, notification) = (timer_handler(env), Timer::new(env), env.notification());
    let badged = env.mint(notification, 1);
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    timer.every(1_000);
    assert!(signalled_within(notification, LONG));
    inv::irq_handler_clear(handler).expect("clear");
    inv::irq_handler_ack(handler).expect("ack");
    poll(notification);
    assert!(!signalled_within(notification, SHORT));
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    assert!(signalled_within(notification, LONG), "no interrupt with the notification set again");
    timer.stop();
}

fn a_deleted_handler_signals_nobody(env: &Env) {
    let (handler, timer, notification) = (timer_handler(env), Timer::new(env), env.notification());
    let badged = env.mint(notification, 1);
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    timer.every(1_000);
    assert!(signalled_within(notification, LONG));
    delete(handler).expect("delete");
    poll(notification);
    assert!(!signalled_within(notification, SHORT));
    // The interrupt can be had again, and works.
    let again = timer_handler(env);
    assert!(!signalled_within(notification, SHORT), "it has the notification of the one before");
    inv::irq_handler_set_notification(again, badged).expect("set notification");
    inv::irq_handler_ack(again).expect("ack");
    assert!(signalled_within(notification, LONG));
    timer.stop();
}

fn a_deleted_notification_gets_no_interrupts(env: &Env) {
    let (handler, timer, notification) = (timer_handler(env), Timer::new(env), env.notification());
    inv::irq_handler_set_notification(handler, notification).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    revoke(notification).expect("revoke");
    delete(notification).expect("delete");
    timer.every(1_000);
    machine::spin(SHORT);
    let second = env.notification();
    let badged = env.mint(second, 1);
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    assert!(signalled_within(second, LONG));
    timer.stop();
}

fn a_second_notification_replaces_the_first(env: &Env) {
    let (handler, timer) = (timer_handler(env), Timer::new(env));
    let (first, second) = (env.notification(), env.notification());
    let (first_badged, second_badged) = (env.mint(first, 1), env.mint(second, 1));
    inv::irq_handler_set_notification(handler, first_badged).expect("set notification");
    inv::irq_handler_set_notification(handler, second_badged).expect("set another");
    inv::irq_handler_ack(handler).expect("ack");
    poll(first);
    timer.once(500);
    assert!(signalled_within(second, LONG));
    assert_eq!(poll(first), 0);
    timer.stop();
}

fn setting_what_is_no_notification(env: &Env) {
    let (handler, endpoint) = (msi_handler(env, VECTOR), env.endpoint());
    for wrong in [endpoint, ROOT, handler] {
        env.refused(Error::InvalidCapability { index: 1 }, || {
            inv::irq_handler_set_notification(handler, wrong)
        });
    }
}

fn setting_a_notification_without_the_right(env: &Env) {
    let (handler, notification) = (msi_handler(env, VECTOR), env.notification());
    let read_only = env.copy_with(notification, CapRights::READ);
    env.refused(Error::InvalidCapability { index: 1 }, || {
        inv::irq_handler_set_notification(handler, read_only)
    });
}

fn clearing_and_acknowledging_nothing(env: &Env) {
    let handler = msi_handler(env, VECTOR);
    let before = env.snapshot();
    inv::irq_handler_clear(handler).expect("clear");
    inv::irq_handler_ack(handler).expect("ack");
    inv::irq_handler_ack(handler).expect("ack again");
    before.same(env);
}

fn a_vector_is_handed_out_once(env: &Env) {
    msi_handler(env, VECTOR);
    let dest = env.slot();
    env.refused(Error::RevokeFirst, || get_msi(dest, VECTOR));
    env.refused(Error::RevokeFirst, || {
        inv::irq_control_get_ioapic(CONTROL, ROOT, dest, DEPTH, 0, TIMER_PIN, 0, 0, VECTOR)
    });
}

fn a_vector_is_free_again_after_deletion(env: &Env) {
    for _ in 0..3 {
        let handler = msi_handler(env, VECTOR);
        let copied = env.copy(handler);
        delete(handler).expect("delete");
        let dest = env.slot();
        env.refused(Error::RevokeFirst, || get_msi(dest, VECTOR));
        delete(copied).expect("delete");
    }
}

fn ioapic_parameters_out_of_range(env: &Env) {
    let dest = env.slot();
    let get = |depth, ioapic, pin, level, polarity, vector| {
        inv::irq_control_get_ioapic(CONTROL, ROOT, dest, depth, ioapic, pin, level, polarity, vector)
    };
    let range = |min, max| Error::RangeError { min, max };
    env.refused(range(1, 64), || get(0, 0, 5, 0, 0, VECTOR));
    env.refused(range(1, 64), || get(65, 0, 5, 0, 0, VECTOR));
    env.refused_as(Kind::RangeError, || get(DEPTH, 1, 5, 0, 0, VECTOR));
    env.refused_as(Kind::RangeError, || get(DEPTH, u64::MAX, 5, 0, 0, VECTOR));
    env.refused_as(Kind::RangeError, || get(DEPTH, 0, 24, 0, 0, VECTOR));
    env.refused_as(Kind::RangeError, || get(DEPTH, 0, 1 << 32, 0, 0, VECTOR));
    env.refused(range(0, 1), || get(DEPTH, 0, 5, 2, 0, VECTOR));
    env.refused(range(0, 1), || get(DEPTH, 0, 5, 0, 2, VECTOR));
    let vectors = range(c::IRQ_VECTOR_MIN, c::IRQ_VECTOR_MAX);
    env.refused_as(Kind::RangeError, || get(DEPTH, 0, 5, 0, 0, c::IRQ_VECTOR_MAX + 1));
    env.refused(vectors, || get(DEPTH, 0, 5, 0, 0, 200));
    env.refused(vectors, || get(DEPTH, 0, 5, 0, 0, u64::MAX));
}

fn ioapic_into_a_used_slot(env: &Env) {
    let used = env.endpoint();
    env.refused(Error::DeleteFirst, || {
        inv::irq_control_get_ioapic(CONTROL, ROOT, used, DEPTH, 0, TIMER_PIN, 0, 0, VECTOR)
    });
    timer_handler(env);
}

const NO_ROOT: Error = Error::FailedLookup { source: false, failure: LookupFailure::InvalidRoot };

fn ioapic_with_a_root_that_is_no_cnode(env: &Env) {
    let (endpoint, dest) = (env.endpoint(), env.slot());
    env.refused(NO_ROOT, || {
        inv::irq_control_get_ioapic(CONTROL, endpoint, dest, DEPTH, 0, TIMER_PIN, 0, 0, VECTOR)
    });
    timer_handler(env);
}

fn msi_parameters_out_of_range(env: &Env) {
    let dest = env.slot();
    let get = |depth, bus, dev, func, vector| {
        inv::irq_control_get_msi(CONTROL, ROOT, dest, depth, bus, dev, func, 0, vector)
    };
    let range = |min, max| Error::RangeError { min, max };
    env.refused(range(1, 64), || get(0, 0, 0, 0, VECTOR));
    env.refused(range(1, 64), || get(65, 0, 0, 0, VECTOR));
    env.refused(range(0, 255), || get(DEPTH, 256, 0, 0, VECTOR));
    env.refused(range(0, 31), || get(DEPTH, 0, 32, 0, VECTOR));
    env.refused(range(0, 7), || get(DEPTH, 0, 0, 8, VECTOR));
    env.refused(range(c::IRQ_VECTOR_MIN, c::IRQ_VECTOR_MAX), || get(DEPTH, 0, 0, 0, c::IRQ_VECTOR_MAX + 1));
}

fn msi_into_a_used_slot(env: &Env) {
    let used = env.endpoint();
    env.refused(Error::DeleteFirst, || get_msi(used, VECTOR));
    msi_handler(env, VECTOR);
}

fn msi_with_a_root_that_is_no_cnode(env: &Env) {
    let (endpoint, dest) = (env.endpoint(), env.slot());
    env.refused(NO_ROOT, || inv::irq_control_get_msi(CONTROL, endpoint, dest, DEPTH, 0, 0, 0, 0, VECTOR));
    msi_handler(env, VECTOR);
}

fn every_vector_can_be_had(env: &Env) {
    for vector in c::IRQ_VECTOR_MIN..=c::IRQ_VECTOR_MAX {
        msi_handler(env, vector);
    }
    // The two above are the kernel's, for interrupts between cores.
    assert_eq!(c::IRQ_VECTOR_MAX, 107);
    let dest = env.slot();
    for vector in [108, 109, 110] {
        env.refused(Error::RangeError { min: 0, max: 107 }, || get_msi(dest, vector));
        env.refused(Error::RangeError { min: 0, max: 107 }, || {
            inv::irq_control_get_ioapic(CONTROL, ROOT, dest, DEPTH, 0, TIMER_PIN, 0, 0, vector)
        });
    }
}

fn get_is_looked_at_even_so(env: &Env) {
    let dest = env.slot();
    let get = |caps: &[CPtr], words: &[u64]| {
        env.refused_as(Kind::TruncatedMessage, || invoke_as(CONTROL, Label::IrqIssueIrqHandler, caps, words));
    };
    get(&[ROOT], &[VECTOR, dest]);
    get(&[], &[VECTOR, dest, DEPTH.into()]);
}

fn revoking_the_control_takes_all_handlers(env: &Env) {
    let (one, two) = (msi_handler(env, VECTOR), timer_pin_5(env));
    let copied = env.copy(one);
    revoke(CONTROL).expect("revoke");
    assert!(is_empty(one) && is_empty(two) && is_empty(copied));
    assert!(!is_empty(CONTROL));
    msi_handler(env, VECTOR);
}

#[track_caller]
fn timer_pin_5(env: &Env) -> CPtr {
    let dest = env.slot();
    inv::irq_control_get_ioapic(CONTROL, ROOT, dest, DEPTH, 0, 5, 1, 1, VECTOR + 1).expect("get IOAPIC");
    dest
}
