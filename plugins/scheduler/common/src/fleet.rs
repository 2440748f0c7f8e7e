//! The tables, fed by deltas, and the questions that they answer.

use std::collections::BTreeMap;

use gantry_sdk::scheduler::{Assignment, Delta, Verdict};
use gantry_sdk::{Error, Result};

use crate::class::Class;
use crate::nodes::{Nodes, Row};
use crate::profile::{Cell, Constraints, Preferences, Profiles};
use crate::reasons::{self, Reasons};

/// Pods of a class that came to a node, or (negative) left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The node's number.
    pub node: u32,
    /// The class's.
    pub class: u32,
    /// How many.
    pub count: i64,
}

/// Nodes, classes, and what is where.
#[derive(Debug, Default)]
pub struct Fleet {
    preferences: Preferences,
    nodes: Nodes,
    classes: BTreeMap<u32, Class>,
    profiles: Profiles,
    reasons: Reasons,
}

impl Fleet {
    /// Empty tables. Preferences of pods for nodes count this much in their points.
    pub fn new(preferences: Preferences) -> Self {
        Self { preferences, ..Self::default() }
    }

    /// Takes a change. Gives the pods that moved with it; a class or a node that goes takes its pods along.
    pub fn take(&mut self, delta: Delta) -> Result<Vec<Moved>> {
        match delta {
            Delta::NodeSet(node) => {
                let id = node.id as usize;
                if self.nodes.set(node)? {
                    self.profiles.forget(id);
                }
                Ok(Vec::new())
            }
            Delta::NodeGone(id) => Ok(self.drop_node(id)),
            Delta::ClassSet(class) => {
                let moved = self.drop_class(class.id)?;
                let read = match Class::read(&class, &mut self.nodes, &mut self.profiles) {
                    Ok(read) => read,
                    // Its pods are refused. All others have a right to their places.
                    Err(error) => Class::unreadable(self.reasons.unreadable(&error.message), &mut self.profiles)?,
                };
                self.classes.insert(class.id, read);
                Ok(moved)
            }
            Delta::ClassGone(id) => self.drop_class(id),
            Delta::Assign(assignment) => self.assign(&assignment),
        }
    }

    /// About one class.
    pub fn question(&mut self, class: u32) -> Result<Question<'_>> {
        let class = self.classes.get(&class).ok_or_else(|| Error::not_found(format!("class {class} is not known")))?;
        self.profiles.make_room(class.profile, self.nodes.rows().len());
        let Some(profile) = self.profiles.get_mut(class.profile) else {
            return Err(Error::internal("a class has no profile"));
        };
        Ok(Question {
            class,
            nodes: &self.nodes,
            preferences: &self.preferences,
            constraints: &profile.constraints,
            column: &mut profile.column,
            reasons: &mut self.reasons,
        })
    }

    /// The texts behind a code.
    pub fn texts(&self, code: u16) -> Vec<String> {
        self.reasons.texts(code)
    }

    fn assign(&mut self, assignment: &Assignment) -> Result<Vec<Moved>> {
        let Assignment { node, class: id, count } = *assignment;
        let class = self.classes.get_mut(&id);
        let class = class.ok_or_else(|| Error::invalid(format!("pods of class {id}, which is not known")))?;
        let count = i64::from(count);
        self.nodes.assign(node, id, class, count)?;
        class.assigned += count;
        Ok(vec![Moved { node, class: id, count }])
    }

    fn drop_node(&mut self, id: u32) -> Vec<Moved> {
        let mut moved = Vec::new();
        for (class, pods) in self.nodes.remove(id) {
            if let Some(known) = self.classes.get_mut(&class) {
                known.assigned -= pods;
                moved.push(Moved { node: id, class, count: -pods });
            }
        }
        self.profiles.forget(id as usize);
        moved
    }

    /// Pods that the host forgot to take off the nodes go with their class: nothing could take them off later.
    fn drop_class(&mut self, id: u32) -> Result<Vec<Moved>> {
        let Some(class) = self.classes.remove(&id) else { return Ok(Vec::new()) };
        let mut moved = Vec::new();
        if class.assigned != 0 {
            for (node, pods) in self.nodes.with_class(id) {
                self.nodes.assign(node, id, &class, -pods)?;
                moved.push(Moved { node, class: id, count: -pods });
            }
        }
        self.profiles.leave(class.profile);
        Ok(moved)
    }
}

/// One class, about to be judged on nodes.
pub struct Question<'a> {
    /// What one pod of it takes.
    pub class: &'a Class,
    /// For reasons of the policy's own.
    pub reasons: &'a mut Reasons,
    nodes: &'a Nodes,
    preferences: &'a Preferences,
    constraints: &'a Constraints,
    column: &'a mut [Cell],
}

impl<'a> Question<'a> {
    /// All that there are, by number.
    pub fn known(&self) -> impl Iterator<Item = (u32, &'a Row)> + use<'a> {
        let rows = self.nodes.rows();
        (0..).zip(rows).filter(|(_, row)| row.known)
    }

    /// The verdict on these nodes (none: all) where the fit is all that stands against them; `score` says how good one is, by
    /// its row and the points of the class's preferences.
    pub fn verdicts(&mut self, ids: &[u32], score: impl Fn(&Class, &Row, u32) -> u32) -> Vec<Verdict> {
        let rows = self.nodes.rows();
        let class = self.class;
        let mut verdict = |id: usize, row: &Row| match self.fit(id, row) {
            Ok(points) => Verdict::Score(score(class, row, points)),
            Err(code) => Verdict::Infeasible(code),
        };
        if ids.is_empty() {
            let mut verdicts = Vec::with_capacity(rows.len());
            verdicts.extend(rows.iter().enumerate().filter(|(_, row)| row.known).map(|(id, row)| verdict(id, row)));
            return verdicts;
        }
        let asked = |id: &u32| match rows.get(*id as usize) {
            Some(row) if row.known => verdict(*id as usize, row),
            _ => Verdict::Infeasible(reasons::UNKNOWN_NODE),
        };
        ids.iter().map(asked).collect()
    }

    /// Whether a node can have a pod of the class: the points of the class's preferences, or the code of what is against
    /// it.
    #[inline]
    pub fn fit(&mut self, id: usize, row: &Row) -> std::result::Result<u32, u16> {
        if let Some(code) = self.class.unreadable {
            return Err(code);
        }
        let cell = match self.column.get(id) {
            Some(Cell::Unknown) | None => self.judge(id),
            Some(cell) => *cell,
        };
        let points = match cell {
            Cell::Points(points) => points,
            Cell::Refused(code) => return Err(code),
            Cell::Unknown => return Err(reasons::UNKNOWN_NODE),
        };
        if !self.class.ports.is_empty() && self.nodes.ports_conflict(id, self.class) {
            return Err(reasons::PORTS);
        }
        let short = row.short(self.class);
        if !self.class.extended.is_empty() {
            let names: Vec<&str> =
                self.nodes.short_extended(id, self.class).map(|n| self.nodes.resource_name(n)).collect();
            if !names.is_empty() {
                return Err(self.reasons.short(short, &names));
            }
        }
        if short != 0 { Err(short) } else { Ok(points) }
    }

    /// Works out a cell and keeps it.
    #[cold]
    fn judge(&mut self, id: usize) -> Cell {
        let Some(traits) = self.nodes.traits(id) else { return Cell::Unknown };
        let judged = self.constraints.judge(traits, self.preferences, self.reasons);
        if let Some(cell) = self.column.get_mut(id) {
            *cell = judged;
        }
        judged
    }
}
