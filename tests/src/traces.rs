//! What a node has on this machine, by the pods that it is of: for tests that hold it against the pods that live.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fnv::FnvHasher;
use serde_json::Value;

use crate::netns::ip;
use crate::{Stack, containerd};

/// Bytes of a uid, with which the ids of a pod's containers begin.
const UID: usize = 36;

/// Kinds of things, and the pods that have one: by uid where its name says so, else by the thing's own name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Traces(BTreeMap<&'static str, BTreeSet<String>>);

impl Traces {
    /// Everything but links and cgroups, which do not say whose they are. The node's containerd runs.
    pub fn of(stack: &Stack) -> Result<Self> {
        let (data, run) = (stack.data(), run_dir(stack.data()));
        let mut all = BTreeMap::new();
        for (kind, folder) in [
            ("network namespace", run.join("netns")),
            ("sandbox", run.join("runtime/sandboxes")),
            ("container's folder", run.join("runtime/containers")),
            ("half-read image", run.join("runtime/mounts")),
            ("pod's folder", data.join("node/pods")),
        ] {
            all.insert(kind, names(&folder).iter().map(|name| whose(name)).collect());
        }
        all.insert("network record", records(&data.join("network/network/sandboxes"))?);
        all.insert("mount", mounts(&[data, &run, &containerd::run_dir(data)])?);
        let socket = stack.socket();
        let ctr = |words: &[&str]| ctr(&socket, words);
        all.insert("container", ctr(&["containers", "list", "--quiet"])?.lines().map(whose).collect());
        all.insert("task", ctr(&["tasks", "list", "--quiet"])?.lines().map(whose).collect());
        // KEY PARENT KIND; committed ones are the images'.
        let snapshots = ctr(&["snapshots", "list"])?;
        let active = snapshots.lines().skip(1).filter(|line| !line.trim_end().ends_with("Committed"));
        all.insert("snapshot", active.filter_map(|line| line.split_whitespace().next()).map(whose).collect());
        Ok(Self(all))
    }

    /// Fails with what none of these pods accounts for.
    pub fn only_of(&self, alive: &BTreeSet<String>) -> Result<()> {
        let extra: Vec<String> = (self.0.iter())
            .flat_map(|(kind, owners)| owners.difference(alive).map(move |owner| format!("{kind} of {owner}")))
            .collect();
        ensure!(extra.is_empty(), "this is left, while {alive:?} live: {extra:#?}");
        Ok(())
    }
}

/// Those of these pods that have a cgroup in any hierarchy.
pub fn cgroups<'a>(pods: impl IntoIterator<Item = &'a String>) -> Result<BTreeSet<String>> {
    let root = Path::new("/sys/fs/cgroup");
    let mut parents: Vec<PathBuf> = fs::read_dir(root)?.flatten().map(|entry| entry.path()).collect();
    parents.push(root.to_owned());
    let has = |uid: &&String| parents.iter().any(|parent| parent.join(format!("gantry/pod{uid}")).exists());
    Ok(pods.into_iter().filter(has).cloned().collect())
}

/// Links of pods in this thread's network: all of a bridge network's but the bridge.
pub fn links() -> Result<usize> {
    let links: Value = serde_json::from_str(&ip("-json link show type veth")?)?;
    let ours = |link: &&Value| link.get("ifname").and_then(Value::as_str).is_some_and(|name| name.starts_with("gtr"));
    Ok(links.as_array().into_iter().flatten().filter(ours).count())
}

/// Where the host keeps what must not outlive a boot: as in its `run_dir`.
pub fn run_dir(data: &Path) -> PathBuf {
    let mut hasher = FnvHasher::default();
    hasher.write(data.as_os_str().as_encoded_bytes());
    Path::new(containerd::RUN).join(format!("{:016x}", hasher.finish()))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn records(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for name in names(folder) {
        let file = folder.join(&name);
        // It may go meanwhile.
        let Ok(text) = fs::read(&file) else { continue };
        let record: Value = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
        found.insert(record.get("uid").and_then(Value::as_str).unwrap_or(&name).to_owned());
    }
    Ok(found)
}

fn mounts(below: &[&Path]) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string("/proc/self/mounts")?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    let ours = points.filter(|point| below.iter().any(|folder| point.starts_with(folder)));
    let owner = |point: &Path| {
        let parts = point.iter().map(|part| part.to_string_lossy());
        parts.map(|part| whose(&part)).find(|part| is_uid(part)).unwrap_or_else(|| point.display().to_string())
    };
    Ok(ours.map(owner).collect())
}

fn whose(name: &str) -> String {
    let name = name.trim();
    name.get(..UID).filter(|uid| is_uid(uid)).unwrap_or(name).to_owned()
}

fn is_uid(text: &str) -> bool {
    text.len() == UID && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit()) && text.matches('-').count() == 4
}

fn ctr(socket: &Path, words: &[&str]) -> Result<String> {
    let mut command = Command::new("ctr");
    let output = command.arg("--address").arg(socket).args(["--namespace", "gantry"]).args(words).output()?;
    ensure!(output.status.success(), "ctr {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
