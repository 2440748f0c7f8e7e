//! Making, starting and removing containers. The way to a running process is kept short: the requests are as few as
//! containerd allows, and what does not depend on each other runs at the same time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::container::Runtime as RuntimeInfo;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, DeleteContainerRequest, DeleteTaskRequest,
    GetContainerRequest, GetRequest, KillRequest, ListContainersRequest, ListTasksRequest, StartRequest, WaitRequest,
};
use containerd_client::types::Mount;
use containerd_client::types::v1 as task;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use prost_types::Any;
use tonic::{Code, Status};
use uuid::Uuid;

use super::cgroup;
use super::client::{failed, gone};
use super::images::{Lease, Unpacked};
use super::known::{Entry, Facts, LABEL};
use super::output::{Output, wait_drained};
use super::pipes::Pipes;
use super::runtime::Engine;
use super::shim::Shim;
use super::spec::{self, SPEC_TYPE};
use super::users::Accounts;
use crate::image::Name;
use crate::logs::{Limit, LogWriter};
use crate::runtime::{ContainerSpec, Exit, Found, RuntimeError, State};

const RUNTIME: &str = "io.containerd.runc.v2";
/// How long a killed process may take to be gone: it may be stuck in the kernel.
const DEATH: Duration = Duration::from_secs(20);
/// How long the last output of a container that is removed is waited for.
const DRAIN: Duration = Duration::from_secs(1);

impl Engine {
    pub async fn create(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        let name = Name::parse(&spec.image).map_err(RuntimeError::Failed)?;
        let image = match self.images.known(name.full()) {
            Some(image) => image,
            None => self.image(&name).await?,
        };
        let (accounts, shared) = tokio::try_join!(self.accounts(&image), self.sandboxes.ensure(spec))?;
        let user = accounts.resolve(&image.image.user, &spec.security).map_err(RuntimeError::Failed)?;
        let oci = spec::build(spec, &user, &shared).map_err(RuntimeError::Failed)?;
        self.add_record(spec, name.full(), &oci).await?;
        let result = self.prepare(spec, &name, &image).await;
        if let Err(error) = result {
            // The next attempt has another id: leave nothing of this one.
            self.remove(&spec.id).await?;
            return Err(error);
        }
        Ok(())
    }

    async fn image(&self, name: &Name) -> Result<Arc<Unpacked>, RuntimeError> {
        let found = self.images.get(name).await?;
        found.ok_or_else(|| RuntimeError::NotFound(format!("image {:?}", name.full())))
    }

