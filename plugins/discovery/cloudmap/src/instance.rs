//! The instances of a Service.

use std::net::IpAddr;

use discovery_common::{names, object};
use gantry_sdk::api::{Endpoint, EndpointPort, EndpointSlice, Service};

/// One that is ready, or all of an external Service.
pub enum Instance<'a> {
    /// Somewhere in the cluster.
    Here(Here<'a>),
    /// An external name.
    Elsewhere(String),
}

/// An endpoint.
pub struct Here<'a> {
    /// A part of a name that is this one's alone: the pod's name, or what comes from the address.
    pub id: String,
    /// Where it listens.
    pub address: IpAddr,
    /// On which ports.
    ports: &'a [EndpointPort],
}

/// All of a Service.
pub fn of<'a>(service: &'a Service, slices: impl Iterator<Item = &'a EndpointSlice>) -> Vec<Instance<'a>> {
    if service.is_name() {
        return names::plain(&service.spec.external_name).map(Instance::Elsewhere).into_iter().collect();
    }
    let here = |(endpoint, ports): (&Endpoint, &'a [EndpointPort])| {
        let address = object::address(endpoint)?;
        let pod = endpoint.target_ref.as_ref().and_then(|pod| names::label(&pod.name));
        let id = pod.unwrap_or_else(|| names::dashed(address));
        Some(Instance::Here(Here { id, address, ports }))
    };
    object::endpoints(service, slices).filter_map(here).collect()
}

impl Here<'_> {
    /// The port of this name or number; without either the first one.
    pub fn port(&self, wanted: &str) -> Option<u16> {
        let mut numbers = self.ports.iter().filter_map(|port| Some((port.name.as_str(), port.port?)));
        let fits = |(name, number): &(&str, u16)| wanted.is_empty() || *name == wanted || number.to_string() == wanted;
        numbers.find(fits).map(|(_, number)| number)
    }
}
