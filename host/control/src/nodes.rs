//! Nodes that fall silent: a Lease that is not renewed makes a Node's condition unknown and taints it; pods that do not
//! tolerate the taint are deleted when their time is over. Pods of nodes that no longer exist are removed.
//! See <https://kubernetes.io/docs/concepts/architecture/nodes/#heartbeats>.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_model::status::Reason;
use gantry_model::{Key, Kind, Record, Status};
use gantry_objects::{DeleteOptions, Objects, Patch, Preconditions, Subresource, WriteOptions};
use gantry_store::Range;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::recorder::{self, Recorder, Severity};

const MANAGER: &str = "gantry-nodes";
const LEASES: &str = "kube-node-lease";
/// How often pods of nodes that are gone are looked for: that reads every pod.
const SWEEP: Duration = Duration::from_secs(5);
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// How patient the control plane is with nodes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often nodes are looked at.
    pub every: Duration,
    /// Silence of this length makes a node unknown (Kubernetes: 40 s).
    pub grace: Duration,
    /// How long a pod stays bound to an unreachable or unready node without a toleration of its own (Kubernetes: 300 s).
    pub eviction: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { every: Duration::from_secs(5), grace: Duration::from_secs(40), eviction: Duration::from_secs(300) }
    }
}

/// Runs for ever.
pub async fn run(objects: Objects, recorder: Recorder, options: Options) {
    let kinds = objects.kinds();
    let (Some(node), Some(pod), Some(lease)) =
        (kinds.by_kind("", "Node"), kinds.by_kind("", "Pod"), kinds.by_kind("coordination.k8s.io", "Lease"))
    else {
        return;
    };
    let (seen, quiet) = (HashMap::new(), HashMap::new());
    let (looked, swept) = (None, None);
    let objects = objects.clone();
    let mut monitor = Monitor { objects, recorder, options, node, pod, lease, seen, quiet, looked, swept };
    let mut tick = tokio::time::interval(options.every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        monitor.pass(Timestamp::now(), std::time::Instant::now()).await;
    }
}

struct Monitor {
    objects: Objects,
    recorder: Recorder,
    options: Options,
    node: Arc<Kind>,
    pod: Arc<Kind>,
    lease: Arc<Kind>,
    /// By node: the lease's revision and when it was first seen by this process. Clocks of nodes do not matter, and a
    /// control plane that was away gives every node its whole grace again.
    seen: HashMap<String, (u64, std::time::Instant)>,
    /// By node: its revision when there was nothing to do about it. Until it changes or falls silent, nothing is to be
    /// read of it: thousands of nodes are looked at every second.
    quiet: HashMap<String, u64>,
    /// When it was last looked. A process that was stopped meanwhile (a suspended machine) has missed renewals.
    looked: Option<std::time::Instant>,
    /// When pods of nodes that are gone were last looked for.
    swept: Option<std::time::Instant>,
}

