//! Records as Consul has them: of a service, of those of its instances with a tag, and of the instances' addresses.
//!
//! Annotations are those of Consul's own catalog sync for Kubernetes.

use std::net::IpAddr;

use discovery_common::object::annotation;
use discovery_common::{Record, Records, names};
use gantry_sdk::api::Service;

use crate::instance::{Here, Instance};
use crate::options::{Consul, may};

/// `false`: the Service has no names; `true`: it has.
const SYNC: &str = "consul.hashicorp.com/service-sync";
/// What it is called; without, by its own name.
const NAME: &str = "consul.hashicorp.com/service-name";
/// Name or number of the port that SRV records say; without, the first one.
const PORT: &str = "consul.hashicorp.com/service-port";
/// Separated by commas.
const TAGS: &str = "consul.hashicorp.com/service-tags";

/// Adds the records of the Service `name` of a Kubernetes namespace to what it has.
pub fn register(
    records: &mut Records,
    consul: &Consul,
    (within, name): (&str, &str),
    service: &Service,
    instances: &[Instance],
) {
    let wanted = match annotation(service, SYNC) {
        "" => consul.all,
        sync => sync.eq_ignore_ascii_case("true"),
    };
    if !wanted || !may(&consul.from, within) {
        return;
    }
    let called = match annotation(service, NAME) {
        "" => name,
        called => called,
    };
    let Some(service_name) = names::label(called) else { return };
    let tags: Vec<String> = annotation(service, TAGS).split(',').filter_map(|tag| names::label(tag.trim())).collect();
    let found = found_at(consul, &service_name, &tags);
    for instance in instances {
        match instance {
            Instance::Elsewhere(outside) => {
                for name in &found {
                    records.add(name.as_str(), Record::Alias(outside.clone()));
                }
            }
            Instance::Here(here) => one(records, consul, here, annotation(service, PORT), &found),
        }
    }
}

/// All names of a service: with and without the data center, plain, by tag, and as RFC 2782 has them.
fn found_at(Consul { domain, datacenter, .. }: &Consul, service: &str, tags: &[String]) -> Vec<String> {
    let below = [format!("service.{domain}"), format!("service.{datacenter}.{domain}")];
    let mut found = Vec::new();
    for below in below {
        found.push(format!("{service}.{below}"));
        found.push(format!("_{service}._tcp.{below}"));
        for tag in tags {
            found.push(format!("{tag}.{service}.{below}"));
            if tag != "tcp" {
                found.push(format!("_{service}._{tag}.{below}"));
            }
        }
    }
    found.retain(|name| names::plain(name).is_some());
    found
}

fn one(records: &mut Records, Consul { domain, datacenter, .. }: &Consul, here: &Here, port: &str, found: &[String]) {
    let own = format!("{}.addr.{datacenter}.{domain}", digits(here.address));
    records.add(own.as_str(), Record::Address(here.address));
    let port = here.port(port);
    for name in found {
        records.add(name.as_str(), Record::Address(here.address));
        if let Some(port) = port {
            records.add(name.as_str(), Record::Service(port, own.clone()));
        }
    }
}

/// The address in hexadecimal digits.
fn digits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08x}", u32::from(address)),
        IpAddr::V6(address) => format!("{:032x}", u128::from(address)),
    }
}
