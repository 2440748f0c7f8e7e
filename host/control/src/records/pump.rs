//! Offers batches to a sink, one at a time.

use std::sync::Arc;
use std::time::Duration;

use gantry_plugin::family::sink::{Batch, LogRecord, Outcome};
use gantry_plugin::{Fault, Finding, Sink};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::batch::{Record, batch};
use super::pieces::Pieces;
use crate::backoff::Backoff;

/// Events of one batch.
const BATCH: usize = 512;
/// How long Events wait for company.
const LINGER: Duration = Duration::from_millis(100);
/// A sink may ask for longer; it is asked again all the same, so that a slip costs no day.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The sink has it, but for single records that it could not survive.
    Accepted,
    /// It can never be written; why.
    Rejected(String),
}

/// A batch of somebody who waits for its fate.
pub struct Parcel {
    /// The batch.
    pub batch: Arc<Batch>,
    /// Its fate goes here.
    pub done: oneshot::Sender<Fate>,
}

/// How a try to have a batch written ended.
enum Answer {
    Taken,
    Refused(String),
    Later(Duration),
    /// The sink was called and gave none.
    Fault(String),
    /// It could not be called.
    Away(String),
}

/// The way to one sink.
pub struct Pump {
    plugin: String,
    sink: Box<dyn Sink>,
    events: mpsc::Receiver<Record>,
    parcels: mpsc::Receiver<Parcel>,
    /// The sink has no instance yet, or a bad one.
    fresh: bool,
    /// See [`Pieces::proved`].
    proved: bool,
}

impl Pump {
    pub fn new(
        plugin: String,
        sink: Box<dyn Sink>,
        events: mpsc::Receiver<Record>,
        parcels: mpsc::Receiver<Parcel>,
    ) -> Self {
        Self { plugin, sink, events, parcels, fresh: true, proved: false }
    }

    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH);
        let mut due: Option<Instant> = None;
        loop {
            let linger = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let room = BATCH.saturating_sub(waiting.len());
            tokio::select! {
                got = self.events.recv_many(&mut waiting, room), if room > 0 => {
                    if got == 0 {
                        return;
                    }
                    due = due.or_else(|| Some(Instant::now() + LINGER));
                }
                Some(Parcel { batch, mut done }) = self.parcels.recv() => {
                    let fate = tokio::select! {
                        fate = self.write(batch) => fate,
                        // Nobody waits for it any more; it may come again.
                        () = done.closed() => {
                            self.fresh = true;
                            continue;
                        }
                    };
                    let _ = done.send(fate);
                }
                () = linger => {
                    self.write(Arc::new(batch(&waiting))).await;
                    waiting.clear();
                    due = None;
                }
            }
        }
    }

    /// Until the sink has the batch or says that it never can.
    async fn write(&mut self, batch: Arc<Batch>) -> Fate {
        let mut pieces = Pieces::new(batch.records.len(), self.proved);
        let (mut failures, mut refused) = (0, None);
        while let Some(piece) = pieces.next() {
            let part = match piece.len() == batch.records.len() {
                true => batch.clone(),
                false => Arc::new(cut(&batch, batch.records.get(piece.clone()).unwrap_or_default())),
            };
            let answer = self.offer(&part).await;
            let decided = matches!(answer, Answer::Taken | Answer::Refused(_));
            let dropped = match answer {
                Answer::Taken => self.decided(&mut pieces, "accepted", piece.len()),
                Answer::Refused(why) => {
                    tracing::warn!(plugin = self.plugin, why, records = piece.len(), "a sink rejected records");
                    refused = Some(why);
                    self.decided(&mut pieces, "rejected", piece.len())
                }
                Answer::Later(wait) => {
                    tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
                    Vec::new()
                }
                Answer::Away(error) => {
                    self.give_pause(&mut failures, &error).await;
                    Vec::new()
                }
                Answer::Fault(error) => {
                    self.give_pause(&mut failures, &error).await;
                    pieces.fault().into_iter().collect()
                }
            };
            if decided {
                failures = 0;
            }
            self.drop_deadly(&batch, &dropped);
        }
        self.proved = pieces.proved;
        refused.map_or(Fate::Accepted, Fate::Rejected)
    }

    fn decided(&self, pieces: &mut Pieces, outcome: &'static str, records: usize) -> Vec<usize> {
        self.count(outcome, records);
        pieces.decided()
    }

    async fn give_pause(&mut self, failures: &mut u32, error: &str) {
        self.fresh = true;
        *failures += 1;
        tracing::warn!(plugin = self.plugin, error, failures, "a sink gives no answer");
        tokio::time::sleep(Backoff::LOOPS.after(*failures)).await;
    }

    /// Says which records the sink could not take without dying: whoever mends it needs them.
    fn drop_deadly(&self, batch: &Batch, dropped: &[usize]) {
        for record in dropped.iter().filter_map(|at| batch.records.get(*at)) {
            let origin = batch.origins.get(usize::try_from(record.origin).unwrap_or(usize::MAX));
            let origin: Vec<_> = origin.into_iter().flat_map(|o| &o.attributes).map(|l| l.value.as_str()).collect();
            let body: String = record.body.chars().take(200).collect();
            tracing::error!(plugin = self.plugin, ?origin, body, "dropped a record that the sink does not survive");
            self.count("deadly", 1);
        }
    }

    async fn offer(&mut self, batch: &Batch) -> Answer {
        if self.fresh {
            match self.sink.reset().await {
                Ok(Ok(())) => self.fresh = false,
                Ok(Err(error)) => return Answer::Away(error.message),
                Err(fault) => return Answer::Away(fault.to_string()),
            }
        }
        match self.sink.write(batch).await {
            Ok(Outcome::Accepted) => Answer::Taken,
            Ok(Outcome::Rejected(why)) => Answer::Refused(why),
            Ok(Outcome::RetryAfterMs(wait)) => Answer::Later(Backoff::asked(wait)),
            Err(fault @ Fault { finding: Finding::Unavailable(_), .. }) => Answer::Away(fault.to_string()),
            Err(fault) => Answer::Fault(fault.to_string()),
        }
    }

    fn count(&self, outcome: &'static str, records: usize) {
        let count = u64::try_from(records).unwrap_or_default();
        metrics::counter!("gantry_sink_records_total", "plugin" => self.plugin.clone(), "outcome" => outcome)
            .increment(count);
    }
}

/// A batch of some of the records.
fn cut(batch: &Batch, records: &[LogRecord]) -> Batch {
    Batch { origins: batch.origins.clone(), records: records.to_vec() }
}
