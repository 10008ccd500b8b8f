//! Capability addresses: guards, depths and levels, for whoever resolves one, and what each is told if it does not resolve.

#![allow(clippy::unusual_byte_groupings, reason = "the groups are guards and indices, level by level")]

use pecan::{
    CNodeCapData, Error, LookupFailure,
    raw::{self, invocations as inv},
};
use pecan_abi::{CPtr, CapRights, LookupFailureKind, MessageInfo, ObjectType, boot::slot, fault::FaultTag};

use crate::{
    Env,
    env::{DEPTH, HIGH, ROOT, info, is_empty, signal},
    snapshot::peek,
    thread::{Spaces, Thread},
};

tests! {
    the_address_invoked;
    the_address_called;
    the_address_waited_on;
    the_address_of_a_reply_object;
    the_address_of_an_extra_capability;
    the_slot_to_delete: CNodeDelete / FailedLookup, CNodeDelete / NoError;
    the_slot_to_revoke: CNodeRevoke / FailedLookup, CNodeRevoke / NoError;
    the_slot_to_copy_from: CNodeCopy / FailedLookup, CNodeCopy / NoError;
    the_slot_to_copy_to: CNodeCopy / FailedLookup, CNodeCopy / NoError;
    the_slot_to_mint_from_and_to: CNodeMint / FailedLookup, CNodeMint / NoError;
    the_slot_to_move_from_and_to: CNodeMove / FailedLookup, CNodeMove / NoError;
    the_slot_to_mutate_from_and_to: CNodeMutate / FailedLookup, CNodeMutate / NoError;
    the_slots_to_rotate: CNodeRotate / FailedLookup, CNodeRotate / NoError;
    the_node_to_retype_into: UntypedRetype / FailedLookup, UntypedRetype / NoError;
    the_slot_for_an_interrupt: X86IrqIssueIrqHandlerMsi / FailedLookup, X86IrqIssueIrqHandlerIoapic / FailedLookup;
    the_slot_for_ports: X86IoPortControlIssue / FailedLookup;
    the_slot_for_an_asid_pool: AsidControlMakePool / FailedLookup;
    sixty_four_levels_of_one_bit;
    a_guard_of_all_bits_but_one;
}

/// Three CNodes, one behind the other. All objects are one notification.
///
/// ```text
/// first:  guard 101, 16 slots: 1 object, 2 nothing, 4 second, 5 third
/// second: guard 10, 8 slots:   1 object, 2 nothing, 3 third
/// third:  no guard, 4 slots:   1 object, 2 nothing
/// ```
struct Tree {
    /// The first CNode, with its guard.
    root: CPtr,
    /// The three CNodes, without.
    cnodes: [CPtr; 3],
    object: CPtr,
}

/// What an address comes to.
type Found = core::result::Result<(), LookupFailure>;

const fn guard(bits_left: u8, guard: u64, guard_bits: u8) -> Found {
    Err(LookupFailure::GuardMismatch { bits_left: bits_left as u64, guard, guard_bits: guard_bits as u64 })
}

const fn depth(bits_left: u8, bits_found: u8) -> Found {
    Err(LookupFailure::DepthMismatch { bits_left: bits_left as u64, bits_found: bits_found as u64 })
}

/// Addresses that come to a slot with an object, and what happens to others: address, bits.
const ADDRESSES: [(u64, u8, Found); 28] = [
    // One level: a guard of three bits and an index of four.
    (0b101_0001, 7, Ok(())),
    (0b11_101_0001, 7, Ok(())),
    (0b100_0001, 7, guard(7, 0b101, 3)),
    (0b001_0001, 7, guard(7, 0b101, 3)),
    (0b10, 2, guard(2, 0b101, 3)),
    (0b1, 1, guard(1, 0b101, 3)),
    (0b101, 3, depth(3, 7)),
    (0b101_000, 6, depth(6, 7)),
    (0b1101_0001, 8, guard(8, 0b101, 3)),
    (0b101_0001_0, 8, depth(1, 0)),
    (0b101_0001 << 57, 64, depth(57, 0)),
    (0b101_0010 << 57, 64, depth(57, 0)),
    // Two levels: then a guard of two bits and an index of three.
    (0b101_0100_10_001, 12, Ok(())),
    (0b101_0100_11_001, 12, guard(5, 0b10, 2)),
    (0b101_0100_00_001, 12, guard(5, 0b10, 2)),
    (0b101_0100_1, 8, guard(1, 0b10, 2)),
    (0b101_0100_10, 9, depth(2, 5)),
    (0b101_0100_10_00, 11, depth(4, 5)),
    (0b101_0100_10_001_1, 13, depth(1, 0)),
    (0b101_0100_10_010_11, 14, depth(2, 0)),
    // Three levels: then an index of two.
    (0b101_0100_10_011_01, 14, Ok(())),
    (0b101_0100_10_011_0, 13, depth(1, 2)),
    (0b101_0100_10_011_01_1, 15, depth(1, 0)),
    (0b101_0100_10_011_10_1, 15, depth(1, 0)),
    (0b101_0100_01_011_01, 14, guard(7, 0b10, 2)),
    // The third behind the first.
    (0b101_0101_01, 9, Ok(())),
    (0b101_0101_0, 8, depth(1, 2)),
    (0b101_0101_01 << 55, 64, depth(55, 0)),
];

