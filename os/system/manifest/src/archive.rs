//! The boot archive: a magic word, the length of the directory, the directory, and the files.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::System;

/// The first bytes of an archive.
pub const MAGIC: [u8; 8] = *b"pecan\0a1";
/// Files start at multiples of this many bytes from the start of the archive.
pub const ALIGN: usize = 16;
/// Bytes before the directory: the magic word and a length.
const HEAD: usize = 16;

#[derive(Serialize, Deserialize)]
struct Directory {
    system: System,
    files: Vec<File>,
}

#[derive(Serialize, Deserialize)]
struct File {
    name: String,
    /// From the end of the directory, rounded up to [`ALIGN`].
    offset: u64,
    len: u64,
}

/// Makes an archive of a system and its files.
pub fn pack<'a>(system: &System, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut directory = Directory { system: system.clone(), files: Vec::new() };
    let mut data = Vec::new();
    for (name, bytes) in files {
        data.resize(data.len().next_multiple_of(ALIGN), 0);
        let (offset, len) = (data.len() as u64, bytes.len() as u64);
        directory.files.push(File { name: name.to_owned(), offset, len });
        data.extend_from_slice(bytes);
    }
    // Encoding into a growing vector fails only for types that this is not made of.
    let directory = postcard::to_allocvec(&directory).unwrap_or_default();
    let mut archive = MAGIC.to_vec();
    archive.extend((directory.len() as u64).to_le_bytes());
    archive.extend(directory);
    archive.resize(archive.len().next_multiple_of(ALIGN), 0);
    archive.extend(data);
    archive
}

/// An archive in memory.
pub struct Archive<'a> {
    data: &'a [u8],
    directory: Directory,
}

/// What is wrong with an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchiveError {
    /// It does not start with the magic word.
    Magic,
    /// It ends before its directory does.
    Truncated,
    /// Its directory cannot be decoded.
    Directory,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "there is no boot archive here",
            Self::Truncated => "the boot archive is cut off",
            Self::Directory => "the directory of the boot archive cannot be read",
        })
    }
}

impl<'a> Archive<'a> {
    /// Reads the directory of an archive.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ArchiveError::Magic);
        }
        let len = bytes.get(8..HEAD).ok_or(ArchiveError::Truncated)?;
        let len = u64::from_le_bytes(len.try_into().map_err(|_| ArchiveError::Truncated)?);
        let end = usize::try_from(len).ok().and_then(|len| len.checked_add(HEAD));
        let end = end.ok_or(ArchiveError::Truncated)?;
        let directory = bytes.get(HEAD..end).ok_or(ArchiveError::Truncated)?;
        let directory = postcard::from_bytes(directory).map_err(|_| ArchiveError::Directory)?;
        let data = bytes.get(end.next_multiple_of(ALIGN)..).unwrap_or_default();
        Ok(Archive { data, directory })
    }

    /// The system description.
    pub fn system(&self) -> &System {
        &self.directory.system
    }

    /// The bytes of a file.
    pub fn file(&self, name: &str) -> Option<&'a [u8]> {
        let file = self.directory.files.iter().find(|f| f.name == name)?;
        let start = usize::try_from(file.offset).ok()?;
        let end = start.checked_add(usize::try_from(file.len).ok()?)?;
        self.data.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let system = System { name: "test".into(), ..System::default() };
        pack(&system, [("a", &b"first"[..]), ("b", &b"second"[..])])
    }

    #[test]
    fn files_come_back_aligned() {
        let bytes = archive();
        let archive = Archive::open(&bytes).unwrap();
        assert_eq!(archive.system().name, "test");
        assert_eq!(archive.file("a"), Some(&b"first"[..]));
        let second = archive.file("b").unwrap();
        assert_eq!(second, b"second");
        assert_eq!((second.as_ptr() as usize - bytes.as_ptr() as usize) % ALIGN, 0);
        assert_eq!(archive.file("c"), None);
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = archive();
        assert_eq!(Archive::open(&bytes[1..]).err(), Some(ArchiveError::Magic));
        assert_eq!(Archive::open(&bytes[..12]).err(), Some(ArchiveError::Truncated));
        assert_eq!(Archive::open(&bytes[..20]).err(), Some(ArchiveError::Truncated));
        let cut = &bytes[..bytes.len() - 3];
        assert_eq!(Archive::open(cut).unwrap().file("b"), None);
        let mut garbled = bytes.clone();
        garbled[HEAD..HEAD + 8].fill(0xff);
        assert_eq!(Archive::open(&garbled).err(), Some(ArchiveError::Directory));
    }
}
