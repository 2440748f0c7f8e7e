//! Services and EndpointSlices, as far as names depend on them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gantry_sdk::api::or_default;
use serde::Deserialize;

/// `v1` Service
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// `metadata`
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
}

/// `spec`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// Empty, `None` or an address.
    #[serde(rename = "clusterIP", deserialize_with = "or_default")]
    pub cluster_ip: String,
    /// The same, one per address family.
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    pub cluster_ips: Vec<String>,
    /// Ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    /// What an ExternalName stands for.
    #[serde(deserialize_with = "or_default")]
    pub external_name: String,
    /// Whether endpoints that are not ready count as ready.
    #[serde(deserialize_with = "or_default")]
    pub publish_not_ready_addresses: bool,
}

/// `spec.ports[]` of a Service, `ports[]` of a slice
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Port {
    /// Empty: none.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// 0: none.
    #[serde(deserialize_with = "or_default")]
    pub port: u16,
}

/// `discovery.k8s.io/v1` EndpointSlice
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Slice {
    /// `metadata`
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// All endpoints listen on all of these.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    /// Who.
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
}

/// `metadata`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// One of them names the Service of a slice.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Some say what a Service is called elsewhere.
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// `endpoints[]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Of one family; one is meant, the others are alternatives.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// Whether it takes connections.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Conditions,
    /// The pod's name below the Service's.
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
    /// The pod.
    #[serde(deserialize_with = "or_default")]
    pub target_ref: TargetRef,
}

/// `endpoints[].targetRef`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TargetRef {
    /// The pod's name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}

/// `endpoints[].conditions`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Absent: it is.
    pub ready: Option<bool>,
}

impl Service {
    /// Its virtual addresses; none: it is headless, external, or has none yet.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let all = if self.spec.cluster_ips.is_empty() {
            std::slice::from_ref(&self.spec.cluster_ip)
        } else {
            self.spec.cluster_ips.as_slice()
        };
        all.iter().map(String::as_str).filter(|address| !address.is_empty() && *address != "None")
    }

    /// Without a virtual address because the user wants none.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    /// What an annotation says; empty if it is not there.
    pub fn annotation(&self, key: &str) -> &str {
        self.metadata.annotations.get(key).map(String::as_str).unwrap_or_default()
    }

    /// Those of its endpoints that have names: the ready ones, unless it says otherwise. With the ports of their slice.
    pub fn endpoints<'a>(
        &self,
        slices: impl Iterator<Item = &'a Slice>,
    ) -> impl Iterator<Item = (&'a Endpoint, &'a [Port])> {
        let publish = self.spec.publish_not_ready_addresses;
        slices
            .flat_map(|slice| slice.endpoints.iter().map(|endpoint| (endpoint, slice.ports.as_slice())))
            .filter(move |(endpoint, _)| publish || endpoint.conditions.ready.unwrap_or(true))
    }

    /// Only a name for something outside.
    pub fn is_external(&self) -> bool {
        self.spec.kind == "ExternalName"
    }
}

impl Slice {
    /// The Service that it is about.
    pub fn service(&self) -> Option<&str> {
        self.metadata.labels.get("kubernetes.io/service-name").map(String::as_str)
    }
}

impl Endpoint {
    /// The one that is meant.
    pub fn address(&self) -> Option<IpAddr> {
        self.addresses.first()?.parse().ok()
    }
}

impl Port {
    /// `_http._tcp`; none for ports without a name.
    pub fn label(&self) -> Option<String> {
        let protocol = if self.protocol.is_empty() { "tcp".to_owned() } else { self.protocol.to_lowercase() };
        (!self.name.is_empty() && self.port != 0).then(|| format!("_{}._{protocol}", self.name.to_lowercase()))
    }
}
