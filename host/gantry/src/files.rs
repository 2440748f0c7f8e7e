//! Files that are there whole or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Only the owner may read it, and nobody ever sees half of it.
pub fn write_private(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let failed = || format!("can't write {}", path.display());
    let partial = path.with_extension("partial");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .with_context(failed)?;
    file.write_all(bytes.as_ref()).and_then(|()| file.sync_all()).with_context(failed)?;
    fs::rename(&partial, path).with_context(failed)
}
