//! One pass over a Service.

use std::time::Duration;

use gantry_sdk::api::{Condition, Resource, Time};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Event, Write};
use gantry_sdk::{ObjectRef, Result, Value, json, merge, serde_json};

use crate::allocate::{self, Allocation, Refusal};
use crate::endpoints::{self, Zones};
use crate::object::Service;
use crate::options::Options;
use crate::{frontend, kubernetes};

/// Whether a Service has what it asks for. There only for those that once had not.
const ALLOCATED: &str = "gantry.dev/Allocated";
/// When one that was refused something is looked at again: what it wants may have become free.
const AGAIN: Duration = Duration::from_secs(15);
/// When one whose endpoints are hinted at zones is looked at again: nodes may have come, gone or moved. They are not watched,
/// since each change of one would wake every such Service.
const ZONES_AGAIN: Duration = Duration::from_secs(60);
/// As long as Kubernetes'.
const AFFINITY_SECONDS: u32 = 10_800;

/// Brings everything that follows from a Service in line.
pub fn reconcile(options: &Options, zones: &mut Zones, now: Time, key: &ObjectRef) -> Result<Outcome> {
    kubernetes::ensure(options, key)?;
    let Some(mut raw) = objects::get::<Value>(key)? else {
        frontend::remove(&key.namespace, &key.name, None)?;
        allocate::release_all(&key.namespace, &key.name)?;
        return Ok(Outcome::Done);
    };
    let mut service: Service = serde_json::from_value(raw.clone())?;
    // One of the same name that was there before leads to addresses that are to be given away.
    frontend::remove(service.namespace(), service.name(), Some(service.uid()))?;
    let allocation = allocate::settle(options, &service)?;
    if let Some(patch) = completed(&service, &raw, &allocation) {
        let write = Write::patch(key.clone(), &json!({ "spec": patch }));
        objects::apply_one(write.if_uid(service.uid()).if_version(&service.metadata.resource_version))?;
        if let Some(spec) = raw.get_mut("spec") {
            merge::apply(spec, &patch);
        }
        service = serde_json::from_value(raw)?;
    }
    let hinted = endpoints::sync(&service, zones)?;
    frontend::sync(&service, &allocation)?;
    allocation.release_rest(&service)?;
    tell(&service, &allocation.refusals, now)?;
    Ok(match (allocation.refusals.is_empty(), hinted) {
        (false, _) => Outcome::after(AGAIN),
        (true, true) => Outcome::after(ZONES_AGAIN),
        (true, false) => Outcome::Done,
    })
}

/// The patch of the spec that fills in what was allocated and what follows from the type.
fn completed(service: &Service, raw: &Value, allocation: &Allocation) -> Option<Value> {
    let before = raw.get("spec").cloned().unwrap_or_else(|| json!({}));
    let mut after = before.clone();
    let spec = after.as_object_mut()?;
    let mut set = |name: &str, value: Option<Value>| match value {
        Some(value) => drop(spec.insert(name.to_owned(), value)),
        None => drop(spec.remove(name)),
    };
    let or = |given: &str, default: &str| Some(json!(if given.is_empty() { default } else { given }));
    let wanted = &service.spec;
    if service.is_name() {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            set(field, None);
        }
    } else {
        let address = if service.is_headless() { Some("None") } else { allocation.address.as_deref() };
        if let Some(address) = address {
            set("clusterIP", Some(json!(address)));
            set("clusterIPs", Some(json!([address])));
        }
        set("ipFamilies", Some(json!(["IPv4"])));
        set("ipFamilyPolicy", or(&wanted.ip_family_policy, "SingleStack"));
        set("internalTrafficPolicy", or(&wanted.internal_traffic_policy, "Cluster"));
    }
    match service.is_external() && !service.is_name() {
        true => set("externalTrafficPolicy", or(&wanted.external_traffic_policy, "Cluster")),
        false => set("externalTrafficPolicy", None),
    }
    let allocates = wanted.allocate_load_balancer_node_ports.unwrap_or(true);
    set("allocateLoadBalancerNodePorts", service.is_balanced().then(|| json!(allocates)));
    match allocation.health_port {
        // What was refused stays as the user wrote it.
        0 if wanted.wants_health_port() => {}
        0 => set("healthCheckNodePort", None),
        number => set("healthCheckNodePort", Some(json!(number))),
    }
    match wanted.session_affinity.as_str() {
        "ClientIP" if wanted.session_affinity_config.is_none() => {
            set("sessionAffinityConfig", Some(json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}})));
        }
        "ClientIP" => {}
        _ => set("sessionAffinityConfig", None),
    }
    set_node_ports(&mut after, service, &allocation.node_ports);
    merge::diff(&before, &after)
}

fn set_node_ports(spec: &mut Value, service: &Service, numbers: &[u16]) {
    let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut) else { return };
    for ((port, number), known) in ports.iter_mut().zip(numbers).zip(&service.spec.ports) {
        let Some(port) = port.as_object_mut() else { continue };
        match number {
            // What was refused stays as the user wrote it.
            0 if service.spec.may_have_node_ports() => {}
            0 => drop(port.remove("nodePort")),
            number if *number == known.node_port => {}
            number => drop(port.insert("nodePort".to_owned(), json!(number))),
        }
    }
}

/// Says what was refused: an Event each, and a condition.
fn tell(service: &Service, refusals: &[Refusal], now: Time) -> Result<()> {
    let known = Condition::find(&service.status.conditions, ALLOCATED);
    let condition = match (refusals, known) {
        ([], None) => return Ok(()),
        ([], Some(_)) => Condition::new(ALLOCATED, true, "Allocated", "it has what it asks for", now),
        ([first, ..], _) => {
            let all: Vec<&str> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
            Condition::new(ALLOCATED, false, first.reason, all.join("; "), now)
        }
    };
    let events: Vec<Event> =
        refusals.iter().map(|refusal| Event::warning(service, refusal.reason, refusal.message.clone())).collect();
    objects::record(&events);
    if known.is_some_and(|known| known.status == condition.status && known.message == condition.message) {
        return Ok(());
    }
    let mut conditions = service.status.conditions.clone();
    Condition::set(&mut conditions, condition);
    let write = Write::patch_status(service.reference(), &json!({"status": {"conditions": conditions}}));
    match objects::apply_one(write.if_uid(service.uid())) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
