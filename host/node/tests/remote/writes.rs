//! What a node writes.

use gantry_model::status::Reason;
use gantry_node::cluster::{Cluster, NodeLease, PodRef, Source};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_status_is_written_to_the_pod_that_is_meant() {
    let world = World::start(100).await;
    let remote = world.remote();
    let pod = world.pod("web").await;
    let found = remote.pod(&pod).await.unwrap().unwrap();
    let status = json!({"phase": "Running", "podIP": "10.0.0.1"});
    let written = remote.write_pod_status(&pod, Some(found.revision), status.clone()).await.unwrap();
    assert_eq!(written.value()["status"]["podIP"], "10.0.0.1");
    assert!(written.revision > found.revision);
    let stale = remote.write_pod_status(&pod, Some(found.revision), status.clone()).await.unwrap_err();
    assert_eq!(stale.reason, Reason::Conflict);
    let other = PodRef { uid: "0f8fad5b-d9cb-469f-a165-70867728950e".into(), ..pod.clone() };
    assert_eq!(remote.write_pod_status(&other, None, status.clone()).await.unwrap_err().reason, Reason::Conflict);
    assert!(remote.pod(&other).await.unwrap().is_none());
    // Another pod of that name is not removed.
    remote.remove_pod(&other).await.unwrap();
    assert!(world.get("", "Pod", "default", "web").is_some());
    remote.remove_pod(&pod).await.unwrap();
    assert!(world.get("", "Pod", "default", "web").is_none());
    remote.remove_pod(&pod).await.unwrap();
    assert_eq!(remote.write_pod_status(&pod, None, status).await.unwrap_err().reason, Reason::NotFound);
}

#[tokio::test]
async fn a_node_its_lease_and_its_events_are_kept() {
    let world = World::start(100).await;
    let remote = world.remote();
    assert!(remote.node("n1").await.unwrap().is_none());
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    let node = remote.create_node(object.clone()).await.unwrap();
    assert_eq!(remote.create_node(object).await.unwrap_err().reason, Reason::AlreadyExists);
    remote.merge_node("n1", json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
    let merged = remote.merge_node_status("n1", json!({"capacity": {"cpu": "2"}})).await.unwrap().value();
    assert_eq!((&merged["metadata"]["labels"]["a"], &merged["status"]["capacity"]["cpu"]), (&json!("b"), &json!("2")));
    let lease = NodeLease { node: "n1".into(), uid: node.meta.uid.clone(), duration_seconds: 40 };
    let renewed =
        || world.get("coordination.k8s.io", "Lease", "kube-node-lease", "n1").unwrap()["spec"]["renewTime"].clone();
    remote.renew_lease(&lease).await.unwrap();
    let first = renewed();
    remote.renew_lease(&lease).await.unwrap();
    assert_ne!(first, renewed());
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "n1.1", "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": "n1"}, "reason": "Starting", "message": "it starts", "count": 1,
    });
    remote.write_event("default", "n1.1", event, false).await.unwrap();
    remote.write_event("default", "n1.1", json!({"count": 2}), true).await.unwrap();
    assert_eq!(world.get("", "Event", "default", "n1.1").unwrap()["count"], 2);
}

#[tokio::test]
async fn names_in_pods_lead_to_nothing_else() {
    let world = World::start(100).await;
    world.create("", "Secret", "default", json!({"metadata": {"name": "key"}, "data": {"a": "Yg=="}})).await;
    let remote = world.remote();
    assert!(remote.source(Source::Secret, "default", "key").await.unwrap().is_some());
    for name in ["none", "", "..", "../secrets/key", "%2e%2e", "key?x=y", "key/status"] {
        let found = remote.source(Source::ConfigMap, "default", name).await;
        assert!(found.is_ok_and(|found| found.is_none()), "{name:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_said_to_be() {
    let mut world = World::start(100).await;
    let remote = world.remote();
    world.stop_server().await;
    let error = remote.node("n1").await.unwrap_err();
    assert_eq!(error.reason, Reason::ServiceUnavailable);
    assert!(error.message.starts_with("can't reach https://127.0.0.1:"), "{error}");
    world.start_server().await;
    assert!(remote.node("n1").await.unwrap().is_none());
}
