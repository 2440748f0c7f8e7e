//! A thousand replicas: a pass must not cost a thousand objects.

use std::time::Instant;

use gantry_sdk::api::Resource;
use gantry_sdk::controller::{Controller, Outcome};
use gantry_sdk::objects::Write;
use gantry_sdk::{json, serde_json};

use super::Cluster;
use crate::controller::Workloads;
use crate::replicaset::pod::Row;
use crate::replicaset::{plan, status};

#[test]
fn a_burst_is_bounded_and_goes_on_at_once() {
    let mut cluster = Cluster::new(json!({"replicas": 1_200}));
    cluster.round();
    let key = cluster.sets()[0].reference();
    cluster.host.take_writes();
    let now = cluster.host.now();
    let outcome = Workloads.reconcile(now, &key).unwrap();
    assert_eq!(outcome, Outcome::RequeueAfterMs(0));
    let created = cluster.host.take_writes().iter().filter(|write| matches!(write, Write::Create(_))).count();
    assert_eq!(created, plan::BURST);
}

/// Decoding and counting only: what the guest does in a pass in which nothing changed. The bound is far above what an
/// optimised build needs, and far below what whole objects would cost.
#[test]
fn counting_a_thousand_pods_is_cheap() {
    let row = json!(["web-h0-00001", "00000000-0000-4000-8000-000000000001", "s0", {"app": "web"}, null, "Running", "True", "2026-01-01T00:00:00Z"]);
    let text = serde_json::to_string(&vec![row; 1_000]).unwrap();
    assert!(text.len() < 200 * 1_000, "{} bytes", text.len());
    let cluster = Cluster::running(json!({"replicas": 1}));
    let mut set = cluster.sets().remove(0);
    set.spec.replicas = Some(1_000);
    let start = Instant::now();
    let pods: Vec<Row> = serde_json::from_str(&text).unwrap();
    assert_eq!(plan::change(&set, &pods), plan::Change::Nothing);
    let (counted, _) = status::next(&set, &pods, &plan::Report::default(), cluster.host.now());
    let took = start.elapsed();
    assert_eq!(counted.ready_replicas, 1_000);
    assert!(took.as_millis() < 100, "{took:?}");
}
