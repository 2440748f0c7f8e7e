//! Pods of several nodes that share a link: each node has a pod range, and every other node a plain route to it. Nothing
//! is encapsulated, so packets are as large as the link lets through. What Calico does without encapsulation and
//! flannel does as `host-gw`.
//!
//! A node that is on no link of this one can't be reached so, which the host reports; the others are.

use gantry_sdk::network::{
    Attached, Attachment, Detached, Lease, Network, NodeInfo, Operation, PeerDelta, Place, Route,
};
use gantry_sdk::{Config, Result};
use network_common::{Node, Peers, Pods, TUNNEL};

/// The plugin.
#[derive(Default)]
pub struct RoutedNetwork {
    pods: Pods,
    peers: Peers,
}

impl Network for RoutedNetwork {
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<()> {
        self.pods = Pods::new(config.parse()?, &node, 0)?;
        Ok(())
    }

    fn restore(&mut self, leases: Vec<Lease>) -> Result<()> {
        self.pods.restore(leases)
    }

    fn node(&mut self) -> Result<Vec<Operation>> {
        self.pods.node()
    }

    fn peers(&mut self, full: bool, deltas: Vec<PeerDelta>) -> Result<Vec<Operation>> {
        let changes = self.peers.take(full, deltas)?;
        if changes.is_empty() && !full {
            return Ok(Vec::new());
        }
        let mut plan = vec![self.pods.untranslated(&self.peers.addresses())];
        for old in changes.iter().filter_map(|change| change.before.as_ref()) {
            // Whoever has the range now gets it below.
            plan.extend(old.ranges.iter().map(|range| Operation::DeleteRoute(range.to_string())));
        }
        plan.extend(changes.iter().filter_map(|change| change.now.as_ref()).flat_map(routes));
        if full {
            let all = self.peers.nodes().flat_map(|node| &node.ranges).map(ToString::to_string).collect();
            // A tunnel of a network that was here before goes last, when nothing leads into it.
            plan.extend([self.pods.keep_routes(all), Operation::DeleteLink(TUNNEL.to_owned())]);
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

/// By the link on which the kernel finds the node.
fn routes(node: &Node) -> impl Iterator<Item = Operation> {
    node.ranges.iter().filter_map(|range| {
        let via = node.gateway(range)?.to_string();
        let destination = range.to_string();
        Some(Operation::EnsureRoute(Route { place: Place::Node, destination, via, link: String::new(), mtu: 0 }))
    })
}

gantry_sdk::plugin!(manifest: "manifest.toml", network: RoutedNetwork);

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::network::Peer;
    use gantry_sdk::testing::suite;

    fn started() -> RoutedNetwork {
        let mut network = RoutedNetwork::default();
        network.configure(Config::from_text("{}"), suite::node()).unwrap();
        network
    }

    fn set(name: &str, ranges: &[&str], addresses: &[&str]) -> PeerDelta {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        PeerDelta::PeerSet(Peer { name: name.into(), pod_ranges: texts(ranges), addresses: texts(addresses) })
    }

    fn said(plan: &[Operation]) -> Vec<String> {
        let text = |operation: &Operation| match operation {
            Operation::EnsureRoute(route) => Some(format!("{} via {}{}", route.destination, route.via, route.link)),
            Operation::DeleteRoute(to) => Some(format!("no {to}")),
            Operation::KeepRoutes(kept) => Some(format!("only {}", kept.destinations.join(" "))),
            _ => None,
        };
        plan.iter().filter_map(text).collect()
    }

    #[test]
    fn each_range_is_behind_an_address_of_its_family() {
        let mut network = started();
        let both = set("b", &["10.64.2.0/24", "fd00:2::/64"], &["192.0.2.2", "2001:db8::2"]);
        let plan = network.peers(true, vec![both, set("c", &["10.64.3.0/24"], &["2001:db8::3"])]).unwrap();
        assert_eq!(
            said(&plan),
            ["10.64.2.0/24 via 192.0.2.2", "fd00:2::/64 via 2001:db8::2", "only 10.64.2.0/24 fd00:2::/64 10.64.3.0/24"]
        );
    }

    #[test]
    fn a_change_is_the_change_and_nothing_else() {
        let mut network = started();
        let b = || set("b", &["10.64.2.0/24"], &["192.0.2.2"]);
        network.peers(true, vec![b(), set("c", &["10.64.3.0/24"], &["192.0.2.3"])]).unwrap();
        assert!(network.peers(false, vec![b()]).unwrap().is_empty());
        // The range of one that goes is another's in the same breath.
        let plan = network
            .peers(false, vec![set("d", &["10.64.3.0/24"], &["192.0.2.4"]), PeerDelta::PeerGone("c".into())])
            .unwrap();
        assert_eq!(said(&plan), ["no 10.64.3.0/24", "10.64.3.0/24 via 192.0.2.4"]);
    }
}
