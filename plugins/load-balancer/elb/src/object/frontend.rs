//! `gantry.dev/v1alpha1` Frontend.

use std::collections::BTreeMap;

use gantry_sdk::api::{Condition as Holds, ObjectMeta};
use serde::{Deserialize, Serialize};

use super::{or_default, resource};

/// A Frontend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frontend {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
    /// `status`
    #[serde(deserialize_with = "or_default", skip_serializing)]
    pub status: Status,
}

/// `spec`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Who serves it.
    pub class: String,
    /// Ports.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Who serves the ports.
    #[serde(deserialize_with = "or_default")]
    pub backends: Backends,
    /// Which nodes are targets.
    #[serde(deserialize_with = "or_default")]
    pub traffic_policy: Policy,
    /// Rules for HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
}

/// `spec.ports[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// Of the EndpointSlices' ports.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// `TCP`, also when empty.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// Where clients connect to.
    pub port: u16,
    /// Of every node. 0: none.
    #[serde(deserialize_with = "or_default")]
    pub node_port: u16,
}

/// `spec.backends`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backends {
    /// Which EndpointSlices.
    #[serde(deserialize_with = "or_default")]
    pub selector: Selector,
}

/// By labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// All of them.
    #[serde(deserialize_with = "or_default")]
    pub match_labels: BTreeMap<String, String>,
}

/// `spec.trafficPolicy`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// `Local`: only nodes that have a backend.
    #[serde(deserialize_with = "or_default")]
    pub external: String,
}

/// `spec.http`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    /// Where requests are answered.
    #[serde(deserialize_with = "or_default")]
    pub listeners: Vec<Listener>,
    /// Which goes where.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<Rule>,
    /// Who serves them.
    #[serde(deserialize_with = "or_default")]
    pub backends: Vec<Backend>,
}

/// `spec.http.listeners[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// `HTTPS`, else HTTP.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
}

/// `spec.http.rules[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// None: all.
    #[serde(deserialize_with = "or_default")]
    pub listeners: Vec<String>,
    /// The lowest is asked first.
    #[serde(deserialize_with = "or_default")]
    pub priority: u32,
    /// What requests must be like.
    #[serde(rename = "match", deserialize_with = "or_default")]
    pub condition: Condition,
    /// What becomes of them.
    #[serde(deserialize_with = "or_default")]
    pub action: Action,
}

/// `spec.http.rules[].match`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// One of these.
    #[serde(deserialize_with = "or_default")]
    pub hosts: Vec<Match>,
    /// One of these.
    #[serde(deserialize_with = "or_default")]
    pub paths: Vec<Match>,
    /// One of these.
    #[serde(deserialize_with = "or_default")]
    pub methods: Vec<String>,
    /// All of these.
    #[serde(deserialize_with = "or_default")]
    pub headers: Vec<Field>,
    /// All of these.
    #[serde(deserialize_with = "or_default")]
    pub queries: Vec<Field>,
    /// One of these.
    #[serde(deserialize_with = "or_default")]
    pub sources: Vec<String>,
}

/// A host or a path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Match {
    /// `Exact`, `Wildcard`, `Prefix` or `Glob`
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// What it says.
    pub value: String,
}

/// A header or a parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// One of these; none: it is there.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<String>,
}

/// `spec.http.rules[].action`: one of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Action {
    /// To backends, by weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<Vec<Weighted>>,
    /// An answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Respond>,
    /// Elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
}

/// A backend and its share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighted {
    /// Its name.
    pub backend: String,
    /// Beside the others.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// An answer without a backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Respond {
    /// `404`
    pub status: u16,
    /// `text/plain`
    #[serde(deserialize_with = "or_default")]
    pub content_type: String,
    /// What it says.
    #[serde(deserialize_with = "or_default")]
    pub body: String,
}

/// Elsewhere; what is empty stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Redirect {
    /// `301`
    pub status: u16,
    /// `https`
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// The host.
    #[serde(deserialize_with = "or_default")]
    pub host: String,
    /// The port.
    #[serde(deserialize_with = "or_default")]
    pub port: String,
    /// With its first slash.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// Without its question mark.
    #[serde(deserialize_with = "or_default")]
    pub query: String,
}

/// `spec.http.backends[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Which EndpointSlices.
    #[serde(deserialize_with = "or_default")]
    pub selector: Selector,
    /// The name of the port there.
    #[serde(deserialize_with = "or_default")]
    pub port: String,
    /// `H2C`, else HTTP/1.1.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// How it is asked whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

/// `spec.http.backends[].healthCheck`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// What is asked for.
    pub path: String,
    /// 0: where requests go.
    #[serde(deserialize_with = "or_default")]
    pub port: u16,
    /// How often.
    pub interval_milliseconds: Option<u32>,
    /// How long an answer may take.
    pub timeout_milliseconds: Option<u32>,
    /// Good answers in a row.
    pub healthy_threshold: Option<u32>,
    /// Failures in a row.
    pub unhealthy_threshold: Option<u32>,
    /// Good status codes.
    #[serde(deserialize_with = "or_default")]
    pub codes: Vec<String>,
}

/// `status`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// What holds.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Holds>,
}

resource!(Frontend, "gantry.dev", "v1alpha1", "Frontend");
