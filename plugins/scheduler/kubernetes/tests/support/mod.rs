//! Short forms of what the host sends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]
#![allow(dead_code, reason = "each test file uses its part")]

use gantry_sdk::scheduler::{Assignment, Class, Delta, Node, Resources, Taint, TaintEffect, Verdict};
use gantry_sdk::{Config, Label, Scheduler, Value, json};
use scheduler_kubernetes::Kubernetes;

/// One Gi.
pub const GI: u64 = 1 << 30;

/// A node of 4 cores and 8 Gi.
pub fn node(id: u32) -> Node {
    Node {
        id,
        name: format!("n{id}"),
        labels: vec![Label::new("kubernetes.io/hostname", format!("n{id}"))],
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources {
            cpu_milli: 4_000,
            memory: 8 * GI,
            ephemeral_storage: 100 * GI,
            pods: 110,
            extended: Vec::new(),
        },
    }
}

pub fn labelled(id: u32, labels: &[(&str, &str)]) -> Node {
    let mut node = node(id);
    node.labels.extend(labels.iter().map(|(key, value)| Label::new(*key, *value)));
    node
}

pub fn tainted(id: u32, key: &str, value: &str, effect: TaintEffect) -> Node {
    Node { taints: vec![Taint { key: key.into(), value: value.into(), effect }], ..node(id) }
}

/// A class from its PodSpec.
pub fn class(id: u32, spec: &Value) -> Delta {
    let class = json!({"namespace": "default", "labels": {}, "spec": spec});
    Delta::ClassSet(Class { id, spec: class.to_string().into_bytes() })
}

pub fn assign(node: u32, class: u32, count: i32) -> Delta {
    Delta::Assign(Assignment { node, class, count })
}

/// A PodSpec that asks for this much.
pub fn asking(cpu: &str, memory: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]})
}

/// A policy with these tables.
pub fn policy(config: Value, deltas: impl IntoIterator<Item = Delta>) -> Kubernetes {
    let mut policy = Kubernetes::default();
    policy.configure(Config::from(config)).unwrap();
    policy.sync(deltas.into_iter().collect()).unwrap();
    policy
}

/// The verdict on the one node of a fresh table, a refusal as its texts.
pub fn judge(node: Node, spec: &Value) -> Result<u32, Vec<String>> {
    let mut policy = policy(json!({}), [Delta::NodeSet(node), class(1, spec)]);
    match policy.evaluate(1, &[]).unwrap()[0] {
        Verdict::Score(score) => Ok(score),
        Verdict::Infeasible(code) => Err(policy.reasons(code)),
    }
}
