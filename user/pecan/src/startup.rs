//! What a program that is not the root task is given: a page that says what its capabilities are.
//!
//! Who starts a program maps the program's segments, an IPC buffer and this page, and starts a thread at the
//! ELF's entry with the page's address in the first argument register. Nothing else is promised: stack and TLS
//! are the program's own business.

use core::{fmt, str};

use crate::{CPtr, Cap};

/// The first word of the page.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PECAN\0\0\x01");
/// Bytes of a name; shorter ones end with zero bytes.
pub const NAME_BYTES: usize = 24;
/// The most resources.
pub const MAX_RESOURCES: usize = 56;
/// Bytes of all arguments together.
pub const ARGUMENT_BYTES: usize = 1352;

/// The label with which a program calls its supervisor when it ends; the message is its status, 0 for success. No
/// fault message has this label, so the endpoint can be the one for faults.
pub const EXIT_LABEL: u64 = 0x100;

/// What a resource is.
#[repr(u64)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceKind {
    /// A capability; the value is its address.
    Cap = 1,
    /// Memory that is mapped; the value is its address and the size its bytes.
    Memory = 2,
    /// A number.
    Number = 3,
}

/// Something a program is given, under a name.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Resource {
    name: [u8; NAME_BYTES],
    kind: u64,
    value: u64,
    size: u64,
}

/// The page.
#[repr(C, align(4096))]
pub struct Startup {
    magic: u64,
    ipc_buffer: u64,
    name: [u8; NAME_BYTES],
    resource_count: u64,
    argument_count: u64,
    resources: [Resource; MAX_RESOURCES],
    arguments: [u8; ARGUMENT_BYTES],
}

// No padding anywhere: the page is copied as bytes.
const _: () = assert!(size_of::<Startup>() == 56 + MAX_RESOURCES * size_of::<Resource>() + ARGUMENT_BYTES);
const _: () = assert!(size_of::<Startup>() == 4096);

/// There is no room for what was to be added, or a name is too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no room in the startup page, or a name is longer than {NAME_BYTES} bytes")
    }
}

impl core::error::Error for NoRoom {}

fn pack(name: &str) -> Result<[u8; NAME_BYTES], NoRoom> {
    let mut bytes = [0; NAME_BYTES];
    bytes.get_mut(..name.len()).ok_or(NoRoom)?.copy_from_slice(name.as_bytes());
    Ok(bytes)
}

fn unpack(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    str::from_utf8(&bytes[..end]).unwrap_or("?")
}

impl Resource {
    const NONE: Self = Self { name: [0; NAME_BYTES], kind: 0, value: 0, size: 0 };

    /// Its name.
    pub fn name(&self) -> &str {
        unpack(&self.name)
    }

    /// What it is; `None` for something newer.
    pub const fn kind(&self) -> Option<ResourceKind> {
        match self.kind {
            1 => Some(ResourceKind::Cap),
            2 => Some(ResourceKind::Memory),
            3 => Some(ResourceKind::Number),
            _ => None,
        }
    }

    /// The capability's address, the memory's address, or the number.
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// Bytes of memory.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl Startup {
    /// A page for a program, with its name and the address of its IPC buffer.
    pub fn new(name: &str, ipc_buffer: u64) -> Result<Self, NoRoom> {
        Ok(Self {
            magic: MAGIC,
            ipc_buffer,
            name: pack(name)?,
            resource_count: 0,
            argument_count: 0,
            resources: [Resource::NONE; MAX_RESOURCES],
            arguments: [0; ARGUMENT_BYTES],
        })
    }

    /// Adds a capability.
    pub fn add_cap(&mut self, name: &str, cptr: CPtr) -> Result<(), NoRoom> {
        self.add(name, ResourceKind::Cap, cptr, 0)
    }

    /// Adds memory.
    pub fn add_memory(&mut self, name: &str, address: u64, bytes: u64) -> Result<(), NoRoom> {
        self.add(name, ResourceKind::Memory, address, bytes)
    }

    /// Adds a number.
    pub fn add_number(&mut self, name: &str, number: u64) -> Result<(), NoRoom> {
        self.add(name, ResourceKind::Number, number, 0)
    }

    fn add(&mut self, name: &str, kind: ResourceKind, value: u64, size: u64) -> Result<(), NoRoom> {
        let name = pack(name)?;
        let place = self.resources.get_mut(self.resource_count as usize).ok_or(NoRoom)?;
        *place = Resource { name, kind: kind as u64, value, size };
        self.resource_count += 1;
        Ok(())
    }

    /// Adds an argument. It cannot have zero bytes in it.
    pub fn add_argument(&mut self, argument: &str) -> Result<(), NoRoom> {
        let used: usize = self.arguments().map(|argument| argument.len() + 1).sum();
        let room = self.arguments.get_mut(used..used + argument.len() + 1).ok_or(NoRoom)?;
        if argument.bytes().any(|byte| byte == 0) {
            return Err(NoRoom);
        }
        room[..argument.len()].copy_from_slice(argument.as_bytes());
        self.argument_count += 1;
        Ok(())
    }

