//! A stock plugin compiled into the test, behind the trait that a WASM component has, with faults on request.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gantry_plugin::family::network::{
    Address, Attached, Attachment, Bridge, Detached, KeptFlow, KeptFlows, KeptPeers, KeptRoutes, Lease, NodeInfo,
    Operation, Peer, PeerDelta, Place, PortMapping, Protocol, Route, Sysctl, TunnelPeer, Veth, Vxlan,
};
use gantry_plugin::family::{Error, ErrorCode, RetryHint};
use gantry_plugin::{Call, Fault, Finding, Network};
use gantry_sdk::network as sdk;
use sdk::Network as Plugin;

/// What is to go wrong.
#[derive(Default)]
pub struct Trouble {
    /// Put before the plan of the node.
    pub node: Vec<Operation>,
    /// Put before the plan of each `add`.
    pub add: Vec<Operation>,
    /// Put before the plan of each `del`.
    pub del: Vec<Operation>,
    /// So many calls of `add` trap.
    pub traps: usize,
    /// So many times it was made anew.
    pub resets: usize,
}

/// The plugin.
pub struct Native<P> {
    plugin: P,
    trouble: Arc<Mutex<Trouble>>,
}

impl<P: Plugin + Send> Native<P> {
    pub fn boxed(trouble: &Arc<Mutex<Trouble>>) -> Box<dyn Network> {
        Box::new(Self { plugin: P::default(), trouble: Arc::clone(trouble) })
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap()
    }
}

#[async_trait]
impl<P: Plugin + Send> Network for Native<P> {
    async fn reset(&mut self, node: NodeInfo, leases: Vec<Lease>) -> Call<Result<(), Error>> {
        self.trouble().resets += 1;
        self.plugin = P::default();
        let node = sdk::NodeInfo {
            name: node.name,
            pod_ranges: node.pod_ranges,
            cluster_ranges: node.cluster_ranges,
            addresses: node.addresses,
            mtu: node.mtu,
        };
        let leases = leases.into_iter().map(|l| sdk::Lease { address: l.address, sandbox: l.sandbox }).collect();
        let configured = self.plugin.configure(gantry_sdk::Config::from_text("{}"), node);
        Ok(configured.and_then(|()| self.plugin.restore(leases)).map_err(error))
    }

    async fn node(&mut self) -> Call<Result<Vec<Operation>, Error>> {
        let first = self.trouble().node.clone();
        Ok(self.plugin.node().map(|p| plan(&first, p)).map_err(error))
    }

    async fn peers(&mut self, full: bool, deltas: Vec<PeerDelta>) -> Call<Result<Vec<Operation>, Error>> {
        let delta = |delta| match delta {
            PeerDelta::PeerSet(Peer { name, pod_ranges, addresses }) => {
                sdk::PeerDelta::PeerSet(sdk::Peer { name, pod_ranges, addresses })
            }
            PeerDelta::PeerGone(name) => sdk::PeerDelta::PeerGone(name),
        };
        let got = self.plugin.peers(full, deltas.into_iter().map(delta).collect());
        Ok(got.map(|p| plan(&[], p)).map_err(error))
    }

    async fn add(&mut self, sandboxes: Vec<Attachment>) -> Call<Vec<Result<Attached, Error>>> {
        if self.trouble().traps > 0 && !sandboxes.is_empty() {
            self.trouble().traps -= 1;
            // Whatever it knew is gone, as a trapped instance is.
            self.plugin = P::default();
            let finding = Finding::Trap { message: "unreachable".into(), backtrace: String::new(), log: vec![] };
            return Err(Fault { plugin: "bridge".into(), version: "1".into(), call: "network.add".into(), finding });
        }
        let first = self.trouble().add.clone();
        let lease = |l: sdk::Lease| Lease { address: l.address, sandbox: l.sandbox };
        let mut one = |a: Attachment| {
            let got = self.plugin.add(&attachment(a)).map_err(error)?;
            let leases = got.leases.into_iter().map(lease).collect();
            Ok(Attached { addresses: got.addresses, leases, plan: plan(&first, got.plan) })
        };
        Ok(sandboxes.into_iter().map(&mut one).collect())
    }

    async fn del(&mut self, sandboxes: Vec<Attachment>) -> Call<Vec<Result<Detached, Error>>> {
        let first = self.trouble().del.clone();
        let mut one = |a: Attachment| {
            let got = self.plugin.del(&attachment(a)).map_err(error)?;
            Ok(Detached { released: got.released, plan: plan(&first, got.plan) })
        };
        Ok(sandboxes.into_iter().map(&mut one).collect())
    }

