//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What a file ends with while it is written. One that is left was cut off by a crash, and is written over by the next.
pub(crate) const PARTIAL: &str = "partial";

/// Writes a file and makes its folder. When this is done it is on disk, whatever happens then; until it is, the one that
/// was there before is. A file has one writer at a time.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let partial = file.with_extension(PARTIAL);
    let mut fresh = File::create(&partial)?;
    fresh.write_all(bytes)?;
    fresh.sync_data()?;
    fs::rename(&partial, file)?;
    // A name is on disk when its folder is.
    File::open(folder)?.sync_all()
}
