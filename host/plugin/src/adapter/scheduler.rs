//! Placement policies: one instance with its tables.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::lengths;
use super::worlds::Scheduler as World;
use crate::family::scheduler::{Delta, Policy, Question, Verdict};
use crate::family::{Call, Error, Scheduler};
use crate::instance::{Recipe, Slot, call};

/// The highest score of the contract.
const MAX_SCORE: u32 = 10_000;

pub(crate) struct SchedulerInstance {
    slot: Slot<World>,
    /// Nodes that the instance was told of, to know how many verdicts "every node" makes.
    nodes: HashSet<u32>,
}

impl SchedulerInstance {
    pub(crate) fn new(recipe: Arc<Recipe<World>>) -> Self {
        Self { slot: Slot::new(recipe), nodes: HashSet::new() }
    }

    fn note(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            match delta {
                Delta::NodeSet(node) => {
                    self.nodes.insert(node.id);
                }
                Delta::NodeGone(id) => {
                    self.nodes.remove(id);
                }
                Delta::ClassSet(_) | Delta::ClassGone(_) | Delta::Assign(_) => {}
            }
        }
    }

    fn check(&self, questions: &[Question], answers: &[Vec<Verdict>]) -> Result<(), String> {
        lengths(answers.len(), questions.len(), "lists of verdicts")?;
        for (question, verdicts) in questions.iter().zip(answers) {
            let asked = if question.nodes.is_empty() { self.nodes.len() } else { question.nodes.len() };
            lengths(verdicts.len(), asked, "verdicts")?;
            if let Some(score) = verdicts.iter().find_map(too_high) {
                return Err(format!("a score of {score}, where {MAX_SCORE} is the highest"));
            }
        }
        Ok(())
    }
}

fn too_high(verdict: &Verdict) -> Option<u32> {
    match verdict {
        Verdict::Score(score) if *score > MAX_SCORE => Some(*score),
        Verdict::Score(_) | Verdict::Infeasible(_) => None,
    }
}

#[async_trait]
impl Scheduler for SchedulerInstance {
    async fn reset(&mut self) -> Call<Result<Policy, Error>> {
        const NAME: &str = "scheduler.configure";
        self.slot.clear();
        self.nodes.clear();
        self.slot.fill(NAME).await?;
        let slot = &mut self.slot;
        let config = slot.plugin().config.clone();
        let answer =
            call!(slot, NAME, |exports, store| exports.gantry_plugin_scheduler().call_configure(store, &config))?;
        if answer.is_err() {
            slot.clear();
        }
        Ok(answer)
    }

    async fn sync(&mut self, deltas: &[Delta]) -> Call<Result<(), Error>> {
        let slot = &mut self.slot;
        let answer = call!(slot, "scheduler.sync", |exports, store| {
            exports.gantry_plugin_scheduler().call_sync(store, deltas)
        })?;
        match answer {
            Ok(()) => self.note(deltas),
            Err(_) => self.slot.clear(),
        }
        Ok(answer)
    }

    async fn evaluate(&mut self, questions: &[Question]) -> Call<Result<Vec<Vec<Verdict>>, Error>> {
        const NAME: &str = "scheduler.evaluate";
        let slot = &mut self.slot;
        let answer =
            call!(slot, NAME, |exports, store| exports.gantry_plugin_scheduler().call_evaluate(store, questions))?;
        if let Ok(verdicts) = &answer
            && let Err(what) = self.check(questions, verdicts)
        {
            return Err(self.slot.nonsense(NAME, what));
        }
        Ok(answer)
    }

    async fn reasons(&mut self, codes: &[u16]) -> Call<Vec<Vec<String>>> {
        const NAME: &str = "scheduler.reasons";
        let slot = &mut self.slot;
        let answer = call!(slot, NAME, |exports, store| exports.gantry_plugin_scheduler().call_reasons(store, codes))?;
        lengths(answer.len(), codes.len(), "lists of reasons").map_err(|what| self.slot.nonsense(NAME, what))?;
        Ok(answer)
    }
}
