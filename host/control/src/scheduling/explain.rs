//! Telling about pods: where they went, or why they went nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::{Kind, Record};
use gantry_objects::Objects;

use super::DEFAULT_SCHEDULER;
use crate::recorder::{self, Recorder, Severity};

/// The column of a pod's record with its scheduler.
pub(super) const SCHEDULER_NAME: &str = "spec.schedulerName";

/// Writes Events.
#[derive(Clone)]
pub(super) struct Explainer {
    pub objects: Objects,
    pub recorder: Recorder,
    pub kind: Arc<Kind>,
}

impl Explainer {
    /// It was put on a node.
    pub(super) fn placed(&self, pod: &Record, node: &str) {
        let message = format!("Successfully assigned {}/{} to {node}", pod.meta.namespace, pod.meta.name);
        self.recorder.tell(recorder::about(&self.kind, pod), Severity::Normal, scheduler(pod), "Scheduled", message);
    }

    /// It fits nowhere now. The Event says so to people; the condition (`conditions`) is what autoscalers read.
    pub(super) fn refused(&self, pod: &Record, message: &str) {
        let about = recorder::about(&self.kind, pod);
        let (by, message) = (scheduler(pod), message.to_owned());
        self.recorder.tell(about, Severity::Warning, by, "FailedScheduling", message);
    }
}

/// Whose pod it is.
fn scheduler(pod: &Record) -> String {
    match pod.field(SCHEDULER_NAME) {
        "" => DEFAULT_SCHEDULER.to_owned(),
        name => name.to_owned(),
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
