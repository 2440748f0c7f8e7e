//! A scheduler policy: keeps the pods of a class apart, by node and by zone. It composes with others: this one says
//! nothing about resources, and a node that any policy refuses is refused.

use gantry_sdk::scheduler::{Delta, Dependency, Policy, Tables, Verdict};
use gantry_sdk::{Config, Result, Scheduler};

const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Default)]
pub struct Spread(Tables);

impl Scheduler for Spread {
    fn configure(&mut self, config: Config) -> Result<Policy> {
        config.refuse()?;
        Ok(Policy { depends_on: vec![Dependency::Domain(ZONE.into())] })
    }

    fn sync(&mut self, deltas: Vec<Delta>) -> Result<()> {
        self.0.sync(deltas)
    }

    fn evaluate(&mut self, class: u32, nodes: &[u32]) -> Result<Vec<Verdict>> {
        Ok(self.0.verdicts(nodes, |node| {
            let zone = self.0.nodes.values().filter(|other| other.label(ZONE) == node.label(ZONE));
            let in_zone: i64 = zone.map(|other| self.0.count(other.id, class)).sum();
            Verdict::fraction(1.0 / (1 + in_zone + self.0.count(node.id, class)) as f64)
        }))
    }
}

gantry_sdk::plugin!(manifest: "examples/spread.toml", scheduler: Spread);
