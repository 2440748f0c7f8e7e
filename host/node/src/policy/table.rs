//! What there is, and what of it the plugin has not been told yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gantry_model::Record;
use gantry_plugin::family::KindRef;
use gantry_plugin::family::network_policy::{Delta, Namespace, Pod, Policy, PolicyRef};

use super::document;
use crate::cluster::PodEvent;

/// Namespace, kind (by its number) and name.
type PolicyId = (String, usize, String);

pub(super) struct Table {
    node: String,
    kinds: Vec<KindRef>,
    /// Pods of the feed, by uid; `None`: it has ended.
    pods: HashMap<String, Option<Pod>>,
    /// Pods of this node that were given addresses, whether the feed knows of that or not.
    placed: HashMap<String, Pod>,
    /// Pods that have given theirs up, whatever the feed says.
    displaced: BTreeSet<String>,
    namespaces: Told<String, Namespace>,
    policies: Told<PolicyId, Vec<u8>>,
    /// Pods as they are to be told of, by uid.
    effective: Told<String, Pod>,
}

impl Table {
    /// Of this node, where policies are objects of these kinds.
    pub(super) fn new(node: &str, kinds: Vec<KindRef>) -> Self {
        Self {
            node: node.to_owned(),
            kinds,
            pods: HashMap::new(),
            placed: HashMap::new(),
            displaced: BTreeSet::new(),
            namespaces: Told::default(),
            policies: Told::default(),
            effective: Told::default(),
        }
    }

    /// Whether there is anything to tell.
    pub(super) fn is_dirty(&self) -> bool {
        self.namespaces.is_dirty() || self.policies.is_dirty() || self.effective.is_dirty()
    }

    /// Whether there are policies about a namespace.
    pub(super) fn guards(&self, namespace: &str) -> bool {
        let of = |namespace: &str| {
            let first = (namespace.to_owned(), 0, String::new());
            self.policies.now.range(first..).next().is_some_and(|((of, ..), _)| of == namespace)
        };
        of("") || of(namespace)
    }

    /// A pod of this node has these addresses now.
    pub(super) fn place(&mut self, pod: Pod) {
        let uid = pod.id.clone();
        self.displaced.remove(&uid);
        self.placed.insert(uid.clone(), pod);
        self.renew(&uid);
    }

    /// A pod of this node has none any more. What its object says of them is over.
    pub(super) fn displace(&mut self, uid: &str) {
        self.placed.remove(uid);
        if self.pods.contains_key(uid) {
            self.displaced.insert(uid.to_owned());
        }
        self.renew(uid);
    }

    pub(super) fn pods(&mut self, events: Vec<PodEvent>) {
        for event in events {
            match event {
                PodEvent::Snapshot(records) => {
                    let there: BTreeSet<&String> = records.iter().map(|record| &record.meta.uid).collect();
                    let gone: Vec<String> = self.pods.keys().filter(|uid| !there.contains(uid)).cloned().collect();
                    gone.iter().for_each(|uid| self.remove_pod(uid));
                    records.iter().for_each(|record| self.set_pod(record));
                }
                PodEvent::Applied(record) => self.set_pod(&record),
                PodEvent::Gone(record) => self.remove_pod(&record.meta.uid),
            }
        }
    }

    fn set_pod(&mut self, record: &Arc<Record>) {
        let uid = record.meta.uid.clone();
        self.pods.insert(uid.clone(), document::pod(record, &self.node));
        self.renew(&uid);
    }

    fn remove_pod(&mut self, uid: &str) {
        self.pods.remove(uid);
        self.displaced.remove(uid);
        self.renew(uid);
    }

    /// What the plugin is to know of a pod. As long as it has addresses of this node it stays, even if its object is gone:
    /// its containers may not be.
    fn renew(&mut self, uid: &str) {
        let pod = match (self.pods.get(uid), self.placed.get(uid)) {
            _ if self.displaced.contains(uid) => None,
            (Some(None), _) | (None, None) => None,
            (Some(Some(seen)), Some(placed)) => {
                Some(Pod { addresses: placed.addresses.clone(), local: true, ..seen.clone() })
            }
            (Some(Some(pod)), None) | (None, Some(pod)) => Some(pod.clone()),
        };
        self.effective.set(uid.to_owned(), pod.filter(|pod| !pod.addresses.is_empty()));
    }

