//! What one Service means, together with the slices that list its endpoints.

use std::net::IpAddr;

use discovery_common::object::{Endpoint, Port, Service, Slice};
use discovery_common::{Id, Record, Records, Scheme, Weights, names};

use crate::options::Options;

impl Scheme for Options {
    const WEIGHTS: Weights = Weights { priority: 0, weight: 100 };

    fn records<'a>(
        &self,
        (namespace, name): &Id,
        service: &'a Service,
        slices: impl Iterator<Item = &'a Slice>,
    ) -> Records {
        let name = format!("{name}.{namespace}.svc.{}", self.zone);
        let mut records = Records::default();
        if service.is_external() {
            if let Some(outside) = names::plain(&service.spec.external_name) {
                records.add(name, Record::Alias(outside));
            }
        } else if service.is_headless() {
            service.endpoints(slices).for_each(|(one, listed)| endpoint(&mut records, one, listed, &name));
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
    for address in service.addresses().filter_map(|text| text.parse::<IpAddr>().ok()) {
        records.add(name, Record::Address(address));
        records.add(names::reverse(address), Record::Pointer(name.to_owned()));
    }
    if records.is_empty() {
        return;
    }
    ports(records, &service.spec.ports, name, name);
}

/// One of a headless Service. It always has a name of its own, for SRV and PTR to lead to.
fn endpoint(records: &mut Records, endpoint: &Endpoint, listed: &[Port], name: &str) {
    let Some(address) = endpoint.address() else { return };
    let label = match endpoint.hostname.as_str() {
        "" => names::dashed(address),
        hostname => hostname.to_lowercase(),
    };
    let own = format!("{label}.{name}");
    records.add(name, Record::Address(address));
    records.add(own.as_str(), Record::Address(address));
    records.add(names::reverse(address), Record::Pointer(own.clone()));
    ports(records, listed, name, &own);
}

fn ports(records: &mut Records, ports: &[Port], name: &str, target: &str) {
    for port in ports {
        if let Some(label) = port.label() {
            records.add(format!("{label}.{name}"), Record::Service(port.port, target.to_owned()));
        }
    }
}
