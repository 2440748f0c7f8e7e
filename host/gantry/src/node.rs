//! A node in this process, of a control plane that is here too or elsewhere.

use std::hash::Hasher;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use fnv::FnvHasher;
use gantry_model::Kind;
use gantry_node::agent::{Agent, Handle, Options};
use gantry_node::balancer::{self, Balancer};
use gantry_node::cluster::{Cluster, PodFeed, Recorder};
use gantry_node::containerd::{self, Containerd};
use gantry_node::dns::{Dns, LINK};
use gantry_node::local::{self, Answers, Local};
use gantry_node::logs::Notices;
use gantry_node::network::{self, Absent, Plugged, PodNetwork};
use gantry_node::node::{Description, Machine, Reserved};
use gantry_node::policy::{self, Guards, PodGuard, Policies};
use gantry_node::proxy::apart::Keeper;
use gantry_node::records::{self, Outlet};
use gantry_node::runtime::Runtime;
use gantry_plugin::Loaded;
use gantry_plugin::family::network::NodeInfo;
use gantry_plugin::family::{KindRef, load_balancer, network_policy};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::dns::DnsArgs;
use crate::{dns, files, settle};

/// As the kubelet's default.
const PODS: u32 = 110;

#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
    /// The node's name. By default the host name.
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// containerd's socket.
    #[arg(long, default_value = "/run/containerd/containerd.sock", value_name = "SOCKET")]
    pub containerd: PathBuf,
    /// The namespace of containerd that belongs to this node.
    #[arg(long, default_value = "gantry", value_name = "NAME")]
    pub containerd_namespace: String,
    /// Addresses of the node's pods, in CIDR notation; may be repeated for a second address family. By default the server
    /// gives the node a range of its own.
    #[arg(long, value_name = "CIDR")]
    pub pod_range: Vec<String>,
    /// Addresses of all pods of the cluster: what leaves them is masqueraded. By default those of the server.
    #[arg(long, value_name = "CIDR")]
    pub cluster_range: Vec<String>,
    /// How long the node's lease is good for, in seconds; it is renewed four times in that. No more than the server's
    /// `--node-grace`, or the node counts as gone while it is there.
    #[arg(long, default_value_t = 40, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub lease: u32,
    /// Image archives (OCI or Docker) to import at the start.
    #[arg(long, value_name = "FILE")]
    pub import: Vec<PathBuf>,
    /// Registries (`host:port`) that are asked over plain HTTP, besides those on loopback.
    #[arg(long, value_name = "REGISTRY")]
    pub insecure_registry: Vec<String>,
    /// Most pods at once.
    #[arg(long, default_value_t = PODS, value_name = "COUNT")]
    pub max_pods: u32,
    /// Bytes after which a container's log file is rotated.
    #[arg(long, default_value_t = 10 << 20, value_name = "BYTES")]
    pub log_max_bytes: u64,
    /// Log files that are kept of a container, the one being written included.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    pub log_max_files: u32,
    /// How long the logs of a deleted pod stay for sinks that do not have them yet, in seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub log_grace: u64,
    #[command(flatten)]
    pub dns: DnsArgs,
}

impl NodeArgs {
    /// The node's name.
    pub fn name(&self) -> Result<String> {
        match &self.node_name {
            Some(name) => Ok(name.clone()),
            None => Ok(nix::sys::utsname::uname()?.nodename().to_string_lossy().to_lowercase()),
        }
    }

    /// With what the server says where nothing else was said.
    fn completed(&self, cluster_ranges: &[String]) -> Self {
        let mut args = self.clone();
        if args.cluster_range.is_empty() {
            args.cluster_range = cluster_ranges.to_vec();
        }
        args
    }

    /// How containerd is reached.
    pub fn runtime(&self, data: &Path, notices: &Notices) -> containerd::Options {
        containerd::Options {
            notices: notices.clone(),
            socket: self.containerd.clone(),
            namespace: self.containerd_namespace.clone(),
            state: run_dir(data).join("runtime"),
            insecure_registries: self.insecure_registry.clone(),
            ..containerd::Options::default()
        }
    }
}

