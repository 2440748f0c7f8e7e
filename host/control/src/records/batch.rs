//! Records of the control plane in the shape of `wit/sink.wit`.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_plugin::family::Label;
use gantry_plugin::family::sink::{Batch, LogRecord, Origin};

/// One record, in OpenTelemetry's log data model.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it is about: `k8s.pod.name`, `k8s.namespace.name`, …
    pub origin: Arc<BTreeMap<String, String>>,
    /// Nanoseconds since 1970.
    pub time_unix_nano: u64,
    /// 1 to 24; 0: unspecified.
    pub severity: u8,
    /// The line or message.
    pub body: String,
    /// More about it: `event.name`, …
    pub attributes: BTreeMap<String, String>,
}

/// Records that share an origin name it once.
pub fn batch(records: &[Record]) -> Batch {
    let mut numbers: BTreeMap<&BTreeMap<String, String>, u32> = BTreeMap::new();
    let mut origins = Vec::new();
    let records = records.iter().map(|record| {
        let next = u32::try_from(origins.len()).unwrap_or(u32::MAX);
        let origin = *numbers.entry(record.origin.as_ref()).or_insert(next);
        if origin == next {
            origins.push(Origin { attributes: labels(&record.origin) });
        }
        LogRecord {
            origin,
            time_unix_nano: record.time_unix_nano,
            severity_number: record.severity,
            body: record.body.clone(),
            attributes: labels(&record.attributes),
        }
    });
    let records = records.collect();
    Batch { origins, records }
}

fn labels(pairs: &BTreeMap<String, String>) -> Vec<Label> {
    pairs.iter().map(|(key, value)| Label { key: key.clone(), value: value.clone() }).collect()
}
