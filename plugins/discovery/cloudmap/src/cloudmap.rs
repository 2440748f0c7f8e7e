//! Records as AWS Cloud Map makes them of the instances of a service.

use discovery_common::object::annotation;
use discovery_common::{Record, Records, names};
use gantry_sdk::api::Service;

use crate::instance::Instance;
use crate::options::{Namespace, may};

/// The namespace that the Service is to be found in.
const NAMESPACE: &str = "servicediscovery.gantry.dev/namespace";
/// What it is called there; without, by its own name. May have several parts: `_web._tcp`.
const SERVICE: &str = "servicediscovery.gantry.dev/service";
/// `A` (of instances with IPv6 addresses that is AAAA) or `SRV`.
const RECORDS: &str = "servicediscovery.gantry.dev/records";
/// Name or number of the port that SRV records say; without, the first one.
const PORT: &str = "servicediscovery.gantry.dev/port";

/// Adds the records of the Service `name` of a Kubernetes namespace to what it has.
pub fn register(
    records: &mut Records,
    namespace: &Namespace,
    (within, name): (&str, &str),
    service: &Service,
    instances: &[Instance],
) {
    let wanted = match annotation(service, NAMESPACE) {
        "" => namespace.all,
        asked => names::plain(asked).is_some_and(|asked| asked == namespace.name),
    };
    if !wanted || !may(&namespace.from, within) {
        return;
    }
    let called = match annotation(service, SERVICE) {
        "" => name,
        called => called,
    };
    // What is no name has none: a Service's own always is one.
    let Some(name) = names::plain(&format!("{called}.{}", namespace.name)) else { return };
    let srv = annotation(service, RECORDS).eq_ignore_ascii_case("srv");
    for instance in instances {
        match instance {
            Instance::Elsewhere(outside) => records.add(name.as_str(), Record::Alias(outside.clone())),
            Instance::Here(here) if srv => {
                let own = format!("{}.{name}", here.id);
                if let Some(port) = here.port(annotation(service, PORT)) {
                    records.add(name.as_str(), Record::Service(port, own.clone()));
                    records.add(own, Record::Address(here.address));
                }
            }
            Instance::Here(here) => records.add(name.as_str(), Record::Address(here.address)),
        }
    }
}
