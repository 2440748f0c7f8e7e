//! The condition `Progressing`: how a rollout goes, and when it has stood still for too long.

use std::time::Duration;

use super::object::Status;
use super::status;
use super::work::Work;
use crate::object::{Condition, condition};

/// The condition's type.
pub const PROGRESSING: &str = "Progressing";

const AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// The condition as it is.
pub fn condition(status: &Status) -> Option<&Condition> {
    condition::find(&status.conditions, PROGRESSING)
}

/// Sets the condition, if the Deployment has a deadline at all. The message is made from the new set's name.
pub fn note(work: &mut Work, status: &str, reason: &str, message: impl Fn(&str) -> String) {
    if work.deployment.progress_deadline().is_some() {
        let condition = Condition::new(PROGRESSING, status, reason, message(new_name(work)), work.now);
        status::set(work, condition);
    }
}

/// A pause stops the clock, its end starts it anew. A rollout that failed stays failed.
pub fn pause(work: &mut Work) {
    let reason = condition(&work.status).map(|condition| condition.reason.clone()).unwrap_or_default();
    match (work.deployment.spec.paused, reason.as_str()) {
        (_, TIMED_OUT) => {}
        (true, reason) if reason != PAUSED => note(work, "Unknown", PAUSED, |_| "Deployment is paused".to_owned()),
        (false, PAUSED) => note(work, "Unknown", "DeploymentResumed", |_| "Deployment is resumed".to_owned()),
        _ => {}
    }
}

/// Judges a rollout by the counts of before and now. Answers how long it may still stand still.
pub fn judge(work: &mut Work) -> Option<Duration> {
    let Some(deadline) = work.deployment.progress_deadline() else {
        condition::remove(&mut work.status.conditions, PROGRESSING);
        return None;
    };
    let current = condition(&work.status).cloned();
    let reason = current.as_ref().map(|condition| condition.reason.as_str()).unwrap_or_default();
    let settled = work.status.replicas == work.status.updated_replicas && reason == AVAILABLE;
    if settled {
        return None;
    }
    if work.deployment.complete(&work.status) {
        let subject = subject(work);
        note(work, "True", AVAILABLE, |_| format!("{subject} has successfully progressed."));
        return None;
    }
    let since = current.as_ref().and_then(|condition| condition.last_update_time);
    let over = since.is_some_and(|since| work.now.since(since) >= deadline);
    if moved(&work.deployment.status, &work.status) {
        let message = format!("{} is progressing.", subject(work));
        let moving = Condition::new(PROGRESSING, "True", "ReplicaSetUpdated", message, work.now);
        condition::renew(&mut work.status.conditions, moving);
    } else if over && reason != AVAILABLE && reason != TIMED_OUT {
        let subject = subject(work);
        note(work, "False", TIMED_OUT, |_| format!("{subject} has timed out progressing."));
    }
    remaining(work, deadline)
}

/// Any of these counts as movement: more new pods, fewer old ones, more ready, more available.
fn moved(before: &Status, now: &Status) -> bool {
    let old = |status: &Status| status.replicas - status.updated_replicas;
    now.updated_replicas > before.updated_replicas
        || old(now) < old(before)
        || now.ready_replicas > before.ready_replicas
        || now.available_replicas > before.available_replicas
}

fn remaining(work: &Work, deadline: Duration) -> Option<Duration> {
    let condition = condition(&work.status).filter(|c| c.reason != TIMED_OUT && c.reason != AVAILABLE)?;
    let passed = work.now.since(condition.last_update_time?);
    // At least a little: times are written in whole seconds, so the deadline may seem to have come early.
    Some(deadline.saturating_sub(passed).max(Duration::from_millis(100)))
}

fn subject(work: &Work) -> String {
    match new_name(work) {
        "" => format!("Deployment \"{}\"", work.deployment.metadata.name),
        name => format!("ReplicaSet \"{name}\""),
    }
}

fn new_name(work: &Work) -> &str {
    work.new.as_ref().map_or("", |new| &new.set.metadata.name)
}
