use gantry_plugin::family::network as host;
use gantry_sdk::network::{
    Address, Attached, Attachment, Bridge, Detached, KeptFlow, KeptFlows, KeptPeers, KeptRoutes, Lease, NodeInfo,
    Operation, PeerDelta, Place, Protocol, Route, Sysctl, TunnelPeer, Veth, Vxlan,
};
use gantry_sdk::proxy::KeptProxies;
use gantry_sdk::{Config, Error, Result};

use crate::proxy;
use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as a pod network.
#[derive(Default)]
pub struct Network {
    instance: Option<Box<dyn gantry_plugin::Network>>,
    node: Option<NodeInfo>,
}

impl gantry_sdk::Network for Network {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<()> {
        let stage = Stage::current();
        let instance = stage.load(&config)?.network().ok_or_else(|| Error::invalid("is no network"))?;
        self.instance = Some(instance);
        self.node = Some(node);
        self.restore(Vec::new())
    }

    /// The host's `reset`: a new instance, configured, with these leases.
    fn restore(&mut self, leases: Vec<Lease>) -> Result<()> {
        let node = self.node.clone().ok_or_else(|| Error::internal("called before `configure`"))?;
        let leases = leases.into_iter().map(|l| host::Lease { address: l.address, sandbox: l.sandbox }).collect();
        let instance = configured(&mut self.instance)?;
        Stage::current().call(instance.reset(info(node), leases)).map_err(words::error)
    }

    fn node(&mut self) -> Result<Vec<Operation>> {
        let plan = Stage::current().call(configured(&mut self.instance)?.node()).map_err(words::error)?;
        Ok(plan.into_iter().map(operation).collect())
    }

    fn peers(&mut self, full: bool, deltas: Vec<PeerDelta>) -> Result<Vec<Operation>> {
        let deltas = deltas.into_iter().map(delta).collect();
        let answer = Stage::current().call(configured(&mut self.instance)?.peers(full, deltas));
        Ok(answer.map_err(words::error)?.into_iter().map(operation).collect())
    }

    fn add(&mut self, sandbox: &Attachment) -> Result<Attached> {
        let answers = Stage::current().call(configured(&mut self.instance)?.add(vec![attachment(sandbox)]));
        let [answer] = <[_; 1]>::try_from(answers).map_err(|_| Error::internal("not one answer for one sandbox"))?;
        let attached = answer.map_err(words::error)?;
        Ok(Attached {
            addresses: attached.addresses,
            leases: attached.leases.into_iter().map(|l| Lease { address: l.address, sandbox: l.sandbox }).collect(),
            plan: attached.plan.into_iter().map(operation).collect(),
        })
    }

    fn del(&mut self, sandbox: &Attachment) -> Result<Detached> {
        let answers = Stage::current().call(configured(&mut self.instance)?.del(vec![attachment(sandbox)]));
        let [answer] = <[_; 1]>::try_from(answers).map_err(|_| Error::internal("not one answer for one sandbox"))?;
        answer.map(detached).map_err(words::error)
    }

    fn gc(&mut self, alive: &[String]) -> Result<Detached> {
        let answer = Stage::current().call(configured(&mut self.instance)?.gc(alive.to_vec()));
        answer.map(detached).map_err(words::error)
    }

    fn status(&mut self) -> Result<()> {
        Stage::current().call(configured(&mut self.instance)?.status()).map_err(words::error)
    }
}

fn info(given: NodeInfo) -> host::NodeInfo {
    host::NodeInfo {
        name: given.name,
        pod_ranges: given.pod_ranges,
        cluster_ranges: given.cluster_ranges,
        addresses: given.addresses,
        mtu: given.mtu,
    }
}

fn delta(given: PeerDelta) -> host::PeerDelta {
    match given {
        PeerDelta::PeerSet(p) => {
            host::PeerDelta::PeerSet(host::Peer { name: p.name, pod_ranges: p.pod_ranges, addresses: p.addresses })
        }
        PeerDelta::PeerGone(name) => host::PeerDelta::PeerGone(name),
    }
}

