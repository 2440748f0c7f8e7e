//! One pass over a ReplicaSet: reads, lets the planners decide, writes.

use gantry_sdk::api::{Pod, Resource, Time};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Event, Query, Subresource, Write};
use gantry_sdk::{Error, ObjectRef, Result, json, merge};

use super::object::{ReplicaSet, Status};
use super::plan::{self, Change, Report};
use super::pod::{COLUMNS, RANK_COLUMNS, Row};
use super::{rank, status};
use crate::{claim, namespace};

/// Brings a set's pods in line.
pub fn reconcile(now: Time, key: &ObjectRef) -> Result<Outcome> {
    let Some(set) = objects::get::<ReplicaSet>(key)? else { return Ok(Outcome::Done) };
    let mut report = Report::default();
    let pods = claim_pods(&set, &mut report)?;
    let change = plan::change(&set, &pods);
    report.again |= plan::exceeds_burst(&set, &pods);
    match change {
        Change::Nothing => {}
        Change::Create(count) => create(&set, count, &mut report)?,
        Change::Delete(count) => delete(&set, victims(&set, &pods, count, now)?, &mut report),
        Change::Refuse(error) => failed(&set, "FailedCreate", "creating", error, &mut report),
    }
    let (status, wait) = status::next(&set, &pods, &report, now);
    write_status(&set, &status)?;
    match report.failure {
        Some((_, error)) => Err(Error::unavailable(error.message)),
        None if report.again => Ok(Outcome::RequeueAfterMs(0)),
        None => Ok(wait.map_or(Outcome::Done, Outcome::after)),
    }
}

/// The pods that the set controls and selects, after adopting those that nobody controls and releasing those that it
/// no longer selects.
fn claim_pods(set: &ReplicaSet, report: &mut Report) -> Result<Vec<Row>> {
    let own = Query::of::<Pod>().namespace(&set.metadata.namespace).owner(&set.metadata.uid);
    let mut pods: Vec<Row> = objects::rows(&own, COLUMNS)?;
    pods.retain(|pod| pod.controller() == set.metadata.uid);
    if set.metadata.is_deleting() || set.spec.selector.is_empty() {
        return Ok(pods);
    }
    let (pods, strangers): (Vec<Row>, Vec<Row>) =
        pods.into_iter().partition(|pod| set.spec.selector.matches(pod.labels()));
    for pod in strangers.iter().filter(|pod| pod.active()) {
        report.again |= !claim::release_now(&pod_ref(set, pod), &set.metadata.uid)?;
    }
    adopt(set, pods, report)
}

fn adopt(set: &ReplicaSet, mut pods: Vec<Row>, report: &mut Report) -> Result<Vec<Row>> {
    let nobodys = Query::of::<Pod>().namespace(&set.metadata.namespace).owner("").labels(&set.spec.selector);
    let orphans: Vec<Row> = objects::rows(&nobodys, COLUMNS)?;
    let owner = set.controller_reference();
    for pod in orphans.into_iter().filter(|pod| pod.active() && pod.controller().is_empty()) {
        match claim::adopt_now(&pod_ref(set, &pod), &owner)? {
            true => pods.push(pod),
            false => report.again = true,
        }
    }
    Ok(pods)
}

fn create(set: &ReplicaSet, count: usize, report: &mut Report) -> Result<()> {
    let pod = plan::pod(set, &set.controller_reference()).to_string().into_bytes();
    for batch in plan::batches(count) {
        let answers = objects::apply(&vec![Write::Create(pod.clone()); batch]);
        let created: Vec<_> = answers.iter().flatten().collect();
        report.created += created.len();
        let event = |name: &str| Event::normal(set, "SuccessfulCreate", format!("Created pod: {name}"));
        objects::record(&created.iter().map(|written| event(&written.name)).collect::<Vec<_>>());
        if let Some(error) = answers.into_iter().find_map(Result::err) {
            // Nothing can be made there any more, and soon this set is gone too: no failure.
            if !namespace::terminating(&set.metadata.namespace)? {
                failed(set, "FailedCreate", "creating", error, report);
            }
            report.again = false;
            break;
        }
    }
    Ok(())
}

