//! StopServiceDeployment: what was asked for is written here, and `controller-ecs` gives the deployment up.

use gantry_sdk::{Value, json};

use super::history::{self, is_over};
use crate::fault::{Fault, Result};
use crate::object::text;
use crate::operations::Context;

/// StopServiceDeployment: it comes back to the last good one (ROLLBACK, also when nothing is said), or stays as far as it
/// came (ABORT). What goes back already, or was stopped before, goes on with that.
pub fn stop(context: &Context<'_>, request: &Value) -> Result<Value> {
    let arn = text(request, "serviceDeploymentArn");
    let unknown = || Fault::new("ServiceDeploymentNotFoundException", "The service deployment was not found.");
    let (service, record) = history::find(context, arn, "service-deployment")?.ok_or_else(unknown)?;
    let rollback = text(request, "stopType") != "ABORT";
    match text(&record, "status") {
        word if is_over(word) => Err(Fault::new(
            "ConflictException",
            format!("The service deployment is {word} and can't be stopped any more."),
        )),
        "ROLLBACK_IN_PROGRESS" | "ROLLBACK_REQUESTED" | "STOP_REQUESTED" => Ok(json!({"serviceDeploymentArn": arn})),
        _ if rollback && text(&record, "source").is_empty() => Err(Fault::client(
            "There is no earlier service revision to roll back to. Stop the deployment with ABORT, or delete the service.",
        )),
        _ => {
            context.patch(&service, &json!({"stop": {"deployment": text(&record, "id"), "rollback": rollback}}))?;
            Ok(json!({"serviceDeploymentArn": arn}))
        }
    }
}