/// What the address belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The capability invoked is the root: it is refused otherwise if it is no CNode.
    Service,
    /// A destination whose root is another capability.
    Destination,
    /// A source or a pivot, which the error says.
    Source,
}

impl Tree {
    #[track_caller]
    fn new(env: &Env) -> Self {
        Self::of(env, env.notification())
    }

    #[track_caller]
    fn of(env: &Env, object: CPtr) -> Self {
        let cnodes = [4, 3, 2].map(|radix| env.cnode(radix).cap);
        let [first, second, third] = cnodes;
        for (cnode, index, radix, cap) in
            [(first, 1, 4, object), (second, 1, 3, object), (third, 1, 2, object), (first, 5, 4, third), (second, 3, 3, third)]
        {
            inv::cnode_copy(cnode, index, radix, ROOT, cap, DEPTH, CapRights::ALL).expect("copy");
        }
        let guard = CNodeCapData::new(0b10, 2).0;
        inv::cnode_mint(first, 4, 4, ROOT, second, DEPTH, CapRights::ALL, guard).expect("mint");
        Tree { root: env.mint(first, CNodeCapData::new(0b101, 3).0), cnodes, object }
    }

    /// The objects are where they were.
    #[track_caller]
    fn is_whole(&self, env: &Env) {
        for (cnode, radix) in self.cnodes.into_iter().zip([4, 3, 2]) {
            assert_ne!(peek(cnode, 1, radix, env.end_slot), 0, "an object has gone");
            assert_eq!(peek(cnode, 2, radix, env.end_slot), 0, "something has come");
        }
    }

    /// Tries an operation at every address, and with a root that is none. It is told what each comes to (`Err`), or does
    /// what it does where there is an object.
    #[track_caller]
    fn every_address(&self, env: &Env, who: Who, operate: impl Fn(CPtr, u64, u8) -> pecan::Result<()>) {
        let source = who == Who::Source;
        for (address, bits, found) in ADDRESSES {
            let expected = found.map_err(|failure| Error::FailedLookup { source, failure });
            if expected.is_err() {
                assert_eq!(operate(self.root, address, bits), expected, "{address:#b}, {bits} bits");
            } else {
                operate(self.root, address, bits).expect("an operation on an object");
            }
        }
        let no_root = Error::FailedLookup { source, failure: LookupFailure::InvalidRoot };
        for root in [self.object, slot::NULL, slot::INIT_THREAD_TCB, slot::INIT_THREAD_VSPACE] {
            if who == Who::Service {
                continue;
            }
            assert_eq!(operate(root, 0b101_0001, 7), Err(no_root), "root {root}");
        }
        for bits in [0, 65, 255] {
            let range = Err(Error::RangeError { min: 1, max: 64 });
            assert_eq!(operate(self.root, 0b101_0001, bits), range, "{bits} bits");
        }
        self.is_whole(env);
    }

    /// The same where an empty slot is wanted: each object's is given up first, and what has come is taken away.
    #[track_caller]
    fn every_destination(&self, env: &Env, who: Who, operate: impl Fn(CPtr, u64, u8) -> pecan::Result<()>) {
        let aside = env.slot();
        self.every_address(env, who, |root, address, bits| {
            if inv::cnode_move(ROOT, aside, DEPTH, root, address, bits).is_err() {
                return operate(root, address, bits);
            }
            operate(root, address, bits)?;
            inv::cnode_delete(root, address, bits).expect("delete");
            inv::cnode_move(root, address, bits, ROOT, aside, DEPTH)
        });
    }
}

