//! Deployments: rollouts that go well and that do not, rollback, pause, scaling, Recreate, history, adoption.

use gantry_sdk::api::{ObjectMeta, Pod, Resource};
use gantry_sdk::testing::{Fault, Verb};
use gantry_sdk::{Error, ErrorCode, json};

use super::Cluster;
use crate::deployment::Deployment;
use crate::deployment::plan::samples::template;
use crate::replicaset::ReplicaSet;

fn progressing(cluster: &Cluster) -> String {
    cluster.condition("Progressing").1
}

#[test]
fn a_new_deployment_gets_its_pods() {
    let mut cluster = Cluster::new(json!({}));
    cluster.driver().round();
    assert_eq!(progressing(&cluster), "NewReplicaSetCreated");
    cluster.settle();
    cluster.assert_done();
    let set = cluster.set("v1").unwrap();
    let hash = set.metadata.labels.get("pod-template-hash").unwrap();
    assert_eq!(set.metadata.name, format!("web-{hash}"));
    assert_eq!(set.spec.selector.match_labels.get("pod-template-hash"), Some(hash));
    assert!(cluster.pods().iter().all(|pod| pod.metadata.labels.get("pod-template-hash") == Some(hash)));
    assert!(cluster.pods().iter().all(|pod| pod.metadata.name.starts_with(&format!("{}-", set.metadata.name))));
    let annotation = |name: &str| set.metadata.annotations.get(&format!("deployment.kubernetes.io/{name}")).cloned();
    assert_eq!(annotation("revision").as_deref(), Some("1"));
    assert_eq!(
        (annotation("desired-replicas").as_deref(), annotation("max-replicas").as_deref()),
        (Some("3"), Some("4"))
    );
    assert_eq!(cluster.revision(), "1");
    assert_eq!(progressing(&cluster), "NewReplicaSetAvailable");
    let name = &set.metadata.name;
    assert_eq!(cluster.events("Deployment"), [format!("ScalingReplicaSet: Scaled up replica set {name} from 0 to 3")]);
    assert!(cluster.events("ReplicaSet").iter().all(|event| event.starts_with("SuccessfulCreate: Created pod: web-")));
}

#[test]
fn a_new_image_is_rolled_out_one_by_one() {
    let mut cluster = Cluster::running(json!({}));
    cluster.set_image("v2");
    cluster.settle();
    cluster.assert_done();
    assert_eq!((cluster.size("v1"), cluster.size("v2"), cluster.revision().as_str()), (0, 3, "2"));
    let scaled: Vec<_> =
        cluster.events("Deployment").iter().skip(1).map(|e| e.split_once(" from ").unwrap().1.to_owned()).collect();
    assert_eq!(scaled, ["0 to 1", "3 to 2", "1 to 2", "2 to 1", "2 to 3", "1 to 0"]);
}

#[test]
fn a_bad_image_stops_within_the_limits_and_is_undone() {
    let mut cluster = Cluster::running(json!({}));
    cluster.set_image("bad");
    cluster.settle();
    assert_eq!((cluster.size("v1"), cluster.size("bad")), (3, 1));
    assert_eq!(cluster.condition("Available").0, "True");
    cluster.advance(300);
    assert_ne!(progressing(&cluster), "ProgressDeadlineExceeded");
    cluster.advance(301);
    assert_eq!(cluster.condition("Progressing"), ("False".into(), "ProgressDeadlineExceeded".into()));
    cluster.assert_idle();
    // `kubectl rollout undo` puts the old template back.
    cluster.set_image("v1");
    cluster.settle();
    cluster.assert_done();
    assert_eq!(progressing(&cluster), "NewReplicaSetAvailable");
    let set = cluster.set("v1").unwrap();
    assert_eq!(set.metadata.annotations.get("deployment.kubernetes.io/revision").map(String::as_str), Some("3"));
    assert_eq!(
        set.metadata.annotations.get("deployment.kubernetes.io/revision-history").map(String::as_str),
        Some("1")
    );
    assert_eq!(cluster.revision(), "3");
    assert_eq!(cluster.sets().len(), 2);
}

#[test]
fn the_deadline_wakes_the_deployment_by_itself() {
    let mut cluster = Cluster::running(json!({"progressDeadlineSeconds": 5}));
    cluster.set_image("bad");
    cluster.settle();
    let key = cluster.deployment().reference();
    let due = cluster.driver().timer(&key).expect("a timer");
    cluster.host.set_now(due);
    cluster.settle();
    assert_eq!(progressing(&cluster), "ProgressDeadlineExceeded");
    assert_eq!(cluster.driver().timer(&key), None);
}

