//! What an operator may set.

use serde::Deserialize;

/// The plugin's configuration; every part has Kubernetes' default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Spread load or pack it.
    pub strategy: Strategy,
    /// What counts how much in the strategy.
    pub resources: Resources,
    /// What counts how much in the score.
    pub weights: Weights,
}

/// Which nodes are best, by what is free on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Strategy {
    /// Emptier nodes.
    #[default]
    LeastAllocated,
    /// Fuller nodes.
    MostAllocated,
}

/// Weights of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Of processor time.
    pub cpu: u16,
    /// Of memory.
    pub memory: u16,
}

/// Weights of the parts of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Weights {
    /// The strategy.
    pub fit: u16,
    /// Processor and memory used to the same degree.
    pub balanced: u16,
    /// Preferred node affinity.
    pub node_affinity: u16,
    /// Few PreferNoSchedule taints.
    pub taints: u16,
}

impl Default for Resources {
    fn default() -> Self {
        Resources { cpu: 1, memory: 1 }
    }
}

impl Default for Weights {
    fn default() -> Self {
        Weights { fit: 1, balanced: 1, node_affinity: 2, taints: 3 }
    }
}

impl Weights {
    /// Of everything.
    pub fn sum(&self) -> u32 {
        [self.fit, self.balanced, self.node_affinity, self.taints].into_iter().map(u32::from).sum()
    }
}
