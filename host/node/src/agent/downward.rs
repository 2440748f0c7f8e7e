//! A pod's own facts, as its containers may read them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceFieldSelector};

use super::desired::Desired;
use super::quantity::{self, div_up};
use super::resources;
use crate::node::Capacity;

/// What is the node's.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The node's name.
    pub node: String,
    /// The node's addresses.
    pub addresses: Vec<IpAddr>,
    /// What pods may use of it: a container's limits, where it has none.
    pub allocatable: Capacity,
}

/// The value of a field path.
pub fn field(desired: &Desired, addresses: &[IpAddr], facts: &Facts, path: &str) -> Result<String, String> {
    let meta = &desired.pod.metadata;
    let joined = |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let first = |all: &[IpAddr]| all.first().map(ToString::to_string).unwrap_or_default();
    Ok(match path {
        "metadata.name" => desired.key.name.clone(),
        "metadata.namespace" => desired.key.namespace.clone(),
        "metadata.uid" => desired.key.uid.clone(),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => facts.node.clone(),
        "spec.serviceAccountName" => desired.spec().service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => first(&facts.addresses),
        "status.hostIPs" => joined(&facts.addresses),
        "status.podIP" => first(addresses),
        "status.podIPs" => joined(addresses),
        _ => return subscript(desired, path),
    })
}

/// `metadata.labels['key']`
fn subscript(desired: &Desired, path: &str) -> Result<String, String> {
    let meta = &desired.pod.metadata;
    let inner = |prefix: &str| path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']");
    let (map, key) = match (inner("metadata.labels"), inner("metadata.annotations")) {
        (Some(key), _) => (&meta.labels, key),
        (None, Some(key)) => (&meta.annotations, key),
        (None, None) => return Err(format!("unsupported fieldPath: {path}")),
    };
    Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default())
}

/// `key="value"`, a line each, in order.
fn lines(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={}", serde_json::Value::from(value.as_str()));
    map.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// The value of a resource field, in units of its divisor, rounded up.
pub fn resource(
    spec: &PodSpec,
    own: Option<&Container>,
    facts: &Facts,
    field: &ResourceFieldSelector,
) -> Result<String, String> {
    let name = field.container_name.as_deref().unwrap_or_default();
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let container = match name {
        "" => own.ok_or_else(|| "a container name is required".to_owned())?,
        name => all.find(|c| c.name == name).ok_or_else(|| format!("container {name} not found"))?,
    };
    let (what, resource) =
        field.resource.split_once('.').ok_or_else(|| format!("unsupported container resource : {}", field.resource))?;
    let value = match what {
        "limits" => resources::limit(container, resource).unwrap_or_else(|| node_has(facts, resource)),
        "requests" => resources::request(container, resource).unwrap_or_default(),
        _ => return Err(format!("unsupported container resource : {}", field.resource)),
    };
    let divisor = field.divisor.as_ref().map(|q| q.0.as_str()).filter(|text| !text.is_empty() && *text != "0");
    let divisor = match divisor {
        Some(text) => quantity::millis(text).filter(|d| *d > 0).ok_or_else(|| format!("invalid divisor {text}"))?,
        None => 1000,
    };
    Ok(div_up(value, divisor).to_string())
}

fn node_has(facts: &Facts, resource: &str) -> i128 {
    let all = &facts.allocatable;
    match resource {
        "cpu" => i128::from(all.cpu_millis),
        "memory" => i128::from(all.memory) * 1000,
        "ephemeral-storage" => i128::from(all.storage) * 1000,
        _ => 0,
    }
}
