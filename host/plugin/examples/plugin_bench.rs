//! What a plugin costs: loading, making an instance, calling it. Needs the fixtures, which the tests build:
//! `cargo run --release -p gantry-plugin --example plugin_bench -- target/wasm32-wasip2/plugin/examples`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gantry_plugin::bundle::digest;
use gantry_plugin::family::objects::{Event, Query, Write, Written};
use gantry_plugin::family::scheduler::{Assignment, Delta, Node, Question, Resources};
use gantry_plugin::family::{self, KindRef, Label, ObjectRef};
use gantry_plugin::{Bundle, Engine, EngineOptions, Loaded, Objects};

/// Objects for plugins that ask for none.
struct Nothing;

#[async_trait]
impl Objects for Nothing {
    async fn get(&self, _: ObjectRef) -> Result<Vec<u8>, family::Error> {
        Ok(Vec::new())
    }
    async fn list(&self, _: Query) -> Result<Vec<u8>, family::Error> {
        Ok(Vec::new())
    }
    async fn apply(&self, _: Vec<Write>) -> Vec<Result<Written, family::Error>> {
        Vec::new()
    }
    async fn record_events(&self, _: Vec<Event>) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("which folder holds the fixtures?")?);
    let data = std::env::temp_dir().join(format!("gantry-plugin-bench-{}", std::process::id()));
    let outcome = measure(&folder, &data).await;
    std::fs::remove_dir_all(&data)?;
    outcome
}

async fn measure(folder: &Path, data: &Path) -> Result<(), Box<dyn Error>> {
    let mut text = "name = \"bench\"\n".to_owned();
    for name in ["controller", "scheduler"] {
        let file = folder.join(format!("fixture_{name}.wasm")).canonicalize()?;
        let digest = digest(&std::fs::read(&file)?);
        text += &format!(
            "[[plugin]]\nname = \"fixture-{name}\"\nsource = {file:?}\ndigest = \"{digest}\"\ngrants = \"asked\"\n"
        );
    }
    let bundle = Bundle::parse(&text, Path::new("bench.toml"))?;
    let engine = Engine::new(EngineOptions::new(data.to_owned()))?;
    let mut plugins = Vec::new();
    for what in ["compile and load two plugins", "load them from the cache"] {
        let begin = Instant::now();
        let loaded = engine.load(&bundle, &[], Arc::new(Nothing)).await;
        println!("{what:45} {:>10.1?}", begin.elapsed());
        plugins = loaded.into_iter().collect::<Result<Vec<Loaded>, _>>()?;
    }
    let [controller, scheduler] = &plugins[..] else { return Err("two plugins were expected".into()) };
    controllers(controller).await?;
    schedulers(scheduler).await
}

async fn controllers(loaded: &Loaded) -> Result<(), Box<dyn Error>> {
    let controller = loaded.controller().ok_or("no controller")?;
    let kind = KindRef { group: String::new(), kind: "Pod".to_owned() };
    let key = |name: &str| ObjectRef { kind: kind.clone(), namespace: "default".to_owned(), name: name.to_owned() };
    let mut samples = Vec::new();
    for _ in 0..2_000 {
        let keys = vec![key("good")];
        let begin = Instant::now();
        controller.reconcile(0, keys).await?;
        samples.push(begin.elapsed());
    }
    report("controller.reconcile of one key", &mut samples);
    Ok(())
}

async fn schedulers(loaded: &Loaded) -> Result<(), Box<dyn Error>> {
    let mut scheduler = loaded.scheduler().ok_or("no scheduler")?;
    let mut samples = Vec::new();
    for _ in 0..500 {
        let begin = Instant::now();
        scheduler.reset().await?.map_err(|e| e.message)?;
        samples.push(begin.elapsed());
    }
    report("new instance and configure", &mut samples);
    let nodes: Vec<Delta> = (0..5_000).map(|id| Delta::NodeSet(node(id))).collect();
    let begin = Instant::now();
    scheduler.sync(&nodes).await?.map_err(|e| e.message)?;
    println!("{:45} {:>10.1?}", "sync of 5,000 nodes with 5 labels", begin.elapsed());
    let assign = [Delta::Assign(Assignment { node: 1, class: 1, count: 1 })];
    for (what, ids) in [("one node", 1), ("1,000 nodes", 1_000), ("5,000 nodes", 5_000)] {
        let questions = [Question { class: 1, nodes: (0..ids).collect() }];
        let mut samples = Vec::new();
        for _ in 0..500 {
            let begin = Instant::now();
            scheduler.evaluate(&questions).await?.map_err(|e| e.message)?;
            samples.push(begin.elapsed());
        }
        report(&format!("scheduler.evaluate of {what}"), &mut samples);
    }
    let mut samples = Vec::new();
    for _ in 0..2_000 {
        let begin = Instant::now();
        scheduler.sync(&assign).await?.map_err(|e| e.message)?;
        samples.push(begin.elapsed());
    }
    report("scheduler.sync of one assignment", &mut samples);
    Ok(())
}

fn node(id: u32) -> Node {
    let label = |n| Label { key: format!("example.com/label-{n}"), value: format!("value-{id}") };
    Node {
        id,
        name: format!("node-{id}"),
        labels: (0..5).map(label).collect(),
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources {
            cpu_milli: 8_000,
            memory: 32 << 30,
            ephemeral_storage: 100 << 30,
            pods: 110,
            extended: Vec::new(),
        },
    }
}

fn report(what: &str, samples: &mut [Duration]) {
    samples.sort_unstable();
    let at = |share: usize| samples.get(samples.len() * share / 100).copied().unwrap_or_default();
    println!("{what:45} {:>10.1?} median, {:.1?} p99", at(50), at(99));
}
