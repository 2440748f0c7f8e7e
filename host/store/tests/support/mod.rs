//! Objects, writes and waits for the store's tests.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use gantry_model::key::Resource;
use gantry_model::{Draft, Key, Record};
use gantry_store::{Error, Event, Expect, Op, Range, Store, Watch, Write};
use serde_json::{Value, json};

/// How long a condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn pods() -> Resource {
    Resource::new("", "pods")
}

pub fn pod(namespace: &str, name: &str) -> Key {
    Key::new(pods(), namespace, name)
}

pub fn draft(key: &Key, extra: Value) -> Draft {
    let mut object =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": &*key.name, "namespace": &*key.namespace}});
    merge(&mut object, extra);
    Draft::new(key.clone(), object, &["spec.nodeName".to_owned()])
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(name, value)| merge(into.entry(name).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

pub fn put(key: &Key, expect: Expect, extra: Value) -> Write {
    Write { key: key.clone(), expect, op: Op::Put(draft(key, extra)) }
}

pub fn delete(key: &Key, expect: Expect) -> Write {
    Write { key: key.clone(), expect, op: Op::Delete }
}

pub async fn create(store: &dyn Store, key: &Key, extra: Value) -> Arc<Record> {
    store.write(put(key, Expect::Absent, extra)).await.unwrap()
}

pub fn all(resource: Resource) -> Range {
    Range { resource, namespace: None, after: None, limit: 0 }
}

pub fn names(records: &[Arc<Record>]) -> Vec<String> {
    records.iter().map(|r| format!("{}/{}", r.key.namespace, r.key.name)).collect()
}

/// The next events of a watch, failing the test rather than waiting for ever.
pub async fn next(watch: &mut Box<dyn Watch>) -> Result<Vec<Arc<Event>>, Error> {
    tokio::time::timeout(PATIENCE, watch.next()).await.expect("no event came")
}

/// Events until the watch has delivered everything up to `revision`.
pub async fn until(watch: &mut Box<dyn Watch>, revision: u64) -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    while watch.revision() < revision {
        events.extend(next(watch).await.unwrap());
    }
    events
}
