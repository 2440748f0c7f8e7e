//! What the verbs cost. Not run by default: `cargo test --release -p gantry-objects -- --ignored --nocapture speed`.

use std::time::Instant;

use gantry_objects::Binding;
use serde_json::json;

use crate::support::{World, pod, status_write, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed_of_pod_writes() {
    let world = World::new().await;
    let kind = world.kind("pods");
    let count = 20_000;
    let start = Instant::now();
    each(count, |n| {
        let (objects, kind) = (world.objects.clone(), kind.clone());
        async move { drop(objects.create(&kind, "a", pod(&format!("p{n}")), &write()).await.unwrap()) }
    })
    .await;
    report("create", count, start);
    let start = Instant::now();
    each(count, |n| {
        let objects = world.objects.clone();
        async move {
            let name = format!("p{n}");
            let binding =
                Binding { namespace: "a", name: &name, uid: None, revision: None, node: "n", ..Binding::default() };
            drop(objects.bind(&binding).await.unwrap());
        }
    })
    .await;
    report("bind", count, start);
    let start = Instant::now();
    each(count, |n| {
        let (objects, kind) = (world.objects.clone(), kind.clone());
        async move {
            let name = format!("p{n}");
            let status = json!({"metadata": {"name": name}, "status": {"phase": "Running", "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0, "image": "i:1", "imageID": "x", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
            drop(objects.update(&kind, "a", &name, status, &status_write()).await.unwrap());
        }
    })
    .await;
    report("status", count, start);
}

async fn each<F: Future<Output = ()> + Send + 'static>(count: usize, make: impl Fn(usize) -> F) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..count {
        if tasks.len() >= 256 {
            tasks.join_next().await.unwrap().unwrap();
        }
        tasks.spawn(make(n));
    }
    tasks.join_all().await;
}

fn report(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.0}/s, {:.0} us each", count as f64 / seconds, seconds * 1e6 / count as f64);
}
