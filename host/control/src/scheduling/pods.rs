//! What is known of every pod: its class, and where it counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gantry_model::{Key, Record};

use super::class::{ClassId, Classes, spec_of};
use super::lane::Lanes;

/// Where a pod counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It wants a node, and its lane is to find one.
    Wanting,
    /// It was put on the node of this name and the store does not say so yet.
    Assumed(String),
    /// The store says that it is on the node of this name.
    On(String),
    /// It neither wants nor takes anything: over, being deleted before it ran, or gated.
    Nowhere,
}

impl Place {
    /// The node that it counts on. By name: numbers of nodes are used again, and a binding may outlive its node.
    pub(super) fn node(&self) -> Option<&str> {
        match self {
            Place::Assumed(name) | Place::On(name) => Some(name),
            Place::Wanting | Place::Nowhere => None,
        }
    }
}

/// A pod.
pub(super) struct Pod {
    pub record: Arc<Record>,
    pub class: ClassId,
    /// Whose it is to place.
    pub lane: usize,
    pub place: Place,
    pub priority: i64,
    /// Grows with every attempt, so that what came of an earlier one is told apart.
    pub attempt: u64,
    labels: BTreeMap<String, String>,
    generation: i64,
    gated: bool,
}

/// What was known of a pod before it changed.
pub(super) struct Was {
    pub class: ClassId,
    pub lane: usize,
    pub place: Place,
}

impl Pod {
    fn was(&self) -> Was {
        Was { class: self.class, lane: self.lane, place: self.place.clone() }
    }
}

/// What a change of a pod came to.
pub(super) struct Changed {
    /// The class is new and policies must hear of it.
    pub joined: Option<ClassId>,
    /// The class that the pod left, and whether it is gone.
    pub left: Option<(ClassId, bool)>,
    /// Where it counted before, and as what.
    pub before: Option<Was>,
}

/// All pods.
#[derive(Default)]
pub(super) struct Pods {
    by_key: HashMap<Key, Pod>,
}

impl Pods {
    pub(super) fn get(&self, key: &Key) -> Option<&Pod> {
        self.by_key.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Pod> {
        self.by_key.get_mut(key)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.by_key.keys().cloned().collect()
    }

    /// A pod is new or changed. Its spec is read again only if it may be another one. `None`: something newer is known,
    /// since a binding's answer may overtake the watch.
    pub(super) fn set(&mut self, record: Arc<Record>, classes: &mut Classes, lanes: &Lanes) -> Option<Changed> {
        let key = record.key.clone();
        if self.by_key.get(&key).is_some_and(|pod| pod.record.revision > record.revision) {
            return None;
        }
        let node = record.field("spec.nodeName").to_owned();
        let known = self.by_key.get_mut(&key).filter(|pod| pod.record.meta.uid == record.meta.uid);
        if let Some(pod) = known
            && pod.generation == record.meta.generation
            && pod.labels == record.meta.labels
            && (!pod.gated || !node.is_empty())
        {
            let before = Some(pod.was());
            pod.place = place(&record, &node, pod.gated, Some(&pod.place));
            pod.record = record;
            return Some(Changed { joined: None, left: None, before });
        }
        let object = record.value();
        let (class, new) = classes.join(spec_of(&object));
        let old = self.by_key.remove(&key);
        let same = old.as_ref().filter(|old| old.record.meta.uid == record.meta.uid).map(|old| old.place.clone());
        let gates = object.pointer("/spec/schedulingGates").and_then(|g| g.as_array());
        let gated = gates.is_some_and(|gates| !gates.is_empty());
        let scheduler = object.pointer("/spec/schedulerName").and_then(|name| name.as_str()).unwrap_or_default();
        let pod = Pod {
            class,
            lane: lanes.of(scheduler),
            place: place(&record, &node, gated, same.as_ref()),
            priority: object.pointer("/spec/priority").and_then(|p| p.as_i64()).unwrap_or_default(),
            attempt: old.as_ref().map_or(0, |old| old.attempt),
            labels: record.meta.labels.clone(),
            generation: record.meta.generation,
            gated,
            record,
        };
        self.by_key.insert(key, pod);
        let left = old.as_ref().map(|old| (old.class, classes.leave(old.class)));
        Some(Changed { joined: new.then_some(class), left, before: old.as_ref().map(Pod::was) })
    }

    /// A pod is gone.
    pub(super) fn remove(&mut self, key: &Key, classes: &mut Classes) -> Option<Changed> {
        let old = self.by_key.remove(key)?;
        let left = Some((old.class, classes.leave(old.class)));
        Some(Changed { joined: None, left, before: Some(old.was()) })
    }
}

fn place(record: &Record, node: &str, gated: bool, before: Option<&Place>) -> Place {
    let over = matches!(record.field("status.phase"), "Succeeded" | "Failed");
    if over {
        return Place::Nowhere;
    }
    if !node.is_empty() {
        return Place::On(node.to_owned());
    }
    if gated || record.meta.deletion_timestamp.is_some() {
        return Place::Nowhere;
    }
    match before {
        // Its binding is under way; that the store does not say so yet means nothing.
        Some(Place::Assumed(node)) => Place::Assumed(node.clone()),
        _ => Place::Wanting,
    }
}
