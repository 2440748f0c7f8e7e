//! The policy: tables fed by deltas, verdicts read from them.

use gantry_sdk::scheduler::{Delta, Dependency, Policy, Verdict};
use gantry_sdk::{Config, Error, Result, Scheduler};
use scheduler_common::{Fleet, Preferences};

use crate::config::Options;
use crate::score::Scorer;

/// The Kubernetes scheduler's rules about a pod and a node.
#[derive(Debug)]
pub struct Kubernetes {
    scorer: Scorer,
    fleet: Fleet,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Kubernetes { scorer: Scorer::new(&Options::default()), fleet: Fleet::default() }
    }
}

impl Scheduler for Kubernetes {
    fn configure(&mut self, config: Config) -> Result<Policy> {
        let options: Options = config.parse()?;
        if options.weights.sum() == 0 {
            return Err(Error::invalid("configuration: weights: at least one must not be 0"));
        }
        self.scorer = Scorer::new(&options);
        let (node_affinity, taints) = (options.weights.node_affinity, options.weights.taints);
        self.fleet = Fleet::new(Preferences { node_affinity, taints });
        Ok(Policy { depends_on: vec![Dependency::Node] })
    }

    fn sync(&mut self, deltas: Vec<Delta>) -> Result<()> {
        deltas.into_iter().try_for_each(|delta| self.fleet.take(delta).map(drop))
    }

    fn evaluate(&mut self, class: u32, nodes: &[u32]) -> Result<Vec<Verdict>> {
        let scorer = self.scorer;
        let mut question = self.fleet.question(class)?;
        Ok(question.verdicts(nodes, |class, row, points| scorer.score(row, class, points)))
    }

    fn reasons(&mut self, code: u16) -> Vec<String> {
        self.fleet.texts(code)
    }
}
