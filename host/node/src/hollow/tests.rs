//! A fleet over a control plane that is a table.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Fleet, FleetOptions, Latency, Model};
use crate::agent::testing::cluster::FakeCluster;
use crate::agent::testing::{UID, object};
use crate::cluster::{Cluster, PodEvent, PodFeed};

/// The status of the next pod that fits, and whether it is gone.
async fn next(feed: &mut dyn PodFeed, fits: impl Fn(&Value) -> bool) -> (Value, bool) {
    loop {
        for event in feed.next().await.unwrap() {
            let (record, gone) = match event {
                PodEvent::Snapshot(_) => continue,
                PodEvent::Applied(record) => (record, false),
                PodEvent::Gone(record) => (record, true),
            };
            let status = record.value()["status"].clone();
            if gone || fits(&status) {
                return (status, gone);
            }
        }
    }
}

#[tokio::test]
async fn a_pod_that_is_to_go_says_first_how_its_containers_ended() {
    let cluster = Arc::new(FakeCluster::new(Arc::default()));
    let mut feed = cluster.pods(None);
    let quick = Latency::millis(1, 0.0);
    let model = Model { start: quick, stop: quick, ..Model::default() };
    let fleet = Fleet::start(cluster.clone(), FleetOptions { nodes: 1, model, ..FleetOptions::default() });
    cluster.put_pod(object(UID, json!({"nodeName": "hollow-0", "restartPolicy": "Always"}), json!({})));
    next(&mut *feed, |status| status["phase"] == "Running").await;
    cluster.edit_pod("web", |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    });
    let (status, gone) = next(&mut *feed, |status| status["phase"] != "Running").await;
    assert!(!gone, "it vanished without a word");
    assert_eq!(status["phase"], "Failed");
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 143);
    assert!(next(&mut *feed, |_| false).await.1, "then it goes");
    fleet.stop().await;
}
