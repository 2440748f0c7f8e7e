//! Other nodes of the cluster, as a network plugin is told of them.

use std::collections::{BTreeMap, BTreeSet};

use gantry_model::Record;
use gantry_plugin::family::network::{Peer, PeerDelta};
use serde::Deserialize;

use crate::cluster::PodEvent;

/// Who is known, and what the plugin was told.
pub struct Peers {
    own: String,
    known: BTreeMap<String, Peer>,
    changed: BTreeSet<String>,
    /// Everything is known.
    complete: bool,
    /// Which instance of the plugin knows everything but what changed since.
    told: Option<u64>,
}

impl Peers {
    /// Of the node of this name.
    pub fn new(own: &str) -> Self {
        let (known, changed) = Default::default();
        Self { own: own.to_owned(), known, changed, complete: false, told: None }
    }

    /// Nodes as they are seen.
    pub fn take(&mut self, events: Vec<PodEvent>) {
        for event in events {
            match event {
                PodEvent::Snapshot(nodes) => {
                    let names: BTreeSet<&str> = nodes.iter().map(|node| node.meta.name.as_str()).collect();
                    let gone: Vec<String> =
                        self.known.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
                    gone.iter().for_each(|name| self.set(name, None));
                    nodes.iter().for_each(|node| self.set(&node.meta.name, peer(node)));
                    self.complete = true;
                }
                PodEvent::Applied(node) => self.set(&node.meta.name, peer(&node)),
                PodEvent::Gone(node) => self.set(&node.meta.name, None),
            }
        }
    }

    fn set(&mut self, name: &str, peer: Option<Peer>) {
        let known = self.known.get(name);
        if name == self.own || known.map(facts) == peer.as_ref().map(facts) {
            return;
        }
        match peer {
            Some(peer) => self.known.insert(name.to_owned(), peer),
            None => self.known.remove(name),
        };
        self.changed.insert(name.to_owned());
    }

    /// What this instance of the plugin is to be told, and whether that is everything; `None`: nothing.
    pub fn deltas(&mut self, instance: u64) -> Option<(bool, Vec<PeerDelta>)> {
        let full = self.told != Some(instance);
        if !self.complete || (!full && self.changed.is_empty()) {
            return None;
        }
        self.told = Some(instance);
        let changed = std::mem::take(&mut self.changed);
        let set = |peer: &Peer| PeerDelta::PeerSet(peer.clone());
        let deltas = if full {
            self.known.values().map(set).collect()
        } else {
            changed.into_iter().map(|name| self.known.get(&name).map_or(PeerDelta::PeerGone(name), set)).collect()
        };
        Some((full, deltas))
    }

    /// What was told last did not reach the node.
    pub fn failed(&mut self) {
        self.told = None;
    }
}

/// What a peer is apart from its name.
fn facts(peer: &Peer) -> (&[String], &[String]) {
    (&peer.pod_ranges, &peer.addresses)
}

/// A node as far as its peers need it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "podCIDR")]
    pod_cidr: String,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    addresses: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

/// `None`: it has no place in the network yet.
fn peer(record: &Record) -> Option<Peer> {
    let Node { spec, status } = serde_json::from_slice(&record.json).ok()?;
    let pod_ranges = if spec.pod_cidrs.is_empty() { vec![spec.pod_cidr] } else { spec.pod_cidrs };
    let internal = |address: Address| (address.kind == "InternalIP").then_some(address.address);
    let addresses: Vec<String> = status.addresses.into_iter().filter_map(internal).collect();
    let whole = !addresses.is_empty() && pod_ranges.iter().all(|range| !range.is_empty());
    whole.then(|| Peer { name: record.meta.name.clone(), pod_ranges, addresses })
}
