//! Nodes as container instances, and how many tasks of each group are on them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ecs_common::attributes;
use ecs_common::query::{Facts, Subject};
use gantry_sdk::scheduler::Node;

use crate::task::Group;

/// A node, as placement sees it beside its room.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// The node's name.
    pub name: String,
    /// See `ecs_common::attributes`.
    pub attributes: BTreeMap<String, String>,
    /// Its agent is heard of.
    pub connected: bool,
}

/// Taints of nodes whose agent is not.
const AWAY: [&str; 2] = ["node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"];

impl Instance {
    /// Reads a node.
    pub fn of(node: &Node) -> Self {
        let labels = node.labels.iter().map(|label| (label.key.as_str(), label.value.as_str()));
        let connected = !node.taints.iter().any(|taint| AWAY.contains(&taint.key.as_str()));
        Self { name: node.name.clone(), attributes: attributes::of(labels), connected }
    }
}

/// An instance with the tasks of a cluster that are on it.
pub struct Seen<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// Groups of the tasks, and how many tasks each has there.
    pub tasks: &'a [(&'a str, u64)],
}

impl Facts for Seen<'_> {
    fn values(&self, subject: &Subject) -> Vec<Cow<'_, str>> {
        match subject {
            Subject::AgentConnected => vec![self.instance.connected.to_string().into()],
            Subject::Attribute(name) => self.instance.attributes.get(name).map(|v| v.into()).into_iter().collect(),
            Subject::Ec2InstanceId => vec![(&self.instance.name).into()],
            Subject::RunningTasksCount => {
                vec![self.tasks.iter().map(|(_, tasks)| tasks).sum::<u64>().to_string().into()]
            }
            Subject::TaskGroup => self.tasks.iter().map(|(group, _)| Cow::Borrowed(*group)).collect(),
            // No scheduler is told of these; they are refused in placements.
            Subject::AgentVersion | Subject::RegisteredAt => Vec::new(),
        }
    }
}

/// Tasks on instances, by group. No zeros.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    groups: BTreeMap<Group, BTreeMap<u32, u64>>,
}

impl Tasks {
    /// Tasks of a group came to an instance, or (negative) left it.
    pub fn change(&mut self, group: &Group, node: u32, count: i64) {
        let nodes = self.groups.entry(group.clone()).or_default();
        let tasks = nodes.entry(node).or_default();
        *tasks = tasks.saturating_add_signed(count);
        if *tasks == 0 {
            nodes.remove(&node);
        }
        if nodes.is_empty() {
            self.groups.remove(group);
        }
    }

    /// Groups of a cluster on each instance that has some, with their tasks.
    pub fn by_instance<'a>(&'a self, cluster: &str) -> BTreeMap<u32, Vec<(&'a str, u64)>> {
        let mut all: BTreeMap<u32, Vec<(&str, u64)>> = BTreeMap::new();
        for ((_, group), nodes) in self.groups.iter().filter(|((of, _), _)| of == cluster) {
            for (node, tasks) in nodes {
                all.entry(*node).or_default().push((group, *tasks));
            }
        }
        all
    }

    /// Of a group, by instance.
    pub fn of(&self, group: &Group) -> impl Iterator<Item = (u32, u64)> {
        self.groups.get(group).into_iter().flatten().map(|(node, tasks)| (*node, *tasks))
    }
}
