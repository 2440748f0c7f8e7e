//! EndpointSlices: endpoints with the same ports, at most a hundred in each. One that is listed stays in its slice, so
//! that a change of one endpoint is a change of one slice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gantry_sdk::api::{LabelSelector, ObjectMeta, Resource};
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{Result, json, merge, serde_json};

use super::hints::Hinting;
use super::listed::Listed;
use crate::allocate::hash;
use crate::object::{Endpoint, EndpointPort, EndpointSlice, Service};

/// Who keeps slices made from pods, as Kubernetes names it.
pub const POD_SLICES: &str = "endpointslice-controller.k8s.io";
/// Who keeps slices made from Endpoints.
pub const MIRRORED_SLICES: &str = "endpointslicemirroring-controller.k8s.io";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const HEADLESS: &str = "service.kubernetes.io/headless";
const MOST: usize = 100;

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    create: Vec<(Vec<EndpointPort>, Vec<Endpoint>)>,
    /// Slices by their position, with their new endpoints.
    change: BTreeMap<usize, Vec<Endpoint>>,
    delete: BTreeSet<usize>,
}

/// Brings the slices of a Service in line with who serves it.
pub fn sync(service: &Service, manager: &str, mut listed: Vec<Listed>, hinting: &Hinting) -> Result<()> {
    let of_service = LabelSelector::labels([(EndpointSlice::SERVICE_NAME, service.name())]);
    let query = Query::of::<EndpointSlice>().namespace(service.namespace()).owner(service.uid()).labels(of_service);
    let mut slices: Vec<EndpointSlice> = objects::list(&query)?;
    slices.retain(|slice| slice.metadata.is_controlled_by(service.uid()) && !slice.metadata.is_deleting());
    hinting.apply(&slices, &mut listed);
    let labels = labels(service, manager);
    let plan = plan(&slices, listed);
    let mut writes = Vec::new();
    let mut names: BTreeSet<String> = slices.iter().map(|slice| slice.name().to_owned()).collect();
    for (ports, endpoints) in plan.create {
        writes.push(create(service, &labels, &mut names, ports, endpoints)?);
    }
    for (at, slice) in slices.iter().enumerate() {
        if plan.delete.contains(&at) {
            writes.push(Write::delete(slice.reference()).if_uid(slice.uid()));
            continue;
        }
        let mut patch = json!({});
        if let (Some(endpoints), Some(patch)) = (plan.change.get(&at), patch.as_object_mut()) {
            patch.insert("endpoints".to_owned(), serde_json::to_value(endpoints)?);
        }
        if let Some(labels) = merge::diff(&json!(slice.metadata.labels), &json!(labels)) {
            merge::apply(&mut patch, &json!({"metadata": {}}));
            if let Some(metadata) = patch.get_mut("metadata").and_then(|m| m.as_object_mut()) {
                metadata.insert("labels".to_owned(), labels);
            }
        }
        if patch != json!({}) {
            writes.push(Write::patch(slice.reference(), &patch).if_uid(slice.uid()));
        }
    }
    for answer in objects::apply(&writes) {
        match answer {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The Service's own, and those by which the slice is found.
fn labels(service: &Service, manager: &str) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone();
    labels.remove(HEADLESS);
    labels.insert(EndpointSlice::SERVICE_NAME.to_owned(), service.name().to_owned());
    labels.insert(MANAGED_BY.to_owned(), manager.to_owned());
    if service.is_headless() {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}

fn create(
    service: &Service,
    labels: &BTreeMap<String, String>,
    names: &mut BTreeSet<String>,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
) -> Result<Write> {
    // From the uid, so that it differs from those of an earlier Service that are still being collected; counted, so that
    // a second try after a crash makes no second slice.
    let name_of = |n: usize| format!("{}-{:05x}", service.name(), hash(&format!("{}/{n}", service.uid())) & 0xf_ffff);
    let name =
        (0..=names.len()).map(name_of).find(|name| !names.contains(name)).unwrap_or_else(|| name_of(names.len()));
    names.insert(name.clone());
    let mut metadata = ObjectMeta::named(service.namespace(), name);
    metadata.labels.clone_from(labels);
    metadata.owner_references = vec![service.controller_reference()];
    Write::create(&EndpointSlice { metadata, address_type: "IPv4".to_owned(), ports, endpoints })
}

fn plan(slices: &[EndpointSlice], listed: Vec<Listed>) -> Plan {
    let mut wanted: BTreeMap<Vec<EndpointPort>, Vec<Endpoint>> = BTreeMap::new();
    for Listed { ports, endpoint } in listed {
        wanted.entry(ports).or_default().push(endpoint);
    }
    let mut plan = Plan::default();
    for (at, slice) in slices.iter().enumerate() {
        if !wanted.contains_key(&slice.ports) {
            plan.delete.insert(at);
        }
    }
    for (ports, endpoints) in wanted {
        let own: Vec<usize> =
            (0..slices.len()).filter(|at| slices.get(*at).is_some_and(|s| s.ports == ports)).collect();
        pack(slices, &own, ports, endpoints, &mut plan);
    }
    plan
}

/// Endpoints of one set of ports into its slices.
fn pack(slices: &[EndpointSlice], own: &[usize], ports: Vec<EndpointPort>, endpoints: Vec<Endpoint>, plan: &mut Plan) {
    let mut left: HashMap<String, Endpoint> = HashMap::new();
    let mut order = Vec::new();
    for endpoint in endpoints {
        let identity = Listed::identity(&endpoint).to_owned();
        if left.insert(identity.clone(), endpoint).is_none() {
            order.push(identity);
        }
    }
    let mut after: Vec<(usize, Vec<Endpoint>)> = Vec::new();
    for at in own {
        let before = slices.get(*at).map(|slice| slice.endpoints.as_slice()).unwrap_or_default();
        after.push((*at, before.iter().filter_map(|e| left.remove(Listed::identity(e))).collect()));
    }
    let mut new = order.iter().filter_map(|identity| left.remove(identity));
    // The fullest first: few slices change, and those that are almost empty get empty.
    after.sort_by_key(|(at, endpoints)| (std::cmp::Reverse(endpoints.len()), *at));
    for (_, endpoints) in &mut after {
        endpoints.extend(new.by_ref().take(MOST.saturating_sub(endpoints.len())));
    }
    for (at, endpoints) in after {
        if endpoints.is_empty() {
            plan.delete.insert(at);
        } else if slices.get(at).is_some_and(|slice| slice.endpoints != endpoints) {
            plan.change.insert(at, endpoints);
        }
    }
    let rest: Vec<Endpoint> = new.collect();
    plan.create.extend(rest.chunks(MOST).map(|chunk| (ports.clone(), chunk.to_vec())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listed(number: u32, port: u16, ready: bool) -> Listed {
        let mut endpoint =
            Endpoint { addresses: vec![format!("10.0.{}.{}", number / 250, number % 250)], ..Endpoint::default() };
        endpoint.conditions.ready = Some(ready);
        Listed { ports: vec![EndpointPort { port: Some(port), ..EndpointPort::default() }], endpoint }
    }

    /// What the slices are after a plan.
    fn applied(slices: &[EndpointSlice], plan: &Plan) -> Vec<EndpointSlice> {
        let mut out = Vec::new();
        for (at, slice) in slices.iter().enumerate().filter(|(at, _)| !plan.delete.contains(at)) {
            let endpoints = plan.change.get(&at).unwrap_or(&slice.endpoints).clone();
            out.push(EndpointSlice { endpoints, ..slice.clone() });
        }
        let new = plan.create.iter().cloned();
        out.extend(new.map(|(ports, endpoints)| EndpointSlice { ports, endpoints, ..EndpointSlice::default() }));
        out
    }

    #[test]
    fn one_change_is_a_change_of_one_slice() {
        let all: Vec<Listed> = (0..250).map(|n| listed(n, 80, true)).collect();
        let slices = applied(&[], &plan(&[], all.clone()));
        assert_eq!(slices.iter().map(|s| s.endpoints.len()).collect::<Vec<_>>(), [100, 100, 50]);
        let mut changed = all.clone();
        changed[120].endpoint.conditions.ready = Some(false);
        let next = plan(&slices, changed.clone());
        assert_eq!((next.change.len(), next.create.len(), next.delete.len()), (1, 0, 0));
        changed.remove(3);
        changed.push(listed(999, 80, true));
        let next = plan(&slices, changed);
        assert_eq!((next.change.len(), next.create.len(), next.delete.len()), (2, 0, 0));
        let next = plan(&slices, vec![listed(1, 81, true)]);
        assert_eq!((next.change.len(), next.create.len(), next.delete.len()), (0, 1, 3));
    }

    proptest! {
        #[test]
        fn everyone_is_listed_once_and_a_second_pass_changes_nothing(
            steps in prop::collection::vec(prop::collection::btree_map(0_u32..400, (80_u16..83, any::<bool>()), 0..330), 1..5),
        ) {
            let mut slices = Vec::new();
            for step in steps {
                let wanted: Vec<Listed> = step.iter().map(|(n, (port, ready))| listed(*n, *port, *ready)).collect();
                let next = plan(&slices, wanted.clone());
                slices = applied(&slices, &next);
                let mut found: Vec<(String, Option<u16>, Option<bool>)> = slices.iter().flat_map(|slice| {
                    let port = slice.ports[0].port;
                    slice.endpoints.iter().map(move |e| (e.addresses[0].clone(), port, e.conditions.ready))
                }).collect();
                let mut want: Vec<_> = wanted.iter().map(|l| (l.endpoint.addresses[0].clone(), l.ports[0].port, l.endpoint.conditions.ready)).collect();
                found.sort();
                want.sort();
                prop_assert_eq!(found, want);
                prop_assert!(slices.iter().all(|s| (1..=MOST).contains(&s.endpoints.len())));
                prop_assert_eq!(plan(&slices, wanted), Plan::default());
            }
        }
    }
}
