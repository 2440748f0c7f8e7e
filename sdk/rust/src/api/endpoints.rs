use serde::{Deserialize, Serialize};

use super::{ObjectMeta, or_default};

/// `discovery.k8s.io/v1` EndpointSlice: who serves a Service on a set of ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `IPv4`, `IPv6` or `FQDN`
    pub address_type: String,
    /// All endpoints listen on all of these.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<EndpointPort>,
    /// Who.
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
}

/// `ports[]` of an EndpointSlice
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    /// The Service's name for it.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// Where the endpoints listen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// `endpoints[]` of an EndpointSlice
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// One is meant: the others are alternatives.
    pub addresses: Vec<String>,
    /// What may be sent there.
    #[serde(deserialize_with = "or_default")]
    pub conditions: EndpointConditions,
    /// The pod's name in DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Where its node is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
    /// Whose clients are to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hints: Option<EndpointHints>,
}

/// `endpoints[].hints`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointHints {
    /// Those of nodes in these zones.
    #[serde(deserialize_with = "or_default")]
    pub for_zones: Vec<ForZone>,
}

/// `endpoints[].hints.forZones[]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForZone {
    /// The zone.
    pub name: String,
}

/// `endpoints[].conditions`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Takes new connections.
    pub ready: Option<bool>,
    /// Answers, even if it is going.
    pub serving: Option<bool>,
    /// Is going.
    pub terminating: Option<bool>,
}

/// `endpoints[].targetRef`
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetRef {
    /// `Pod`
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// Its namespace.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its uid.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
}

crate::resource!(EndpointSlice, "discovery.k8s.io", "v1", "EndpointSlice");

impl EndpointHints {
    /// At one zone.
    pub fn at(zone: &str) -> Self {
        Self { for_zones: vec![ForZone { name: zone.to_owned() }] }
    }
}

impl EndpointConditions {
    /// Takes new connections; by default it does.
    pub fn is_ready(&self) -> bool {
        self.ready.unwrap_or(true)
    }
}

impl EndpointSlice {
    /// The label by which a slice says whose it is.
    pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

    /// The Service that it is about.
    pub fn service(&self) -> Option<&str> {
        self.metadata.labels.get(Self::SERVICE_NAME).map(String::as_str)
    }
}
