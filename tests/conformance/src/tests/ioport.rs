//! I/O ports. The ports used here are those of devices that every PC has: the scratch register of the first serial
//! port, the address register of PCI configuration, and the index register of the display.

use pecan::{Error, LookupFailure, raw::invocations as inv};
use pecan_abi::{CPtr, boot::slot};

use crate::{
    Env,
    env::{DEPTH, ROOT, copy, delete, is_empty, revoke},
};

tests! {
    issue_gives_a_range: X86IoPortControlIssue / NoError;
    issue_of_one_port_in_use: X86IoPortControlIssue / RevokeFirst;
    issue_again_after_deletion: X86IoPortControlIssue / NoError;
    issue_of_an_empty_range: X86IoPortControlIssue / InvalidArgument;
    issue_of_ports_that_do_not_exist: X86IoPortControlIssue / InvalidArgument;
    issue_into_a_used_slot: X86IoPortControlIssue / DeleteFirst;
    issue_with_a_root_that_is_no_cnode: X86IoPortControlIssue / FailedLookup;
    issue_with_a_depth_out_of_range: X86IoPortControlIssue / RangeError;
    control_keeps_what_was_issued: CNodeRevoke / NoError;
    bytes_are_written_and_read: X86IoPortOut8 / NoError, X86IoPortIn8 / NoError;
    half_words_are_written_and_read: X86IoPortOut16 / NoError, X86IoPortIn16 / NoError;
    words_are_written_and_read: X86IoPortOut32 / NoError, X86IoPortIn32 / NoError;
    ports_outside_the_range: X86IoPortIn8 / IllegalOperation, X86IoPortOut8 / IllegalOperation,
        X86IoPortIn16 / IllegalOperation, X86IoPortOut16 / IllegalOperation,
        X86IoPortIn32 / IllegalOperation, X86IoPortOut32 / IllegalOperation;
    accesses_that_cross_the_end: X86IoPortIn16 / IllegalOperation, X86IoPortOut16 / IllegalOperation,
        X86IoPortIn32 / IllegalOperation, X86IoPortOut32 / IllegalOperation;
    a_copy_serves_as_well: CNodeCopy / NoError;
    the_last_port_can_be_issued: X86IoPortControlIssue / NoError;
    instructions_on_ports_fault;
}

const CONTROL: CPtr = slot::IO_PORT_CONTROL;
/// The scratch register of the first serial port: 8 bits that mean nothing.
const SCRATCH: u16 = 0x3ff;
/// The address register of PCI configuration space.
const PCI_ADDRESS: u16 = 0xcf8;
/// The index register of the display adapter.
const DISPLAY_INDEX: u16 = 0x1ce;

#[track_caller]
fn issue(env: &Env, first: u16, last: u16) -> CPtr {
    let dest = env.slot();
    inv::io_port_control_issue(CONTROL, first.into(), last.into(), ROOT, dest, DEPTH).expect("issue");
    dest
}

fn issue_gives_a_range(env: &Env) {
    let ports = issue(env, 0x3f8, 0x3ff);
    assert!(!is_empty(ports));
    // Both ends are in it.
    inv::io_port_in8(ports, 0x3ff).expect("the last port");
    inv::io_port_in8(ports, 0x3f9).expect("a port");
}

fn issue_of_one_port_in_use(env: &Env) {
    issue(env, 0x500, 0x50f);
    let dest = env.slot();
    for (first, last) in [(0x500, 0x50f), (0x50f, 0x520), (0x4f0, 0x500), (0x508, 0x508), (0x400, 0x600)] {
        env.refused(Error::RevokeFirst, || inv::io_port_control_issue(CONTROL, first, last, ROOT, dest, DEPTH));
    }
    issue(env, 0x510, 0x51f);
    issue(env, 0x4f0, 0x4ff);
}

fn issue_again_after_deletion(env: &Env) {
    for _ in 0..3 {
        let ports = issue(env, 0x500, 0x50f);
        let copied = env.copy(ports);
        delete(ports).expect("delete");
        let dest = env.slot();
        // The copy still has the ports.
        env.refused(Error::RevokeFirst, || {
            inv::io_port_control_issue(CONTROL, 0x500, 0x500, ROOT, dest, DEPTH)
        });
        delete(copied).expect("delete");
    }
}

fn issue_of_an_empty_range(env: &Env) {
    let dest = env.slot();
    env.refused(Error::InvalidArgument { index: 1 }, || {
        inv::io_port_control_issue(CONTROL, 0x501, 0x500, ROOT, dest, DEPTH)
    });
}

fn issue_of_ports_that_do_not_exist(env: &Env) {
    // Not the ports that the low 16 bits name.
    let dest = env.slot();
    for (first, last, index) in [(0x1_0500, 0x1_0500, 0), (0x500, 0x1_0500, 1), (1 << 63 | 0x500, 0x500, 0)] {
        env.refused(Error::InvalidArgument { index }, || {
            inv::io_port_control_issue(CONTROL, first, last, ROOT, dest, DEPTH)
        });
    }
    issue(env, 0x500, 0x500);
}

fn issue_into_a_used_slot(env: &Env) {
    let used = env.endpoint();
    env.refused(Error::DeleteFirst, || inv::io_port_control_issue(CONTROL, 0x500, 0x500, ROOT, used, DEPTH));
    issue(env, 0x500, 0x500);
}

