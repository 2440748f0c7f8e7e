//! Records on their way to one sink plugin: a bounded queue, batches, and as many tries as the sink asks for. Events of
//! this control plane go to every sink; others hand in what they have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_model::Record as Object;
use gantry_objects::Objects;
use gantry_plugin::Sink;
use gantry_plugin::family::Label;
use gantry_plugin::family::sink::{Batch, LogRecord, Origin, Outcome};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::follow::{Follower, Seen};

/// Records that wait for one sink; more are dropped and counted.
const QUEUE: usize = 8192;
/// Records of one batch.
const BATCH: usize = 512;
/// How long a batch waits for company.
const LINGER: Duration = Duration::from_millis(100);
/// OpenTelemetry's severity numbers.
const INFO: u8 = 9;
const WARN: u8 = 13;

/// One record, in OpenTelemetry's log data model.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it is about: `k8s.pod.name`, `k8s.namespace.name`, …
    pub origin: Arc<BTreeMap<String, String>>,
    /// Nanoseconds since 1970.
    pub time_unix_nano: u64,
    /// 1 to 24; 0: unspecified.
    pub severity: u8,
    /// The line or message.
    pub body: String,
    /// More about it: `log.iostream`, `event.name`, …
    pub attributes: BTreeMap<String, String>,
}

/// What a pipeline is made of.
pub struct Options {
    /// The sink's name, for metrics and logs.
    pub plugin: String,
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// Whose Events are sent.
    pub objects: Objects,
}

/// A running pipeline. Dropping it stops it.
pub struct Handle {
    plugin: String,
    queue: mpsc::Sender<Record>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// Starts a pipeline.
pub fn start(options: Options) -> Handle {
    let (queue, records) = mpsc::channel(QUEUE);
    let stop = CancellationToken::new();
    let (events, stopped) = (queue.clone(), stop.clone());
    let pump = Pump { plugin: options.plugin.clone(), sink: options.sink, records, fresh: true };
    let task = tokio::spawn(async move {
        let follow = follow_events(options.objects, events);
        tokio::select! {
            () = follow => {}
            () = stopped.cancelled() => {}
            () = pump.run(stopped.clone()) => {}
        }
    });
    Handle { plugin: options.plugin, queue, stop, task }
}

impl Handle {
    /// Hands a record in. Never waits.
    pub fn offer(&self, record: Record) {
        if self.queue.try_send(record).is_err() {
            metrics::counter!("gantry_sink_dropped_total", "plugin" => self.plugin.clone()).increment(1);
        }
    }

    /// Stops it. Records that wait are lost; Events are offered again after the next start.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sends Events that are made or counted up from now on. Waits for room: they are in the store anyway.
async fn follow_events(objects: Objects, queue: mpsc::Sender<Record>) {
    let Some(kind) = objects.kinds().by_kind("", "Event") else { return std::future::pending().await };
    let mut follower = Follower::new(objects.store().clone(), kind.resource());
    let mut first = true;
    loop {
        let records: Vec<Arc<Object>> = match follower.next().await {
            // What was there before this start has been sent by an earlier one.
            Seen::All(_) if std::mem::take(&mut first) => Vec::new(),
            Seen::All(all) => all,
            Seen::Changes(events) => events.iter().filter(|e| !e.deleted).map(|e| e.record.clone()).collect(),
        };
        for object in records {
            if queue.send(of_event(&object.value())).await.is_err() {
                return;
            }
        }
    }
}

fn of_event(event: &Value) -> Record {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let named = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let found = pairs.iter().map(|(name, pointer)| ((*name).to_owned(), text(pointer)));
        found.filter(|(_, value)| !value.is_empty()).collect()
    };
    let at = text("/lastTimestamp").parse::<jiff::Timestamp>().unwrap_or_else(|_| jiff::Timestamp::now());
    Record {
        origin: Arc::new(named(&[
            ("k8s.object.kind", "/involvedObject/kind"),
            ("k8s.object.name", "/involvedObject/name"),
            ("k8s.object.uid", "/involvedObject/uid"),
            ("k8s.namespace.name", "/involvedObject/namespace"),
        ])),
        time_unix_nano: u64::try_from(at.as_nanosecond()).unwrap_or_default(),
        severity: if text("/type") == "Warning" { WARN } else { INFO },
        body: text("/message"),
        attributes: named(&[
            ("event.name", "/reason"),
            ("k8s.event.reporting_component", "/reportingComponent"),
            ("k8s.event.uid", "/metadata/uid"),
        ]),
    }
}

struct Pump {
    plugin: String,
    sink: Box<dyn Sink>,
    records: mpsc::Receiver<Record>,
    /// The sink has no instance yet, or a bad one.
    fresh: bool,
}

impl Pump {
    async fn run(mut self, stop: CancellationToken) {
        let mut waiting = Vec::with_capacity(BATCH);
        while self.records.recv_many(&mut waiting, BATCH).await > 0 {
            if waiting.len() < BATCH && !stop.is_cancelled() {
                tokio::time::sleep(LINGER).await;
                while waiting.len() < BATCH {
                    match self.records.try_recv() {
                        Ok(record) => waiting.push(record),
                        Err(_) => break,
                    }
                }
            }
            self.write(&waiting).await;
            waiting.clear();
        }
    }

