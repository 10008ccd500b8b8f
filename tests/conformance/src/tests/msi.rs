//! Message-signalled interrupts, from QEMU's `edu` device, which raises one when told to (QEMU, docs/specs/edu). A device
//! raises its message by a write to the local interrupt controller (PCI local bus specification 3.0, 6.8; Intel SDM volume
//! 3, "Message Signalled Interrupts").

use pecan::raw::{self, invocations as inv};
use pecan_abi::{
    CPtr, CapRights, ObjectType,
    boot::slot,
    constants::{IRQ_OFFSET, PAGE_BITS, vm_attributes},
};

use crate::{
    Env,
    env::{DEPTH, HIGH, ROOT, WINDOW, delete, poll},
    machine,
    start::boot_info,
    thread::Spaces,
};

tests! {
    a_message_signals_its_notification: X86IrqIssueIrqHandlerMsi / NoError, IrqSetIrqHandler / NoError,
        IrqAckIrq / NoError;
    a_message_preempts_the_running_thread: X86IrqIssueIrqHandlerMsi / NoError;
    a_message_goes_to_the_handler_of_its_vector: X86IrqIssueIrqHandlerMsi / NoError;
    a_message_of_a_cleared_handler_signals_nobody: IrqClearIrqHandler / NoError;
    a_message_of_a_deleted_handler_signals_nobody: CNodeDelete / NoError;
    a_message_to_a_vector_that_nobody_has_does_no_harm;
    a_message_to_a_vector_that_nobody_has_does_no_harm_while_nothing_runs;
    no_store_is_a_message;
}

/// Vectors of the tests, the least and the greatest among them.
const VECTORS: [u64; 3] = [0, 41, 107];

/// Vendor and device of the `edu` device.
const EDU: u32 = 0x11e8_1234;
/// The capability of a device that can raise messages.
const CAPABILITY_MSI: u32 = 5;
/// Where a message for the first processor goes.
const MESSAGE_ADDRESS: u32 = 0xfee0_0000;

/// The device.
struct Device {
    /// Capability to the ports of PCI's configuration space.
    ports: CPtr,
    /// Its place there.
    place: u32,
}

impl Device {
    /// Finds the device and puts its registers at [`WINDOW`].
    #[track_caller]
    fn new(env: &Env) -> Self {
        let ports = env.slot();
        inv::io_port_control_issue(slot::IO_PORT_CONTROL, 0xcf8, 0xcff, ROOT, ports, DEPTH).expect("issue");
        let on_bus = |number: u32| Device { ports, place: 1 << 31 | number << 11 };
        let device = (0..32).map(on_bus).find(|device| device.config(0) == EDU);
        let device = device.expect("QEMU's device `edu` (cargo xtask test gives one)");
        device.set_config(4, device.config(4) | 6); // answers to memory accesses, and makes some itself
        assert!(map(env, u64::from(device.config(0x10) & !0xf)), "device memory");
        assert_eq!(device.read(0) >> 16, 0x0100, "the device's identification");
        device
    }

    fn config(&self, register: u32) -> u32 {
        inv::io_port_out32(self.ports, 0xcf8, (self.place | register).into()).expect("out");
        inv::io_port_in32(self.ports, 0xcfc).expect("in")
    }

    fn set_config(&self, register: u32, value: u32) {
        inv::io_port_out32(self.ports, 0xcf8, (self.place | register).into()).expect("out");
        inv::io_port_out32(self.ports, 0xcfc, value.into()).expect("out");
    }

    fn read(&self, register: u64) -> u32 {
        // SAFETY: the device's registers are mapped there.
        unsafe { ((WINDOW + register) as *const u32).read_volatile() }
    }

    /// Makes the device raise its message.
    fn raise(&self) {
        // SAFETY: as in `read`. It raises nothing new unless what it raised before is acknowledged at the device.
        unsafe {
            ((WINDOW + 0x64) as *mut u32).write_volatile(u32::MAX);
            ((WINDOW + 0x60) as *mut u32).write_volatile(1);
        }
    }

