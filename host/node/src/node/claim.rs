//! A node's name is one agent's at a time: of two machines under one name, each would run the pods of both.

use std::sync::Arc;

use gantry_model::status::Reason;
use gantry_model::{Record, Status};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::object::Description;
use crate::cluster::Cluster;

/// Says in a Node which agent keeps it.
pub const AGENT: &str = "gantry.dev/agent";

/// Creates the Node, or takes the one there is over. `Conflict`: another agent has it and is alive, or the Node has just
/// changed; it may be tried again later. Decided by a write that fails if anybody else was faster.
pub async fn claim(cluster: &dyn Cluster, description: &Description) -> Result<Arc<Record>, Status> {
    let name = &description.name;
    let Some(found) = cluster.node(name).await? else {
        return match cluster.create_node(description.registration()).await {
            Err(error) if error.reason == Reason::AlreadyExists => {
                Err(Status::conflict("", "nodes", name, "another agent was faster"))
            }
            other => other,
        };
    };
    let holder = found.meta.annotations.get(AGENT).map(String::as_str).unwrap_or_default();
    if !holder.is_empty() && !description.agent.is_empty() && holder != description.agent {
        let lease = cluster.lease(name).await?.map(|lease| lease.value());
        if let Some(left) = lease.and_then(|lease| left(&lease, Timestamp::now())) {
            return Err(taken(name, holder, left));
        }
    }
    let Some(patch) = changes(description, &found) else { return Ok(found) };
    cluster.merge_node(name, patch).await
}

fn taken(name: &str, holder: &str, left: i64) -> Status {
    let why = format!(
        "the name is taken by another agent ({holder}), which is alive: stop that one and wait {left} s, or choose \
         another name with --node-name"
    );
    Status::conflict("", "nodes", name, why)
}

/// What must change in a Node, if anything.
fn changes(description: &Description, found: &Record) -> Option<Value> {
    let (mut metadata, mut patch) = (Map::new(), Map::new());
    let labels = description.labels();
    if labels.iter().any(|(key, value)| found.meta.labels.get(key) != Some(value)) {
        metadata.insert("labels".to_owned(), json!(labels));
    }
    let annotations = description.annotations();
    if annotations.iter().any(|(key, value)| found.meta.annotations.get(key) != Some(value)) {
        metadata.insert("annotations".to_owned(), json!(annotations));
    }
    // Ranges once given stay: pods have addresses of them.
    let assigned = found.value().pointer("/spec/podCIDR").is_some();
    if !assigned && !description.pod_ranges.is_empty() {
        patch.insert("spec".to_owned(), description.spec());
    }
    if metadata.is_empty() && patch.is_empty() {
        return None;
    }
    metadata.insert("resourceVersion".to_owned(), json!(found.revision.to_string()));
    patch.insert("metadata".to_owned(), metadata.into());
    Some(patch.into())
}

/// Seconds until a Lease runs out; `None`: it has.
pub fn left(lease: &Value, now: Timestamp) -> Option<i64> {
    let renewed: Timestamp = lease.pointer("/spec/renewTime")?.as_str()?.parse().ok()?;
    let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64).unwrap_or(40);
    let left = seconds - now.duration_since(renewed).as_secs();
    (left > 0).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Local, NodeLease};
    use gantry_model::{Kinds, core};
    use gantry_objects::{Objects, Patch, WriteOptions};
    use gantry_store::Sled;

    fn agent(id: &str) -> Description {
        Description { name: "n1".to_owned(), agent: id.to_owned(), ..Description::default() }
    }

    #[tokio::test]
    async fn a_name_has_one_agent_until_its_lease_runs_out() {
        let kinds = Kinds::default();
        core::register(&kinds);
        let objects = Objects::new(Arc::new(Sled::temporary().unwrap()), kinds);
        let cluster = Local::new(objects.clone());
        let node = claim(&cluster, &agent("a")).await.unwrap();
        // It has not said that it lives.
        claim(&cluster, &agent("a")).await.unwrap();
        let lease = NodeLease { node: "n1".to_owned(), uid: node.meta.uid.clone(), duration_seconds: 40 };
        cluster.renew_lease(&lease).await.unwrap();
        let refused = claim(&cluster, &agent("b")).await.unwrap_err();
        assert!(
            refused.reason == Reason::Conflict && refused.message.contains("taken by another agent (a)"),
            "{refused}"
        );
        claim(&cluster, &agent("a")).await.unwrap();
        let kind = objects.kinds().by_kind("coordination.k8s.io", "Lease").unwrap();
        let patch = Patch::Merge(json!({"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}}));
        objects.patch(&kind, "kube-node-lease", "n1", patch, &WriteOptions::default()).await.unwrap();
        let node = claim(&cluster, &agent("b")).await.unwrap();
        assert_eq!(node.meta.annotations[AGENT], "b");
        assert!(changes(&agent("b"), &node).is_none());
    }

    #[test]
    fn a_lease_is_alive_for_its_duration() {
        let lease = json!({"spec": {"renewTime": "1970-01-01T00:00:00.000000Z", "leaseDurationSeconds": 40}});
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(left(&lease, at(10)), Some(30));
        assert_eq!(left(&lease, at(40)), None);
        assert_eq!(left(&json!({}), at(0)), None);
    }
}
