//! What pods of a stopped agent left on the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

/// Unmounts and removes pods' files and logs below an agent's data directory. The agent must have stopped.
pub fn clean(data: &Path) -> io::Result<()> {
    let mut points: Vec<PathBuf> = mounts()?.into_iter().filter(|point| point.starts_with(data)).collect();
    // The deepest first.
    points.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    for point in points {
        umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
    }
    match fs::remove_dir_all(data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Every mount point: the fifth field of `/proc/self/mountinfo`, in which the kernel writes blanks as `\040`.
fn mounts() -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let points = text.lines().filter_map(|line| line.split_ascii_whitespace().nth(4));
    Ok(points.map(|point| PathBuf::from(point.replace("\\040", " "))).collect())
}
