//! Files that change all at once. The files of one version lie in a directory of their own; `..data` is a link to the
//! present version, and what a container sees are links through `..data`. Renaming a new `..data` over the old one
//! switches every file in one step: nobody ever sees half of an update.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::ownership::set_mode;
use super::payload::Payload;

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_new";

/// Makes the volume show exactly these files. Nothing is touched if it does already. `finish` may change owners before
/// anyone sees the files.
pub fn write(volume: &Path, payload: &Payload, finish: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let current = fs::read_link(volume.join(DATA)).ok().map(|name| volume.join(name));
    if current.as_ref().is_some_and(|current| shows(current, payload)) {
        return link_files(volume, payload);
    }
    let version = new_version(volume)?;
    for (path, file) in payload {
        let to = version.join(path);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&to, &file.bytes)?;
        set_mode(&to, file.mode)?;
    }
    finish(&version)?;
    let fresh = volume.join(DATA_NEW);
    remove_if_there(&fresh)?;
    symlink(version.file_name().unwrap_or_default(), &fresh)?;
    fs::rename(&fresh, volume.join(DATA))?;
    link_files(volume, payload)?;
    remove_others(volume, &version)
}

fn new_version(volume: &Path) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S").to_string();
    let version = volume.join(format!("..{now}.{}", rand::random::<u32>()));
    fs::create_dir(&version)?;
    set_mode(&version, 0o755)?;
    Ok(version)
}

/// Whether a version holds exactly these files.
fn shows(version: &Path, payload: &Payload) -> bool {
    let mut found = BTreeSet::new();
    if collect(version, version, &mut found).is_err() || found.len() != payload.len() {
        return false;
    }
    payload.iter().all(|(path, file)| fs::read(version.join(path)).is_ok_and(|bytes| bytes == file.bytes))
}

fn collect(root: &Path, at: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if fs::symlink_metadata(&path)?.is_dir() {
            collect(root, &path, found)?;
        } else {
            found.insert(path.strip_prefix(root).unwrap_or(&path).to_owned());
        }
    }
    Ok(())
}

/// The names that containers see: the first part of each path.
fn link_files(volume: &Path, payload: &Payload) -> io::Result<()> {
    let names: BTreeSet<&str> = payload.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &names {
        let (link, target) = (volume.join(name), Path::new(DATA).join(name));
        if fs::read_link(&link).is_ok_and(|old| old == target) {
            continue;
        }
        remove_if_there(&link)?;
        symlink(target, link)?;
    }
    for entry in fs::read_dir(volume)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !names.contains(name.as_ref()) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// Old versions, also those that a crash left half-made.
fn remove_others(volume: &Path, version: &Path) -> io::Result<()> {
    for entry in fs::read_dir(volume)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("..") && name != DATA && path != version {
            remove_if_there(&path)?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    if meta.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}
