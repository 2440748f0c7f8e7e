//! Constraints on nodes as such: labels, taints, cordon. Classes with the same constraints share a profile, and
//! with it one column of settled answers.

use std::collections::BTreeMap;

use gantry_sdk::api::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Toleration};
use gantry_sdk::scheduler::{Node, Taint, TaintEffect};
use gantry_sdk::serde_json;
use gantry_sdk::{Result, scheduler::MAX_SCORE};

use crate::reasons::{self, Reasons};

/// Kubernetes' name for a cordon, as far as tolerations are concerned.
const CORDON: &str = "node.kubernetes.io/unschedulable";

/// How much a class's preferences for nodes count in its points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Preferred node affinity.
    pub node_affinity: u16,
    /// Few PreferNoSchedule taints.
    pub taints: u16,
}

/// What a profile says of a node: nothing yet, a reason against it, or its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// To be worked out.
    Unknown,
    /// A reason code.
    Refused(u16),
    /// The weighted points for affinity and taints.
    Points(u32),
}

/// A node, as constraints see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    name: String,
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
    unschedulable: bool,
}

impl Traits {
    /// What constraints see of a node.
    pub fn of(node: Node) -> Self {
        Traits {
            name: node.name,
            labels: node.labels.into_iter().map(|l| (l.key, l.value)).collect(),
            taints: node.taints,
            unschedulable: node.unschedulable,
        }
    }
}

/// Constraints of a class, ready to use.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    selector: BTreeMap<String, String>,
    /// One of these, if there is a list.
    required: Option<Vec<NodeSelectorTerm>>,
    preferred: Vec<(u32, NodeSelectorTerm)>,
    tolerations: Vec<Toleration>,
}

impl Constraints {
    /// Takes them from a spec.
    pub fn of(spec: &PodSpec) -> Self {
        let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.clone()).unwrap_or_default();
        let preferred = affinity.preferred.into_iter().filter(|term| !is_empty(&term.preference));
        Constraints {
            selector: spec.node_selector.clone(),
            required: affinity.required.map(|required| required.node_selector_terms),
            preferred: preferred.map(|t| (t.weight.clamp(0, 100).unsigned_abs(), t.preference)).collect(),
            tolerations: spec.tolerations.clone(),
        }
    }

    /// The same for the same constraints.
    pub fn key(&self) -> Result<String> {
        let parts = (&self.selector, &self.required, &self.preferred, &self.tolerations);
        Ok(serde_json::to_string(&parts)?)
    }

    /// The answer for a node, in the order of Kubernetes' filters: the first that refuses gives the reason.
    pub fn judge(&self, node: &Traits, weights: &Preferences, reasons: &mut Reasons) -> Cell {
        if node.unschedulable && !self.tolerates(CORDON, "", TaintEffect::NoSchedule) {
            return Cell::Refused(reasons::UNSCHEDULABLE);
        }
        let bars = |taint: &&Taint| taint.effect != TaintEffect::PreferNoSchedule && !self.bears(taint);
        if let Some(taint) = node.taints.iter().find(bars) {
            return Cell::Refused(reasons.taint(&taint.key, &taint.value));
        }
        if !self.selects(node) {
            return Cell::Refused(reasons::NODE_AFFINITY);
        }
        let points = |weight: u16, score: u32| u32::from(weight) * score;
        Cell::Points(
            points(weights.node_affinity, self.affinity(node)) + points(weights.taints, self.freedom_from_taints(node)),
        )
    }

    fn selects(&self, node: &Traits) -> bool {
        self.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
            && self.required.as_ref().is_none_or(|terms| terms.iter().any(|term| matches(term, node)))
    }

    /// The share of all the preferences' weight that the node meets.
    fn affinity(&self, node: &Traits) -> u32 {
        let all: u32 = self.preferred.iter().map(|(weight, _)| weight).sum();
        let met: u32 = self.preferred.iter().filter(|(_, term)| matches(term, node)).map(|(weight, _)| weight).sum();
        (met * MAX_SCORE).checked_div(all).unwrap_or_default()
    }

    /// All without PreferNoSchedule taints, half with one, a third with two.
    fn freedom_from_taints(&self, node: &Traits) -> u32 {
        let disliked = |taint: &&Taint| taint.effect == TaintEffect::PreferNoSchedule && !self.bears(taint);
        let count = node.taints.iter().filter(disliked).count();
        u32::try_from(count).ok().and_then(|n| MAX_SCORE.checked_div(n.saturating_add(1))).unwrap_or_default()
    }

    fn bears(&self, taint: &Taint) -> bool {
        self.tolerates(&taint.key, &taint.value, taint.effect)
    }

    fn tolerates(&self, key: &str, value: &str, effect: TaintEffect) -> bool {
        let effect = match effect {
            TaintEffect::NoSchedule => "NoSchedule",
            TaintEffect::PreferNoSchedule => "PreferNoSchedule",
            TaintEffect::NoExecute => "NoExecute",
        };
        self.tolerations.iter().any(|t| {
            (t.effect.is_empty() || t.effect == effect)
                && (t.key.is_empty() || t.key == key)
                && match t.operator.as_str() {
                    "Exists" => true,
                    "" | "Equal" => t.value == value,
                    _ => false,
                }
        })
    }
}

