//! The stock scheduling policy as a component and the same source compiled into this program, side by side: calls alone,
//! and the host's scheduling loop from end to end. `gantry-bench-policy COMPONENT [RUNS]` prints lines.

mod native;
mod world;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use gantry_bench::component::{load, ours};
use gantry_plugin::Scheduler;
use gantry_plugin::family::Label;
use gantry_plugin::family::scheduler::{Assignment, Class, Delta, Node, Question, Resources};
use serde_json::json;

use crate::native::Native;

/// As `gantry` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NODES: u32 = 1_000;
const PODS: u32 = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let component = PathBuf::from(arguments.next().context("which component?")?).canonicalize()?;
    let runs = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let data = tempfile::tempdir()?;
    let loaded = load("scheduler-kubernetes", &component, data.path()).await?;
    let scheduler = || loaded.scheduler().context("the component is no scheduler");
    let (mut component, mut natively) = (Found::default(), Found::default());
    // In turns, so that what else the machine does meanwhile meets both.
    for _ in 0..runs {
        natively.measure(Box::new(Native::default()), data.path()).await?;
        component.measure(scheduler()?, data.path()).await?;
    }
    println!("{:57} {:>10} {:>10} {:>6}", "medians", "component", "native", "ratio");
    line("placement (tell of one, ask about one node), µs", &mut component.placement, &mut natively.placement);
    line(&format!("verdicts on {NODES} nodes, µs"), &mut component.verdicts, &mut natively.verdicts);
    let what = format!("{PODS} pods placed and bound on {NODES} nodes, ms");
    line(&what, &mut component.bound, &mut natively.bound);
    Ok(())
}

#[derive(Default)]
struct Found {
    placement: Vec<f64>,
    verdicts: Vec<f64>,
    bound: Vec<f64>,
}

impl Found {
    async fn measure(&mut self, mut scheduler: Box<dyn Scheduler>, data: &Path) -> Result<()> {
        told(&mut *scheduler).await?;
        self.placement.push(placement(&mut *scheduler).await?);
        self.verdicts.push(verdicts(&mut *scheduler).await?);
        let bound = world::bind_all(scheduler, NODES, PODS, data).await?;
        self.bound.push(bound.as_secs_f64() * 1e3);
        Ok(())
    }
}

fn line(what: &str, component: &mut [f64], native: &mut [f64]) {
    let [component, native] = [component, native].map(|samples| {
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
    });
    println!("{what:57} {component:>10.2} {native:>10.2} {:>6.2}", component / native);
}

/// A new policy that knows all nodes and one class.
async fn told(scheduler: &mut dyn Scheduler) -> Result<()> {
    ours(scheduler.reset().await)?;
    let container = json!({"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}});
    let spec = json!({"namespace": "default", "labels": {}, "spec": {"containers": [container]}});
    let class = Class { id: 0, spec: spec.to_string().into_bytes() };
    let deltas: Vec<Delta> = (0..NODES).map(|id| Delta::NodeSet(node(id))).chain([Delta::ClassSet(class)]).collect();
    ours(scheduler.sync(&deltas).await)
}

/// What the loop asks for each pod, in microseconds.
async fn placement(scheduler: &mut dyn Scheduler) -> Result<f64> {
    let begun = Instant::now();
    for pod in 0..PODS {
        let node = pod % NODES;
        let assigned = [Delta::Assign(Assignment { node, class: 0, count: 1 })];
        ours(scheduler.sync(&assigned).await)?;
        ours(scheduler.evaluate(&[Question { class: 0, nodes: vec![node] }]).await)?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(PODS))
}

/// What the loop asks for each new class of pods, in microseconds.
async fn verdicts(scheduler: &mut dyn Scheduler) -> Result<f64> {
    const ROUNDS: u32 = 500;
    let question = [Question { class: 0, nodes: (0..NODES).collect() }];
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        ours(scheduler.evaluate(&question).await)?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS))
}

fn node(id: u32) -> Node {
    let label = |key: &str, value: String| Label { key: key.to_owned(), value };
    Node {
        id,
        name: format!("n{id}"),
        labels: vec![label("kubernetes.io/hostname", format!("n{id}")), label("zone", format!("z{}", id % 3))],
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources {
            cpu_milli: 32_000,
            memory: 128 << 30,
            ephemeral_storage: 512 << 30,
            pods: 110,
            extended: Vec::new(),
        },
    }
}
