//! Several nodes, each a namespace, with a wire between them: pods reach pods and nodes everywhere as who they are, what
//! leaves the cluster has the node's address, who goes is forgotten, and another network takes the place of one that
//! runs without a pod noticing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gantry_model::key::Resource;
use gantry_model::{Draft, Key, Record, Status};
use gantry_node::cluster::{PodEvent, PodFeed};
use gantry_node::network::netns::Namespaces;
use gantry_node::network::{Leavings, Options, Plugged, clean};
use gantry_plugin::Network;
use gantry_plugin::family::network::NodeInfo;
use network_routes::RoutedNetwork;
use network_vxlan::OverlayNetwork;
use tokio::sync::mpsc;

use crate::native::Native;
use crate::sockets::{connect, run, seen, serve};
use crate::world::{attach, grants, ready};

const PATIENCE: Duration = Duration::from_secs(20);

/// What is between the nodes.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    /// One link.
    Shared,
    /// A router that knows the nodes and no pods.
    Routed,
}

struct Fleet {
    dir: tempfile::TempDir,
    places: Namespaces,
    wire: PathBuf,
    shape: Wire,
    nodes: Vec<PathBuf>,
}

/// A network that runs, and who tells it of nodes.
struct Running {
    network: Plugged,
    tell: mpsc::UnboundedSender<Vec<PodEvent>>,
}

impl Fleet {
    async fn new(shape: Wire, count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let places = Namespaces::new(dir.path().join("places"));
        let wire = places.ensure("wire").await.unwrap();
        run(&wire, "ip link set lo up").await;
        run(&wire, "ip link add br0 type bridge").await;
        run(&wire, "ip link set br0 up").await;
        run(&wire, "ip addr add 192.0.2.254/24 dev br0").await;
        run(&wire, "sysctl -qw net.ipv4.ip_forward=1").await;
        let mut fleet = Self { dir, places, wire, shape, nodes: Vec::new() };
        for number in 1..=count {
            fleet.join(number).await;
        }
        fleet
    }

    async fn join(&mut self, number: usize) {
        let node = self.places.ensure(&format!("n{number}")).await.unwrap();
        let (wire, shape) = (&self.wire, self.shape);
        run(wire, &format!("ip link add w{number} type veth peer name eth0 netns {}", node.display())).await;
        run(wire, &format!("ip link set w{number} up")).await;
        let (prefix, gateway) = match shape {
            Wire::Shared => {
                run(wire, &format!("ip link set w{number} master br0")).await;
                (24, "192.0.2.254".to_owned())
            }
            Wire::Routed => {
                let gateway = gateway(number);
                run(wire, &format!("ip addr add {gateway}/30 dev w{number}")).await;
                (30, gateway)
            }
        };
        let address = self.address(number);
        for line in [
            "ip link set lo up".to_owned(),
            format!("ip addr add {address}/{prefix} dev eth0"),
            "ip link set eth0 up".to_owned(),
            format!("ip route add default via {gateway}"),
        ] {
            run(&node, &line).await;
        }
        self.nodes.push(node);
    }

    fn address(&self, number: usize) -> String {
        match self.shape {
            Wire::Shared => format!("192.0.2.{number}"),
            Wire::Routed => format!("198.51.100.{}", number * 4 + 1),
        }
    }

    /// The node's object.
    fn node(&self, number: usize) -> Arc<Record> {
        node(number, &self.address(number))
    }

    fn nodes(&self) -> Vec<Arc<Record>> {
        (1..=self.nodes.len()).map(|number| self.node(number)).collect()
    }

    fn place(&self, number: usize) -> &PathBuf {
        &self.nodes[number - 1]
    }

    fn pod(&self, number: usize, id: &str) -> PathBuf {
        self.dir.path().join(format!("pods{number}")).join(id)
    }

    /// Starts a node's network, and tells it of every node.
    async fn start(&self, number: usize, plugin: Box<dyn Network>) -> Running {
        let (tell, heard) = mpsc::unbounded_channel();
        let network = Plugged::start(Options {
            plugin,
            plugin_name: "sample".into(),
            grants: grants(&["network"]),
            node: NodeInfo {
                name: format!("n{number}"),
                pod_ranges: vec![range(number)],
                cluster_ranges: vec!["10.64.0.0/16".into()],
                addresses: vec![self.address(number)],
                mtu: 0,
            },
            nodes: Box::new(Told(heard)),
            data_dir: self.data(number),
            netns_dir: self.dir.path().join(format!("pods{number}")),
            node_netns: Some(self.place(number).clone()),
        })
        .await;
        ready(&network).await;
        tell.send(vec![PodEvent::Snapshot(self.nodes())]).unwrap();
        Running { network, tell }
    }

