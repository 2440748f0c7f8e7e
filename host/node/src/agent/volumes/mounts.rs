//! The kernel's mounts, behind a seam so that tests need no privileges.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// What volumes need of the kernel.
pub trait Mounts: Send + Sync + 'static {
    /// Mounts memory at a directory, at most so many bytes of it.
    fn tmpfs(&self, at: &Path, size: Option<u64>) -> io::Result<()>;

    /// Shows `from` at `to`, which exists and is of the same type.
    fn bind(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Whether something is mounted right there.
    fn is_mounted(&self, at: &Path) -> io::Result<bool>;

    /// Unmounts everything below a directory and it itself, the last mounted first.
    fn unmount_below(&self, folder: &Path) -> io::Result<()>;
}

/// The machine's.
pub struct Kernel;

impl Mounts for Kernel {
    fn tmpfs(&self, at: &Path, size: Option<u64>) -> io::Result<()> {
        let options = size.map(|size| format!("size={size}"));
        let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
        Ok(mount(Some("tmpfs"), at, Some("tmpfs"), flags, options.as_deref())?)
    }

    fn bind(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?)
    }

    fn is_mounted(&self, at: &Path) -> io::Result<bool> {
        let at = fs::canonicalize(at)?;
        Ok(mount_points(&fs::read_to_string("/proc/self/mountinfo")?).contains(&at))
    }

    fn unmount_below(&self, folder: &Path) -> io::Result<()> {
        let Ok(folder) = fs::canonicalize(folder) else { return Ok(()) };
        let points = mount_points(&fs::read_to_string("/proc/self/mountinfo")?);
        for point in points.iter().rev().filter(|point| point.starts_with(&folder)) {
            // Detached, so that a process which still holds a file can't keep the pod from going.
            umount2(point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
        }
        Ok(())
    }
}

/// The fifth field of each line, with the kernel's octal escapes undone.
fn mount_points(text: &str) -> Vec<PathBuf> {
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(|field| PathBuf::from(unescape(field))).collect()
}

fn unescape(field: &str) -> String {
    let mut out = field.to_owned();
    for (code, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, plain);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read() {
        let text = "22 1 0:21 / /proc rw - proc proc rw\n30 22 0:5 / /a\\040b rw shared:1 - tmpfs tmpfs rw\n";
        assert_eq!(mount_points(text), [PathBuf::from("/proc"), PathBuf::from("/a b")]);
    }
}
