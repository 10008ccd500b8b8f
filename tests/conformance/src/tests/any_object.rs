//! What holds of the invocations of every kind of object: labels that are not its own, empty slots, and messages that
//! are too short.

use pecan::{Error, raw::invocations as inv};
use pecan_abi::{CPtr, Direction, Error as Kind, INVOCATIONS, Invocation, Label, Object, ObjectType, boot::slot};

use super::Test;
use crate::{
    Env,
    env::{DEPTH, ROOT, invoke, invoke_as, sched_control},
};

const COUNT: usize = INVOCATIONS.len();

/// Every invocation with one error.
const fn all(error: Kind) -> [(Label, Kind); COUNT] {
    let mut cells = [(Label::InvalidInvocation, error); COUNT];
    let mut i = 0;
    while i < COUNT {
        cells[i].0 = INVOCATIONS[i].label;
        i += 1;
    }
    cells
}

const ILLEGAL: [(Label, Kind); COUNT] = all(Kind::IllegalOperation);
const INVALID: [(Label, Kind); COUNT] = all(Kind::InvalidCapability);
const TRUNCATED: [(Label, Kind); COUNT] = all(Kind::TruncatedMessage);

macro_rules! other_labels {
    ($($name:ident $truncated:ident $object:ident;)+) => {
        $(
            fn $name(env: &Env) {
                refuses_other_labels(env, Object::$object);
            }
            fn $truncated(env: &Env) {
                refuses_short_messages(env, Object::$object);
            }
        )+
        /// The tests of this module.
        pub const TESTS: &[Test] = &[
            $(
                Test { name: stringify!($name), body: $name, covers: &ILLEGAL, state: None },
                Test { name: stringify!($truncated), body: $truncated, covers: &TRUNCATED, state: None },
            )+
            Test { name: "an_empty_slot_refuses_everything", body: an_empty_slot_refuses_everything, covers: &INVALID, state: None },
        ];
    };
}

other_labels! {
    untyped_refuses_other_labels untyped_refuses_short_messages Untyped;
    tcb_refuses_other_labels tcb_refuses_short_messages Tcb;
    cnode_refuses_other_labels cnode_refuses_short_messages CNode;
    irq_control_refuses_other_labels irq_control_refuses_short_messages IrqControl;
    irq_handler_refuses_other_labels irq_handler_refuses_short_messages IrqHandler;
    domain_refuses_other_labels domain_refuses_short_messages DomainSet;
    sched_control_refuses_other_labels sched_control_refuses_short_messages SchedControl;
    sched_context_refuses_other_labels sched_context_refuses_short_messages SchedContext;
    pdpt_refuses_other_labels pdpt_refuses_short_messages Pdpt;
    page_directory_refuses_other_labels page_directory_refuses_short_messages PageDirectory;
    page_table_refuses_other_labels page_table_refuses_short_messages PageTable;
    page_refuses_other_labels page_refuses_short_messages Page;
    asid_control_refuses_other_labels asid_control_refuses_short_messages AsidControl;
    asid_pool_refuses_other_labels asid_pool_refuses_short_messages AsidPool;
    io_port_control_refuses_other_labels io_port_control_refuses_short_messages IoPortControl;
    io_port_refuses_other_labels io_port_refuses_short_messages IoPort;
}