impl Monitor {
    async fn pass(&mut self, now: Timestamp, clock: std::time::Instant) {
        let begun = std::time::Instant::now();
        let last = self.looked.unwrap_or(clock);
        if clock.duration_since(last) > self.options.every * 2 + self.options.grace / 4 {
            tracing::info!("nodes were not looked at for a while: they get their whole grace again");
            self.seen.clear();
        }
        let nodes = self.all(&self.node);
        let names: HashSet<&str> = nodes.iter().map(|node| node.meta.name.as_str()).collect();
        self.seen.retain(|name, _| names.contains(name.as_str()));
        self.quiet.retain(|name, _| names.contains(name.as_str()));
        for node in &nodes {
            let silent = self.silent(node, clock);
            if !silent && self.quiet.get(&node.meta.name) == Some(&node.revision) {
                continue;
            }
            self.quiet.remove(&node.meta.name);
            match self.judge(node, silent, now).await {
                Ok(true) => {
                    self.quiet.insert(node.meta.name.clone(), node.revision);
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(node = node.meta.name, %error, "can't update a node's condition"),
            }
        }
        if self.swept.is_none_or(|swept| clock.duration_since(swept) >= SWEEP) {
            self.swept = Some(clock);
            self.remove_homeless(&names).await;
        }
        // From its end: a pass that takes long, because many nodes fell silent at once, is no pause.
        self.looked = Some(clock + begun.elapsed());
    }

    fn all(&self, kind: &Kind) -> Vec<Arc<Record>> {
        let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
        self.objects.store().list(&range).records
    }

    fn silent(&mut self, node: &Record, clock: std::time::Instant) -> bool {
        let name = &node.meta.name;
        let lease = self.objects.store().get(&Key::new(self.lease.resource(), LEASES, name));
        let revision = lease.map_or(0, |lease| lease.revision);
        let (seen, at) = self.seen.entry(name.clone()).or_insert((revision, clock));
        if *seen != revision {
            (*seen, *at) = (revision, clock);
        }
        clock.duration_since(*at) >= self.options.grace
    }

    /// Whether there is nothing to do about it until it changes: it is heard of, ready, and has no taints.
    async fn judge(&self, node: &Record, silent: bool, now: Timestamp) -> Result<bool, Status> {
        let object = node.value();
        let status = condition(&object, "Ready").and_then(|c| c.get("status")?.as_str()).unwrap_or("Unknown");
        let known = if silent && status != "Unknown" {
            self.mark_unknown(node, &object, now).await?;
            "Unknown"
        } else {
            status
        };
        let wanted = match known {
            "True" => None,
            "False" => Some(NOT_READY),
            _ if silent => Some(UNREACHABLE),
            // A node that has just registered says soon how it is.
            _ => None,
        };
        self.taint(&node.meta.name, wanted, now).await?;
        if silent {
            self.call_unready(&node.meta.name, now).await?;
        }
        self.evict(&node.meta.name, now).await?;
        let taints = object.pointer("/spec/taints").and_then(Value::as_array);
        Ok(!silent && known == "True" && taints.is_none_or(Vec::is_empty))
    }

    /// Nobody knows whether pods of a silent node still serve, so nobody is to be sent to them. Their node's agent says
    /// how they are when it is back.
    async fn call_unready(&self, node: &str, now: Timestamp) -> Result<(), Status> {
        for pod in self.objects.store().indexed(&self.pod.resource(), None, "spec.nodeName", node).records {
            let Some(conditions) = unready(&pod.value(), now) else { continue };
            let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
            let options = WriteOptions {
                manager: MANAGER.to_owned(),
                subresource: Subresource::Status,
                preconditions: unchanged(&pod),
                ..WriteOptions::default()
            };
            match self.objects.patch(&self.pod, &pod.meta.namespace, &pod.meta.name, patch, &options).await {
                Ok(_) => {
                    let about = recorder::about(&self.pod, &pod);
                    let message = format!("node {node} is silent");
                    self.recorder.tell(about, Severity::Warning, MANAGER, "NodeNotReady", message);
                }
                // The next pass looks at it as it is by then.
                Err(error) if matches!(error.reason, Reason::NotFound | Reason::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn mark_unknown(&self, node: &Record, object: &Value, now: Timestamp) -> Result<(), Status> {
        let mut conditions = object.pointer("/status/conditions").cloned().unwrap_or_else(|| json!([]));
        for condition in conditions.as_array_mut().into_iter().flatten() {
            if let Some(map) = condition.as_object_mut() {
                map.insert("status".to_owned(), json!("Unknown"));
                map.insert("reason".to_owned(), json!("NodeStatusUnknown"));
                map.insert("message".to_owned(), json!("the node agent stopped posting node status"));
                map.insert("lastTransitionTime".to_owned(), json!(format!("{now:.0}")));
            }
        }
        let patch = json!({"status": {"conditions": conditions}});
        if !self.patch_node(node, patch, Subresource::Status).await? {
            return Ok(());
        }
        let about = recorder::about(&self.node, node);
        let message = format!("node {} is silent: its status is unknown", node.meta.name);
        self.recorder.tell(about, Severity::Warning, MANAGER, "NodeNotReady", message);
        Ok(())
    }

    /// Brings the two taints into line with what is wanted; taints of others stay. A NoExecute taint that does not say
    /// since when it is there gets this moment: `tolerationSeconds` counts from it, also after a restart.
    async fn taint(&self, node: &str, wanted: Option<&str>, now: Timestamp) -> Result<(), Status> {
        let Some(node) = self.objects.store().get(&Key::new(self.node.resource(), "", node)) else { return Ok(()) };
        let object = node.value();
        let taints: Vec<Value> = object.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
        let key = |taint: &Value| taint.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        let ours = |taint: &Value| [UNREACHABLE, NOT_READY].contains(&key(taint).as_str());
        let has = |effect: &str| {
            taints
                .iter()
                .any(|t| Some(key(t).as_str()) == wanted && t.get("effect").and_then(Value::as_str) == Some(effect))
        };
        let right = match wanted {
            Some(_) => has("NoSchedule") && has("NoExecute") && taints.iter().filter(|t| ours(t)).count() == 2,
            None => !taints.iter().any(ours),
        };
        if right && !taints.iter().any(timeless) {
            return Ok(());
        }
        let since = format!("{now:.0}");
        let mut left = taints.clone();
        if !right {
            left.retain(|taint| !ours(taint));
            let effects = wanted.into_iter().flat_map(|key| ["NoSchedule", "NoExecute"].map(|effect| (key, effect)));
            left.extend(effects.map(|(key, effect)| json!({"key": key, "effect": effect})));
        }
        for taint in left.iter_mut().filter(|taint| timeless(taint)) {
            if let Some(map) = taint.as_object_mut() {
                map.insert("timeAdded".to_owned(), json!(since));
            }
        }
        self.patch_node(&node, json!({"spec": {"taints": left}}), Subresource::None).await.map(drop)
    }

    /// Replaces a list of the node. Whether it did: when somebody else, such as the node itself, was faster, the next
    /// pass judges anew.
    async fn patch_node(&self, node: &Record, patch: Value, subresource: Subresource) -> Result<bool, Status> {
        let preconditions = unchanged(node);
        let options =
            WriteOptions { manager: MANAGER.to_owned(), preconditions, subresource, ..WriteOptions::default() };
        match self.objects.patch(&self.node, "", &node.meta.name, Patch::Merge(patch), &options).await {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.reason, Reason::NotFound | Reason::Conflict) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Deletes pods whose time on a tainted node is over.
    async fn evict(&self, node: &str, now: Timestamp) -> Result<(), Status> {
        let Some(node) = self.objects.store().get(&Key::new(self.node.resource(), "", node)) else { return Ok(()) };
        let taints: Vec<Value> =
            node.value().pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
        let executing: Vec<&Value> =
            taints.iter().filter(|t| t.get("effect").and_then(Value::as_str) == Some("NoExecute")).collect();
        if executing.is_empty() {
            return Ok(());
        }
        let placed = self.objects.store().indexed(&self.pod.resource(), None, "spec.nodeName", &node.meta.name);
        for pod in placed.records {
            if pod.meta.deletion_timestamp.is_some() {
                continue;
            }
            let object = pod.value();
            if executing.iter().any(|taint| over(taint, &object, now, self.options.eviction)) {
                let about = recorder::about(&self.pod, &pod);
                let message = format!("deleting pod: it does not tolerate the taints of node {}", node.meta.name);
                self.recorder.tell(about, Severity::Normal, MANAGER, "TaintManagerEviction", message);
                self.delete_pod(&pod, None).await?;
            }
        }
        Ok(())
    }

    /// Pods bound to nodes that are gone have nobody who could end them.
    async fn remove_homeless(&self, nodes: &HashSet<&str>) {
        for pod in self.all(&self.pod) {
            let home = pod.field("spec.nodeName");
            if home.is_empty() || nodes.contains(home) {
                continue;
            }
            // The list of nodes is older than the pod may be.
            if self.objects.store().get(&Key::new(self.node.resource(), "", home)).is_none()
                && let Err(error) = self.delete_pod(&pod, Some(0)).await
            {
                tracing::warn!(pod = %pod.key, %error, "can't remove a pod of a node that is gone");
            }
        }
    }

    async fn delete_pod(&self, pod: &Record, grace_seconds: Option<i64>) -> Result<(), Status> {
        let preconditions = Preconditions { uid: Some(pod.meta.uid.clone()), resource_version: None };
        let options = DeleteOptions { grace_seconds, preconditions, ..DeleteOptions::default() };
        match self.objects.delete(&self.pod, &pod.meta.namespace, &pod.meta.name, &options).await {
            Err(e) if !matches!(e.reason, Reason::NotFound | Reason::Conflict) => Err(e),
            _ => Ok(()),
        }
    }
}

/// Whether a pod's time with a NoExecute taint is over. A pod without a matching toleration has the default patience for
/// the two taints of silent nodes, as Kubernetes' admission would have given it, and none for others.
fn over(taint: &Value, pod: &Value, now: Timestamp, patience: Duration) -> bool {
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let added = taint.get("timeAdded").and_then(Value::as_str).and_then(|t| t.parse().ok()).unwrap_or(now);
    let tolerates = |toleration: &&Value| {
        let (key, operator, effect) =
            (text(toleration, "key"), text(toleration, "operator"), text(toleration, "effect"));
        (effect.is_empty() || effect == "NoExecute")
            && (key == text(taint, "key") || (key.is_empty() && operator == "Exists"))
            && (operator == "Exists" || text(toleration, "value") == text(taint, "value"))
    };
    let tolerations = pod.pointer("/spec/tolerations").and_then(Value::as_array);
    let matching: Vec<&Value> = tolerations.into_iter().flatten().filter(tolerates).collect();
    let seconds = match matching.as_slice() {
        [] if [UNREACHABLE, NOT_READY].contains(&text(taint, "key").as_str()) => Some(patience),
        [] => Some(Duration::ZERO),
        // The shortest counts; one without a time tolerates for ever.
        some => some
            .iter()
            .filter_map(|t| t.get("tolerationSeconds").and_then(Value::as_i64))
            .map(|s| Duration::from_secs(u64::try_from(s).unwrap_or(0)))
            .min(),
    };
    seconds.is_some_and(|patience| now.duration_since(added).as_secs_f64() >= patience.as_secs_f64())
}

/// Whether a taint evicts and does not say since when.
fn timeless(taint: &Value) -> bool {
    taint.get("effect").and_then(Value::as_str) == Some("NoExecute")
        && taint.get("timeAdded").and_then(Value::as_str).is_none()
}

/// A pod's conditions with `Ready` taken back; `None` when it is not ready anyway.
fn unready(pod: &Value, now: Timestamp) -> Option<Value> {
    let mut conditions = pod.pointer("/status/conditions")?.clone();
    let is_ready = |c: &&mut Value| {
        c.get("type").and_then(Value::as_str) == Some("Ready")
            && c.get("status").and_then(Value::as_str) == Some("True")
    };
    let ready = conditions.as_array_mut()?.iter_mut().find(is_ready)?.as_object_mut()?;
    ready.insert("status".to_owned(), json!("False"));
    ready.insert("reason".to_owned(), json!("NodeNotReady"));
    ready.insert("message".to_owned(), json!("the node is silent"));
    ready.insert("lastTransitionTime".to_owned(), json!(format!("{now:.0}")));
    Some(conditions)
}

/// Only if it is still the object that was read.
fn unchanged(record: &Record) -> Preconditions {
    Preconditions { uid: Some(record.meta.uid.clone()), resource_version: Some(record.revision.to_string()) }
}

fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(type_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_leave_a_tainted_node_when_their_time_is_over() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let taint = json!({"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:00Z"});
        let own = json!({"key": "example.com/own", "value": "x", "effect": "NoExecute"});
        let pod = |tolerations: Value| json!({"spec": {"tolerations": tolerations}});
        let patience = Duration::from_secs(300);
        for (taint, tolerations, seconds, wanted) in [
            (&taint, json!([]), 299, false),
            (&taint, json!([]), 300, true),
            (&taint, json!([{"operator": "Exists"}]), 9999, false),
            (
                &taint,
                json!([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]),
                4,
                false,
            ),
            (
                &taint,
                json!([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]),
                5,
                true,
            ),
            (&taint, json!([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoSchedule"}]), 300, true),
            (&own, json!([]), 0, true),
            (&own, json!([{"key": "example.com/own", "value": "x"}]), 9999, false),
            (&own, json!([{"key": "example.com/own", "value": "y"}]), 1, true),
        ] {
            assert_eq!(
                over(taint, &pod(tolerations.clone()), at(seconds), patience),
                wanted,
                "{tolerations} {seconds}"
            );
        }
    }
}
