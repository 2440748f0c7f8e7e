//! What the agent needs of a container runtime. Policy (which container when, restarts, probes, pull policy) is the
//! agent's; a runtime does single steps, each of which may be repeated after a crash of the agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

/// The cgroup that those of all pods are in, of every node of this machine.
pub const CGROUP: &str = "gantry";

/// An image that is on the node, unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// As containers name it, with registry and tag or digest.
    pub name: String,
    /// `sha256:…` of the image's configuration: `status.containerStatuses[].imageID`.
    pub id: String,
    /// Default program.
    pub entrypoint: Vec<String>,
    /// Default arguments.
    pub cmd: Vec<String>,
    /// Default environment, `NAME=value`.
    pub env: Vec<String>,
    /// Default working directory; empty: `/`.
    pub working_dir: String,
    /// `uid`, `uid:gid`, `name` or `name:group`; empty: root.
    pub user: String,
    /// Bytes, packed.
    pub size: u64,
}

/// Credentials for one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub username: String,
    /// Password or token.
    pub password: String,
}

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The reference does not parse: `InvalidImageName`.
    #[error("couldn't parse image name {name:?}: {reason}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The registry has no such image, or refuses these credentials, or can't be reached.
    #[error("failed to pull image {name:?}: {reason}")]
    Pull {
        /// As given.
        name: String,
        /// What happened.
        reason: String,
    },
    /// The node's own content store or snapshotter failed.
    #[error("failed to unpack image {name:?}: {reason}")]
    Unpack {
        /// As given.
        name: String,
        /// What happened.
        reason: String,
    },
}

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is no such container or image.
    #[error("{0} is not there")]
    NotFound(String),
    /// The runtime can't be reached now; try again.
    #[error("the container runtime is unavailable: {0}")]
    Unavailable(String),
    /// The step failed and may fail again (a wrong command, a mount that does not exist).
    #[error("{0}")]
    Failed(String),
}

/// A mount into a container: always a bind mount of a path of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// On the node; exists.
    pub source: PathBuf,
    /// In the container.
    pub destination: PathBuf,
    /// Read-only.
    pub read_only: bool,
    /// `None`, `HostToContainer` or `Bidirectional` as mount options say it: `rprivate`, `rslave`, `rshared`.
    pub propagation: &'static str,
}

/// cgroup limits, on v1 and v2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// From the CPU request: relative weight, v1 scale (2 to 262,144).
    pub cpu_shares: u64,
    /// From the CPU limit, in microseconds per `cpu_period`.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Highest number of processes.
    pub pids: Option<i64>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// `securityContext`, pod and container together, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Overrides the image's user.
    pub run_as_user: Option<i64>,
    /// Overrides the image's group.
    pub run_as_group: Option<i64>,
    /// Refuse to start as uid 0.
    pub run_as_non_root: bool,
    /// More groups.
    pub supplemental_groups: Vec<i64>,
    /// All capabilities, devices and paths.
    pub privileged: bool,
    /// `no_new_privs` when false.
    pub allow_privilege_escalation: bool,
    /// The root filesystem can't be written.
    pub read_only_root: bool,
    /// Without `CAP_`; `ALL` means all.
    pub add_capabilities: Vec<String>,
    /// Without `CAP_`; `ALL` means all.
    pub drop_capabilities: Vec<String>,
    /// Pod-level sysctls.
    pub sysctls: BTreeMap<String, String>,
}

/// Everything that a container is made from.
#[derive(Clone, Debug, Default)]
pub struct ContainerSpec {
    /// Unique on the node, for ever: pod uid, container name and attempt make it up. At most 76 bytes.
    pub id: String,
    /// The sandbox: containers with the same one share a shim, an IPC and a UTS namespace.
    pub sandbox: String,
    /// How the agent finds it again: pod uid, namespace, name, container, attempt, spec hash.
    pub labels: BTreeMap<String, String>,
    /// On the node and unpacked.
    pub image: String,
    /// The whole command line; never empty.
    pub args: Vec<String>,
    /// `NAME=value`, in order, the image's included.
    pub env: Vec<String>,
    /// Absolute.
    pub working_dir: String,
    /// The pod's.
    pub hostname: String,
    /// Mounts besides `/proc`, `/sys`, `/dev` and the like.
    pub mounts: Vec<Mount>,
    /// cgroup limits.
    pub limits: Limits,
    /// Limits of each process: the name (`nofile`), what holds, and how far it may be raised. `u64::MAX`: none.
    pub ulimits: Vec<(String, u64, u64)>,
    /// Who it runs as and what it may.
    pub security: Security,
    /// The network namespace to join; `None`: the node's.
    pub netns: Option<PathBuf>,
    /// Use the node's process ids.
    pub host_pid: bool,
    /// Use the node's IPC namespace.
    pub host_ipc: bool,
    /// Run on a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin: bool,
    /// The log file, in CRI's format (`TIME stdout F line`), rotated by whoever writes it.
    pub log: PathBuf,
    /// Bytes after which the log is rotated, and how many files are kept.
    pub log_limit: (u64, u32),
    /// cgroup parent of the pod, relative: `gantry/pod<uid>`.
    pub cgroup_parent: String,
    /// Of all containers of the sandbox together; set when it is made. Of these only CPU and memory count.
    pub sandbox_limits: Limits,
}

