//! Where things are in the working tree.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the working tree, and the places in it.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the working tree that this xtask was built from.
    pub fn find() -> Result<Self> {
        // `cargo run` sets the variable anew at each run; the value of compile time serves a binary started by hand.
        let manifest =
            std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).join("../..");
        let root = root.canonicalize().with_context(|| {
            format!(
                "the working tree {} is gone\n  to mend it: run `cargo xtask` inside the repository",
                root.display()
            )
        })?;
        Ok(Workspace { root })
    }

    /// The top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the top folder.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Where bare-metal builds go: apart from the host's, so that two toolchains never share a folder.
    pub fn bare(&self) -> PathBuf {
        self.join("target/bare")
    }
}
