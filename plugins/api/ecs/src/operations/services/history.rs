//! ListServiceDeployments and DescribeServiceDeployments: what became of each, as long as its service is there.

use ecs_common::breaker::threshold;
use ecs_common::revision;
use gantry_sdk::api::Time;
use gantry_sdk::{Value, json};

use super::list::unknown;
use super::{sets, template};
use crate::fault::{Fault, Result};
use crate::object::{Service, copy, items, moments, text, texts};
use crate::operations::Context;
use crate::operations::describe::missing;
use crate::page::page;

/// Deployments in one request.
const MOST: usize = 20;

/// ListServiceDeployments: the newest first.
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let service = context.service(&cluster, text(request, "service"))?.ok_or_else(unknown)?;
    let wanted: Vec<&str> = texts(request, "status").collect();
    let bound = |name: &str| request.get("createdAt").and_then(|bounds| bounds.get(name)).and_then(Value::as_f64);
    let (after, before) = (bound("after"), bound("before"));
    let fits = |record: &&Value| {
        let made = Time::parse(text(record, "createdAt")).map_or(0.0, |time| time.as_millis() as f64 / 1000.0);
        (wanted.is_empty() || wanted.contains(&text(record, "status")))
            && after.is_none_or(|after| made > after)
            && before.is_none_or(|before| made < before)
    };
    let records = records(&service);
    let all = records.iter().enumerate().filter(|(_, record)| fits(record));
    let keyed =
        all.map(|(number, record)| (format!("{number:05} {}", text(record, "id")), brief(context, &service, record)));
    page(request, "serviceDeployments", keyed.collect())
}

/// DescribeServiceDeployments
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let given = items(request, "serviceDeploymentArns");
    if given.is_empty() || given.len() > MOST {
        return Err(Fault::parameter(format!("serviceDeploymentArns must have 1 to {MOST} elements.")));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in texts(request, "serviceDeploymentArns") {
        match find(context, arn, "service-deployment")? {
            Some((service, record)) => found.push(whole(context, &service, &record)),
            None => failures.push(missing(arn.to_owned())),
        }
    }
    Ok(json!({"serviceDeployments": found, "failures": failures}))
}

/// A service and one of its deployments, by the ARN of the deployment or of its revision.
pub fn find(context: &Context<'_>, arn: &str, kind: &str) -> Result<Option<(Service, Value)>> {
    let resource = context.options.resource(arn)?.and_then(|resource| resource.strip_prefix(kind)?.strip_prefix('/'));
    let parts: Vec<&str> = resource.unwrap_or_default().split('/').collect();
    let [cluster, name, id] = parts.as_slice() else {
        let what = kind.replace('-', " ");
        return Err(Fault::parameter(format!("Invalid identifier: {arn} is not the ARN of a {what}.")));
    };
    let Some(service) = context.service(cluster, name)? else { return Ok(None) };
    let record = records(&service).into_iter().find(|record| digits(record) == *id);
    Ok(record.map(|record| (service, record)))
}

/// Whether a deployment's state is its last.
pub fn is_over(status: &str) -> bool {
    matches!(status, "SUCCESSFUL" | "STOPPED" | "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED")
}

/// All deployments, the newest first: also one that was asked for and has not begun, and what was asked of one since.
pub fn records(service: &Service) -> Vec<Value> {
    let mut all = items(&service.status, "history").to_vec();
    if template::is_pending(service) && !sets::is_external(service) && service.spec.get("deletedAt").is_none() {
        let wanted = service.spec.get("deployment").cloned().unwrap_or_default();
        let source = service.status.get("good").map(|good| text(good, "id")).unwrap_or_default();
        let part = |name: &str| service.spec.pointer(&format!("/template/{name}")).cloned().unwrap_or_default();
        let providers = service.spec.get("capacityProviders").cloned().unwrap_or_default();
        let revision = revision::of(&part("spec"), &part("asked"), &providers);
        let mut pending = json!({"status": "PENDING", "source": source, "revision": revision});
        copy(&wanted, &["id", "createdAt"], &mut pending);
        all.insert(0, pending);
    }
    let stop = service.spec.get("stop").cloned().unwrap_or_default();
    let open = all.iter_mut().find(|record| text(record, "id") == text(&stop, "deployment"));
    if let Some(Value::Object(record)) = open.filter(|r| matches!(text(r, "status"), "PENDING" | "IN_PROGRESS")) {
        let back = stop.get("rollback").and_then(Value::as_bool) == Some(true);
        let word = if back { "ROLLBACK_REQUESTED" } else { "STOP_REQUESTED" };
        record.insert("status".to_owned(), json!(word));
    }
    all
}

fn digits(record: &Value) -> &str {
    text(record, "id").trim_start_matches("ecs-svc/")
}

/// The ARN of a deployment, or of its revision.
pub fn arn(context: &Context<'_>, service: &Service, kind: &str, id: &str) -> String {
    let (cluster, name) = (text(&service.spec, "cluster"), text(&service.spec, "serviceName"));
    context.options.arn(&format!("{kind}/{cluster}/{name}/{}", id.trim_start_matches("ecs-svc/")))
}

