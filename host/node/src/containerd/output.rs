//! From a container's pipes to its log file.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::Instant;

use crate::logs::{LogWriter, Source};

/// Read at once at most.
const CHUNK: usize = 128 * 1024;
/// How long the start of a line waits for its rest before it is written alone.
const PATIENCE: Duration = Duration::from_millis(250);

/// A running copy of a container's output to its log. Dropping it leaves the rest in the pipes.
pub struct Output {
    task: JoinHandle<()>,
    drained: watch::Receiver<bool>,
}

impl Output {
    pub fn start(stdout: pipe::Receiver, stderr: Option<pipe::Receiver>, writer: LogWriter) -> Self {
        let (done, drained) = watch::channel(false);
        let task = tokio::spawn(async move {
            if let Err(error) = copy(stdout, stderr, writer).await {
                tracing::warn!(%error, "a container's output can't be read further");
            }
            done.send_replace(true);
        });
        Self { task, drained }
    }

    /// Ready (`true`) once everything that the container wrote is in its log.
    pub fn drained(&self) -> watch::Receiver<bool> {
        self.drained.clone()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until all is in the log, or no longer.
pub async fn wait_drained(mut drained: watch::Receiver<bool>, patience: Duration) {
    // An error means that the copy is gone; a timeout that something still holds the output.
    let _ = tokio::time::timeout(patience, drained.wait_for(|done| *done)).await;
}

/// One output of the process.
struct Stream {
    pipe: Option<pipe::Receiver>,
    buffer: Vec<u8>,
}

impl Stream {
    fn new(pipe: Option<pipe::Receiver>) -> Self {
        Self { pipe, buffer: Vec::new() }
    }

    /// Never ready once closed.
    async fn read(&mut self) -> std::io::Result<usize> {
        match &mut self.pipe {
            None => std::future::pending().await,
            Some(pipe) => {
                self.buffer.clear();
                self.buffer.reserve(CHUNK);
                pipe.read_buf(&mut self.buffer).await
            }
        }
    }
}

async fn copy(stdout: pipe::Receiver, stderr: Option<pipe::Receiver>, mut writer: LogWriter) -> std::io::Result<()> {
    let (mut out, mut err) = (Stream::new(Some(stdout)), Stream::new(stderr));
    let mut flush_at = None;
    while out.pipe.is_some() || err.pipe.is_some() {
        let flush = async {
            match flush_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let (stream, source, read) = tokio::select! {
            read = out.read() => (&mut out, Source::Stdout, read?),
            read = err.read() => (&mut err, Source::Stderr, read?),
            () = flush => {
                block_in_place(|| writer.flush());
                flush_at = None;
                continue;
            }
        };
        if read == 0 {
            stream.pipe = None;
            continue;
        }
        // Here and now, not on another thread: what was read and is not written yet is lost with this process.
        block_in_place(|| writer.append(source, &stream.buffer));
        flush_at = writer.is_pending().then(|| Instant::now() + PATIENCE);
    }
    block_in_place(|| writer.flush());
    Ok(())
}
