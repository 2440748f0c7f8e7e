//! CreateCapacityProvider and what follows.

use ecs_common::attributes;
use gantry_sdk::api::{ObjectMeta, Time};
use gantry_sdk::{Value, json};

use super::names::{Groups, is_reserved, name};
use crate::fault::{Fault, Result};
use crate::names::{identifier, object_name};
use crate::object::{CapacityProvider, Cluster, items, text, texts};
use crate::operations::Context;
use crate::operations::describe::{Included, missing};
use crate::operations::refused::{self, refuse, refuse_word};
use crate::page::page_of;

/// Providers of an account.
const MOST: usize = 100;
/// Providers of a page.
const PAGE: u64 = 10;
const PROVIDER: &str = "autoScalingGroupProvider";

/// CreateCapacityProvider
pub fn create(context: &Context<'_>, request: &Value) -> Result<Value> {
    let name = text(request, "name");
    identifier(name, "capacity provider")?;
    if is_reserved(name) {
        return Err(Fault::parameter(format!(
            "The capacity provider name {name:?} is invalid: it can't begin with aws, ecs or fargate."
        )));
    }
    refuse(request, refused::PROVIDER, "")?;
    let given = request.get(PROVIDER).ok_or_else(|| Fault::parameter(format!("{PROVIDER} can not be blank.")))?;
    check(given)?;
    let arn = text(given, "autoScalingGroupArn");
    let group = group(arn)?;
    let others = Groups::all(context)?;
    if others.group(name).is_none() {
        if others.provider(group).is_some() {
            return Err(Fault::parameter(
                "The specified Auto Scaling group is already that of another capacity provider. Specify one that is not.",
            ));
        }
        if others.len() >= MOST {
            return Err(Fault::new(
                "LimitExceededException",
                format!("There can be {MOST} capacity providers at most."),
            ));
        }
    }
    let spec = json!({
        "name": name,
        "autoScalingGroupArn": arn,
        "group": group,
        "tags": items(request, "tags"),
        "createdAt": Time::from_millis(context.call.now_ms),
    });
    let metadata = ObjectMeta::named(&context.options.namespace, object_name(name));
    let provider = CapacityProvider { metadata, spec, status: Value::Null };
    if !context.create(&provider)? {
        return Err(Fault::client(
            "The specified capacity provider already exists. To change its configuration, update the capacity provider.",
        ));
    }
    Ok(json!({"capacityProvider": view(context, &provider, true)}))
}

/// What would start and end machines.
fn check(given: &Value) -> Result<()> {
    let path = "autoScalingGroupProvider.";
    for name in ["managedTerminationProtection", "managedDraining"] {
        refuse_word(given, name, "ENABLED", path)?;
    }
    let scaling = given.get("managedScaling").cloned().unwrap_or_default();
    refuse_word(&scaling, "status", "ENABLED", &format!("{path}managedScaling."))
}

/// `arn:aws:autoscaling:REGION:ACCOUNT:autoScalingGroup:ID:autoScalingGroupName/NAME`, or the name.
fn group(given: &str) -> Result<&str> {
    let name = match given.starts_with("arn:") {
        true => given.split_once(":autoScalingGroupName/").map_or("", |(_, name)| name),
        false => given,
    };
    if name.is_empty() || attributes::label("group", name).is_err() {
        return Err(Fault::parameter(format!(
            "The Auto Scaling group {given:?} is not valid: its name is a label of nodes here, of up to 63 letters, numbers, \
             hyphens, underscores and periods."
        )));
    }
    Ok(name)
}

/// UpdateCapacityProvider: what can be said of it is so already.
pub fn update(context: &Context<'_>, request: &Value) -> Result<Value> {
    refuse(request, refused::PROVIDER, "")?;
    let provider = find(context, text(request, "name"))?.ok_or_else(unknown)?;
    request.get(PROVIDER).map_or(Ok(()), check)?;
    Ok(json!({"capacityProvider": updated(view(context, &provider, true), "UPDATE_COMPLETE")}))
}