    /// Until the sink has the batch or says that it never can.
    async fn write(&mut self, records: &[Record]) {
        let mut failures = 0;
        loop {
            let wait = match self.offer(records).await {
                Ok(Outcome::Accepted) => {
                    self.count("accepted", records.len());
                    return;
                }
                Ok(Outcome::Rejected(why)) => {
                    tracing::warn!(plugin = self.plugin, why, records = records.len(), "a sink rejected records");
                    self.count("rejected", records.len());
                    return;
                }
                Ok(Outcome::RetryAfterMs(wait)) => Duration::from_millis(wait),
                Err(error) => {
                    tracing::warn!(plugin = self.plugin, error, "a sink gives no answer");
                    self.fresh = true;
                    failures += 1;
                    Backoff::LOOPS.after(failures)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn offer(&mut self, records: &[Record]) -> Result<Outcome, String> {
        if self.fresh {
            let configured = self.sink.reset().await.map_err(|fault| fault.to_string())?;
            configured.map_err(|error| error.message)?;
            self.fresh = false;
        }
        self.sink.write(batch(records)).await.map_err(|fault| fault.to_string())
    }

    fn count(&self, outcome: &'static str, records: usize) {
        let count = u64::try_from(records).unwrap_or_default();
        metrics::counter!("gantry_sink_records_total", "plugin" => self.plugin.clone(), "outcome" => outcome)
            .increment(count);
    }
}

/// Records that share an origin name it once.
fn batch(records: &[Record]) -> Batch {
    let mut numbers: BTreeMap<&BTreeMap<String, String>, u32> = BTreeMap::new();
    let mut origins = Vec::new();
    let records = records.iter().map(|record| {
        let next = u32::try_from(origins.len()).unwrap_or(u32::MAX);
        let origin = *numbers.entry(record.origin.as_ref()).or_insert(next);
        if origin == next {
            origins.push(Origin { attributes: labels(&record.origin) });
        }
        LogRecord {
            origin,
            time_unix_nano: record.time_unix_nano,
            severity_number: record.severity,
            body: record.body.clone(),
            attributes: labels(&record.attributes),
        }
    });
    let records = records.collect();
    Batch { origins, records }
}

fn labels(pairs: &BTreeMap<String, String>) -> Vec<Label> {
    pairs.iter().map(|(key, value)| Label { key: key.clone(), value: value.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_of_one_origin_share_it() {
        let event =
            |name: &str| of_event(&json!({"involvedObject": {"name": name}, "message": "m", "type": "Warning"}));
        let batch = batch(&[event("a"), event("b"), event("a")]);
        assert_eq!(batch.origins.len(), 2);
        assert_eq!(batch.records.iter().map(|r| r.origin).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(batch.records.first().map(|r| r.severity_number), Some(WARN));
    }
}
