//! One pass over a service: reads, lets the planner decide, writes.

use std::time::Duration;

use ecs_common::instances;
use gantry_sdk::api::{Resource, Time};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{ObjectRef, Result, json, merge, serde_json};

use super::object::{Service, ServiceStatus};
use super::plan::{self, Plan, Sight};
use super::{alarms, make, member, names, targets};
use crate::controller::Options;
use crate::object::Task;

/// How long a deleted service can be described.
const KEPT: Duration = Duration::from_secs(3600);
/// Writes of one call.
const BATCH: usize = 100;

/// Brings a service's tasks in line, and tells of them in its status.
pub fn reconcile(now: Time, key: &ObjectRef, options: &Options) -> Result<Outcome> {
    let Some(service) = objects::get::<Service>(key)? else { return Ok(Outcome::Done) };
    if service.metadata.is_deleting() {
        return Ok(Outcome::Done);
    }
    let members = member::of(&service)?;
    let looks = service.spec.is_daemon() || service.spec.is_external();
    let nodes = if looks { instances::open()? } else { Vec::new() };
    let alarms = alarms::look(now, &service, &options.endpoints);
    let well = Duration::from_secs(options.healthy_after_seconds);
    let sight = Sight { now, well, service: &service, members: &members, nodes: &nodes, alarms: alarms.as_ref() };
    let plan = plan::plan(sight);
    names::make(&service, &plan.status)?;
    // Load balancers first: what is about to stop gets no more requests.
    targets::sync(&service, &plan.status, &members, &plan.stops)?;
    // Then tasks: what is told of them has happened.
    for writes in writes(now, &service, &plan).chunks(BATCH) {
        for answer in objects::apply(writes) {
            match answer {
                Err(error) if !error.is_already_exists() && !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
    }
    names::clear(&service, &plan.status)?;
    write(&service, &plan.status)?;
    match plan.status.inactive_at {
        Some(since) => forget(now, &service, since),
        None => Ok(plan.again.map_or(Outcome::Done, Outcome::after)),
    }
}

/// Stops go first: what they leave is there for those that start.
fn writes(now: Time, service: &Service, plan: &Plan) -> Vec<Write> {
    let stop = |id: &String| {
        let primary = plan.status.deployments.iter().find(|deployment| deployment.is_primary());
        let of = primary.filter(|_| !service.spec.is_external());
        let by = of.map(|primary| format!(" initiated by (deployment {})", primary.id)).unwrap_or_default();
        let reason = match plan.unhealthy.contains(id) {
            true => "Task failed container health checks".to_owned(),
            false => format!("Scaling activity{by}"),
        };
        let spec = json!({
            "desiredStatus": "STOPPED", "stopCode": "ServiceSchedulerInitiated", "stoppedReason": reason,
        });
        Write::patch(ObjectRef::of::<Task>(&service.metadata.namespace, id), &json!({"spec": spec}))
    };
    let start = |start: &plan::Start| {
        let deployment = plan.status.deployments.iter().find(|deployment| deployment.id == start.deployment)?;
        Some(Write::create_json(&make::task(now, service, deployment, start)))
    };
    plan.stops.iter().map(stop).chain(plan.starts.iter().filter_map(start)).collect()
}

fn write(service: &Service, status: &ServiceStatus) -> Result<()> {
    let (old, new) = (serde_json::to_value(&service.status)?, serde_json::to_value(status)?);
    let Some(patch) = merge::diff(&old, &new) else { return Ok(()) };
    objects::settle(Write::patch_status(service.reference(), &json!({"status": patch})).if_uid(service.uid()))
}

fn forget(now: Time, service: &Service, since: Time) -> Result<Outcome> {
    let age = now.since(since);
    if age < KEPT {
        return Ok(Outcome::after(KEPT - age));
    }
    objects::settle(Write::delete(service.reference()).if_uid(service.uid()))?;
    Ok(Outcome::Done)
}
