use async_trait::async_trait;
use gantry_plugin::Objects;
use gantry_plugin::family::objects as host;
use gantry_plugin::family::{Error, ObjectRef};
use gantry_sdk::objects as sdk;
use gantry_sdk::{Value, serde_json};

use crate::words::{kind, reference, refusal};

/// The objects of the thread's `testing::Host`, faults included. The engine has checked the grants before.
pub struct Hosted;

#[async_trait]
impl Objects for Hosted {
    async fn get(&self, target: ObjectRef) -> Result<Vec<u8>, Error> {
        let target = reference(target);
        match sdk::get::<Value>(&target) {
            Ok(Some(object)) => bytes(&object),
            Ok(None) => Err(refusal(gantry_sdk::Error::not_found(format!("{target} not found")))),
            Err(error) => Err(refusal(error)),
        }
    }

    async fn list(&self, query: host::Query) -> Result<Vec<u8>, Error> {
        let query = sdk::Query {
            kind: kind(query.kind),
            namespace: query.namespace,
            owner: query.owner,
            label_selector: query.label_selector,
            field_selector: query.field_selector,
            fields: query.fields,
            limit: query.limit,
        };
        bytes(&Value::Array(sdk::list(&query).map_err(refusal)?))
    }

    async fn apply(&self, writes: Vec<host::Write>) -> Vec<Result<host::Written, Error>> {
        let writes: Vec<sdk::Write> = writes.into_iter().map(write).collect();
        let written = |given: sdk::Written| host::Written {
            name: given.name,
            uid: given.uid,
            resource_version: given.resource_version,
        };
        sdk::apply(&writes).into_iter().map(|answer| answer.map(written).map_err(refusal)).collect()
    }

    async fn record_events(&self, events: Vec<host::Event>) {
        sdk::record(&events.into_iter().map(event).collect::<Vec<_>>());
    }
}

fn bytes(value: &Value) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|e| refusal(e.into()))
}

fn write(given: host::Write) -> sdk::Write {
    match given {
        host::Write::Create(json) => sdk::Write::Create(json),
        host::Write::Update(json) => sdk::Write::Update(json),
        host::Write::Patch(patch) => sdk::Write::Patch(sdk::Patch {
            target: reference(patch.target),
            subresource: match patch.subresource {
                host::Subresource::None => sdk::Subresource::None,
                host::Subresource::Status => sdk::Subresource::Status,
                host::Subresource::Scale => sdk::Subresource::Scale,
            },
            merge: patch.merge,
            require: precondition(patch.require),
        }),
        host::Write::Delete(deletion) => sdk::Write::Delete(sdk::Deletion {
            target: reference(deletion.target),
            propagation: match deletion.propagation {
                host::Propagation::Background => sdk::Propagation::Background,
                host::Propagation::Foreground => sdk::Propagation::Foreground,
                host::Propagation::Orphan => sdk::Propagation::Orphan,
            },
            grace_seconds: deletion.grace_seconds,
            require: precondition(deletion.require),
        }),
    }
}

fn precondition(given: host::Precondition) -> sdk::Precondition {
    sdk::Precondition { uid: given.uid, resource_version: given.resource_version }
}

fn event(given: host::Event) -> sdk::Event {
    sdk::Event {
        regarding: reference(given.regarding),
        regarding_uid: given.regarding_uid,
        event_type: match given.event_type {
            host::EventType::Normal => sdk::EventType::Normal,
            host::EventType::Warning => sdk::EventType::Warning,
        },
        reason: given.reason,
        message: given.message,
    }
}
