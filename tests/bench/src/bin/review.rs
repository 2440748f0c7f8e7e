//! What a review costs: durable creates of Deployments, with the stock plugin as their reviewer and with nobody looking.
//! No HTTP, no loops. `gantry-bench-review COMPONENT [RUNS]` prints lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use gantry_control::admission::{self, Options};
use gantry_control::objects::PluginObjects;
use gantry_control::{bootstrap, recorder};
use gantry_model::{Kinds, core};
use gantry_objects::{Objects, WriteOptions};
use gantry_plugin::bundle::digest;
use gantry_plugin::{Bundle, Engine, EngineOptions};
use gantry_store::{Sled, Store};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// As `gantry` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writers at once, with the number of creates that they share.
const LOADS: [(usize, usize); 3] = [(1, 1_000), (16, 5_000), (64, 10_000)];

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let component = PathBuf::from(arguments.next().context("which component?")?).canonicalize()?;
    let runs: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    println!("{:>7} {:>14} {:>14} {:>7}", "writers", "reviewed, 1/s", "unseen, 1/s", "ratio");
    for (writers, count) in LOADS {
        let (mut reviewed, mut unseen) = (Vec::new(), Vec::new());
        // In turns, so that what else the machine does meanwhile meets both.
        for _ in 0..runs {
            unseen.push(rate(&component, false, writers, count).await?);
            reviewed.push(rate(&component, true, writers, count).await?);
        }
        let (reviewed, unseen) = (median(reviewed), median(unseen));
        println!("{writers:>7} {reviewed:>14.0} {unseen:>14.0} {:>7.2}", reviewed / unseen);
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Creates a second in a new store.
async fn rate(component: &Path, reviewed: bool, writers: usize, count: usize) -> Result<f64> {
    let data = tempfile::tempdir()?;
    let path = data.path().join("store");
    let opened = tokio::task::spawn_blocking(move || Sled::open(gantry_store::Options::new(path))).await??;
    let store: Arc<dyn Store> = Arc::new(opened);
    let kinds = Kinds::default();
    core::register(&kinds);
    let objects = Objects::new(store.clone(), kinds);
    bootstrap::run(&objects).await?;
    let mut tasks = JoinSet::new();
    let engine = Engine::new(EngineOptions::new(data.path().join("engine")))?;
    plug(&engine, component, &objects, reviewed, &mut tasks).await?;
    // The first instance and the first look at a schema are not what is measured.
    create(&objects, "warm", 1, 1).await?;
    let begun = Instant::now();
    create(&objects, "web", writers, count).await?;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    tasks.shutdown().await;
    store.close().await;
    Ok(rate)
}

/// Loads the plugin: its kinds are known either way.
async fn plug(
    engine: &Engine,
    component: &Path,
    objects: &Objects,
    reviewed: bool,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let name = component.file_stem().and_then(|name| name.to_str()).context("a component has a name")?;
    let digest = digest(&std::fs::read(component)?);
    let source = component.display();
    let text = format!(
        "name = \"bench\"\n[[plugin]]\nname = \"{name}\"\nsource = \"{source}\"\ndigest = \"{digest}\"\ngrants = \"asked\"\n"
    );
    let bundle = Bundle::parse(&text, Path::new("bench.toml"))?;
    let (recorder, events) = recorder::recorder(objects);
    tasks.spawn(events);
    let seen = PluginObjects::new(objects.clone(), recorder, name);
    let entry = bundle.plugins.first().context("the bundle has a plugin")?;
    let loaded = engine.load_one(entry, &[], Arc::new(seen)).await?;
    loaded.manifest().kinds.iter().cloned().for_each(|kind| objects.kinds().insert(kind));
    if reviewed {
        let plugin = loaded.admission().context("the component is no reviewer")?;
        let rules = admission::rules(&*plugin).await?;
        let reviews = admission::start(Options::new(name, plugin), rules, tasks);
        objects.reviewed_by(vec![Arc::new(reviews)]);
    }
    Ok(())
}

async fn create(objects: &Objects, prefix: &'static str, writers: usize, count: usize) -> Result<()> {
    let kind = objects.kinds().by_kind("apps", "Deployment").context("there is no kind Deployment")?;
    let mut tasks = JoinSet::new();
    for first in 0..writers {
        let (objects, kind) = (objects.clone(), kind.clone());
        tasks.spawn(async move {
            for number in (first..count).step_by(writers) {
                let object = deployment(&format!("{prefix}-{number}"));
                objects.create(&kind, "default", object, &WriteOptions::default()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| anyhow!(error))??;
    }
    Ok(())
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
                "name": "web", "image": "gantry.local/web:1",
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            }]}},
        },
    })
}
