//! Real pods beside the same containers started with `ctr run`, in turns.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gantry_tests::manifests::{self, IMAGE};
use serde::Deserialize;
use serde_json::json;

use super::{Bench, progress};
use crate::client::{Connection, Watch};
use crate::host::{Containers, Host};
use crate::report::{Section, Table};
use crate::stats::Series;

pub const TITLE: &str = "Pods beside `ctr run`";

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const PODS: &str = "/api/v1/namespaces/default/pods";
/// Replicas of the Deployments.
const SIZES: [usize; 2] = [1, 20];
/// `ctr` processes at once: more do not make it faster.
const AT_ONCE: usize = 8;
/// For pods to run, and to be gone.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Found {
    ctr: Series,
    gantry: Series,
}

pub async fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let data = bench.data("pods")?;
    let containers = Containers::start(&bench.built, &data)?;
    // runc keeps containers by namespace and name, whichever containerd they belong to.
    let namespace = format!("bench-{}", std::process::id());
    let ctr = Ctr { socket: containers.socket(), namespace, logs: data.clone() };
    ctr.run(&["images", "import", text(&bench.built.image)?])?;
    let args = ["--containerd", text(&ctr.socket)?, "--import", text(&bench.built.image)?];
    let host = Host::start(&bench.built, &data, &args).await?;
    let mut connection = host.target().connect().await?;
    let mut found = SIZES.map(|size| (size, Found::default()));
    // The first round warms both up: it is not counted.
    for run in 0..=bench.runs {
        for (size, found) in &mut found {
            let raw = ctr.start(*size)?;
            ctr.remove(*size)?;
            let pods = apply(&host, &mut connection, *size).await?;
            if run > 0 {
                found.ctr.add_millis(raw);
                found.gantry.add_millis(pods);
                progress(&format!("{size}: ctr {} ms, pods {} ms", raw.as_millis(), pods.as_millis()));
            }
        }
    }
    host.stop()?;
    describe(bench, section, &found);
    Ok(())
}

fn describe(bench: &Bench, section: &mut Section, found: &[(usize, Found)]) {
    section.text(&format!(
        "From the server-side apply of a Deployment to the moment when a watch has shown all its pods Running, beside the \
         same image started with `ctr run -d` on the same containerd ({AT_ONCE} `ctr` at once). A pod also gets a \
         sandbox, an address, its place and its objects; `ctr run` gets an unconnected network. In turns, {} runs after \
         one that does not count; ctr, containerd and its shims work on the same cores.",
        bench.runs,
    ));
    let mut table = Table::new(&["containers", "`ctr run -d`, ms", "apply to Running, ms", "ratio of medians"]);
    for (size, found) in found {
        let ratio = format!("{:.2}", found.gantry.median() / found.ctr.median());
        table.row(&[&size.to_string(), &found.ctr.to_string(), &found.gantry.to_string(), &ratio]);
    }
    section.table(table);
}

/// Applies a Deployment, waits until its pods run, and removes it.
async fn apply(host: &Host, connection: &mut Connection, size: usize) -> Result<Duration> {
    let name = format!("bench-{size}");
    let path = format!("{DEPLOYMENTS}/{name}");
    let labels = json!({"app": name});
    let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [manifests::container("web", "serve")]});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": size, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    });
    let mut watch = host.target().connect().await?.watch(PODS, &format!("app%3D{name}")).await?;
    let begun = Instant::now();
    connection.apply(&path, &deployment).await?;
    let patience = |what| format!("pods are not {what} after {} s", PATIENCE.as_secs());
    let mut pods = HashMap::new();
    let running =
        until(&mut watch, &mut pods, |pods| pods.values().filter(|phase| *phase == "Running").count() == size);
    tokio::time::timeout(PATIENCE, running).await.with_context(|| patience("running"))??;
    let took = begun.elapsed();
    connection.delete(&path).await?;
    let gone = until(&mut watch, &mut pods, HashMap::is_empty);
    tokio::time::timeout(PATIENCE, gone).await.with_context(|| patience("gone"))??;
    Ok(took)
}

/// Phases by name.
type Phases = HashMap<String, String>;

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Pod,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
}

async fn until(watch: &mut Watch, pods: &mut Phases, done: impl Fn(&Phases) -> bool) -> Result<()> {
    while !done(pods) {
        let event: Event = watch.next().await?;
        match event.kind.as_str() {
            "DELETED" => _ = pods.remove(&event.object.metadata.name),
            "ADDED" | "MODIFIED" => _ = pods.insert(event.object.metadata.name, event.object.status.phase),
            other => bail!("an unexpected event: {other}"),
        }
    }
    Ok(())
}

/// The command line of containerd, in a namespace of its own.
struct Ctr {
    socket: std::path::PathBuf,
    namespace: String,
    logs: std::path::PathBuf,
}

impl Drop for Ctr {
    /// What a failed run left.
    fn drop(&mut self) {
        for number in 0..SIZES.into_iter().max().unwrap_or_default() {
            // Most of them are gone, as they should be.
            let name = format!("bench-{number}");
            let _ = self.run(&["tasks", "rm", "--force", &name]).and_then(|()| self.run(&["containers", "rm", &name]));
        }
    }
}

impl Ctr {
    fn run(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&self.socket).args(["--namespace", &self.namespace]).args(args);
        let output = command.output().context("can't run ctr")?;
        ensure!(output.status.success(), "ctr {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Starts this many containers; the time until all are started.
    fn start(&self, size: usize) -> Result<Duration> {
        let begun = Instant::now();
        self.each(size, |name| {
            // Output goes to a file, as that of pods does.
            let log = format!("file://{}/ctr-{name}.log", self.logs.display());
            self.run(&["run", "--detach", "--log-uri", &log, IMAGE, name])
        })?;
        Ok(begun.elapsed())
    }

    fn remove(&self, size: usize) -> Result<()> {
        self.each(size, |name| {
            self.run(&["tasks", "rm", "--force", name])?;
            self.run(&["containers", "rm", name])
        })
    }

    /// Does something for each container, several at once.
    fn each(&self, size: usize, work: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
        let part = |from: usize| (from..size).step_by(AT_ONCE).try_for_each(|number| work(&format!("bench-{number}")));
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE.min(size)).map(|from| scope.spawn(move || part(from))).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, Result<()>>| {
                worker.join().unwrap_or_else(|_| bail!("a thread panicked"))
            };
            workers.into_iter().try_for_each(join)
        })
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not text", path.display()))
}
