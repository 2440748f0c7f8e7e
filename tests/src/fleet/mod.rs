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
use crate::kubectl::to_test_with;
use crate::process::make_private;
use crate::suite::{patience, starting};
use crate::{Case, Kubectl, Process, containerd, left, wait_for};
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

/// A running fleet. One that was started stops when it is dropped, unless it is to stay ([`Fleet::leave`]); one that was
/// found stays.
pub struct Fleet {
    options: Options,
    wire: Wire,
    nodes: Vec<Node>,
    stays: bool,
}

/// Where the API listens on the bridge.
const PORT: u16 = 6443;

impl Fleet {
    /// Starts everything, and waits until all nodes are ready. `progress` is told what comes next.
    pub fn start(options: Options, progress: impl Fn(&str)) -> Result<Self> {
        make_private(&options.data)?;
        let options = Options { data: options.data.canonicalize()?, ..options };
        let mut fleet = Self::of(options);
        fleet.stays = false;
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
        Self { options, wire, nodes, stays: true }
    }

    /// Leaves it running.
    pub fn leave(&mut self) {
        self.stays = true;
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
        let mut agents = Vec::new();
        for node in &self.nodes {
            progress(node.name());
            node.make()?;
            agents.push((node.name(), node.start()?));
        }
        for (name, mut agent) in agents {
            progress(&format!("{name} to be ready"));
            self.until_up(name, &mut agent, &Value::Null)?;
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
        wait_for("the server to be ready", starting(), || {
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
        let (version, binary) = to_test_with()?.pop_last().context("there is no kubectl on this machine")?;
        Case::new(name, &Kubectl::new(version, binary, &self.kubeconfig()))
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

    /// Starts a node that was killed, and waits until it is ready.
    pub fn revive(&self, name: &str) -> Result<()> {
        let node = self.node(name)?;
        node.must_be_dead()?;
        node.heal()?;
        let before = self.renewed(name)?;
        let mut agent = node.start()?;
        self.until_up(name, &mut agent, &before)
    }

    /// Waits until a node's agent has renewed its Lease since `before` and the node is ready. Fails as soon as the agent
    /// has ended, with the end of its log.
    fn until_up(&self, name: &str, agent: &mut Process, before: &Value) -> Result<()> {
        let up = wait_for(&format!("{name} to be ready"), patience(), || {
            if let Err(ended) = agent.check() {
                return Ok(Err(ended));
            }
            ensure!(self.renewed(name)? != *before, "its agent has not renewed its Lease");
            self.is_ready(name, "True").map(Ok)
        });
        up.with_context(|| agent.log_end(25))?
    }

    /// When a node's agent was heard of last; null: never.
    fn renewed(&self, name: &str) -> Result<Value> {
        let words = ["get", "lease", "-n", "kube-node-lease", name, "--ignore-not-found", "-o", "json"];
        let lease = self.kubectl().run(&words)?;
        let lease: Value = if lease.trim().is_empty() { Value::Null } else { serde_json::from_str(&lease)? };
        Ok(lease.pointer("/spec/renewTime").cloned().unwrap_or_default())
    }

    /// Waits until a node's Ready is that: `True`, `False` or `Unknown`.
    pub fn until_ready(&self, node: &str, ready: &str, patience: Duration) -> Result<()> {
        wait_for(&format!("Ready of node {node} to be {ready}"), patience, || self.is_ready(node, ready))
    }

    fn is_ready(&self, node: &str, ready: &str) -> Result<()> {
        let found = self.kubectl().json(&["get", "node", node])?;
        let conditions = found.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let mut found =
            conditions.filter(|c| text(c, "/type") == "Ready").map(|c| (text(c, "/status"), text(c, "/message")));
        let (status, message) = found.next_back().unwrap_or_default();
        ensure!(status == ready, "it is {status:?}: {message}");
        Ok(())
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
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        // Tried once; what could not be stopped is found again.
        self.stays = true;
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
        let nodes: Vec<PathBuf> = self.nodes.iter().map(Node::data).collect();
        // Found again by the next `stop` as long as something is there.
        outcome.and_then(|()| left::nothing(data, &nodes))?;
        match fs::remove_file(data.join("fleet.json")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if !self.stays
            && let Err(error) = self.end()
        {
            eprintln!("can't clean up: {error:#}");
        }
    }
}

fn folder(data: &Path, part: &str) -> Result<PathBuf> {
    let (folder, cache) = (data.join(part), data.join("cache"));
    for made in [&folder, &cache] {
        make_private(made)?;
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
