//! Following objects: a list, then a watch from its revision, which is resumed where it broke off. Only a server that no
//! longer knows that revision (410) makes it list again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_model::status::Reason;
use gantry_model::{Record, Status};
use http::Method;
use serde_json::Value;

use super::client::{Body, Client, Lane, Place};
use super::lines::Lines;
use super::record::record;
use crate::pauses::Pauses;

/// Between tries. Short enough that a node is back soon after its server; a thousand nodes then ask 150 times a second.
const FIRST: Duration = Duration::from_millis(125);
const LONGEST: Duration = Duration::from_secs(5);
/// Objects in one page of a list.
const PAGE: &str = "250";
/// A watch is begun anew after about this long, at the latest: seconds.
const WATCH: std::ops::Range<u32> = 300..600;
/// A watch that ends sooner, with nothing said, is a failure.
const TOO_SOON: Duration = Duration::from_secs(1);

/// What to follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// API group; empty for core.
    pub group: String,
    /// `v1`
    pub version: String,
    /// `pods`
    pub plural: String,
    /// Empty for cluster-scoped kinds, and for all namespaces.
    pub namespace: String,
    /// `spec.nodeName=n1`; may be empty.
    pub field_selector: String,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Seen {
    /// New or changed.
    Applied(Arc<Record>),
    /// Gone, or no longer selected: as it was last.
    Gone(Arc<Record>),
}

/// What a watcher has to tell.
#[derive(Clone, Debug)]
pub enum Step {
    /// Everything there is; what was known and is not in it is gone. First, and again after a gap.
    Snapshot(Vec<Arc<Record>>),
    /// A change.
    Change(Seen),
}

/// Follows objects for ever.
pub struct Watcher {
    client: Client,
    target: Target,
    /// Everything up to here was told; `None`: a list comes next.
    from: Option<u64>,
    running: Option<Running>,
    pauses: Pauses,
}

struct Running {
    lines: Lines,
    begun: Instant,
    heard: bool,
    _lane: Lane,
}

impl Watcher {
    /// Nothing is asked before the first call of [`Watcher::next`].
    pub fn new(client: Client, target: Target) -> Self {
        Self { client, target, from: None, running: None, pauses: Pauses::between(FIRST, LONGEST) }
    }

    /// The next thing; waits as long as it takes. Failures are logged and tried again with growing pauses. Nothing is
    /// lost when the future is dropped.
    pub async fn next(&mut self) -> Step {
        loop {
            match self.step().await {
                Ok(Some(step)) => {
                    self.pauses.reset();
                    return step;
                }
                Ok(None) => {}
                Err(error) => {
                    self.running = None;
                    let plural = &self.target.plural;
                    if is_gap(&error) {
                        tracing::info!(plural, reason = %error, "listing again");
                        self.from = None;
                    } else {
                        tracing::warn!(plural, %error, "can't follow objects of the control plane");
                    }
                    self.pauses.wait().await;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Step>, Status> {
        let Some(from) = self.from else { return self.list().await.map(Some) };
        let Some(running) = &mut self.running else {
            self.running = Some(self.open(from).await?);
            return Ok(None);
        };
        if let Some(line) = running.lines.next().await? {
            running.heard = true;
            return self.event(&line);
        }
        if !running.heard && running.begun.elapsed() < TOO_SOON {
            return Err(Status::new(Reason::ServiceUnavailable, "a watch ended as soon as it had begun"));
        }
        self.running = None;
        Ok(None)
    }

    async fn list(&mut self) -> Result<Step, Status> {
        let (mut all, mut token) = (Vec::new(), String::new());
        let place = self.place()?;
        loop {
            let mut query = vec![("limit", PAGE)];
            self.select(&mut query);
            if !token.is_empty() {
                query.push(("continue", &token));
            }
            let mut page = self.client.ask(Method::GET, &place, &query, Body::None).await?;
            let items = page.get_mut("items").map(Value::take).unwrap_or_default();
            let Value::Array(items) = items else { return Err(Status::internal("a list without items")) };
            for item in items {
                all.push(Arc::new(self.record(item)?));
            }
            let text = |pointer: &str| page.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if text("/metadata/continue").is_empty() {
                let revision = text("/metadata/resourceVersion").parse();
                self.from = Some(revision.map_err(|_| Status::internal("a list without a resourceVersion"))?);
                return Ok(Step::Snapshot(all));
            }
            token = text("/metadata/continue").to_owned();
        }
    }

    async fn open(&self, from: u64) -> Result<Running, Status> {
        let (from, seconds) = (from.to_string(), rand::random_range(WATCH).to_string());
        let mut query = vec![("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", from.as_str())];
        query.push(("timeoutSeconds", &seconds));
        self.select(&mut query);
        let (lines, lane) = self.client.watch(&self.place()?, &query).await?;
        Ok(Running { lines, begun: Instant::now(), heard: false, _lane: lane })
    }

    fn place(&self) -> Result<Place, Status> {
        let Target { group, version, namespace, plural, .. } = &self.target;
        Place::list(group, version, namespace, plural)
    }

    fn select<'a>(&'a self, query: &mut Vec<(&'a str, &'a str)>) {
        if !self.target.field_selector.is_empty() {
            query.push(("fieldSelector", &self.target.field_selector));
        }
    }

    fn event(&mut self, line: &[u8]) -> Result<Option<Step>, Status> {
        let mut event: Value =
            serde_json::from_slice(line).map_err(|_| Status::internal("a watch sent a line that is not JSON"))?;
        let object = event.get_mut("object").map(Value::take).unwrap_or_default();
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind == "ERROR" {
            return Err(Status::from_json(&object));
        }
        if kind == "BOOKMARK" {
            let revision = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
            self.from = revision.and_then(|text| text.parse().ok()).or(self.from);
            return Ok(None);
        }
        let record = Arc::new(self.record(object)?);
        self.from = Some(record.revision);
        match kind {
            "ADDED" | "MODIFIED" => Ok(Some(Step::Change(Seen::Applied(record)))),
            "DELETED" => Ok(Some(Step::Change(Seen::Gone(record)))),
            other => Err(Status::internal(format!("a watch sent an event of the unknown type {other:?}"))),
        }
    }

    fn record(&self, object: Value) -> Result<Record, Status> {
        record(&self.target.group, &self.target.plural, object)
    }
}

/// Whether the server can't go on from the revision: it is too old, or the server is another one that is not there yet.
fn is_gap(error: &Status) -> bool {
    error.reason == Reason::Expired || error.causes.iter().any(|cause| cause.reason == "ResourceVersionTooLarge")
}