/// Addresses of 64 bits, what they come to, and whether that is an object. Bits left over at what is no CNode do not count.
const LONG: [(u64, Found, bool); 10] = [
    (0b101_0001 << 57, Ok(()), true),
    (0b101_0001 << 57 | 0x1234, Ok(()), true),
    (0b101_0010 << 57, Ok(()), false),
    (0b100_0001 << 57, guard(64, 0b101, 3), false),
    (0b101_0100_10_001 << 52, Ok(()), true),
    (0b101_0100_10_001 << 52 | 0xfff, Ok(()), true),
    (0b101_0100_10_010 << 52, Ok(()), false),
    (0b101_0100_01_001 << 52, guard(57, 0b10, 2), false),
    (0b101_0100_10_011_01 << 50 | 1, Ok(()), true),
    (0b101_0101_10 << 55, Ok(()), false),
];

/// The words of a lookup failure.
fn words(failure: LookupFailure) -> ([u64; 4], usize) {
    match failure {
        LookupFailure::Unknown(kind) => panic!("a failure of unknown kind {kind}"),
        LookupFailure::InvalidRoot => ([LookupFailureKind::InvalidRoot.word(), 0, 0, 0], 1),
        LookupFailure::MissingCapability { bits_left } => {
            ([LookupFailureKind::MissingCapability.word(), bits_left, 0, 0], 2)
        }
        LookupFailure::DepthMismatch { bits_left, bits_found } => {
            ([LookupFailureKind::DepthMismatch.word(), bits_left, bits_found, 0], 3)
        }
        LookupFailure::GuardMismatch { bits_left, guard, guard_bits } => {
            ([LookupFailureKind::GuardMismatch.word(), bits_left, guard, guard_bits], 4)
        }
    }
}

/// A thread whose CSpace is the tree, and where its faults go.
struct Inside {
    tree: Tree,
    thread: Thread,
    fault_ep: CPtr,
    reply: CPtr,
}

impl Inside {
    #[track_caller]
    fn new(env: &Env) -> Self {
        Self::of(env, Tree::new(env))
    }

    #[track_caller]
    fn of(env: &Env, tree: Tree) -> Self {
        let (fault_ep, reply) = (env.endpoint(), env.reply());
        let spaces = Spaces { cspace: tree.root, fault_ep: env.mint(fault_ep, 1), ..Spaces::own() };
        let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
        Inside { tree, thread, fault_ep, reply }
    }

    /// The capability fault of the thread, if it has one, must be this.
    #[track_caller]
    fn takes_fault(&self, address: u64, receiving: bool, failure: Option<LookupFailure>) {
        let fault = raw::nb_recv(self.fault_ep, self.reply);
        let Some(failure) = failure else {
            assert_eq!(fault.badge, 0, "{address:#x} has raised a fault");
            return;
        };
        assert_eq!((fault.badge, fault.info.label()), (1, FaultTag::CapFault.word()), "{address:#x}: no fault");
        let (words, length) = words(failure);
        assert_eq!(fault.info.length(), 3 + length, "{address:#x}: the length of the message");
        assert_eq!(fault.regs[1..3], [address, u64::from(receiving)]);
        for (index, word) in words.into_iter().enumerate().take(length) {
            assert_eq!(fault.word(3 + index), word, "{address:#x}: word {index} of the failure");
        }
        inv::tcb_suspend(self.thread.tcb).expect("suspend");
    }

    /// Makes a system call with every address.
    #[track_caller]
    fn every_address(&self, receiving: bool, empty: Option<LookupFailure>, call: fn(u64), works: impl Fn(u64)) {
        for (address, found, is_object) in LONG {
            self.thread.start(move || {
                call(address);
                raw::any_syscall(-100, 0, MessageInfo(0), [0; 4], 0, 0);
                0
            });
            match found {
                Err(failure) => self.takes_fault(address, receiving, Some(failure)),
                Ok(()) if !is_object && empty.is_some() => self.takes_fault(address, receiving, empty),
                Ok(()) => {
                    if is_object {
                        works(address);
                    }
                    // It has come to its next system call, which does not exist.
                    let fault = raw::nb_recv(self.fault_ep, self.reply);
                    assert_eq!(fault.info.label(), FaultTag::UnknownSyscall.word(), "{address:#x}");
                    inv::tcb_suspend(self.thread.tcb).expect("suspend");
                }
            }
        }
    }
}

