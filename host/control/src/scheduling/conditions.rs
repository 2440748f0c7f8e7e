//! The condition `PodScheduled` of pods that fit nowhere. Written in the background: a few at once, never two for one
//! pod, and of several messages for a pod only the newest.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use gantry_model::{Key, Kind, Record};
use gantry_objects::{Objects, Patch, Preconditions, Subresource, WriteOptions};
use serde_json::{Value, json};
use tokio::task::{Id, JoinSet};

const MANAGER: &str = "gantry-scheduler";
/// Enough to share the store's flushes, too few to crowd out bindings.
const AT_ONCE: usize = 16;
/// Pods that may wait for their condition. Beyond it the scheduling loop waits for the store.
const MOST: usize = 4_096;

/// The conditions to be written, and those under way.
pub(super) struct Conditions {
    objects: Objects,
    kind: Arc<Kind>,
    backlog: Backlog,
    running: JoinSet<()>,
    keys: HashMap<Id, Key>,
}

impl Conditions {
    pub(super) fn new(objects: Objects, kind: Arc<Kind>) -> Self {
        let (backlog, running, keys) = (Backlog::new(MOST), JoinSet::new(), HashMap::new());
        Self { objects, kind, backlog, running, keys }
    }

    /// Has a pod's condition written. Returns at once unless the backlog is full.
    pub(super) async fn say(&mut self, pod: &Record, message: String) {
        while !self.backlog.has_room(&pod.key) {
            metrics::counter!("gantry_scheduler_conditions_stalled_total").increment(1);
            self.next().await;
        }
        self.backlog.put(pod.key.clone(), Said { uid: pod.meta.uid.clone(), message });
        self.start();
    }

    /// Waits until one was written, and begins the next. Waits for ever when none is under way.
    pub(super) async fn next(&mut self) {
        let Some(ended) = self.running.join_next_with_id().await else { return std::future::pending().await };
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        if let Some(key) = self.keys.remove(&id) {
            self.backlog.written(&key);
        }
        self.start();
    }

    fn start(&mut self) {
        while self.running.len() < AT_ONCE
            && let Some((key, said)) = self.backlog.take()
        {
            let (objects, kind, pod) = (self.objects.clone(), self.kind.clone(), key.clone());
            let task = self.running.spawn(async move { write(&objects, &kind, &pod, &said).await });
            self.keys.insert(task.id(), key);
        }
        metrics::gauge!("gantry_scheduler_conditions_waiting").set(self.backlog.len() as f64);
    }
}

/// What is to be said about the pod of this uid.
#[derive(Debug, PartialEq)]
struct Said {
    uid: String,
    message: String,
}

/// What waits, oldest first.
struct Backlog {
    said: HashMap<Key, Said>,
    order: VecDeque<Key>,
    /// Pods of which a condition is being written.
    busy: HashSet<Key>,
    most: usize,
}

impl Backlog {
    fn new(most: usize) -> Self {
        Self { said: HashMap::new(), order: VecDeque::new(), busy: HashSet::new(), most }
    }

    fn len(&self) -> usize {
        self.order.len()
    }

    fn has_room(&self, key: &Key) -> bool {
        self.order.len() < self.most || self.said.contains_key(key)
    }

    /// A pod that waits keeps its place, with the newer message.
    fn put(&mut self, key: Key, said: Said) {
        if self.said.insert(key.clone(), said).is_none() {
            self.order.push_back(key);
        }
    }

    /// The next that may be written: the first whose pod is not busy. At most as many are passed over as are under way.
    fn take(&mut self) -> Option<(Key, Said)> {
        let at = self.order.iter().position(|key| !self.busy.contains(key))?;
        let key = self.order.remove(at)?;
        let said = self.said.remove(&key)?;
        self.busy.insert(key.clone());
        Some((key, said))
    }

    fn written(&mut self, key: &Key) {
        self.busy.remove(key);
    }
}

