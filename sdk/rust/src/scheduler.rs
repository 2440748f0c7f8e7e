//! Placement policies: which nodes can take a pod, and which is best.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::api::PodSpec;
use crate::contract::scheduler::exports::gantry::plugin::scheduler as wit;
use crate::export::{Holder, enter, start};
use crate::{Config, Error, Result};

pub use wit::{Assignment, Class, Delta, Dependency, Node, Policy, Question, Resources, Taint, TaintEffect, Verdict};

/// The best score.
pub const MAX_SCORE: u32 = 10_000;

/// A placement policy. See `wit/scheduler.wit` for when each call comes and what it may rely on.
pub trait Scheduler: Default + 'static {
    /// Takes the operator's configuration and says what verdicts depend on; called once, first. By default there is
    /// nothing to configure, and a verdict depends on its own node only.
    fn configure(&mut self, config: Config) -> Result<Policy> {
        config.refuse()?;
        Ok(Policy { depends_on: vec![Dependency::Node] })
    }

    /// Takes changes, in order. `Tables` keeps them for policies that need no layout of their own.
    fn sync(&mut self, deltas: Vec<Delta>) -> Result<()>;

    /// One verdict per node, in the order given. No nodes: every node known, in ascending order of id.
    fn evaluate(&mut self, class: u32, nodes: &[u32]) -> Result<Vec<Verdict>>;

    /// The texts behind a code of `Verdict::Infeasible`.
    fn reasons(&mut self, code: u16) -> Vec<String> {
        vec![format!("node(s) were refused by the policy with code {code}")]
    }
}

impl<H: Holder> wit::Guest for H
where
    H::Plugin: Scheduler,
{
    fn configure(config: String) -> Result<Policy> {
        start::<H, _>(|s| s.configure(Config::from_text(config)))
    }

    fn sync(deltas: Vec<Delta>) -> Result<()> {
        enter::<H, _>(|s| s.sync(deltas))?
    }

    fn evaluate(questions: Vec<Question>) -> Result<Vec<Vec<Verdict>>> {
        enter::<H, _>(|s| questions.iter().map(|q| s.evaluate(q.class, &q.nodes)).collect())?
    }

    fn reasons(codes: Vec<u16>) -> Vec<Vec<String>> {
        enter::<H, _>(|s| codes.iter().map(|code| s.reasons(*code)).collect())
            .unwrap_or_else(|error| codes.iter().map(|_| vec![error.message.clone()]).collect())
    }
}

/// A class, read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClassSpec {
    /// The pods' namespace.
    pub namespace: String,
    /// Their labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations that begin with `scheduling.`.
    pub annotations: BTreeMap<String, String>,
    /// What bears on placement.
    pub spec: PodSpec,
}

impl ClassSpec {
    /// Reads what a delta carries. Annotations may lie beside `spec` or in it.
    pub fn parse(class: &Class) -> Result<Self> {
        let mut read: ClassSpec =
            serde_json::from_slice(&class.spec).map_err(|e| Error::invalid(format!("class {}: {e}", class.id)))?;
        if let Some(inside) = read.spec.other.remove("annotations") {
            let inside: BTreeMap<String, String> = serde_json::from_value(inside)?;
            read.annotations.extend(inside);
        }
        Ok(read)
    }
}

/// Everything that `sync` told, as plain maps: for policies that are small rather than fast.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Nodes by id.
    pub nodes: BTreeMap<u32, Node>,
    /// Classes by id.
    pub classes: BTreeMap<u32, ClassSpec>,
    /// Pods by node, then class. No zeros.
    pub pods: BTreeMap<u32, BTreeMap<u32, i64>>,
}

impl Tables {
    /// Takes changes, in order.
    pub fn sync(&mut self, deltas: Vec<Delta>) -> Result<()> {
        deltas.into_iter().try_for_each(|delta| self.take(delta))
    }

    fn take(&mut self, delta: Delta) -> Result<()> {
        match delta {
            Delta::NodeSet(node) => drop(self.nodes.insert(node.id, node)),
            Delta::NodeGone(id) => {
                self.nodes.remove(&id);
                self.pods.remove(&id);
            }
            Delta::ClassSet(class) => drop(self.classes.insert(class.id, ClassSpec::parse(&class)?)),
            Delta::ClassGone(id) => drop(self.classes.remove(&id)),
            Delta::Assign(a) => self.assign(&a),
        }
        Ok(())
    }

    fn assign(&mut self, assignment: &Assignment) {
        let classes = self.pods.entry(assignment.node).or_default();
        let count = classes.entry(assignment.class).or_default();
        *count += i64::from(assignment.count);
        if *count == 0 {
            classes.remove(&assignment.class);
        }
    }

    /// The nodes that a question means.
    pub fn asked<'a>(&'a self, ids: &'a [u32]) -> impl Iterator<Item = Option<&'a Node>> {
        let all = if ids.is_empty() { Some(self.nodes.values().map(Some)) } else { None };
        all.into_iter().flatten().chain(ids.iter().map(|id| self.nodes.get(id)))
    }

    /// The verdict on each of a question's nodes; one that is unknown by now is infeasible with code 0.
    pub fn verdicts(&self, ids: &[u32], verdict: impl Fn(&Node) -> Verdict) -> Vec<Verdict> {
        self.asked(ids).map(|node| node.map_or(Verdict::Infeasible(0), &verdict)).collect()
    }

    /// Pods on a node.
    pub fn pods_on(&self, node: u32) -> i64 {
        self.pods.get(&node).map_or(0, |classes| classes.values().sum())
    }

    /// Pods of a class on a node.
    pub fn count(&self, node: u32, class: u32) -> i64 {
        self.pods.get(&node).and_then(|classes| classes.get(&class)).copied().unwrap_or_default()
    }
}

impl Node {
    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|l| l.key == key).map(|l| l.value.as_str())
    }
}

impl Verdict {
    /// A score from 0.0 (worst) to 1.0 (best).
    pub fn fraction(score: f64) -> Self {
        Verdict::Score((score.clamp(0.0, 1.0) * f64::from(MAX_SCORE)) as u32)
    }
}
