//! ReplicaSets alone: adoption, release, failures, deletion order.

use gantry_sdk::api::{Pod, Resource};
use gantry_sdk::testing::{Fault, Verb};
use gantry_sdk::{Error, json};

use super::Cluster;
use crate::object::condition;
use crate::replicaset::ReplicaSet;

fn cluster(replicas: i64) -> Cluster {
    let cluster = Cluster::empty();
    cluster.host.add_json(json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "tier": "a"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}},
        },
    }));
    cluster
}

fn add_pod(cluster: &Cluster, name: &str) {
    cluster.host.add_json(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "v1"}]}, "status": {"phase": "Pending"},
    }));
}

fn set(cluster: &Cluster) -> ReplicaSet {
    cluster.host.get("default", "web").unwrap()
}

fn scale(cluster: &Cluster, replicas: i64) {
    cluster.host.edit::<ReplicaSet>("default", "web", |set| {
        set.spec.replicas = Some(replicas);
        set.metadata.generation += 1;
    });
}

#[test]
fn orphans_that_match_are_adopted() {
    let mut cluster = cluster(2);
    cluster.settle();
    scale(&cluster, 3);
    add_pod(&cluster, "stray");
    cluster.settle();
    let stray: Pod = cluster.host.get("default", "stray").unwrap();
    assert!(stray.metadata.is_controlled_by(&set(&cluster).metadata.uid));
    assert_eq!(stray.metadata.owner_references[0].block_owner_deletion, Some(true));
    assert_eq!(cluster.pods().len(), 3);
    let status = set(&cluster).status;
    assert_eq!((status.replicas, status.fully_labeled_replicas, status.available_replicas), (3, 2, 3));
    cluster.assert_idle();
}

#[test]
fn too_many_after_adoption_means_one_goes() {
    let mut cluster = cluster(1);
    cluster.settle();
    add_pod(&cluster, "stray");
    cluster.settle();
    assert_eq!(cluster.pods().len(), 1);
    assert_ne!(cluster.pods()[0].metadata.name, "stray", "the one that does not run yet goes");
    assert!(cluster.events("ReplicaSet").contains(&"SuccessfulDelete: Deleted pod: stray".to_owned()));
}

#[test]
fn a_pod_that_no_longer_matches_is_released_and_replaced() {
    let mut cluster = cluster(2);
    cluster.settle();
    let name = cluster.pods()[0].metadata.name.clone();
    cluster.host.edit::<Pod>("default", &name, |pod| drop(pod.metadata.labels.insert("app".into(), "debug".into())));
    cluster.settle();
    let released: Pod = cluster.host.get("default", &name).unwrap();
    assert!(released.metadata.owner_references.is_empty());
    assert_eq!((cluster.pods().len(), set(&cluster).status.replicas), (3, 2));
    cluster.assert_idle();
}

#[test]
fn finished_pods_are_replaced_and_kept() {
    let mut cluster = cluster(1);
    cluster.settle();
    let name = cluster.pods()[0].metadata.name.clone();
    cluster.host.edit::<Pod>("default", &name, |pod| pod.status.phase = "Failed".into());
    cluster.settle();
    assert_eq!((cluster.pods().len(), cluster.host.all::<Pod>().len()), (1, 2));
    cluster.assert_idle();
}

#[test]
fn a_quota_stops_creation_early_and_shows() {
    let mut cluster = cluster(100);
    let quota = Error::exhausted("pods \"web-\" is forbidden: exceeded quota");
    cluster.host.fail(Fault::on(Verb::Create).of::<Pod>().skip(5).times(1_000).with(quota));
    cluster.driver().settle();
    assert_eq!(cluster.pods().len(), 5);
    let attempts =
        cluster.host.take_writes().iter().filter(|w| matches!(w, gantry_sdk::objects::Write::Create(_))).count();
    assert_eq!(
        attempts,
        1 + 2 + 4 + 1,
        "the batch that failed is the last; writing the status brings one more attempt"
    );
    let status = set(&cluster).status;
    let failure = condition::find(&status.conditions, "ReplicaFailure").unwrap();
    assert_eq!((failure.reason.as_str(), failure.last_update_time), ("FailedCreate", None));
    let events = cluster.events("ReplicaSet");
    assert!(events.contains(&"FailedCreate: Error creating: pods \"web-\" is forbidden: exceeded quota".to_owned()));
    assert_eq!(status.replicas, 5);
    scale(&cluster, 5);
    cluster.settle();
    assert!(set(&cluster).status.conditions.is_empty());
}

#[test]
fn a_deletion_that_fails_shows() {
    let mut cluster = cluster(2);
    cluster.settle();
    cluster.host.fail(Fault::on(Verb::Delete).of::<Pod>());
    scale(&cluster, 0);
    cluster.round();
    assert_eq!(condition::find(&set(&cluster).status.conditions, "ReplicaFailure").unwrap().reason, "FailedDelete");
    cluster.advance(1);
    assert_eq!(cluster.pods().len(), 0);
    assert!(set(&cluster).status.conditions.is_empty());
}

#[test]
fn scaling_down_spares_what_serves() {
    let mut cluster = cluster(4);
    cluster.settle();
    let pods = cluster.pods();
    cluster.set_ready(&pods[2], false);
    cluster.host.edit::<Pod>("default", &pods[0].metadata.name, |pod| {
        pod.metadata.annotations.insert("controller.kubernetes.io/pod-deletion-cost".into(), "-5".into());
    });
    scale(&cluster, 2);
    cluster.settle();
    let left: Vec<_> = cluster.pods().iter().map(|pod| pod.metadata.name.clone()).collect();
    assert_eq!(left, [pods[1].metadata.name.clone(), pods[3].metadata.name.clone()]);
    cluster.assert_idle();
}

#[test]
fn a_set_that_would_not_own_its_pods_makes_none() {
    let mut cluster = cluster(2);
    cluster.host.edit::<ReplicaSet>("default", "web", |set| {
        set.spec.template = json!({"metadata": {"labels": {"app": "other"}}});
    });
    cluster.settle();
    cluster.advance(10);
    assert_eq!(cluster.pods().len(), 0);
    assert_eq!(set(&cluster).status.conditions[0].reason, "FailedCreate");
}

#[test]
fn an_empty_set_still_says_that_it_was_seen() {
    let mut cluster = cluster(0);
    cluster.settle();
    assert_eq!(set(&cluster).status.observed_generation, 1);
    let written = cluster.host.get_json(&set(&cluster).reference()).unwrap();
    assert_eq!(written.pointer("/status/replicas"), Some(&json!(0)));
    cluster.assert_idle();
}
