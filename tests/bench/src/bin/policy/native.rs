//! The stock policy without a sandbox, behind the trait that components stand behind. The two sides have types of their
//! own for the same contract: only those of hot calls are free to convert.

use async_trait::async_trait;
use gantry_plugin::family::scheduler as host;
use gantry_plugin::family::{Error, ErrorCode, RetryHint};
use gantry_plugin::{Call, Scheduler};
use gantry_sdk::scheduler as guest;
use gantry_sdk::{Config, Label, Scheduler as _};
use scheduler_kubernetes::Kubernetes;

#[derive(Default)]
pub struct Native(Kubernetes);

#[async_trait]
impl Scheduler for Native {
    async fn reset(&mut self) -> Call<Result<host::Policy, Error>> {
        self.0 = Kubernetes::default();
        let configured = self.0.configure(Config::from_text("{}"));
        Ok(configured
            .map(|policy| host::Policy { depends_on: policy.depends_on.into_iter().map(dependency).collect() })
            .map_err(refused))
    }

    async fn sync(&mut self, deltas: &[host::Delta]) -> Call<Result<(), Error>> {
        Ok(self.0.sync(deltas.iter().map(delta).collect()).map_err(refused))
    }

    async fn evaluate(&mut self, questions: &[host::Question]) -> Call<Result<Vec<Vec<host::Verdict>>, Error>> {
        let answer = |question: &host::Question| {
            let verdicts = self.0.evaluate(question.class, &question.nodes)?;
            Ok(verdicts.into_iter().map(verdict).collect())
        };
        Ok(questions.iter().map(answer).collect::<Result<_, _>>().map_err(refused))
    }

    async fn reasons(&mut self, codes: &[u16]) -> Call<Vec<Vec<String>>> {
        Ok(codes.iter().map(|code| self.0.reasons(*code)).collect())
    }
}

fn refused(error: gantry_sdk::Error) -> Error {
    Error { code: ErrorCode::Internal, message: error.message, retry: RetryHint::Never }
}

fn dependency(given: guest::Dependency) -> host::Dependency {
    match given {
        guest::Dependency::Node => host::Dependency::Node,
        guest::Dependency::Domain(key) => host::Dependency::Domain(key),
        guest::Dependency::Global => host::Dependency::Global,
    }
}

fn verdict(given: guest::Verdict) -> host::Verdict {
    match given {
        guest::Verdict::Infeasible(code) => host::Verdict::Infeasible(code),
        guest::Verdict::Score(score) => host::Verdict::Score(score),
    }
}

fn delta(given: &host::Delta) -> guest::Delta {
    match given {
        host::Delta::NodeSet(given) => guest::Delta::NodeSet(node(given)),
        host::Delta::NodeGone(id) => guest::Delta::NodeGone(*id),
        host::Delta::ClassSet(class) => guest::Delta::ClassSet(guest::Class { id: class.id, spec: class.spec.clone() }),
        host::Delta::ClassGone(id) => guest::Delta::ClassGone(*id),
        host::Delta::Assign(given) => {
            guest::Delta::Assign(guest::Assignment { node: given.node, class: given.class, count: given.count })
        }
    }
}

fn node(given: &host::Node) -> guest::Node {
    let resources = &given.allocatable;
    guest::Node {
        id: given.id,
        name: given.name.clone(),
        labels: given.labels.iter().map(|label| Label::new(&label.key, &label.value)).collect(),
        taints: given.taints.iter().map(taint).collect(),
        unschedulable: given.unschedulable,
        allocatable: guest::Resources {
            cpu_milli: resources.cpu_milli,
            memory: resources.memory,
            ephemeral_storage: resources.ephemeral_storage,
            pods: resources.pods,
            extended: resources.extended.clone(),
        },
    }
}

fn taint(given: &host::Taint) -> guest::Taint {
    let effect = match given.effect {
        host::TaintEffect::NoSchedule => guest::TaintEffect::NoSchedule,
        host::TaintEffect::PreferNoSchedule => guest::TaintEffect::PreferNoSchedule,
        host::TaintEffect::NoExecute => guest::TaintEffect::NoExecute,
    };
    guest::Taint { key: given.key.clone(), value: given.value.clone(), effect }
}
