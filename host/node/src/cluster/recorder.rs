//! Events in the kubelet's manner: one object per story, counted up when the story repeats, and no more than a
//! trickle about any one object. Telling never makes anyone wait: what does not fit the queue is dropped and counted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Cluster, PodRef};
use crate::time::rfc3339;

const QUEUE: usize = 4096;
/// Stories remembered for counting up.
const REMEMBERED: usize = 4096;
/// Events about one object that may come at once; one more is earned every [`REFILL_SECONDS`]. The kubelet's figures.
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

/// Tells Events. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Story>,
    dropped: Arc<AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Story {
    about: About,
    warning: bool,
    reason: &'static str,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct About {
    kind: &'static str,
    namespace: String,
    name: String,
    uid: String,
    field: String,
}

impl Recorder {
    /// A recorder for this node, and the task that writes; it ends when every clone of the recorder is gone.
    pub fn new(cluster: Arc<dyn Cluster>, node: &str) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, stories) = mpsc::channel(QUEUE);
        let writer = Writer { cluster, node: node.to_owned(), known: HashMap::new(), order: VecDeque::new() };
        (Self { queue, dropped: Arc::default() }, writer.run(stories))
    }

    /// About a pod, or one of its containers.
    pub fn pod(
        &self,
        pod: &PodRef,
        container: Option<&str>,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let field = container.map(|name| format!("spec.containers{{{name}}}")).unwrap_or_default();
        let about = About {
            kind: "Pod",
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            field,
        };
        self.tell(about, severity, reason, message.into());
    }

    /// About the node.
    pub fn node(&self, name: &str, severity: Severity, reason: &'static str, message: impl Into<String>) {
        // By convention the uid of a node in Events is its name: whoever describes a node selects by that.
        let about = About {
            kind: "Node",
            namespace: String::new(),
            name: name.to_owned(),
            uid: name.to_owned(),
            field: String::new(),
        };
        self.tell(about, severity, reason, message.into());
    }

    /// Events that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn tell(&self, about: About, severity: Severity, reason: &'static str, message: String) {
        let story = Story { about, warning: severity == Severity::Warning, reason, message };
        if self.queue.try_send(story).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("gantry_node_events_dropped_total").increment(1);
        }
    }
}

struct Told {
    name: String,
    count: u64,
}

struct Writer {
    cluster: Arc<dyn Cluster>,
    node: String,
    known: HashMap<Story, Told>,
    order: VecDeque<Story>,
}

impl Writer {
    async fn run(mut self, mut stories: mpsc::Receiver<Story>) {
        let mut budgets = Budgets::default();
        while let Some(story) = stories.recv().await {
            let now = Timestamp::now();
            if budgets.spend(&story.about.uid, now) {
                self.write(story, now).await;
            }
        }
    }

    async fn write(&mut self, story: Story, now: Timestamp) {
        let namespace = if story.about.namespace.is_empty() { "default" } else { &story.about.namespace }.to_owned();
        if let Some(told) = self.known.get_mut(&story) {
            told.count += 1;
            let patch = json!({"count": told.count, "lastTimestamp": rfc3339(now)});
            if self.cluster.write_event(&namespace, &told.name, patch, true).await.is_ok() {
                return;
            }
            // It has expired: tell it anew.
        }
        let name = format!("{}.{:x}", story.about.name, now.as_nanosecond());
        let event = event_object(&story, &namespace, &name, &self.node, now);
        if let Err(error) = self.cluster.write_event(&namespace, &name, event, false).await {
            tracing::debug!(%error, reason = story.reason, "can't write an event");
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

fn event_object(story: &Story, namespace: &str, name: &str, node: &str, now: Timestamp) -> Value {
    let mut about =
        json!({"apiVersion": "v1", "kind": story.about.kind, "name": story.about.name, "uid": story.about.uid});
    if let Some(map) = about.as_object_mut() {
        for (key, text) in [("namespace", &story.about.namespace), ("fieldPath", &story.about.field)] {
            if !text.is_empty() {
                map.insert(key.to_owned(), json!(text));
            }
        }
    }
    let now = rfc3339(now);
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": about,
        "type": if story.warning { "Warning" } else { "Normal" },
        "reason": story.reason, "message": story.message, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": "kubelet", "host": node},
        "reportingComponent": "kubelet", "reportingInstance": node,
    })
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
    (tokens + crate::time::between(at, now).as_secs_f64() / REFILL_SECONDS).min(BURST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_object_gets_a_burst_and_then_a_trickle() {
        let mut budgets = Budgets::default();
        let now = Timestamp::UNIX_EPOCH;
        let spent = (0..100).filter(|_| budgets.spend("a", now)).count();
        assert_eq!(spent, 25);
        assert!(budgets.spend("b", now), "budgets are per object");
        assert!(budgets.spend("a", crate::time::after(now, Duration::from_secs(300))));
        assert!(!budgets.spend("a", crate::time::after(now, Duration::from_secs(301))));
    }
}