    /// Makes the device copy a word out of memory, which takes it 100 ms, and then raise its message.
    fn raise_later(&self) {
        for (register, value) in [(0x64, u32::MAX), (0x80, 0x1000), (0x88, 0x4_0000), (0x90, 4), (0x98, 0b101)] {
            // SAFETY: as in `read`; the device copies to its own memory.
            unsafe { ((WINDOW + register) as *mut u32).write_volatile(value) };
        }
    }

    /// Gives the device the message that raises the user's vector `vector`.
    #[track_caller]
    fn set_vector(&self, vector: u64) {
        let mut at = self.config(0x34) & 0xfc;
        while self.config(at) & 0xff != CAPABILITY_MSI {
            at = self.config(at) >> 8 & 0xfc;
            assert!(at != 0, "the device has no messages");
        }
        let control = self.config(at);
        let is_64_bit = control & 1 << 23 != 0;
        self.set_config(at + 4, MESSAGE_ADDRESS);
        if is_64_bit {
            self.set_config(at + 8, 0);
        }
        self.set_config(at + if is_64_bit { 12 } else { 8 }, IRQ_OFFSET.wrapping_add(vector) as u32);
        self.set_config(at, control | 1 << 16);
    }

    /// The handler of a vector that signals a notification.
    #[track_caller]
    fn handler(&self, env: &Env, vector: u64, notification: CPtr) -> CPtr {
        let (dest, place) = (env.slot(), u64::from(self.place));
        let (bus, device, function) = (place >> 16 & 0xff, place >> 11 & 31, place >> 8 & 7);
        inv::irq_control_get_msi(slot::IRQ_CONTROL, ROOT, dest, DEPTH, bus, device, function, 0, vector)
            .expect("get MSI");
        inv::irq_handler_set_notification(dest, notification).expect("set notification");
        dest
    }
}

/// Maps the page of physical memory at `address` at [`WINDOW`], out of device memory that is halved until it is one; false if
/// it is in no device memory.
#[track_caller]
fn map(env: &Env, address: u64) -> bool {
    let bi = boot_info();
    let list = &bi.untyped_list[..bi.untyped.len() as usize];
    let holds = |u: &pecan_abi::boot::UntypedDesc| {
        u.is_device != 0 && (u.paddr..u.paddr + (1 << u.size_bits)).contains(&address)
    };
    let Some(index) = list.iter().position(holds) else { return false };
    let (mut untyped, mut base) = (bi.untyped.start + index as u64, list[index].paddr);
    let make = |from, object: ObjectType, bits: u64, count| {
        let first = env.slots(count);
        inv::untyped_retype(from, object.word(), bits, ROOT, 0, 0, first, count).expect("retype");
        first
    };
    for bits in (u64::from(PAGE_BITS)..list[index].size_bits.into()).rev() {
        let upper = u64::from(address >= base + (1 << bits));
        untyped = make(untyped, ObjectType::Untyped, bits, 2) + upper;
        base += upper << bits;
    }
    let frame = make(untyped, ObjectType::Page4K, 0, 1);
    env.map_tables(slot::INIT_THREAD_VSPACE, WINDOW);
    let uncached = vm_attributes::CACHE_DISABLED;
    inv::page_map(frame, slot::INIT_THREAD_VSPACE, WINDOW, CapRights::READ_WRITE, uncached).expect("map");
    true
}

/// Nothing comes for a while.
fn silent(notification: CPtr) -> bool {
    machine::spin(1_000);
    poll(notification) == 0
}

fn a_message_signals_its_notification(env: &Env) {
    let device = Device::new(env);
    for vector in VECTORS {
        let notification = env.notification();
        let badge = 0x500 + vector;
        let handler = device.handler(env, vector, env.mint(notification, badge));
        device.set_vector(vector);
        assert!(silent(notification), "nothing was raised yet");
        for _ in 0..3 {
            device.raise();
            assert_eq!(raw::wait(notification).badge, badge);
            inv::irq_handler_ack(handler).expect("ack");
            assert!(silent(notification), "one message, one signal");
        }
        delete(handler).expect("delete");
    }
}

