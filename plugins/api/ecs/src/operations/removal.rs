//! DeleteTaskDefinitions: what was deregistered goes for good. `controller-ecs` takes it away when nothing is made from it.

use gantry_sdk::api::Time;
use gantry_sdk::{Value, json};

use super::describe::missing;
use super::{Context, definitions};
use crate::fault::{Fault, Result};
use crate::names::revision_name;
use crate::object::{Definition, copy, items, text, texts};

/// Definitions of one request.
const MOST: usize = 10;

/// DeleteTaskDefinitions: what is being deleted already is the answer too.
pub fn delete(context: &Context<'_>, request: &Value) -> Result<Value> {
    let given = items(request, "taskDefinitions");
    if given.is_empty() || given.len() > MOST {
        return Err(Fault::parameter(format!("taskDefinitions must have between 1 and {MOST} elements.")));
    }
    let mut named = Vec::new();
    // All are looked at before the first is written.
    for given in texts(request, "taskDefinitions") {
        let (family, revision) = context.options.definition(given)?;
        let revision = revision
            .ok_or_else(|| Fault::client("Task definition should be in the format family:revision or its ARN."))?;
        named.push((family, revision));
    }
    let (mut gone, mut failures) = (Vec::new(), Vec::new());
    for (family, revision) in named {
        let arn = context.options.definition_arn(family, revision);
        match context.get::<Definition>(&revision_name(family, revision))? {
            None => failures.push(missing(arn)),
            Some(definition) if is_active(&definition) => failures.push(json!({
                "arn": arn,
                "reason": "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
            })),
            Some(definition) => gone.push(definitions::view(context, &leave(context, definition)?)),
        }
    }
    Ok(json!({"taskDefinitions": gone, "failures": failures}))
}

fn is_active(definition: &Definition) -> bool {
    matches!(text(&definition.spec, "status"), "" | "ACTIVE")
}

fn leave(context: &Context<'_>, mut definition: Definition) -> Result<Definition> {
    if text(&definition.spec, "status") == "INACTIVE" {
        let now = Time::from_millis(context.call.now_ms);
        let change = json!({"status": "DELETE_IN_PROGRESS", "deleteRequestedAt": now});
        context.patch(&definition, &change)?;
        copy(&change, &["status", "deleteRequestedAt"], &mut definition.spec);
    }
    Ok(definition)
}