/// A capability to an object of this kind.
#[track_caller]
fn service(env: &Env, object: Object) -> CPtr {
    match object {
        Object::Untyped => env.child_untyped(12),
        Object::Tcb => env.tcb(),
        Object::CNode => env.cnode(2).cap,
        Object::IrqControl => slot::IRQ_CONTROL,
        Object::IrqHandler => {
            let handler = env.slot();
            inv::irq_control_get_msi(slot::IRQ_CONTROL, ROOT, handler, DEPTH, 0, 0, 0, 0, 90).expect("get MSI");
            handler
        }
        Object::DomainSet => slot::DOMAIN,
        Object::SchedControl => sched_control(),
        Object::SchedContext => env.empty_sched_context(),
        Object::VSpace | Object::Smc => unreachable!("no invocation of x86_64 is made on it"),
        Object::Pdpt => env.object(ObjectType::Pdpt),
        Object::PageDirectory => env.object(ObjectType::PageDirectory),
        Object::PageTable => env.object(ObjectType::PageTable),
        Object::Page => env.frame(),
        Object::AsidControl => slot::ASID_CONTROL,
        Object::AsidPool => slot::INIT_THREAD_ASID_POOL,
        Object::IoPortControl => slot::IO_PORT_CONTROL,
        Object::IoPort => {
            let port = env.slot();
            inv::io_port_control_issue(slot::IO_PORT_CONTROL, 0x80, 0x80, ROOT, port, DEPTH).expect("issue");
            port
        }
    }
}

fn refuses_other_labels(env: &Env, object: Object) {
    let service = service(env, object);
    let empty = env.slot();
    let others = INVOCATIONS.iter().filter(|i| i.object != object && i.label.exists()).map(|i| i.label.word());
    // Before, between and after the labels that there are.
    for label in others.chain([0, 63, 64, 1 << 20, (1 << 52) - 1]) {
        env.refused(Error::IllegalOperation, || invoke(service, label, &[ROOT, ROOT, ROOT], &[empty; 10]).map(drop));
    }
}

fn an_empty_slot_refuses_everything(env: &Env) {
    let empty = env.slot();
    for invocation in INVOCATIONS.iter().filter(|i| i.label.exists()) {
        env.refused(Error::InvalidCapability { index: 0 }, || {
            invoke_as(empty, invocation.label, &[ROOT, ROOT, ROOT], &[1; 10]).map(drop)
        });
    }
}

/// Words that an invocation would take, as far as those before the missing one are looked at.
fn words(env: &Env, invocation: &Invocation) -> [u64; 24] {
    let mut words = [0; 24];
    match invocation.object {
        // The slots of a CNode are looked up as soon as their words are there.
        Object::CNode => {
            let (empty, depth) = (env.slot(), u64::from(DEPTH));
            words[..6].copy_from_slice(&match invocation.label {
                Label::CNodeRotate => [empty, depth, 0, slot::INIT_THREAD_TCB, depth, 0],
                _ => [empty, depth, slot::INIT_THREAD_TCB, depth, 15, 0],
            });
            words[6..8].copy_from_slice(&[slot::INIT_THREAD_VSPACE, depth]);
        }
        Object::Tcb if invocation.label == Label::TcbWriteRegisters => words[1] = 20,
        _ => {}
    }
    words
}

fn refuses_short_messages(env: &Env, object: Object) {
    let service = service(env, object);
    let mut refused = 0;
    for invocation in INVOCATIONS.iter().filter(|i| i.object == object && i.label.exists()) {
        if invocation.label == Label::IrqIssueIrqHandler {
            // With an IOAPIC this one is refused whatever the message says.
            continue;
        }
        let (count, caps) = (invocation.words(Direction::In), invocation.extra_caps());
        let label = invocation.label.word();
        let words = words(env, invocation);
        let service = if object == Object::CNode { ROOT } else { service };
        if count + caps > 0 {
            env.refused(Error::TruncatedMessage, || invoke(service, label, &[], &[]).map(drop));
            refused += 1;
        }
        if caps > 0 {
            let all_but_one = [ROOT; 3];
            env.refused(Error::TruncatedMessage, || {
                invoke(service, label, &all_but_one[..caps - 1], &words[..count]).map(drop)
            });
        }
        if count > 0 {
            let all = [ROOT; 3];
            env.refused(Error::TruncatedMessage, || {
                invoke(service, label, &all[..caps], &words[..count - 1]).map(drop)
            });
        }
    }
    // Of an interrupt handler only one invocation has parameters at all.
    assert!(refused > 0, "no invocation of this object has parameters");
}
