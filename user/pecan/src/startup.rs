//! What a program that is not the root task is given: the start page, which lists its capabilities, memory, parameters
//! and arguments.
//!
//! Whoever starts a program maps the program's segments, an IPC buffer and this page, and starts a thread at the
//! ELF's entry with the page's address in the first argument register. Nothing else is promised: stack and TLS
//! are the program's own business.
//!
//! The page is as long as it must be, and its bytes are: a header, the lists that it names, and the text that these
//! name. [`Content`] writes one, [`Startup`] reads one, after it has checked all of it once.

use core::{fmt, str};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{CPtr, Cap};

/// The first word of the page.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PECAN\0SP");
/// The form of the page. Programs refuse any other.
pub const VERSION: u32 = 2;
/// The most bytes of a page: a larger length is taken for damage.
pub const MAX_BYTES: usize = 1 << 20;
/// The page starts at a multiple of this.
pub const ALIGN: usize = 8;

/// The label with which a program calls its supervisor when it ends; the message is its status, 0 for success. No
/// fault message has this label, so the endpoint can be the one for faults.
pub const EXIT_LABEL: u64 = 0x100;

/// The label with which a program calls its supervisor for more memory for its heap; the message is how many bytes it
/// wants. The reply has label 0, and the address and the bytes of memory that is zero, writable, and the program's alone from
/// now on: right behind what the last such call gave, at least a page, and maybe less than was wanted. Any other label
/// means that there is no more.
pub const GROW_LABEL: u64 = 0x101;

/// The label with which a thread tells its supervisor that the call which it makes next may end before it is answered. The
/// message is the address of the thread's own capability (0 for the program's first thread), that of the endpoint it will
/// call, how many microseconds the call may take ([`u64::MAX`] for any time), and a word for [`CANCEL_LABEL`]. A call that
/// ends so gets an answer from the supervisor. With 0 for the endpoint the limit is lifted. The reply has label 0, or the limit
/// does not hold.
pub const LIMIT_LABEL: u64 = 0x102;

/// The label with which a program tells its supervisor to end those of its calls that were limited with this word.
pub const CANCEL_LABEL: u64 = 0x103;

/// Where a list or a text is in the page.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct Part {
    /// Bytes from the start of the page.
    offset: u32,
    /// Entries of a list, bytes of a text.
    count: u32,
}

/// The start of the page.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct Header {
    magic: u64,
    version: u32,
    /// Bytes of the page, this header included.
    bytes: u32,
    ipc_buffer: u64,
    name: Part,
    caps: Part,
    memory: Part,
    parameters: Part,
    arguments: Part,
}

/// A capability or a parameter: a name and a word.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct NamedWord {
    name: Part,
    word: u64,
}

/// Memory that is mapped.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct NamedMemory {
    name: Part,
    address: u64,
    bytes: u64,
}

/// Why bytes are not a start page, or why there can be none of some content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartupError {
    /// It does not start with the magic word, or not at a multiple of [`ALIGN`].
    Magic,
    /// It has this version, which is not [`VERSION`].
    Version(u32),
    /// Something that it names is not inside it, or is not text.
    Damaged,
    /// The content takes more than [`MAX_BYTES`], or more than there is room for.
    TooLong,
}

impl fmt::Display for StartupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("there is no start page here"),
            Self::Version(version) => write!(f, "the start page has version {version}, not {VERSION}"),
            Self::Damaged => f.write_str("the start page is damaged"),
            Self::TooLong => f.write_str("names and arguments are too long for a start page"),
        }
    }
}

impl core::error::Error for StartupError {}

/// What a start page is made of.
#[derive(Clone, Copy, Default, Debug)]
pub struct Content<'a> {
    /// The program's name.
    pub name: &'a str,
    /// The address of its IPC buffer.
    pub ipc_buffer: u64,
    /// Capabilities: the name and the address of each.
    pub caps: &'a [(&'a str, CPtr)],
    /// Memory: the name, the address and the bytes of each piece.
    pub memory: &'a [(&'a str, u64, u64)],
    /// Parameters: the name and the value of each.
    pub parameters: &'a [(&'a str, u64)],
    /// Arguments.
    pub arguments: &'a [&'a str],
}

