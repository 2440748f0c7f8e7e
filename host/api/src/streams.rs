//! What the API needs from nodes: container logs and processes started inside containers. The binary wires this to
//! the agents; tests use a stand-in.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use gantry_model::Status;
use tokio::sync::{mpsc, oneshot};

/// Where log lines and remote processes come from.
#[async_trait]
pub trait Streams: Send + Sync + 'static {
    /// Lines of a container's log. With `follow` the stream ends when the container does or when it is dropped. An error
    /// is its last item: the log goes on, but can't be read.
    async fn logs(&self, request: LogRequest) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Status>;

    /// Starts a process in a running container. Dropping the session ends the process.
    async fn exec(&self, request: ExecRequest) -> Result<ExecSession, Status>;

    /// Joins the main process of a container; `command` is empty. Refused unless a backend says otherwise.
    async fn attach(&self, request: ExecRequest) -> Result<ExecSession, Status> {
        let message = format!(
            "pod {}/{} can't be attached to: its node does not offer attach, use exec or logs",
            request.namespace, request.pod
        );
        Err(Status::bad_request(message))
    }
}

/// Which lines of which log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// The node that the pod is on.
    pub node: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// Never empty: the API fills in the only container.
    pub container: String,
    /// Go on with new lines as they come.
    pub follow: bool,
    /// The log of the instance before the running one.
    pub previous: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only lines at most this old.
    pub since_seconds: Option<u64>,
    /// Only lines after this moment (RFC 3339).
    pub since_time: Option<String>,
    /// Begin each line with its time (RFC 3339, nanoseconds).
    pub timestamps: bool,
    /// Stop after so many bytes.
    pub limit_bytes: Option<u64>,
}

/// A process to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The node that the pod is on.
    pub node: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// Never empty: the API fills in the only container.
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether standard input is connected.
    pub stdin: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted; never together with `tty`.
    pub stderr: bool,
    /// Run on a terminal.
    pub tty: bool,
}

/// Which output a piece of data belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A process that runs. Dropping it ends the process.
pub struct ExecSession {
    /// Dropping the sender closes standard input. `None`: not connected.
    pub stdin: Option<mpsc::Sender<Bytes>>,
    /// Ends when the process has closed its outputs.
    pub output: mpsc::Receiver<(Output, Bytes)>,
    /// Terminal sizes: columns, rows.
    pub resize: mpsc::Sender<(u16, u16)>,
    /// The exit code, or why there is none.
    pub exit: oneshot::Receiver<Result<i32, String>>,
}