/// Writes over the pod as it is by now, if it is still the one and on no node.
async fn write(objects: &Objects, kind: &Kind, key: &Key, said: &Said) {
    let Some(pod) = objects.store().get(key) else { return };
    if pod.meta.uid != said.uid || !pod.field("spec.nodeName").is_empty() {
        return;
    }
    let Some(conditions) = conditions(&pod.value(), &said.message) else { return };
    let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
    let preconditions =
        Preconditions { uid: Some(pod.meta.uid.clone()), resource_version: Some(pod.revision.to_string()) };
    let options = WriteOptions {
        manager: MANAGER.to_owned(),
        subresource: Subresource::Status,
        preconditions,
        ..WriteOptions::default()
    };
    // If the pod changed meanwhile the next attempt says it again.
    if let Err(error) = objects.patch(kind, &pod.meta.namespace, &pod.meta.name, patch, &options).await {
        tracing::debug!(pod = %pod.key, %error, "can't write the PodScheduled condition");
    }
}

/// A pod's conditions with this message among them; `None` when they say it already.
fn conditions(pod: &Value, message: &str) -> Option<Vec<Value>> {
    let mut conditions = pod.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |c: &Value, field: &str| c.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ours = |c: &Value| text(c, "type") == "PodScheduled";
    let refused = conditions.iter().find(|c| ours(c)).filter(|c| text(c, "status") == "False");
    if refused.is_some_and(|c| text(c, "message") == message) {
        return None;
    }
    let since = refused.and_then(|c| c.get("lastTransitionTime").cloned());
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": since.unwrap_or_else(|| json!(format!("{:.0}", jiff::Timestamp::now()))),
    });
    conditions.retain(|c| !ours(c));
    conditions.push(condition);
    Some(conditions)
}

#[cfg(test)]
mod tests {
    use gantry_model::key::Resource;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new(Resource::new("", "pods"), "default", name)
    }

    fn said(message: &str) -> Said {
        Said { uid: "u".to_owned(), message: message.to_owned() }
    }

    #[test]
    fn a_pod_waits_once_with_its_newest_message() {
        let mut backlog = Backlog::new(2);
        backlog.put(key("a"), said("first"));
        backlog.put(key("b"), said("b"));
        backlog.put(key("a"), said("second"));
        assert_eq!(backlog.len(), 2);
        assert!(backlog.has_room(&key("a")) && !backlog.has_room(&key("c")), "full, but not for one that waits");
        assert_eq!(backlog.take(), Some((key("a"), said("second"))));
        assert!(backlog.has_room(&key("c")));
    }

    #[test]
    fn two_writes_for_a_pod_never_run_at_once() {
        let mut backlog = Backlog::new(9);
        backlog.put(key("a"), said("first"));
        assert_eq!(backlog.take(), Some((key("a"), said("first"))));
        backlog.put(key("a"), said("second"));
        backlog.put(key("b"), said("b"));
        assert_eq!(backlog.take(), Some((key("b"), said("b"))), "a is being written");
        assert_eq!((backlog.take(), backlog.len()), (None, 1));
        backlog.written(&key("a"));
        assert_eq!(backlog.take(), Some((key("a"), said("second"))));
        assert_eq!((backlog.take(), backlog.len()), (None, 0));
    }

    #[test]
    fn a_condition_is_written_only_when_it_says_something_new() {
        let pod = |conditions: Value| json!({"status": {"conditions": conditions}});
        let refused = |message: &str| json!({"type": "PodScheduled", "status": "False", "message": message, "lastTransitionTime": "T"});
        assert_eq!(conditions(&pod(json!([refused("no")])), "no"), None);
        let changed = conditions(&pod(json!([{"type": "Other"}, refused("no")])), "never").unwrap();
        assert_eq!(changed.len(), 2, "{changed:?}");
        assert_eq!((&changed[0]["type"], &changed[1]["message"]), (&json!("Other"), &json!("never")));
        assert_eq!(changed[1]["lastTransitionTime"], "T", "it was unschedulable before");
        let fresh = conditions(&json!({}), "no").unwrap();
        assert_ne!(fresh[0]["lastTransitionTime"], "T");
    }
}
