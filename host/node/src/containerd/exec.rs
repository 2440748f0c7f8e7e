//! Processes in running containers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use containerd_client::services::v1::{
    CloseIoRequest, DeleteProcessRequest, ExecProcessRequest, KillRequest, ResizePtyRequest, StartRequest, WaitRequest,
};
use nix::sys::signal::Signal;
use prost_types::Any;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::client::{Client, failed, gone};
use super::pipes::Pipes;
use super::runtime::Engine;
use super::spec::PROCESS_TYPE;
use crate::runtime::{ExecProcess, ExecSpec, RuntimeError};

const CHUNK: usize = 32 * 1024;
/// A probe's output that is kept.
const KEPT: usize = 10 * 1024;
/// How long output may come after the process ended: its children may hold it open for ever.
const LINGER: Duration = Duration::from_secs(2);

/// What copies a process's input and outputs.
struct Copies {
    input: Option<JoinHandle<()>>,
    out: JoinHandle<()>,
    err: Option<JoinHandle<()>>,
}

/// A started process.
struct Process {
    client: Client,
    container: String,
    id: String,
    dir: PathBuf,
}

impl Engine {
    /// Starts a process. Goes on when the caller gives up waiting: what is half started must be started and ended in
    /// order, or the shim waits for ever for readers of its pipes, and with it every other process of the sandbox.
    pub async fn exec(self: &Arc<Self>, id: &str, spec: ExecSpec) -> Result<ExecProcess, RuntimeError> {
        let (engine, id) = (Arc::clone(self), id.to_owned());
        let starting = tokio::spawn(async move { engine.begin(&id, spec).await });
        starting.await.map_err(|e| RuntimeError::Failed(e.to_string()))?
    }

    async fn begin(&self, id: &str, spec: ExecSpec) -> Result<ExecProcess, RuntimeError> {
        let (process, pipes) = self.make(id, &spec).await?;
        let io = pipes.outputs().and_then(|outputs| Ok((outputs, pipes.input()?)));
        let ((stdout, stderr), stdin) = match io {
            Ok(io) => io,
            Err(error) => return Err(process.abandon(&error).await),
        };
        process.begin(&pipes, self.process_spec(id, &spec).await, &spec).await?;
        let (input, taken) = mpsc::channel(8);
        let (output, received) = mpsc::channel(16);
        let (resize, sizes) = mpsc::channel(4);
        let (done, exit) = oneshot::channel();
        let out = tokio::spawn(copy_out(stdout, false, output.clone()));
        let err = stderr.map(|pipe| tokio::spawn(copy_out(pipe, true, output)));
        let copy = stdin
            .map(|stdin| copy_in(process.client.clone(), process.container.clone(), process.id.clone(), stdin, taken));
        let copies = Copies { input: copy.map(tokio::spawn), out, err };
        tokio::spawn(process.oversee(sizes, done, copies));
        Ok(ExecProcess { stdin: spec.stdin.then_some(input), output: received, resize, exit })
    }

    pub async fn run(
        self: &Arc<Self>,
        id: &str,
        command: &[String],
        patience: Duration,
    ) -> Result<(i32, String), RuntimeError> {
        let spec = ExecSpec { command: command.to_vec(), ..ExecSpec::default() };
        let running = async {
            let mut process = self.exec(id, spec).await?;
            let mut text = Vec::new();
            while let Some((_, bytes)) = process.output.recv().await {
                let room = KEPT.saturating_sub(text.len());
                text.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            }
            let lost = |_| RuntimeError::Failed("the command's end was not seen".to_owned());
            let code = process.exit.await.map_err(lost)?.map_err(RuntimeError::Failed)?;
            Ok((code, String::from_utf8_lossy(&text).into_owned()))
        };
        // Dropping the process ends it.
        match tokio::time::timeout(patience, running).await {
            Ok(result) => result,
            Err(_) => {
                let (command, seconds) = (command.join(" "), patience.as_secs_f32());
                Err(RuntimeError::Failed(format!("command \"{command}\" timed out after {seconds} s")))
            }
        }
    }

    async fn make(&self, id: &str, spec: &ExecSpec) -> Result<(Process, Pipes), RuntimeError> {
        let exec = Uuid::new_v4().simple().to_string();
        let dir = self.options.state.join("exec").join(&exec);
        let pipes = Pipes::make(&dir, spec.stdin, spec.tty);
        let pipes = pipes.map_err(|e| RuntimeError::Failed(format!("can't make pipes in {}: {e}", dir.display())))?;
        Ok((Process { client: self.client.clone(), container: id.to_owned(), id: exec, dir }, pipes))
    }

    /// The container's own process, with another command.
    async fn process_spec(&self, id: &str, spec: &ExecSpec) -> Result<Any, RuntimeError> {
        let container = self.container(id).await?;
        let bad = || RuntimeError::Failed(format!("container {id} has no readable specification"));
        let bytes = container.spec.ok_or_else(bad)?.value;
        let mut oci: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        let process = oci.get_mut("process").and_then(Value::as_object_mut).ok_or_else(bad)?;
        process.insert("args".to_owned(), json!(spec.command));
        process.insert("terminal".to_owned(), json!(spec.tty));
        if spec.tty
            && let Some(env) = process.get_mut("env").and_then(Value::as_array_mut)
        {
            let has = env.iter().any(|e| e.as_str().is_some_and(|e| e.starts_with("TERM=")));
            if !has {
                env.push(json!("TERM=xterm"));
            }
        }
        let value = serde_json::to_vec(process).map_err(|_| bad())?;
        Ok(Any { type_url: PROCESS_TYPE.to_owned(), value })
    }
}

