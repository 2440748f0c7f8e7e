//! Logs and processes of containers, from the agent in this process.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use gantry_api::{ExecRequest, ExecSession, LogRequest, Output, Streams};
use gantry_model::Status;
use gantry_node::agent;
use gantry_node::logs::{self, LogQuery};
use gantry_node::runtime::{ExecProcess, ExecSpec};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

/// Chunks of output on their way to a client.
const OUTPUT: usize = 16;

/// Streams of one node.
pub struct NodeStreams {
    agent: agent::Handle,
}

impl NodeStreams {
    /// Of this agent.
    pub fn new(agent: agent::Handle) -> Self {
        Self { agent }
    }
}

#[async_trait]
impl Streams for NodeStreams {
    async fn logs(&self, request: LogRequest) -> Result<BoxStream<'static, io::Result<Bytes>>, Status> {
        let target = self.agent.log(&request.namespace, &request.pod, &request.container, request.previous)?;
        let query = LogQuery {
            follow: request.follow,
            tail_lines: request.tail_lines,
            since: since(&request)?,
            timestamps: request.timestamps,
            limit_bytes: request.limit_bytes,
        };
        let ended = target.ended.clone();
        let lines = logs::read(target.path, query, async move { ended.cancelled().await });
        Ok(lines.inspect_err(|error| tracing::warn!(%error, "can't read a container's log")).boxed())
    }

    async fn exec(&self, request: ExecRequest) -> Result<ExecSession, Status> {
        let spec = ExecSpec { command: request.command, stdin: request.stdin, tty: request.tty };
        let process = self.agent.exec(&request.namespace, &request.pod, &request.container, spec).await?;
        Ok(session(process, request.stdout, request.stderr))
    }
}

fn since(request: &LogRequest) -> Result<Option<Timestamp>, Status> {
    if let Some(text) = &request.since_time {
        let wrong = |_| Status::bad_request(format!("sinceTime {text:?} is not an RFC 3339 time"));
        return text.parse().map(Some).map_err(wrong);
    }
    let ago = request.since_seconds.map(|s| SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX)));
    Ok(ago.map(|ago| Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN)))
}

fn session(process: ExecProcess, stdout: bool, stderr: bool) -> ExecSession {
    let ExecProcess { stdin, output: mut from, resize, exit } = process;
    let (to, output) = mpsc::channel(OUTPUT);
    tokio::spawn(async move {
        while let Some((is_error, bytes)) = from.recv().await {
            let (wanted, which) = if is_error { (stderr, Output::Stderr) } else { (stdout, Output::Stdout) };
            // The client may have gone; dropping the receiver then ends the process.
            if wanted && to.send((which, bytes)).await.is_err() {
                return;
            }
        }
    });
    ExecSession { stdin, output, resize, exit }
}
