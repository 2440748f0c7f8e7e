//! DescribeServiceRevisions: what each deployment's tasks were made from, as long as the deployment is remembered.

use gantry_sdk::{Value, json};

use super::{history, view};
use crate::fault::{Fault, Result};
use crate::object::{Service, copy, items, moments, text, texts};
use crate::operations::Context;
use crate::operations::describe::missing;

/// Revisions of one request.
const MOST: usize = 20;
const KIND: &str = "service-revision";

/// DescribeServiceRevisions
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let given = items(request, "serviceRevisionArns");
    if given.is_empty() || given.len() > MOST {
        return Err(Fault::parameter(format!("serviceRevisionArns must have 1 to {MOST} elements.")));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in texts(request, "serviceRevisionArns") {
        match history::find(context, arn, KIND)? {
            Some((service, record)) => found.push(revision(context, &service, &record)),
            None => failures.push(missing(arn.to_owned())),
        }
    }
    Ok(json!({"serviceRevisions": found, "failures": failures}))
}

fn revision(context: &Context<'_>, service: &Service, record: &Value) -> Value {
    let (cluster, name) = (text(&service.spec, "cluster"), text(&service.spec, "serviceName"));
    let revision = record.get("revision").cloned().unwrap_or_default();
    let asked = revision.get("asked").cloned().unwrap_or_default();
    let number = revision.get("revision").and_then(Value::as_u64).unwrap_or_default();
    let balancers = items(&asked, "loadBalancers");
    let resolved: Vec<Value> =
        balancers.iter().map(|balancer| json!({"targetGroupArn": text(balancer, "targetGroupArn")})).collect();
    let mut shown = json!({
        "serviceRevisionArn": history::arn(context, service, KIND, text(record, "id")),
        "serviceArn": context.options.service_arn(cluster, name),
        "clusterArn": context.options.cluster_arn(cluster),
        "taskDefinition": context.options.definition_arn(text(&revision, "family"), number),
        "launchType": "EC2",
        "loadBalancers": balancers,
        "serviceRegistries": items(&asked, "serviceRegistries"),
        "containerImages": items(&revision, "containerImages"),
        "guardDutyEnabled": false,
        "resolvedConfiguration": {"loadBalancers": resolved},
    });
    copy(&asked, &["networkConfiguration", "serviceConnectConfiguration"], &mut shown);
    view::capacity(&revision, &mut shown);
    moments(record, &["createdAt"], &mut shown);
    shown
}