/// How a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Made, not started.
    Created,
    /// Runs as this process.
    Running {
        /// On the node.
        pid: u32,
    },
    /// Ended.
    Exited(Exit),
    /// The runtime does not know (its shim is gone).
    Unknown,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 128 + signal when a signal ended it.
    pub code: i32,
    /// When.
    pub at: Timestamp,
    /// The kernel killed it for its memory limit.
    pub oom: bool,
}

/// A container that the runtime has.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// As given in its spec.
    pub labels: BTreeMap<String, String>,
    /// Its image's name.
    pub image: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was started, where that is known.
    pub started: Option<Timestamp>,
    /// How it is.
    pub state: State,
}

/// A container came to an end.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its id.
    pub id: String,
    /// How.
    pub exit: Exit,
}

/// Use of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Nanoseconds of CPU since the start.
    pub cpu_nanos: u64,
    /// Bytes in use, without what could be dropped.
    pub memory: u64,
}

/// A process to start in a running container.
#[derive(Clone, Debug, Default)]
pub struct ExecSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Connect standard input.
    pub stdin: bool,
    /// Run on a terminal.
    pub tty: bool,
}

/// A process started by `exec`. Dropping it ends the process.
pub struct ExecProcess {
    /// Dropping the sender closes standard input. `None`: not connected.
    pub stdin: Option<mpsc::Sender<Bytes>>,
    /// `true`: standard error. Ends when the process has closed its outputs.
    pub output: mpsc::Receiver<(bool, Bytes)>,
    /// Columns, rows.
    pub resize: mpsc::Sender<(u16, u16)>,
    /// The exit code, or why there is none.
    pub exit: oneshot::Receiver<Result<i32, String>>,
}

/// A container runtime. One namespace of it belongs to this agent alone.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// `containerd://1.6.20`. Also says whether it answers.
    async fn version(&self) -> Result<String, RuntimeError>;

    /// An image that is on the node, unpacked (it is unpacked if only its blobs are there).
    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError>;

    /// Gets an image from its registry. The first credentials that work are used; then none.
    async fn pull(&self, name: &str, credentials: &[Credentials]) -> Result<Image, PullError>;

    /// Images by name, with sizes: for the Node's `status.images`.
    async fn images(&self) -> Result<Vec<Image>, RuntimeError>;

    /// Adds the images of an OCI or Docker archive. Answers their names.
    async fn import(&self, archive: &Path) -> Result<Vec<String>, RuntimeError>;

    /// Every container of this agent, whatever its state: what an agent that starts takes over.
    async fn containers(&self) -> Result<Vec<Found>, RuntimeError>;

    /// Makes the sandbox's shared namespaces where need be, the snapshot, and the container with its log, not started.
    /// One that is there already with this id is removed first.
    async fn create(&self, spec: &ContainerSpec) -> Result<(), RuntimeError>;

    /// Starts it. Answers its process id. Once running, nothing happens.
    async fn start(&self, id: &str) -> Result<u32, RuntimeError>;

    /// Sends a signal to its main process (`all`: to every process). Succeeds when it has ended.
    async fn signal(&self, id: &str, signal: i32, all: bool) -> Result<(), RuntimeError>;

    /// How it is.
    async fn state(&self, id: &str) -> Result<State, RuntimeError>;

    /// Removes it and its snapshot; kills it first if it runs. Succeeds when it is gone.
    async fn remove(&self, id: &str) -> Result<(), RuntimeError>;

    /// Gives up what a sandbox's containers shared while they ran; they have ended, and may be there still. May be
    /// repeated, and what was given up is made again with the next container.
    async fn release_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError>;

    /// Sandboxes of which something is left, those in use among them.
    async fn sandboxes(&self) -> Result<Vec<String>, RuntimeError>;

    /// Removes a sandbox whose containers are gone. Succeeds when nothing of it is left, and fails while a process is.
    async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError>;

    /// Starts a process in a running container.
    async fn exec(&self, id: &str, spec: ExecSpec) -> Result<ExecProcess, RuntimeError>;

    /// Runs a short command for a probe: exit code and the first bytes of its output.
    async fn run(&self, id: &str, command: &[String], patience: Duration) -> Result<(i32, String), RuntimeError>;

    /// What a container uses.
    async fn usage(&self, id: &str) -> Result<Usage, RuntimeError>;

    /// Ends of containers from now on. `None` after a gap: look at every container again.
    fn ends(&self) -> mpsc::Receiver<Option<Ended>>;
}
