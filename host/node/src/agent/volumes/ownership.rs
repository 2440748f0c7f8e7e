//! Owners and modes of what is in volumes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{Gid, chown};

/// Sets a mode, whatever the umask.
pub fn set_mode(at: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(at, Permissions::from_mode(mode))
}

/// Gives everything below `at` to a group: directories pass the group on, and what the owner may, the group may too
/// (read only, where the contents are not to be written). Links are left alone.
pub fn give(at: &Path, group: Option<i64>, read_only: bool) -> io::Result<()> {
    let Some(group) = group.and_then(|group| u32::try_from(group).ok()) else { return Ok(()) };
    give_to(at, Gid::from_raw(group), read_only)
}

fn give_to(at: &Path, group: Gid, read_only: bool) -> io::Result<()> {
    let meta = fs::symlink_metadata(at)?;
    if meta.is_symlink() {
        return Ok(());
    }
    chown(at, None, Some(group))?;
    let group_may = if read_only { 0o440 } else { 0o660 };
    let mode = meta.permissions().mode() & 0o7777;
    let mode = if meta.is_dir() { mode | group_may | 0o2110 } else { mode | group_may };
    set_mode(at, mode)?;
    if meta.is_dir() {
        for entry in fs::read_dir(at)? {
            give_to(&entry?.path(), group, read_only)?;
        }
    }
    Ok(())
}
