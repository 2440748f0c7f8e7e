//! What one Service means, together with the slices that list its endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gantry_sdk::discovery::{Data, Service as Srv};

use crate::names;
use crate::object::{Endpoint, Port, Service, Slice};

/// By name; of each the records of one Service, in a steady order and each once.
pub type Records = BTreeMap<String, BTreeSet<Record>>;

/// `Data`, with an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// A or AAAA
    Address(IpAddr),
    /// CNAME
    Alias(String),
    /// PTR
    Pointer(String),
    /// SRV
    Service(u16, String),
    /// TXT
    Text(String),
}

/// All SRV records of a name are equal: one is as good as another.
const WEIGHT: u16 = 100;

impl From<&Record> for Data {
    fn from(record: &Record) -> Self {
        match record {
            Record::Address(IpAddr::V4(address)) => Data::A(address.to_string()),
            Record::Address(IpAddr::V6(address)) => Data::Aaaa(address.to_string()),
            Record::Alias(name) => Data::Cname(name.clone()),
            Record::Pointer(name) => Data::Ptr(name.clone()),
            Record::Service(port, target) => {
                Data::Srv(Srv { priority: 0, weight: WEIGHT, port: *port, target: target.clone() })
            }
            Record::Text(text) => Data::Txt(vec![text.clone()]),
        }
    }
}

/// `web.default.svc.cluster.local`
pub fn name(namespace: &str, service: &str, zone: &str) -> String {
    format!("{service}.{namespace}.svc.{zone}")
}

/// The records of the Service with this name.
pub fn of<'a>(service: &Service, slices: impl Iterator<Item = &'a Slice>, name: &str) -> Records {
    let mut records = Records::new();
    if service.is_external() {
        if let Some(outside) = names::plain(&service.spec.external_name) {
            add(&mut records, name.to_owned(), Record::Alias(outside));
        }
    } else if service.is_headless() {
        for slice in slices {
            let publish = service.spec.publish_not_ready_addresses;
            let counts = |endpoint: &&Endpoint| publish || endpoint.conditions.ready.unwrap_or(true);
            slice.endpoints.iter().filter(counts).for_each(|e| endpoint(&mut records, e, &slice.ports, name));
        }
    } else {
        virtual_addresses(&mut records, service, name);
    }
    records
}

fn virtual_addresses(records: &mut Records, service: &Service, name: &str) {
    for address in service.addresses().filter_map(|text| text.parse::<IpAddr>().ok()) {
        add(records, name.to_owned(), Record::Address(address));
        add(records, names::reverse(address), Record::Pointer(name.to_owned()));
    }
    if records.is_empty() {
        return;
    }
    ports(records, &service.spec.ports, name, name);
}

/// One of a headless Service. It always has a name of its own, for SRV and PTR to lead to.
fn endpoint(records: &mut Records, endpoint: &Endpoint, listed: &[Port], name: &str) {
    let Some(address) = endpoint.addresses.first().and_then(|text| text.parse::<IpAddr>().ok()) else { return };
    let label = match endpoint.hostname.as_str() {
        "" => names::dashed(address),
        hostname => hostname.to_lowercase(),
    };
    let own = format!("{label}.{name}");
    add(records, name.to_owned(), Record::Address(address));
    add(records, own.clone(), Record::Address(address));
    add(records, names::reverse(address), Record::Pointer(own.clone()));
    ports(records, listed, name, &own);
}

fn ports(records: &mut Records, ports: &[Port], name: &str, target: &str) {
    for port in ports {
        if let Some(label) = port.label() {
            add(records, format!("{label}.{name}"), Record::Service(port.port, target.to_owned()));
        }
    }
}

fn add(records: &mut Records, name: String, record: Record) {
    records.entry(name).or_default().insert(record);
}
