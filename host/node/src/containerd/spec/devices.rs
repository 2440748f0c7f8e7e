//! Devices: none but the usual ones, or for a privileged container all of the node's.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::stat::{major, minor};
use serde_json::{Value, json};

/// What the cgroup allows. runc adds the usual devices by itself.
pub fn rules(privileged: bool) -> Value {
    if privileged {
        return json!([{"allow": true, "access": "rwm"}]);
    }
    json!([{"allow": false, "access": "rwm"}])
}

/// Every device of the node.
pub fn of_the_node() -> Vec<Value> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), &mut found);
    found
}

fn collect(dir: &Path, found: &mut Vec<Value>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let kind = meta.file_type();
        // Each container has these of its own.
        if ["pts", "shm", "fd", "mqueue", "console", "ptmx"].iter().any(|n| name == *n) {
            continue;
        }
        if kind.is_dir() {
            collect(&path, found);
        } else if kind.is_char_device() || kind.is_block_device() {
            found.push(json!({
                "path": path,
                "type": if kind.is_block_device() { "b" } else { "c" },
                "major": major(meta.rdev()),
                "minor": minor(meta.rdev()),
                "fileMode": meta.mode() & 0o7777,
                "uid": meta.uid(),
                "gid": meta.gid(),
            }));
        }
    }
}
