//! What a request about a service may say.

use ecs_common::endpoints::Aws;
use gantry_sdk::{Value, json};

use crate::fault::{Fault, Result};
use crate::object::{Cluster, copy, items, text, texts};
use crate::operations::refused::{self, refuse, refuse_word};
use crate::operations::{Context, capacity, endpoints, numbers, run};

/// Tasks of one service.
const MOST: i64 = 100_000;
/// Alarms of one service: as many as CloudWatch tells of at once.
const MOST_ALARMS: usize = 100;
/// Seconds after a task's start in which its failed health checks are looked over.
pub const GRACE: &str = "healthCheckGracePeriodSeconds";

/// What creations and updates have in common.
pub fn common(request: &Value) -> Result<()> {
    refuse(request, refused::SERVICE, "")?;
    refuse_word(request, "availabilityZoneRebalancing", "ENABLED", "")?;
    let controller = request.get("deploymentController").map(|controller| text(controller, "type"));
    if let Some(other) = controller.filter(|kind| !matches!(*kind, "" | "ECS" | "EXTERNAL")) {
        return Err(Fault::unsupported(&format!("The deployment controller {other}")));
    }
    run::launch(request)?;
    numbers::whole(request, &[GRACE], "").map_err(Fault::parameter)?;
    let Some(given) = request.get("deploymentConfiguration") else { return Ok(()) };
    let path = "deploymentConfiguration.";
    refuse(given, refused::DEPLOYMENT, path)?;
    given.get("alarms").map_or(Ok(()), alarms)?;
    for word in ["BLUE_GREEN", "LINEAR", "CANARY"] {
        refuse_word(given, "strategy", word, path)?;
    }
    numbers::whole(given, &["minimumHealthyPercent", "maximumPercent"], path).map_err(Fault::parameter)
}

/// Whether somebody can look at the alarms of deployments.
fn alarms(given: &Value) -> Result<()> {
    if given.get("enable").and_then(Value::as_bool) != Some(true) {
        return Ok(());
    }
    let names: Vec<&str> = texts(given, "alarmNames").collect();
    if names.is_empty() {
        return Err(Fault::parameter("Deployment alarms are enabled, and alarmNames can not be blank."));
    }
    if names.len() > MOST_ALARMS {
        return Err(Fault::parameter(format!("alarmNames cannot have more than {MOST_ALARMS} elements.")));
    }
    if let Some(name) = names.iter().find(|name| name.is_empty() || name.chars().count() > 255) {
        return Err(Fault::parameter(format!("Invalid alarm name {name:?}: give 1 to 255 characters.")));
    }
    endpoints::need(Aws::CloudWatch, "deploymentConfiguration.alarms")
}

/// Refuses alarms where somebody else makes the deployments.
pub fn unwatched(given: Option<&Value>) -> Result<()> {
    match given.and_then(|given| given.pointer("/alarms/enable")).and_then(Value::as_bool) {
        Some(true) => Err(Fault::parameter(
            "Deployment alarms are not supported on services with an EXTERNAL deployment controller.",
        )),
        _ => Ok(()),
    }
}

/// What a request must not say, by what ECS calls it.
pub fn blank(request: &Value, names: &[(&str, &str)]) -> Result<()> {
    let says = |name: &str| match request.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(all)) => !all.is_empty(),
        Some(_) => true,
    };
    match names.iter().find(|(name, _)| says(name)) {
        Some((_, what)) => Err(Fault::parameter(format!("{what} must be blank"))),
        None => Ok(()),
    }
}

/// How many tasks; none where each node has one.
pub fn count(request: &Value, daemon: bool) -> Result<Option<i64>> {
    match request.get("desiredCount").and_then(Value::as_i64) {
        Some(_) if daemon => Err(Fault::parameter(
            "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again.",
        )),
        Some(count) if !(0..=MOST).contains(&count) => {
            Err(Fault::parameter(format!("desiredCount must be between 0 and {MOST}.")))
        }
        given => Ok(given),
    }
}

/// Among which capacity providers its tasks are shared. A daemon has one on each node, whoever's that is.
pub fn capacity(context: &Context<'_>, request: &Value, cluster: &Cluster, daemon: bool) -> Result<Value> {
    let strategy = items(request, "capacityProviderStrategy");
    if daemon && !strategy.is_empty() {
        return Err(Fault::parameter(
            "The daemon scheduling strategy does not support a capacity provider strategy. Remove it and try again.",
        ));
    }
    Ok(if daemon { json!([]) } else { json!(capacity::asked(context, request, cluster)?) })
}

/// How deployments take over from each other: what is given over what there was, or else what ECS has.
pub fn configuration(given: Option<&Value>, before: Option<&Value>, daemon: bool) -> Result<Value> {
    let (minimum, maximum) = if daemon { (0, 100) } else { (100, 200) };
    let mut whole = json!({
        "deploymentCircuitBreaker": {"enable": false, "rollback": false},
        "maximumPercent": maximum,
        "minimumHealthyPercent": minimum,
        "strategy": "ROLLING",
    });
    let names = ["alarms", "deploymentCircuitBreaker", "maximumPercent", "minimumHealthyPercent"];
    for from in [before, given].into_iter().flatten() {
        copy(from, &names, &mut whole);
    }
    let percent = |name: &str| whole.get(name).and_then(Value::as_i64).unwrap_or_default();
    let (minimum, maximum) = (percent("minimumHealthyPercent"), percent("maximumPercent"));
    if daemon && maximum != 100 {
        return Err(Fault::parameter(
            "The maximumPercent of a service with the daemon scheduling strategy must be 100.",
        ));
    }
    if minimum > 100 || maximum < 100 {
        return Err(Fault::parameter("minimumHealthyPercent must be at most 100, and maximumPercent at least 100."));
    }
    if minimum == 100 && maximum == 100 {
        return Err(Fault::parameter(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ));
    }
    Ok(whole)
}
