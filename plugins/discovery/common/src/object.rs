//! Services and EndpointSlices, as far as names depend on them.

use std::net::IpAddr;
use std::slice;

use gantry_sdk::api::{Endpoint, EndpointPort, EndpointSlice, Service};

/// The virtual addresses of a Service; none: it is headless, external, or has none yet.
pub fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    let spec = &service.spec;
    let all = if spec.cluster_ips.is_empty() { slice::from_ref(&spec.cluster_ip) } else { &spec.cluster_ips };
    all.iter().filter_map(|address| address.parse().ok())
}

/// What an annotation says; empty if it is not there.
pub fn annotation<'a>(service: &'a Service, key: &str) -> &'a str {
    service.metadata.annotations.get(key).map(String::as_str).unwrap_or_default()
}

/// Those of a Service's endpoints that have names: the ready ones, unless it says otherwise. With the ports of their slice.
pub fn endpoints<'a>(
    service: &Service,
    slices: impl Iterator<Item = &'a EndpointSlice>,
) -> impl Iterator<Item = (&'a Endpoint, &'a [EndpointPort])> {
    let publish = service.spec.publish_not_ready_addresses;
    slices
        .flat_map(|slice| slice.endpoints.iter().map(|endpoint| (endpoint, slice.ports.as_slice())))
        .filter(move |(endpoint, _)| publish || endpoint.conditions.is_ready())
}

/// The address of an endpoint that is meant: the others are alternatives.
pub fn address(endpoint: &Endpoint) -> Option<IpAddr> {
    endpoint.addresses.first()?.parse().ok()
}
