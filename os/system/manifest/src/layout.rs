//! What a component's address space looks like: programs are linked below [`PROGRAM_END`], and all else is above it,
//! where the start page says.

/// The end of where programs can be linked to.
pub const PROGRAM_END: u64 = 0x2000_0000;
/// Bytes of the system log, a stream: the writer's pages and the reader's.
pub const LOG_SIZE: u64 = 0x8000;
/// Of those, the reader's, which come last.
pub const LOG_READER_SIZE: u64 = 0x1000;
/// Bytes of what the initial task has to say, a stream that the system log's writer reads: as [`LOG_SIZE`].
pub const BACKLOG_SIZE: u64 = 0x5000;
/// Bytes of what the system log's writer keeps for its successor.
pub const LOG_KEPT_SIZE: u64 = 0x8000;
/// The most clients of a component, in all its roles together.
pub const CLIENTS_MAX: u64 = 64;
/// The most channels of a component.
pub const CHANNELS_MAX: u64 = 16;

/// The most slots of a component's CSpace.
pub const SLOTS_MAX: u64 = 1024;
/// Slots of a component beside those of its channels, rings, devices, clients and threads: none, its supervisor, its endpoint, its
/// signals, the system log.
pub const SLOTS_OTHERS: u64 = 5;
/// Slots that only the writer of the system log has beside those: the signal to whoever shows it, and the serial port.
pub const SLOTS_LOG: u64 = 2;
/// Slots for so many threads of a component: two for each, and one for all.
pub const fn slots_of_threads(threads: u64) -> u64 {
    if threads == 0 { 0 } else { 2 * threads + 1 }
}
/// The time of the initial task once the system is up, in microseconds: so much in each period.
pub const INIT_BUDGET: u64 = 8_000;
/// Of that, the time in which it revokes what components have made of their own memory.
pub const REVOKE_BUDGET: u64 = 2_000;
/// The period of that.
pub const INIT_PERIOD: u64 = 40_000;
/// The most ends of rings of a component.
pub const RINGS_MAX: u64 = 16;

/// The bit, among a component's signals, of its first end of a ring; the others follow.
pub const RING_SIGNAL: u32 = 16;
/// The bit, among a component's signals, that says that there is something new in the system log.
pub const LOG_SIGNAL: u32 = 32;
/// The bit, among a server's signals, that says that clients are gone; the initial task says which.
pub const GONE_SIGNAL: u32 = 33;
/// The bit, among a component's signals, that asks for a sign of life.
pub const PULSE_SIGNAL: u32 = 34;
/// The bit, among the signals of a component that calls the initial task, that says that the initial task has something for
/// it.
pub const INIT_SIGNAL: u32 = 35;

/// The most threads of a component beside its first.
pub const THREADS_MAX: u64 = 32;
/// Where the memory of such a thread has its block: behind the IPC buffer in the first page. The stack follows after a page that
/// is not mapped.
pub const THREAD_BLOCK: u64 = 2048;

/// The most sessions that a component has open at once.
pub const SESSIONS_MAX: u64 = 16;
/// The least bytes of memory that a client gives for a session: page tables and slots are taken from it, too.
pub const SESSION_LEAST: u64 = 16 << 10;
/// Where a server has the memory of sessions: that of the session in the first of its places begins here. Nothing else is in
/// these addresses, so that a session's page tables can be made of the session's memory, and go with it.
pub const SESSIONS: u64 = 0x50_0000_0000;
/// Bytes of addresses for each of them: a page table covers them, and nothing beside.
pub const SESSION_SPAN: u64 = 1 << 30;

/// The bit, among the signals of a component with threads, that says that one of its tasks can go on.
pub const WAKE_SIGNAL: u32 = 36;

/// The bit, among a server's signals, that says to ask the initial task whether it is to hand over to another program.
pub const HANDOVER_SIGNAL: u32 = 37;
/// The most bytes of the state that a server hands over.
pub const STATE_MAX: u64 = 1 << 20;