fn a_message_preempts_the_running_thread(env: &Env) {
    let device = Device::new(env);
    let notification = env.notification();
    device.handler(env, VECTORS[1], env.mint(notification, 1));
    device.set_vector(VECTORS[1]);
    let waiter = env.spawn(HIGH, move || raw::wait(notification).badge);
    assert!(!waiter.has_returned());
    device.raise();
    machine::spin(1_000);
    assert!(waiter.has_returned(), "the waiter has run while this thread did not block");
}

fn a_message_goes_to_the_handler_of_its_vector(env: &Env) {
    let device = Device::new(env);
    let notification = env.notification();
    let handlers = VECTORS.map(|vector| device.handler(env, vector, env.mint(notification, 1 + vector)));
    for (vector, handler) in VECTORS.into_iter().zip(handlers) {
        device.set_vector(vector);
        device.raise();
        assert_eq!(raw::wait(notification).badge, 1 + vector);
        inv::irq_handler_ack(handler).expect("ack");
    }
}

fn a_message_of_a_cleared_handler_signals_nobody(env: &Env) {
    let device = Device::new(env);
    let notification = env.notification();
    let badged = env.mint(notification, 1);
    let handler = device.handler(env, VECTORS[1], badged);
    device.set_vector(VECTORS[1]);
    inv::irq_handler_clear(handler).expect("clear");
    device.raise();
    assert!(silent(notification));
    inv::irq_handler_set_notification(handler, badged).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    device.raise();
    assert_eq!(raw::wait(notification).badge, 1, "the next one is heard again");
}

fn a_message_of_a_deleted_handler_signals_nobody(env: &Env) {
    let device = Device::new(env);
    let notification = env.notification();
    let handler = device.handler(env, VECTORS[1], env.mint(notification, 1));
    device.set_vector(VECTORS[1]);
    delete(handler).expect("delete");
    device.raise();
    assert!(silent(notification));
}

/// Vectors that no user can have and a device can raise; 18, the machine check, ends the kernel. Below 16 a processor takes
/// none from a device.
fn nobodys() -> impl Iterator<Item = u64> {
    (16..18).chain(19..IRQ_OFFSET).chain(IRQ_OFFSET + VECTORS[2] + 1..256)
}

fn a_message_to_a_vector_that_nobody_has_does_no_harm(env: &Env) {
    let device = Device::new(env);
    // And one that nobody has asked for.
    for vector in nobodys().map(|number| number.wrapping_sub(IRQ_OFFSET)).chain([7]) {
        device.set_vector(vector);
        device.raise();
        machine::spin(20);
    }
    is_heard(env, &device);
}

fn a_message_to_a_vector_that_nobody_has_does_no_harm_while_nothing_runs(env: &Env) {
    let device = Device::new(env);
    let sleeper = env.thread_with(HIGH, env.sched_context(1_000, 150_000), Spaces::own());
    for number in [16u64, 17, 31, 159, 160, 255] {
        device.set_vector(number.wrapping_sub(IRQ_OFFSET));
        device.raise_later();
        sleeper.start(|| {
            raw::yield_now();
            0x5eed
        });
        assert_eq!(sleeper.join(), 0x5eed);
        assert_eq!(device.read(0x24), 0x100, "it has raised the message meanwhile");
        sleeper.configure(Spaces::own(), HIGH);
    }
    is_heard(env, &device);
}

/// The interrupts of the machine still work.
#[track_caller]
fn is_heard(env: &Env, device: &Device) {
    let notification = env.notification();
    device.handler(env, VECTORS[1], env.mint(notification, 1));
    device.set_vector(VECTORS[1]);
    device.raise();
    assert_eq!(raw::wait(notification).badge, 1);
}

/// A store to any place of the window is what a device's message is: of the kind in bits 8 to 10, an NMI for one.
fn no_store_is_a_message(env: &Env) {
    const NMI: u32 = 4 << 8;
    for address in [0xfeef_f000u64, 0xfee8_0000, 0xfee0_1000, 0xfee0_0000] {
        if map(env, address) {
            // SAFETY: a page of device memory is mapped there; if the kernel is right, this is not reached.
            unsafe { (WINDOW as *mut u32).write_volatile(NMI) };
            panic!("device memory has {address:#x}, and the kernel has survived a store there");
        }
    }
}
