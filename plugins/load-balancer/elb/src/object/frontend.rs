//! `spec` of a Frontend, as far as it comes to something in AWS.

use gantry_sdk::api::{Frontend, LabelSelector, Resource};
use gantry_sdk::{Error, Result, serde_json};
use serde::Deserialize;

use super::or_default;

/// `spec`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    /// Who serves the ports.
    #[serde(deserialize_with = "or_default")]
    pub backends: Backends,
    /// Clients that are let through, in CIDR notation. None named: all.
    #[serde(deserialize_with = "or_default")]
    pub source_ranges: Vec<String>,
    /// Whether a client stays with a backend.
    #[serde(deserialize_with = "or_default")]
    pub session_affinity: Affinity,
    /// Which nodes are targets.
    #[serde(deserialize_with = "or_default")]
    pub traffic_policy: Policy,
    /// Rules for HTTP.
    pub http: Option<Http>,
}

impl Spec {
    /// Of a Frontend.
    pub fn read(frontend: &Frontend) -> Result<Self> {
        let read = serde_json::from_value(frontend.spec.clone());
        read.map_err(|e| Error::invalid(format!("spec of Frontend {} can't be read: {e}", frontend.name())))
    }

    /// Clients that are let through; none: all.
    pub fn sources(&self) -> &[String] {
        match self.source_ranges.iter().any(|range| range == "0.0.0.0/0") {
            true => &[],
            false => &self.source_ranges,
        }
    }
}

/// `spec.ports[]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Backends {
    /// Which EndpointSlices.
    #[serde(deserialize_with = "or_default")]
    pub selector: LabelSelector,
}

/// `spec.sessionAffinity`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Affinity {
    /// `None`, also when empty, or `ClientIP`
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
}

/// `spec.trafficPolicy`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// `Local`: only nodes that have a backend.
    #[serde(deserialize_with = "or_default")]
    pub external: String,
}

/// `spec.http`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Match {
    /// `Exact`, `Wildcard`, `Prefix` or `Glob`
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// What it says.
    pub value: String,
}

/// A header or a parameter.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// One of these; none: it is there.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<String>,
}

/// `spec.http.rules[].action`: one of these.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Action {
    /// To backends, by weight.
    pub forward: Option<Vec<Weighted>>,
    /// An answer.
    pub response: Option<Respond>,
    /// Elsewhere.
    pub redirect: Option<Redirect>,
}

/// A backend and its share.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Which EndpointSlices.
    #[serde(deserialize_with = "or_default")]
    pub selector: LabelSelector,
    /// The name of the port there.
    #[serde(deserialize_with = "or_default")]
    pub port: String,
    /// `H2C`, else HTTP/1.1.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// How it is asked whether it is well.
    pub health_check: Option<HealthCheck>,
}

/// `spec.http.backends[].healthCheck`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
