//! One that serves, with where it listens.

use crate::object::{Endpoint, EndpointPort};

/// An endpoint and its ports.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// In the order of the Service.
    pub ports: Vec<EndpointPort>,
    /// Who.
    pub endpoint: Endpoint,
}

impl Listed {
    /// What makes it the same one over time: the pod's uid, or the address of one that is no pod.
    pub fn identity(endpoint: &Endpoint) -> &str {
        match &endpoint.target_ref {
            Some(target) if !target.uid.is_empty() => &target.uid,
            _ => endpoint.addresses.first().map(String::as_str).unwrap_or_default(),
        }
    }
}
