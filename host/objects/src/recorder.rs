//! Events: one object per story, counted up when the story repeats, and no more than a trickle about any one object.
//! Telling never makes anyone wait: what does not fit the queue is dropped and counted.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use gantry_model::Status;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const QUEUE: usize = 4096;
/// Stories remembered for counting up.
const REMEMBERED: usize = 4096;
/// Events about one object that may come at once; one more is earned every [`REFILL_SECONDS`]. The figures of
/// Kubernetes' clients.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;

/// How an Event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Things go as they should.
    Normal,
    /// Someone should look.
    Warning,
}

/// What an Event is about: `involvedObject`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// `apps/v1`
    pub api_version: String,
    /// `Pod`
    pub kind: String,
    /// Empty for cluster-scoped kinds; their Events go to `default`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// A part of it: `spec.containers{web}`. May be empty.
    pub field: String,
}

/// Where Events are written.
#[async_trait]
pub trait EventWriter: Send + Sync + 'static {
    /// Creates an Event, or merges into the one of this name when `merge` is set.
    async fn write_event(&self, namespace: &str, name: &str, event: Value, merge: bool) -> Result<(), Status>;
}

/// Tells Events. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Story>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Story {
    about: About,
    warning: bool,
    reason: Cow<'static, str>,
    message: String,
    component: Cow<'static, str>,
}

impl Recorder {
    /// A recorder, and the task that writes; the task ends when every clone of the recorder is gone. `host` is the
    /// node that Events come from, empty for the control plane.
    pub fn new(writer: Arc<dyn EventWriter>, host: &str) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, stories) = mpsc::channel(QUEUE);
        let writer = Writer { writer, host: host.to_owned(), known: HashMap::new(), order: VecDeque::new() };
        (Self { queue }, writer.run(stories))
    }

    /// Tells one. `component` is who tells: `kubelet`, a plugin's name.
    pub fn tell(
        &self,
        about: About,
        severity: Severity,
        component: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) {
        let warning = severity == Severity::Warning;
        let story =
            Story { about, warning, reason: reason.into(), message: message.into(), component: component.into() };
        if self.queue.try_send(story).is_err() {
            metrics::counter!("gantry_events_dropped_total").increment(1);
        }
    }
}

struct Told {
    name: String,
    count: u64,
}

struct Writer {
    writer: Arc<dyn EventWriter>,
    host: String,
    known: HashMap<Story, Told>,
    order: VecDeque<Story>,
}

impl Writer {
    async fn run(mut self, mut stories: mpsc::Receiver<Story>) {
        let mut budgets = Budgets::default();
        while let Some(story) = stories.recv().await {
            let now = Timestamp::now();
            let about = if story.about.uid.is_empty() { &story.about.name } else { &story.about.uid };
            if budgets.spend(about, now) {
                self.write(story, now).await;
            }
        }
    }

    async fn write(&mut self, story: Story, now: Timestamp) {
        let namespace = if story.about.namespace.is_empty() { "default" } else { &story.about.namespace }.to_owned();
        if let Some(told) = self.known.get_mut(&story) {
            told.count += 1;
            let patch = json!({"count": told.count, "lastTimestamp": rfc3339(now)});
            if self.writer.write_event(&namespace, &told.name, patch, true).await.is_ok() {
                return;
            }
            // It has expired: tell it anew.
        }
        let name = format!("{}.{:x}", story.about.name, now.as_nanosecond());
        let event = event_object(&story, &namespace, &name, &self.host, now);
        if let Err(error) = self.writer.write_event(&namespace, &name, event, false).await {
            tracing::debug!(%error, reason = %story.reason, "can't write an event");
            return;
        }
        self.remember(story, name);
    }

    fn remember(&mut self, story: Story, name: String) {
        if self.known.insert(story.clone(), Told { name, count: 1 }).is_none() {
            self.order.push_back(story);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn event_object(story: &Story, namespace: &str, name: &str, host: &str, now: Timestamp) -> Value {
    let about = &story.about;
    let mut involved = serde_json::Map::new();
    for (key, text) in [
        ("apiVersion", &about.api_version),
        ("kind", &about.kind),
        ("namespace", &about.namespace),
        ("name", &about.name),
        ("uid", &about.uid),
        ("fieldPath", &about.field),
    ] {
        if !text.is_empty() {
            involved.insert(key.to_owned(), json!(text));
        }
    }
    let mut source = json!({"component": story.component});
    if let (false, Some(map)) = (host.is_empty(), source.as_object_mut()) {
        map.insert("host".to_owned(), json!(host));
    }
    let now = rfc3339(now);
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "type": if story.warning { "Warning" } else { "Normal" },
        "reason": story.reason, "message": story.message, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now,
        "source": source,
        "reportingComponent": story.component, "reportingInstance": host,
    })
}

/// The API keeps whole seconds.
fn rfc3339(at: Timestamp) -> String {
    format!("{:.0}", Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// A token bucket per object.
#[derive(Default)]
struct Budgets {
    by_uid: HashMap<String, (f64, Timestamp)>,
}

impl Budgets {
    fn spend(&mut self, uid: &str, now: Timestamp) -> bool {
        if self.by_uid.len() > REMEMBERED {
            // A full bucket says no more than an absent one.
            self.by_uid.retain(|_, (tokens, at)| refill(*tokens, *at, now) < BURST);
        }
        let (tokens, at) = self.by_uid.entry(uid.to_owned()).or_insert((BURST, now));
        *tokens = refill(*tokens, *at, now);
        *at = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}

fn refill(tokens: f64, at: Timestamp, now: Timestamp) -> f64 {
    (tokens + now.duration_since(at).as_secs_f64().max(0.0) / REFILL_SECONDS).min(BURST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn an_object_gets_a_burst_and_then_a_trickle() {
        let mut budgets = Budgets::default();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let spent = (0..100).filter(|_| budgets.spend("a", at(0))).count();
        assert_eq!(spent, 25);
        assert!(budgets.spend("b", at(0)), "budgets are per object");
        assert!(budgets.spend("a", at(300)));
        assert!(!budgets.spend("a", at(301)));
    }

    #[derive(Default)]
    struct Book(Mutex<Vec<(String, bool, Value)>>);

    #[async_trait]
    impl EventWriter for Book {
        async fn write_event(&self, namespace: &str, _: &str, event: Value, merge: bool) -> Result<(), Status> {
            self.0.lock().unwrap().push((namespace.to_owned(), merge, event));
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_story_that_repeats_is_counted_up() {
        let book = Arc::new(Book::default());
        let (recorder, run) = Recorder::new(book.clone(), "");
        let about = About { kind: "Pod".into(), namespace: "a".into(), name: "p".into(), ..About::default() };
        for _ in 0..3 {
            recorder.tell(about.clone(), Severity::Warning, "me", "Late", "it is late");
        }
        drop(recorder);
        run.await;
        let told = book.0.lock().unwrap();
        let counts: Vec<_> = told.iter().map(|(_, merge, event)| (*merge, event["count"].as_u64())).collect();
        assert_eq!(counts, [(false, Some(1)), (true, Some(2)), (true, Some(3))]);
        assert_eq!(told[0].2["involvedObject"], json!({"kind": "Pod", "namespace": "a", "name": "p"}));
    }
}
