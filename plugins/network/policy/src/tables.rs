//! Pods and namespaces, as policies see them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gantry_sdk::Label;
use gantry_sdk::network_policy::{NamedPort, Namespace, Pod as Told};

pub type Labels = BTreeMap<String, String>;

/// A pod with a network of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    pub namespace: String,
    pub labels: Labels,
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<NamedPort>,
    pub local: bool,
}

/// All of them.
#[derive(Default)]
pub struct Tables {
    pods: BTreeMap<String, Pod>,
    namespaces: BTreeMap<String, Labels>,
    by_namespace: BTreeMap<String, BTreeSet<String>>,
}

impl Tables {
    /// Takes a pod in. One in its node's network is none: no policy selects it, and to others it is its node.
    pub fn set_pod(&mut self, told: Told) {
        self.remove_pod(&told.id);
        if told.host_network {
            return;
        }
        let pod = Pod {
            labels: labels(told.labels),
            addresses: told.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
            ports: told.ports,
            local: told.local,
            namespace: told.namespace,
        };
        self.by_namespace.entry(pod.namespace.clone()).or_default().insert(told.id.clone());
        self.pods.insert(told.id, pod);
    }

    pub fn remove_pod(&mut self, id: &str) {
        let Some(pod) = self.pods.remove(id) else { return };
        if let Some(ids) = self.by_namespace.get_mut(&pod.namespace) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_namespace.remove(&pod.namespace);
            }
        }
    }

    pub fn set_namespace(&mut self, told: Namespace) {
        self.namespaces.insert(told.name, labels(told.labels));
    }

    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    pub fn pod(&self, id: &str) -> Option<&Pod> {
        self.pods.get(id)
    }

    /// Labels of a namespace; `None`: it is not known (yet).
    pub fn namespace(&self, name: &str) -> Option<&Labels> {
        self.namespaces.get(name)
    }

    pub fn pods(&self) -> impl Iterator<Item = &String> {
        self.pods.keys()
    }

    pub fn pods_of(&self, namespace: &str) -> impl Iterator<Item = &String> {
        self.by_namespace.get(namespace).into_iter().flatten()
    }
}

fn labels(told: Vec<Label>) -> Labels {
    told.into_iter().map(|label| (label.key, label.value)).collect()
}