    async fn gc(&mut self, alive: Vec<String>) -> Call<Result<Detached, Error>> {
        let got = self.plugin.gc(&alive);
        Ok(got.map(|got| Detached { released: got.released, plan: plan(&[], got.plan) }).map_err(error))
    }

    async fn status(&mut self) -> Call<Result<(), Error>> {
        Ok(self.plugin.status().map_err(error))
    }
}

/// As the host has it.
pub fn error(error: gantry_sdk::Error) -> Error {
    let code = match error.code {
        gantry_sdk::ErrorCode::Exhausted => ErrorCode::Exhausted,
        gantry_sdk::ErrorCode::Invalid => ErrorCode::Invalid,
        _ => ErrorCode::Internal,
    };
    Error { code, message: error.message, retry: RetryHint::Never }
}

fn attachment(a: Attachment) -> sdk::Attachment {
    let port = |p: PortMapping| sdk::PortMapping {
        host_port: p.host_port,
        container_port: p.container_port,
        protocol: match p.protocol {
            Protocol::Tcp => sdk::Protocol::Tcp,
            Protocol::Udp => sdk::Protocol::Udp,
            Protocol::Sctp => sdk::Protocol::Sctp,
        },
        host_ip: p.host_ip,
    };
    sdk::Attachment {
        sandbox: a.sandbox,
        namespace: a.namespace,
        pod: a.pod,
        uid: a.uid,
        ports: a.ports.into_iter().map(port).collect(),
    }
}

fn plan(first: &[Operation], plan: Vec<sdk::Operation>) -> Vec<Operation> {
    first.iter().cloned().chain(plan.into_iter().map(operation)).collect()
}

fn tunnel_peer(peer: sdk::TunnelPeer) -> TunnelPeer {
    TunnelPeer { link: peer.link, address: peer.address, mac: peer.mac, remote: peer.remote }
}

fn kept_flows(kept: sdk::KeptFlows) -> KeptFlows {
    let flow = |f: sdk::KeptFlow| KeptFlow { address: f.address, port: f.port, backends: f.backends };
    KeptFlows { protocol: kept.protocol, within: kept.within, flows: kept.flows.into_iter().map(flow).collect() }
}

/// As the host has it.
pub fn operation(operation: sdk::Operation) -> Operation {
    use sdk::Operation as Sdk;
    match operation {
        Sdk::EnsureBridge(b) => {
            Operation::EnsureBridge(Bridge { name: b.name, addresses: b.addresses, mtu: b.mtu, hairpin: b.hairpin })
        }
        Sdk::EnsureVeth(v) => Operation::EnsureVeth(Veth {
            node_end: v.node_end,
            pod_end: v.pod_end,
            bridge: v.bridge,
            mtu: v.mtu,
            pod_mac: v.pod_mac,
        }),
        Sdk::EnsureAddress(a) => {
            Operation::EnsureAddress(Address { place: place(a.place), link: a.link, cidr: a.cidr })
        }
        Sdk::EnsureRoute(r) => Operation::EnsureRoute(Route {
            place: place(r.place),
            destination: r.destination,
            via: r.via,
            link: r.link,
            mtu: r.mtu,
        }),
        Sdk::LinkUp((at, link)) => Operation::LinkUp((place(at), link)),
        Sdk::SetSysctl(s) => Operation::SetSysctl(Sysctl { place: place(s.place), name: s.name, value: s.value }),
        Sdk::EnsureVxlan(v) => Operation::EnsureVxlan(Vxlan {
            name: v.name,
            vni: v.vni,
            port: v.port,
            local: v.local,
            mtu: v.mtu,
            mac: v.mac,
            addresses: v.addresses,
        }),
        Sdk::EnsureTunnelPeer(p) => Operation::EnsureTunnelPeer(tunnel_peer(p)),
        Sdk::DeleteTunnelPeer(p) => Operation::DeleteTunnelPeer(tunnel_peer(p)),
        Sdk::KeepTunnelPeers(k) => Operation::KeepTunnelPeers(KeptPeers { link: k.link, addresses: k.addresses }),
        Sdk::DeleteRoute(to) => Operation::DeleteRoute(to),
        Sdk::KeepRoutes(k) => Operation::KeepRoutes(KeptRoutes { within: k.within, destinations: k.destinations }),
        Sdk::DeleteLink(link) => Operation::DeleteLink(link),
        Sdk::Nftables(text) => Operation::Nftables(text),
        Sdk::KeepFlows(kept) => Operation::KeepFlows(kept_flows(kept)),
        other => panic!("no network plans {other:?}"),
    }
}

fn place(place: sdk::Place) -> Place {
    match place {
        sdk::Place::Node => Place::Node,
        sdk::Place::Pod => Place::Pod,
    }
}