fn issue_with_a_root_that_is_no_cnode(env: &Env) {
    let (endpoint, dest) = (env.endpoint(), env.slot());
    let no_root = Error::FailedLookup { source: false, failure: LookupFailure::InvalidRoot };
    env.refused(no_root, || inv::io_port_control_issue(CONTROL, 0x500, 0x500, endpoint, dest, DEPTH));
    issue(env, 0x500, 0x500);
}

fn issue_with_a_depth_out_of_range(env: &Env) {
    let dest = env.slot();
    for depth in [0, 65] {
        env.refused(Error::RangeError { min: 1, max: 64 }, || {
            inv::io_port_control_issue(CONTROL, 0x500, 0x500, ROOT, dest, depth)
        });
    }
    issue(env, 0x500, 0x500);
}

fn control_keeps_what_was_issued(env: &Env) {
    let ports = issue(env, 0x500, 0x50f);
    let copied = env.copy(ports);
    revoke(ports).expect("revoke");
    assert!(is_empty(copied) && !is_empty(ports));
    // What the control capability issued hangs below it.
    revoke(CONTROL).expect("revoke");
    assert!(is_empty(ports));
    issue(env, 0x500, 0x50f);
}

fn bytes_are_written_and_read(env: &Env) {
    let ports = issue(env, SCRATCH, SCRATCH);
    for byte in [0x5a, 0xa5, 0] {
        inv::io_port_out8(ports, SCRATCH.into(), byte).expect("out");
        assert_eq!(u64::from(inv::io_port_in8(ports, SCRATCH).expect("in")), byte);
    }
}

fn half_words_are_written_and_read(env: &Env) {
    let ports = issue(env, DISPLAY_INDEX, DISPLAY_INDEX + 3);
    for index in [1, 2, 5, 0] {
        inv::io_port_out16(ports, DISPLAY_INDEX.into(), index).expect("out");
        assert_eq!(u64::from(inv::io_port_in16(ports, DISPLAY_INDEX).expect("in")), index);
    }
}

fn words_are_written_and_read(env: &Env) {
    let ports = issue(env, PCI_ADDRESS, PCI_ADDRESS + 3);
    for address in [0x8000_0000, 0x8000_f8fc, 0] {
        inv::io_port_out32(ports, PCI_ADDRESS.into(), address).expect("out");
        assert_eq!(u64::from(inv::io_port_in32(ports, PCI_ADDRESS).expect("in")), address);
    }
}

fn ports_outside_the_range(env: &Env) {
    let ports = issue(env, 0x500, 0x507);
    for port in [0x4ff, 0x508, 0, 0xffff] {
        let wide = u64::from(port);
        env.refused(Error::IllegalOperation, || inv::io_port_in8(ports, port));
        env.refused(Error::IllegalOperation, || inv::io_port_in16(ports, port));
        env.refused(Error::IllegalOperation, || inv::io_port_in32(ports, port));
        env.refused(Error::IllegalOperation, || inv::io_port_out8(ports, wide, 0));
        env.refused(Error::IllegalOperation, || inv::io_port_out16(ports, wide, 0));
        env.refused(Error::IllegalOperation, || inv::io_port_out32(ports, wide, 0));
    }
}

fn accesses_that_cross_the_end(env: &Env) {
    let ports = issue(env, 0x500, 0x507);
    env.refused(Error::IllegalOperation, || inv::io_port_in16(ports, 0x507));
    env.refused(Error::IllegalOperation, || inv::io_port_out16(ports, 0x507, 0));
    for port in [0x505, 0x506, 0x507] {
        env.refused(Error::IllegalOperation, || inv::io_port_in32(ports, port));
        env.refused(Error::IllegalOperation, || inv::io_port_out32(ports, port.into(), 0));
    }
    inv::io_port_in32(ports, 0x504).expect("the last four");
    inv::io_port_in16(ports, 0x506).expect("the last two");
}

fn a_copy_serves_as_well(env: &Env) {
    let ports = issue(env, SCRATCH, SCRATCH);
    let dest = env.slot();
    copy(dest, ports, pecan_abi::CapRights::NONE).expect("copy");
    inv::io_port_out8(dest, SCRATCH.into(), 0x77).expect("out");
    assert_eq!(inv::io_port_in8(ports, SCRATCH).expect("in"), 0x77);
}

fn the_last_port_can_be_issued(env: &Env) {
    let ports = issue(env, 0xffff, 0xffff);
    inv::io_port_in8(ports, 0xffff).expect("in");
    env.refused(Error::IllegalOperation, || inv::io_port_in16(ports, 0xffff));
    let all = env.slot();
    delete(ports).expect("delete");
    inv::io_port_control_issue(CONTROL, 0x8000, 0xffff, ROOT, all, DEPTH).expect("half of all ports");
}

fn instructions_on_ports_fault(env: &Env) {
    let (fault_ep, reply) = (env.endpoint(), env.reply());
    env.spawn_faulting(crate::env::HIGH, fault_ep, || {
        // SAFETY: user level may not do this, so it faults, which is what the test waits for.
        unsafe { core::arch::asm!("in al, dx", in("dx") SCRATCH, out("al") _) };
        0
    });
    let fault = pecan::raw::nb_recv(fault_ep, reply);
    assert_eq!((fault.info.label(), fault.regs[3]), (3, 13), "expected a general protection fault");
}
