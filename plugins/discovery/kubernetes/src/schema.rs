//! What one Service means, together with the slices that list its endpoints.

use discovery_common::{Id, Record, Records, Scheme, Weights, names, object};
use gantry_sdk::api::{Endpoint, EndpointPort, EndpointSlice, Service};

use crate::options::Options;

impl Scheme for Options {
    const WEIGHTS: Weights = Weights { priority: 0, weight: 100 };

    fn records<'a>(
        &self,
        (namespace, name): &Id,
        service: &'a Service,
        slices: impl Iterator<Item = &'a EndpointSlice>,
    ) -> Records {
        let name = format!("{name}.{namespace}.svc.{}", self.zone);
        let mut records = Records::default();
        if service.is_name() {
            if let Some(outside) = names::plain(&service.spec.external_name) {
                records.add(name, Record::Alias(outside));
            }
        } else if service.is_headless() {
            object::endpoints(service, slices).for_each(|(one, listed)| endpoint(&mut records, one, listed, &name));
        } else {
            virtual_addresses(&mut records, service, &name);
        }
        records
    }

    fn ttl(&self) -> u32 {
        self.ttl
    }
}

fn virtual_addresses(records: &mut Records, service: &Service, name: &str) {
    for address in object::addresses(service) {
        records.add(name, Record::Address(address));
        records.add(names::reverse(address), Record::Pointer(name.to_owned()));
    }
    if records.is_empty() {
        return;
    }
    let listed = service.spec.ports.iter().map(|port| (port.name.as_str(), port.protocol(), port.port));
    ports(records, listed, name, name);
}

/// One of a headless Service. It always has a name of its own, for SRV and PTR to lead to.
fn endpoint(records: &mut Records, endpoint: &Endpoint, listed: &[EndpointPort], name: &str) {
    let Some(address) = object::address(endpoint) else { return };
    let hostname = endpoint.hostname.as_deref().filter(|name| !name.is_empty());
    let label = hostname.map_or_else(|| names::dashed(address), str::to_lowercase);
    let own = format!("{label}.{name}");
    records.add(name, Record::Address(address));
    records.add(own.as_str(), Record::Address(address));
    records.add(names::reverse(address), Record::Pointer(own.clone()));
    let listed = listed.iter().filter_map(|port| Some((port.name.as_str(), port.protocol.as_str(), port.port?)));
    ports(records, listed, name, &own);
}

/// SRV of those ports that have a name.
fn ports<'a>(records: &mut Records, ports: impl Iterator<Item = (&'a str, &'a str, u16)>, name: &str, target: &str) {
    for (port, protocol, number) in ports.filter(|(port, _, _)| !port.is_empty()) {
        let protocol = if protocol.is_empty() { "tcp" } else { protocol };
        let label = format!("_{port}._{protocol}").to_lowercase();
        records.add(format!("{label}.{name}"), Record::Service(number, target.to_owned()));
    }
}
