//! Nodes as policies see them.

use std::collections::{BTreeMap, HashMap};

use gantry_model::Record;
use gantry_model::quantity::Quantity;
use gantry_plugin::family::Label;
use gantry_plugin::family::scheduler::{Node, Resources, Taint, TaintEffect};
use serde_json::Value;

use super::class::index;

/// A node, as a number. Small; used again after the node is gone.
pub(super) type NodeId = u32;

/// The nodes that there are.
#[derive(Default)]
pub(super) struct Nodes {
    ids: HashMap<String, NodeId>,
    entries: Vec<Option<Node>>,
    free: Vec<NodeId>,
}

impl Nodes {
    /// A node is new or changed. `None`: nothing that matters to a scheduler did.
    pub(super) fn set(&mut self, record: &Record) -> Option<Node> {
        let name = &record.meta.name;
        let known = self.ids.get(name).copied();
        let id = known.unwrap_or_else(|| {
            self.free.pop().unwrap_or_else(|| u32::try_from(self.entries.len()).unwrap_or(u32::MAX))
        });
        let node = read(id, record);
        if let (Some(_), Some(Some(old))) = (known, self.entries.get(index(id)))
            && same(old, &node)
        {
            return None;
        }
        self.ids.insert(name.clone(), id);
        if index(id) >= self.entries.len() {
            self.entries.resize_with(index(id) + 1, || None);
        }
        if let Some(slot) = self.entries.get_mut(index(id)) {
            *slot = Some(node.clone());
        }
        Some(node)
    }

    /// A node is gone.
    pub(super) fn remove(&mut self, name: &str) -> Option<NodeId> {
        let id = self.ids.remove(name)?;
        if let Some(slot) = self.entries.get_mut(index(id)) {
            *slot = None;
        }
        self.free.push(id);
        Some(id)
    }

    pub(super) fn id(&self, name: &str) -> Option<NodeId> {
        self.ids.get(name).copied()
    }

    pub(super) fn name(&self, id: NodeId) -> Option<&str> {
        self.get(id).map(|node| node.name.as_str())
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        self.entries.get(index(id))?.as_ref()
    }

    /// All of them, in ascending order of id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        self.entries.iter().flatten()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.ids.keys().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The value of a node's label.
    pub(super) fn label(&self, id: NodeId, key: &str) -> Option<&str> {
        self.get(id)?.labels.iter().find(|label| label.key == key).map(|label| label.value.as_str())
    }
}

/// Whether policies can't tell them apart. Labels and extended resources are read in order of their names.
fn same(a: &Node, b: &Node) -> bool {
    let label = |(a, b): (&Label, &Label)| a.key == b.key && a.value == b.value;
    let taint = |(a, b): (&Taint, &Taint)| a.key == b.key && a.value == b.value && a.effect == b.effect;
    let figures = |r: &Resources| (r.cpu_milli, r.memory, r.ephemeral_storage, r.pods);
    a.id == b.id
        && a.name == b.name
        && a.unschedulable == b.unschedulable
        && figures(&a.allocatable) == figures(&b.allocatable)
        && a.allocatable.extended == b.allocatable.extended
        && a.labels.len() == b.labels.len()
        && a.labels.iter().zip(&b.labels).all(label)
        && a.taints.len() == b.taints.len()
        && a.taints.iter().zip(&b.taints).all(taint)
}

fn read(id: NodeId, record: &Record) -> Node {
    let object = record.value();
    let spec = |field: &str| object.pointer("/spec").and_then(|spec| spec.get(field));
    let label = |(key, value): (&String, &String)| Label { key: key.clone(), value: value.clone() };
    let taints = spec("taints").and_then(Value::as_array);
    Node {
        id,
        name: record.meta.name.clone(),
        labels: record.meta.labels.iter().map(label).collect(),
        taints: taints.into_iter().flatten().filter_map(taint).collect(),
        unschedulable: spec("unschedulable").and_then(Value::as_bool).unwrap_or_default(),
        allocatable: resources(object.pointer("/status/allocatable")),
    }
}

fn taint(taint: &Value) -> Option<Taint> {
    let text = |key: &str| taint.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let effect = match text("effect").as_str() {
        "NoSchedule" => TaintEffect::NoSchedule,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        _ => return None,
    };
    Some(Taint { key: text("key"), value: text("value"), effect })
}

fn resources(allocatable: Option<&Value>) -> Resources {
    let mut amounts: BTreeMap<&str, Quantity> = BTreeMap::new();
    for (name, value) in allocatable.and_then(Value::as_object).into_iter().flatten() {
        if let Some(quantity) = value.as_str().and_then(|text| text.parse().ok()) {
            amounts.insert(name, quantity);
        }
    }
    let unsigned = |n: i64| u64::try_from(n).unwrap_or_default();
    let mut take = |name: &str| amounts.remove(name);
    let cpu_milli = take("cpu").map_or(0, |q| unsigned(q.milli()));
    let memory = take("memory").map_or(0, |q| unsigned(q.value()));
    let ephemeral_storage = take("ephemeral-storage").map_or(0, |q| unsigned(q.value()));
    let pods = take("pods").map_or(0, |q| u32::try_from(q.value()).unwrap_or_default());
    let extended = amounts.into_iter().map(|(name, q)| (name.to_owned(), unsigned(q.value()))).collect();
    Resources { cpu_milli, memory, ephemeral_storage, pods, extended }
}
