//! What is left of a control plane that was stopped: processes and mounts, by the data directory.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{containerd, wait_for};

/// Programs that run for a data directory. Others may name it too: an editor, a pager, whoever asks. Shims are containerd's
/// and not looked for: one whose host was killed while it was started may stay.
const OURS: [&str; 3] = ["gantry", "containerd", "nsenter"];
/// What was killed takes a moment to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fails while a process or a mount of this data directory is there; `nodes` are those of its nodes.
pub fn nothing(data: &Path, nodes: &[PathBuf]) -> Result<()> {
    let mut folders = vec![data.to_owned(), containerd::run_dir(data)];
    folders.extend(nodes.iter().map(|node| crate::traces::run_dir(node)));
    wait_for("everything to be gone", PATIENCE, || {
        let left: Vec<String> = processes(&folders).into_iter().chain(mounts(&folders)).collect();
        ensure!(left.is_empty(), "not everything was stopped; there still is {}", left.join(", "));
        Ok(())
    })
}

/// Programs of ours that run for one of these folders.
pub fn processes(folders: &[PathBuf]) -> Vec<String> {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0).map(|word| Path::new(OsStr::from_bytes(word)));
        let program = words.next()?.file_name()?.to_str()?;
        let ours = OURS.contains(&program) && words.any(|word| folders.iter().any(|folder| word.starts_with(folder)));
        ours.then(|| format!("process {id} ({program})"))
    })
    .collect()
}

fn mounts(folders: &[PathBuf]) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(1));
    let ours = points.filter(|point| folders.iter().any(|folder| Path::new(point).starts_with(folder)));
    ours.map(|point| format!("a mount at {point}")).collect()
}