fn attachment(given: &Attachment) -> host::Attachment {
    let port = |port: &gantry_sdk::network::PortMapping| host::PortMapping {
        host_port: port.host_port,
        container_port: port.container_port,
        protocol: match port.protocol {
            Protocol::Tcp => host::Protocol::Tcp,
            Protocol::Udp => host::Protocol::Udp,
            Protocol::Sctp => host::Protocol::Sctp,
        },
        host_ip: port.host_ip.clone(),
    };
    host::Attachment {
        sandbox: given.sandbox.clone(),
        namespace: given.namespace.clone(),
        pod: given.pod.clone(),
        uid: given.uid.clone(),
        ports: given.ports.iter().map(port).collect(),
    }
}

fn detached(given: host::Detached) -> Detached {
    Detached { released: given.released, plan: given.plan.into_iter().map(operation).collect() }
}

pub(crate) fn operation(given: host::Operation) -> Operation {
    match given {
        host::Operation::EnsureBridge(b) => {
            Operation::EnsureBridge(Bridge { name: b.name, addresses: b.addresses, mtu: b.mtu, hairpin: b.hairpin })
        }
        host::Operation::EnsureVeth(v) => Operation::EnsureVeth(Veth {
            node_end: v.node_end,
            pod_end: v.pod_end,
            bridge: v.bridge,
            mtu: v.mtu,
            pod_mac: v.pod_mac,
        }),
        host::Operation::EnsureAddress(a) => {
            Operation::EnsureAddress(Address { place: place(a.place), link: a.link, cidr: a.cidr })
        }
        host::Operation::EnsureRoute(r) => Operation::EnsureRoute(Route {
            place: place(r.place),
            destination: r.destination,
            via: r.via,
            link: r.link,
            mtu: r.mtu,
        }),
        host::Operation::LinkUp((at, link)) => Operation::LinkUp((place(at), link)),
        host::Operation::SetSysctl(s) => {
            Operation::SetSysctl(Sysctl { place: place(s.place), name: s.name, value: s.value })
        }
        host::Operation::EnsureVxlan(v) => Operation::EnsureVxlan(Vxlan {
            name: v.name,
            vni: v.vni,
            port: v.port,
            local: v.local,
            mtu: v.mtu,
            mac: v.mac,
            addresses: v.addresses,
        }),
        host::Operation::EnsureTunnelPeer(p) => Operation::EnsureTunnelPeer(tunnel_peer(p)),
        host::Operation::DeleteTunnelPeer(p) => Operation::DeleteTunnelPeer(tunnel_peer(p)),
        host::Operation::KeepTunnelPeers(k) => {
            Operation::KeepTunnelPeers(KeptPeers { link: k.link, addresses: k.addresses })
        }
        host::Operation::DeleteRoute(to) => Operation::DeleteRoute(to),
        host::Operation::KeepRoutes(k) => {
            Operation::KeepRoutes(KeptRoutes { within: k.within, destinations: k.destinations })
        }
        host::Operation::DeleteLink(link) => Operation::DeleteLink(link),
        host::Operation::Nftables(rules) => Operation::Nftables(rules),
        host::Operation::KeepFlows(kept) => Operation::KeepFlows(kept_flows(kept)),
        host::Operation::EnsureListener(l) => Operation::EnsureListener(proxy::listener(l)),
        host::Operation::DeleteListener(name) => Operation::DeleteListener(name),
        host::Operation::EnsurePool(p) => Operation::EnsurePool(proxy::pool(p)),
        host::Operation::DeletePool(name) => Operation::DeletePool(name),
        host::Operation::KeepProxies(k) => {
            Operation::KeepProxies(KeptProxies { listeners: k.listeners, pools: k.pools })
        }
    }
}

fn tunnel_peer(given: host::TunnelPeer) -> TunnelPeer {
    TunnelPeer { link: given.link, address: given.address, mac: given.mac, remote: given.remote }
}

fn kept_flows(given: host::KeptFlows) -> KeptFlows {
    let flow = |f: host::KeptFlow| KeptFlow { address: f.address, port: f.port, backends: f.backends };
    KeptFlows { protocol: given.protocol, within: given.within, flows: given.flows.into_iter().map(flow).collect() }
}

fn place(given: host::Place) -> Place {
    match given {
        host::Place::Node => Place::Node,
        host::Place::Pod => Place::Pod,
    }
}
