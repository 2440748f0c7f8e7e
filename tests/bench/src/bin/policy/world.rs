//! A store with nodes and pods, and the host's scheduling loop over it: no API, no node.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gantry_control::{bootstrap, recorder, scheduling};
use gantry_model::{Kind, Kinds, core};
use gantry_node::cluster::Local;
use gantry_node::hollow::{Fleet, FleetOptions};
use gantry_objects::{ListOptions, Objects, WriteOptions};
use gantry_plugin::Scheduler;
use gantry_store::{Sled, Store};
use serde_json::json;
use tokio::task::JoinSet;

/// Creates under way at once: they share flushes of the store.
const AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes nodes and pods, then starts a scheduler; how long it takes until all pods are bound, on disk.
pub async fn bind_all(scheduler: Box<dyn Scheduler>, nodes: u32, pods: u32, data: &Path) -> Result<Duration> {
    let folder = tempfile::tempdir_in(data)?;
    let path = folder.path().join("store");
    let opened = tokio::task::spawn_blocking(move || Sled::open(gantry_store::Options::new(path))).await??;
    let store: Arc<dyn Store> = Arc::new(opened);
    let kinds = Kinds::default();
    core::register(&kinds);
    let objects = Objects::new(store.clone(), kinds);
    bootstrap::run(&objects).await?;
    register(&objects, nodes).await?;
    let kind = objects.kinds().by_kind("", "Pod").context("there is no kind Pod")?;
    create(&objects, &kind, pods).await?;
    let took = schedule(scheduler, &objects, &kind).await;
    store.close().await;
    took
}

/// As many hollow nodes, which nobody runs afterwards.
async fn register(objects: &Objects, nodes: u32) -> Result<()> {
    let options = FleetOptions { nodes, ..FleetOptions::default() };
    let fleet = Fleet::start(Arc::new(Local::new(objects.clone())), options);
    let stats = fleet.stats().clone();
    let registered = until(|| stats.registered() >= u64::from(nodes)).await;
    fleet.stop().await;
    registered
}

async fn create(objects: &Objects, kind: &Arc<Kind>, pods: u32) -> Result<()> {
    let mut tasks = JoinSet::new();
    for first in 0..AT_ONCE {
        let (objects, kind) = (objects.clone(), kind.clone());
        tasks.spawn(async move {
            let container = json!({
                "name": "main", "image": "none",
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            });
            for number in (first..pods as usize).step_by(AT_ONCE) {
                let pod = json!({
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("bench-{number}")},
                    "spec": {"containers": [container]},
                });
                objects.create(&kind, "default", pod, &WriteOptions::default()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn schedule(scheduler: Box<dyn Scheduler>, objects: &Objects, kind: &Kind) -> Result<Duration> {
    let (recorder, events) = recorder::recorder(objects);
    let events = tokio::spawn(events);
    let policies = vec![("scheduler-kubernetes".to_owned(), scheduler)];
    let begun = Instant::now();
    let handle = scheduling::start(scheduling::Options::new(objects.clone(), recorder, policies));
    let waiting = ListOptions { field_selector: "spec.nodeName=".to_owned(), limit: 1, ..ListOptions::default() };
    let done = until(|| objects.list(kind, &waiting).is_ok_and(|list| list.items.is_empty())).await;
    let took = begun.elapsed();
    handle.stop().await;
    events.abort();
    done.map(|()| took)
}

async fn until(done: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        ensure!(Instant::now() < deadline, "not done after {} s", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