    fn data(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("data{number}"))
    }

    /// Waits for a node's routes to have, or not to have, this.
    async fn until(&self, number: usize, what: &str, there: bool) {
        self.until_in(number, "ip route", what, there).await;
    }

    /// The same of its links.
    async fn until_link(&self, number: usize, what: &str, there: bool) {
        self.until_in(number, "ip link", what, there).await;
    }

    async fn until_in(&self, number: usize, list: &str, what: &str, there: bool) {
        let start = Instant::now();
        loop {
            let all = run(self.place(number), list).await;
            if all.contains(what) == there {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{what:?} ({there}) in:\n{all}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let pods = (1..=self.nodes.len()).map(|number| self.pod(number, ""));
        for dir in std::iter::once(self.places.path("")).chain(pods) {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let _ = nix::mount::umount2(&entry.path(), nix::mount::MntFlags::MNT_DETACH);
            }
        }
    }
}

struct Told(mpsc::UnboundedReceiver<Vec<PodEvent>>);

#[async_trait]
impl PodFeed for Told {
    async fn next(&mut self) -> Result<Vec<PodEvent>, Status> {
        match self.0.recv().await {
            Some(events) => Ok(events),
            None => std::future::pending().await,
        }
    }
}

fn gateway(number: usize) -> String {
    format!("198.51.100.{}", number * 4 + 2)
}

fn range(number: usize) -> String {
    format!("10.64.{number}.0/24")
}

fn node(number: usize, address: &str) -> Arc<Record> {
    let name = format!("n{number}");
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "spec": {"podCIDR": range(number), "podCIDRs": [range(number)]},
        "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]},
    });
    Arc::new(Draft::new(Key::new(Resource::new("", "nodes"), "", &name), object, &[]).commit(1))
}

fn routes() -> Box<dyn Network> {
    Native::<RoutedNetwork>::boxed(&Arc::default())
}

fn vxlan() -> Box<dyn Network> {
    Native::<OverlayNetwork>::boxed(&Arc::default())
}

/// What is sent comes back, whatever its size.
fn echo(stream: &mut TcpStream) {
    let sent: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut writer = stream.try_clone().unwrap();
    let back = std::thread::spawn({
        let sent = sent.clone();
        move || writer.write_all(&sent)
    });
    let mut got = vec![0; sent.len()];
    stream.read_exact(&mut got).unwrap();
    back.join().unwrap().unwrap();
    assert!(got == sent, "what came back is not what was sent");
}

