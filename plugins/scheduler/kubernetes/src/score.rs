//! How good a node is for a class, as far as resources go.

use gantry_sdk::scheduler::MAX_SCORE;
use scheduler_common::{Class, Row};

use crate::config::{Options, Strategy};

/// Kubernetes' formulas, with the operator's weights.
#[derive(Clone, Copy, Debug)]
pub struct Scorer {
    pack: bool,
    cpu: f64,
    memory: f64,
    /// Both together; 1 if there is none.
    per_resource: f64,
    fit: f64,
    balanced: f64,
    per_weight: f64,
}

impl Scorer {
    /// With the operator's weights.
    pub fn new(options: &Options) -> Self {
        let one_over = |sum: u32| if sum == 0 { 0.0 } else { 1.0 / f64::from(sum) };
        let (resources, weights) = (&options.resources, &options.weights);
        Scorer {
            pack: options.strategy == Strategy::MostAllocated,
            cpu: f64::from(resources.cpu),
            memory: f64::from(resources.memory),
            per_resource: one_over(u32::from(resources.cpu) + u32::from(resources.memory)),
            fit: f64::from(weights.fit) * f64::from(MAX_SCORE),
            balanced: f64::from(weights.balanced) * f64::from(MAX_SCORE),
            per_weight: one_over(weights.sum()),
        }
    }

    /// 0 to 10,000, from the resources and the points that constraints gave.
    pub fn score(&self, row: &Row, class: &Class, points: u32) -> u32 {
        let resources = self.fit * self.fit(row, class) + self.balanced * balanced(row, class);
        let score = (f64::from(points) + resources) * self.per_weight;
        (score as u32).min(MAX_SCORE)
    }

    /// The weighted mean over cpu and memory of what is free (or taken) once the pod is there. A resource that the node
    /// does not have does not count.
    fn fit(&self, row: &Row, class: &Class) -> f64 {
        let cpu = (row.score_cpu.saturating_add(class.score_cpu)) as f64 * row.per_cpu;
        let memory = (row.score_memory.saturating_add(class.score_memory)) as f64 * row.per_memory;
        let value = |taken: f64| if self.pack { taken.min(1.0) } else { (1.0 - taken).max(0.0) };
        match (row.per_cpu > 0.0, row.per_memory > 0.0) {
            (true, true) => (self.cpu * value(cpu) + self.memory * value(memory)) * self.per_resource,
            (true, false) => value(cpu) * self.cpu.min(1.0),
            (false, true) => value(memory) * self.memory.min(1.0),
            (false, false) => 0.0,
        }
    }
}

/// 1 minus the standard deviation of the taken shares of cpu and memory.
fn balanced(row: &Row, class: &Class) -> f64 {
    if row.per_cpu == 0.0 || row.per_memory == 0.0 {
        return 1.0;
    }
    let cpu = (row.requested.cpu.saturating_add(class.amounts.cpu)) as f64 * row.per_cpu;
    let memory = (row.requested.memory.saturating_add(class.amounts.memory)) as f64 * row.per_memory;
    1.0 - (cpu.min(1.0) - memory.min(1.0)).abs() * 0.5
}
