//! Controllers: describing, mapping, reconciling; and what of the objects they reach.

use std::time::{Duration, Instant};

use gantry_plugin::family::controller::Outcome;
use gantry_plugin::family::{ErrorCode, ObjectRef};
use gantry_plugin::{Finding, State};

use crate::support::{Bench, keys, pod};

#[tokio::test]
async fn describes_maps_and_reconciles() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"");
    let loaded = bench.only().await;
    let controller = loaded.controller().unwrap();
    let description = controller.describe().await.unwrap().unwrap();
    assert_eq!(description.watches[0].kind.kind, "Pod");
    let mapped = controller.map(pod(), vec![b"a".to_vec(), b"b".to_vec()]).await.unwrap();
    let names: Vec<&str> = mapped.iter().flatten().map(|key: &ObjectRef| key.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let outcomes = controller.reconcile(77, keys(&["x", "now"])).await.unwrap();
    assert!(matches!(outcomes[..], [Outcome::Done, Outcome::RequeueAfterMs(77)]));
    assert!(controller.reconcile(0, Vec::new()).await.unwrap().is_empty());
    let health = loaded.health();
    assert_eq!((health.state, health.faults, health.instances), (State::Ready, 0, 1));
    assert!(health.calls >= 4 && health.memory_bytes > 0, "{} {}", health.calls, health.memory_bytes);
}

#[tokio::test]
async fn grants_hold_for_every_object() {
    let mut bench = Bench::new();
    bench.fixture(
        "fixture-controller",
        "[plugin.grants]\nevents = true\n[[plugin.grants.objects]]\ngroup = \"\"\nkind = \"*\"\nverbs = [\"list\", \"watch\", \"create\"]",
    );
    let controller = bench.only().await.controller().unwrap();
    let outcomes = controller.reconcile(0, keys(&["list", "get", "secrets", "write", "event"])).await.unwrap();
    let [
        Outcome::RequeueAfterMs(5),
        Outcome::Failed(get),
        Outcome::Failed(secrets),
        Outcome::Failed(write),
        Outcome::Done,
    ] = &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert!(matches!(get.code, ErrorCode::Forbidden), "asked for, not given");
    assert_eq!(get.message, "the bundle does not grant get on Pod");
    assert!(matches!(secrets.code, ErrorCode::Forbidden), "given, not asked for");
    assert_eq!(write.message, "n0;the bundle does not grant create on Secret;n1");
    assert_eq!(bench.objects.asked(), ["list Pod", "apply 2", "events 1"]);
}

#[tokio::test]
async fn watching_needs_a_grant() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"\n[plugin.config]\nwatch = \"nodes\"");
    let controller = bench.only().await.controller().unwrap();
    let refused = controller.describe().await.unwrap().unwrap_err();
    assert_eq!(refused.message, "watches Node, which the bundle does not grant");
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_no_fault() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"\n[plugin.config]\nplease = \"refuse\"");
    let loaded = bench.only().await;
    let controller = loaded.controller().unwrap();
    let refused = controller.describe().await.unwrap().unwrap_err();
    assert_eq!(refused.message, r#"{"please":"refuse"}"#, "its configuration, as JSON");
    let fault = controller.reconcile(0, keys(&["x"])).await.unwrap_err();
    assert!(matches!(fault.finding, Finding::Unavailable(_)));
    assert_eq!(loaded.health().faults, 0);
}

#[tokio::test]
async fn waiting_for_the_host_is_not_charged() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"\ndeadline-ms = 100");
    let controller = bench.only().await.controller().unwrap();
    *bench.objects.delay.lock().unwrap() = Duration::from_millis(300);
    for key in ["list", "sleep"] {
        let begin = Instant::now();
        controller.reconcile(0, keys(&[key])).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(300), "{key} did not wait");
    }
}

#[tokio::test]
async fn as_many_calls_at_once_as_instances() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"\ninstances = 3");
    let loaded = bench.only().await;
    let controller = loaded.controller().unwrap();
    *bench.objects.delay.lock().unwrap() = Duration::from_millis(300);
    let begin = Instant::now();
    let calls = (0..6).map(|_| controller.reconcile(0, keys(&["list"])));
    for outcome in futures::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(loaded.health().instances, 3);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(600), "six calls in two rounds, not {took:?}");
}

#[tokio::test]
async fn a_call_given_up_leaves_the_next_one_well() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"\ninstances = 1");
    let loaded = bench.only().await;
    let controller = loaded.controller().unwrap();
    *bench.objects.delay.lock().unwrap() = Duration::from_secs(3600);
    let call = controller.reconcile(0, keys(&["list"]));
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    *bench.objects.delay.lock().unwrap() = Duration::ZERO;
    controller.reconcile(0, keys(&["list"])).await.unwrap();
    assert_eq!((loaded.health().faults, loaded.health().instances), (0, 1));
}
