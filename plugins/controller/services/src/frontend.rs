//! What load balancers see of a Service.

use gantry_sdk::api::{ObjectMeta, Resource};
use gantry_sdk::objects::{self, Event, Write};
use gantry_sdk::{Error, ObjectRef, Result, Value, json, merge};

use crate::allocate::Allocation;
use crate::object::{EndpointSlice, Frontend, Service};

/// The virtual addresses of a cluster, on every node.
const CLASS: &str = "cluster";

fn reference(namespace: &str, service: &str) -> ObjectRef {
    // Services share the kind with Ingresses and other orchestrators' services.
    ObjectRef::of::<Frontend>(namespace, format!("service-{service}"))
}

/// Removes the Frontend of a Service of this name, except the one of `but`.
pub fn remove(namespace: &str, service: &str, but: Option<&str>) -> Result<()> {
    let target = reference(namespace, service);
    let Some(found) = objects::get::<Frontend>(&target)? else { return Ok(()) };
    let owner = found.metadata.controller();
    match owner.filter(|owner| owner.kind == Service::KIND && owner.api_version == Service::api_version()) {
        Some(owner) if Some(owner.uid.as_str()) != but => delete(&found),
        _ => Ok(()),
    }
}

fn delete(frontend: &Frontend) -> Result<()> {
    objects::settle(Write::delete(frontend.reference()).if_uid(frontend.uid()))
}

/// Makes the Frontend say what the Service says.
pub fn sync(service: &Service, allocation: &Allocation) -> Result<()> {
    let target = reference(service.namespace(), service.name());
    let found = objects::get::<Frontend>(&target)?;
    let spec = spec(service, allocation);
    match (found, spec) {
        (None, None) => Ok(()),
        (Some(found), _) if !found.metadata.is_controlled_by(service.uid()) => stranger(service, &found),
        (Some(found), None) => delete(&found),
        (None, Some(spec)) => {
            let mut metadata = ObjectMeta::named(service.namespace(), target.name);
            metadata.labels.insert(EndpointSlice::SERVICE_NAME.to_owned(), service.name().to_owned());
            metadata.owner_references = vec![service.controller_reference()];
            objects::apply_one(Write::create(&Frontend::new(metadata, spec))?).map(drop)
        }
        (Some(found), Some(spec)) => match merge::diff(&found.spec, &spec) {
            Some(patch) => {
                objects::apply_one(Write::patch(target, &json!({ "spec": patch })).if_uid(found.uid())).map(drop)
            }
            None => Ok(()),
        },
    }
}

fn stranger(service: &Service, found: &Frontend) -> Result<()> {
    let message = format!("the name of Frontend {} is taken by one that is not of this Service", found.name());
    objects::record(&[Event::warning(service, "FrontendTaken", message.clone())]);
    Err(Error::conflict(message))
}

/// `None`: nothing leads to this Service.
fn spec(service: &Service, allocation: &Allocation) -> Option<Value> {
    let address = allocation.address.as_deref()?;
    if service.spec.ports.is_empty() {
        return None;
    }
    let ports: Vec<Value> = service
        .spec
        .ports
        .iter()
        .zip(&allocation.node_ports)
        .map(|(port, node_port)| {
            let mut value =
                json!({"name": port.name, "protocol": port.protocol(), "port": port.port, "nodePort": node_port});
            if let (Some(hint), Some(fields)) = (&port.app_protocol, value.as_object_mut()) {
                fields.insert("appProtocol".to_owned(), json!(hint));
            }
            value
        })
        .collect();
    let mut affinity = json!({"type": "None"});
    if service.spec.session_affinity == "ClientIP" {
        let seconds = service.spec.session_affinity_config.as_ref().and_then(|c| c.pointer("/clientIP/timeoutSeconds"));
        affinity = json!({"type": "ClientIP", "timeoutSeconds": seconds.cloned().unwrap_or(json!(10_800))});
    }
    let policy = |given: &str| if given == "Local" { "Local" } else { "Cluster" };
    let mut spec = json!({
        "class": CLASS,
        "addresses": [address],
        "externalAddresses": sorted(service.spec.external_ips.iter()),
        "ports": ports,
        "backends": {"selector": {"matchLabels": {(EndpointSlice::SERVICE_NAME): service.name()}}},
        "sessionAffinity": affinity,
        "trafficPolicy": {
            "internal": policy(&service.spec.internal_traffic_policy),
            "external": policy(&service.spec.external_traffic_policy),
        },
    });
    merge::apply(&mut spec, &balanced(service, allocation));
    Some(spec)
}

/// What load balancers outside have to do with it. Packets of those whose mode is `Proxy` come with another destination, and
/// need nothing here.
fn balanced(service: &Service, allocation: &Allocation) -> Value {
    if !service.is_balanced() {
        return json!({});
    }
    let ingress = service.status.load_balancer.ingress.iter();
    let kept = sorted(ingress.filter(|at| !at.ip.is_empty() && at.ip_mode != "Proxy").map(|at| &at.ip));
    let ranges = sorted(service.spec.load_balancer_source_ranges.iter());
    // As absent as it is for others: `null` in a patch is nothing.
    let some = |texts: Vec<&String>| if texts.is_empty() { Value::Null } else { json!(texts) };
    let health = if allocation.health_port == 0 { Value::Null } else { json!(allocation.health_port) };
    json!({"balancedAddresses": some(kept), "sourceRanges": some(ranges), "healthNodePort": health})
}

fn sorted<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    texts.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
