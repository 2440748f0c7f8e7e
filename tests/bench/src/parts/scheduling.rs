//! Many pods on many hollow nodes: from the first create to the last durable bind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Bench, progress};
use crate::client::{Connection, Watch};
use crate::host::Host;
use crate::machine::Meter;
use crate::report::{Busy, Section, Table};
use crate::stats::{Series, short};

pub const TITLE: &str = "Scheduling";

const PODS: &str = "/api/v1/namespaces/default/pods";
const LABEL: &str = "app%3Dbench";
/// For nodes to register, and for pods to be bound.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Default)]
struct Found {
    bound: Series,
    created: Series,
    nodes: Series,
    memory: Series,
    busy: Busy,
}

pub async fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let mut found = Found::default();
    for run in 0..bench.runs {
        run_once(bench, run, &mut found).await?;
    }
    section.text(&format!(
        "`gantry up --no-node --hollow-nodes {}`, then {} pods (100m of CPU, 64Mi of memory) created over the API by {} \
         clients, each a TLS connection of its own. A pod counts as bound when a watch shows its node: then it is on \
         disk. Hollow nodes run their pods meanwhile: each pod's status is written as well. {} runs, each with a new \
         server; {}.",
        bench.nodes,
        bench.pods,
        bench.clients,
        bench.runs,
        found.busy.shown(),
    ));
    let mut table = Table::new(&["", ""]);
    table.row(&["pods per second, first create to last bind", &found.bound.to_string()]);
    table.row(&["creates per second meanwhile", &found.created.to_string()]);
    table.row(&["all nodes registered and ready after, s", &found.nodes.to_string()]);
    table.row(&["resident afterwards, MB", &found.memory.to_string()]);
    section.table(table);
    Ok(())
}

async fn run_once(bench: &Bench, run: usize, found: &mut Found) -> Result<()> {
    let data = bench.data(&format!("scheduling-{run}"))?;
    let nodes = bench.nodes.to_string();
    let begun = Instant::now();
    let host = Host::start(&bench.built, &data, &["--no-node", "--hollow-nodes", &nodes]).await?;
    nodes_ready(&mut host.target().connect().await?, bench.nodes).await?;
    found.nodes.add(begun.elapsed().as_secs_f64());
    let watch = host.target().connect().await?.watch(PODS, LABEL).await?;
    let connections = host.target().connect_many(bench.clients).await?;
    let meter = Meter::start(host.pid())?;
    let begun = Instant::now();
    let bound = tokio::spawn(tokio::time::timeout(PATIENCE, all_bound(watch, bench.pods)));
    create(connections, bench.pods).await?;
    let created = begun.elapsed();
    bound.await?.context("not all pods were bound in time")??;
    let rate = |time: Duration| bench.pods as f64 / time.as_secs_f64();
    let per_second = rate(begun.elapsed());
    found.busy.add(meter.end()?);
    found.bound.add(per_second);
    found.created.add(rate(created));
    found.memory.add(host.memory()? / 1e6);
    progress(&format!("{} pods/s (creates {}/s)", short(per_second), short(rate(created))));
    host.stop()?;
    std::fs::remove_dir_all(data)?;
    Ok(())
}

async fn nodes_ready(connection: &mut Connection, count: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = connection.get_json("/api/v1/nodes").await?;
        let items = list.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ready = items.iter().filter(|node| is_ready(node)).count();
        if ready == count {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "only {ready} of {count} nodes are ready");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let field = |condition: &Value, name: &str, value: &str| condition.get(name).and_then(Value::as_str) == Some(value);
    let ready = |condition: &Value| field(condition, "type", "Ready") && field(condition, "status", "True");
    conditions.is_some_and(|conditions| conditions.iter().any(ready))
}

async fn create(connections: Vec<Connection>, pods: usize) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let next = next.clone();
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= pods {
                    return anyhow::Ok(());
                }
                connection.create(PODS, pod(number)).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a client panicked")??;
    }
    Ok(())
}

fn pod(number: usize) -> Bytes {
    let requests = json!({"requests": {"cpu": "100m", "memory": "64Mi"}});
    let container = json!({"name": "main", "image": "gantry.local/web:1", "resources": requests});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("bench-{number}"), "labels": {"app": "bench"}},
        "spec": {"containers": [container]},
    })
    .to_string()
    .into()
}

/// Of an event, what is needed here.
#[derive(Deserialize)]
struct Event {
    object: Pod,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

async fn all_bound(mut watch: Watch, count: usize) -> Result<()> {
    let mut bound = std::collections::HashSet::with_capacity(count);
    while bound.len() < count {
        let event: Event = watch.next().await?;
        if event.object.spec.node_name.is_some() {
            bound.insert(event.object.metadata.name);
        }
    }
    Ok(())
}
