//! The writes that wait for one plugin, and its workers.

use std::sync::Arc;
use std::time::Duration;

use gantry_objects::admission::{Down, Verdict};
use gantry_plugin::family::admission as wit;
use gantry_plugin::{Admission, Fault, Finding};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use super::translate;

/// How long a write waits for a plugin that pauses after a fault over another write.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at whether the pause is over.
const LOOK: Duration = Duration::from_millis(20);

/// A write that waits.
pub(super) struct Job {
    pub request: wit::Request,
    /// Nobody waits for the answer any longer.
    pub until: Instant,
    pub answer: oneshot::Sender<Result<Verdict, Down>>,
}

pub(super) struct Queue {
    admission: Arc<dyn Admission>,
    waiting: Mutex<mpsc::Receiver<Job>>,
    batch: usize,
}

impl Queue {
    pub(super) fn new(admission: Arc<dyn Admission>, waiting: mpsc::Receiver<Job>, batch: usize) -> Self {
        Self { admission, waiting: Mutex::new(waiting), batch: batch.max(1) }
    }

    /// What waits now, at least one; `None` when nobody can ask any more.
    async fn next(&self) -> Option<Vec<Job>> {
        let mut jobs = Vec::new();
        let taken = self.waiting.lock().await.recv_many(&mut jobs, self.batch).await;
        (taken > 0).then_some(jobs)
    }
}

/// One worker. Ends when nobody can ask any more.
pub(super) async fn work(queue: Arc<Queue>) {
    while let Some(jobs) = queue.next().await {
        let jobs = jobs.into_iter().filter(|job| !job.answer.is_closed());
        let (requests, askers): (Vec<_>, Vec<_>) = jobs.map(|job| (job.request, (job.until, job.answer))).unzip();
        match queue.admission.review(&requests).await {
            Ok(verdicts) => {
                for (verdict, (_, answer)) in verdicts.into_iter().zip(askers) {
                    let _ = answer.send(translate::verdict(verdict));
                }
            }
            Err(fault) => one_by_one(&queue, &requests, askers, &fault).await,
        }
    }
}

/// After a fault nobody knows over which write of the batch it was: each is reviewed alone, so that the others get
/// their verdicts.
async fn one_by_one(
    queue: &Queue,
    requests: &[wit::Request],
    askers: Vec<(Instant, oneshot::Sender<Result<Verdict, Down>>)>,
    fault: &Fault,
) {
    let sure = requests.len() == 1 && !pauses(fault);
    for (request, (until, answer)) in requests.iter().zip(askers) {
        // Its writer has given up.
        if answer.is_closed() {
            continue;
        }
        let outcome = match sure {
            true => Err(down(fault)),
            false => alone(queue, request, until.min(Instant::now() + PATIENCE)).await,
        };
        let _ = answer.send(outcome);
    }
}

/// Reviews one write, waiting for a plugin that pauses.
async fn alone(queue: &Queue, request: &wit::Request, until: Instant) -> Result<Verdict, Down> {
    loop {
        match queue.admission.review(std::slice::from_ref(request)).await {
            Ok(verdicts) => {
                let verdict = verdicts.into_iter().next();
                return verdict.map_or_else(|| Err(Down::Fault("it gave no verdict".to_owned())), translate::verdict);
            }
            Err(fault) if pauses(&fault) && Instant::now() + LOOK < until => tokio::time::sleep(LOOK).await,
            Err(fault) => return Err(down(&fault)),
        }
    }
}

/// Whether the plugin was not even asked.
fn pauses(fault: &Fault) -> bool {
    matches!(fault.finding, Finding::Unavailable(_))
}

fn down(fault: &Fault) -> Down {
    let why = fault.finding.to_string();
    if pauses(fault) { Down::Away(why) } else { Down::Fault(why) }
}
