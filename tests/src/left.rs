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
        let proxies = proxies(&folders).into_iter().map(|id| format!("process {id} (a node's proxy)"));
        let left: Vec<String> = processes(&folders).into_iter().chain(proxies).chain(mounts(&folders)).collect();
        ensure!(left.is_empty(), "not everything was stopped; there still is {}", left.join(", "));
        Ok(())
    })
}

/// Programs of ours that run for one of these folders, but proxies, which outlive their agents.
pub fn processes(folders: &[PathBuf]) -> Vec<String> {
    let all = running(folders).into_iter().filter(|program| !program.is_proxy);
    all.map(|program| format!("process {} ({})", program.id, program.name)).collect()
}

/// The proxies of these nodes.
pub fn proxies(folders: &[PathBuf]) -> Vec<i32> {
    running(folders).into_iter().filter(|program| program.is_proxy).map(|program| program.id).collect()
}

struct Program {
    id: i32,
    name: String,
    is_proxy: bool,
}

fn running(folders: &[PathBuf]) -> Vec<Program> {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0).map(|word| Path::new(OsStr::from_bytes(word)));
        let name = words.next()?.file_name()?.to_str()?.to_owned();
        let words: Vec<&Path> = words.collect();
        let named = || words.iter().any(|word| folders.iter().any(|folder| word.starts_with(folder)));
        let is_proxy = words.first() == Some(&Path::new("proxy"));
        (OURS.contains(&name.as_str()) && named()).then_some(Program { id, name, is_proxy })
    })
    .collect()
}

fn mounts(folders: &[PathBuf]) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(1));
    let ours = points.filter(|point| folders.iter().any(|folder| Path::new(point).starts_with(folder)));
    ours.map(|point| format!("a mount at {point}")).collect()
}
