//! Other nodes of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gantry_sdk::network::{Peer, PeerDelta};
use gantry_sdk::{Error, Result};
use ipnet::IpNet;

use crate::pods::nets;

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Of its pods; the primary first.
    pub ranges: Vec<IpNet>,
    /// Its own; the one that others use first.
    pub addresses: Vec<IpAddr>,
}

impl Node {
    /// The address by which packets for this range reach the node: its first of the same family.
    pub fn gateway(&self, range: &IpNet) -> Option<IpAddr> {
        self.addresses.iter().find(|address| address.is_ipv4() == range.addr().is_ipv4()).copied()
    }
}

/// A node that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// As it was known; `None`: it was not.
    pub before: Option<Node>,
    /// As it is; `None`: it is gone.
    pub now: Option<Node>,
}

/// Every other node.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    known: BTreeMap<String, Node>,
}

impl Peers {
    /// Takes deltas. With `full` they are all there is, and every node counts as new. All or nothing: one that can't be
    /// read changes nothing.
    pub fn take(&mut self, full: bool, deltas: Vec<PeerDelta>) -> Result<Vec<Change>> {
        let read = |delta| match delta {
            PeerDelta::PeerSet(peer) => Ok((peer.name.clone(), Some(node(&peer)?))),
            PeerDelta::PeerGone(name) => Ok((name, None)),
        };
        let deltas: Vec<(String, Option<Node>)> = deltas.into_iter().map(read).collect::<Result<_>>()?;
        if full {
            self.known.clear();
        }
        let mut changes = Vec::new();
        for (name, now) in deltas {
            let before = match &now {
                Some(node) => self.known.insert(name, node.clone()),
                None => self.known.remove(&name),
            };
            if before != now {
                changes.push(Change { before, now });
            }
        }
        Ok(changes)
    }

    /// All of them.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.known.values()
    }

    /// Every address of every node.
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        self.nodes().flat_map(|node| &node.addresses).copied().collect()
    }
}

fn node(peer: &Peer) -> Result<Node> {
    let address = |text: &String| {
        text.parse().map_err(|_| Error::invalid(format!("address {text:?} of node {} is none", peer.name)))
    };
    let ranges = nets(&peer.pod_ranges, &format!("pod range of node {}", peer.name))?;
    Ok(Node { ranges, addresses: peer.addresses.iter().map(address).collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, range: &str, address: &str) -> PeerDelta {
        PeerDelta::PeerSet(Peer { name: name.into(), pod_ranges: vec![range.into()], addresses: vec![address.into()] })
    }

    #[test]
    fn only_what_changes_is_a_change() {
        let mut peers = Peers::default();
        let first = set("b", "10.64.2.0/24", "192.0.2.2");
        assert_eq!(peers.take(true, vec![first.clone()]).unwrap().len(), 1);
        assert!(peers.take(false, vec![first.clone(), PeerDelta::PeerGone("c".into())]).unwrap().is_empty());
        assert_eq!(peers.take(true, vec![first]).unwrap().len(), 1, "all are new where everything is told");
        let [moved] = &peers.take(false, vec![set("b", "10.64.2.0/24", "192.0.2.9")]).unwrap()[..] else { panic!() };
        assert_eq!(moved.before.as_ref().unwrap().addresses[0].to_string(), "192.0.2.2");
        assert_eq!(peers.addresses().len(), 1);
        assert_eq!(peers.take(false, vec![PeerDelta::PeerGone("b".into())]).unwrap()[0].now, None);
    }

    #[test]
    fn nothing_changes_for_deltas_of_which_one_is_wrong() {
        let mut peers = Peers::default();
        for wrong in [set("c", "10.64.3.0/33", "192.0.2.3"), set("c", "10.64.3.0/24", "there")] {
            let error = peers.take(false, vec![set("b", "10.64.2.0/24", "192.0.2.2"), wrong]).unwrap_err();
            assert!(error.message.contains("node c"), "{}", error.message);
            assert_eq!(peers.nodes().count(), 0);
        }
    }
}
