//! The end of Events: they tell what happened lately, and nobody owns them.

use std::time::Duration;

use gantry_model::Record;
use gantry_objects::{DeleteOptions, Objects, Preconditions};
use gantry_store::Range;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// How often old ones are looked for.
const EVERY: Duration = Duration::from_secs(60);
/// The groups whose Event is served.
const GROUPS: [&str; 2] = ["", "events.k8s.io"];

/// Deletes Events that nothing was added to for `keep` (Kubernetes: `--event-ttl`, one hour). Runs for ever.
pub async fn run(objects: Objects, keep: Duration) {
    loop {
        for group in GROUPS {
            sweep(&objects, group, keep).await;
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn sweep(objects: &Objects, group: &str, keep: Duration) {
    let Some(kind) = objects.kinds().by_kind(group, "Event") else { return };
    let oldest = SignedDuration::try_from(keep).ok().and_then(|keep| Timestamp::now().checked_sub(keep).ok());
    let Some(oldest) = oldest else { return };
    let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
    for record in objects.store().list(&range).records {
        if last(&record).is_none_or(|at| at >= oldest) {
            continue;
        }
        // One that is counted up meanwhile is not old any more.
        let preconditions =
            Preconditions { uid: Some(record.meta.uid.clone()), resource_version: Some(record.revision.to_string()) };
        let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
        if let Err(error) = objects.delete(&kind, &record.meta.namespace, &record.meta.name, &options).await {
            tracing::debug!(key = %record.key, %error, "an old event stays");
        }
    }
}

/// When an Event last said something.
fn last(record: &Record) -> Option<Timestamp> {
    let event = record.value();
    let at = |pointer: &str| event.pointer(pointer).and_then(Value::as_str)?.parse::<Timestamp>().ok();
    let told = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime"];
    told.into_iter().filter_map(at).max().or_else(|| at("/metadata/creationTimestamp"))
}
