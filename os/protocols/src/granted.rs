//! What a component holds, as data: whoever makes components keeps a list of these for each, and everything that is said
//! of a component's authority comes from it.

use pecan_service::Wire;

/// A capability of a component, or memory that it shares. `slot` is the capability's address in the component's CSpace; 0
/// for what the kernel keeps for its thread.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Granted {
    /// Its thread.
    Thread {
        /// Where.
        slot: u64,
        /// Whether it may use floating-point and vector registers.
        vectors: bool,
    } = 0,
    /// Its CSpace.
    CSpace {
        /// Where.
        slot: u64,
    } = 1,
    /// Its address space.
    VSpace {
        /// Where.
        slot: u64,
    } = 2,
    /// Its time: so many microseconds in each period. Without a period nobody bounds it.
    Time {
        /// Where.
        slot: u64,
        /// Microseconds of processor time in a period.
        budget: u64,
        /// Microseconds of a period.
        period: u64,
    } = 3,
    /// The endpoint to which the kernel reports its faults.
    FaultHandler {
        /// The badge of the reports.
        badge: u64,
    } = 4,
    /// The endpoint of its supervisor.
    Supervisor {
        /// Where.
        slot: u64,
        /// What the supervisor knows it by.
        badge: u64,
    } = 5,
    /// The endpoint of a server, at the end of a channel.
    Channel {
        /// Where.
        slot: u64,
        /// What the server knows it by.
        badge: u64,
        /// The number of the channel in the description.
        channel: u16,
        /// Whether the server is gone and the initial task answers in its place.
        gone: bool,
    } = 6,
    /// The endpoint on which it is called.
    Service {
        /// Where.
        slot: u64,
    } = 7,
    /// A reply object.
    Reply {
        /// Where.
        slot: u64,
        /// For which of its callers, from 1.
        caller: u16,
    } = 8,
    /// The notification that is bound to its thread.
    Signals {
        /// Where; 0 if it is told of signals only when it is called.
        slot: u64,
    } = 9,
    /// The handler of an interrupt of the ISA bus.
    IsaIrq {
        /// Where.
        slot: u64,
        /// The interrupt's number on the bus.
        isa: u8,
    } = 10,
    /// The handler of an interrupt at a pin of an I/O interrupt controller.
    PinIrq {
        /// Where.
        slot: u64,
        /// Which controller, from 0.
        ioapic: u8,
        /// Which of its pins.
        pin: u8,
    } = 11,
    /// A range of I/O ports.
    Ports {
        /// Where.
        slot: u64,
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    } = 12,
    /// Memory that it shares with the server of a channel.
    ChannelMemory {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// The number of the channel in the description.
        channel: u16,
        /// Whether it may write there.
        writable: bool,
    } = 13,
    /// Memory that it shares with the clients of a role.
    RoleMemory {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// The role's number.
        role: u8,
        /// Whether it may write there.
        writable: bool,
    } = 14,
    /// A part of the system log.
    Log {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// Whether it may write there.
        writable: bool,
    } = 15,
    /// Memory of which it may make components.
    Untyped {
        /// Where.
        slot: u64,
        /// Its bytes.
        bytes: u64,
    } = 16,
    /// Gives address spaces their identifiers.
    AsidPool {
        /// Where.
        slot: u64,
    } = 17,
    /// Authority over the time of a core.
    SchedControl {
        /// Where.
        slot: u64,
    } = 18,
    /// Authority over all interrupts.
    IrqControl {
        /// Where.
        slot: u64,
    } = 19,
    /// Authority over all address spaces.
    AsidControl {
        /// Where.
        slot: u64,
    } = 20,
    /// Authority over all I/O ports.
    PortControl {
        /// Where.
        slot: u64,
    } = 21,
    /// Authority over all domains.
    DomainControl {
        /// Where.
        slot: u64,
    } = 22,
    /// The endpoint to which the kernel reports that it has used up its budget.
    TimeoutHandler {
        /// The badge of the reports.
        badge: u64,
    } = 23,
    /// A part of a ring.
    RingMemory {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// The number of the channel in the description.
        channel: u16,
        /// Which part it is.
        part: RingPart,
        /// Whether it may write there.
        writable: bool,
    } = 24,
    /// The notification of the other end of a ring.
    RingSignal {
        /// Where.
        slot: u64,
        /// What the other end knows it by.
        badge: u64,
        /// The number of the channel in the description.
        channel: u16,
    } = 25,
    /// The boot archive, read-only.
    Archive {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
    } = 26,
    /// Registers of a device.
    Mmio {
        /// Their address.
        address: u64,
        /// Their bytes.
        bytes: u64,
        /// The physical address.
        paddr: u64,
    } = 27,
    /// Memory for a device.
    Dma {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// Which it is of those that the component has, in the order of the description.
        number: u16,
    } = 28,
    /// The notification with which a thread beside the first says that it is done.
    ThreadDone {
        /// Where.
        slot: u64,
    } = 29,
    /// Its own signals, with which a server's threads say that a task can go on.
    Wake {
        /// Where.
        slot: u64,
    } = 30,
    /// The endpoint of a server, in a session.
    Session {
        /// Where.
        slot: u64,
        /// What the server knows it by; or the initial task, if the session is over.
        badge: u64,
        /// The number of the channel in the description.
        channel: u16,
        /// The bytes of memory that the client gave.
        bytes: u64,
        /// Whether it is over and the initial task answers.
        over: bool,
    } = 31,
    /// Memory that a client gave for its session.
    SessionMemory {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// The place of the session among all clients of the component.
        place: u16,
    } = 32,
    /// What its predecessor has handed over, until it has taken that over; or what it is to hand over itself.
    Handover {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// Whether it may write there.
        writable: bool,
    } = 33,
    /// The endpoint of the system log, for what it prints.
    Printing {
        /// Where.
        slot: u64,
        /// What the log knows it by.
        badge: u64,
    } = 34,
    /// The notification of whoever shows the system log.
    LogSignal {
        /// Where.
        slot: u64,
    } = 35,
    /// What the initial task has to say.
    Backlog {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// Whether it may write there.
        writable: bool,
    } = 36,
    /// What it keeps of the system log for its successor.
    LogKept {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
    } = 37,
    /// The serial port, for when nobody shows the system log.
    LogSerial {
        /// Where.
        slot: u64,
    } = 38,
}

/// The parts of a ring, as one end sees them.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum RingPart {
    /// The indices and descriptors of this end.
    Own = 0,
    /// Those of the other end.
    Other = 1,
    /// The data.
    Data = 2,
}
