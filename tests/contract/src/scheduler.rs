use gantry_plugin::family::scheduler as host;
use gantry_sdk::scheduler::{Delta, Dependency, Node, Policy, Taint, TaintEffect, Verdict};
use gantry_sdk::{Config, Error, Result};

use crate::stage::{Stage, configured};
use crate::words;

/// The component on this thread's stage, as a placement policy.
#[derive(Default)]
pub struct Scheduler {
    instance: Option<Box<dyn gantry_plugin::Scheduler>>,
}

impl gantry_sdk::Scheduler for Scheduler {
    fn configure(&mut self, config: Config) -> Result<Policy> {
        let stage = Stage::current();
        let mut instance = stage.load(&config)?.scheduler().ok_or_else(|| Error::invalid("is no scheduler"))?;
        let policy = stage.call(instance.reset()).map_err(words::error)?;
        self.instance = Some(instance);
        Ok(Policy { depends_on: policy.depends_on.into_iter().map(dependency).collect() })
    }

    fn sync(&mut self, deltas: Vec<Delta>) -> Result<()> {
        let deltas: Vec<host::Delta> = deltas.into_iter().map(delta).collect();
        let instance = configured(&mut self.instance)?;
        Stage::current().call(instance.sync(&deltas)).map_err(words::error)
    }

    fn evaluate(&mut self, class: u32, nodes: &[u32]) -> Result<Vec<Verdict>> {
        let questions = [host::Question { class, nodes: nodes.to_vec() }];
        let instance = configured(&mut self.instance)?;
        let answers = Stage::current().call(instance.evaluate(&questions)).map_err(words::error)?;
        let [verdicts] = <[_; 1]>::try_from(answers).expect("one list of verdicts for one question");
        Ok(verdicts.into_iter().map(verdict).collect())
    }

    fn reasons(&mut self, code: u16) -> Vec<String> {
        let instance = configured(&mut self.instance).expect("configured first");
        let answers = Stage::current().call(instance.reasons(&[code]));
        let [texts] = <[_; 1]>::try_from(answers).expect("one list of texts for one code");
        texts
    }
}

fn dependency(given: host::Dependency) -> Dependency {
    match given {
        host::Dependency::Node => Dependency::Node,
        host::Dependency::Domain(key) => Dependency::Domain(key),
        host::Dependency::Global => Dependency::Global,
    }
}

fn verdict(given: host::Verdict) -> Verdict {
    match given {
        host::Verdict::Infeasible(code) => Verdict::Infeasible(code),
        host::Verdict::Score(score) => Verdict::Score(score),
    }
}

fn delta(given: Delta) -> host::Delta {
    match given {
        Delta::NodeSet(given) => host::Delta::NodeSet(node(given)),
        Delta::NodeGone(id) => host::Delta::NodeGone(id),
        Delta::ClassSet(class) => host::Delta::ClassSet(host::Class { id: class.id, spec: class.spec }),
        Delta::ClassGone(id) => host::Delta::ClassGone(id),
        Delta::Assign(given) => {
            host::Delta::Assign(host::Assignment { node: given.node, class: given.class, count: given.count })
        }
    }
}

fn node(given: Node) -> host::Node {
    let resources = given.allocatable;
    host::Node {
        id: given.id,
        name: given.name,
        labels: words::to_labels(given.labels),
        taints: given.taints.into_iter().map(taint).collect(),
        unschedulable: given.unschedulable,
        allocatable: host::Resources {
            cpu_milli: resources.cpu_milli,
            memory: resources.memory,
            ephemeral_storage: resources.ephemeral_storage,
            pods: resources.pods,
            extended: resources.extended,
        },
    }
}

fn taint(given: Taint) -> host::Taint {
    let effect = match given.effect {
        TaintEffect::NoSchedule => host::TaintEffect::NoSchedule,
        TaintEffect::PreferNoSchedule => host::TaintEffect::PreferNoSchedule,
        TaintEffect::NoExecute => host::TaintEffect::NoExecute,
    };
    host::Taint { key: given.key, value: given.value, effect }
}