    /// The image's users; read once for each image.
    async fn accounts<'a>(&self, image: &'a Unpacked) -> Result<&'a Accounts, RuntimeError> {
        let read = || async {
            let key = format!("accounts-{}", Uuid::new_v4());
            // Nothing else would keep the snapshot from the garbage collector.
            let lease = Lease::new(&self.client).await?;
            let snapshots = self.images.snapshots.leased(&lease.id);
            let mounts = snapshots.prepare(&key, &image.chain).await?;
            let dir = self.options.state.join("mounts").join(&key);
            let read = tokio::task::spawn_blocking(move || Accounts::read(&mounts, &dir)).await;
            snapshots.remove(&key).await?;
            lease.release().await;
            let fail = |e: &dyn std::fmt::Display| RuntimeError::Failed(format!("can't read the image's users: {e}"));
            read.map_err(|e| fail(&e))?.map_err(|e| fail(&e))
        };
        image.accounts.get_or_try_init(read).await
    }

    /// The record comes before the snapshot: a crash in between leaves something that is found again.
    async fn add_record(&self, spec: &ContainerSpec, image: &str, oci: &serde_json::Value) -> Result<(), RuntimeError> {
        let encode = |e: serde_json::Error| RuntimeError::Failed(e.to_string());
        let facts = serde_json::to_string(&Facts::of(spec)).map_err(encode)?;
        let value = serde_json::to_vec(oci).map_err(encode)?;
        let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
        labels.insert(LABEL.to_owned(), facts);
        let container = Container {
            id: spec.id.clone(),
            labels,
            image: image.to_owned(),
            runtime: Some(RuntimeInfo { name: RUNTIME.to_owned(), options: None }),
            spec: Some(Any { type_url: SPEC_TYPE.to_owned(), value }),
            snapshotter: self.images.snapshots.name.clone(),
            snapshot_key: spec.id.clone(),
            ..Container::default()
        };
        let create = || self.client.request(CreateContainerRequest { container: Some(container.clone()) });
        match self.client.containers().create(create()).await {
            Err(status) if status.code() == Code::AlreadyExists => {
                self.remove(&spec.id).await?;
                self.client.containers().create(create()).await.map_err(|s| failed(&spec.id, &s))?;
                Ok(())
            }
            other => other.map(drop).map_err(|s| failed(&spec.id, &s)),
        }
    }

    async fn prepare(&self, spec: &ContainerSpec, name: &Name, image: &Unpacked) -> Result<(), RuntimeError> {
        if let Some(parent) = spec.log.parent() {
            let failed = |e| RuntimeError::Failed(format!("can't make the log folder {}: {e}", parent.display()));
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        let mounts = match self.images.snapshots.prepare(&spec.id, &image.chain).await {
            // Removed behind our back: unpack it again.
            Err(RuntimeError::NotFound(_)) => {
                self.images.forget(name.full());
                let image = self.image(name).await?;
                self.images.snapshots.prepare(&spec.id, &image.chain).await?
            }
            other => other?,
        };
        let entry = self.known.insert(&spec.id, Facts::of(spec));
        let dir = entry.dir.clone();
        tokio::fs::create_dir_all(&dir).await.map_err(|e| RuntimeError::Failed(format!("{}: {e}", dir.display())))?;
        *entry.mounts.lock().unwrap_or_else(PoisonError::into_inner) = Some(mounts);
        Ok(())
    }

    /// What is known of a container, from containerd where need be.
    pub async fn entry(&self, id: &str) -> Result<Arc<Entry>, RuntimeError> {
        if let Some(entry) = self.known.get(id) {
            return Ok(entry);
        }
        let container = self.container(id).await?;
        let strange = || RuntimeError::Failed(format!("container {id} was not made by this agent"));
        self.known.learn(id, &container.labels).ok_or_else(strange)
    }

    pub async fn container(&self, id: &str) -> Result<Container, RuntimeError> {
        let request = self.client.request(GetContainerRequest { id: id.to_owned() });
        let what = format!("container {id}");
        let answer = self.client.containers().get(request).await.map_err(|s| failed(&what, &s))?;
        answer.into_inner().container.ok_or(RuntimeError::NotFound(what))
    }

    pub async fn start(&self, id: &str) -> Result<u32, RuntimeError> {
        let entry = self.entry(id).await?;
        let made = self.make_task(&entry).await;
        match made {
            Err(status) if status.code() == Code::AlreadyExists => match self.state(id).await? {
                State::Running { pid } => return Ok(pid),
                State::Created => self.attach(&entry)?,
                State::Exited(exit) => {
                    let message = format!("container {id} can't be started: it ended with code {}", exit.code);
                    return Err(RuntimeError::Failed(message));
                }
                State::Unknown => {
                    let message = format!("container {id} can't be started: containerd can't say how it is");
                    return Err(RuntimeError::Failed(message));
                }
            },
            Err(status) => {
                entry.set_output(None);
                return Err(failed(id, &status));
            }
            Ok(()) => {}
        }
        let request = self.client.request(StartRequest { container_id: id.to_owned(), exec_id: String::new() });
        match self.client.tasks().start(request).await {
            Ok(answer) => {
                mark_started(&entry);
                Ok(answer.into_inner().pid)
            }
            Err(status) => {
                self.end_task(id).await?;
                entry.set_output(None);
                Err(failed(id, &status))
            }
        }
    }

    /// Starts the shim, or joins the sandbox's, and lets runc make the container.
    async fn make_task(&self, entry: &Arc<Entry>) -> Result<(), Status> {
        let taken = entry.mounts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rootfs: Vec<Mount> = match taken {
            Some(mounts) => mounts,
            None => {
                let mounts = self.images.snapshots.mounts(&entry.id).await;
                mounts.map_err(|e| Status::internal(e.to_string()))?
            }
        };
        let facts = &entry.facts;
        let pipes = Pipes::make(&entry.dir, facts.stdin, facts.tty).map_err(|e| Status::internal(e.to_string()))?;
        // Readers first: the shim waits for them.
        self.attach(entry).map_err(|e| Status::internal(e.to_string()))?;
        let request = self.client.request(CreateTaskRequest {
            container_id: entry.id.clone(),
            rootfs,
            stdin: Pipes::text(pipes.stdin()),
            stdout: Pipes::text(Some(pipes.stdout())),
            stderr: Pipes::text(pipes.stderr()),
            terminal: facts.tty,
            ..CreateTaskRequest::default()
        });
        self.client.tasks().create(request).await.map(drop)
    }

    /// Starts to copy a container's output to its log, unless that goes on already.
    pub fn attach(&self, entry: &Entry) -> Result<(), RuntimeError> {
        if entry.has_output() {
            return Ok(());
        }
        let facts = &entry.facts;
        let failed = |e: std::io::Error| RuntimeError::Failed(format!("can't read the output of {}: {e}", entry.id));
        let pipes = Pipes::make(&entry.dir, facts.stdin, facts.tty).map_err(failed)?;
        let (stdout, stderr) = pipes.outputs().map_err(failed)?;
        let writer = LogWriter::new(&facts.log, Limit { bytes: facts.log_bytes, files: facts.log_files });
        let writer = writer.telling(self.options.notices.clone());
        entry.set_output(Some(Output::start(stdout, stderr, writer)));
        Ok(())
    }

    pub async fn signal(&self, id: &str, signal: i32, all: bool) -> Result<(), RuntimeError> {
        let number = u32::try_from(signal).map_err(|_| RuntimeError::Failed(format!("{signal} is no signal")))?;
        let request = self.client.request(KillRequest {
            container_id: id.to_owned(),
            exec_id: String::new(),
            signal: number,
            all,
        });
        gone(id, self.client.tasks().kill(request).await)
    }

    pub async fn state(&self, id: &str) -> Result<State, RuntimeError> {
        let request = self.client.request(GetRequest { container_id: id.to_owned(), exec_id: String::new() });
        let entry = self.entry(id).await?;
        match self.client.tasks().get(request).await {
            Ok(answer) => Ok(answer.into_inner().process.map_or(State::Unknown, |p| state_of(&p, &entry))),
            Err(status) if status.code() == Code::NotFound => self.without_task(&entry).await,
            Err(status) => Err(failed(id, &status)),
        }
    }

    async fn without_task(&self, entry: &Entry) -> Result<State, RuntimeError> {
        // It may have been removed meanwhile.
        self.container(&entry.id).await?;
        Ok(if was_never_started(entry) { State::Created } else { State::Unknown })
    }

    pub async fn containers(&self) -> Result<Vec<Found>, RuntimeError> {
        let containers = async {
            let request = self.client.request(ListContainersRequest::default());
            self.client.containers().list(request).await.map_err(|s| failed("containers", &s))
        };
        let tasks = async {
            let request = self.client.request(ListTasksRequest::default());
            self.client.tasks().list(request).await.map_err(|s| failed("tasks", &s))
        };
        let (containers, tasks) = tokio::try_join!(containers, tasks)?;
        // A task's id is its container's; older versions leave the other field empty.
        let tasks = tasks.into_inner().tasks.into_iter();
        let tasks: HashMap<String, task::Process> = tasks.map(|t| (t.id.clone(), t)).collect();
        let found = containers.into_inner().containers.into_iter();
        Ok(found
            .filter_map(|c| {
                let task = tasks.get(&c.id);
                self.found(c, task)
            })
            .collect())
    }

    /// Takes a container over.
    fn found(&self, container: Container, task: Option<&task::Process>) -> Option<Found> {
        let entry = self.known.learn(&container.id, &container.labels)?;
        let state = match task {
            Some(task) => state_of(task, &entry),
            None if was_never_started(&entry) => State::Created,
            None => State::Unknown,
        };
        let has_process = matches!(state, State::Running { .. }) || (state == State::Created && task.is_some());
        if has_process && let Err(error) = self.attach(&entry) {
            tracing::warn!(container = entry.id, %error, "its output goes unread");
        }
        let mut labels = container.labels;
        labels.remove(LABEL);
        Some(Found {
            id: container.id,
            labels: labels.into_iter().collect(),
            image: container.image,
            created: container.created_at.map(timestamp).unwrap_or_default(),
            started: modified(&entry.mark()),
            state,
        })
    }

    pub async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        self.end_task(id).await?;
        let request = self.client.request(DeleteContainerRequest { id: id.to_owned() });
        let record = async { gone(id, self.client.containers().delete(request).await) };
        tokio::try_join!(record, self.images.snapshots.remove(id))?;
        let dir = match self.known.forget(id) {
            Some(entry) => {
                if let Some(drained) = entry.drained() {
                    wait_drained(drained, DRAIN).await;
                }
                entry.set_output(None);
                entry.dir.clone()
            }
            None => self.options.state.join("containers").join(id),
        };
        Pipes::remove(&dir);
        Ok(())
    }

    /// Kills a task if it runs, and deletes it.
    async fn end_task(&self, id: &str) -> Result<(), RuntimeError> {
        let mut last = None;
        for _ in 0..3 {
            let request = self.client.request(DeleteTaskRequest { container_id: id.to_owned() });
            match self.client.tasks().delete(request).await {
                Ok(_) => return Ok(()),
                Err(status) if status.code() == Code::NotFound => return self.end_forgotten(id).await,
                // It runs still, which containerd says with no code of its own.
                Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::Unknown) => {
                    last = Some(failed(id, &status));
                }
                Err(status) => return Err(failed(id, &status)),
            }
            self.signal(id, Signal::SIGKILL as i32, true).await?;
            let request = self.client.request(WaitRequest { container_id: id.to_owned(), exec_id: String::new() });
            match tokio::time::timeout(DEATH, self.client.tasks().wait(request)).await {
                Ok(result) => gone(id, result)?,
                Err(_) => return Err(RuntimeError::Failed(format!("container {id} was killed and does not end"))),
            }
        }
        Err(last.unwrap_or_else(|| RuntimeError::Failed(format!("container {id} can't be deleted"))))
    }

    /// A task that containerd does not know may be there all the same: its maker was cut off.
    async fn end_forgotten(&self, id: &str) -> Result<(), RuntimeError> {
        let Some(entry) = self.known.get(id) else { return Ok(()) };
        let failed = |error| RuntimeError::Failed(format!("container {id} is left in its shim: {error}"));
        self.shim(&entry.facts.sandbox).delete(id).await.map_err(failed)
    }

    fn shim(&self, sandbox: &str) -> Shim {
        Shim::of(&self.options.socket, self.client.namespace(), sandbox)
    }

    /// To be called when all containers of the sandbox are removed. No shim is left, even of a start that was cut off.
    pub async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        let failed = |error| RuntimeError::Failed(format!("the shim of sandbox {sandbox} is left: {error}"));
        self.shim(sandbox).end(sandbox).await.map_err(failed)?;
        self.sandboxes.remove(sandbox).await
    }
}

