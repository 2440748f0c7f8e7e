//! What the host calls: which kinds are reconciled, what wakes them, and the passes.

use gantry_sdk::api::{LabelSelector, ObjectMeta, Pod, Time};
use gantry_sdk::controller::{Controller, Outcome, Watch};
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{Error, KindRef, ObjectRef, Result};
use serde::Deserialize;

use crate::deployment::{self, Deployment};
use crate::replicaset::{self, ReplicaSet};

/// What says who may adopt an object.
const ADOPTION: [&str; 3] = ["/metadata/namespace", "/metadata/labels", "/metadata/deletionTimestamp"];

/// Deployments and ReplicaSets.
#[derive(Default)]
pub struct Workloads;

impl Controller for Workloads {
    /// Pods do not wake Deployments: whatever a Deployment waits for shows in the status of its ReplicaSets.
    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::itself::<Deployment>(),
            Watch::owned::<ReplicaSet, Deployment>(),
            Watch::orphan::<ReplicaSet, Deployment>().reading(ADOPTION),
            Watch::itself::<ReplicaSet>(),
            Watch::owned::<Pod, ReplicaSet>(),
            Watch::orphan::<Pod, ReplicaSet>().reading(ADOPTION),
        ]
    }

    fn map(&mut self, kind: &KindRef, object: &[u8]) -> Result<Vec<ObjectRef>> {
        let owners =
            if *kind == KindRef::of::<Pod>() { KindRef::of::<ReplicaSet>() } else { KindRef::of::<Deployment>() };
        let orphan: Orphan = objects::parse(object)?;
        // What is going is nobody's to adopt.
        if orphan.metadata.is_deleting() || orphan.metadata.labels.is_empty() {
            return Ok(Vec::new());
        }
        let namespace = orphan.metadata.namespace;
        let query = Query::kind(owners.clone()).namespace(&namespace);
        let all: Vec<(String, Option<LabelSelector>)> = objects::rows(&query, ["/metadata/name", "/spec/selector"])?;
        let matching = all.into_iter().filter(|(_, selector)| {
            selector.as_ref().is_some_and(|selector| !selector.is_empty() && selector.matches(&orphan.metadata.labels))
        });
        Ok(matching.map(|(name, _)| ObjectRef { kind: owners.clone(), namespace: namespace.clone(), name }).collect())
    }

    fn reconcile(&mut self, now: Time, key: &ObjectRef) -> Result<Outcome> {
        match key.kind.kind.as_str() {
            "Deployment" => deployment::pass::reconcile(now, key),
            "ReplicaSet" => replicaset::pass::reconcile(now, key),
            _ => Err(Error::invalid(format!("{} is not reconciled here", key.kind))),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Orphan {
    metadata: ObjectMeta,
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::{Value, json, serde_json};

    #[test]
    fn the_manifest_asks_for_what_is_watched() {
        let manifest: toml::Value = toml::from_str(crate::MANIFEST).unwrap();
        let manifest: Value = serde_json::to_value(manifest).unwrap();
        let asked = manifest.pointer("/grants/objects").and_then(Value::as_array).unwrap();
        for watch in Workloads.watches() {
            let granted = asked.iter().any(|grant| {
                grant["group"] == json!(watch.kind.group)
                    && grant["kind"] == json!(watch.kind.kind)
                    && grant["verbs"].as_array().is_some_and(|verbs| verbs.contains(&json!("watch")))
            });
            assert!(granted, "{}", watch.kind);
        }
    }
}
