//! Capacity provider strategies: who gets how many tasks.

use ecs_common::capacity::Share;
use gantry_sdk::{Value, json};

use super::names::{Groups, name};
use crate::fault::{Fault, Result};
use crate::object::{Cluster, items, text, texts};
use crate::operations::Context;

/// Providers of one strategy.
const MOST: usize = 20;
const MOST_BASE: u64 = 100_000;
const MOST_WEIGHT: u64 = 1_000;
const STRATEGY: &str = "capacityProviderStrategy";
const DEFAULT: &str = "defaultCapacityProviderStrategy";

/// By what a request's tasks are shared: what it says, or else, if it names no launch type, what its cluster says. Nothing:
/// they go to any node.
pub fn asked(context: &Context<'_>, request: &Value, cluster: &Cluster) -> Result<Vec<Share>> {
    match given(context, request, cluster)? {
        Some(own) if !own.is_empty() => Ok(own),
        _ if !text(request, "launchType").is_empty() => Ok(Vec::new()),
        _ => {
            let usual = shares(context, items(&cluster.spec, DEFAULT), cluster)?;
            weighted(&usual, " defined in the default capacity provider strategy")?;
            Ok(usual)
        }
    }
}

/// What a request itself says; an empty list is that there is to be none.
fn given(context: &Context<'_>, request: &Value, cluster: &Cluster) -> Result<Option<Vec<Share>>> {
    if request.get(STRATEGY).is_none() {
        return Ok(None);
    }
    let own = items(request, STRATEGY);
    if !own.is_empty() && !text(request, "launchType").is_empty() {
        return Err(Fault::parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ));
    }
    let own = shares(context, own, cluster)?;
    weighted(&own, "")?;
    Ok(Some(own))
}

/// What PutClusterCapacityProviders says is to be usual, of providers that the cluster is to have. Weights are looked at
/// when tasks are made.
pub fn of_cluster(context: &Context<'_>, request: &Value, cluster: &Cluster) -> Result<Vec<Value>> {
    Ok(shown(&shares(context, items(request, DEFAULT), cluster)?))
}

fn weighted(shares: &[Share], of: &str) -> Result<()> {
    if shares.is_empty() || shares.iter().any(|share| share.weight > 0) {
        return Ok(());
    }
    Err(Fault::parameter(format!(
        "There are no capacity providers with a weight value greater than zero{of}. At least one capacity provider must have \
         a weight value greater than zero specified."
    )))
}

fn shares(context: &Context<'_>, given: &[Value], cluster: &Cluster) -> Result<Vec<Share>> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    if given.len() > MOST {
        return Err(Fault::parameter(format!(
            "A capacity provider strategy can have {MOST} capacity providers at most."
        )));
    }
    let groups = Groups::all(context)?;
    let mut all: Vec<Share> = Vec::new();
    for item in given {
        let share = share(context, item, cluster, &groups)?;
        if all.iter().any(|other| other.capacity_provider == share.capacity_provider) {
            return Err(Fault::parameter(
                "A capacity provider strategy can't have a capacity provider more than once.",
            ));
        }
        if share.base > 0 && all.iter().any(|other| other.base > 0) {
            return Err(Fault::parameter("Only one capacity provider in a strategy can have a base value."));
        }
        all.push(share);
    }
    Ok(all)
}

fn share(context: &Context<'_>, item: &Value, cluster: &Cluster, groups: &Groups) -> Result<Share> {
    let name = name(context, text(item, "capacityProvider"))?;
    if !texts(&cluster.spec, "capacityProviders").any(|has| has == name) {
        return Err(Fault::parameter(format!(
            "The capacity provider strategy cannot contain the capacity provider {name}, which is not associated with the \
             cluster. Associate it with the cluster and try again."
        )));
    }
    let group =
        groups.group(name).ok_or_else(|| Fault::parameter(format!("The capacity provider {name} does not exist.")))?;
    let number = |key: &str, most: u64| match item.get(key) {
        None => Ok(0),
        Some(value) => value.as_u64().filter(|number| *number <= most).ok_or_else(|| {
            Fault::parameter(format!("The {key} of the capacity provider {name} must be between 0 and {most}."))
        }),
    };
    Ok(Share {
        capacity_provider: name.to_owned(),
        base: number("base", MOST_BASE)?,
        weight: number("weight", MOST_WEIGHT)?,
        group: group.to_owned(),
    })
}

/// A strategy as it is shown.
fn shown(shares: &[Share]) -> Vec<Value> {
    let one = |s: &Share| json!({"capacityProvider": s.capacity_provider, "base": s.base, "weight": s.weight});
    shares.iter().map(one).collect()
}
