//! One pass over a Deployment: reads, lets `plan` decide, writes.

use std::collections::BTreeSet;

use gantry_sdk::api::{Pod, Resource, Time};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{Error, ObjectRef, Result};

use super::object::Deployment;
use super::plan::{self, Plan, Snapshot, Step};
use crate::replicaset::ReplicaSet;
use crate::{claim, namespace};

/// Look again as soon as possible: something changed between reading and writing.
const AGAIN: Outcome = Outcome::RequeueAfterMs(0);

/// Brings a Deployment's ReplicaSets in line.
pub fn reconcile(now: Time, key: &ObjectRef) -> Result<Outcome> {
    let Some(deployment) = objects::get::<Deployment>(key)? else { return Ok(Outcome::Done) };
    let Some(sets) = claim_sets(&deployment)? else { return Ok(AGAIN) };
    let with_pods = if deployment.recreates() { with_pods(&sets)? } else { BTreeSet::new() };
    let plan = plan::plan(Snapshot { deployment: deployment.clone(), sets, with_pods, now })?;
    carry_out(&deployment, plan, now)
}

fn carry_out(deployment: &Deployment, plan: Plan, now: Time) -> Result<Outcome> {
    objects::record(&plan.events);
    if let Some(step) = &plan.create {
        match objects::apply_one(step.write.clone()) {
            Ok(_) => objects::record(step.event.as_slice()),
            Err(error) => return create_failed(deployment, step, error, now),
        }
    }
    let mut again = !carry_out_steps(&plan.steps)?;
    for answer in objects::apply(&plan.report) {
        match answer {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_conflict() => again = true,
            Err(error) => return Err(error),
        }
    }
    match plan.wait {
        _ if again => Ok(AGAIN),
        Some(wait) => Ok(Outcome::after(wait)),
        None => Ok(Outcome::Done),
    }
}

/// Answers whether every set was still as it was read.
fn carry_out_steps(steps: &[Step]) -> Result<bool> {
    let writes: Vec<_> = steps.iter().map(|step| step.write.clone()).collect();
    let mut events = Vec::new();
    let (mut unchanged, mut failure) = (true, None);
    for (step, answer) in steps.iter().zip(objects::apply(&writes)) {
        match answer {
            Ok(_) => events.extend(step.event.clone()),
            Err(error) if error.is_not_found() || error.is_conflict() => unchanged = false,
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    objects::record(&events);
    failure.map_or(Ok(unchanged), Err)
}

fn create_failed(deployment: &Deployment, step: &Step, error: Error, now: Time) -> Result<Outcome> {
    if error.is_already_exists() {
        objects::apply_all(&plan::collided(deployment)?)?;
        return Ok(AGAIN);
    }
    if namespace::terminating(&deployment.metadata.namespace)? {
        return Ok(Outcome::Done);
    }
    let (report, event) = plan::not_created(deployment, &step.name, &error, now)?;
    objects::record(&[event]);
    objects::apply_all(&report)?;
    Err(Error::unavailable(error.message))
}

/// The sets that the Deployment controls, after adopting those that match and releasing those that no longer do. None:
/// one of them changed meanwhile.
fn claim_sets(deployment: &Deployment) -> Result<Option<Vec<ReplicaSet>>> {
    let (meta, selector) = (&deployment.metadata, &deployment.spec.selector);
    let query = Query::of::<ReplicaSet>().namespace(&meta.namespace);
    let mut sets: Vec<ReplicaSet> = objects::list(&query.clone().owner(&meta.uid))?;
    sets.retain(|set| set.metadata.is_controlled_by(&meta.uid));
    if meta.is_deleting() || selector.is_empty() {
        return Ok(Some(sets));
    }
    let (mut sets, strangers): (Vec<_>, Vec<_>) =
        sets.into_iter().partition(|set| selector.matches(&set.metadata.labels));
    for set in &strangers {
        if !claim::release_now(&set.reference(), &meta.uid)? {
            return Ok(None);
        }
    }
    let owner = deployment.controller_reference();
    let orphans: Vec<ReplicaSet> = objects::list(&query.orphans().labels(selector))?;
    for set in orphans.into_iter().filter(|set| !set.metadata.is_deleting()) {
        if !claim::adopt_now(&set.reference(), &owner)? {
            return Ok(None);
        }
        sets.push(set);
    }
    Ok(Some(sets))
}

/// Uids of the sets with a pod that has not ended. One that is only terminating still holds what the new ones may need.
fn with_pods(sets: &[ReplicaSet]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for set in sets {
        let query = Query::of::<Pod>().namespace(&set.metadata.namespace).owner(&set.metadata.uid);
        let phases: Vec<(Option<String>,)> = objects::rows(&query, ["/status/phase"])?;
        if phases.iter().any(|(phase,)| !matches!(phase.as_deref(), Some("Succeeded" | "Failed"))) {
            found.insert(set.metadata.uid.clone());
        }
    }
    Ok(found)
}
