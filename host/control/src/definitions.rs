//! CustomResourceDefinitions: their kinds are served while they exist.

use std::collections::HashMap;
use std::sync::Arc;

use gantry_model::kind::Origin;
use gantry_model::status::Cause;
use gantry_model::{Kind, Record, crd};
use gantry_objects::{Objects, Patch, Subresource, WriteOptions};
use gantry_store::Range;
use serde_json::{Value, json};

use crate::follow::{Follower, Seen};

const GROUP: &str = "apiextensions.k8s.io";
const MANAGER: &str = "gantry-definitions";

/// Serves the kinds of all definitions that there are now. Called before the API listens, so that no client is told
/// that a kind is unknown only because the host has just started.
pub fn load(objects: &Objects) {
    if let Some(kind) = objects.kinds().by_kind(GROUP, "CustomResourceDefinition") {
        let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
        for record in objects.store().list(&range).records {
            // The loop says so on the object.
            if let Err(error) = serve(objects, &record) {
                tracing::warn!(definition = record.meta.name, error, "can't serve a definition");
            }
        }
    }
}

/// Runs for ever.
pub async fn run(objects: Objects) {
    let Some(kind) = objects.kinds().by_kind(GROUP, "CustomResourceDefinition") else { return };
    let mut follower = Follower::new(objects.store().clone(), kind.resource());
    let mut known: HashMap<String, u64> = HashMap::new();
    loop {
        let (present, gone) = match follower.next().await {
            Seen::All(records) => {
                let gone =
                    known.keys().filter(|name| !records.iter().any(|r| r.meta.name == **name)).cloned().collect();
                (records, gone)
            }
            Seen::Changes(events) => {
                let (gone, present): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.deleted);
                let gone = gone.iter().map(|e| e.record.meta.name.clone()).collect::<Vec<_>>();
                (present.iter().map(|e| e.record.clone()).collect(), gone)
            }
        };
        for name in gone {
            known.remove(&name);
            objects.kinds().remove(&Origin::Definition(name));
        }
        for record in present {
            if known.insert(record.meta.name.clone(), record.revision) != Some(record.revision) {
                let outcome = serve(&objects, &record);
                tell(&objects, &kind, &record, outcome).await;
            }
        }
    }
}

/// Replaces the kinds of one definition. An error says why none of them can be served.
fn serve(objects: &Objects, record: &Record) -> Result<(), String> {
    let causes = |causes: Vec<Cause>| {
        causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect::<Vec<_>>().join("; ")
    };
    let kinds = crd::kinds(&record.value()).map_err(causes)?;
    for kind in &kinds {
        let other = objects.kinds().by_kind(&kind.group, &kind.kind).filter(|other| other.origin != kind.origin);
        if other.is_some() {
            return Err(format!("kind {} of group {} is declared already", kind.kind, kind.group));
        }
    }
    objects.kinds().remove(&Origin::Definition(record.meta.name.clone()));
    kinds.into_iter().for_each(|kind| objects.kinds().insert(kind));
    Ok(())
}

/// Writes the conditions that clients wait for, once.
async fn tell(objects: &Objects, kind: &Arc<Kind>, record: &Record, outcome: Result<(), String>) {
    let object = record.value();
    let wanted = if outcome.is_ok() { "True" } else { "False" };
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let said = |type_: &str| {
        let of = |c: &&Value| c.get("type").and_then(Value::as_str) == Some(type_);
        conditions.into_iter().flatten().find(of).and_then(|c| c.get("status")?.as_str())
    };
    if said("Established") == Some(wanted) && said("NamesAccepted") == Some(wanted) {
        return;
    }
    let status = match &outcome {
        Ok(()) => crd::established(&object, jiff::Timestamp::now()),
        Err(error) => refused(error),
    };
    let options =
        WriteOptions { manager: MANAGER.to_owned(), subresource: Subresource::Status, ..WriteOptions::default() };
    let patch = Patch::Merge(json!({ "status": status }));
    if let Err(error) = objects.patch(kind, "", &record.meta.name, patch, &options).await {
        tracing::warn!(definition = record.meta.name, %error, "can't write a definition's conditions");
    }
}

fn refused(error: &str) -> Value {
    let now = format!("{:.0}", jiff::Timestamp::now());
    let condition = |type_: &str| json!({"type": type_, "status": "False", "reason": "NotAccepted", "message": error, "lastTransitionTime": now});
    json!({"conditions": [condition("NamesAccepted"), condition("Established")]})
}