impl Process {
    async fn begin(&self, pipes: &Pipes, spec: Result<Any, RuntimeError>, exec: &ExecSpec) -> Result<(), RuntimeError> {
        let started = async {
            let request = self.client.request(ExecProcessRequest {
                container_id: self.container.clone(),
                exec_id: self.id.clone(),
                stdin: Pipes::text(pipes.stdin()),
                stdout: Pipes::text(Some(pipes.stdout())),
                stderr: Pipes::text(pipes.stderr()),
                terminal: exec.tty,
                spec: Some(spec?),
            });
            self.client.tasks().exec(request).await.map_err(|s| failed(&self.container, &s))?;
            let request = StartRequest { container_id: self.container.clone(), exec_id: self.id.clone() };
            let started = self.client.tasks().start(self.client.request(request)).await;
            if let Err(status) = started {
                self.delete().await;
                return Err(failed(&self.container, &status));
            }
            Ok(())
        };
        let result = started.await;
        if result.is_err() {
            Pipes::remove(&self.dir);
        }
        result
    }

    async fn abandon(self, error: &std::io::Error) -> RuntimeError {
        Pipes::remove(&self.dir);
        RuntimeError::Failed(format!("can't open the pipes of a process: {error}"))
    }

    /// Waits for the end, which comes early when nobody waits for it any more.
    async fn oversee(
        self,
        mut sizes: mpsc::Receiver<(u16, u16)>,
        mut done: oneshot::Sender<Result<i32, String>>,
        Copies { input, out, err }: Copies,
    ) {
        let (client, container, id) = (self.client.clone(), self.container.clone(), self.id.clone());
        let wait = async move {
            let request = client.request(WaitRequest { container_id: container, exec_id: id });
            client.tasks().wait(request).await
        };
        let mut wait = std::pin::pin!(wait);
        let (mut open, mut wanted) = (true, true);
        let ended = loop {
            tokio::select! {
                ended = &mut wait => break ended,
                size = sizes.recv(), if open => match size {
                    Some((width, height)) => self.resize(width, height).await,
                    None => open = false,
                },
                () = done.closed(), if wanted => {
                    wanted = false;
                    self.kill().await;
                }
            }
        };
        // It would wait for ever for room in the pipe of a process that did not read, of which it holds both ends.
        input.iter().for_each(JoinHandle::abort);
        let (stop_out, stop_err) = (out.abort_handle(), err.as_ref().map(JoinHandle::abort_handle));
        let drain = async {
            // A copy that was ended has nothing to say.
            let _ = out.await;
            if let Some(err) = err {
                let _ = err.await;
            }
        };
        if tokio::time::timeout(LINGER, drain).await.is_err() {
            stop_out.abort();
            stop_err.iter().for_each(tokio::task::AbortHandle::abort);
        }
        self.delete().await;
        Pipes::remove(&self.dir);
        let code = ended.map(|answer| i32::try_from(answer.into_inner().exit_status).unwrap_or(i32::MAX));
        // Nobody may wait.
        let _ = done.send(code.map_err(|status| status.message().to_owned()));
    }

    async fn resize(&self, width: u16, height: u16) {
        let request = self.client.request(ResizePtyRequest {
            container_id: self.container.clone(),
            exec_id: self.id.clone(),
            width: width.into(),
            height: height.into(),
        });
        if let Err(error) = self.client.tasks().resize_pty(request).await {
            tracing::debug!(%error, "a terminal keeps its size");
        }
    }

    async fn kill(&self) {
        let request = self.client.request(KillRequest {
            container_id: self.container.clone(),
            exec_id: self.id.clone(),
            signal: Signal::SIGKILL as u32,
            all: false,
        });
        if let Err(error) = gone("process", self.client.tasks().kill(request).await) {
            tracing::warn!(%error, container = self.container, "a process can't be killed");
        }
    }

    async fn delete(&self) {
        let request = DeleteProcessRequest { container_id: self.container.clone(), exec_id: self.id.clone() };
        let result = self.client.tasks().delete_process(self.client.request(request)).await;
        if let Err(error) = gone("process", result) {
            tracing::debug!(%error, container = self.container, "a process stays until its container goes");
        }
    }
}

/// Goes on without a taker, so that the process is not held up.
async fn copy_out(mut pipe: pipe::Receiver, is_stderr: bool, output: mpsc::Sender<(bool, Bytes)>) {
    loop {
        let mut buffer = Vec::with_capacity(CHUNK);
        match pipe.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            // Refused: nobody takes it.
            Ok(_) => drop(output.send((is_stderr, buffer.into())).await),
        }
    }
}

/// Ends the process's input when its sender is dropped. The shim holds the pipe open too, until it is told.
async fn copy_in(
    client: Client,
    container_id: String,
    exec_id: String,
    mut pipe: pipe::Sender,
    mut input: mpsc::Receiver<Bytes>,
) {
    while let Some(bytes) = input.recv().await {
        if pipe.write_all(&bytes).await.is_err() {
            break;
        }
    }
    drop(pipe);
    let request = client.request(CloseIoRequest { container_id, exec_id, stdin: true });
    if let Err(error) = client.tasks().close_io(request).await {
        tracing::debug!(%error, "the input of a process that has ended");
    }
}
