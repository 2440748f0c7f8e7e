//! What one pass over a Deployment writes: a pure function of what was read.

use std::collections::BTreeSet;
use std::time::Duration;

use gantry_sdk::api::{Resource, Time};
use gantry_sdk::objects::{Event, Write};
use gantry_sdk::{Error, Result, Value, json, merge, serde_json};

use super::object::{Deployment, Status};
use super::work::{Tracked, Was, Work};
use super::{new_set, progress, recreate, revision, rolling, scale, status};
use crate::object::{Condition, Labels};
use crate::replicaset::ReplicaSet;
use crate::replicaset::status::REPLICA_FAILURE;

/// Everything that the decision depends on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The Deployment.
    pub deployment: Deployment,
    /// The ReplicaSets that it controls.
    pub sets: Vec<ReplicaSet>,
    /// Uids of those that still have pods, also terminating ones. Only read for `Recreate`.
    pub with_pods: BTreeSet<String>,
    /// Now.
    pub now: Time,
}

/// What is written, in this order; the first failure ends the pass.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The ReplicaSet to make.
    pub create: Option<Step>,
    /// Changes of ReplicaSets, each of another one.
    pub steps: Vec<Step>,
    /// The Deployment's status, if it changes, then its annotation, if it changes.
    pub report: Vec<Write>,
    /// Events that are due whatever becomes of the writes.
    pub events: Vec<Event>,
    /// When to look again.
    pub wait: Option<Duration>,
}

/// A write and the event that it is worth once it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The ReplicaSet's name.
    pub name: String,
    /// The write.
    pub write: Write,
    /// The event.
    pub event: Option<Event>,
}

impl Plan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.create.is_none() && self.steps.is_empty() && self.report.is_empty()
    }
}

/// Decides.
pub fn plan(snapshot: Snapshot) -> Result<Plan> {
    let deployment = &snapshot.deployment;
    if deployment.spec.selector.is_empty() {
        let message = "This deployment is selecting all pods. A non-empty selector is required.".to_owned();
        return refuse(snapshot, "SelectingAll", message);
    }
    if let Some(problem) = deployment.problem() {
        return refuse(snapshot, "InvalidSpec", problem);
    }
    let limits = deployment.limits()?;
    let old_pods = |work: &Work| work.old.iter().any(|old| snapshot.with_pods.contains(&old.set.metadata.uid));
    let mut work = Work::new(snapshot.deployment, snapshot.sets, limits, snapshot.now);
    let mut wait = None;
    if work.deployment.metadata.is_deleting() {
        status::count(&mut work);
        return finish(&work, wait);
    }
    progress::pause(&mut work);
    new_set::sync(&mut work);
    let paused = work.deployment.spec.paused;
    if paused || scale::due(&work) {
        scale::apply(&mut work);
        if paused {
            super::cleanup::history(&mut work);
        }
        status::count(&mut work);
    } else {
        if work.deployment.recreates() {
            let old_pods = old_pods(&work);
            recreate::step(&mut work, old_pods);
        } else {
            rolling::step(&mut work);
        }
        status::count(&mut work);
        wait = progress::judge(&mut work);
        status::failure(&mut work);
    }
    finish(&work, wait)
}

/// The status after the name of the new set turned out to be taken by something else: the next pass takes another.
pub fn collided(deployment: &Deployment) -> Result<Vec<Write>> {
    let mut status = deployment.status.clone();
    status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
    report(deployment, &status)
}

/// The status and the event after the new set could not be made.
pub fn not_created(deployment: &Deployment, name: &str, error: &Error, now: Time) -> Result<(Vec<Write>, Event)> {
    let reason = "ReplicaSetCreateError";
    let message = format!("Failed to create new replica set \"{name}\": {}", error.message);
    let event = Event::warning(deployment, reason, message.clone());
    let mut status = deployment.status.clone();
    if deployment.progress_deadline().is_some() {
        let failure = Condition::new(progress::PROGRESSING, "False", reason, message, now);
        crate::object::condition::set(&mut status.conditions, failure);
    }
    Ok((report(deployment, &status)?, event))
}

/// A Deployment that can't work is left alone and says why.
fn refuse(snapshot: Snapshot, reason: &str, message: String) -> Result<Plan> {
    let event = Event::warning(&snapshot.deployment, reason, message.clone());
    let mut work = Work::new(snapshot.deployment, snapshot.sets, super::object::Limits::default(), snapshot.now);
    status::count(&mut work);
    status::set(&mut work, Condition::new(REPLICA_FAILURE, "True", reason, message, snapshot.now));
    let mut plan = finish(&work, None)?;
    plan.events.push(event);
    Ok(plan)
}

/// The plan is the difference between what was and what is to be.
fn finish(work: &Work, wait: Option<Duration>) -> Result<Plan> {
    let mut plan = Plan { report: report(&work.deployment, &work.status)?, wait, ..Plan::default() };
    for tracked in work.all() {
        match &tracked.was {
            None => plan.create = Some(create(&work.deployment, tracked)?),
            Some(_) if tracked.drop => plan.steps.push(delete(tracked)),
            Some(was) => plan.steps.extend(change(&work.deployment, tracked, was)),
        }
    }
    let noted = work.deployment.metadata.annotations.get(revision::REVISION);
    if let Some(number) = work.revision.as_ref().filter(|number| noted != Some(*number)) {
        let merge = json!({"metadata": {"annotations": {revision::REVISION: number}}});
        plan.report.push(Write::patch(work.deployment.reference(), &merge).if_uid(work.deployment.uid()));
    }
    Ok(plan)
}

