//! Endpoints: written for clients that know nothing newer, and read where a Service selects no pods.

use std::collections::BTreeMap;

use gantry_sdk::api::{ObjectMeta, Resource};
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{ObjectRef, Result, json, merge, serde_json};

use super::listed::Listed;
use crate::object::{
    Endpoint, EndpointConditions, EndpointPort, Endpoints, EndpointsAddress, EndpointsPort, Service, Subset,
};

/// As Kubernetes marks Endpoints that follow from pods.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// As many as Kubernetes writes.
const MOST: usize = 1_000;

fn reference(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef::of::<Endpoints>(namespace, name)
}

fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints.metadata.labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
}

/// Makes the Endpoints of a Service list who serves it.
pub fn write(service: &Service, listed: &[Listed]) -> Result<()> {
    let target = reference(service.namespace(), service.name());
    let (subsets, cut) = subsets(listed);
    let found = objects::get::<Endpoints>(&target)?;
    let mut metadata = ObjectMeta::named(service.namespace(), service.name());
    metadata.labels.clone_from(&service.metadata.labels);
    metadata.labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if cut {
        metadata.annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    }
    metadata.owner_references = vec![service.controller_reference()];
    let Some(found) = found else {
        return objects::apply_one(Write::create(&Endpoints { metadata, subsets })?).map(drop);
    };
    let owned = found.metadata.is_controlled_by(service.uid());
    let labels = merge::diff(&json!(found.metadata.labels), &json!(metadata.labels));
    let told = found.metadata.annotations.contains_key(OVER_CAPACITY);
    if owned && found.subsets == subsets && labels.is_none() && told == cut {
        return Ok(());
    }
    let patch = json!({
        "metadata": {
            "labels": labels.unwrap_or_else(|| json!({})),
            "annotations": {OVER_CAPACITY: cut.then_some("truncated")},
            "ownerReferences": metadata.owner_references,
        },
        "subsets": serde_json::to_value(&subsets)?,
    });
    objects::apply_one(Write::patch(target, &patch).if_uid(found.uid())).map(drop)
}

/// Removes the Endpoints of a Service that has none any more.
pub fn remove(service: &Service) -> Result<()> {
    let target = reference(service.namespace(), service.name());
    let Some(found) = objects::get::<Endpoints>(&target)?.filter(is_ours) else { return Ok(()) };
    objects::settle(Write::delete(target).if_uid(found.uid()))
}

/// Who serves a Service according to Endpoints that somebody wrote by hand.
pub fn read(namespace: &str, name: &str) -> Result<Vec<Listed>> {
    let Some(found) = objects::get::<Endpoints>(&reference(namespace, name))? else { return Ok(Vec::new()) };
    if found.metadata.labels.get(SKIP).is_some_and(|skip| skip == "true") || is_ours(&found) {
        return Ok(Vec::new());
    }
    Ok(found.subsets.iter().flat_map(mirrored).collect())
}

fn mirrored(subset: &Subset) -> Vec<Listed> {
    let protocol =
        |port: &EndpointsPort| if port.protocol.is_empty() { "TCP".to_owned() } else { port.protocol.clone() };
    let ports: Vec<EndpointPort> = subset
        .ports
        .iter()
        .map(|port| EndpointPort {
            name: port.name.clone(),
            protocol: protocol(port),
            port: Some(port.port),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    let one = |address: &EndpointsAddress, ready: bool| Listed {
        ports: ports.clone(),
        endpoint: Endpoint {
            addresses: vec![address.ip.clone()],
            conditions: EndpointConditions { ready: Some(ready), serving: None, terminating: None },
            hostname: address.hostname.clone(),
            node_name: address.node_name.clone(),
            zone: None,
            target_ref: address.target_ref.clone(),
            hints: None,
        },
    };
    // An EndpointSlice of addresses of the other family would be another slice; there is one family here.
    let v4 = |address: &&EndpointsAddress| address.ip.parse::<std::net::Ipv4Addr>().is_ok();
    let ready = subset.addresses.iter().filter(v4).map(|a| one(a, true));
    let not_ready = subset.not_ready_addresses.iter().filter(v4).map(|a| one(a, false));
    ready.chain(not_ready).collect()
}

/// Subsets by their ports, and whether some did not fit.
fn subsets(listed: &[Listed]) -> (Vec<Subset>, bool) {
    // Those that serve come first, so that they are not the ones that are cut.
    let mut all: Vec<&Listed> = listed.iter().filter(|l| counts(&l.endpoint)).collect();
    all.sort_by_key(|l| (!l.endpoint.conditions.is_ready(), l.endpoint.addresses.clone()));
    let mut by_ports: BTreeMap<Vec<EndpointsPort>, Subset> = BTreeMap::new();
    for Listed { ports, endpoint } in all.iter().take(MOST) {
        let ports: Vec<EndpointsPort> = ports.iter().map(port).collect();
        let subset = by_ports.entry(ports.clone()).or_insert_with(|| Subset { ports, ..Subset::default() });
        let address = EndpointsAddress {
            ip: endpoint.addresses.first().cloned().unwrap_or_default(),
            hostname: endpoint.hostname.clone(),
            node_name: endpoint.node_name.clone(),
            target_ref: endpoint.target_ref.clone(),
        };
        match endpoint.conditions.is_ready() {
            true => subset.addresses.push(address),
            false => subset.not_ready_addresses.push(address),
        }
    }
    (by_ports.into_values().collect(), all.len() > MOST)
}

/// Old clients do not know of endpoints that are going.
fn counts(endpoint: &Endpoint) -> bool {
    endpoint.conditions.is_ready() || endpoint.conditions.terminating != Some(true)
}

fn port(port: &EndpointPort) -> EndpointsPort {
    EndpointsPort {
        name: port.name.clone(),
        port: port.port.unwrap_or_default(),
        protocol: port.protocol.clone(),
        app_protocol: port.app_protocol.clone(),
    }
}
