//! Frontends and EndpointSlices, as far as a load balancer is told of them.

use std::collections::BTreeMap;

use gantry_plugin::family::load_balancer::Protocol;
use serde::{Deserialize, Deserializer};

pub(super) use super::http::Http;

/// `gantry.dev/v1alpha1` Frontend
#[derive(Deserialize)]
pub(super) struct Frontend {
    pub metadata: Metadata,
    pub spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub creation_timestamp: Option<jiff::Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    pub owner_references: Vec<Owner>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owner {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub uid: String,
    #[serde(default, deserialize_with = "or_default")]
    pub controller: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub class: String,
    #[serde(default, deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub external_addresses: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub balanced_addresses: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub source_ranges: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub health_node_port: u16,
    #[serde(default, deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    /// Who serves the ports.
    pub backends: Option<Backends>,
    pub http: Option<Http>,
    #[serde(default, deserialize_with = "or_default")]
    pub session_affinity: Affinity,
    #[serde(default, deserialize_with = "or_default")]
    pub traffic_policy: Policy,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port {
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub protocol: String,
    pub port: u16,
    #[serde(default, deserialize_with = "or_default")]
    pub node_port: u16,
}

#[derive(Clone, Deserialize)]
pub(super) struct Backends {
    pub selector: Selector,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Selector {
    pub match_labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Affinity {
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    #[serde(deserialize_with = "or_default")]
    pub timeout_seconds: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Policy {
    #[serde(deserialize_with = "or_default")]
    pub internal: String,
    #[serde(deserialize_with = "or_default")]
    pub external: String,
}

/// `discovery.k8s.io/v1` EndpointSlice
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Slice {
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<SlicePort>,
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SlicePort {
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    pub port: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub conditions: Conditions,
    pub node_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub hints: Hints,
}

/// Where an endpoint is to be used.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hints {
    #[serde(deserialize_with = "or_default")]
    pub for_zones: Vec<ForZone>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ForZone {
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}

/// Absent ones mean: ready, serving as ready says, not terminating.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Conditions {
    pub ready: Option<bool>,
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

/// TCP, unless it says otherwise; `None`: one that no load balancer knows.
pub(super) fn protocol(text: &str) -> Option<Protocol> {
    match text {
        "" | "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// Reads `null` like an absent field.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
