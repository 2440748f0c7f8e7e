//! Clusters: names under which tasks are grouped. Every node serves all of them.

use gantry_sdk::api::ObjectMeta;
use gantry_sdk::{Value, json};

use super::describe::{Included, missing};
use super::refused::{self, refuse};
use super::{Context, capacity, services};
use crate::fault::{Fault, Result};
use crate::names::object_name;
use crate::object::{Cluster, Task, copy, items, text, texts};
use crate::page::page;

/// In which namespace services have their names if they do not say.
const CONNECT: &str = "serviceConnectDefaults";
/// Where a cluster says that it is being taken away.
const LEAVING: &str = "leaving";

/// CreateCluster: one that is there already is the answer too.
pub fn create(context: &Context<'_>, request: &Value) -> Result<Value> {
    let name = context.options.cluster_name(request.get("clusterName").and_then(Value::as_str))?;
    check(request)?;
    let metadata = ObjectMeta::named(&context.options.namespace, object_name(&name));
    let mut spec = json!({"clusterName": name, "tags": items(request, "tags"), "createdBy": context.caller});
    copy(request, &[CONNECT], &mut spec);
    let mut cluster = Cluster { metadata, spec, status: Value::Null };
    capacity::associate(context, request, &mut cluster)?;
    if !context.create(&cluster)? {
        // Whoever was taking it away did not come to the end.
        let left = context.get::<Cluster>(&cluster.metadata.name)?.filter(is_leaving);
        left.map_or(Ok(()), |left| context.patch(&left, &json!({LEAVING: null})))?;
    }
    let (name, cluster) = context.cluster(Some(&name))?;
    let included = Included { tags: true, ..Included::default() };
    Ok(json!({"cluster": view(context, &name, &cluster, nodes(context)?, included)?}))
}

fn check(request: &Value) -> Result<()> {
    refuse(request, refused::CLUSTER, "")?;
    let on = |setting: &&Value| text(setting, "value") != "disabled";
    if let Some(setting) = items(request, "settings").iter().find(on) {
        return Err(Fault::client(format!("The setting {} can only be disabled here.", text(setting, "name"))));
    }
    match request.get(CONNECT).map(|given| text(given, "namespace")) {
        None | Some("") => Ok(()),
        Some(given) => services::namespace(given).map(drop),
    }
}

/// UpdateCluster and UpdateClusterSettings: where services have their names if they do not say; all else that can be said
/// of a cluster is so already.
pub fn update(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (name, mut cluster) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    check(request)?;
    if let Some(given) = request.get(CONNECT) {
        context.patch(&cluster, &json!({CONNECT: given}))?;
        copy(request, &[CONNECT], &mut cluster.spec);
    }
    answer(context, &name, &cluster)
}

/// What an operation on a cluster answers.
pub fn answer(context: &Context<'_>, name: &str, cluster: &Cluster) -> Result<Value> {
    let included = Included { tags: true, settings: true };
    Ok(json!({"cluster": view(context, name, cluster, nodes(context)?, included)?}))
}

/// Whether a cluster is being taken away: nothing may be made in it any more.
pub fn is_leaving(cluster: &Cluster) -> bool {
    cluster.spec.get(LEAVING).is_some()
}

/// DeleteCluster: what still has tasks stays. First it takes no new ones; RunTask looks after it has made some, so that
/// one of the two sees the other.
pub fn delete(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (name, cluster) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    context.patch(&cluster, &json!({LEAVING: true}))?;
    if let Some(busy) = busy(context, &name)? {
        context.patch(&cluster, &json!({LEAVING: null}))?;
        return Err(busy);
    }
    let mut shown = view(context, &name, &cluster, nodes(context)?, Included::default())?;
    context.delete(&cluster)?;
    if let Some(map) = shown.as_object_mut() {
        map.insert("status".to_owned(), json!("INACTIVE"));
    }
    Ok(json!({"cluster": shown}))
}

/// What keeps a cluster.
fn busy(context: &Context<'_>, name: &str) -> Result<Option<Fault>> {
    let says = |kind: &str, what: &str| {
        let message = format!("The Cluster cannot be deleted while {what} are active.");
        Ok(Some(Fault::new(&format!("ClusterContains{kind}Exception"), message)))
    };
    if services::names(context, name)?.iter().any(|service| service.active) {
        return says("Services", "Services");
    }
    let (running, pending) = counts(context, name)?;
    if running + pending > 0 { says("Tasks", "Tasks") } else { Ok(None) }
}

/// DescribeClusters
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let included = Included::of(request);
    let given: Vec<Option<&str>> = match items(request, "clusters") {
        [] => vec![None],
        _ => texts(request, "clusters").map(Some).collect(),
    };
    let nodes = nodes(context)?;
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for given in given {
        let name = context.options.cluster_name(given)?;
        match context.get::<Cluster>(&object_name(&name))?.filter(|cluster| !is_leaving(cluster)) {
            Some(cluster) => clusters.push(view(context, &name, &cluster, nodes, included)?),
            None => failures.push(missing(context.options.cluster_arn(&name))),
        }
    }
    Ok(json!({"clusters": clusters, "failures": failures}))
}

/// ListClusters
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let rows: Vec<(String, Option<bool>)> = context.rows::<Cluster, _>("", ["/spec/clusterName", "/spec/leaving"])?;
    let names = rows.into_iter().filter(|(_, leaving)| leaving.is_none()).map(|(name, _)| name);
    page(request, "clusterArns", names.map(|name| (name.clone(), json!(context.options.cluster_arn(&name)))).collect())
}

/// Every cluster has all nodes.
fn nodes(context: &Context<'_>) -> Result<usize> {
    let nodes: Vec<(String,)> = context.nodes(["/metadata/uid"])?;
    Ok(nodes.len())
}

fn view(context: &Context<'_>, name: &str, cluster: &Cluster, nodes: usize, included: Included) -> Result<Value> {
    let (running, pending) = counts(context, name)?;
    let settings =
        if included.settings { json!([{"name": "containerInsights", "value": "disabled"}]) } else { json!([]) };
    let mut shown = json!({
        "clusterArn": context.options.cluster_arn(name),
        "clusterName": name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": nodes,
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "activeServicesCount": services::names(context, name)?.iter().filter(|service| service.active).count(),
        "statistics": [],
        "tags": if included.tags { items(&cluster.spec, "tags") } else { &[] },
        "settings": settings,
        "capacityProviders": items(&cluster.spec, "capacityProviders"),
        "defaultCapacityProviderStrategy": items(&cluster.spec, "defaultCapacityProviderStrategy"),
    });
    if cluster.spec.get(CONNECT).is_some_and(|given| !text(given, "namespace").is_empty()) {
        copy(&cluster.spec, &[CONNECT], &mut shown);
    }
    Ok(shown)
}

/// Tasks that run, and that are to.
fn counts(context: &Context<'_>, cluster: &str) -> Result<(usize, usize)> {
    let all: Vec<(Option<String>,)> = context.rows_in::<Task, _>(cluster, ["/status/lastStatus"])?;
    let stopped = all.iter().filter(|(status,)| status.as_deref() == Some("STOPPED")).count();
    let pending = |status: &Option<String>| matches!(status.as_deref(), None | Some("" | "PROVISIONING" | "PENDING"));
    let pending = all.iter().filter(|(status,)| pending(status)).count();
    Ok((all.len() - stopped - pending, pending))
}
