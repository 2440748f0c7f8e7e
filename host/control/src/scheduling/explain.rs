//! Telling about pods: where they went, or why they went nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::{Kind, Record};
use gantry_objects::{Objects, Patch, Preconditions, Subresource, WriteOptions};
use serde_json::{Value, json};

use crate::recorder::{self, Recorder, Severity};

const MANAGER: &str = "gantry-scheduler";

/// Writes Events and conditions.
#[derive(Clone)]
pub(super) struct Explainer {
    pub objects: Objects,
    pub recorder: Recorder,
    pub kind: Arc<Kind>,
    pub scheduler: String,
}

impl Explainer {
    /// It was put on a node.
    pub(super) fn placed(&self, pod: &Record, node: &str) {
        let message = format!("Successfully assigned {}/{} to {node}", pod.meta.namespace, pod.meta.name);
        self.recorder.tell(
            recorder::about(&self.kind, pod),
            Severity::Normal,
            self.scheduler.clone(),
            "Scheduled",
            message,
        );
    }

    /// It fits nowhere now. The condition is what cluster autoscalers and `kubectl describe` read; it is written in the
    /// background and only when it says something new.
    pub(super) fn refused(&self, pod: Arc<Record>, message: String) {
        let about = recorder::about(&self.kind, &pod);
        self.recorder.tell(about, Severity::Warning, self.scheduler.clone(), "FailedScheduling", message.clone());
        let this = self.clone();
        tokio::spawn(async move { this.condition(&pod, &message).await });
    }

    async fn condition(&self, pod: &Record, message: &str) {
        let object = pod.value();
        let mut conditions =
            object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let ours = |c: &Value| c.get("type").and_then(Value::as_str) == Some("PodScheduled");
        let said = |c: &Value| {
            c.get("status").and_then(Value::as_str) == Some("False")
                && c.get("message").and_then(Value::as_str) == Some(message)
        };
        let before = conditions.iter().find(|c| ours(c));
        if before.is_some_and(said) {
            return;
        }
        let now = json!(format!("{:.0}", jiff::Timestamp::now()));
        let since = before
            .filter(|c| c.get("status").and_then(Value::as_str) == Some("False"))
            .and_then(|c| c.get("lastTransitionTime").cloned());
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": since.unwrap_or(now),
        });
        conditions.retain(|c| !ours(c));
        conditions.push(condition);
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
        if let Err(error) = self.objects.patch(&self.kind, &pod.meta.namespace, &pod.meta.name, patch, &options).await {
            tracing::debug!(pod = %pod.key, %error, "can't write the PodScheduled condition");
        }
    }
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`
pub(super) fn summary(nodes: usize, reasons: &BTreeMap<String, usize>) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!("0/{nodes} nodes are available: {}.", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_nodes_per_reason() {
        let reasons =
            BTreeMap::from([("Insufficient cpu".to_owned(), 1), ("node(s) were unschedulable".to_owned(), 2)]);
        assert_eq!(summary(3, &reasons), "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.");
        assert_eq!(summary(0, &BTreeMap::new()), "no nodes available to schedule pods");
    }
}
