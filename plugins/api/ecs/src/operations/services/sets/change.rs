//! UpdateTaskSet, DeleteTaskSet and UpdateServicePrimaryTaskSet.

use gantry_sdk::api::Time;
use gantry_sdk::{Value, json};

use super::create::scale;
use super::{TRIES, id, present, raced, service, unknown_set, view, write};
use crate::fault::{Fault, Result};
use crate::object::{Service, text};
use crate::operations::Context;

/// UpdateTaskSet: another part of the service's count.
pub fn update(context: &Context<'_>, request: &Value) -> Result<Value> {
    let scale = scale(request)?.unwrap_or(0.0);
    change(context, request, "taskSet", |_, set| {
        if set.get("deletedAt").is_some() {
            return Err(unknown_set());
        }
        insert(set, "scale", json!({"value": scale, "unit": "PERCENT"}));
        Ok(None)
    })
}

/// DeleteTaskSet: its tasks stop, and it is seen until the last one has.
pub fn delete(context: &Context<'_>, request: &Value) -> Result<Value> {
    let forced = request.get("force").and_then(Value::as_bool) == Some(true);
    let now = Time::from_millis(context.call.now_ms);
    change(context, request, "taskSet", |service, set| {
        let scaled = set.pointer("/scale/value").and_then(Value::as_f64).unwrap_or(0.0) > 0.0;
        let leads = text(&service.spec, "primaryTaskSet") == text(set, "id");
        if !forced && scaled {
            return Err(Fault::parameter("The task set cannot be deleted while it is scaled above 0."));
        }
        if !forced && leads {
            return Err(Fault::parameter("The primary task set cannot be deleted unless it is forced."));
        }
        if set.get("deletedAt").is_none() {
            insert(set, "deletedAt", json!(now));
        }
        Ok(leads.then(String::new))
    })
}

/// UpdateServicePrimaryTaskSet: what the service shows is what this one has.
pub fn lead(context: &Context<'_>, request: &Value) -> Result<Value> {
    change(context, request, "primaryTaskSet", |_, set| match set.get("deletedAt") {
        None => Ok(Some(text(set, "id").to_owned())),
        Some(_) => Err(unknown_set()),
    })
}

fn insert(set: &mut Value, name: &str, value: Value) {
    if let Some(map) = set.as_object_mut() {
        map.insert(name.to_owned(), value);
    }
}

/// Changes the set that `name` names; what comes back is which set leads from now on, if that is another.
fn change(
    context: &Context<'_>,
    request: &Value,
    name: &str,
    change: impl Fn(&Service, &mut Value) -> Result<Option<String>>,
) -> Result<Value> {
    for _ in 0..TRIES {
        let (_, mut service) = service(context, request)?;
        let id = id(context, text(request, name))?;
        let mut sets = present(&service);
        let set = sets.iter_mut().find(|set| text(set, "id") == id).ok_or_else(unknown_set)?;
        let primary = change(&service, set)?;
        insert(set, "updatedAt", json!(Time::from_millis(context.call.now_ms)));
        let changed = set.clone();
        if write(context, &mut service, sets, primary.as_deref())? {
            return Ok(json!({"taskSet": view::one(context, &service, &changed, true)}));
        }
    }
    Err(raced())
}
