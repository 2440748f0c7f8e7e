//! Pods of several nodes, over an overlay: packets to another node's pods go through a VXLAN tunnel (RFC 7348) to that
//! node's address, so nodes need share no link, and what is between them need know no pod. What flannel does.
//!
//! Nothing is learned and nothing is sent to everybody: who is behind which node follows from the cluster's Nodes. Each
//! end of the tunnel has the network's own address of its pod range, and a MAC address made from it.

mod options;
mod wire;

use std::net::IpAddr;

use gantry_sdk::network::{
    Attached, Attachment, Detached, KeptPeers, Lease, Network, NodeInfo, Operation, PeerDelta, Place, Route,
    TunnelPeer, Vxlan,
};
use gantry_sdk::{Config, Error, Result};
use network_common::{Node, Peers, Pods, TUNNEL};

use crate::options::Options;

/// The plugin.
#[derive(Default)]
pub struct OverlayNetwork {
    options: Options,
    pods: Pods,
    peers: Peers,
    local: Option<IpAddr>,
}

impl Network for OverlayNetwork {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<()> {
        let (options, common) = Options::read(&config)?;
        let local = node.addresses.first().and_then(|text| text.parse().ok());
        let local: IpAddr = local.ok_or_else(|| {
            Error::invalid(format!("node {} has no address that other nodes could send to", node.name))
        })?;
        self.pods = Pods::new(common, &node, wire::overhead(local))?;
        (self.options, self.local) = (options, Some(local));
        Ok(())
    }

    fn restore(&mut self, leases: Vec<Lease>) -> Result<()> {
        self.pods.restore(leases)
    }

    fn node(&mut self) -> Result<Vec<Operation>> {
        let mut plan = self.pods.node()?;
        plan.extend(self.tunnel());
        Ok(plan)
    }

    fn peers(&mut self, full: bool, deltas: Vec<PeerDelta>) -> Result<Vec<Operation>> {
        let changes = self.peers.take(full, deltas)?;
        if changes.is_empty() && !full {
            return Ok(Vec::new());
        }
        let mut plan = vec![self.pods.untranslated(&self.peers.addresses())];
        for old in changes.iter().filter_map(|change| change.before.as_ref()) {
            plan.extend(old.ranges.iter().map(|range| Operation::DeleteRoute(range.to_string())));
            plan.extend(self.ends(old).into_iter().map(Operation::DeleteTunnelPeer));
        }
        for node in changes.iter().filter_map(|change| change.now.as_ref()) {
            let ends = self.ends(node);
            let leads = !ends.is_empty();
            plan.extend(ends.into_iter().map(Operation::EnsureTunnelPeer));
            plan.extend(routes(node).filter(|_| leads));
        }
        if full {
            plan.extend(self.only());
        }
        Ok(plan)
    }

    fn add(&mut self, sandbox: &Attachment) -> Result<Attached> {
        self.pods.add(sandbox)
    }

    fn del(&mut self, sandbox: &Attachment) -> Result<Detached> {
        self.pods.del(sandbox)
    }

    fn gc(&mut self, alive: &[String]) -> Result<Detached> {
        self.pods.gc(alive)
    }
}

impl OverlayNetwork {
    /// This node's end.
    fn tunnel(&self) -> Option<Operation> {
        let ranges = self.pods.ranges();
        Some(Operation::EnsureVxlan(Vxlan {
            name: TUNNEL.to_owned(),
            vni: self.options.vni,
            port: self.options.port,
            local: self.local?.to_string(),
            mtu: self.pods.mtu(),
            mac: wire::mac(ranges.first()?),
            addresses: ranges.iter().map(|range| format!("{}/{}", range.network(), range.max_prefix_len())).collect(),
        }))
    }

    /// Another node's end, by each of its addresses within. Only a node of this one's family can be sent to.
    fn ends(&self, node: &Node) -> Vec<TunnelPeer> {
        let outside = self.local.and_then(|own| node.addresses.iter().find(|a| a.is_ipv4() == own.is_ipv4()));
        let (Some(remote), Some(first)) = (outside, node.ranges.first()) else { return Vec::new() };
        let (remote, mac) = (remote.to_string(), wire::mac(first));
        let end = |address: IpAddr| TunnelPeer {
            link: TUNNEL.to_owned(),
            address: address.to_string(),
            mac: mac.clone(),
            remote: remote.clone(),
        };
        node.ranges.iter().map(|range| end(range.network())).collect()
    }

