//! From a Service of the type LoadBalancer to a Frontend of the class `elb`, and back the name at which it is reached.

use std::collections::BTreeMap;

use gantry_sdk::api::{Condition, EndpointSlice, Frontend, ObjectMeta, Resource, Service};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Event, Write};
use gantry_sdk::{Error, ObjectRef, Result, Value, json, merge, serde_json};

use crate::options::Options;
use crate::pass::CLASS;
use crate::settings::PREFIX;
use crate::tell::{self, HOSTNAME};

/// The condition of a Service: whether its load balancer is what it asks for.
const BALANCED: &str = "LoadBalancerReady";

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
            publish(&service, None, None)?;
        }
        (None, true) => drop(objects::apply_one(Write::create(&document(&service, &target))?)?),
        (Some(found), true) => {
            change(&service, found)?;
            publish(&service, found.metadata.annotations.get(HOSTNAME), tell::ready(found))?;
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
    // The schema knows no `null`; in a patch it takes away what was there.
    let affinity = match service.spec.session_affinity.as_str() {
        "ClientIP" => {
            let config = service.spec.session_affinity_config.as_ref();
            json!({"type": "ClientIP", "timeoutSeconds": config.and_then(|all| all.pointer("/clientIP/timeoutSeconds"))})
        }
        _ => json!({"type": "None", "timeoutSeconds": null}),
    };
    json!({
        "class": CLASS,
        "ports": ports,
        "sourceRanges": service.spec.load_balancer_source_ranges,
        "sessionAffinity": affinity,
        "backends": {"selector": {"matchLabels": {(EndpointSlice::SERVICE_NAME): service.name()}}},
        "trafficPolicy": {"external": external},
    })
}

/// Those that are meant for this plugin.
fn annotations(metadata: &ObjectMeta) -> BTreeMap<String, String> {
    let ours = metadata.annotations.iter().filter(|(key, _)| key.starts_with(PREFIX));
    ours.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn document(service: &Service, target: &ObjectRef) -> Frontend {
    let mut metadata = ObjectMeta::named(service.namespace(), &target.name);
    metadata.labels.insert(EndpointSlice::SERVICE_NAME.to_owned(), service.name().to_owned());
    metadata.annotations = annotations(&service.metadata);
    metadata.owner_references = vec![service.controller_reference()];
    let mut all = json!({});
    merge::apply(&mut all, &spec(service));
    Frontend::new(metadata, all)
}

fn change(service: &Service, found: &Frontend) -> Result<()> {
    let mut patch = serde_json::Map::new();
    // What the schema filled in, and the Service does not say, stays.
    let mut after = found.spec.clone();
    merge::apply(&mut after, &spec(service));
    if let Some(spec) = merge::diff(&found.spec, &after) {
        patch.insert("spec".to_owned(), spec);
    }
    let (known, wanted) = (annotations(&found.metadata), annotations(&service.metadata));
    if known != wanted {
        let over = known.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
        let said = wanted.iter().map(|(key, value)| (key.clone(), json!(value)));
        let all: serde_json::Map<String, Value> = over.chain(said).collect();
        patch.insert("metadata".to_owned(), json!({ "annotations": all }));
    }
    if patch.is_empty() {
        return Ok(());
    }
    objects::apply_one(Write::patch(found.reference(), &Value::Object(patch)).if_uid(found.uid())).map(drop)
}

/// Says in the Service where it is reached, and whether what its Frontend asks for is there.
fn publish(service: &Service, hostname: Option<&String>, ready: Option<&Condition>) -> Result<()> {
    let mut status = serde_json::Map::new();
    let known = service.status.load_balancer.ingress.iter().map(|ingress| &ingress.hostname);
    if !known.eq(hostname) {
        let wanted: Vec<Value> = hostname.iter().map(|name| json!({ "hostname": name })).collect();
        status.insert("loadBalancer".to_owned(), json!({ "ingress": wanted }));
    }
    let conditions = conditions(service, ready);
    if conditions != service.status.conditions {
        status.insert("conditions".to_owned(), json!(conditions));
    }
    if status.is_empty() {
        return Ok(());
    }
    let status = json!({ "status": status });
    objects::settle(Write::patch_status(service.reference(), &status).if_uid(service.uid()))
}

/// Those of the Service with this plugin's. What must be put right by whoever wrote the Service is an Event too, once.
fn conditions(service: &Service, ready: Option<&Condition>) -> Vec<Condition> {
    let mut all = service.status.conditions.clone();
    let Some(ready) = ready else {
        all.retain(|condition| condition.condition_type != BALANCED);
        return all;
    };
    let known = Condition::find(&all, BALANCED).map(|known| (&known.reason, &known.message));
    if !ready.holds() && ready.reason != tell::PROVISIONING && known != Some((&ready.reason, &ready.message)) {
        objects::record(&[Event::warning(service, &ready.reason, ready.message.clone())]);
    }
    Condition::set(&mut all, Condition { condition_type: BALANCED.to_owned(), ..ready.clone() });
    all
}