async fn everybody_reaches_everybody(shape: Wire, plugin: fn() -> Box<dyn Network>, mtu: &str) {
    let fleet = Fleet::new(shape, 2).await;
    let one = fleet.start(1, plugin()).await;
    let two = fleet.start(2, plugin()).await;
    let a = attach(&one.network, "a", &[]).await;
    let b = attach(&two.network, "b", &[]).await;
    fleet.until(1, "10.64.2.0/24", true).await;
    fleet.until(2, "10.64.1.0/24", true).await;
    let (pod_a, pod_b) = (fleet.pod(1, "a"), fleet.pod(2, "b"));
    for place in [&pod_a, &pod_b, fleet.place(2), &fleet.wire] {
        serve(place, 80).await;
    }
    assert_eq!(seen(&pod_a, &b, 80).await, a, "pod to pod");
    assert_eq!(seen(&pod_b, &a, 80).await, b, "and back");
    assert_eq!(seen(&pod_a, fleet.address(2), 80).await, a, "pod to another node");
    let from_node = seen(fleet.place(1), &b, 80).await;
    assert!([fleet.address(1), "10.64.1.0".to_owned()].contains(&from_node), "node to another's pod: {from_node}");
    let outside = if shape == Wire::Shared { "192.0.2.254".to_owned() } else { gateway(1) };
    assert_eq!(seen(&pod_a, outside, 80).await, fleet.address(1), "what leaves the cluster has the node's address");
    assert!(run(&pod_a, "ip -br link show dev eth0").await.starts_with("eth0"));
    assert!(run(&pod_a, "ip link show dev eth0").await.contains(&format!("mtu {mtu} ")));
    let (mut stream, _) = connect(&pod_a, &b, 80).await.unwrap();
    echo(&mut stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_routes_lead_everywhere_on_a_shared_link() {
    everybody_reaches_everybody(Wire::Shared, routes, "1500").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_leads_everywhere_through_a_router_that_knows_no_pods() {
    everybody_reaches_everybody(Wire::Routed, vxlan, "1450").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_is_forgotten_also_while_nobody_was_looking() {
    for plugin in [routes, vxlan] {
        let fleet = Fleet::new(Wire::Shared, 3).await;
        let one = fleet.start(1, plugin()).await;
        fleet.until(1, "10.64.2.0/24", true).await;
        fleet.until(1, "10.64.3.0/24", true).await;
        one.tell.send(vec![PodEvent::Gone(fleet.node(3))]).unwrap();
        fleet.until(1, "10.64.3.0/24", false).await;
        drop(one);
        // Two goes while this node's agent is down; a route of somebody else is none of ours.
        run(fleet.place(1), "ip route add 10.64.9.0/24 dev lo").await;
        let one = fleet.start(1, plugin()).await;
        fleet.until(1, "10.64.3.0/24", true).await;
        one.tell.send(vec![PodEvent::Snapshot(vec![fleet.node(1), fleet.node(3)])]).unwrap();
        fleet.until(1, "10.64.2.0/24", false).await;
        drop(one);
        let (links, tables) = (["gtr".to_owned(), "gtx".to_owned()], ["gantry-bridge".to_owned()]);
        let leavings = Leavings {
            netns_dir: &fleet.pod(1, ""),
            data_dir: &fleet.data(1),
            links: &links,
            tables: &tables,
            node_netns: Some(fleet.place(1)),
        };
        clean(&leavings).await.unwrap();
        let left = run(fleet.place(1), "ip route").await;
        assert_eq!(
            left.lines().filter(|line| line.contains("10.64.")).collect::<Vec<_>>(),
            ["10.64.9.0/24 dev lo scope link "]
        );
        assert!(!run(fleet.place(1), "ip link").await.contains("gt"), "no link is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_reached_keeps_nobody_else_away() {
    let fleet = Fleet::new(Wire::Shared, 2).await;
    let one = fleet.start(1, routes()).await;
    let far = node(3, "203.0.113.7");
    // Else the way there would be the default route's gateway.
    one.tell.send(vec![PodEvent::Snapshot(vec![far, fleet.node(1), fleet.node(2)])]).unwrap();
    fleet.until(1, "10.64.2.0/24", true).await;
    ready(&one.network).await;
    let moved = node(3, "192.0.2.77");
    one.tell.send(vec![PodEvent::Applied(moved)]).unwrap();
    fleet.until(1, "10.64.3.0/24 via 192.0.2.77", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_network_takes_over_under_running_pods() {
    let fleet = Fleet::new(Wire::Shared, 2).await;
    let (one, two) = (fleet.start(1, routes()).await, fleet.start(2, routes()).await);
    let a = attach(&one.network, "a", &[]).await;
    let b = attach(&two.network, "b", &[]).await;
    serve(&fleet.pod(2, "b"), 80).await;
    fleet.until(1, "10.64.2.0/24 via 192.0.2.2 dev eth0", true).await;
    fleet.until(2, "10.64.1.0/24 via 192.0.2.1 dev eth0", true).await;
    let (mut stream, from) = connect(&fleet.pod(1, "a"), &b, 80).await.unwrap();
    assert_eq!(from.to_string(), a);
    let mut running = [one, two];
    let tunnel: fn() -> Box<dyn Network> = vxlan;
    for (plugin, ways, mtu) in [
        (tunnel, ["10.64.2.0 dev gtx0", "10.64.1.0 dev gtx0"], "1450"),
        (routes, ["192.0.2.2 dev eth0", "192.0.2.1 dev eth0"], "1500"),
    ] {
        // Records stay, and nobody undoes what was made.
        drop(running);
        running = [fleet.start(1, plugin()).await, fleet.start(2, plugin()).await];
        fleet.until(1, &format!("10.64.2.0/24 via {}", ways[0]), true).await;
        fleet.until(2, &format!("10.64.1.0/24 via {}", ways[1]), true).await;
        assert!(run(&fleet.pod(1, "a"), "ip link show dev eth0").await.contains(&format!("mtu {mtu} ")), "{ways:?}");
        echo(&mut stream);
    }
    fleet.until_link(1, "gtx0", false).await;
    drop(running);
}