/// What of a data directory's state belongs on a tmpfs. Named by the directory, so that several never meet.
pub fn run_dir(data: &Path) -> PathBuf {
    // FNV: the same in every version.
    let mut hasher = FnvHasher::default();
    hasher.write(data.as_os_str().as_encoded_bytes());
    Path::new("/run/gantry").join(format!("{:016x}", hasher.finish()))
}

/// What of a data directory is the node's.
pub fn node_dir(data: &Path) -> PathBuf {
    data.join("node")
}

/// What a node gets from its control plane.
pub struct Upstream {
    /// Objects.
    pub cluster: Arc<dyn Cluster>,
    /// Plugins; those that act on nodes are picked.
    pub plugins: Vec<Arc<Loaded>>,
    /// Others of the bundle, which do not run.
    pub absent: Vec<String>,
    /// Sinks for log lines.
    pub outlets: Vec<Arc<dyn Outlet>>,
    /// Addresses of all pods.
    pub cluster_ranges: Vec<String>,
    /// What pods ask here.
    pub asked: Asked,
    /// Who hears of what becomes of logs on this node.
    pub notices: Notices,
    /// What answers HTTP here.
    pub proxy: Keeper,
}

/// What pods ask on their node, and who answers.
pub struct Asked {
    /// Where they ask; nowhere, if it is empty.
    pub addresses: Vec<SocketAddrV4>,
    /// Who answers.
    pub answers: Arc<dyn Answers>,
}

/// A running node.
pub struct Node {
    name: String,
    identity: String,
    agent: Handle,
    records: records::Handle,
    events: JoinHandle<()>,
    balancers: Vec<Balancer>,
    dns: Option<Dns>,
    local: Option<Local>,
}