fn the_address_invoked(env: &Env) {
    let notification = env.notification();
    let inside = Inside::of(env, Tree::of(env, env.mint(notification, 2)));
    let arrived = |address| assert_eq!(raw::nb_wait(notification).badge, 2, "{address:#x}");
    inside.every_address(false, None, |address| raw::send(address, MessageInfo(0), [0; 4]), arrived);
}

fn the_address_called(env: &Env) {
    let inside = Inside::new(env);
    inside.every_address(false, None, |address| _ = raw::call(address, MessageInfo(0), [0; 4]), |_| {});
}

fn the_address_waited_on(env: &Env) {
    let inside = Inside::new(env);
    let missing = LookupFailure::MissingCapability { bits_left: 0 };
    inside.every_address(true, Some(missing), |address| _ = raw::nb_wait(address), |_| {});
}

fn the_address_of_a_reply_object(env: &Env) {
    // The objects are endpoints here, so that there is something to receive on; none is a reply object.
    let endpoint = env.endpoint();
    let inside = Inside::of(env, Tree::of(env, endpoint));
    for (address, found, _) in LONG {
        inside.thread.start(move || raw::recv(0b101_0001 << 57, address).badge);
        let missing = LookupFailure::MissingCapability { bits_left: 0 };
        inside.takes_fault(address, true, Some(found.err().unwrap_or(missing)));
    }
    // One that is found will do.
    inv::cnode_copy(inside.tree.cnodes[2], 3, 2, ROOT, env.reply(), DEPTH, CapRights::ALL).expect("copy");
    inside.thread.start(|| raw::recv(0b101_0001 << 57, 0b101_0100_10_011_11 << 50).regs[0]);
    crate::env::send(endpoint, 0, &[6]);
    assert!(inside.thread.has_returned());
}

fn the_address_of_an_extra_capability(env: &Env) {
    let inside = Inside::new(env);
    for (address, found, _) in LONG {
        inside.thread.start(move || {
            raw::send(0b101_0001 << 57, info(0, &[address], &[]), [0; 4]);
            raw::any_syscall(-100, 0, MessageInfo(0), [0; 4], 0, 0);
            0
        });
        match found {
            Err(failure) => inside.takes_fault(address, false, Some(failure)),
            Ok(()) => {
                let fault = raw::nb_recv(inside.fault_ep, inside.reply);
                assert_eq!(fault.info.label(), FaultTag::UnknownSyscall.word(), "{address:#x}");
                inv::tcb_suspend(inside.thread.tcb).expect("suspend");
            }
        }
    }
}

fn the_slot_to_delete(env: &Env) {
    let tree = Tree::new(env);
    // What has been deleted is put back.
    let put_back = |root, address, bits| {
        inv::cnode_copy(root, address, bits, ROOT, tree.object, DEPTH, CapRights::ALL)
    };
    tree.every_address(env, Who::Service, |root, address, bits| {
        inv::cnode_delete(root, address, bits)?;
        put_back(root, address, bits)
    });
}

fn the_slot_to_revoke(env: &Env) {
    let tree = Tree::new(env);
    tree.every_address(env, Who::Service, inv::cnode_revoke);
}

fn the_slot_to_copy_from(env: &Env) {
    let (tree, dest) = (Tree::new(env), env.slot());
    tree.every_address(env, Who::Source, |root, address, bits| {
        inv::cnode_copy(ROOT, dest, DEPTH, root, address, bits, CapRights::ALL)?;
        crate::env::delete(dest)
    });
    // An empty slot is found, and reported with all the bits that were given.
    let missing = |bits_left| Error::FailedLookup {
        source: true,
        failure: LookupFailure::MissingCapability { bits_left },
    };
    for (address, bits) in [(0b101_0010, 7), (0b101_0100_10_010, 12), (0b101_0100_10_011_10, 14)] {
        env.refused(missing(bits.into()), || {
            inv::cnode_copy(ROOT, dest, DEPTH, tree.root, address, bits, CapRights::ALL)
        });
    }
}

fn the_slot_to_copy_to(env: &Env) {
    let (tree, source) = (Tree::new(env), env.endpoint());
    tree.every_destination(env, Who::Service, |root, address, bits| {
        inv::cnode_copy(root, address, bits, ROOT, source, DEPTH, CapRights::ALL)
    });
}

