//! The shipping of a node's log lines: one lane per sink, and the end of logs that are no longer needed.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lane::{Command, Lane};
use super::outlet::Outlet;
use super::positions::{Error, Positions};
use super::reader::Reader;
use crate::logs::{Notices, files};

/// Commands that wait for one lane.
const COMMANDS: usize = 64;

/// What is shipped, and where to.
pub struct Options {
    /// The node's name.
    pub node: String,
    /// The folder of all logs.
    pub logs: PathBuf,
    /// Where positions are kept.
    pub state: PathBuf,
    /// The sinks.
    pub outlets: Vec<Arc<dyn Outlet>>,
    /// What the logs' writers say.
    pub notices: Notices,
    /// How long logs that are to go wait for sinks that have not got all of them.
    pub grace: Duration,
}

/// The running service. Cheap to clone. The default one ships nothing, and removes logs at once.
#[derive(Clone, Default)]
pub struct Handle(Arc<Inner>);

#[derive(Default)]
struct Inner {
    lanes: Vec<mpsc::Sender<Command>>,
    grace: Duration,
    /// Paths that are on their way out.
    retiring: Mutex<HashSet<PathBuf>>,
    stop: CancellationToken,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts a lane per sink. To be called before anything writes to logs: where a sink begins is decided here.
pub async fn start(options: Options) -> Result<Handle, Error> {
    let stop = CancellationToken::new();
    let (mut lanes, mut tasks) = (Vec::new(), JoinSet::new());
    for outlet in options.outlets {
        let listener = options.notices.listen();
        let positions = Positions::of(&options.state, outlet.name());
        let (root, node, file) = (options.logs.clone(), options.node.clone(), positions.clone());
        let opened = tokio::task::spawn_blocking(move || open(&root, &node, &file)).await;
        let broken = |error| Error::Files { path: options.logs.clone(), error: io::Error::other(error) };
        let reader = opened.map_err(broken)??;
        let (commands, orders) = mpsc::channel(COMMANDS);
        lanes.push(commands);
        tasks.spawn(Lane { outlet, reader, listener, commands: orders, positions, stop: stop.clone() }.run());
    }
    let inner =
        Inner { lanes, grace: options.grace, retiring: Mutex::default(), stop, tasks: tokio::sync::Mutex::new(tasks) };
    Ok(Handle(Arc::new(inner)))
}

/// Reads where a sink is, and notes at once that it has begun: a kill before its first batch must not make it begin again.
fn open(root: &Path, node: &str, positions: &Positions) -> Result<Reader, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::Files { path, error }
    };
    fs::create_dir_all(positions.folder()).map_err(failed(positions.folder()))?;
    let places = positions.load()?;
    let reader = Reader::open(root, node, places).map_err(failed(root))?;
    positions.save(reader.places())?;
    Ok(reader)
}

impl Handle {
    /// Has the files of a log, or of all logs in a folder, removed once every sink has them or the grace is over. Nobody
    /// writes there any more. Returns at once; may be repeated.
    pub async fn retire(&self, path: PathBuf) -> io::Result<()> {
        if self.0.lanes.is_empty() {
            return blocking(move || remove(&path)).await;
        }
        if !self.retiring().insert(path.clone()) {
            return Ok(());
        }
        let handle = self.clone();
        let stop = self.0.stop.clone();
        // Not one of the service's tasks: it holds a handle, and after a stop the next start finds the files again.
        tokio::spawn(async move {
            if let Some(Err(error)) = stop.run_until_cancelled(handle.settle_and_remove(path.clone())).await {
                tracing::warn!(%error, path = %path.display(), "can't remove logs");
            }
            handle.retiring().remove(&path);
        });
        Ok(())
    }

    async fn settle_and_remove(&self, path: PathBuf) -> io::Result<()> {
        let deadline = Instant::now() + self.0.grace;
        let mut settled = Vec::new();
        for lane in &self.0.lanes {
            let (done, answer) = oneshot::channel();
            // A lane that is gone reads no more.
            if lane.send(Command::Retire { path: path.clone(), deadline, done }).await.is_ok() {
                settled.push(answer);
            }
        }
        futures::future::join_all(settled).await;
        if self.0.stop.is_cancelled() {
            return Ok(());
        }
        let gone = path.clone();
        blocking(move || remove(&gone)).await?;
        for lane in &self.0.lanes {
            let _ = lane.send(Command::Forget(path.clone())).await;
        }
        Ok(())
    }

    fn retiring(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.0.retiring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops, and writes positions down.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        let mut tasks = self.0.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn remove(path: &Path) -> io::Result<()> {
    if path.extension().is_some_and(|extension| extension == "log") {
        return files::remove_all(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
