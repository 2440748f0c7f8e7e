//! Which capacity providers a cluster has, and which of them tasks go to when nobody says.

use gantry_sdk::{Value, json};

use super::names::name;
use super::providers::find;
use super::strategy;
use crate::fault::{Fault, Result};
use crate::object::{Cluster, Service, Task, items, text, texts};
use crate::operations::{Context, clusters};

/// Providers of one cluster.
const MOST: usize = 20;
/// Of a race for the next version.
const TRIES: u32 = 8;

/// PutClusterCapacityProviders: these and no others. What has tasks, or a service that would make some, stays.
pub fn put(context: &Context<'_>, request: &Value) -> Result<Value> {
    for _ in 0..TRIES {
        let (name, mut cluster) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
        let change = change(context, request, &name, &mut cluster)?;
        if context.patch_unchanged(&cluster, &change)? {
            return clusters::answer(context, &name, &cluster);
        }
    }
    Err(Fault::new("UpdateInProgressException", "There is already a current update in progress on the cluster."))
}

fn change(context: &Context<'_>, request: &Value, name: &str, cluster: &mut Cluster) -> Result<Value> {
    let before = cluster.spec.clone();
    associate(context, request, cluster)?;
    let gone = |has: &&str| !texts(&cluster.spec, "capacityProviders").any(|kept| kept == *has);
    for gone in texts(&before, "capacityProviders").filter(gone) {
        if in_use(context, name, gone)? {
            return Err(Fault::new(
                "ResourceInUseException",
                format!("The specified capacity provider {gone} is in use and cannot be removed."),
            ));
        }
    }
    let part = |key: &str| cluster.spec.get(key).cloned().unwrap_or_default();
    Ok(json!({
        "capacityProviders": part("capacityProviders"),
        "defaultCapacityProviderStrategy": part("defaultCapacityProviderStrategy"),
    }))
}

/// Gives a cluster the providers, and the usual strategy, that a request names.
pub fn associate(context: &Context<'_>, request: &Value, cluster: &mut Cluster) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    for given in texts(request, "capacityProviders") {
        let name = name(context, given)?;
        if find(context, name)?.is_none() {
            return Err(Fault::parameter(format!(
                "The specified capacity provider {given} was not found. Specify a valid name or ARN and try again."
            )));
        }
        if !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    if names.len() > MOST {
        return Err(Fault::parameter(format!("A cluster can have {MOST} capacity providers at most.")));
    }
    if let Some(spec) = cluster.spec.as_object_mut() {
        spec.insert("capacityProviders".to_owned(), json!(names));
    }
    let usual = strategy::of_cluster(context, request, cluster)?;
    if let Some(spec) = cluster.spec.as_object_mut() {
        spec.insert("defaultCapacityProviderStrategy".to_owned(), json!(usual));
    }
    Ok(())
}

fn in_use(context: &Context<'_>, cluster: &str, provider: &str) -> Result<bool> {
    let fields = ["/spec/capacityProvider", "/status/lastStatus"];
    let tasks: Vec<(Option<String>, Option<String>)> = context.rows_in::<Task, _>(cluster, fields)?;
    let runs = |of: &Option<String>, last: &Option<String>| {
        of.as_deref() == Some(provider) && last.as_deref() != Some("STOPPED")
    };
    if tasks.iter().any(|(of, last)| runs(of, last)) {
        return Ok(true);
    }
    let fields = ["/spec", "/spec/deletedAt", "/status/deployments", "/status/good"];
    let services: Vec<(Value, Option<String>, Value, Value)> = context.rows_in::<Service, _>(cluster, fields)?;
    let named = |of: &Value| items(of, "capacityProviders").iter().any(|of| text(of, "capacityProvider") == provider);
    // A set of tasks that has none now may have some again.
    let names = |spec: &Value| named(spec) || items(spec, "taskSets").iter().any(named);
    let known = |deployments: &Value| deployments.as_array().is_some_and(|all| all.iter().any(named));
    // What may come back would make some too.
    let uses = |spec: &Value, deployments: &Value, good: &Value| names(spec) || known(deployments) || named(good);
    Ok(services.iter().any(|(spec, deleted, all, good)| deleted.is_none() && uses(spec, all, good)))
}