impl Content<'_> {
    /// The bytes that a page of this content has.
    pub fn bytes(&self) -> usize {
        let names = self.caps.iter().chain(self.parameters).map(|(name, _)| name.len());
        let texts = names.chain(self.memory.iter().map(|(name, ..)| name.len()));
        let texts = texts.chain(self.arguments.iter().map(|a| a.len())).chain([self.name.len()]);
        size_of::<Header>()
            + (self.caps.len() + self.parameters.len()) * size_of::<NamedWord>()
            + self.memory.len() * size_of::<NamedMemory>()
            + self.arguments.len() * size_of::<Part>()
            + texts.sum::<usize>()
    }

    /// Writes the page to the start of some memory; returns how many bytes it has. Nothing is written if it has no room.
    pub fn write(&self, into: &mut [u8]) -> Result<usize, StartupError> {
        let bytes = self.bytes();
        if bytes > MAX_BYTES || bytes > into.len() {
            return Err(StartupError::TooLong);
        }
        let lists = [
            (self.caps.len(), size_of::<NamedWord>()),
            (self.memory.len(), size_of::<NamedMemory>()),
            (self.parameters.len(), size_of::<NamedWord>()),
            (self.arguments.len(), size_of::<Part>()),
        ];
        let mut at = size_of::<Header>();
        let [caps, memory, parameters, arguments] = lists.map(|(count, size)| {
            let offset = at;
            at += count * size;
            Part { offset: offset as u32, count: count as u32 }
        });
        let mut pen = Pen { into, text: at };
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            bytes: bytes as u32,
            ipc_buffer: self.ipc_buffer,
            name: pen.text(self.name),
            caps,
            memory,
            parameters,
            arguments,
        };
        pen.put(0, header);
        for (list, words) in [(caps, self.caps), (parameters, self.parameters)] {
            for (n, (name, word)) in words.iter().enumerate() {
                let entry = NamedWord { name: pen.text(name), word: *word };
                pen.put(list.offset as usize + n * size_of::<NamedWord>(), entry);
            }
        }
        for (n, (name, address, bytes)) in self.memory.iter().enumerate() {
            let entry = NamedMemory { name: pen.text(name), address: *address, bytes: *bytes };
            pen.put(memory.offset as usize + n * size_of::<NamedMemory>(), entry);
        }
        for (n, argument) in self.arguments.iter().enumerate() {
            let text = pen.text(argument);
            pen.put(arguments.offset as usize + n * size_of::<Part>(), text);
        }
        Ok(bytes)
    }
}

/// Writes a page that has room for all of it.
struct Pen<'a> {
    into: &'a mut [u8],
    /// Where the next text goes.
    text: usize,
}

impl Pen<'_> {
    fn text(&mut self, text: &str) -> Part {
        let part = Part { offset: self.text as u32, count: text.len() as u32 };
        self.into[self.text..self.text + text.len()].copy_from_slice(text.as_bytes());
        self.text += text.len();
        part
    }

    fn put<T: IntoBytes + Immutable>(&mut self, at: usize, value: T) {
        self.into[at..at + size_of::<T>()].copy_from_slice(value.as_bytes());
    }
}

/// A start page that was checked: all that it names is inside it.
#[derive(Clone, Copy)]
pub struct Startup<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    caps: &'a [NamedWord],
    memory: &'a [NamedMemory],
    parameters: &'a [NamedWord],
    arguments: &'a [Part],
}

