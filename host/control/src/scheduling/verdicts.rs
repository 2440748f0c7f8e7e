//! Verdicts that policies gave, kept per class until something that they depend on changes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use gantry_plugin::family::scheduler::Dependency;

use super::class::{ClassId, index};
use super::node::{NodeId, Nodes};

/// What all policies together say of a class on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody was asked yet, or there is no such node.
    Unknown,
    /// Why not: the policy's number and its code.
    Infeasible(usize, u16),
    /// Higher is better.
    Score(u64),
}

/// Changes that all classes catch up with when they are next used. Older ones are forgotten, and a class that was not
/// used since starts over.
const LOG: usize = 65_536;

/// All verdicts.
#[derive(Default)]
pub(super) struct Verdicts {
    classes: HashMap<ClassId, Known>,
    /// Nodes that changed, in order.
    log: Vec<NodeId>,
    /// How many were dropped from the log's beginning.
    dropped: usize,
    global: bool,
    domains: Vec<String>,
}

#[derive(Default)]
struct Known {
    verdicts: Vec<Verdict>,
    /// Candidates, best first; those whose score is not that of `verdicts` any more are skipped.
    best: BinaryHeap<(u64, Reverse<u64>, NodeId)>,
    /// How far of the log is known.
    seen: usize,
    complete: bool,
    feasible: usize,
    turn: u64,
}

impl Known {
    /// Every node that there is will be asked about; what was said of nodes that are gone must not stay.
    fn begin_anew(&mut self, nodes: &Nodes) {
        self.complete = true;
        for (id, verdict) in (0..).zip(&mut self.verdicts) {
            if nodes.get(id).is_none() {
                self.feasible -= usize::from(matches!(verdict, Verdict::Score(_)));
                *verdict = Verdict::Unknown;
            }
        }
    }
}

/// Which verdicts must be asked for.
pub(super) enum Stale {
    /// None.
    Nothing,
    /// Of these nodes.
    Some(Vec<NodeId>),
    /// Of all nodes.
    All,
}

impl Verdicts {
    /// Forgets everything. Verdicts depend on these from now on.
    pub(super) fn reset(&mut self, dependencies: &[Dependency]) {
        *self = Self::default();
        for dependency in dependencies {
            match dependency {
                Dependency::Node => {}
                Dependency::Global => self.global = true,
                Dependency::Domain(key) => self.domains.push(key.clone()),
            }
        }
    }

    /// Labels whose values make nodes depend on each other.
    pub(super) fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Something about a node changed, or about what is assigned to it.
    pub(super) fn touch(&mut self, node: NodeId) {
        if self.log.len() >= LOG {
            let half = self.log.len() / 2;
            self.log.drain(..half);
            self.dropped += half;
        }
        self.log.push(node);
    }

    /// A class is gone.
    pub(super) fn forget(&mut self, class: ClassId) {
        self.classes.remove(&class);
    }

    /// What must be asked before this class's verdicts can be used. Counts as answered: the caller gives `learn` the
    /// answers or resets everything.
    pub(super) fn stale(&mut self, class: ClassId, nodes: &Nodes) -> Stale {
        let end = self.dropped + self.log.len();
        let known = self.classes.entry(class).or_default();
        let from = std::mem::replace(&mut known.seen, end);
        if !known.complete || from < self.dropped {
            known.begin_anew(nodes);
            return Stale::All;
        }
        let changed: HashSet<NodeId> =
            self.log.get(from - self.dropped..).unwrap_or_default().iter().copied().collect();
        match (changed.is_empty(), self.global) {
            (true, _) => Stale::Nothing,
            (false, true) => {
                known.begin_anew(nodes);
                Stale::All
            }
            (false, false) => Stale::Some(self.widened(changed, nodes)),
        }
    }

    /// Nodes of the same domains as those that changed.
    fn widened(&self, changed: HashSet<NodeId>, nodes: &Nodes) -> Vec<NodeId> {
        let mut all = changed.clone();
        for key in &self.domains {
            let values: HashSet<&str> = changed.iter().filter_map(|id| nodes.label(*id, key)).collect();
            let same = nodes.all().filter(|node| nodes.label(node.id, key).is_some_and(|value| values.contains(value)));
            all.extend(same.map(|node| node.id));
        }
        let mut all: Vec<NodeId> = all.into_iter().collect();
        all.sort_unstable();
        all
    }

