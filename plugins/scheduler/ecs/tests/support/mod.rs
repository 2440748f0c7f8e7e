//! A small fleet, and tasks that are placed on it one after the other, as the host does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;

use gantry_sdk::scheduler::{Assignment, Class, Delta, Node, Resources, Verdict};
use gantry_sdk::{Config, Label, Scheduler, Value, json};
use scheduler_ecs::Ecs;

/// Of one instance: cpu in thousandths, MiB, and its labels.
pub fn instance(id: u32, cpu: u64, memory: u64, labels: &[(&str, &str)]) -> Node {
    Node {
        id,
        name: format!("n{id}"),
        labels: labels.iter().map(|(key, value)| Label::new(*key, *value)).collect(),
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources {
            cpu_milli: cpu,
            memory: memory << 20,
            ephemeral_storage: 1 << 40,
            pods: 110,
            extended: Vec::new(),
        },
    }
}

/// A task of 100 thousandths of a core and 64 MiB.
pub fn task(id: u32, placement: Value) -> Delta {
    pod(id, "100m", "64Mi", Some(placement))
}

pub fn pod(id: u32, cpu: &str, memory: &str, placement: Option<Value>) -> Delta {
    let annotations = placement.map_or(json!({}), |p| json!({"scheduling.ecs.gantry.dev/placement": p.to_string()}));
    let spec = json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]});
    let class = json!({"namespace": "ecs", "labels": {}, "annotations": annotations, "spec": spec});
    Delta::ClassSet(Class { id, spec: class.to_string().into_bytes() })
}

pub struct World {
    pub policy: Ecs,
    /// Pods by instance and class.
    pub placed: BTreeMap<(u32, u32), u32>,
}

impl World {
    pub fn new(deltas: impl IntoIterator<Item = Delta>) -> Self {
        Self::seeded(0, deltas)
    }

    pub fn seeded(seed: u64, deltas: impl IntoIterator<Item = Delta>) -> Self {
        let mut policy = Ecs::default();
        policy.configure(Config::from(json!({"seed": seed}))).unwrap();
        policy.sync(deltas.into_iter().collect()).unwrap();
        Self { policy, placed: BTreeMap::new() }
    }

    pub fn sync(&mut self, delta: Delta) {
        self.policy.sync(vec![delta]).unwrap();
    }

    pub fn assign(&mut self, node: u32, class: u32, count: i32) {
        self.sync(Delta::Assign(Assignment { node, class, count }));
        let placed = self.placed.entry((node, class)).or_default();
        *placed = placed.checked_add_signed(count).unwrap();
    }

    /// The best of all instances, the first among equals; placed there.
    pub fn place(&mut self, class: u32, nodes: &[u32]) -> Option<u32> {
        let verdicts = self.policy.evaluate(class, nodes).unwrap();
        let scored = nodes.iter().zip(verdicts).filter_map(|(node, verdict)| match verdict {
            Verdict::Score(score) => Some((score, std::cmp::Reverse(*node))),
            Verdict::Infeasible(_) => None,
        });
        let node = scored.max()?.1.0;
        self.assign(node, class, 1);
        Some(node)
    }

    /// Pods of a class by instance.
    pub fn on(&self, class: u32, nodes: &[u32]) -> Vec<u32> {
        nodes.iter().map(|node| self.placed.get(&(*node, class)).copied().unwrap_or_default()).collect()
    }

    /// Why an instance can't have a pod of the class.
    pub fn why(&mut self, class: u32, node: u32) -> Option<String> {
        match self.policy.evaluate(class, &[node]).unwrap()[0] {
            Verdict::Infeasible(code) => Some(self.policy.reasons(code).join(", ")),
            Verdict::Score(_) => None,
        }
    }
}