fn the_slot_to_mint_from_and_to(env: &Env) {
    let (tree, dest, source) = (Tree::new(env), env.slot(), env.endpoint());
    tree.every_address(env, Who::Source, |root, address, bits| {
        inv::cnode_mint(ROOT, dest, DEPTH, root, address, bits, CapRights::ALL, 5)?;
        crate::env::delete(dest)
    });
    tree.every_destination(env, Who::Service, |root, address, bits| {
        inv::cnode_mint(root, address, bits, ROOT, source, DEPTH, CapRights::ALL, 5)
    });
}

fn the_slot_to_move_from_and_to(env: &Env) {
    let (tree, dest, source, copied) = (Tree::new(env), env.slot(), env.endpoint(), env.slot());
    tree.every_address(env, Who::Source, |root, address, bits| {
        inv::cnode_move(ROOT, dest, DEPTH, root, address, bits)?;
        inv::cnode_move(root, address, bits, ROOT, dest, DEPTH)
    });
    tree.every_destination(env, Who::Service, |root, address, bits| {
        crate::env::copy(copied, source, CapRights::ALL)?;
        let moved = inv::cnode_move(root, address, bits, ROOT, copied, DEPTH);
        crate::env::delete(copied)?;
        moved
    });
}

fn the_slot_to_mutate_from_and_to(env: &Env) {
    let (tree, dest, cnode, copied) = (Tree::new(env), env.slot(), env.cnode(2), env.slot());
    // Only what comes before the change of data is looked at: a notification cannot be mutated.
    tree.every_address(env, Who::Source, |root, address, bits| {
        match inv::cnode_mutate(ROOT, dest, DEPTH, root, address, bits, 0) {
            Err(Error::IllegalOperation) => Ok(()),
            other => other,
        }
    });
    assert!(is_empty(dest));
    tree.every_destination(env, Who::Service, |root, address, bits| {
        crate::env::copy(copied, cnode.cap, CapRights::ALL)?;
        let mutated = inv::cnode_mutate(root, address, bits, ROOT, copied, DEPTH, 0);
        crate::env::delete(copied)?;
        mutated
    });
}

fn the_slots_to_rotate(env: &Env) {
    // Capabilities with badges cannot be rotated; frames can.
    let (tree, dest, other) = (Tree::of(env, env.frame()), env.slot(), env.frame());
    // As the source, as the pivot, as the destination; then everything goes back.
    tree.every_address(env, Who::Source, |root, address, bits| {
        inv::cnode_rotate(ROOT, dest, DEPTH, 0, ROOT, other, DEPTH, 0, root, address, bits)?;
        inv::cnode_rotate(root, address, bits, 0, ROOT, other, DEPTH, 0, ROOT, dest, DEPTH)
    });
    tree.every_address(env, Who::Source, |root, address, bits| {
        inv::cnode_rotate(ROOT, dest, DEPTH, 0, root, address, bits, 0, ROOT, other, DEPTH)?;
        inv::cnode_rotate(ROOT, other, DEPTH, 0, root, address, bits, 0, ROOT, dest, DEPTH)
    });
    let (one, two) = (env.frame(), env.frame());
    tree.every_destination(env, Who::Service, |root, address, bits| {
        // The slot gets what was at the pivot, and gives it back.
        inv::cnode_rotate(root, address, bits, 0, ROOT, one, DEPTH, 0, ROOT, two, DEPTH)?;
        inv::cnode_rotate(ROOT, two, DEPTH, 0, ROOT, one, DEPTH, 0, root, address, bits)?;
        // Left where they were; something must be in the slot to be taken away.
        inv::cnode_copy(root, address, bits, ROOT, one, DEPTH, CapRights::ALL)
    });
}

fn the_node_to_retype_into(env: &Env) {
    let tree = Tree::new(env);
    let retype = |root, address, bits: u64, offset| {
        inv::untyped_retype(env.untyped, ObjectType::Endpoint.word(), 0, root, address, bits, offset, 1)
    };
    // The nodes themselves are named, by address and depth.
    for (address, bits, cnode, radix) in [
        (0, 0, tree.cnodes[0], 4),
        (0b101_0100, 7, tree.cnodes[1], 3),
        (0b101_0101, 7, tree.cnodes[2], 2),
        (0b101_0100_10_011, 12, tree.cnodes[2], 2),
    ] {
        retype(tree.root, address, bits, 2).expect("retype");
        assert_ne!(peek(cnode, 2, radix, env.end_slot), 0, "{address:#b}, {bits} bits");
        inv::cnode_delete(cnode, 2, radix).expect("delete");
        assert_eq!(
            retype(tree.root, address, bits, 1 << radix),
            Err(Error::RangeError { min: 0, max: (1 << radix) - 1 })
        );
    }
    // What is no CNode, and what cannot be found.
    for (address, bits, found) in ADDRESSES {
        let missing = LookupFailure::MissingCapability { bits_left: bits.into() };
        let failure = found.err().unwrap_or(missing);
        let expected = Error::FailedLookup { source: false, failure };
        env.refused(expected, || retype(tree.root, address, bits.into(), 2));
    }
    tree.is_whole(env);
}

