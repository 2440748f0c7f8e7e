//! The paths.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use async_trait::async_trait;
use gantry_control::{bootstrap, recorder, scheduling};
use gantry_model::{Kind, Kinds, core};
use gantry_objects::{Objects, Subresource, WriteOptions};
use gantry_plugin::family::controller::{Description, Mapping, Outcome, Watch};
use gantry_plugin::family::{Error, KindRef, ObjectRef};
use gantry_plugin::{Call, Controller};
use gantry_store::{Sled, Store};
use serde_json::{Value, json};

use crate::native::Native;

const WATCHERS: usize = 100;
const NODES: u32 = 1_000;

async fn objects() -> Result<(Objects, Arc<dyn Store>)> {
    let store: Arc<dyn Store> = Arc::new(Sled::temporary()?);
    let kinds = Kinds::default();
    core::register(&kinds);
    let objects = Objects::new(store.clone(), kinds);
    bootstrap::run(&objects).await?;
    Ok((objects, store))
}

fn kind(objects: &Objects, kind: &str) -> Result<Arc<Kind>> {
    objects.kinds().by_kind("", kind).with_context(|| format!("there is no kind {kind}"))
}

/// About 1 KB, as in the part `api`.
fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": "x".repeat(1_000)}})
}

async fn create(objects: &Objects, kind: &Arc<Kind>, object: Value) -> Result<()> {
    objects.create(kind, "default", object, &WriteOptions::default()).await?;
    Ok(())
}

/// One durable create, validation and defaults included.
pub async fn put(times: u32) -> Result<()> {
    let (objects, store) = objects().await?;
    let kind = kind(&objects, "ConfigMap")?;
    for n in 0..times {
        create(&objects, &kind, config_map(&format!("c-{n}"))).await?;
    }
    store.close().await;
    Ok(())
}

/// One read, to the bytes that an answer has for its body.
pub async fn get(times: u32) -> Result<()> {
    let (objects, store) = objects().await?;
    let kind = kind(&objects, "ConfigMap")?;
    create(&objects, &kind, config_map("c")).await?;
    for _ in 0..times {
        black_box(objects.get(&kind, "default", "c")?.json.to_vec());
    }
    store.close().await;
    Ok(())
}

/// One durable create that 100 watchers see.
pub async fn fan_out(times: u32) -> Result<()> {
    let (objects, store) = objects().await?;
    let kind = kind(&objects, "ConfigMap")?;
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let mut watch = store.watch(&kind.resource(), None)?;
        watchers.push(tokio::spawn(async move {
            let mut seen = 0;
            while seen < times as usize {
                seen += watch.next().await?.len();
            }
            Ok::<_, gantry_store::Error>(())
        }));
    }
    for n in 0..times {
        create(&objects, &kind, config_map(&format!("c-{n}"))).await?;
    }
    for watcher in watchers {
        watcher.await??;
    }
    store.close().await;
    Ok(())
}

/// One pod placed by the stock policy on one of 1,000 nodes, and bound on disk; creating it is part of it.
pub async fn place(times: u32) -> Result<()> {
    let (objects, store) = objects().await?;
    let (node, pod) = (kind(&objects, "Node")?, kind(&objects, "Pod")?);
    for n in 0..NODES {
        add_node(&objects, &node, n).await?;
    }
    let (recorder, events) = recorder::recorder(&objects);
    let events = tokio::spawn(events);
    let mut watch = store.watch(&pod.resource(), None)?;
    let policies: Vec<(String, Box<dyn gantry_plugin::Scheduler>)> =
        vec![("scheduler-kubernetes".to_owned(), Box::new(Native::default()))];
    let handle = scheduling::start(scheduling::Options::new(objects.clone(), recorder, policies));
    for n in 0..times {
        let container =
            json!({"name": "main", "image": "none", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}});
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p-{n}")}, "spec": {"containers": [container]},
        });
        create(&objects, &pod, object).await?;
        // One after the other: each placement asks anew.
        while !watch.next().await?.iter().any(|event| !event.record.field("spec.nodeName").is_empty()) {}
    }
    handle.stop().await;
    events.abort();
    store.close().await;
    Ok(())
}

async fn add_node(objects: &Objects, kind: &Arc<Kind>, n: u32) -> Result<()> {
    let name = format!("n-{n}");
    let object = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    });
    objects.create(kind, "", object, &WriteOptions::default()).await?;
    let status = json!({"status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "500"}}});
    let options = WriteOptions { subresource: Subresource::Status, ..WriteOptions::default() };
    objects.patch(kind, "", &name, gantry_objects::Patch::Merge(status), &options).await?;
    Ok(())
}

/// Counts keys.
struct Counter(AtomicU32);

#[async_trait]
impl Controller for Counter {
    async fn describe(&self) -> Call<Result<Description, Error>> {
        let kind = || KindRef { group: String::new(), kind: "ConfigMap".to_owned() };
        Ok(Ok(Description {
            watches: vec![Watch { kind: kind(), mapping: Mapping::Itself, target: kind(), fields: Vec::new() }],
        }))
    }

    async fn map(&self, _: KindRef, objects: Vec<Vec<u8>>) -> Call<Vec<Vec<ObjectRef>>> {
        Ok(vec![Vec::new(); objects.len()])
    }

    async fn reconcile(&self, _: u64, keys: Vec<ObjectRef>) -> Call<Vec<Outcome>> {
        self.0.fetch_add(u32::try_from(keys.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        Ok(keys.iter().map(|_| Outcome::Done).collect())
    }
}

/// One event from a durable create to a call of a controller that does nothing.
pub async fn reconcile(times: u32) -> Result<()> {
    let (objects, store) = objects().await?;
    let kind = kind(&objects, "ConfigMap")?;
    let (recorder, events) = recorder::recorder(&objects);
    let events = tokio::spawn(events);
    let counter = Arc::new(Counter(AtomicU32::new(0)));
    let handle = gantry_control::reconcile::start(gantry_control::reconcile::Options {
        plugin: "counter".to_owned(),
        controller: counter.clone(),
        objects: objects.clone(),
        recorder,
        concurrency: 1,
        batch: 32,
    });
    for n in 0..times {
        create(&objects, &kind, config_map(&format!("c-{n}"))).await?;
        while counter.0.load(Ordering::Relaxed) <= n {
            tokio::task::yield_now().await;
        }
    }
    drop(handle);
    events.abort();
    store.close().await;
    Ok(())
}
