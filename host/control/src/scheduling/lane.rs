//! A lane for each name of a scheduler: the policies behind it, what they said, and the pods that wait for them. All lanes
//! see all nodes and all pods, whoever placed them, and hear of every placement before they decide the next: one task
//! serves them in turn. So two schedulers never count the same room twice.

use std::collections::HashMap;
use std::time::Instant;

use gantry_plugin::family::scheduler::{Assignment, Class, Delta};

use super::class::ClassId;
use super::node::{NodeId, Nodes};
use super::policies::Policies;
use super::queue::Queue;
use super::sift::Refused;
use super::verdicts::Verdicts;
use super::{DEFAULT_SCHEDULER, Profile};

/// One name's.
pub(super) struct Lane {
    /// Its number.
    pub at: usize,
    /// `spec.schedulerName` of its pods; empty for the lane of those that nobody serves.
    pub name: String,
    pub policies: Policies,
    pub verdicts: Verdicts,
    pub queue: Queue,
    /// Classes with which a policy can't do.
    pub refused: Refused,
    /// What codes of policies mean, as far as they were asked.
    pub reasons: HashMap<(usize, u16), Vec<String>>,
    /// What policies have not heard yet.
    pub deltas: Vec<Delta>,
    /// Something happened that may make room for pods that fitted nowhere.
    pub freed: bool,
    /// Policies know nothing and must be told everything.
    pub stale: bool,
    /// Turns in a row in which a policy gave no answer.
    pub failures: u32,
    /// No policy is called before this, whatever happens: one gave no answer.
    pub quiet: Option<Instant>,
}

impl Lane {
    fn new(at: usize, profile: Profile) -> Self {
        Self {
            at,
            name: profile.name,
            policies: Policies::new(profile.policies),
            verdicts: Verdicts::default(),
            queue: Queue::default(),
            refused: Refused::default(),
            reasons: HashMap::new(),
            deltas: Vec::new(),
            freed: false,
            stale: true,
            failures: 0,
            quiet: None,
        }
    }

    /// A change that policies are to hear of.
    pub(super) fn hear(&mut self, delta: Delta) {
        if !self.policies.is_empty() {
            self.deltas.push(delta);
        }
    }

    /// Pods of a class came to a node, or left it.
    pub(super) fn assigned(&mut self, node: NodeId, class: ClassId, count: i32) {
        if !self.refused.untold(class) {
            self.hear(assign(node, class, count));
        }
        self.touch(node);
        self.freed |= count < 0;
    }

    /// Something about a node changed.
    pub(super) fn touch(&mut self, node: NodeId) {
        if !self.policies.is_empty() {
            self.verdicts.touch(node);
        }
    }

    /// A class is new.
    pub(super) fn joined(&mut self, id: ClassId, spec: &[u8]) {
        self.hear(Delta::ClassSet(Class { id, spec: spec.to_vec() }));
    }

    /// The last pod of a class is gone.
    pub(super) fn left(&mut self, class: ClassId) {
        if !self.refused.forget(class) {
            self.hear(Delta::ClassGone(class));
        }
        self.verdicts.forget(class);
    }

    /// The node's values of the labels that make domains.
    pub(super) fn domains_of(&self, id: NodeId, nodes: &Nodes) -> Vec<Option<String>> {
        self.verdicts.domains().iter().map(|key| nodes.label(id, key).map(str::to_owned)).collect()
    }

    /// A node left these domains with its pods. One node of each stands for all that are left in it.
    pub(super) fn touch_peers(&mut self, domains: &[Option<String>], nodes: &Nodes) {
        let peer = |(key, value): (&String, &Option<String>)| {
            let value = value.as_deref()?;
            nodes.all().map(|node| node.id).find(|id| nodes.label(*id, key) == Some(value))
        };
        let peers: Vec<NodeId> = self.verdicts.domains().iter().zip(domains).filter_map(peer).collect();
        peers.into_iter().for_each(|peer| self.touch(peer));
    }
}

/// All of them. The last is that of pods whose scheduler nobody is: it has no policies.
pub(super) struct Lanes {
    all: Vec<Lane>,
    turns: usize,
}

impl Lanes {
    pub(super) fn new(profiles: Vec<Profile>) -> Self {
        let nobody = Profile { name: String::new(), policies: Vec::new() };
        let all = profiles.into_iter().chain([nobody]).enumerate().map(|(at, profile)| Lane::new(at, profile));
        Self { all: all.collect(), turns: 0 }
    }

    /// The lane of pods with this `spec.schedulerName`.
    pub(super) fn of(&self, name: &str) -> usize {
        let name = if name.is_empty() { DEFAULT_SCHEDULER } else { name };
        let last = self.all.len().saturating_sub(1);
        self.all.iter().position(|lane| lane.name == name).unwrap_or(last)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Lane> {
        self.all.get_mut(at)
    }

    pub(super) fn all(&mut self) -> &mut [Lane] {
        &mut self.all
    }

    /// Whether pods of any name are served.
    pub(super) fn serve(&self) -> bool {
        self.all.iter().any(|lane| !lane.policies.is_empty())
    }

    /// The order of the next round. Each round begins with another lane, so that none takes all places at the binder.
    pub(super) fn round(&mut self) -> Vec<usize> {
        self.turns = self.turns.wrapping_add(1);
        let all = self.all.len();
        (0..all).map(|at| (at + self.turns % all) % all).collect()
    }
}

pub(super) fn assign(node: NodeId, class: ClassId, count: i32) -> Delta {
    Delta::Assign(Assignment { node, class, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_lane_and_all_others_to_the_last() {
        let profile = |name: &str| Profile { name: name.to_owned(), policies: Vec::new() };
        let mut lanes = Lanes::new(vec![profile(DEFAULT_SCHEDULER), profile("other")]);
        let of = [("", 0), (DEFAULT_SCHEDULER, 0), ("other", 1), ("nobody", 2)];
        of.iter().for_each(|(name, at)| assert_eq!(lanes.of(name), *at, "{name:?}"));
        assert_eq!((lanes.round(), lanes.round()), (vec![1, 2, 0], vec![2, 0, 1]));
    }
}
