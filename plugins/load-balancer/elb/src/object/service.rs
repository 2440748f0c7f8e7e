//! `v1` Service, as far as it comes to a Frontend.

use gantry_sdk::Value;
use gantry_sdk::api::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::frontend::Port;
use super::{or_default, resource};

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
    /// `status`
    #[serde(deserialize_with = "or_default")]
    pub status: Value,
}

/// `spec`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// `LoadBalancer`, or one that this plugin does not serve.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// By whom.
    #[serde(deserialize_with = "or_default")]
    pub load_balancer_class: String,
    /// Ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    /// `Local` or `Cluster`
    #[serde(deserialize_with = "or_default")]
    pub external_traffic_policy: String,
}

resource!(Service, "", "v1", "Service");
