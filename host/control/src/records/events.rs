//! Events of the control plane as records.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::Record as Object;
use gantry_objects::Objects;
use serde_json::Value;
use tokio::sync::mpsc;

use super::batch::Record;
use crate::follow::{Follower, Seen};

/// OpenTelemetry's severity numbers.
const INFO: u8 = 9;
const WARN: u8 = 13;

/// Sends Events that are made or counted up from now on. Waits for room: they are in the store anyway.
pub async fn follow(objects: Objects, queue: mpsc::Sender<Record>) {
    let Some(kind) = objects.kinds().by_kind("", "Event") else { return std::future::pending().await };
    let mut follower = Follower::new(objects.store().clone(), kind.resource());
    let mut first = true;
    loop {
        let records: Vec<Arc<Object>> = match follower.next().await {
            // What was there before this start has been sent by an earlier one.
            Seen::All(_) if std::mem::take(&mut first) => Vec::new(),
            Seen::All(all) => all,
            Seen::Changes(events) => events.iter().filter(|e| !e.deleted).map(|e| e.record.clone()).collect(),
        };
        for object in records {
            if queue.send(of_event(&object.value())).await.is_err() {
                return;
            }
        }
    }
}

fn of_event(event: &Value) -> Record {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let named = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let found = pairs.iter().map(|(name, pointer)| ((*name).to_owned(), text(pointer)));
        found.filter(|(_, value)| !value.is_empty()).collect()
    };
    let at = text("/lastTimestamp").parse::<jiff::Timestamp>().unwrap_or_else(|_| jiff::Timestamp::now());
    Record {
        origin: Arc::new(named(&[
            ("k8s.object.kind", "/involvedObject/kind"),
            ("k8s.object.name", "/involvedObject/name"),
            ("k8s.object.uid", "/involvedObject/uid"),
            ("k8s.namespace.name", "/involvedObject/namespace"),
        ])),
        time_unix_nano: u64::try_from(at.as_nanosecond()).unwrap_or_default(),
        severity: if text("/type") == "Warning" { WARN } else { INFO },
        body: text("/message"),
        attributes: named(&[
            ("event.name", "/reason"),
            ("k8s.event.reporting_component", "/reportingComponent"),
            ("k8s.event.uid", "/metadata/uid"),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::batch::batch;
    use serde_json::json;

    #[test]
    fn records_of_one_origin_share_it() {
        let event =
            |name: &str| of_event(&json!({"involvedObject": {"name": name}, "message": "m", "type": "Warning"}));
        let batch = batch(&[event("a"), event("b"), event("a")]);
        assert_eq!(batch.origins.len(), 2);
        assert_eq!(batch.records.iter().map(|r| r.origin).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(batch.records.first().map(|r| r.severity_number), Some(WARN));
    }
}
