//! A fleet on one machine: a server, and nodes that are network namespaces joined by a bridge. Each node has its own
//! address, agent, namespace of containerd and network state; nothing but the machine's kernel and containerd is shared.
//!
//! Everything is known from the data directory, so that one command may start a fleet and another one end it.

mod node;
mod wire;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::case::text;
use crate::suite::patience;
use crate::{Case, Kubectl, Process, containerd, wait_for};
pub use node::Node;
use wire::Wire;

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The gantry binary.
    pub gantry: PathBuf,
    /// Folder of the plugins' components.
    pub plugins: PathBuf,
    /// The bundle. Its network takes the place of the bundle's own.
    pub bundle: PathBuf,
    /// The plugin that joins the nodes: `network-routes` or `network-vxlan`.
    pub network: String,
    /// All state goes here.
    pub data: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Over how many zones they are spread.
    pub zones: usize,
    /// Image archives to import at the start of each node.
    pub images: Vec<PathBuf>,
    /// More arguments for `gantry server`.
    pub server: Vec<OsString>,
    /// More arguments for each `gantry agent`.
    pub agent: Vec<OsString>,
}

/// A running fleet. Dropping it leaves it running: call [`Fleet::stop`].
pub struct Fleet {
    options: Options,
    wire: Wire,
    nodes: Vec<Node>,
}

/// Where the API listens on the bridge.
const PORT: u16 = 6443;

impl Fleet {
    /// Starts everything, and waits until all nodes are ready. `progress` is told what comes next.
    pub fn start(options: Options, progress: impl Fn(&str)) -> Result<Self> {
        fs::create_dir_all(&options.data).with_context(|| format!("can't make {}", options.data.display()))?;
        let options = Options { data: options.data.canonicalize()?, ..options };
        let mut fleet = Self::of(options);
        let started = fleet.begin(&progress);
        match started.with_context(|| fleet.logs()) {
            Ok(()) => Ok(fleet),
            Err(error) => Err(match fleet.stop() {
                Ok(()) => error,
                Err(also) => error.context(format!("and what had started could not be stopped: {also:#}")),
            }),
        }
    }

    /// What an earlier `start` left running in this data directory.
    pub fn find(options: Options) -> Option<Self> {
        let data = options.data.canonicalize().ok()?;
        let kept: Value = serde_json::from_slice(&fs::read(data.join("fleet.json")).ok()?).ok()?;
        let count = |key: &str| kept.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        Some(Self::of(Options { data, nodes: count("nodes")?, zones: count("zones")?, ..options }))
    }

    fn of(options: Options) -> Self {
        let wire = Wire::of(&options.data);
        let nodes = (1..=options.nodes).map(|number| Node::new(number, &options)).collect();
        Self { options, wire, nodes }
    }

    fn begin(&mut self, progress: &impl Fn(&str)) -> Result<()> {
        let data = &self.options.data;
        fs::write(
            data.join("fleet.json"),
            json!({"nodes": self.options.nodes, "zones": self.options.zones}).to_string(),
        )?;
        progress("the wire");
        self.wire.make()?;
        if Process::find(data, "containerd").is_none() {
            containerd::start(data)?;
        }
        progress("the server");
        self.write_bundle()?;
        self.start_server()?;
        for node in &self.nodes {
            progress(node.name());
            node.make()?;
            node.start()?;
        }
        for node in &self.nodes {
            progress(&format!("{} to be ready", node.name()));
            self.until_ready(node.name(), "True", patience())?;
        }
        self.zone()
    }