fn brief(context: &Context<'_>, service: &Service, record: &Value) -> Value {
    let (cluster, name, id) = (text(&service.spec, "cluster"), text(&service.spec, "serviceName"), text(record, "id"));
    let mut shown = json!({
        "serviceDeploymentArn": arn(context, service, "service-deployment", id),
        "serviceArn": context.options.service_arn(cluster, name),
        "clusterArn": context.options.cluster_arn(cluster),
        "targetServiceRevisionArn": arn(context, service, "service-revision", id),
        "status": text(record, "status"),
    });
    moments(record, &["createdAt", "startedAt", "finishedAt"], &mut shown);
    if let (Some(map), false) = (shown.as_object_mut(), text(record, "reason").is_empty()) {
        map.insert("statusReason".to_owned(), json!(text(record, "reason")));
    }
    shown
}

fn whole(context: &Context<'_>, service: &Service, record: &Value) -> Value {
    let mut shown = brief(context, service, record);
    let revision = |id: &str| counted(context, service, id);
    let source = text(record, "source");
    let sources: Vec<Value> = if source.is_empty() { Vec::new() } else { vec![revision(source)] };
    let Some(map) = shown.as_object_mut() else { return shown };
    map.remove("targetServiceRevisionArn");
    map.insert("targetServiceRevision".to_owned(), revision(text(record, "id")));
    map.insert("sourceServiceRevisions".to_owned(), json!(sources));
    map.extend(service.spec.get("deploymentConfiguration").map(|c| ("deploymentConfiguration".to_owned(), c.clone())));
    map.insert("deploymentCircuitBreaker".to_owned(), breaker(service, record));
    map.extend(alarms(service, record).map(|alarms| ("alarms".to_owned(), alarms)));
    let end = json!({"stoppedAt": text(record, "stoppedAt"), "updatedAt": last(record)});
    if !text(record, "back").is_empty() {
        let mut back = json!({
            "reason": text(record, "reason"),
            "serviceRevisionArn": arn(context, service, "service-revision", text(record, "back")),
        });
        let begun = json!({"startedAt": text(record, "backAt")});
        moments(&begun, &["startedAt"], &mut back);
        map.insert("rollback".to_owned(), back);
    }
    moments(&end, &["stoppedAt", "updatedAt"], &mut shown);
    shown
}

/// When something last happened to it.
fn last(record: &Value) -> &str {
    let said = |name: &&&str| !text(record, name).is_empty();
    ["finishedAt", "backAt", "startedAt", "createdAt"].iter().find(said).map_or("", |name| text(record, name))
}

/// A revision with the tasks that it has.
fn counted(context: &Context<'_>, service: &Service, id: &str) -> Value {
    let live = items(&service.status, "deployments").iter().find(|deployment| text(deployment, "id") == id);
    let count = |name: &str| live.and_then(|live| live.get(name)).and_then(Value::as_u64).unwrap_or(0);
    json!({
        "arn": arn(context, service, "service-revision", id),
        "requestedTaskCount": count("desiredCount"),
        "runningTaskCount": count("runningCount"),
        "pendingTaskCount": count("pendingCount"),
    })
}

/// What a service shows of its deployments: the one that goes on, and the revisions that have tasks.
pub fn current(context: &Context<'_>, service: &Service, shown: &mut Value) {
    let Some(shown) = shown.as_object_mut() else { return };
    let records = records(service);
    if let Some(open) = records.first().filter(|record| !is_over(text(record, "status"))) {
        let arn = arn(context, service, "service-deployment", text(open, "id"));
        shown.insert("currentServiceDeployment".to_owned(), json!(arn));
    }
    let live = items(&service.status, "deployments").iter().map(|live| counted(context, service, text(live, "id")));
    shown.insert("currentServiceRevisions".to_owned(), json!(live.collect::<Vec<_>>()));
}

/// How its alarms are, if its service has any.
fn alarms(service: &Service, record: &Value) -> Option<Value> {
    let given = service.spec.pointer("/deploymentConfiguration/alarms")?;
    let on = given.get("enable").and_then(Value::as_bool) == Some(true) && record.get("unwatched").is_none();
    let raised = items(record, "alarms");
    let status = match (on, raised.is_empty(), text(record, "finishedAt").is_empty()) {
        (_, false, _) => "TRIGGERED",
        (true, true, true) => "MONITORING",
        (true, true, false) => "MONITORING_COMPLETE",
        (false, true, _) => "DISABLED",
    };
    Some(json!({"status": status, "alarmNames": items(given, "alarmNames"), "triggeredAlarmNames": raised}))
}

fn breaker(service: &Service, record: &Value) -> Value {
    let on = service.spec.pointer("/deploymentConfiguration/deploymentCircuitBreaker/enable").and_then(Value::as_bool);
    let desired = service.status.get("desiredCount").and_then(Value::as_u64).unwrap_or(0);
    let desired = u32::try_from(desired).unwrap_or(u32::MAX);
    let failures = record.get("failures").and_then(Value::as_u64).unwrap_or(0);
    let status = match (on, failures > 0, text(record, "finishedAt").is_empty()) {
        (Some(true), true, _) => "TRIGGERED",
        (Some(true), false, true) => "MONITORING",
        (Some(true), false, false) => "MONITORING_COMPLETE",
        _ => "DISABLED",
    };
    json!({"status": status, "failureCount": failures, "threshold": threshold(desired)})
}