    /// Takes verdicts in.
    pub(super) fn learn(&mut self, class: ClassId, verdicts: impl IntoIterator<Item = (NodeId, Verdict)>) {
        let known = self.classes.entry(class).or_default();
        for (node, verdict) in verdicts {
            let at = index(node);
            if at >= known.verdicts.len() {
                known.verdicts.resize(at + 1, Verdict::Unknown);
            }
            let Some(slot) = known.verdicts.get_mut(at) else { continue };
            let before = std::mem::replace(slot, verdict);
            known.feasible -= usize::from(matches!(before, Verdict::Score(_)));
            if let Verdict::Score(score) = verdict {
                known.feasible += 1;
                if before != verdict {
                    // Among equals the one that was looked at longest ago comes first: pods spread.
                    known.turn += 1;
                    known.best.push((score, Reverse(known.turn), node));
                }
            }
        }
        // Entries that no longer count must not pile up.
        if known.best.len() > 64 + 4 * known.feasible {
            let verdicts = &known.verdicts;
            known.best.retain(|(score, _, node)| verdicts.get(index(*node)) == Some(&Verdict::Score(*score)));
        }
    }

    /// The best node for a class, if one is feasible.
    pub(super) fn best(&mut self, class: ClassId) -> Option<NodeId> {
        let known = self.classes.get_mut(&class)?;
        while let Some((score, _, node)) = known.best.peek() {
            if known.verdicts.get(index(*node)) == Some(&Verdict::Score(*score)) {
                return Some(*node);
            }
            known.best.pop();
        }
        None
    }

    /// Whether any node is feasible, as far as is known.
    pub(super) fn feasible(&self, class: ClassId) -> bool {
        self.classes.get(&class).is_some_and(|known| known.feasible > 0)
    }

    /// Reasons against nodes, with how many nodes each stands for.
    pub(super) fn refusals(&self, class: ClassId) -> HashMap<(usize, u16), usize> {
        let mut counts = HashMap::new();
        for verdict in self.classes.get(&class).into_iter().flat_map(|known| &known.verdicts) {
            if let Verdict::Infeasible(policy, code) = verdict {
                *counts.entry((*policy, *code)).or_default() += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_asked_again() {
        let (mut verdicts, nodes) = (Verdicts::default(), Nodes::default());
        verdicts.reset(&[Dependency::Node]);
        assert!(matches!(verdicts.stale(1, &nodes), Stale::All));
        verdicts.learn(1, [(0, Verdict::Score(5)), (1, Verdict::Score(9)), (2, Verdict::Infeasible(0, 3))]);
        assert!(matches!(verdicts.stale(1, &nodes), Stale::Nothing));
        assert_eq!(verdicts.best(1), Some(1));
        verdicts.touch(1);
        verdicts.touch(1);
        let Stale::Some(asked) = verdicts.stale(1, &nodes) else { panic!("one node changed") };
        assert_eq!(asked, [1]);
        verdicts.learn(1, [(1, Verdict::Score(2))]);
        assert_eq!(verdicts.best(1), Some(0));
        verdicts.learn(1, [(0, Verdict::Infeasible(0, 1)), (1, Verdict::Infeasible(0, 1))]);
        assert_eq!((verdicts.best(1), verdicts.feasible(1)), (None, false));
        assert_eq!(verdicts.refusals(1), HashMap::from([((0, 1), 2), ((0, 3), 1)]));
    }

    #[test]
    fn a_class_that_slept_too_long_starts_over() {
        let (mut verdicts, nodes) = (Verdicts::default(), Nodes::default());
        verdicts.reset(&[Dependency::Node]);
        verdicts.stale(1, &nodes);
        (0..=LOG).for_each(|_| verdicts.touch(0));
        assert!(matches!(verdicts.stale(1, &nodes), Stale::All));
    }

    #[test]
    fn equals_take_turns() {
        let mut verdicts = Verdicts::default();
        verdicts.learn(1, (0..3).map(|n| (n, Verdict::Score(7))));
        let mut order = Vec::new();
        for round in 0..3 {
            let best = verdicts.best(1).unwrap();
            order.push(best);
            verdicts.learn(1, [(best, Verdict::Score(6 - round))]);
        }
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
    }
}
