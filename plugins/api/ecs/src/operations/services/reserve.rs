//! Names of Service Connect, each one service's. Whoever asks for one first makes the Service object of that name, which the
//! controller takes over with the first task; what was reserved for a service that never came is free after a while.

use std::time::Duration;

use ecs_common::connect::{self, RESERVED_AT, RESERVED_BY};
use gantry_sdk::api::{Resource, Service as Named, Time};
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{Value, json};

use crate::fault::{Fault, Result};
use crate::object::{Service, items, text};
use crate::operations::Context;

/// Whoever has reserved a name has made its service by then.
const SETTLED: Duration = Duration::from_secs(60);
/// Of a race for one name.
const TRIES: u32 = 3;

/// Takes the name of a target for a service, unless another has it. `owner`: the service's object.
pub fn name(context: &Context<'_>, target: &Value, owner: &str) -> Result<()> {
    let registry = text(target, "registry");
    for _ in 0..TRIES {
        let Some(there) = context.get::<Named>(registry)? else {
            if make(context, target, owner)? {
                return Ok(());
            }
            continue;
        };
        let notes = &there.metadata.annotations;
        let by = notes.get(RESERVED_BY).map(String::as_str).unwrap_or_default();
        let owned = !there.metadata.owner_references.is_empty();
        if there.metadata.owner_references.iter().any(|of| of.name == owner) || !owned && by == owner {
            return Ok(());
        }
        if owned || by.is_empty() || !is_left(context, &there, by)? {
            return Err(taken(target));
        }
        if take(context, &there, owner)? {
            return Ok(());
        }
    }
    Err(taken(target))
}

fn taken(target: &Value) -> Fault {
    Fault::parameter(format!(
        "The discoveryName {} is that of another service in the namespace {}.",
        text(target, "name"),
        text(target, "namespace")
    ))
}

fn make(context: &Context<'_>, target: &Value, owner: &str) -> Result<bool> {
    let port = target.get("port").and_then(Value::as_u64).unwrap_or_default();
    let (name, namespace) = (text(target, "name"), text(target, "namespace"));
    let mut object = connect::service(&context.options.namespace, text(target, "registry"), (name, namespace), port);
    if let Some(notes) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        notes.insert(RESERVED_BY.to_owned(), json!(owner));
        notes.insert(RESERVED_AT.to_owned(), json!(context.call.now_ms.to_string()));
    }
    match objects::apply_one(Write::create_json(&object)) {
        Err(error) if error.is_already_exists() => Ok(false),
        answer => Ok(answer.map(|_| true)?),
    }
}

/// Whether the service for which a name was reserved has not come, or does not want it.
fn is_left(context: &Context<'_>, there: &Named, by: &str) -> Result<bool> {
    let at = there.metadata.annotations.get(RESERVED_AT).and_then(|at| at.parse().ok()).map(Time::from_millis);
    let at = at.or(there.metadata.creation_timestamp);
    if at.is_none_or(|at| Time::from_millis(context.call.now_ms).since(at) < SETTLED) {
        return Ok(false);
    }
    let Some(service) = context.get::<Service>(by)? else { return Ok(true) };
    let templates = items(&service.spec, "taskSets").iter().chain(std::iter::once(&service.spec));
    let mut targets = templates.filter_map(|of| of.get("template")).flat_map(|template| items(template, "targets"));
    Ok(!targets.any(|target| text(target, "registry") == there.name()))
}

/// Reserves what was somebody else's, if it is still the object that was read.
fn take(context: &Context<'_>, there: &Named, owner: &str) -> Result<bool> {
    let notes = json!({RESERVED_BY: owner, RESERVED_AT: context.call.now_ms.to_string()});
    let patch = json!({"metadata": {"annotations": notes}});
    let write = Write::patch(there.reference(), &patch).if_uid(there.uid());
    match objects::apply_one(write.if_version(&there.metadata.resource_version)) {
        Err(error) if error.is_conflict() || error.is_not_found() => Ok(false),
        answer => Ok(answer.map(|_| true)?),
    }
}