    /// Nobody else is to be there.
    fn only(&self) -> [Operation; 2] {
        let ranges = || self.peers.nodes().flat_map(|node| &node.ranges);
        let addresses = ranges().map(|range| range.network().to_string()).collect();
        [
            self.pods.keep_routes(ranges().map(ToString::to_string).collect()),
            Operation::KeepTunnelPeers(KeptPeers { link: TUNNEL.to_owned(), addresses }),
        ]
    }
}

fn routes(node: &Node) -> impl Iterator<Item = Operation> {
    node.ranges.iter().map(|range| {
        Operation::EnsureRoute(Route {
            place: Place::Node,
            destination: range.to_string(),
            via: range.network().to_string(),
            link: TUNNEL.to_owned(),
            mtu: 0,
        })
    })
}

gantry_sdk::plugin!(manifest: "manifest.toml", network: OverlayNetwork);

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::network::Peer;
    use gantry_sdk::testing::suite;

    fn started(config: &str) -> OverlayNetwork {
        let mut network = OverlayNetwork::default();
        network.configure(Config::from_text(config), suite::node()).unwrap();
        network
    }

    fn set(name: &str, range: &str, address: &str) -> PeerDelta {
        PeerDelta::PeerSet(Peer { name: name.into(), pod_ranges: vec![range.into()], addresses: vec![address.into()] })
    }

    fn said(plan: &[Operation]) -> Vec<String> {
        let text = |operation: &Operation| match operation {
            Operation::EnsureVxlan(x) => {
                Some(format!("{} {} {} {} {} {:?}", x.vni, x.port, x.local, x.mtu, x.mac, x.addresses))
            }
            Operation::EnsureRoute(r) => Some(format!("{} via {} by {}", r.destination, r.via, r.link)),
            Operation::DeleteRoute(to) => Some(format!("no {to}")),
            Operation::EnsureTunnelPeer(p) => Some(format!("{} {} at {}", p.address, p.mac, p.remote)),
            Operation::DeleteTunnelPeer(p) => Some(format!("no {} at {}", p.address, p.remote)),
            Operation::KeepTunnelPeers(kept) => Some(format!("only {}", kept.addresses.join(" "))),
            _ => None,
        };
        plan.iter().filter_map(text).collect()
    }

    #[test]
    fn the_tunnel_is_smaller_than_the_link_by_what_it_adds() {
        let plan = started(r#"{"vni": 7, "port": 8472}"#).node().unwrap();
        assert_eq!(said(&plan), ["7 8472 192.0.2.1 1450 0a:59:0a:40:01:00 [\"10.64.1.0/32\"]"]);
    }

    #[test]
    fn a_node_is_an_end_and_a_route() {
        let mut network = started("{}");
        let plan = network.peers(true, vec![set("b", "10.64.2.0/24", "192.0.2.2")]).unwrap();
        assert_eq!(
            said(&plan),
            ["10.64.2.0 0a:59:0a:40:02:00 at 192.0.2.2", "10.64.2.0/24 via 10.64.2.0 by gtx0", "only 10.64.2.0"]
        );
        let plan = network.peers(false, vec![set("b", "10.64.2.0/24", "192.0.2.9")]).unwrap();
        assert_eq!(
            said(&plan),
            [
                "no 10.64.2.0/24",
                "no 10.64.2.0 at 192.0.2.2",
                "10.64.2.0 0a:59:0a:40:02:00 at 192.0.2.9",
                "10.64.2.0/24 via 10.64.2.0 by gtx0"
            ]
        );
        assert!(network.peers(false, vec![set("b", "10.64.2.0/24", "192.0.2.9")]).unwrap().is_empty());
    }

    #[test]
    fn configuration_that_cannot_work_is_refused() {
        let table = [
            (r#"{"vni": 0}"#, "vni 0"),
            (r#"{"vni": 16777216}"#, "vni"),
            (r#"{"port": 0}"#, "port 0"),
            (r#"{"brigde": "x"}"#, "brigde"),
        ];
        for (config, word) in table {
            let error = OverlayNetwork::default().configure(Config::from_text(config), suite::node()).unwrap_err();
            assert!(error.message.contains(word), "{config}: {}", error.message);
        }
        let nowhere = NodeInfo { addresses: Vec::new(), ..suite::node() };
        assert!(OverlayNetwork::default().configure(Config::from_text("{}"), nowhere).is_err());
    }
}
