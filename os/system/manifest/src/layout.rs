//! Where things are in a component's address space. Programs are linked below [`PROGRAM_END`]; all else is above
//! it, and all of it within the first GiB, which costs the fewest page tables.

/// The end of where programs can be linked to.
pub const PROGRAM_END: u64 = 0x2000_0000;
/// The startup page, which says what the component is given.
pub const STARTUP: u64 = 0x2000_0000;
/// The page with the IPC buffer.
pub const IPC_BUFFER: u64 = 0x2000_2000;
/// Pages shared with servers, one for each channel.
pub const CHANNEL_PAGES: u64 = 0x2001_0000;
/// The ring of the system log.
pub const LOG: u64 = 0x2002_0000;
/// Pages shared with clients.
pub const CLIENT_PAGES: u64 = 0x2004_0000;
/// Bytes of the ring of the system log, its head included.
pub const LOG_SIZE: u64 = 0x8000;
/// The most clients of a service.
pub const CLIENTS_MAX: u64 = 64;
/// The most channels of a component.
pub const CHANNELS_MAX: u64 = 16;

const _: () = {
    assert!(CHANNEL_PAGES + CHANNELS_MAX * 0x1000 <= LOG);
    assert!(LOG + LOG_SIZE <= CLIENT_PAGES);
    // Within the 2 MiB that one page table covers.
    assert!(CLIENT_PAGES + CLIENTS_MAX * 0x1000 <= STARTUP + 0x20_0000);
};

/// The bit, among a component's signals, that says that there is something new in the system log.
pub const LOG_SIGNAL: u32 = 32;

/// Names of resources in the startup page, beside those of the channels (a capability and maybe a page), which are
/// the names of their protocols.
pub mod resource {
    /// Capability: the endpoint of the service that the component offers.
    pub const SERVICE: &str = "service";
    /// Number: how many clients the service can have.
    pub const CLIENTS: &str = "service.clients";
    /// Memory: a page shared with each client, in their order.
    pub const CLIENT_PAGES: &str = "service.pages";
    /// Capability: the first reply object; the others follow.
    pub const REPLY: &str = "reply";
    /// Number: how many reply objects there are.
    pub const REPLIES: &str = "replies";
    /// Number: MHz of the time-stamp counter.
    pub const TSC_MHZ: &str = "tsc-mhz";
    /// Memory: the ring of the system log.
    pub const LOG: &str = "log";
    /// Beginning of the name of an interrupt. As a capability it is its handler, as a number its signal's bit.
    pub const IRQ: &str = "irq.";
    /// Beginning of the name of a range of I/O ports.
    pub const PORTS: &str = "ports.";
}
