//! A part of a volume, mounted on its own. Containers write to volumes, so a part may turn into a link to anywhere
//! between looking at it and mounting it. The kernel resolves the path inside the volume, and what it has opened is
//! what is mounted, whatever happens to the path afterwards.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, mkdirat};

use super::Mounts;

/// Shows `sub` of the volume at `root` under `target`. A directory that is absent is made. May be repeated.
pub fn bind(root: &Path, sub: &str, target: &Path, mounts: &dyn Mounts) -> Result<(), String> {
    let fail = |error: io::Error| format!("failed to prepare subPath {sub:?}: {error}");
    let parts = parts(sub).ok_or_else(|| format!("subPath {sub:?} must be a relative path without .."))?;
    if target.exists() && mounts.is_mounted(target).map_err(fail)? {
        return Ok(());
    }
    let root = open(root, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(|e| fail(e.into()))?;
    let opened = open_or_make(root.as_fd(), &parts).map_err(|e| fail(e.into()))?;
    let from = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    make_target(&from, target).map_err(fail)?;
    mounts.bind(&from, target).map_err(fail)
}

fn parts(sub: &str) -> Option<Vec<&str>> {
    let path = Path::new(sub);
    if sub.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return None;
    }
    Some(sub.split('/').filter(|part| !part.is_empty() && *part != ".").collect())
}

fn how() -> OpenHow {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

fn open_or_make(root: BorrowedFd<'_>, parts: &[&str]) -> nix::Result<OwnedFd> {
    if parts.is_empty() {
        return openat2(root, ".", how());
    }
    let mut parent: Option<OwnedFd> = None;
    let mut so_far = PathBuf::new();
    for part in parts {
        so_far.push(part);
        let found = match openat2(root, &so_far, how()) {
            Err(Errno::ENOENT) => {
                let at = parent.as_ref().map_or(root, AsFd::as_fd);
                match mkdirat(at, *part, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error),
                }
                openat2(root, &so_far, how())?
            }
            other => other?,
        };
        parent = Some(found);
    }
    parent.ok_or(Errno::ENOENT)
}

/// A mount point of the same type.
fn make_target(from: &Path, target: &Path) -> io::Result<()> {
    if fs::metadata(from)?.is_dir() {
        return fs::create_dir_all(target);
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::OpenOptions::new().append(true).create(true).open(target).map(|_| ())
}
