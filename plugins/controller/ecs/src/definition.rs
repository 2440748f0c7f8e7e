//! Definitions that are to be deleted: each goes when no task and no service is made from it, and a later revision keeps
//! the count of its family.

use std::time::Duration;

use gantry_sdk::api::{ObjectMeta, Resource, Time, or_default};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{ObjectRef, Result, Value};
use serde::{Deserialize, Serialize};

use crate::object::Task;
use crate::service::object::Service;

/// Whoever began to make a task before the definition was out of use has made it by then.
const SETTLED: Duration = Duration::from_secs(60);
/// Between looks whether it is in use.
const AGAIN: Duration = Duration::from_secs(60);
/// The label of definitions and tasks with their family.
const FAMILY: &str = "ecs.gantry.dev/family";

/// A definition as far as its end needs it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Revision {
    /// Its labels tell its family.
    pub metadata: ObjectMeta,
    /// What it says.
    pub spec: RevisionSpec,
}

/// `spec` of a TaskDefinition
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RevisionSpec {
    /// Counts from 1 in its family.
    #[serde(deserialize_with = "or_default")]
    pub revision: u64,
    /// `DELETE_IN_PROGRESS` for one that is to go.
    #[serde(deserialize_with = "or_default")]
    pub status: String,
    /// Since when.
    pub delete_requested_at: Option<Time>,
}

gantry_sdk::resource!(Revision, "ecs.gantry.dev", "v1", "TaskDefinition");

/// Deletes a definition that nothing needs, or looks again later.
pub fn reconcile(now: Time, key: &ObjectRef) -> Result<Outcome> {
    let Some(definition) = objects::get::<Revision>(key)? else { return Ok(Outcome::Done) };
    if definition.spec.status != "DELETE_IN_PROGRESS" || definition.metadata.is_deleting() {
        return Ok(Outcome::Done);
    }
    let age = definition.spec.delete_requested_at.map_or(SETTLED, |since| now.since(since));
    if age < SETTLED {
        return Ok(Outcome::after(SETTLED - age));
    }
    if is_last(&definition)? || has_tasks(&definition)? || has_services(&definition)? {
        return Ok(Outcome::after(AGAIN));
    }
    objects::settle(Write::delete(definition.reference()).if_uid(definition.uid()))?;
    Ok(Outcome::Done)
}

fn family(definition: &Revision) -> Option<String> {
    definition.metadata.labels.get(FAMILY).map(|family| format!("{FAMILY}={family}"))
}

/// Numbers are never used again: the highest of a family is what the next one follows.
fn is_last(definition: &Revision) -> Result<bool> {
    let Some(labels) = family(definition) else { return Ok(true) };
    let query = Query::of::<Revision>().namespace(definition.namespace()).labels(labels);
    let rows: Vec<(u64,)> = objects::rows(&query, ["/spec/revision"])?;
    Ok(rows.iter().all(|(revision,)| *revision <= definition.spec.revision))
}

/// Tasks that have stopped know themselves what was theirs.
fn has_tasks(definition: &Revision) -> Result<bool> {
    let Some(labels) = family(definition) else { return Ok(true) };
    let query = Query::of::<Task>().namespace(definition.namespace()).labels(labels);
    let rows: Vec<(Option<String>, Option<String>)> =
        objects::rows(&query, ["/spec/taskDefinition", "/status/lastStatus"])?;
    let live = |of: &Option<String>, last: &Option<String>| {
        of.as_deref() == Some(definition.name()) && last.as_deref() != Some("STOPPED")
    };
    Ok(rows.iter().any(|(of, last)| live(of, last)))
}

/// What a service wants, has, or goes back to.
fn has_services(definition: &Revision) -> Result<bool> {
    let query = Query::of::<Service>().namespace(definition.namespace());
    let fields = ["/status/status", "/spec/template", "/spec/taskSets", "/status/deployments", "/status/good"];
    let rows: Vec<(Option<String>, [Value; 4])> =
        objects::rows::<(Option<String>, Value, Value, Value, Value)>(&query, fields)?
            .into_iter()
            .map(|(status, a, b, c, d)| (status, [a, b, c, d]))
            .collect();
    let live = |status: &Option<String>| status.as_deref() != Some("INACTIVE");
    Ok(rows.iter().any(|(status, parts)| live(status) && parts.iter().any(|part| names(part, definition.name()))))
}

/// Whether something in it is made from a definition.
fn names(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(members) => {
            members.get("taskDefinition").and_then(Value::as_str) == Some(name)
                || members.values().any(|value| names(value, name))
        }
        Value::Array(items) => items.iter().any(|value| names(value, name)),
        _ => false,
    }
}
