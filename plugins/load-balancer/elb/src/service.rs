//! From a Service of the type LoadBalancer to a Frontend of the class `elb`, and back the name at which it is reached.

use gantry_sdk::api::{EndpointSlice, ObjectMeta, Resource, Service};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Event, Write};
use gantry_sdk::{Error, ObjectRef, Result, Value, json, merge, serde_json};

use crate::object::Frontend;
use crate::options::Options;
use crate::pass::CLASS;
use crate::settings::PREFIX;
use crate::tell::HOSTNAME;

/// The Frontend of a Service. `controller-services` has one of its own for the virtual address.
pub fn reference(namespace: &str, service: &str) -> ObjectRef {
    ObjectRef::of::<Frontend>(namespace, format!("elb-{service}"))
}

/// One pass over a Service.
pub fn reconcile(options: &Options, key: &ObjectRef) -> Result<Outcome> {
    let target = reference(&key.namespace, &key.name);
    let found = objects::get::<Frontend>(&target)?;
    // What becomes of its Frontend then is the garbage collection's business, and the finalizer's.
    let Some(service) = objects::get::<Service>(key)? else { return Ok(Outcome::Done) };
    let wanted =
        service.is_balanced() && service.spec.load_balancer_class == options.class && !service.metadata.is_deleting();
    let found = match found {
        Some(found) if !found.metadata.is_controlled_by(service.uid()) => {
            return if wanted { stranger(&service, &found) } else { Ok(Outcome::Done) };
        }
        found => found,
    };
    match (&found, wanted) {
        (None, false) => return Ok(Outcome::Done),
        (Some(found), false) => {
            if !found.metadata.is_deleting() {
                objects::apply_one(Write::delete(target).if_uid(found.uid()))?;
            }
            publish(&service, None)?;
        }
        (None, true) => drop(objects::apply_one(Write::create_json(&document(&service, &target)))?),
        (Some(found), true) => {
            change(&service, found)?;
            publish(&service, found.metadata.annotations.get(HOSTNAME))?;
        }
    }
    Ok(Outcome::Done)
}

fn stranger(service: &Service, found: &Frontend) -> Result<Outcome> {
    let message = format!("the name of Frontend {} is taken by one that is not of this Service", found.name());
    objects::record(&[Event::warning(service, "FrontendTaken", message.clone())]);
    Err(Error::conflict(message))
}

fn spec(service: &Service) -> Value {
    let ports: Vec<Value> = service
        .spec
        .ports
        .iter()
        .map(|port| {
            json!({"name": port.name, "protocol": port.protocol(), "port": port.port, "nodePort": port.node_port})
        })
        .collect();
    let external = if service.spec.external_traffic_policy == "Local" { "Local" } else { "Cluster" };
    json!({
        "class": CLASS,
        "ports": ports,
        "backends": {"selector": {"matchLabels": {(EndpointSlice::SERVICE_NAME): service.name()}}},
        "trafficPolicy": {"external": external},
    })
}

/// Those that are meant for this plugin.
fn annotations(metadata: &ObjectMeta) -> serde_json::Map<String, Value> {
    let ours = metadata.annotations.iter().filter(|(key, _)| key.starts_with(PREFIX));
    ours.map(|(key, value)| (key.clone(), json!(value))).collect()
}

fn document(service: &Service, target: &ObjectRef) -> Value {
    json!({
        "apiVersion": Frontend::api_version(), "kind": Frontend::KIND,
        "metadata": {
            "name": target.name, "namespace": target.namespace,
            "labels": {(EndpointSlice::SERVICE_NAME): service.name()},
            "annotations": annotations(&service.metadata),
            "ownerReferences": [service.controller_reference()],
        },
        "spec": spec(service),
    })
}

fn change(service: &Service, found: &Frontend) -> Result<()> {
    let target = found.reference();
    let now = objects::get::<Value>(&target)?.unwrap_or_default();
    let mut patch = serde_json::Map::new();
    // What the schema filled in, and the Service does not say, stays.
    let before = now.get("spec").cloned().unwrap_or_default();
    let mut after = before.clone();
    let wanted = spec(service);
    merge::apply(&mut after, &wanted);
    if let Some(spec) = merge::diff(&before, &after) {
        patch.insert("spec".to_owned(), spec);
    }
    let (known, wanted) = (annotations(&found.metadata), annotations(&service.metadata));
    if known != wanted {
        let over = known.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
        let all: serde_json::Map<String, Value> = over.chain(wanted.clone()).collect();
        patch.insert("metadata".to_owned(), json!({ "annotations": all }));
    }
    if patch.is_empty() {
        return Ok(());
    }
    objects::apply_one(Write::patch(target, &Value::Object(patch)).if_uid(found.uid())).map(drop)
}

/// Says in the Service where it is reached.
fn publish(service: &Service, hostname: Option<&String>) -> Result<()> {
    let known = service.status.load_balancer.ingress.iter().map(|ingress| &ingress.hostname);
    if known.eq(hostname) {
        return Ok(());
    }
    let wanted: Vec<Value> = hostname.iter().map(|name| json!({ "hostname": name })).collect();
    let status = json!({"status": {"loadBalancer": {"ingress": wanted}}});
    match objects::apply_one(Write::patch_status(service.reference(), &status).if_uid(service.uid())) {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}