impl<'a> Startup<'a> {
    /// Reads the page at the start of some bytes, and checks it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StartupError> {
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| StartupError::Magic)?;
        if header.magic != MAGIC {
            return Err(StartupError::Magic);
        }
        if header.version != VERSION {
            return Err(StartupError::Version(header.version));
        }
        let bytes = bytes.get(..header.bytes as usize).ok_or(StartupError::Damaged)?;
        let page = Self {
            bytes,
            header,
            caps: list(bytes, header.caps)?,
            memory: list(bytes, header.memory)?,
            parameters: list(bytes, header.parameters)?,
            arguments: list(bytes, header.arguments)?,
        };
        let words = page.caps.iter().chain(page.parameters).map(|entry| entry.name);
        let names = words.chain(page.memory.iter().map(|entry| entry.name));
        let mut texts = names.chain(page.arguments.iter().copied()).chain([header.name]);
        if texts.all(|part| text(bytes, part).is_some()) { Ok(page) } else { Err(StartupError::Damaged) }
    }

    /// The program's name.
    pub fn name(&self) -> &'a str {
        self.text(self.header.name)
    }

    /// The address of the IPC buffer.
    pub const fn ipc_buffer(&self) -> u64 {
        self.header.ipc_buffer
    }

    /// All capabilities: the name and the address of each.
    pub fn caps(&self) -> impl ExactSizeIterator<Item = (&'a str, CPtr)> + use<'a> {
        let page = *self;
        self.caps.iter().map(move |entry| (page.text(entry.name), entry.word))
    }

    /// All memory: the name, the address and the bytes of each piece.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = (&'a str, u64, u64)> + use<'a> {
        let page = *self;
        self.memory.iter().map(move |entry| (page.text(entry.name), entry.address, entry.bytes))
    }

    /// All parameters: the name and the value of each.
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = (&'a str, u64)> + use<'a> {
        let page = *self;
        self.parameters.iter().map(move |entry| (page.text(entry.name), entry.word))
    }

    /// The capability of a name.
    ///
    /// # Safety
    /// As of [`Cap::new`]: this must be the page that the program was started with, and whoever started the program must
    /// have given it a capability of this type under this name.
    pub unsafe fn cap<T>(&self, name: &str) -> Option<Cap<T>> {
        self.cptr(name).map(Cap::at)
    }

    /// The address of the capability of a name.
    pub fn cptr(&self, name: &str) -> Option<CPtr> {
        self.caps().find(|(n, _)| *n == name).map(|(_, cptr)| cptr)
    }

    /// The memory of a name: address and bytes.
    pub fn memory(&self, name: &str) -> Option<(u64, u64)> {
        self.pieces().find(|(n, ..)| *n == name).map(|(_, address, bytes)| (address, bytes))
    }

    /// The parameter of a name.
    pub fn parameter(&self, name: &str) -> Option<u64> {
        self.parameters().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The arguments.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let page = *self;
        self.arguments.iter().map(move |part| page.text(*part))
    }

    /// A text of the page. That it is one was checked when the page was read.
    fn text(&self, part: Part) -> &'a str {
        text(self.bytes, part).unwrap_or_default()
    }
}

impl Startup<'static> {
    /// The page at an address.
    ///
    /// # Safety
    /// Readable memory must be mapped there that nobody writes to as long as the program runs: a header, and all
    /// bytes that the header says the page has, if the header is one.
    pub unsafe fn at(address: usize) -> Result<Self, StartupError> {
        if address == 0 || !address.is_multiple_of(ALIGN) {
            return Err(StartupError::Magic);
        }
        // SAFETY: the caller vouches for the header, and any bytes are one.
        let header = unsafe { &*(address as *const Header) };
        if header.magic != MAGIC {
            return Err(StartupError::Magic);
        }
        let bytes = (header.bytes as usize).clamp(size_of::<Header>(), MAX_BYTES);
        // SAFETY: the caller vouches for the bytes that the header names.
        Self::parse(unsafe { core::slice::from_raw_parts(address as *const u8, bytes) })
    }
}

impl fmt::Debug for Startup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Startup").field("name", &self.name()).field("bytes", &self.bytes.len()).finish()
    }
}

/// The entries of a list, if all of them are inside the page.
fn list<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8], part: Part) -> Result<&[T], StartupError> {
    let bytes = bytes.get(part.offset as usize..).ok_or(StartupError::Damaged)?;
    let list = <[T]>::ref_from_prefix_with_elems(bytes, part.count as usize);
    list.map(|(list, _)| list).map_err(|_| StartupError::Damaged)
}