fn is_empty(term: &NodeSelectorTerm) -> bool {
    term.match_expressions.is_empty() && term.match_fields.is_empty()
}

/// An empty term chooses nothing.
fn matches(term: &NodeSelectorTerm, node: &Traits) -> bool {
    let label = |r: &NodeSelectorRequirement| holds(r, node.labels.get(&r.key).map(String::as_str));
    let field = |r: &NodeSelectorRequirement| r.key == "metadata.name" && holds(r, Some(&node.name));
    !is_empty(term) && term.match_expressions.iter().all(label) && term.match_fields.iter().all(field)
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let listed = value.is_some_and(|v| requirement.values.iter().any(|wanted| wanted == v));
    let bound = || requirement.values.first().and_then(|bound| bound.parse::<i64>().ok());
    let number = || value.and_then(|v| v.parse::<i64>().ok());
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number().zip(bound()).is_some_and(|(n, bound)| n > bound),
        "Lt" => number().zip(bound()).is_some_and(|(n, bound)| n < bound),
        _ => false,
    }
}

/// Constraints with the answers that are known so far, by node.
#[derive(Debug, Default)]
pub struct Profile {
    /// What is asked.
    pub constraints: Constraints,
    /// Answers. Shorter than the node table: the rest is unknown.
    pub column: Vec<Cell>,
    key: String,
    classes: u32,
}

/// All profiles in use, by number.
#[derive(Debug, Default)]
pub struct Profiles {
    slots: Vec<Option<Profile>>,
    by_key: BTreeMap<String, usize>,
}

/// Answers kept at most, over all profiles: 8 bytes each.
const MOST_CELLS: usize = 2 << 20;

impl Profiles {
    /// The profile for these constraints, counted as used once more.
    pub fn join(&mut self, constraints: Constraints) -> Result<usize> {
        let key = constraints.key()?;
        if let Some(number) = self.by_key.get(&key).copied() {
            if let Some(profile) = self.get_mut(number) {
                profile.classes += 1;
            }
            return Ok(number);
        }
        let profile = Some(Profile { constraints, column: Vec::new(), key: key.clone(), classes: 1 });
        let number = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        match self.slots.get_mut(number) {
            Some(slot) => *slot = profile,
            None => self.slots.push(profile),
        }
        self.by_key.insert(key, number);
        Ok(number)
    }

    /// One use less; the last takes the profile away.
    pub fn leave(&mut self, number: usize) {
        let Some(slot) = self.slots.get_mut(number) else { return };
        if let Some(profile) = slot {
            profile.classes = profile.classes.saturating_sub(1);
            if profile.classes == 0 {
                self.by_key.remove(&profile.key);
                *slot = None;
            }
        }
    }

    /// A profile.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut Profile> {
        self.slots.get_mut(number)?.as_mut()
    }

    /// A node has other traits now.
    pub fn forget(&mut self, node: usize) {
        for profile in self.slots.iter_mut().flatten() {
            if let Some(cell) = profile.column.get_mut(node) {
                *cell = Cell::Unknown;
            }
        }
    }

    /// Makes room for a column of `nodes` answers in a profile. When all columns together would grow too large, the
    /// others are dropped: they are worked out anew when they are asked for.
    pub fn make_room(&mut self, number: usize, nodes: usize) {
        let others = self.slots.iter().enumerate().filter(|(n, _)| *n != number);
        let taken: usize = others.filter_map(|(_, p)| p.as_ref()).map(|p| p.column.len()).sum();
        if taken + nodes > MOST_CELLS {
            for (_, profile) in self.slots.iter_mut().enumerate().filter(|(n, _)| *n != number) {
                if let Some(profile) = profile {
                    profile.column = Vec::new();
                }
            }
        }
        if let Some(profile) = self.get_mut(number) {
            profile.column.resize(nodes.max(profile.column.len()), Cell::Unknown);
        }
    }
}
