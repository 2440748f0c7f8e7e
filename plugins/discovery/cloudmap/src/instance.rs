//! The instances of a Service.

use std::net::IpAddr;

use discovery_common::names;
use discovery_common::object::{Endpoint, Port, Service, Slice};

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
    ports: &'a [Port],
}

/// All of a Service.
pub fn of<'a>(service: &'a Service, slices: impl Iterator<Item = &'a Slice>) -> Vec<Instance<'a>> {
    if service.is_external() {
        return names::plain(&service.spec.external_name).map(Instance::Elsewhere).into_iter().collect();
    }
    let here = |(endpoint, ports): (&Endpoint, &'a [Port])| {
        let address = endpoint.address()?;
        let id = names::label(&endpoint.target_ref.name).unwrap_or_else(|| names::dashed(address));
        Some(Instance::Here(Here { id, address, ports }))
    };
    service.endpoints(slices).filter_map(here).collect()
}

impl Here<'_> {
    /// The port of this name or number; without either the first one.
    pub fn port(&self, wanted: &str) -> Option<u16> {
        let fits = |port: &&Port| wanted.is_empty() || port.name == wanted || port.port.to_string() == wanted;
        self.ports.iter().find(fits).map(|port| port.port).filter(|port| *port != 0)
    }
}
