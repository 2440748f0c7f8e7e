//! DescribeServices and ListServices.

use gantry_sdk::{Value, json};

use super::view;
use crate::fault::{Fault, Result};
use crate::object::{Service, items, text, texts};
use crate::operations::Context;
use crate::operations::describe::{Included, missing};
use crate::page::page;

/// Services in one request of DescribeServices.
const MOST: usize = 10;

/// Nobody has heard of it.
pub fn unknown() -> Fault {
    Fault::new("ServiceNotFoundException", "Service not found.")
}

/// DescribeServices: deleted ones too, for an hour.
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let given = items(request, "services");
    if given.is_empty() {
        return Err(Fault::parameter("Services cannot be empty."));
    }
    if given.len() > MOST {
        return Err(Fault::parameter(format!("Services cannot have more than {MOST} elements.")));
    }
    let included = Included::of(request);
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in texts(request, "services") {
        match context.service(&cluster, given)? {
            Some(service) => found.push(view::service(context, &service, included)),
            None => {
                failures.push(missing(context.options.service_arn(&cluster, context.options.service(given)?)));
            }
        }
    }
    Ok(json!({"services": found, "failures": failures}))
}

/// A service as lists see it.
pub struct Name {
    name: String,
    strategy: String,
    /// Whether it is not being deleted.
    pub active: bool,
    gone: bool,
}

type Row = (String, Option<String>, Option<String>, Option<String>);

/// All services of a cluster.
pub fn names(context: &Context<'_>, cluster: &str) -> Result<Vec<Name>> {
    let fields = ["/spec/serviceName", "/spec/schedulingStrategy", "/spec/deletedAt", "/status/status"];
    let rows: Vec<Row> = context.rows_in::<Service, _>(cluster, fields)?;
    let one = |(name, strategy, deleted, status): Row| Name {
        name,
        strategy: strategy.unwrap_or_default(),
        active: deleted.is_none(),
        gone: status.as_deref() == Some("INACTIVE"),
    };
    Ok(rows.into_iter().map(one).collect())
}

/// ListServices: those that run, and those that drain.
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let launched = matches!(text(request, "launchType"), "" | "EC2");
    let owned = matches!(text(request, "resourceManagementType"), "" | "CUSTOMER");
    let strategy = text(request, "schedulingStrategy");
    let wanted =
        |service: &Name| launched && owned && !service.gone && (strategy.is_empty() || service.strategy == strategy);
    let all = names(context, &cluster)?.into_iter().filter(wanted);
    let keyed = all.map(|service| {
        let arn = context.options.service_arn(&cluster, &service.name);
        (service.name, json!(arn))
    });
    page(request, "serviceArns", keyed.collect())
}