/// Chooses among pods with further columns, which are read only now that they matter.
fn victims(set: &ReplicaSet, pods: &[Row], count: usize, now: Time) -> Result<Vec<Row>> {
    if count >= pods.iter().filter(|pod| pod.active()).count() {
        return Ok(pods.iter().filter(|pod| pod.active()).cloned().collect());
    }
    let ranked = |uid: &str| -> Result<Vec<Row>> {
        let own = Query::of::<Pod>().namespace(&set.metadata.namespace).owner(uid);
        objects::rows(&own, COLUMNS.into_iter().chain(RANK_COLUMNS))
    };
    let mut own = ranked(&set.metadata.uid)?;
    own.retain(|pod| pod.controller() == set.metadata.uid && set.spec.selector.matches(pod.labels()));
    let mut related = own.clone();
    for uid in siblings(set)? {
        related.extend(ranked(&uid)?);
    }
    Ok(rank::victims(own, &rank::crowd(&related), count, now))
}

/// Uids of the other sets of the same Deployment that have pods.
fn siblings(set: &ReplicaSet) -> Result<Vec<String>> {
    let Some(controller) = set.metadata.controller() else { return Ok(Vec::new()) };
    let query = Query::of::<ReplicaSet>().namespace(&set.metadata.namespace).owner(&controller.uid);
    let sets: Vec<(String, Option<i64>)> = objects::rows(&query, ["/metadata/uid", "/status/replicas"])?;
    let others = sets.into_iter().filter(|(uid, pods)| *uid != set.metadata.uid && pods.unwrap_or(0) > 0);
    Ok(others.map(|(uid, _)| uid).collect())
}

fn delete(set: &ReplicaSet, victims: Vec<Row>, report: &mut Report) {
    let writes: Vec<_> = victims.iter().map(|pod| Write::delete(pod_ref(set, pod)).if_uid(pod.uid())).collect();
    let mut events = Vec::new();
    for (pod, answer) in victims.iter().zip(objects::apply(&writes)) {
        match answer {
            Ok(_) => {
                events.push(Event::normal(set, "SuccessfulDelete", format!("Deleted pod: {}", pod.name())));
                report.deleted.insert(pod.uid().to_owned());
            }
            // Gone already, or one of the same name that is not this one.
            Err(error) if error.is_not_found() || error.is_conflict() => report.again = true,
            Err(error) => failed(set, "FailedDelete", "deleting", error, report),
        }
    }
    objects::record(&events);
}

fn failed(set: &ReplicaSet, reason: &'static str, doing: &str, error: Error, report: &mut Report) {
    if report.failure.is_none() {
        objects::record(&[Event::warning(set, reason, format!("Error {doing}: {}", error.message))]);
        report.failure = Some((reason, error));
    }
}

fn write_status(set: &ReplicaSet, status: &Status) -> Result<()> {
    let (before, after) = (gantry_sdk::serde_json::to_value(&set.status)?, gantry_sdk::serde_json::to_value(status)?);
    let unwritten = set.status.observed_generation == 0;
    let patch = if unwritten { Some(after) } else { merge::diff(&before, &after) };
    let Some(patch) = patch else { return Ok(()) };
    let write = Write::patch_status(set.reference(), &json!({ "status": patch })).if_uid(&set.metadata.uid);
    debug_assert!(matches!(&write, Write::Patch(p) if p.subresource == Subresource::Status));
    match objects::apply_one(write) {
        // The set went meanwhile: there is no status to write any more.
        Err(error) if error.is_not_found() => Ok(()),
        answer => answer.map(|_| ()),
    }
}

fn pod_ref(set: &ReplicaSet, pod: &Row) -> ObjectRef {
    ObjectRef::of::<Pod>(&set.metadata.namespace, pod.name())
}
