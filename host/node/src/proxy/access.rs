//! The access log: a record of each request, in a log like a container's, from where sinks get it.

use std::path::Path;
use std::time::Duration;

use metrics::Counter;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::logs::{Limit, LogWriter, Notices, Source};

/// Records that wait to be written. What comes beyond is counted, and lost: no request waits for the disk.
const WAITING: usize = 8192;
/// Bytes that are written at once.
const AT_ONCE: usize = 256 << 10;
/// For the disk, at the end.
const PATIENCE: Duration = Duration::from_secs(5);

enum Next {
    Record(String),
    /// Say when all before is written.
    Flush(oneshot::Sender<()>),
}

/// Where records go. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    next: mpsc::Sender<Next>,
    lost: Counter,
}

impl AccessLog {
    /// Goes on with the log that is there. It is cut and rotated as those of containers are.
    pub fn start(path: &Path, limit: Limit, notices: Notices) -> Self {
        let (next, waiting) = mpsc::channel(WAITING);
        if let Some(Err(error)) = path.parent().map(std::fs::create_dir_all) {
            // The writer says it too, and tries again.
            error!(%error, "the access log's folder can't be made");
        }
        let writer = LogWriter::new(path, limit).telling(notices);
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        if let Err(error) = thread.spawn(move || write(waiting, writer)) {
            error!(%error, "there is no access log");
        }
        Self { next, lost: metrics::counter!("gantry_proxy_access_lost_total") }
    }

    /// Notes a record: an object of JSON, in one line.
    pub fn note(&self, record: String) {
        if self.next.try_send(Next::Record(record)).is_err() {
            self.lost.increment(1);
        }
    }

    /// Waits until what was noted is in the file, for a while.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flushed = async {
            if self.next.send(Next::Flush(done)).await.is_ok() {
                // The writer is gone.
                let _ = written.await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, flushed).await;
    }
}

fn write(mut waiting: mpsc::Receiver<Next>, mut writer: LogWriter) {
    let (mut text, mut flushed) = (String::new(), Vec::new());
    while let Some(first) = waiting.blocking_recv() {
        let mut next = Some(first);
        while let Some(one) = next {
            match one {
                Next::Record(record) => {
                    text.push_str(&record);
                    text.push('\n');
                }
                Next::Flush(done) => flushed.push(done),
            }
            next = if text.len() < AT_ONCE { waiting.try_recv().ok() } else { None };
        }
        writer.append(Source::Stdout, text.as_bytes());
        text.clear();
        for done in flushed.drain(..) {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}