/// The bits, among a component's signals, of those that somebody else than the initial task gives: interrupts, rings, tasks, and
/// the system log.
pub const SIGNALS_OF_OTHERS: u64 =
    ((1 << (RING_SIGNAL + RINGS_MAX as u32)) - 1) | (1 << LOG_SIGNAL) | (1 << WAKE_SIGNAL);

/// Names of resources in the start page, beside those of the channels (a capability and maybe a page), which are the
/// roles in which the component uses them.
pub mod resource {
    /// Capability: the endpoint on which the component is called, in all roles that it serves.
    pub const SERVICE: &str = "service";
    /// Parameter: how many clients the component can have, in all its roles together.
    pub const CLIENTS: &str = "service.clients";
    /// Beginning of the name of a role that the component serves. As a parameter it is the first of the role's places,
    /// which follow each other; as memory, a page shared with each of its clients, in their order.
    pub const ROLE: &str = "serves.";
    /// End of the name of memory that the component may only read, behind what it would be called otherwise.
    pub const READ_ONLY: &str = ".r";
    /// Parts of the name of an end of a ring, behind the name of the role; of a role that is served, with a dot and the number
    /// of the place between. As a capability it signals the other end, as a parameter it is the bit that signals this one.
    pub const RING: &str = ".ring";
    /// Memory: the pages of a ring that this end writes.
    pub const RING_OWN: &str = ".ring.own";
    /// Memory, read-only: those that the other end writes.
    pub const RING_OTHER: &str = ".ring.other";
    /// Memory: the data of a ring.
    pub const RING_DATA: &str = ".ring.data";
    /// Capability: the component's own signals, to wait for.
    pub const SIGNALS: &str = "signals";
    /// Capability: the first reply object; the others follow.
    pub const REPLY: &str = "reply";
    /// Parameter: how many reply objects there are.
    pub const REPLIES: &str = "replies";
    /// Parameter: MHz of the time-stamp counter.
    pub const TSC_MHZ: &str = "tsc-mhz";
    /// Memory: the system log, a stream. As a capability, the endpoint of the component that writes it, for what is printed.
    pub const LOG: &str = "log";
    /// Memory: the reader's page of it.
    pub const LOG_READER: &str = "log.reader";
    /// Memory, read-only: what the initial task has to say, a stream.
    pub const BACKLOG: &str = "log.backlog";
    /// Memory: the reader's page of it.
    pub const BACKLOG_READER: &str = "log.backlog.reader";
    /// Memory: what the system log's writer keeps for its successor.
    pub const LOG_KEPT: &str = "log.kept";
    /// Capability: signals whoever shows the system log.
    pub const LOG_SIGNAL: &str = "log.signal";
    /// Capability: the serial port, for when nobody shows the system log. As a parameter it is the first port.
    pub const LOG_SERIAL: &str = "log.serial";
    /// Memory, read-only: the boot archive.
    pub const ARCHIVE: &str = "archive";
    /// Beginning of the name of an interrupt. As a capability it is its handler, as a parameter its signal's bit.
    pub const IRQ: &str = "irq.";
    /// Beginning of the name of registers in memory: their place, as memory.
    pub const MMIO: &str = "mmio.";
    /// Beginning of the name of memory for devices: as memory its place, as a parameter its physical address.
    pub const DMA: &str = "dma.";
    /// Beginning of the name of a file, which is memory that nobody writes.
    pub const FILE: &str = "file.";
    /// Beginning of the name of a thread beside the first. As a capability it is the thread, as memory its own, as a
    /// parameter its number.
    pub const THREAD: &str = "thread.";
    /// Beginning of the name of the notification with which such a thread says that it is done.
    pub const THREAD_DONE: &str = "thread-done.";
    /// Capability: the component's own signals, to say [`WAKE_SIGNAL`](super::WAKE_SIGNAL). A server with threads has it.
    pub const WAKE: &str = "wake";
    /// Memory, read-only: what its predecessor has handed over. As a parameter it is how many bytes that are.
    pub const HANDOVER: &str = "handover";
    /// Beginning of the name of a range of I/O ports.
    pub const PORTS: &str = "ports.";
}