#[test]
fn without_a_deadline_there_is_no_progress_condition() {
    let mut cluster = Cluster::running(json!({"progressDeadlineSeconds": i32::MAX}));
    assert_eq!(progressing(&cluster), "");
    cluster.set_image("bad");
    cluster.advance(100_000);
    assert_eq!(progressing(&cluster), "");
}

#[test]
fn a_template_edited_again_replaces_the_half_done_one() {
    let mut cluster = Cluster::running(json!({"replicas": 6}));
    cluster.set_image("bad");
    cluster.settle();
    cluster.set_image("v3");
    cluster.settle();
    cluster.assert_done();
    assert_eq!((cluster.size("v1"), cluster.size("bad"), cluster.size("v3")), (0, 0, 6));
}

#[test]
fn a_pause_lets_scaling_through_and_nothing_else() {
    let mut cluster = Cluster::running(json!({}));
    cluster.patch(json!({"paused": true, "template": template("v2")}));
    cluster.settle();
    assert_eq!((cluster.set("v2").is_none(), progressing(&cluster).as_str()), (true, "DeploymentPaused"));
    cluster.patch(json!({"replicas": 5}));
    cluster.settle();
    assert_eq!((cluster.size("v1"), cluster.pods().len()), (5, 5));
    cluster.advance(1_000);
    assert_eq!(progressing(&cluster), "DeploymentPaused", "the clock stands");
    cluster.assert_idle();
    cluster.patch(json!({"paused": false}));
    cluster.driver().round();
    cluster.settle();
    cluster.assert_done();
    assert_eq!((cluster.size("v1"), cluster.size("v2")), (0, 5));
}

#[test]
fn scaling_in_a_stuck_rollout_keeps_the_mix() {
    let rolling = json!({"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}});
    let mut cluster = Cluster::running(rolling);
    cluster.set_image("bad");
    cluster.settle();
    assert_eq!((cluster.size("v1"), cluster.size("bad")), (8, 5));
    cluster.patch(json!({"replicas": 15}));
    cluster.settle();
    assert_eq!((cluster.size("v1"), cluster.size("bad")), (11, 7));
    cluster.patch(json!({"replicas": 0}));
    cluster.settle();
    assert_eq!(cluster.pods().len(), 0);
    cluster.set_image("v1");
    cluster.patch(json!({"replicas": 2}));
    cluster.settle();
    cluster.assert_done();
}

#[test]
fn recreate_waits_until_old_pods_are_gone() {
    let mut cluster = Cluster::running(json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}));
    cluster.set_image("v2");
    cluster.driver().settle();
    let all = || cluster.host.all::<Pod>();
    assert_eq!((all().len(), all().iter().filter(|pod| pod.metadata.is_deleting()).count()), (3, 3));
    assert!(cluster.set("v2").is_none(), "old pods are only terminating");
    // The node says that they are gone: that alone has to wake the Deployment.
    cluster.host.finish_deletions();
    cluster.driver().settle();
    assert_eq!(cluster.images(), ["v2"; 3]);
    cluster.settle();
    cluster.assert_done();
}

#[test]
fn recreate_wakes_up_even_if_pods_vanish_at_once() {
    let mut cluster = Cluster::running(json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}));
    cluster.set_image("v2");
    while cluster.round() > 0 {
        cluster.host.finish_deletions();
    }
    assert_eq!(cluster.images(), ["v2"; 3]);
}

#[test]
fn min_ready_seconds_hold_a_rollout_back() {
    let mut cluster = Cluster::running(json!({"minReadySeconds": 10}));
    assert_eq!(cluster.deployment().status.available_replicas, 0);
    cluster.advance(10);
    cluster.assert_done();
    cluster.set_image("v2");
    cluster.settle();
    assert_eq!((cluster.size("v1"), cluster.size("v2")), (3, 1));
    cluster.advance(9);
    assert_eq!((cluster.size("v1"), cluster.size("v2")), (3, 1));
    cluster.advance(1);
    assert_eq!((cluster.size("v1"), cluster.size("v2")), (2, 2));
    cluster.advance(10);
    cluster.advance(10);
    cluster.assert_done();
    cluster.patch(json!({"minReadySeconds": 0}));
    cluster.settle();
    assert_eq!(cluster.set("v2").unwrap().spec.min_ready_seconds, 0);
}

#[test]
fn history_is_cut_to_its_limit() {
    let mut cluster = Cluster::running(json!({"revisionHistoryLimit": 2}));
    for image in ["v2", "v3", "v4", "v5"] {
        cluster.set_image(image);
        cluster.settle();
    }
    cluster.assert_done();
    let kept = ["v1", "v2", "v3", "v4", "v5"].map(|image| cluster.set(image).is_some());
    assert_eq!(kept, [false, false, true, true, true]);
    assert_eq!(cluster.revision(), "5");
}