fn create(deployment: &Deployment, tracked: &Tracked) -> Result<Step> {
    let size = tracked.set.replicas();
    let name = tracked.set.metadata.name.clone();
    let event = (size > 0).then(|| scaled(deployment, &name, 0, size));
    let mut object = serde_json::to_value(&tracked.set)?;
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
        members.insert("apiVersion".to_owned(), json!("apps/v1"));
        members.insert("kind".to_owned(), json!("ReplicaSet"));
    }
    Ok(Step { name, write: Write::create_json(&object), event })
}

fn delete(tracked: &Tracked) -> Step {
    let meta = &tracked.set.metadata;
    // It may have been given pods since it was seen empty.
    let write = Write::delete(tracked.set.reference()).if_uid(&meta.uid).if_version(&meta.resource_version);
    Step { name: meta.name.clone(), write, event: None }
}

fn change(deployment: &Deployment, tracked: &Tracked, was: &Was) -> Option<Step> {
    let set = &tracked.set;
    let mut merge = json!({});
    if tracked.resized() {
        put(&mut merge, "/spec", "replicas", json!(set.replicas()));
    }
    if set.spec.min_ready_seconds != was.min_ready_seconds {
        put(&mut merge, "/spec", "minReadySeconds", json!(set.spec.min_ready_seconds));
    }
    if let Some(annotations) = annotations(&was.annotations, &set.metadata.annotations) {
        put(&mut merge, "/metadata", "annotations", annotations);
    }
    if merge == json!({}) {
        return None;
    }
    let write = Write::patch(set.reference(), &merge).if_uid(&set.metadata.uid);
    let name = set.metadata.name.clone();
    let event = tracked.resized().then(|| scaled(deployment, &name, was.replicas, set.replicas()));
    Some(Step { name, write, event })
}

fn annotations(was: &Labels, is: &Labels) -> Option<Value> {
    merge::diff(&json!(was), &json!(is))
}

fn put(merge: &mut Value, parent: &str, name: &str, value: Value) {
    let parent = parent.trim_start_matches('/');
    let Some(members) = merge.as_object_mut() else { return };
    let parent = members.entry(parent.to_owned()).or_insert_with(|| json!({}));
    if let Some(members) = parent.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn scaled(deployment: &Deployment, name: &str, from: i64, to: i64) -> Event {
    let way = if to > from { "up" } else { "down" };
    let message = format!("Scaled {way} replica set {name} from {from} to {to}");
    Event::normal(deployment, "ScalingReplicaSet", message)
}

fn report(deployment: &Deployment, status: &Status) -> Result<Vec<Write>> {
    let patch = merge::diff(&serde_json::to_value(&deployment.status)?, &serde_json::to_value(status)?);
    let write =
        |patch| Write::patch_status(deployment.reference(), &json!({ "status": patch })).if_uid(deployment.uid());
    Ok(patch.map(write).into_iter().collect())
}

/// Small Deployments and sets for tests of the planner's parts.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::deployment::template::HASH_LABEL;

    /// A Deployment `web` with what `spec` says beyond selector and template.
    pub fn deployment(spec: Value) -> Deployment {
        let mut whole = json!({"metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1}, "spec": {
            "selector": {"matchLabels": {"app": "web"}}, "template": template("now"), "progressDeadlineSeconds": 600,
        }});
        merge::apply(&mut whole["spec"], &spec);
        serde_json::from_value(whole).unwrap()
    }

    /// A template with this image.
    pub fn template(image: &str) -> Value {
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
    }

    /// The `index`th set, with or without the template of now, of this size and with so many pods available.
    pub fn set(of: &Deployment, index: usize, new: bool, size: i64, available: i64) -> ReplicaSet {
        let image = if new { "now".to_owned() } else { format!("old-{index}") };
        let mut template = template(&image);
        template["metadata"]["labels"][HASH_LABEL] = json!(format!("h{index}"));
        let set = json!({
            "metadata": {
                "name": format!("web-h{index}"), "namespace": "default", "uid": format!("s{index}"), "generation": 1,
                "creationTimestamp": Time::from_millis(u64::try_from(index).unwrap() * 1_000),
                "annotations": {
                    revision::REVISION: (index + 1).to_string(),
                    revision::DESIRED: of.replicas().to_string(),
                    revision::MAX: (of.replicas() + of.limits().unwrap().surge).to_string(),
                },
                "ownerReferences": [of.controller_reference()],
            },
            "spec": {"replicas": size, "selector": {"matchLabels": {"app": "web", HASH_LABEL: format!("h{index}")}}, "template": template},
            "status": {"replicas": size, "readyReplicas": available, "availableReplicas": available, "observedGeneration": 1},
        });
        serde_json::from_value(set).unwrap()
    }

    /// A pass's work at its start.
    pub fn work(of: &Deployment, sets: Vec<ReplicaSet>) -> Work {
        Work::new(of.clone(), sets, of.limits().unwrap(), Time::from_millis(1_000_000))
    }
}
