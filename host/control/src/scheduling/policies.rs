//! The policies as one: told of everything together, feasible where all agree, scores weighted and added up.

use gantry_plugin::family::scheduler::{Class, Delta, Dependency, Question, Verdict as Given};
use gantry_plugin::{Fault, Finding};

use super::Policy;
use super::class::ClassId;
use super::node::NodeId;
use super::sift::Refused;
use super::verdicts::Verdict;

/// Why there is no answer now.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// Which policy.
    pub policy: String,
    /// For people.
    pub message: String,
    /// The policy can't be asked at all now: it says nothing about what it was told.
    pub away: bool,
}

/// All policies of a loop.
pub(super) struct Policies {
    policies: Vec<Policy>,
}

impl Policies {
    pub(super) fn new(policies: Vec<Policy>) -> Self {
        Self { policies }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    pub(super) fn names(&self) -> String {
        self.policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Makes every policy anew and tells it everything. Answers what their verdicts depend on.
    pub(super) async fn reset(&mut self, everything: &[Delta]) -> Result<Vec<Dependency>, Trouble> {
        let mut dependencies = Vec::new();
        for policy in &mut self.policies {
            let given = settle(&policy.name, policy.scheduler.reset().await)?;
            dependencies.extend(given.depends_on);
        }
        self.sync(everything).await?;
        Ok(dependencies)
    }

    /// Finds the classes that some policy does not take. Leaves the policies in need of a reset.
    pub(super) async fn sift(&mut self, nodes: &[Delta], classes: &[Class]) -> Result<Refused, Trouble> {
        let mut refused = Refused::default();
        for policy in &mut self.policies {
            refused.sift(policy, nodes, classes).await?;
        }
        Ok(refused)
    }

    /// Tells every policy of changes.
    pub(super) async fn sync(&mut self, deltas: &[Delta]) -> Result<(), Trouble> {
        for policy in &mut self.policies {
            settle(&policy.name, policy.scheduler.sync(deltas).await)?;
        }
        Ok(())
    }

    /// Asks about a class on these nodes.
    pub(super) async fn evaluate(
        &mut self,
        class: ClassId,
        nodes: Vec<NodeId>,
    ) -> Result<Vec<(NodeId, Verdict)>, Trouble> {
        let question = [Question { class, nodes: nodes.clone() }];
        let mut combined: Vec<Verdict> = vec![Verdict::Score(0); nodes.len()];
        for (number, policy) in self.policies.iter_mut().enumerate() {
            let answers = settle(&policy.name, policy.scheduler.evaluate(&question).await)?;
            let answer = match <[Vec<Given>; 1]>::try_from(answers) {
                Ok([answer]) if answer.len() == nodes.len() => answer,
                _ => {
                    return Err(Trouble {
                        policy: policy.name.clone(),
                        message: "answered another number of verdicts than it was asked for".to_owned(),
                        away: false,
                    });
                }
            };
            for (sum, given) in combined.iter_mut().zip(answer) {
                *sum = match (*sum, given) {
                    (Verdict::Score(sum), Given::Score(score)) => {
                        Verdict::Score(sum + u64::from(score) * u64::from(policy.weight))
                    }
                    (Verdict::Score(_), Given::Infeasible(code)) => Verdict::Infeasible(number, code),
                    (refused, _) => refused,
                };
            }
        }
        Ok(nodes.into_iter().zip(combined).collect())
    }

    /// A policy's name.
    pub(super) fn name(&self, policy: usize) -> &str {
        self.policies.get(policy).map_or("", |policy| policy.name.as_str())
    }

    /// What a policy's code means. `None`: it does not say.
    pub(super) async fn reasons(&mut self, policy: usize, code: u16) -> Option<Vec<String>> {
        let texts = self.policies.get_mut(policy)?.scheduler.reasons(&[code]).await.ok()?;
        texts.into_iter().next().filter(|texts| !texts.is_empty())
    }
}

/// An answer, whichever way it failed to come.
pub(super) fn settle<T>(
    policy: &str,
    call: Result<Result<T, gantry_plugin::family::Error>, Fault>,
) -> Result<T, Trouble> {
    let away = matches!(&call, Err(Fault { finding: Finding::Unavailable(_), .. }));
    let message = match call {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.message,
        Err(Fault { finding: Finding::Unavailable(why), .. }) => format!("is not available: {why}"),
        Err(fault) => fault.to_string(),
    };
    Err(Trouble { policy: policy.to_owned(), message, away })
}
