//! `v1` Service, as far as an Ingress leads to it, and Namespace.

use gantry_sdk::api::ObjectMeta;
use serde::{Deserialize, Serialize};

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
}

/// `spec`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// `ExternalName` has no endpoints.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// Ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
}

/// `spec.ports[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// May be empty for a single port.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Where clients connect to.
    pub port: i64,
    /// What is spoken, as a hint.
    #[serde(deserialize_with = "or_default")]
    pub app_protocol: String,
}

/// A Namespace, by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// `metadata`
    pub metadata: ObjectMeta,
}

resource!(Service, "", "v1", "Service");
resource!(Namespace, "", "v1", "Namespace");