impl Node {
    /// Starts the agent. It waits for containerd by itself once containerd answered at all.
    pub async fn start(args: &NodeArgs, data: &Path, upstream: Upstream) -> Result<Self> {
        let folder = node_dir(data);
        // Whatever the data directory is: pods' secrets and logs are in there.
        files::make_private(&folder)?;
        let machine = Machine::probe(&folder, args.max_pods).context("can't read what this machine has")?;
        let name = args.name()?;
        let identity = settle::identity(data, &machine.information.machine_id)?;
        let description = Description {
            name: name.clone(),
            agent: identity.clone(),
            pod_ranges: args.pod_range.clone(),
            addresses: machine.addresses,
            capacity: machine.capacity,
            reserved: Reserved::default(),
            information: machine.information,
            ..Description::default()
        };
        let args = &args.completed(&upstream.cluster_ranges);
        let runtime = Arc::new(Containerd::connect(args.runtime(data, &upstream.notices)).await?);
        for archive in &args.import {
            let names = runtime.import(archive).await.with_context(|| format!("can't import {}", archive.display()))?;
            tracing::info!(?names, archive = %archive.display(), "imported");
        }
        let Upstream { cluster, plugins, absent, outlets, asked, notices, proxy, .. } = upstream;
        // Before the agent, which takes containers over and reads on what they write.
        let records = ship(args, &name, &folder, notices, outlets).await?;
        let earlier = Prefixes::of(data).links;
        dns::tidy(&earlier, &plugins).await;
        tidy_local(&earlier, &asked).await;
        tidy(data, &plugins, &absent).await;
        Prefixes::granted(&plugins, &asked.addresses).keep(data)?;
        let networked = plugins.iter().any(|plugin| plugin.network().is_some());
        let pod_ranges = settle::settle(&*cluster, &description, data, networked).await?;
        let description = Description { pod_ranges, ..description };
        let network = network(args, &description, data, &cluster, &plugins).await?;
        let (recorder, events) = Recorder::new(cluster.clone(), &name);
        retain(&proxy, &plugins).await;
        let balancers = balancers(args, &description, data, &cluster, &plugins, &proxy);
        let guards = policies(args, &description, data, &cluster, &plugins);
        let (dns, names) = dns::start(&args.dns, &description, &args.cluster_range, &folder, &cluster, &plugins);
        let mut options = Options::new(description, cluster, runtime, network, recorder, folder);
        options.guard = Arc::new(guards);
        options.dns = names;
        options.records = records.clone();
        options.log_limit = (args.log_max_bytes, args.log_max_files);
        options.lease = Duration::from_secs(args.lease.into());
        let agent = Agent::start(options);
        let local = listen(&name, &agent, asked);
        Ok(Self { name, identity, agent, records, events: tokio::spawn(events), balancers, dns, local })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which agent it has, as nothing else is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The agent, for logs and exec.
    pub fn agent(&self) -> &Handle {
        &self.agent
    }

    /// Stops the agent; containers go on, and so does what leads to them.
    pub async fn stop(self) {
        drop((self.balancers, self.dns, self.local));
        self.agent.stop().await;
        self.records.stop().await;
        self.events.abort();
    }
}

/// Ships log lines to the sinks of the control plane.
async fn ship(
    args: &NodeArgs,
    node: &str,
    folder: &Path,
    notices: Notices,
    outlets: Vec<Arc<dyn Outlet>>,
) -> Result<records::Handle> {
    let options = records::Options {
        node: node.to_owned(),
        logs: folder.join("logs"),
        state: folder.join("records"),
        outlets,
        notices,
        grace: Duration::from_secs(args.log_grace),
    };
    records::start(options).await.context("can't follow the logs of containers")
}

async fn network(
    args: &NodeArgs,
    node: &Description,
    data: &Path,
    cluster: &Arc<dyn Cluster>,
    plugins: &[Arc<Loaded>],
) -> Result<Arc<dyn PodNetwork>> {
    let Some((loaded, plugin)) = plugins.iter().find_map(|loaded| Some((loaded, loaded.network()?))) else {
        return Ok(Arc::new(Absent));
    };
    let grants = loaded.grants().clone();
    let options = network::Options {
        plugin,
        plugin_name: loaded.name().to_owned(),
        grants,
        node: NodeInfo {
            name: node.name.clone(),
            pod_ranges: node.pod_ranges.clone(),
            cluster_ranges: args.cluster_range.clone(),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            mtu: 0,
        },
        nodes: cluster.follow("", "v1", "nodes"),
        data_dir: network_dir(data),
        netns_dir: run_dir(data).join("netns"),
        node_netns: None,
    };
    Ok(Arc::new(Plugged::start(options).await))
}

/// Removes what load balancers and network policies that are not in the bundle any more have put on the node.
/// A plugin that is in it and could not be loaded is expected back: its rules are better than none.
async fn tidy(data: &Path, plugins: &[Arc<Loaded>], absent: &[String]) {
    let acts = |loaded: &&Arc<Loaded>| loaded.load_balancer().is_some() || loaded.network_policy().is_some();
    let loaded = plugins.iter().filter(acts).map(|loaded| loaded.name());
    let stay: Vec<&str> = loaded.chain(absent.iter().map(String::as_str)).collect();
    if let Err(error) = network::retire(&network_dir(data), &stay, None).await {
        tracing::warn!(%error, "what plugins that are gone have put on this node stays");
    }
}

/// Links of addresses at which pods asked by an earlier bundle, and nobody answers now, go.
async fn tidy_local(earlier: &[String], asked: &Asked) {
    let now: Vec<String> = asked.addresses.iter().map(|address| local::link(*address.ip())).collect();
    for link in earlier.iter().filter(|link| local::is_link(link) && !now.contains(link)) {
        if let Err(error) = local::remove_link(link, None).await {
            tracing::warn!(%error, link, "the link of an address at which nobody answers any more stays");
        }
    }
}

/// Answers what pods ask, if they may.
fn listen(node: &str, agent: &Handle, asked: Asked) -> Option<Local> {
    let Asked { addresses, answers } = asked;
    let pods = Arc::new(agent.clone());
    let options = local::Options { node: node.to_owned(), addresses, pods, answers, node_netns: None };
    (!options.addresses.is_empty()).then(|| Local::start(options))
}

fn network_dir(data: &Path) -> PathBuf {
    data.join("network")
}

/// Listeners of plugins that are not here any more go.
async fn retain(proxy: &Keeper, plugins: &[Arc<Loaded>]) {
    let here = plugins.iter().filter(|loaded| loaded.grants().plan("proxy")).map(|loaded| loaded.name());
    if let Err(error) = proxy.retain(&here.collect::<Vec<_>>()).await {
        tracing::warn!(%error, "listeners of plugins that are gone stay");
    }
}

fn balancers(
    args: &NodeArgs,
    node: &Description,
    data: &Path,
    cluster: &Arc<dyn Cluster>,
    plugins: &[Arc<Loaded>],
    proxy: &Keeper,
) -> Vec<Balancer> {
    let loaded = plugins.iter().filter_map(|loaded| Some((loaded, loaded.load_balancer()?)));
    let options = loaded.map(|(loaded, plugin)| balancer::Options {
        plugin,
        plugin_name: loaded.name().to_owned(),
        grants: loaded.grants().clone(),
        node: load_balancer::NodeInfo {
            name: node.name.clone(),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            cluster_ranges: args.cluster_range.clone(),
            zone: String::new(),
        },
        cluster: cluster.clone(),
        proxy: Some(proxy.clone()),
        data_dir: Some(network_dir(data)),
        node_netns: None,
    });
    options.map(Balancer::start).collect()
}

fn policies(
    args: &NodeArgs,
    node: &Description,
    data: &Path,
    cluster: &Arc<dyn Cluster>,
    plugins: &[Arc<Loaded>],
) -> Guards {
    let loaded = plugins.iter().filter_map(|loaded| Some((loaded, loaded.network_policy()?)));
    let options = loaded.map(|(loaded, plugin)| policy::Options {
        plugin,
        plugin_name: loaded.name().to_owned(),
        grants: loaded.grants().clone(),
        node: network_policy::NodeInfo {
            name: node.name.clone(),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            cluster_ranges: args.cluster_range.clone(),
        },
        pods: cluster.pods(None),
        namespaces: cluster.follow("", "v1", "namespaces"),
        policies: loaded.manifest().kinds.iter().map(|kind| follow(cluster, kind)).collect(),
        data_dir: Some(network_dir(data)),
        node_netns: None,
    });
    Guards(options.map(|options| Box::new(Policies::start(options)) as Box<dyn PodGuard>).collect())
}

fn follow(cluster: &Arc<dyn Cluster>, kind: &Kind) -> (KindRef, Box<dyn PodFeed>) {
    let name = KindRef { group: kind.group.clone(), kind: kind.kind.clone() };
    (name, cluster.follow(&kind.group, &kind.version, &kind.plural))
}

/// What the links and tables of a node's network begin with: written down, so that `gantry clean` knows them without the
/// bundle.
#[derive(Default, Serialize, Deserialize)]
pub struct Prefixes {
    /// Of links.
    pub links: Vec<String>,
    /// Of nftables tables.
    pub tables: Vec<String>,
}

impl Prefixes {
    /// Of every plugin that changes the node, and of addresses at which pods ask.
    fn granted(plugins: &[Arc<Loaded>], local: &[SocketAddrV4]) -> Self {
        let changes = |loaded: &&Arc<Loaded>| loaded.grants().plan("network");
        let mut prefixes = Self::default();
        for loaded in plugins.iter().filter(changes) {
            prefixes.links.extend(loaded.grants().links());
            prefixes.tables.extend(loaded.grants().tables());
        }
        if dns::is_wanted(plugins) {
            prefixes.links.push(LINK.to_owned());
        }
        prefixes.links.extend(local.iter().map(|address| local::link(*address.ip())));
        prefixes
    }

    fn file(data: &Path) -> PathBuf {
        data.join("network-prefixes.json")
    }

    fn keep(&self, data: &Path) -> Result<()> {
        let file = Self::file(data);
        std::fs::write(&file, serde_json::to_vec(self)?).with_context(|| format!("can't write {}", file.display()))
    }

    /// Of the last node that ran on this data directory; nothing if none did.
    pub fn of(data: &Path) -> Self {
        let bytes = std::fs::read(Self::file(data)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}
