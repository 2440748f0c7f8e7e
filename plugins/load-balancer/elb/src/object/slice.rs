//! `discovery.k8s.io/v1` EndpointSlice: who serves.

use gantry_sdk::api::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::{or_default, resource};

/// An EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `IPv4`
    #[serde(deserialize_with = "or_default")]
    pub address_type: String,
    /// Who.
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
    /// Where.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
}

/// `endpoints[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Addresses.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// How it is.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Conditions,
    /// Where it is.
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
}

/// `endpoints[].conditions`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Absent: yes.
    pub ready: Option<bool>,
}

/// `ports[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Port {
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Absent: all ports.
    pub port: Option<u16>,
}

resource!(EndpointSlice, "discovery.k8s.io", "v1", "EndpointSlice");

impl EndpointSlice {
    /// Endpoints that take connections, and where, at the port of this name.
    pub fn serving<'a>(&'a self, port: &'a str) -> impl Iterator<Item = (&'a Endpoint, u16)> {
        let number = self.ports.iter().find(|known| known.name == port).and_then(|known| known.port);
        let ready = self.endpoints.iter().filter(|endpoint| endpoint.conditions.ready != Some(false));
        ready.filter_map(move |endpoint| Some((endpoint, number?)))
    }
}
