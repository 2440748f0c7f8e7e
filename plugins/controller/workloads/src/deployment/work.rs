//! What a pass works on: everything that was read, changed step by step into what is wanted.

use gantry_sdk::Value;
use gantry_sdk::api::Time;

use super::object::{Deployment, Limits, Status};
use super::template;
use crate::object::Labels;
use crate::replicaset::ReplicaSet;

/// A Deployment and its ReplicaSets.
#[derive(Clone, Debug)]
pub struct Work {
    /// As it was read.
    pub deployment: Deployment,
    /// Bounds of its rolling update.
    pub limits: Limits,
    /// The set of the template of now, if there is one.
    pub new: Option<Tracked>,
    /// The others, oldest first.
    pub old: Vec<Tracked>,
    /// The status to be.
    pub status: Status,
    /// The revision to be, for the Deployment's annotation.
    pub revision: Option<String>,
    /// Now.
    pub now: Time,
}

/// A ReplicaSet and what it was.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// What it is to be.
    pub set: ReplicaSet,
    /// What it was; none: it is to be made.
    pub was: Option<Was>,
    /// It is to be deleted.
    pub drop: bool,
}

/// The part of a ReplicaSet that a Deployment changes, as it was read.
#[derive(Clone, Debug)]
pub struct Was {
    /// `spec.replicas`
    pub replicas: i64,
    /// `spec.minReadySeconds`
    pub min_ready_seconds: i64,
    /// `metadata.annotations`
    pub annotations: Labels,
}

impl Work {
    /// Sorts the sets and finds the one of the template. Should several have it, the oldest is it, in every pass.
    pub fn new(deployment: Deployment, mut sets: Vec<ReplicaSet>, limits: Limits, now: Time) -> Self {
        sets.sort_by(|a, b| {
            let age = |set: &ReplicaSet| set.metadata.creation_timestamp.unwrap_or_default();
            age(a).cmp(&age(b)).then_with(|| a.metadata.name.cmp(&b.metadata.name))
        });
        let template: &Value = &deployment.spec.template;
        let found = sets.iter().position(|set| template::same(template, &set.spec.template));
        let new = found.map(|at| Tracked::found(sets.remove(at)));
        let old = sets.into_iter().map(Tracked::found).collect();
        let (status, revision) = (deployment.status.clone(), None);
        Self { deployment, limits, new, old, status, revision, now }
    }

    /// The new set, then the old ones.
    pub fn all(&self) -> impl Iterator<Item = &Tracked> {
        self.new.iter().chain(&self.old)
    }

    /// The new set, then the old ones.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Tracked> {
        self.new.iter_mut().chain(&mut self.old)
    }

    /// Pods that all sets together want.
    pub fn total(&self) -> i64 {
        self.all().map(|tracked| tracked.set.replicas()).sum()
    }

    /// Pods that are available.
    pub fn available(&self) -> i64 {
        self.all().map(|tracked| tracked.set.available()).sum()
    }

    /// Pods that there may be at most.
    pub fn most(&self) -> i64 {
        self.deployment.replicas() + self.limits.surge
    }

    /// Pods that must be available at least.
    pub fn least(&self) -> i64 {
        self.deployment.replicas() - self.limits.unavailable
    }
}

impl Tracked {
    fn found(set: ReplicaSet) -> Self {
        let was = Was {
            replicas: set.replicas(),
            min_ready_seconds: set.spec.min_ready_seconds,
            annotations: set.metadata.annotations.clone(),
        };
        Self { set, was: Some(was), drop: false }
    }

    /// A set to be made.
    pub fn made(set: ReplicaSet) -> Self {
        Self { set, was: None, drop: false }
    }

    /// Whether it wants pods.
    pub fn active(&self) -> bool {
        self.set.replicas() > 0
    }

    /// Whether its number of pods changes.
    pub fn resized(&self) -> bool {
        self.was.as_ref().is_none_or(|was| was.replicas != self.set.replicas())
    }
}
