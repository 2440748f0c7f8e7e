//! One question: which instances are candidates for a task, and how good each is.

use std::collections::BTreeMap;

use gantry_sdk::scheduler::Verdict;
use scheduler_common::{Question, UNKNOWN_NODE};

use crate::instances::{Instance, Seen, Tasks};
use crate::options::Options;
use crate::strategies::{Candidate, View};
use crate::task::Task;

/// For those without tasks.
const NONE: &[(&str, u64)] = &[];
const DISTINCT: &str = "node(s) didn't satisfy the placement constraint distinctInstance";
const MEMBER: &str = "node(s) didn't satisfy the placement constraint memberOf";

/// What verdicts are made from.
pub struct Judge<'a> {
    /// The operator's.
    pub options: &'a Options,
    /// Who asks.
    pub task: &'a mut Task,
    /// The instances.
    pub instances: &'a BTreeMap<u32, Instance>,
    /// What is on them.
    pub tasks: &'a Tasks,
}

impl Judge<'_> {
    /// The verdicts on these instances (none: all). Which is best depends on all of them, so all are looked at whoever is
    /// asked about.
    pub fn verdicts(&mut self, mut question: Question<'_>, ids: &[u32]) -> Vec<Verdict> {
        let on = self.tasks_on();
        let by_instance = match &self.task.group {
            Some((cluster, _)) if !self.task.moving.is_empty() => self.tasks.by_instance(cluster),
            _ => BTreeMap::new(),
        };
        let (mut candidates, mut refused) = (Vec::new(), BTreeMap::new());
        for (id, row) in question.known() {
            let Some(instance) = self.instances.get(&id) else { continue };
            let seen = Seen { instance, tasks: by_instance.get(&id).map_or(NONE, Vec::as_slice) };
            let fits = question.fit(id as usize, row).map(drop);
            match fits.and_then(|()| self.constraints(id, &on, &seen, &mut question)) {
                Ok(()) => candidates.push(Candidate { id, row, instance }),
                Err(code) => drop(refused.insert(id, code)),
            }
        }
        let total: u64 = match self.task.group {
            Some(_) => on.iter().sum(),
            None => u64::try_from(question.class.assigned).unwrap_or_default(),
        };
        let view = View { instances: self.instances, tasks: &on, draw: self.options.seed.wrapping_add(total) };
        let scores = view.scores(&self.task.rules, candidates);
        let verdict = |id: &u32| match (scores.get(id), refused.get(id)) {
            (Some(score), _) => Verdict::Score(*score),
            (None, code) => Verdict::Infeasible(code.copied().unwrap_or(UNKNOWN_NODE)),
        };
        match ids {
            [] => self.instances.keys().map(verdict).collect(),
            ids => ids.iter().map(verdict).collect(),
        }
    }

    /// Tasks of its group by instance; shorter than there are instances: none.
    fn tasks_on(&self) -> Vec<u64> {
        let mut on = Vec::new();
        for (id, tasks) in self.task.group.iter().flat_map(|group| self.tasks.of(group)) {
            let id = id as usize;
            if id >= on.len() {
                on.resize(id + 1, 0);
            }
            on.get_mut(id).into_iter().for_each(|slot| *slot = tasks);
        }
        on
    }

    fn constraints(&mut self, id: u32, on: &[u64], seen: &Seen<'_>, question: &mut Question<'_>) -> Result<(), u16> {
        if self.task.distinct && on.get(id as usize).is_some_and(|tasks| *tasks > 0) {
            return Err(question.reasons.other(DISTINCT.to_owned()));
        }
        let member = self.member(id, seen) && self.task.moving.iter().all(|expression| expression.chooses(seen));
        if member { Ok(()) } else { Err(question.reasons.other(MEMBER.to_owned())) }
    }

    /// What does not change while tasks come and go is worked out once.
    fn member(&mut self, id: u32, seen: &Seen<'_>) -> bool {
        let Task { fixed, known, .. } = &mut *self.task;
        if fixed.is_empty() {
            return true;
        }
        let at = id as usize;
        if at >= known.len() {
            known.resize(at + 1, None);
        }
        let all = || fixed.iter().all(|expression| expression.chooses(seen));
        known.get_mut(at).is_some_and(|known| *known.get_or_insert_with(all))
    }
}