    /// The page at an address; `None` if there is no such page there.
    ///
    /// # Safety
    /// A readable page must be mapped there, which nobody writes to.
    pub unsafe fn at(address: usize) -> Option<&'static Self> {
        let page = address as *const Self;
        if page.is_null() || !page.is_aligned() {
            return None;
        }
        // SAFETY: the caller vouches for the page, and every bit pattern is a page.
        let page = unsafe { &*page };
        (page.magic == MAGIC).then_some(page)
    }

    /// The bytes of the page.
    pub fn as_bytes(&self) -> &[u8; 4096] {
        // SAFETY: the structure is 4096 bytes of integers without padding.
        unsafe { &*(self as *const Self).cast() }
    }

    /// The program's name.
    pub fn name(&self) -> &str {
        unpack(&self.name)
    }

    /// The address of the IPC buffer.
    pub const fn ipc_buffer(&self) -> u64 {
        self.ipc_buffer
    }

    /// All resources.
    pub fn resources(&self) -> &[Resource] {
        let count = (self.resource_count as usize).min(MAX_RESOURCES);
        &self.resources[..count]
    }

    fn find(&self, name: &str, kind: ResourceKind) -> Option<&Resource> {
        self.resources().iter().find(|resource| resource.kind() == Some(kind) && resource.name() == name)
    }

    /// The capability of a name.
    pub fn cap<T>(&self, name: &str) -> Option<Cap<T>> {
        Some(Cap::new(self.find(name, ResourceKind::Cap)?.value))
    }

    /// The memory of a name: address and bytes.
    pub fn memory(&self, name: &str) -> Option<(u64, u64)> {
        let resource = self.find(name, ResourceKind::Memory)?;
        Some((resource.value, resource.size))
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<u64> {
        Some(self.find(name, ResourceKind::Number)?.value)
    }

    /// The arguments.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let count = (self.argument_count as usize).min(ARGUMENT_BYTES);
        self.arguments.split(|byte| *byte == 0).take(count).map(|bytes| str::from_utf8(bytes).unwrap_or("?"))
    }
}

/// Names that mean the same in every program.
pub mod well_known {
    /// The program's own thread.
    pub const TCB: &str = "tcb";
    /// Its CSpace.
    pub const CSPACE: &str = "cspace";
    /// Its address space.
    pub const VSPACE: &str = "vspace";
    /// A reply object for its main thread.
    pub const REPLY: &str = "reply";
    /// The endpoint to call when the program ends ([`super::EXIT_LABEL`]).
    pub const SUPERVISOR: &str = "supervisor";
    /// A number: 0 if the kernel has no console to print on.
    pub const KERNEL_CONSOLE: &str = "kernel_console";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Endpoint;

    #[test]
    fn what_is_put_in_is_found_by_name_and_kind() {
        let mut page = Startup::new("shell", 0x7000).unwrap();
        page.add_cap("console", 12).unwrap();
        page.add_memory("ring", 0x10_0000, 0x2000).unwrap();
        page.add_number("console", 99).unwrap();
        assert_eq!(page.name(), "shell");
        assert_eq!(page.cap::<Endpoint>("console"), Some(Cap::new(12)));
        assert_eq!(page.memory("ring"), Some((0x10_0000, 0x2000)));
        assert_eq!(page.number("console"), Some(99));
        assert_eq!(page.cap::<Endpoint>("ring"), None);
        assert_eq!(page.resources().len(), 3);
    }

    #[test]
    fn arguments_come_back_in_order() {
        let mut page = Startup::new("p", 0).unwrap();
        for argument in ["ping", "", "1000"] {
            page.add_argument(argument).unwrap();
        }
        assert!(page.arguments().eq(["ping", "", "1000"]));
        assert_eq!(page.add_argument("a\0b"), Err(NoRoom));
    }

    #[test]
    fn a_full_page_says_so() {
        let mut page = Startup::new("p", 0).unwrap();
        for n in 0..MAX_RESOURCES {
            page.add_number("n", n as u64).unwrap();
        }
        assert_eq!(page.add_number("n", 0), Err(NoRoom));
        let long = str::from_utf8(&[b'x'; ARGUMENT_BYTES - 4]).unwrap();
        page.add_argument(long).unwrap();
        assert_eq!(page.add_argument("yyy"), Err(NoRoom));
        page.add_argument("yy").unwrap();
        assert_eq!(page.arguments().count(), 2);
        assert!(Startup::new("a name of more than 24 bytes", 0).is_err());
    }

    #[test]
    fn a_page_is_recognised_by_its_first_word() {
        let page = Startup::new("p", 0x1000).unwrap();
        let address = &page as *const Startup as usize;
        // SAFETY: the page is alive and not written to.
        unsafe {
            assert_eq!(Startup::at(address).unwrap().ipc_buffer(), 0x1000);
            assert!(Startup::at(0).is_none());
            assert!(Startup::at(address + 1).is_none());
        }
        assert_eq!(page.as_bytes()[..8], MAGIC.to_le_bytes());
    }
}