/// DeleteCapacityProvider: not while a cluster has it.
pub fn delete(context: &Context<'_>, request: &Value) -> Result<Value> {
    let provider = find(context, text(request, "capacityProvider"))?.ok_or_else(unknown)?;
    let clusters: Vec<(Value,)> = context.rows::<Cluster, _>("", ["/spec"])?;
    let name = text(&provider.spec, "name");
    if clusters.iter().any(|(spec,)| texts(spec, "capacityProviders").any(|has| has == name)) {
        return Err(Fault::client(
            "The specified capacity provider is in use by a cluster and cannot be removed. Remove it from the cluster first.",
        ));
    }
    context.delete(&provider)?;
    let mut shown = updated(view(context, &provider, true), "DELETE_COMPLETE");
    if let Some(map) = shown.as_object_mut() {
        map.insert("status".to_owned(), json!("INACTIVE"));
    }
    Ok(json!({"capacityProvider": shown}))
}

/// DescribeCapacityProviders: those that are named, or all; of one cluster if that is said.
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let tags = Included::of(request).tags;
    let cluster = match text(request, "cluster") {
        "" => None,
        given => Some(context.cluster(Some(given))?.1),
    };
    let fits = |name: &str| cluster.as_ref().is_none_or(|c| texts(&c.spec, "capacityProviders").any(|has| has == name));
    let given = items(request, "capacityProviders");
    if given.len() > MOST {
        return Err(Fault::parameter(format!("capacityProviders cannot have more than {MOST} elements.")));
    }
    let names: Vec<String> = match given {
        [] => {
            context.rows::<CapacityProvider, (String,)>("", ["/spec/name"])?.into_iter().map(|(name,)| name).collect()
        }
        _ => texts(request, "capacityProviders").map(str::to_owned).collect(),
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match find(context, &name)?.filter(|provider| fits(text(&provider.spec, "name"))) {
            Some(provider) => found.push((text(&provider.spec, "name").to_owned(), view(context, &provider, tags))),
            None if given.is_empty() => {}
            None => failures.push(missing(arn(context, name.rsplit('/').next().unwrap_or_default()))),
        }
    }
    let mut answer = page_of(request, "capacityProviders", PAGE, found)?;
    if let Some(map) = answer.as_object_mut() {
        map.insert("failures".to_owned(), json!(failures));
    }
    Ok(answer)
}

/// One, by its name or its ARN.
pub fn find(context: &Context<'_>, given: &str) -> Result<Option<CapacityProvider>> {
    match name(context, given) {
        Ok(name) if identifier(name, "capacity provider").is_ok() => context.get(&object_name(name)),
        Ok(_) => Ok(None),
        Err(fault) if fault.code == "UnsupportedFeatureException" => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn unknown() -> Fault {
    Fault::parameter("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
}

fn arn(context: &Context<'_>, name: &str) -> String {
    context.options.arn(&format!("capacity-provider/{name}"))
}

fn updated(mut shown: Value, how: &str) -> Value {
    if let Some(map) = shown.as_object_mut() {
        map.insert("updateStatus".to_owned(), json!(how));
    }
    shown
}

fn view(context: &Context<'_>, provider: &CapacityProvider, tags: bool) -> Value {
    let name = text(&provider.spec, "name");
    json!({
        "capacityProviderArn": arn(context, name),
        "name": name,
        "status": "ACTIVE",
        "type": "EC2_AUTOSCALING",
        PROVIDER: {
            "autoScalingGroupArn": text(&provider.spec, "autoScalingGroupArn"),
            "managedScaling": {"status": "DISABLED"},
            "managedTerminationProtection": "DISABLED",
            "managedDraining": "DISABLED",
        },
        "tags": if tags { items(&provider.spec, "tags") } else { &[] },
    })
}
