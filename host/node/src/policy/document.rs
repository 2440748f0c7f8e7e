//! Pods, as far as policies are told of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gantry_model::Record;
use gantry_plugin::family::Label;
use gantry_plugin::family::network_policy::{NamedPort, Pod, Protocol};
use k8s_openapi::api::core::v1;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::cluster::PodRef;

/// v1 Pod
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    host_network: bool,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    restart_policy: Option<String>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<Port>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    name: Option<String>,
    container_port: i64,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pod_ips: Vec<PodIp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

/// What an object of the store is to policies; `None`: it has ended, or can't be read.
pub(super) fn pod(record: &Record, node: &str) -> Option<Pod> {
    let Document { spec, status } = serde_json::from_slice(&record.json).ok()?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let mut addresses: Vec<String> = status.pod_ips.into_iter().map(|ip| ip.ip).collect();
    if addresses.is_empty() {
        addresses.extend(status.pod_ip.filter(|ip| !ip.is_empty()));
    }
    // Init containers that end before the others start serve nobody.
    let sidecars = spec.init_containers.iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(&spec.containers).flat_map(|container| &container.ports);
    let named = ports.filter_map(|port| named(port.name.as_deref(), port.container_port, port.protocol.as_deref()));
    Some(Pod {
        id: record.meta.uid.clone(),
        namespace: record.meta.namespace.clone(),
        name: record.meta.name.clone(),
        labels: labels(&record.meta.labels),
        addresses,
        ports: named.collect(),
        local: spec.node_name.as_deref() == Some(node),
        host_network: spec.host_network,
    })
}

/// What a pod of this node is that has just got its addresses.
pub(super) fn placed(key: &PodRef, pod: &v1::Pod, addresses: &[IpAddr]) -> Pod {
    let spec = pod.spec.as_ref();
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let sidecars = init.iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(containers).flat_map(|container| container.ports.iter().flatten());
    let named = ports.filter_map(|p| named(p.name.as_deref(), p.container_port.into(), p.protocol.as_deref()));
    Pod {
        id: key.uid.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        labels: pod.metadata.labels.as_ref().map(labels).unwrap_or_default(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        ports: named.collect(),
        local: true,
        host_network: false,
    }
}

/// `spec` of a policy as JSON.
pub(super) fn spec(record: &Record) -> Vec<u8> {
    record.value().get("spec").unwrap_or(&Value::Null).to_string().into_bytes()
}

pub(super) fn labels(all: &BTreeMap<String, String>) -> Vec<Label> {
    all.iter().map(|(key, value)| Label { key: key.clone(), value: value.clone() }).collect()
}

fn named(name: Option<&str>, port: i64, protocol: Option<&str>) -> Option<NamedPort> {
    let protocol = match protocol.unwrap_or("TCP") {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => return None,
    };
    let name = name.filter(|name| !name.is_empty())?.to_owned();
    Some(NamedPort { name, protocol, port: u16::try_from(port).ok()? })
}

/// Reads `null` like an absent field.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
