//! Groups of pods that policies speak of, each a set in the kernel per address family. Policies that mean the same pods
//! share one.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::api::LabelSelector;
use gantry_sdk::network_policy::Protocol;
use gantry_sdk::{Value, json};
use sha2::{Digest, Sha256};

use crate::kernel::Kernel;
use crate::table::Family;
use crate::tables::{Pod, Tables};

/// A group of pods, or of ports of pods.
#[derive(Clone, Debug)]
pub struct Group {
    /// Two groups with the same key are the same.
    key: String,
    who: Who,
}

#[derive(Clone, Debug)]
enum Who {
    /// Addresses.
    Pods { scope: Scope, pods: LabelSelector },
    /// Addresses with the port to which their container gives this name.
    Port { protocol: Protocol, name: String },
}

#[derive(Clone, Debug)]
enum Scope {
    Namespace(String),
    Namespaces(LabelSelector),
}

/// nftables' name.
pub fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// Part of a name in the kernel. Keys are chosen by users, so it is a hash for which nobody finds two of the same.
pub fn digest(key: &str) -> String {
    Sha256::digest(key).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

impl Group {
    /// Pods of one namespace.
    pub fn within(namespace: &str, pods: &LabelSelector) -> Self {
        let key = json!({"namespace": namespace, "pods": pods}).to_string();
        Self { key, who: Who::Pods { scope: Scope::Namespace(namespace.to_owned()), pods: pods.clone() } }
    }

    /// Pods of every namespace with these labels.
    pub fn across(namespaces: &LabelSelector, pods: &LabelSelector) -> Self {
        let key = json!({"namespaces": namespaces, "pods": pods}).to_string();
        Self { key, who: Who::Pods { scope: Scope::Namespaces(namespaces.clone()), pods: pods.clone() } }
    }

    /// A port by its name, which each pod gives another number.
    pub fn port(protocol: Protocol, port: &str) -> Self {
        let key = json!({"protocol": name(protocol), "port": port}).to_string();
        Self { key, who: Who::Port { protocol, name: port.to_owned() } }
    }

    /// The set's name.
    pub fn set(&self, family: Family) -> String {
        let kind = if matches!(self.who, Who::Pods { .. }) { 'p' } else { 'n' };
        format!("{kind}{}-{}", family.digit(), digest(&self.key))
    }

    fn type_(&self, family: Family) -> Value {
        match self.who {
            Who::Pods { .. } => json!(family.address()),
            Who::Port { .. } => json!([family.address(), "inet_proto", "inet_service"]),
        }
    }

    /// What a pod adds to the group: sets and elements.
    fn elements(&self, pod: &Pod, tables: &Tables, families: &[Family]) -> Vec<(String, Value)> {
        let addresses = pod.addresses.iter().map(|a| (Family::of(*a), a)).filter(|(f, _)| families.contains(f));
        match &self.who {
            Who::Pods { scope, pods } => {
                let within = match scope {
                    Scope::Namespace(name) => pod.namespace == *name,
                    // Of one that is not known nobody can say that it is meant.
                    Scope::Namespaces(labels) => {
                        tables.namespace(&pod.namespace).is_some_and(|known| labels.matches(known))
                    }
                };
                if !(within && pods.matches(&pod.labels)) {
                    return Vec::new();
                }
                addresses.map(|(family, address)| (self.set(family), json!(address))).collect()
            }
            Who::Port { protocol, name: wanted } => {
                let named = |port: &&_| -> bool {
                    let gantry_sdk::network_policy::NamedPort { name, protocol: of, .. } = port;
                    name == wanted && of == protocol
                };
                let numbers: BTreeSet<u16> = pod.ports.iter().filter(named).map(|port| port.port).collect();
                let element = |address, port: &u16| json!({"concat": [address, name(*protocol), port]});
                addresses
                    .flat_map(|(family, address)| {
                        numbers.iter().map(move |port| (self.set(family), element(address, port)))
                    })
                    .collect()
            }
        }
    }
}

/// Groups that some policy needs.
#[derive(Default)]
pub struct Groups {
    families: Vec<Family>,
    known: BTreeMap<String, Known>,
    /// Of one namespace, by that.
    narrow: BTreeMap<String, BTreeSet<String>>,
    /// All others.
    wide: BTreeSet<String>,
}

struct Known {
    group: Group,
    users: usize,
    /// What each pod has added.
    members: BTreeMap<String, Vec<(String, Value)>>,
}

impl Groups {
    /// Without any, of a cluster with these address families.
    pub fn new(families: Vec<Family>) -> Self {
        Self { families, ..Self::default() }
    }

    /// One more user. The first makes it.
    pub fn acquire(&mut self, group: &Group, tables: &Tables, kernel: &mut Kernel) {
        if let Some(known) = self.known.get_mut(&group.key) {
            known.users = known.users.saturating_add(1);
            return;
        }
        for family in &self.families {
            kernel.add_set(&group.set(*family), group.type_(*family));
        }
        let mut known = Known { group: group.clone(), users: 1, members: BTreeMap::new() };
        match &group.who {
            Who::Pods { scope: Scope::Namespace(name), .. } => {
                self.narrow.entry(name.clone()).or_default().insert(group.key.clone());
                tables.pods_of(name).for_each(|id| known.refresh(id, tables, &self.families, kernel));
            }
            _ => {
                self.wide.insert(group.key.clone());
                tables.pods().for_each(|id| known.refresh(id, tables, &self.families, kernel));
            }
        }
        self.known.insert(group.key.clone(), known);
    }

    /// One user less. The last takes it away.
    pub fn release(&mut self, group: &Group, kernel: &mut Kernel) {
        let Some(known) = self.known.get_mut(&group.key) else { return };
        known.users = known.users.saturating_sub(1);
        if known.users > 0 {
            return;
        }
        for (set, element) in known.members.values().flatten() {
            kernel.remove_element(set, element);
        }
        for family in &self.families {
            kernel.remove_set(&group.set(*family));
        }
        self.known.remove(&group.key);
        self.wide.remove(&group.key);
        if let Who::Pods { scope: Scope::Namespace(name), .. } = &group.who
            && let Some(keys) = self.narrow.get_mut(name)
        {
            keys.remove(&group.key);
            if keys.is_empty() {
                self.narrow.remove(name);
            }
        }
    }

    /// A pod of this namespace came, changed or went.
    pub fn refresh(&mut self, id: &str, namespace: &str, tables: &Tables, kernel: &mut Kernel) {
        let narrow = self.narrow.get(namespace).into_iter().flatten();
        for key in narrow.chain(&self.wide) {
            if let Some(known) = self.known.get_mut(key) {
                known.refresh(id, tables, &self.families, kernel);
            }
        }
    }
}

impl Known {
    fn refresh(&mut self, id: &str, tables: &Tables, families: &[Family], kernel: &mut Kernel) {
        let now = tables.pod(id).map(|pod| self.group.elements(pod, tables, families)).unwrap_or_default();
        if self.members.get(id).map_or(now.is_empty(), |before| *before == now) {
            return;
        }
        for (set, element) in &now {
            kernel.add_element(set, element);
        }
        let before = if now.is_empty() { self.members.remove(id) } else { self.members.insert(id.to_owned(), now) };
        for (set, element) in before.iter().flatten() {
            kernel.remove_element(set, element);
        }
    }
}
