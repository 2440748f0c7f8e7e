//! Clusters: names under which tasks are grouped. Every node serves all of them.

use gantry_sdk::api::ObjectMeta;
use gantry_sdk::{Value, json};

use super::Context;
use super::describe::{Included, missing};
use super::refused::{self, refuse};
use crate::fault::{Fault, Result};
use crate::names::{label, object_name};
use crate::object::{Cluster, Task, items, text, texts};
use crate::page::page;

/// CreateCluster: one that is there already is the answer too.
pub fn create(context: &Context<'_>, request: &Value) -> Result<Value> {
    let name = context.options.cluster_name(request.get("clusterName").and_then(Value::as_str))?;
    refuse(request, refused::CLUSTER, "")?;
    let on = |setting: &&Value| text(setting, "value") != "disabled";
    if let Some(setting) = items(request, "settings").iter().find(on) {
        return Err(Fault::client(format!("The setting {} can only be disabled here.", text(setting, "name"))));
    }
    let metadata = ObjectMeta::named(&context.options.namespace, object_name(&name));
    let spec = json!({"clusterName": name, "tags": items(request, "tags"), "createdBy": context.caller});
    context.create(&Cluster { metadata, spec, status: Value::Null })?;
    let (name, cluster) = context.cluster(Some(&name))?;
    let included = Included { tags: true, ..Included::default() };
    Ok(json!({"cluster": view(context, &name, &cluster, included)?}))
}

/// DeleteCluster: what still has tasks stays.
pub fn delete(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (name, cluster) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let (running, pending) = counts(context, &name)?;
    if running + pending > 0 {
        return Err(Fault::new(
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        ));
    }
    let mut shown = view(context, &name, &cluster, Included::default())?;
    context.delete(&cluster)?;
    if let Some(map) = shown.as_object_mut() {
        map.insert("status".to_owned(), json!("INACTIVE"));
    }
    Ok(json!({"cluster": shown}))
}

/// DescribeClusters
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let included = Included::of(request);
    let given: Vec<Option<&str>> = match items(request, "clusters") {
        [] => vec![None],
        _ => texts(request, "clusters").map(Some).collect(),
    };
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for given in given {
        let name = context.options.cluster_name(given)?;
        match context.get::<Cluster>(&object_name(&name))? {
            Some(cluster) => clusters.push(view(context, &name, &cluster, included)?),
            None => failures.push(missing(context.options.cluster_arn(&name))),
        }
    }
    Ok(json!({"clusters": clusters, "failures": failures}))
}

/// ListClusters
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let names: Vec<(String,)> = context.rows::<Cluster, _>("", ["/spec/clusterName"])?;
    let all = names.into_iter().map(|(name,)| (name.clone(), json!(context.options.cluster_arn(&name)))).collect();
    page(request, "clusterArns", all)
}

fn view(context: &Context<'_>, name: &str, cluster: &Cluster, included: Included) -> Result<Value> {
    let (running, pending) = counts(context, name)?;
    let nodes: Vec<(String,)> = context.nodes(["/metadata/uid"])?;
    let settings =
        if included.settings { json!([{"name": "containerInsights", "value": "disabled"}]) } else { json!([]) };
    Ok(json!({
        "clusterArn": context.options.cluster_arn(name),
        "clusterName": name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": nodes.len(),
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": if included.tags { items(&cluster.spec, "tags") } else { &[] },
        "settings": settings,
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }))
}

/// Tasks that run, and that are to.
fn counts(context: &Context<'_>, cluster: &str) -> Result<(usize, usize)> {
    let labels = format!("ecs.gantry.dev/cluster={}", label(cluster));
    let all: Vec<(Option<String>,)> = context.rows::<Task, _>(&labels, ["/status/lastStatus"])?;
    let stopped = all.iter().filter(|(status,)| status.as_deref() == Some("STOPPED")).count();
    let pending = |status: &Option<String>| matches!(status.as_deref(), None | Some("" | "PROVISIONING" | "PENDING"));
    let pending = all.iter().filter(|(status,)| pending(status)).count();
    Ok((all.len() - stopped - pending, pending))
}
