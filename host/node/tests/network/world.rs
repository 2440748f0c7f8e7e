//! A node that is a network namespace of its own, with somebody outside.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gantry_model::Status;
use gantry_node::cluster::{PodEvent, PodFeed};
use gantry_node::network::netns::Namespaces;
use gantry_node::network::{Options, Plugged, PodNetwork, PortMapping, Protocol, SandboxNet};
use gantry_plugin::family::network::NodeInfo;
use gantry_plugin::{Effective, Grants};
use network_bridge::BridgeNetwork;

use crate::native::{Native, Trouble};
use crate::sockets::run;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The node's address on the wire to the outside, and the outside's.
pub const NODE: &str = "192.0.2.1";
pub const OUTSIDE: &str = "192.0.2.2";

pub struct World {
    dir: tempfile::TempDir,
    places: Namespaces,
    pub node: PathBuf,
    pub outside: PathBuf,
    pub trouble: Arc<Mutex<Trouble>>,
    pub range: String,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let places = Namespaces::new(dir.path().join("places"));
        let node = places.ensure("node").await.unwrap();
        let outside = places.ensure("outside").await.unwrap();
        let world = Self { dir, places, node, outside, trouble: Arc::default(), range: "10.64.1.0/24".into() };
        let peer = format!("ip link add out0 type veth peer name eth0 netns {}", world.outside.display());
        for line in ["ip link set lo up", &peer, &format!("ip addr add {NODE}/24 dev out0"), "ip link set out0 up"] {
            run(&world.node, line).await;
        }
        for line in ["ip link set lo up", &format!("ip addr add {OUTSIDE}/24 dev eth0"), "ip link set eth0 up"] {
            run(&world.outside, line).await;
        }
        world
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn pods(&self) -> PathBuf {
        self.dir.path().join("pods")
    }

    pub fn pod(&self, id: &str) -> PathBuf {
        self.pods().join(id)
    }

    pub async fn start(&self) -> Plugged {
        self.start_with(grants(&["network"])).await
    }

    pub async fn start_with(&self, grants: Effective) -> Plugged {
        let node = NodeInfo {
            name: "n1".into(),
            pod_ranges: vec![self.range.clone()],
            cluster_ranges: vec!["10.64.0.0/16".into()],
            addresses: vec![NODE.into()],
            mtu: 0,
        };
        Plugged::start(Options {
            plugin: Native::<BridgeNetwork>::boxed(&self.trouble),
            plugin_name: "bridge".into(),
            grants,
            node,
            nodes: Box::new(Silence),
            data_dir: self.data(),
            netns_dir: self.pods(),
            node_netns: Some(self.node.clone()),
        })
        .await
    }

    /// Everything that a sandbox may leave on the node.
    pub async fn traces(&self) -> String {
        let mut all = String::new();
        for line in ["ip -br link", "ip -br -4 addr", "ip route", "nft list ruleset"] {
            all += &run(&self.node, line).await;
        }
        for dir in [self.pods(), self.data().join("network/sandboxes")] {
            let mut names: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().map(|e| e.unwrap().path()).collect();
            names.sort();
            all += &format!("{names:?}\n");
        }
        // A bridge without ports is down, and one with ports up.
        let all = all.replace(" linkdown", "");
        all.lines().filter(|line| !line.starts_with("gtr0")).map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for dir in [self.places.path(""), self.pods()] {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let _ = nix::mount::umount2(&entry.path(), nix::mount::MntFlags::MNT_DETACH);
            }
        }
    }
}

/// A cluster whose nodes nobody tells of.
struct Silence;

#[async_trait::async_trait]
impl PodFeed for Silence {
    async fn next(&mut self) -> Result<Vec<PodEvent>, Status> {
        std::future::pending().await
    }
}

pub fn grants(plans: &[&str]) -> Effective {
    let grants = Grants {
        plans: plans.iter().map(|p| (*p).to_owned()).collect(),
        links: vec!["gtr".into(), "gtx".into()],
        tables: vec!["gantry-bridge".into()],
        ..Grants::default()
    };
    Effective::new(grants.clone(), grants)
}

pub fn sandbox(id: &str, ports: &[(u16, u16)]) -> SandboxNet {
    let port = |(host_port, container_port): &(u16, u16)| PortMapping {
        host_port: *host_port,
        container_port: *container_port,
        protocol: Protocol::Tcp,
        host_ip: String::new(),
    };
    SandboxNet {
        id: id.into(),
        namespace: "default".into(),
        pod: id.into(),
        uid: id.into(),
        ports: ports.iter().map(port).collect(),
    }
}

/// Attaches, and gives the primary address.
pub async fn attach(network: &Plugged, id: &str, ports: &[(u16, u16)]) -> String {
    network.attach(&sandbox(id, ports)).await.unwrap().addresses[0].to_string()
}

/// Waits until the network is ready.
pub async fn ready(network: &Plugged) {
    let start = Instant::now();
    while let Err(error) = network.status().await {
        assert!(start.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