fn the_slot_for_an_interrupt(env: &Env) {
    let tree = Tree::new(env);
    tree.every_destination(env, Who::Destination, |root, address, bits| {
        inv::irq_control_get_msi(slot::IRQ_CONTROL, root, address, bits, 0, 0, 0, 0, 91)
    });
    tree.every_destination(env, Who::Destination, |root, address, bits| {
        inv::irq_control_get_ioapic(slot::IRQ_CONTROL, root, address, bits, 0, 2, 0, 0, 91)
    });
}

fn the_slot_for_ports(env: &Env) {
    let tree = Tree::new(env);
    tree.every_destination(env, Who::Destination, |root, address, bits| {
        inv::io_port_control_issue(slot::IO_PORT_CONTROL, 0x500, 0x500, root, address, bits)
    });
}

fn the_slot_for_an_asid_pool(env: &Env) {
    let (tree, untyped) = (Tree::new(env), env.child_untyped(12));
    tree.every_destination(env, Who::Destination, |root, address, bits| {
        inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, root, address, bits)
    });
}

fn sixty_four_levels_of_one_bit(env: &Env) {
    // A CNode of two slots whose second holds itself: each level takes one bit.
    let (cnode, object) = (env.cnode(1).cap, env.notification());
    inv::cnode_copy(cnode, 1, 1, ROOT, cnode, DEPTH, CapRights::ALL).expect("copy");
    inv::cnode_copy(cnode, 0, 1, ROOT, object, DEPTH, CapRights::ALL).expect("copy");
    let to = env.slot();
    for bits in 1..=64u8 {
        // All ones but the last.
        let address = u64::MAX << 1;
        inv::cnode_copy(ROOT, to, DEPTH, cnode, address, bits, CapRights::ALL).expect("copy");
        signal(env.mint(to, 1));
        assert_eq!(raw::nb_wait(object).badge, 1, "{bits} bits");
        crate::env::delete(to).expect("delete");
        if bits < 64 {
            let left = Err(Error::FailedLookup { source: true, failure: depth(1, 0).unwrap_err() });
            let too_long = inv::cnode_copy(ROOT, to, DEPTH, cnode, address << 1, bits + 1, CapRights::ALL);
            assert_eq!(too_long, left, "{bits} bits and one more");
        }
    }
    // The whole address, as a thread's.
    let thread = env.thread_with(
        HIGH,
        env.sched_context(10_000, 10_000),
        Spaces { cspace: cnode, fault_ep: 0, ..Spaces::own() },
    );
    thread.start(|| {
        signal(u64::MAX << 1);
        1
    });
    assert!(thread.has_returned());
    inv::cnode_delete(cnode, 1, 1).expect("delete");
}

fn a_guard_of_all_bits_but_one(env: &Env) {
    let (cnode, object) = (env.cnode(1).cap, env.notification());
    inv::cnode_copy(cnode, 1, 1, ROOT, object, DEPTH, CapRights::ALL).expect("copy");
    // The word of data has room for 58 bits of guard.
    let value = 0x2aa_aaaa_aaaa_aaaa;
    let guarded = env.mint(cnode, CNodeCapData::new(value, 63).0);
    let (to, address) = (env.slot(), value << 1 | 1);
    inv::cnode_copy(ROOT, to, DEPTH, guarded, address, 64, CapRights::ALL).expect("copy");
    let differs = Error::FailedLookup { source: true, failure: guard(64, value, 63).unwrap_err() };
    let other = env.slot();
    for wrong in [address ^ 1 << 63, address ^ 2, address ^ 1 << 40] {
        env.refused(differs, || inv::cnode_copy(ROOT, other, DEPTH, guarded, wrong, 64, CapRights::ALL));
    }
    let short = Error::FailedLookup { source: true, failure: depth(63, 64).unwrap_err() };
    env.refused(short, || inv::cnode_copy(ROOT, other, DEPTH, guarded, value, 63, CapRights::ALL));
}