/// A text, if it is one and inside the page.
fn text(bytes: &[u8], part: Part) -> Option<&str> {
    let end = (part.offset as usize).checked_add(part.count as usize)?;
    str::from_utf8(bytes.get(part.offset as usize..end)?).ok()
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
    /// A parameter: the lowest address of the main thread's stack, if it is not the one that the program is linked with.
    pub const STACK: &str = "stack";
    /// A parameter: 0 if the kernel has no console to print on.
    pub const KERNEL_CONSOLE: &str = "kernel_console";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that is aligned as a page is.
    #[repr(align(8))]
    struct Memory([u8; 16384]);

    fn page(content: &Content<'_>) -> (Memory, usize) {
        let mut memory = Memory([0xaa; 16384]);
        let bytes = content.write(&mut memory.0).unwrap();
        assert_eq!(bytes, content.bytes());
        (memory, bytes)
    }

    const CONTENT: Content<'static> = Content {
        name: "shell",
        ipc_buffer: 0x7000,
        caps: &[("console", 12), ("timer", 13)],
        memory: &[("ring", 0x10_0000, 0x2000)],
        parameters: &[("console", 99)],
        arguments: &["ping", "", "1000"],
    };

    #[test]
    fn what_is_put_in_is_found_by_name_and_list() {
        let (memory, _) = page(&CONTENT);
        let page = Startup::parse(&memory.0).unwrap();
        assert_eq!((page.name(), page.ipc_buffer()), ("shell", 0x7000));
        assert_eq!(page.cptr("console"), Some(12));
        assert_eq!(page.memory("ring"), Some((0x10_0000, 0x2000)));
        assert_eq!(page.parameter("console"), Some(99));
        assert_eq!((page.cptr("ring"), page.memory("console")), (None, None));
        assert_eq!((page.caps().len(), page.pieces().len(), page.parameters().len()), (2, 1, 1));
        assert!(page.arguments().eq(["ping", "", "1000"]));
    }

    #[test]
    fn there_are_as_many_entries_of_any_length_as_one_likes() {
        let long = str::from_utf8(&[b'x'; 5000]).unwrap();
        let mut caps = [("", 0); 200];
        (0..200).for_each(|n| caps[n] = ("a name of more than 24 bytes, so that it is long", n as u64));
        caps[199] = (long, 7);
        let content = Content { name: long, ipc_buffer: 0, caps: &caps[190..], ..CONTENT };
        let (memory, _) = page(&content);
        let page = Startup::parse(&memory.0).unwrap();
        assert_eq!((page.name(), page.cptr(long)), (long, Some(7)));
        let all = Content { caps: &caps, name: "", memory: &[], parameters: &[], ..CONTENT };
        assert_eq!(all.write(&mut [0; 16384]), Err(StartupError::TooLong));
    }

    #[test]
    fn a_page_that_is_cut_off_or_garbled_is_refused_everywhere() {
        let (memory, bytes) = page(&CONTENT);
        for len in 0..bytes {
            assert!(Startup::parse(&memory.0[..len]).is_err(), "{len}");
        }
        // Every byte of the header and of the lists, with every bit turned over: refused, or read without a panic.
        for (at, bit) in (0..bytes).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut garbled = Memory(memory.0);
            garbled.0[at] ^= 1 << bit;
            if let Ok(page) = Startup::parse(&garbled.0[..bytes]) {
                assert!(page.arguments().map(str::len).sum::<usize>() <= 3 * bytes);
                let _ = (page.name(), page.cptr("timer"), page.pieces().count());
            }
        }
    }

    #[test]
    fn magic_and_version_are_checked() {
        let (mut memory, bytes) = page(&CONTENT);
        memory.0[8] = 9;
        assert_eq!(Startup::parse(&memory.0[..bytes]).err(), Some(StartupError::Version(9)));
        memory.0[0] = 0;
        assert_eq!(Startup::parse(&memory.0[..bytes]).err(), Some(StartupError::Magic));
        assert_eq!(Startup::parse(&memory.0[4..bytes]).err(), Some(StartupError::Magic));
    }

    #[test]
    fn a_page_is_found_at_its_address() {
        let (memory, bytes) = page(&CONTENT);
        let address = memory.0.as_ptr() as usize;
        // SAFETY: the memory is alive, is not written to, and is longer than any page that its header could name here.
        unsafe {
            assert_eq!(Startup::at(address).unwrap().bytes.len(), bytes);
            assert_eq!(Startup::at(0).err(), Some(StartupError::Magic));
            assert_eq!(Startup::at(address + 1).err(), Some(StartupError::Magic));
        }
    }
}