/// The task's view, and the kernel's on memory.
fn state_of(task: &task::Process, entry: &Entry) -> State {
    match task.status() {
        task::Status::Created => State::Created,
        task::Status::Running | task::Status::Paused | task::Status::Pausing => State::Running { pid: task.pid },
        task::Status::Stopped => State::Exited(exit(entry, task.exit_status, task.exited_at)),
        task::Status::Unknown => State::Unknown,
    }
}

/// How a container ended. Its cgroup is there until its task is deleted.
pub fn exit(entry: &Entry, status: u32, at: Option<prost_types::Timestamp>) -> Exit {
    let code = i32::try_from(status).unwrap_or(i32::MAX);
    let oom = code != 0 && cgroup::oom_kills(&entry.facts.cgroup) > 0;
    Exit { code, at: at.map_or_else(Timestamp::now, timestamp), oom }
}

/// Its folder goes with a reboot: one without a folder may have run.
fn was_never_started(entry: &Entry) -> bool {
    entry.dir.is_dir() && !entry.mark().exists()
}

fn mark_started(entry: &Entry) {
    if let Err(error) = std::fs::write(entry.mark(), []) {
        tracing::warn!(container = entry.id, %error, "its start can't be noted");
    }
}

fn modified(path: &Path) -> Option<Timestamp> {
    let time: SystemTime = std::fs::metadata(path).ok()?.modified().ok()?;
    Timestamp::try_from(time).ok()
}

pub fn timestamp(at: prost_types::Timestamp) -> Timestamp {
    Timestamp::new(at.seconds, at.nanos).unwrap_or_default()
}
