//! The policy: tables fed by deltas, verdicts read from them.

use std::collections::BTreeMap;

use gantry_sdk::scheduler::{Assignment, Delta, Dependency, Policy, Verdict};
use gantry_sdk::{Config, Error, Result, Scheduler};

use crate::class::Class;
use crate::config::Options;
use crate::nodes::{Nodes, Row};
use crate::profile::{Cell, Constraints, Profiles};
use crate::reasons::{self, Reasons};
use crate::score::Scorer;

/// The Kubernetes scheduler's rules about a pod and a node.
#[derive(Debug)]
pub struct Kubernetes {
    options: Options,
    scorer: Scorer,
    nodes: Nodes,
    classes: BTreeMap<u32, Class>,
    profiles: Profiles,
    reasons: Reasons,
}

impl Default for Kubernetes {
    fn default() -> Self {
        let options = Options::default();
        Kubernetes {
            scorer: Scorer::new(&options),
            options,
            nodes: Nodes::default(),
            classes: BTreeMap::new(),
            profiles: Profiles::default(),
            reasons: Reasons::default(),
        }
    }
}

impl Scheduler for Kubernetes {
    fn configure(&mut self, config: Config) -> Result<Policy> {
        self.options = config.parse()?;
        if self.options.weights.sum() == 0 {
            return Err(Error::invalid("configuration: weights: at least one must not be 0"));
        }
        self.scorer = Scorer::new(&self.options);
        Ok(Policy { depends_on: vec![Dependency::Node] })
    }

    fn sync(&mut self, deltas: Vec<Delta>) -> Result<()> {
        deltas.into_iter().try_for_each(|delta| self.take(delta))
    }

    fn evaluate(&mut self, class: u32, nodes: &[u32]) -> Result<Vec<Verdict>> {
        let class = self.classes.get(&class).ok_or_else(|| Error::not_found(format!("class {class} is not known")))?;
        self.profiles.make_room(class.profile, self.nodes.rows().len());
        let Some(profile) = self.profiles.get_mut(class.profile) else {
            return Err(Error::internal("a class has no profile"));
        };
        let mut question = Question {
            class,
            nodes: &self.nodes,
            scorer: &self.scorer,
            options: &self.options,
            constraints: &profile.constraints,
            column: &mut profile.column,
            reasons: &mut self.reasons,
        };
        Ok(if nodes.is_empty() { question.all() } else { question.some(nodes) })
    }

    fn reasons(&mut self, code: u16) -> Vec<String> {
        self.reasons.texts(code)
    }
}

impl Kubernetes {
    fn take(&mut self, delta: Delta) -> Result<()> {
        match delta {
            Delta::NodeSet(node) => {
                let id = node.id as usize;
                if self.nodes.set(node)? {
                    self.profiles.forget(id);
                }
            }
            Delta::NodeGone(id) => {
                for (class, pods) in self.nodes.remove(id) {
                    if let Some(class) = self.classes.get_mut(&class) {
                        class.assigned -= pods;
                    }
                }
                self.profiles.forget(id as usize);
            }
            Delta::ClassSet(class) => {
                self.drop_class(class.id)?;
                let read = match Class::read(&class, &mut self.nodes, &mut self.profiles) {
                    Ok(read) => read,
                    // Its pods are refused. All others have a right to their places.
                    Err(error) => Class::unreadable(self.reasons.unreadable(&error.message), &mut self.profiles)?,
                };
                self.classes.insert(class.id, read);
            }
            Delta::ClassGone(id) => self.drop_class(id)?,
            Delta::Assign(assignment) => self.assign(&assignment)?,
        }
        Ok(())
    }

    fn assign(&mut self, assignment: &Assignment) -> Result<()> {
        let Assignment { node, class: id, count } = *assignment;
        let class = self.classes.get_mut(&id);
        let class = class.ok_or_else(|| Error::invalid(format!("pods of class {id}, which is not known")))?;
        let count = i64::from(count);
        self.nodes.assign(node, id, class, count)?;
        class.assigned += count;
        Ok(())
    }

    /// Pods that the host forgot to take off the nodes go with their class: nothing could take them off later.
    fn drop_class(&mut self, id: u32) -> Result<()> {
        let Some(class) = self.classes.remove(&id) else { return Ok(()) };
        if class.assigned != 0 {
            for (node, pods) in self.nodes.with_class(id) {
                self.nodes.assign(node, id, &class, -pods)?;
            }
        }
        self.profiles.leave(class.profile);
        Ok(())
    }
}

/// One class, about to be judged on nodes.
struct Question<'a> {
    class: &'a Class,
    nodes: &'a Nodes,
    scorer: &'a Scorer,
    options: &'a Options,
    constraints: &'a Constraints,
    column: &'a mut [Cell],
    reasons: &'a mut Reasons,
}

impl Question<'_> {
    fn all(&mut self) -> Vec<Verdict> {
        let rows = self.nodes.rows();
        let mut verdicts = Vec::with_capacity(rows.len());
        verdicts.extend(rows.iter().enumerate().filter(|(_, row)| row.known).map(|(id, row)| self.verdict(id, row)));
        verdicts
    }

    fn some(&mut self, ids: &[u32]) -> Vec<Verdict> {
        let rows = self.nodes.rows();
        let verdict = |id: &u32| match rows.get(*id as usize) {
            Some(row) if row.known => self.verdict(*id as usize, row),
            _ => Verdict::Infeasible(reasons::UNKNOWN_NODE),
        };
        ids.iter().map(verdict).collect()
    }

    #[inline]
    fn verdict(&mut self, id: usize, row: &Row) -> Verdict {
        if let Some(code) = self.class.unreadable {
            return Verdict::Infeasible(code);
        }
        let cell = match self.column.get(id) {
            Some(Cell::Unknown) | None => self.judge(id),
            Some(cell) => *cell,
        };
        let points = match cell {
            Cell::Points(points) => points,
            Cell::Refused(code) => return Verdict::Infeasible(code),
            Cell::Unknown => return Verdict::Infeasible(reasons::UNKNOWN_NODE),
        };
        if !self.class.ports.is_empty() && self.nodes.ports_conflict(id, self.class) {
            return Verdict::Infeasible(reasons::PORTS);
        }
        let short = row.short(self.class);
        if !self.class.extended.is_empty() {
            let names: Vec<&str> =
                self.nodes.short_extended(id, self.class).map(|n| self.nodes.resource_name(n)).collect();
            if !names.is_empty() {
                return Verdict::Infeasible(self.reasons.short(short, &names));
            }
        }
        if short != 0 {
            return Verdict::Infeasible(short);
        }
        Verdict::Score(self.scorer.score(row, self.class, points))
    }

    /// Works out a cell and keeps it.
    #[cold]
    fn judge(&mut self, id: usize) -> Cell {
        let Some(traits) = self.nodes.traits(id) else { return Cell::Unknown };
        let judged = self.constraints.judge(traits, &self.options.weights, self.reasons);
        if let Some(cell) = self.column.get_mut(id) {
            *cell = judged;
        }
        judged
    }
}
