//! Records of a node on their way to sinks of its server: batches as messages, and back.

use std::sync::Arc;

use async_trait::async_trait;
use gantry_link::{Client, Delivery, Label, Origin, Record, Verdict};
use gantry_node::records::{Away, Batch, Fate, Outlet};
use gantry_plugin::family::{self, sink};

/// One of the server's sinks, as a node elsewhere has it.
pub struct Through {
    client: Client,
    sink: String,
}

impl Through {
    /// Of this name, over this link.
    pub fn outlet(client: &Client, sink: &str) -> Arc<dyn Outlet> {
        Arc::new(Self { client: client.clone(), sink: sink.to_owned() })
    }
}

#[async_trait]
impl Outlet for Through {
    fn name(&self) -> &str {
        &self.sink
    }

    async fn deliver(&self, batch: Arc<Batch>) -> Result<Fate, Away> {
        match self.client.deliver(to_wire(&self.sink, &batch)).await {
            Ok(Verdict::Accepted) => Ok(Fate::Accepted),
            Ok(Verdict::Rejected(why)) => Ok(Fate::Rejected(why)),
            Err(error) => Err(Away(error.to_string())),
        }
    }
}

fn to_wire(sink: &str, batch: &Batch) -> Delivery {
    let labels = |labels: &[family::Label]| -> Vec<Label> {
        labels.iter().map(|label| Label { key: label.key.clone(), value: label.value.clone() }).collect()
    };
    let record = |record: &sink::LogRecord| Record {
        origin: record.origin,
        time_unix_nano: record.time_unix_nano,
        severity: record.severity_number.into(),
        body: record.body.clone(),
        attributes: labels(&record.attributes),
    };
    Delivery {
        sink: sink.to_owned(),
        origins: batch.origins.iter().map(|origin| Origin { attributes: labels(&origin.attributes) }).collect(),
        records: batch.records.iter().map(record).collect(),
    }
}

/// The batch in a message. What can't be true in it (an origin that is not there) is an error.
pub fn from_wire(delivery: Delivery) -> Result<Batch, String> {
    let labels = |labels: Vec<Label>| -> Vec<family::Label> {
        labels.into_iter().map(|label| family::Label { key: label.key, value: label.value }).collect()
    };
    let count = delivery.origins.len();
    if let Some(record) = delivery.records.iter().find(|record| record.origin as usize >= count) {
        return Err(format!("a record of origin {} in a batch with {count} origins", record.origin));
    }
    let record = |record: Record| sink::LogRecord {
        origin: record.origin,
        time_unix_nano: record.time_unix_nano,
        severity_number: u8::try_from(record.severity).unwrap_or_default(),
        body: record.body,
        attributes: labels(record.attributes),
    };
    let origins = delivery.origins.into_iter().map(|origin| sink::Origin { attributes: labels(origin.attributes) });
    Ok(Batch { origins: origins.collect(), records: delivery.records.into_iter().map(record).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_back_as_it_went() {
        let label = |key: &str| family::Label { key: key.into(), value: "v".into() };
        let batch = Batch {
            origins: vec![sink::Origin { attributes: vec![label("k8s.pod.name")] }],
            records: vec![sink::LogRecord {
                origin: 0,
                time_unix_nano: 7,
                severity_number: 9,
                body: "line".into(),
                attributes: vec![label("stream")],
            }],
        };
        let wire = to_wire("file", &batch);
        let back = from_wire(wire.clone()).unwrap();
        assert_eq!(to_wire("file", &back), wire);
        let lost = Delivery { origins: Vec::new(), ..wire };
        assert!(from_wire(lost).unwrap_err().contains("origin 0"));
    }
}
