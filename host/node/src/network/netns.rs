//! Network namespaces with a name: files in a directory that a namespace is mounted on. They outlive the agent and every
//! process in them; on a reboot they are gone, as `/run` is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::statfs;
use tokio::sync::oneshot;

/// What `statfs` says of a namespace's file (`linux/magic.h`).
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// The namespaces of one directory.
#[derive(Clone, Debug)]
pub struct Namespaces {
    dir: PathBuf,
}

impl Namespaces {
    /// Those of this directory, which is made when it is needed.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where a namespace is, or would be.
    pub fn path(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    /// Whether it is there.
    pub fn has(&self, id: &str) -> bool {
        is_namespace(&self.path(id))
    }

    /// Makes a namespace unless it is there.
    pub async fn ensure(&self, id: &str) -> io::Result<PathBuf> {
        let path = self.path(id);
        if !is_namespace(&path) {
            let to = path.clone();
            // The thread leaves the node's namespace for good, so it can be no thread of a pool.
            in_thread(move || make(&to)).await?;
        }
        Ok(path)
    }

    /// Removes a namespace; processes inside keep theirs until they end.
    pub async fn remove(&self, id: &str) -> io::Result<()> {
        let path = self.path(id);
        in_thread(move || remove(&path)).await
    }

    /// Names of all that are there, half-made ones too.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

fn is_namespace(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type().0 == NSFS_MAGIC)
}

fn make(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(path)?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    while is_namespace(path) {
        umount2(path, MntFlags::MNT_DETACH)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs a job inside a network namespace; `None`: the one of this process. Sockets and processes that it makes belong
/// to that namespace for good.
pub async fn within<T: Send + 'static>(
    netns: Option<&Path>,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let Some(path) = netns.map(Path::to_owned) else {
        return tokio::task::spawn_blocking(job).await.map_err(io::Error::other)?;
    };
    in_thread(move || {
        let file = File::open(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("network namespace {}: {error}", path.display())))?;
        setns(file, CloneFlags::CLONE_NEWNET)?;
        job()
    })
    .await
}

async fn in_thread<T: Send + 'static>(job: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (send, receive) = oneshot::channel();
    thread::Builder::new().name("netns".to_owned()).spawn(move || {
        // Nobody listening is no fault: the caller was dropped.
        let _ = send.send(job());
    })?;
    receive.await.map_err(|_| io::Error::other("a thread in a network namespace ended without an answer"))?
}
