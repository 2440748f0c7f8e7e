//! Files that are there whole or not at all, and folders that only their owner looks into.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};

/// What tells a data directory from any other folder.
const OURS: [&str; 4] = ["store", "node", "cache", RECORDS];
const OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// Where sinks of files are given room by the stock bundle.
const RECORDS: &str = "records";

/// Makes a data directory. Secrets, logs and records lie in it, so only its owner may look into it. One that is there is
/// closed too, unless it holds other things.
pub fn make_data_dir(dir: &Path) -> Result<()> {
    let is_there = dir.exists();
    let foreign = is_there && !is_ours(dir).with_context(|| format!("can't read {}", dir.display()))?;
    if foreign { Ok(()) } else { make_private(dir) }
}

/// Makes a server's data directory. Sinks would make the folder of their records open to all.
pub fn make_server_dir(dir: &Path) -> Result<()> {
    make_data_dir(dir)?;
    make_private(&dir.join(RECORDS))
}

/// Makes a folder that only its owner may look into, or makes one so that is there.
pub fn make_private(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("can't make {}", dir.display()))?;
    let mode = fs::metadata(dir)?.mode();
    if mode & OTHERS != 0 {
        let closed = fs::Permissions::from_mode(mode & 0o7700);
        fs::set_permissions(dir, closed).with_context(|| format!("can't close {} to others", dir.display()))?;
    }
    Ok(())
}

/// Closed already, or empty, or used as a data directory before.
fn is_ours(dir: &Path) -> io::Result<bool> {
    let mode = fs::metadata(dir)?.mode();
    let empty = || fs::read_dir(dir).map(|mut entries| entries.next().is_none());
    Ok(mode & OTHERS == 0 || (mode & STICKY == 0 && (OURS.iter().any(|name| dir.join(name).exists()) || empty()?)))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(dir: &Path) -> u32 {
        fs::metadata(dir).unwrap().mode() & 0o7777
    }

    /// Secrets and logs could be read by everybody on the machine.
    #[test]
    fn data_directories_are_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        let open = |name: &str, bits: u32, child: Option<&str>| {
            let dir = root.path().join(name);
            fs::create_dir_all(child.map_or_else(|| dir.clone(), |child| dir.join(child))).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(bits)).unwrap();
            dir
        };
        let new = root.path().join("a/new");
        for (dir, want) in [
            (new, 0o700),
            (open("empty", 0o755, None), 0o700),
            (open("used", 0o755, Some("store")), 0o700),
            (open("closed", 0o700, Some("other")), 0o700),
            (open("other", 0o755, Some("other")), 0o755),
            (open("shared", 0o1777, None), 0o1777),
        ] {
            make_data_dir(&dir).unwrap();
            assert_eq!(mode(&dir), want, "{}", dir.display());
        }
        let node = open("node", 0o755, Some("logs"));
        make_private(&node).unwrap();
        assert_eq!(mode(&node), 0o700);
    }
}
