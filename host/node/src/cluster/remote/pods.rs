//! Pods, for the agent, and what else a node follows whole.

use async_trait::async_trait;
use gantry_model::Status;

use super::Client;
use super::watcher::{Seen, Step, Target, Watcher};
use crate::cluster::{PodEvent, PodFeed};

/// A feed.
pub struct Pods(Watcher);

impl Pods {
    /// Of one node, or all.
    pub fn new(client: Client, node: Option<&str>) -> Self {
        let target = Target {
            version: "v1".to_owned(),
            plural: "pods".to_owned(),
            field_selector: node.map(|name| format!("spec.nodeName={name}")).unwrap_or_default(),
            ..Target::default()
        };
        Self(Watcher::new(client, target))
    }

    /// Every object of another kind.
    pub fn of_kind(client: Client, group: &str, version: &str, plural: &str) -> Self {
        let [group, version, plural] = [group, version, plural].map(str::to_owned);
        Self(Watcher::new(client, Target { group, version, plural, ..Target::default() }))
    }
}

#[async_trait]
impl PodFeed for Pods {
    /// Never fails: it waits until the control plane is back.
    async fn next(&mut self) -> Result<Vec<PodEvent>, Status> {
        Ok(vec![match self.0.next().await {
            Step::Snapshot(records) => PodEvent::Snapshot(records),
            Step::Change(Seen::Applied(record)) => PodEvent::Applied(record),
            Step::Change(Seen::Gone(record)) => PodEvent::Gone(record),
        }])
    }
}
