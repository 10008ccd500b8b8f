//! Families about devices and address spaces.

use super::*;

/// Physical memory of a device.
const DEVICE: u64 = 1 << 32;

/// The families.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "interrupts",
        about: "two threads get, set, acknowledge, clear and delete handlers of interrupts that come at any time",
        system: || {
            threads(&[100, 101], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
                s.control(at::FREE, pecan_mem::Cap::IrqControl);
                s.interrupts(&[0, 5]);
            })
        },
        events: |_| {
            let (control, irq) = (at::FREE, |n| FIRST_INTERRUPT + n);
            let (handler, other) = (at::FREE + 1, at::FREE + 2);
            let (pin, msi) = (Label::X86IrqIssueIrqHandlerIoapic, Label::X86IrqIssueIrqHandlerMsi);
            let mut e = vec![
                Event::Interrupt { irq: irq(0) },
                Event::Interrupt { irq: irq(5) },
                invoke(control, pin, &[handler, 64, 0, 7, 1, 0, 5], &[at::CNODE]),
                invoke(control, msi, &[other, 64, 1, 2, 3, 4, 0], &[at::CNODE]),
                invoke(control, msi, &[other, 64, 1, 2, 3, 4, 5], &[at::CNODE]),
                invoke(control, pin, &[other, 64, 1, 7, 1, 0, 0], &[at::CNODE]),
                invoke(control, Label::IrqIssueIrqHandler, &[other, 64, 1], &[at::CNODE]),
                invoke(at::CNODE, Label::CNodeCopy, &[other, 64, handler, 64, 15], &[at::CNODE]),
                invoke(at::CNODE, Label::CNodeRevoke, &[control, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::NTFN, 64], &[]),
                syscall(Syscall::Wait, at::NTFN),
                yields(),
            ];
            for slot in [handler, other] {
                e.push(invoke(slot, Label::IrqAckIrq, &[], &[]));
                e.push(invoke(slot, Label::IrqSetIrqHandler, &[], &[at::NTFN]));
                e.push(invoke(slot, Label::IrqClearIrqHandler, &[], &[]));
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            e.push(invoke(handler, Label::IrqSetIrqHandler, &[], &[at::EP]));
            e
        },
    },
    Family {
        name: "ports",
        about: "one thread issues I/O ports, reads and writes them, and gives them back",
        system: || {
            threads(&[100], |s| {
                s.own_cspace(at::CNODE);
                s.control(at::FREE, pecan_mem::Cap::Arch(pecan_mem::ArchCap::IoPortControl));
                s.ports(&[0x3f7, 0x3f8, 0x3fb, 0x3ff, 0x400]);
            })
        },
        events: |_| {
            use Label::*;
            let control = at::FREE;
            let mut e = vec![yields()];
            for (first, last, slot) in
                [(0x3f8, 0x3fb, 13), (0x3fb, 0x3ff, 14), (0x3fc, 0x3ff, 14), (9, 8, 14)]
            {
                e.push(invoke(control, X86IoPortControlIssue, &[first, last, slot, 64], &[at::CNODE]));
            }
            for slot in [13, 14] {
                for (port, label) in [
                    (0x3f8, X86IoPortIn8),
                    (0x3fa, X86IoPortIn16),
                    (0x3f8, X86IoPortIn32),
                    (0x3fc, X86IoPortIn32),
                    (0x3fd, X86IoPortIn32),
                ] {
                    e.push(invoke(slot, label, &[port], &[]));
                }
                for label in [X86IoPortOut8, X86IoPortOut16, X86IoPortOut32] {
                    e.push(invoke(slot, label, &[0x3f8, 0x1234_5678], &[]));
                    e.push(invoke(slot, label, &[0x3fe, 0x1234_5678], &[]));
                }
                e.push(invoke(at::CNODE, CNodeDelete, &[slot, 64], &[]));
            }
            e.push(invoke(at::CNODE, CNodeCopy, &[15, 64, 13, 64, 0], &[at::CNODE]));
            e.push(invoke(at::CNODE, CNodeCopy, &[15, 64, control, 64, 15], &[at::CNODE]));
            e.push(invoke(at::CNODE, CNodeDelete, &[15, 64], &[]));
            e.push(invoke(at::CNODE, CNodeRevoke, &[control, 64], &[]));
            e.push(invoke(at::CNODE, CNodeRevoke, &[13, 64], &[]));
            e
        },
    },
    Family {
        name: "identifiers",
        about: "ASID pools are made, assigned from and deleted under address spaces that are in use",
        system: || {
            threads(&[100, 100], |s| {
                s.own_cspace(at::CNODE);
                s.own_vspace(at::EP);
                s.control(at::BADGED, pecan_mem::Cap::AsidControl);
                s.make(at::NTFN, ObjectKind::Untyped { bits: 12 }, "untyped1");
                s.make(at::REPLY, ObjectKind::Untyped { bits: 12 }, "untyped2");
                s.make(at::C, ObjectKind::PageTable { level: 3 }, "root");
                s.make(at::SC + 1, ObjectKind::PageTable { level: 2 }, "pdpt");
            })
        },
        events: |_| {
            let (control, untyped, root, pdpt, pool) = (at::BADGED, at::NTFN, at::C, at::SC + 1, at::FREE);
            let guard = CNodeCapData::new(0, 60).0;
            let mut e = vec![
                yields(),
                invoke(control, Label::AsidControlMakePool, &[pool, 64], &[untyped, at::CNODE]),
                invoke(control, Label::AsidControlMakePool, &[pool + 1, 64], &[untyped + 1, at::CNODE]),
                invoke(control, Label::AsidControlMakePool, &[pool + 1, 64], &[root, at::CNODE]),
                invoke(
                    untyped,
                    Label::UntypedRetype,
                    &[ObjectType::Pml4 as u64, 0, 0, 0, 14, 1],
                    &[at::CNODE],
                ),
                invoke(at::B, Label::TcbSetSpace, &[guard, 0], &[0, at::CNODE, root]),
                invoke(at::B, Label::TcbSetSpace, &[guard, 0], &[0, at::CNODE, at::EP]),
                invoke(pdpt, Label::X86PdptMap, &[0x40_0000, 0], &[root]),
                invoke(pdpt, Label::X86PdptUnmap, &[], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[untyped, 64], &[]),
            ];
            for pool in [pool, pool + 1] {
                for space in [root, 14, pdpt] {
                    e.push(invoke(pool, Label::AsidPoolAssign, &[], &[space]));
                }
            }
            for slot in [pool, pool + 1, 14, root] {
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            e
        },
    },
    Family {
        name: "large frames",
        about: "device memory becomes frames of all sizes, which are mapped where smaller ones and tables are",
        system: || {
            threads(&[100], |s| {
                s.own_cspace(at::CNODE);
                s.own_vspace(at::EP);
                for level in 0..3 {
                    let what = ["pt", "pd", "pdpt"][level as usize];
                    s.make(at::BADGED + level as u64, ObjectKind::PageTable { level }, what);
                }
                s.device(at::C, DEVICE, 31);
                s.frame(at::B, 2 * DEVICE, 1, "large frame");
            })
        },
        events: |_| {
            let (device, all, mega, giga) = (at::C, CapRights::ALL.0, 1 << 21, 1 << 30);
            let (uncached, combining) = (2, 4);
            let retype = |kind: ObjectType, size, slot| {
                invoke(device, Label::UntypedRetype, &[kind as u64, size, 0, 0, slot, 1], &[at::CNODE])
            };
            let map =
                |slot, vaddr, rights, cache| invoke(slot, Label::PageMap, &[vaddr, rights, cache], &[at::EP]);
            let mut e = vec![
                retype(ObjectType::HugePage, 0, 13),
                retype(ObjectType::LargePage, 0, 14),
                retype(ObjectType::Page4K, 0, 15),
                retype(ObjectType::Untyped, 30, 15),
                retype(ObjectType::Endpoint, 0, 15),
                map(13, giga, all, uncached),
                map(13, giga + 4096, all, 0),
                map(14, giga, all, combining),
                map(14, giga, CapRights::READ.0, uncached),
                map(at::B, giga + mega, CapRights::READ.0, 0),
                map(at::B, giga + 4096, all, 0),
                map(15, giga, all, uncached),
                invoke(13, Label::PageGetAddress, &[], &[]),
                invoke(at::CNODE, Label::CNodeCopy, &[9, 64, 14, 64, 2], &[at::CNODE]),
                invoke(at::CNODE, Label::CNodeRevoke, &[device, 64], &[]),
            ];
            for (i, (map, unmap)) in TABLE_METHODS.into_iter().enumerate() {
                let slot = at::BADGED + i as u64;
                e.push(invoke(slot, map, &[giga, 0], &[at::EP]));
                e.push(invoke(slot, unmap, &[], &[]));
                e.push(invoke(at::CNODE, Label::CNodeRevoke, &[slot, 64], &[]));
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            for slot in [13, 14, 15, at::B] {
                e.push(invoke(slot, Label::PageUnmap, &[], &[]));
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            e
        },
    },
];