    pub(super) fn namespaces(&mut self, events: Vec<PodEvent>) {
        let namespace = |r: &Record| Namespace { name: r.meta.name.clone(), labels: document::labels(&r.meta.labels) };
        self.namespaces.take(events, |record| record.meta.name.clone(), namespace);
    }

    /// Of the kind with this number.
    pub(super) fn policies(&mut self, kind: usize, events: Vec<PodEvent>) {
        let id = |r: &Record| (r.meta.namespace.clone(), kind, r.meta.name.clone());
        self.policies.take_of(events, |(_, of, _)| *of == kind, id, document::spec);
    }

    /// What there is to tell; with `full` everything.
    pub(super) fn take(&mut self, full: bool) -> Vec<Delta> {
        let mut deltas = Vec::new();
        for (name, namespace) in self.namespaces.tell(full) {
            deltas.push(namespace.map_or(Delta::NamespaceGone(name), Delta::NamespaceSet));
        }
        let kinds = &self.kinds;
        for ((namespace, number, name), spec) in self.policies.tell(full) {
            let Some(kind) = kinds.get(number).cloned() else { continue };
            deltas.push(match spec {
                Some(spec) => Delta::PolicySet(Policy { kind, namespace, name, spec }),
                None => Delta::PolicyGone(PolicyRef { kind, namespace, name }),
            });
        }
        for (uid, pod) in self.effective.tell(full) {
            deltas.push(pod.map_or(Delta::PodGone(uid), Delta::PodSet));
        }
        deltas
    }
}

/// Values by key, of which some have changed since they were told.
struct Told<K, V> {
    now: BTreeMap<K, V>,
    changed: BTreeSet<K>,
}

impl<K, V> Default for Told<K, V> {
    fn default() -> Self {
        Self { now: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, V: Same + Clone> Told<K, V> {
    fn is_dirty(&self) -> bool {
        !self.changed.is_empty()
    }

    fn set(&mut self, key: K, value: Option<V>) {
        let old = self.now.get(&key);
        let same = match (old, &value) {
            (Some(old), Some(new)) => old.same(new),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        match value {
            Some(value) => drop(self.now.insert(key.clone(), value)),
            None => drop(self.now.remove(&key)),
        }
        self.changed.insert(key);
    }

    fn take(&mut self, events: Vec<PodEvent>, key: impl Fn(&Record) -> K, value: impl Fn(&Record) -> V) {
        self.take_of(events, |_| true, key, value);
    }

    /// Of the keys that these events are about.
    fn take_of(
        &mut self,
        events: Vec<PodEvent>,
        about: impl Fn(&K) -> bool,
        key: impl Fn(&Record) -> K,
        value: impl Fn(&Record) -> V,
    ) {
        for event in events {
            match event {
                PodEvent::Snapshot(records) => {
                    let there: BTreeSet<K> = records.iter().map(|record| key(record)).collect();
                    let gone = self.now.keys().filter(|k| about(k) && !there.contains(*k));
                    for key in gone.cloned().collect::<Vec<_>>() {
                        self.set(key, None);
                    }
                    records.iter().for_each(|record| self.set(key(record), Some(value(record))));
                }
                PodEvent::Applied(record) => self.set(key(&record), Some(value(&record))),
                PodEvent::Gone(record) => self.set(key(&record), None),
            }
        }
    }

    fn tell(&mut self, full: bool) -> Vec<(K, Option<V>)> {
        let changed = std::mem::take(&mut self.changed);
        if full {
            return self.now.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        }
        changed.into_iter().map(|key| (key.clone(), self.now.get(&key).cloned())).collect()
    }
}

/// Whether the plugin would see a difference. The contract's types have no equality of their own.
trait Same {
    fn same(&self, other: &Self) -> bool;
}

impl Same for Vec<u8> {
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Same for Namespace {
    fn same(&self, other: &Self) -> bool {
        pairs(&self.labels).eq(pairs(&other.labels))
    }
}

impl Same for Pod {
    fn same(&self, other: &Self) -> bool {
        let ports = |pod: &Pod| pod.ports.iter().map(|p| (p.name.clone(), p.protocol, p.port)).collect::<Vec<_>>();
        pairs(&self.labels).eq(pairs(&other.labels))
            && (&self.addresses, self.local, self.host_network) == (&other.addresses, other.local, other.host_network)
            && ports(self) == ports(other)
    }
}

fn pairs(labels: &[gantry_plugin::family::Label]) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|label| (label.key.as_str(), label.value.as_str()))
}

#[cfg(test)]
mod tests;
