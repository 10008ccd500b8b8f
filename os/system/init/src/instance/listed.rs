//! What the start page of a component lists.

use alloc::{string::String, vec::Vec};

use pecan::startup::Content;

use super::StartError;

/// What the start page is to list.
#[derive(Default)]
pub struct Listed {
    caps: Vec<(String, u64)>,
    memory: Vec<(String, u64, u64)>,
    parameters: Vec<(String, u64)>,
}

impl Listed {
    /// A capability under a name, by its address.
    pub fn add_cap(&mut self, name: &str, cptr: u64) {
        self.caps.push((name.into(), cptr));
    }

    /// Memory under a name: its address, and its bytes.
    pub fn add_memory(&mut self, name: &str, address: u64, bytes: u64) {
        self.memory.push((name.into(), address, bytes));
    }

    /// A number under a name.
    pub fn add_parameter(&mut self, name: &str, value: u64) {
        self.parameters.push((name.into(), value));
    }

    /// The bytes of the page.
    pub fn write(&self, name: &str, ipc_buffer: u64, arguments: &[String]) -> Result<Vec<u8>, StartError> {
        let caps: Vec<_> = self.caps.iter().map(|(n, cptr)| (n.as_str(), *cptr)).collect();
        let memory: Vec<_> =
            self.memory.iter().map(|(n, address, bytes)| (n.as_str(), *address, *bytes)).collect();
        let parameters: Vec<_> = self.parameters.iter().map(|(n, value)| (n.as_str(), *value)).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let content = Content {
            name,
            ipc_buffer,
            caps: &caps,
            memory: &memory,
            parameters: &parameters,
            arguments: &arguments,
        };
        let mut page = alloc::vec![0; content.bytes()];
        content.write(&mut page)?;
        Ok(page)
    }
}
