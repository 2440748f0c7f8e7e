//! What became of deployments, for whoever asks later. Pure.

use ecs_common::capacity::Share;
use ecs_common::revision;
use gantry_sdk::api::Time;
use gantry_sdk::json;

use super::deployments::Why;
use super::object::{Deployment, Record, ServiceStatus};

/// Deployments that are remembered.
const MOST: usize = 20;

/// One begins; what had not come to its end never will.
pub fn begun(status: &mut ServiceStatus, deployment: &Deployment, providers: &[Share], now: Time) {
    for open in status.history.iter_mut().filter(|record| record.finished_at.is_none()) {
        end(open, "STOPPED", now);
        "Another deployment was started.".clone_into(&mut open.reason);
    }
    let record = Record {
        id: deployment.id.clone(),
        revision: revision::of(&deployment.template.spec, &deployment.template.asked, &json!(providers)),
        status: "IN_PROGRESS".to_owned(),
        created_at: deployment.created_at,
        started_at: Some(now),
        source: status.good.as_ref().map(|good| good.id.clone()).unwrap_or_default(),
        ..Record::default()
    };
    status.history.insert(0, record);
    status.history.truncate(MOST);
}

/// The last one begins with alarms raised, which say nothing of it.
pub fn unwatched(status: &mut ServiceStatus) {
    open(status).into_iter().for_each(|record| record.unwatched = true);
}

/// For these alarms the last one is about to be given up.
pub fn raised(status: &mut ServiceStatus, names: &[String]) {
    open(status).into_iter().for_each(|record| record.alarms = names.to_vec());
}

fn open(status: &mut ServiceStatus) -> Option<&mut Record> {
    status.history.first_mut().filter(|record| record.finished_at.is_none())
}

/// The last one was given up, and another came back if there is one.
pub fn failed(status: &mut ServiceStatus, why: Why, failures: u32, back: &str, now: Time) {
    let Some(record) = open(status) else { return };
    record.failures = failures;
    record.stopped_at = (why == Why::Wanted).then_some(now);
    why.record().clone_into(&mut record.reason);
    if back.is_empty() {
        return end(record, "STOPPED", now);
    }
    "ROLLBACK_IN_PROGRESS".clone_into(&mut record.status);
    back.clone_into(&mut record.back);
    record.back_at = Some(now);
}

/// The last one has all that it wants, or the one that came back instead has.
pub fn completed(status: &mut ServiceStatus, now: Time) {
    let Some(record) = open(status) else { return };
    end(record, if record.back.is_empty() { "SUCCESSFUL" } else { "ROLLBACK_SUCCESSFUL" }, now);
}

fn end(record: &mut Record, word: &str, now: Time) {
    word.clone_into(&mut record.status);
    record.finished_at = Some(now);
}