#[test]
fn annotations_go_along_but_for_the_last_applied_one() {
    let mut cluster = Cluster::running(json!({}));
    cluster.host.edit::<Deployment>("default", "web", |deployment| {
        let annotations = &mut deployment.metadata.annotations;
        annotations.insert("kubernetes.io/change-cause".into(), "kubectl set image".into());
        annotations.insert("kubectl.kubernetes.io/last-applied-configuration".into(), "{}".into());
    });
    cluster.settle();
    let annotations = cluster.set("v1").unwrap().metadata.annotations;
    assert_eq!(annotations.get("kubernetes.io/change-cause").map(String::as_str), Some("kubectl set image"));
    assert!(!annotations.contains_key("kubectl.kubernetes.io/last-applied-configuration"));
    cluster.assert_idle();
}

#[test]
fn a_lost_deployment_is_taken_up_again_by_its_namesake() {
    let mut cluster = Cluster::running(json!({}));
    let before = cluster.set("v1").unwrap();
    // As after `kubectl delete --cascade=orphan`.
    cluster.host.edit::<ReplicaSet>("default", &before.metadata.name, |set| set.metadata.owner_references.clear());
    cluster.settle();
    assert!(cluster.set("v1").unwrap().metadata.is_controlled_by(&cluster.deployment().metadata.uid));
    cluster.assert_done();
    assert_eq!(cluster.sets().len(), 1);
}

#[test]
fn a_set_whose_labels_no_longer_match_is_released() {
    let mut cluster = Cluster::running(json!({}));
    let old = cluster.set("v1").unwrap();
    cluster.host.edit::<ReplicaSet>("default", &old.metadata.name, |set| {
        set.metadata.labels.insert("app".into(), "other".into());
    });
    cluster.settle();
    let released: ReplicaSet = cluster.host.get("default", &old.metadata.name).unwrap();
    assert!(released.metadata.controller().is_none());
    // Its name is taken, so the new one has another.
    assert_eq!(cluster.sets().len(), 2);
    assert_eq!(cluster.deployment().status.collision_count, Some(1));
}

#[test]
fn a_name_that_is_taken_is_avoided() {
    let mut cluster = Cluster::running(json!({}));
    let taken = cluster.set("v1").unwrap().metadata.name;
    let mut cluster2 = Cluster::new(json!({}));
    let mut foreign = ReplicaSet { metadata: ObjectMeta::named("default", &taken), ..ReplicaSet::default() };
    foreign.spec.replicas = Some(0);
    cluster2.host.add(foreign);
    cluster2.settle();
    cluster2.assert_done();
    assert_eq!(cluster2.deployment().status.collision_count, Some(1));
    cluster.driver().settle();
}

#[test]
fn impossible_specs_are_said_to_be_so() {
    for (spec, reason) in [
        (json!({"selector": {"matchLabels": {"app": "db"}}}), "InvalidSpec"),
        (json!({"template": {"spec": {"restartPolicy": "Never"}}}), "InvalidSpec"),
        (json!({"strategy": {"rollingUpdate": {"maxSurge": "many"}}}), "InvalidSpec"),
        (json!({"selector": {"matchLabels": null}}), "SelectingAll"),
    ] {
        let mut cluster = Cluster::new(spec.clone());
        cluster.settle();
        assert!(cluster.sets().is_empty(), "{spec}");
        assert_eq!(cluster.condition("ReplicaFailure"), ("True".into(), reason.into()));
        assert!(cluster.events("Deployment").iter().all(|event| event.starts_with(reason)));
        assert_eq!(cluster.deployment().status.observed_generation, 1);
        cluster.assert_idle();
    }
}

#[test]
fn a_set_that_can_not_be_made_is_a_failed_rollout() {
    let mut cluster = Cluster::new(json!({}));
    let quota = Error::new(ErrorCode::Forbidden, gantry_sdk::RetryHint::Never, "exceeded quota");
    cluster.host.fail(Fault::on(Verb::Create).of::<ReplicaSet>().times(2).with(quota));
    cluster.driver().settle();
    assert_eq!(cluster.condition("Progressing"), ("False".into(), "ReplicaSetCreateError".into()));
    assert!(cluster.events("Deployment")[0].contains("Failed to create new replica set"));
    assert_eq!(cluster.driver().take_errors().len(), 2);
    cluster.advance(1);
    cluster.assert_done();
}

#[test]
fn nothing_is_made_in_a_namespace_that_is_going() {
    let mut cluster = Cluster::new(json!({}));
    cluster.host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "deletionTimestamp": cluster.host.now()}}));
    cluster.host.fail(Fault::on(Verb::Create).times(1_000).with(Error::forbidden("namespace is being terminated")));
    cluster.settle();
    assert!(cluster.driver().take_errors().is_empty());
    assert!(cluster.events("Deployment").is_empty());
}
