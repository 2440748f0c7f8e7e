//! What the containers of one sandbox share besides the network: IPC and UTS namespaces and `/dev/shm`.
//!
//! The namespaces are pinned by bind mounts of their files, so they live as long as the sandbox, whatever happens to
//! its containers, and no pause container is needed to hold them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::cgroup;
use crate::locks::Locks;
use crate::runtime::{ContainerSpec, Limits, RuntimeError};

/// The sandboxes of one agent.
pub struct Sandboxes {
    dir: PathBuf,
    busy: Locks,
}

/// Paths of a sandbox's shared parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    pub ipc: PathBuf,
    pub uts: PathBuf,
    pub shm: PathBuf,
}

impl Shared {
    fn at(dir: &Path) -> Self {
        Self { ipc: dir.join("ipc"), uts: dir.join("uts"), shm: dir.join("shm") }
    }
}

impl Sandboxes {
    pub fn new(state: &Path) -> Self {
        Self { dir: state.join("sandboxes"), busy: Locks::default() }
    }

    /// Makes what is missing of a container's sandbox.
    pub async fn ensure(&self, spec: &ContainerSpec) -> Result<Shared, RuntimeError> {
        let _guard = self.busy.lock(&spec.sandbox).await;
        let (dir, parent) = (self.dir.join(&spec.sandbox), spec.cgroup_parent.clone());
        let limits = spec.sandbox_limits.clone();
        blocking("make", &spec.sandbox, move || make(&dir, &parent, &limits)).await
    }

    /// Gives up a sandbox's namespaces. Containers that have ended may be there still, in the sandbox's cgroup: what is
    /// known of it stays. Fails while its namespaces can't be unmounted.
    pub async fn release(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let _guard = self.busy.lock(sandbox).await;
        let dir = self.dir.join(sandbox);
        blocking("release", sandbox, move || unpin(&dir)).await
    }

    /// Removes a sandbox whose containers are gone. Fails while its namespaces can't be unmounted or processes are in its
    /// cgroup.
    pub async fn remove(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let _guard = self.busy.lock(sandbox).await;
        let dir = self.dir.join(sandbox);
        blocking("remove", sandbox, move || unmake(&dir)).await
    }

    /// The parent of its containers' cgroups.
    pub fn cgroup(&self, sandbox: &str) -> Option<String> {
        fs::read_to_string(self.dir.join(sandbox).join("cgroup")).ok()
    }

    /// Sandboxes that left something.
    pub fn all(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).collect()
    }
}

async fn blocking<T: Send + 'static>(
    verb: &str,
    sandbox: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, RuntimeError> {
    let failed =
        |error: &dyn std::fmt::Display| RuntimeError::Failed(format!("can't {verb} sandbox {sandbox}: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
}

fn make(dir: &Path, cgroup_parent: &str, limits: &Limits) -> io::Result<Shared> {
    let shared = Shared::at(dir);
    if is_mount(&shared.ipc, dir) && is_mount(&shared.uts, dir) && is_mount(&shared.shm, dir) {
        return Ok(shared);
    }
    fs::create_dir_all(&shared.shm)?;
    // Before the cgroup itself: what a crash leaves is found by it.
    fs::write(dir.join("cgroup"), cgroup_parent)?;
    cgroup::limit(cgroup_parent, limits)?;
    pin(dir, &shared)?;
    if !is_mount(&shared.shm, dir) {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("shm"), &shared.shm, Some("tmpfs"), flags, Some("mode=1777,size=65536k"))?;
    }
    Ok(shared)
}

/// Pins new namespaces. On a thread of its own, which ends with them: others must stay in the node's.
fn pin(dir: &Path, shared: &Shared) -> io::Result<()> {
    let pins: Vec<(PathBuf, &str)> = [(&shared.ipc, "ipc"), (&shared.uts, "uts")]
        .into_iter()
        .filter(|(path, _)| !is_mount(path, dir))
        .map(|(path, name)| (path.clone(), name))
        .collect();
    if pins.is_empty() {
        return Ok(());
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)?;
        for (path, name) in pins {
            File::create(&path)?;
            let source = format!("/proc/thread-self/ns/{name}");
            mount(Some(source.as_str()), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        }
        Ok(())
    });
    thread.join().map_err(|_| io::Error::other("the thread that pins namespaces ended early"))?
}

fn unpin(dir: &Path) -> io::Result<()> {
    let shared = Shared::at(dir);
    for path in [&shared.ipc, &shared.uts, &shared.shm] {
        match umount2(path, MntFlags::MNT_DETACH) {
            // Not mounted, or not there.
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The file that says where the cgroup is goes last: after a crash, or when the cgroup can't be removed yet, the next try
/// needs it.
fn unmake(dir: &Path) -> io::Result<()> {
    unpin(dir)?;
    if let Ok(parent) = fs::read_to_string(dir.join("cgroup")) {
        cgroup::remove(&parent)?;
    }
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_mount(path: &Path, dir: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|m| m.dev());
    device(path).is_some_and(|d| Some(d) != device(dir))
}