    /// The bundle with the fleet's network in it, pinned.
    fn write_bundle(&self) -> Result<()> {
        let Options { bundle, plugins, network, .. } = &self.options;
        let text = fs::read_to_string(bundle).with_context(|| format!("can't read {}", bundle.display()))?;
        ensure!(text.contains(r#"name = "network-bridge""#), "{} has no network-bridge to replace", bundle.display());
        fs::write(self.bundle(), text.replace(r#"name = "network-bridge""#, &format!("name = {network:?}")))?;
        let mut command = Command::new(&self.options.gantry);
        command.args(["bundle", "pin"]).arg(self.bundle()).arg("--plugins").arg(plugins);
        said(&mut command).map(drop)
    }

    /// Another network takes the place of the one that runs.
    pub fn set_network(&mut self, network: &str) -> Result<()> {
        network.clone_into(&mut self.options.network);
        self.write_bundle()?;
        Process::find(&self.options.data, "server").context("the server does not run")?.reload()
    }

    fn bundle(&self) -> PathBuf {
        self.options.data.join("bundle.toml")
    }

    /// Starts the server, and waits until it answers.
    pub fn start_server(&self) -> Result<()> {
        let data = &self.options.data;
        let mut command = Command::new(&self.options.gantry);
        command.arg("server").arg("--data-dir").arg(self.folder("server")?);
        command.arg("--listen").arg(format!("{}:{PORT}", wire::SERVER));
        command.arg("--bundle").arg(self.bundle()).arg("--plugins").arg(&self.options.plugins);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(&self.options.server);
        let mut server = Process::start(data, "server", &mut command)?;
        let kubectl = self.kubectl();
        wait_for("the server to be ready", patience(), || {
            server.check()?;
            kubectl.run(&["get", "--raw", "/readyz"])
        })
        .map(drop)
    }

    /// A part's own folder, with the cache of compiled plugins that all share.
    fn folder(&self, part: &str) -> Result<PathBuf> {
        folder(&self.options.data, part)
    }

    /// Kills the server as a crash would.
    pub fn crash_server(&self) -> Result<()> {
        Process::find(&self.options.data, "server").map_or(Ok(()), Process::crash)
    }

    /// Zones are given out in turn.
    fn zone(&self) -> Result<()> {
        for (number, node) in self.nodes.iter().enumerate() {
            let Some(zone) = number.checked_rem(self.options.zones) else { return Ok(()) };
            let label = format!("topology.kubernetes.io/zone=zone-{}", zone + 1);
            self.kubectl().run(&["label", "node", node.name(), &label, "--overwrite"])?;
        }
        Ok(())
    }

    /// The administrator's.
    pub fn kubeconfig(&self) -> PathBuf {
        self.options.data.join("kubeconfig")
    }

    /// The newest kubectl of this machine.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::newest(&self.kubeconfig())
    }

    /// A namespace, and the newest kubectl for it.
    pub fn case(&self, name: &str) -> Result<Case> {
        Case::new(name, &self.kubectl())
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let names = || self.nodes.iter().map(Node::name).collect::<Vec<_>>().join(", ");
        self.nodes
            .iter()
            .find(|node| node.name() == name)
            .with_context(|| format!("there is no node {name:?} in this fleet; there are {}", names()))
    }

    /// All of them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Cuts a node off: from the server only, or from everybody.
    pub fn cut(&self, name: &str, from_all: bool) -> Result<()> {
        self.node(name)?.cut(from_all)
    }

    /// Undoes `cut`.
    pub fn heal(&self, name: &str) -> Result<()> {
        self.node(name)?.heal()
    }

    /// As if the power of a node had gone: its agent and its containers end at once, and nothing of it answers.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.node(name)?.kill()
    }

    /// Starts a node that was killed.
    pub fn revive(&self, name: &str) -> Result<()> {
        let node = self.node(name)?;
        node.heal()?;
        node.start()
    }

    /// Waits until a node's Ready is that: `True`, `False` or `Unknown`.
    pub fn until_ready(&self, node: &str, ready: &str, patience: Duration) -> Result<()> {
        let kubectl = self.kubectl();
        wait_for(&format!("Ready of node {node} to be {ready}"), patience, || {
            let found = kubectl.json(&["get", "node", node])?;
            let conditions = found.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
            let mut found =
                conditions.filter(|c| text(c, "/type") == "Ready").map(|c| (text(c, "/status"), text(c, "/message")));
            let (status, message) = found.next_back().unwrap_or_default();
            ensure!(status == ready, "it is {status:?}: {message}");
            Ok(())
        })
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let names = std::iter::once("server").chain(self.nodes.iter().map(Node::name));
        let log = |name: &str| {
            let text = fs::read_to_string(self.options.data.join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines.get(lines.len().saturating_sub(25)..).unwrap_or_default().join("\n");
            format!("the end of the log of {name}:\n{end}\n")
        };
        names.map(log).collect()
    }

    /// Stops everything, and removes containers, namespaces, links and rules. Objects stay in the data directory.
    pub fn stop(self) -> Result<()> {
        let data = &self.options.data;
        let mut outcome = Ok(());
        for node in &self.nodes {
            outcome = outcome.and(node.end());
        }
        let patience = Duration::from_secs(20);
        for name in ["server", "containerd"] {
            if let Some(process) = Process::find(data, name) {
                outcome = outcome.and(process.stop(patience));
            }
        }
        containerd::clean(data);
        outcome = outcome.and(self.wire.remove());
        match fs::remove_file(data.join("fleet.json")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => outcome.and(Err(error.into())),
            _ => outcome,
        }
    }
}

fn folder(data: &Path, part: &str) -> Result<PathBuf> {
    let (folder, cache) = (data.join(part), data.join("cache"));
    for made in [&folder, &cache] {
        fs::create_dir_all(made).with_context(|| format!("can't make {}", made.display()))?;
    }
    let link = folder.join("cache");
    if !link.exists() {
        std::os::unix::fs::symlink(cache, link)?;
    }
    Ok(folder)
}

/// What a program says; fails with what it complains of.
fn said(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("can't run {shown}"))?;
    if !output.status.success() {
        bail!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
