//! Tags of clusters, capacity providers, services, task definitions and tasks, by their ARNs.

use gantry_sdk::api::Resource;
use gantry_sdk::{Value, json};

use super::Context;
use crate::fault::{Fault, Result};
use crate::names::{DEFAULT_CLUSTER, object_name, revision_name};
use crate::object::{CapacityProvider, Cluster, Definition, Service, Task, items, text, texts};

/// Tags of one resource.
const MOST: usize = 50;
/// Of a race for the next list of tags.
const TRIES: u32 = 8;

/// TagResource
pub fn add(context: &Context<'_>, request: &Value) -> Result<Value> {
    change(context, request, |old| {
        let replaced = |tag: &&Value| !items(request, "tags").iter().any(|new| text(new, "key") == text(tag, "key"));
        old.iter().filter(replaced).chain(items(request, "tags")).cloned().collect()
    })
}

/// UntagResource
pub fn remove(context: &Context<'_>, request: &Value) -> Result<Value> {
    change(context, request, |old| {
        let kept = |tag: &&Value| !texts(request, "tagKeys").any(|key| key == text(tag, "key"));
        old.iter().filter(kept).cloned().collect()
    })
}

/// ListTagsForResource
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let spec = match find(context, text(request, "resourceArn"))? {
        Tagged::Cluster(cluster) => cluster.spec,
        Tagged::Definition(definition) => definition.spec,
        Tagged::Task(task) => task.spec,
        Tagged::Service(service) => service.spec,
        Tagged::Provider(provider) => provider.spec,
    };
    Ok(json!({"tags": items(&spec, "tags")}))
}

enum Tagged {
    Cluster(Cluster),
    Definition(Definition),
    Task(Task),
    Service(Service),
    Provider(CapacityProvider),
}

fn find(context: &Context<'_>, arn: &str) -> Result<Tagged> {
    let resource = context.options.resource(arn)?;
    let resource = resource.ok_or_else(|| Fault::parameter(format!("Invalid identifier: {arn} is no ARN.")))?;
    let (kind, rest) = resource.split_once('/').unwrap_or_default();
    let found = match kind {
        "cluster" => context.get::<Cluster>(&object_name(rest))?.map(Tagged::Cluster),
        "task-definition" => match context.options.definition(arn)? {
            (family, Some(revision)) => {
                context.get::<Definition>(&revision_name(family, revision))?.map(Tagged::Definition)
            }
            (_, None) => None,
        },
        "task" => context.get::<Task>(context.options.task_id(arn)?)?.map(Tagged::Task),
        "capacity-provider" => context.get::<CapacityProvider>(&object_name(rest))?.map(Tagged::Provider),
        "service" => {
            let (cluster, _) = rest.split_once('/').unwrap_or((DEFAULT_CLUSTER, rest));
            context.service(cluster, arn)?.map(Tagged::Service)
        }
        other => return Err(Fault::unsupported(&format!("Tags of a {other}"))),
    };
    found.ok_or_else(|| Fault::parameter("The specified resource was not found. Check the ARN and try again."))
}

/// Tags are a whole list: whoever writes one has seen the last one.
fn change(context: &Context<'_>, request: &Value, new: impl Fn(&[Value]) -> Vec<Value>) -> Result<Value> {
    let arn = text(request, "resourceArn");
    for _ in 0..TRIES {
        let written = match find(context, arn)? {
            Tagged::Cluster(cluster) => write(context, &cluster, &cluster.spec, &new),
            Tagged::Definition(definition) => write(context, &definition, &definition.spec, &new),
            Tagged::Task(task) => write(context, &task, &task.spec, &new),
            Tagged::Service(service) => write(context, &service, &service.spec, &new),
            Tagged::Provider(provider) => write(context, &provider, &provider.spec, &new),
        };
        if written? {
            return Ok(json!({}));
        }
    }
    Err(Fault::client(format!("Too many concurrent attempts to change {arn}.")))
}

fn write<T: Resource>(
    context: &Context<'_>,
    object: &T,
    spec: &Value,
    new: impl Fn(&[Value]) -> Vec<Value>,
) -> Result<bool> {
    let tags = new(items(spec, "tags"));
    if tags.len() > MOST {
        return Err(Fault::parameter(format!("A resource can have at most {MOST} tags.")));
    }
    context.patch_unchanged(object, &json!({"tags": tags}))
}
