//! `v1` Endpoints: what EndpointSlices were before.

use gantry_sdk::api::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::TargetRef;
use super::{or_default, resource};

/// Who serves the Service of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// Addresses by their ports.
    #[serde(deserialize_with = "or_default")]
    pub subsets: Vec<Subset>,
}

/// `subsets[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    /// Those that take connections.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<EndpointsAddress>,
    /// Those that do not.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub not_ready_addresses: Vec<EndpointsAddress>,
    /// All listen on all of these.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointsPort>,
}

/// `subsets[].addresses[]`
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointsAddress {
    /// The address.
    pub ip: String,
    /// The pod's name in DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
}

/// `subsets[].ports[]`
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointsPort {
    /// The Service's name for it.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where they listen.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// A hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

resource!(Endpoints, "", "v1", "Endpoints");
