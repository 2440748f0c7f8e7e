//! Who takes the requests of a target group, and who is found by the name of a registry: EndpointSlices of the tasks that
//! run. A Frontend selects those of a group by its name; those of a registry are a Service's.

use std::collections::BTreeMap;

use ecs_common::TARGET_GROUP;
use gantry_sdk::api::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice, ObjectMeta, Resource, TargetRef};
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{Result, json};

use super::member::Member;
use super::object::{Deployment, Service, ServiceStatus, Target};
use super::words::Teller;

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The label of a Service's slices with its name.
const SERVICE: &str = "kubernetes.io/service-name";
/// What slices are of: the label that says whose they are, with its value, and a port.
type Key<'a> = (&'static str, &'a str, u16);
/// Endpoints of one slice.
const MOST: usize = 100;

/// Tasks that take requests, with where. What is to stop takes no more of them, before it does.
fn serving<'a>(
    deployments: &'a [Deployment],
    members: &'a [Member],
    stops: &'a [String],
) -> impl Iterator<Item = (&'a Member, &'a Target)> {
    let going = |member: &&Member| member.is_running() && !stops.contains(&member.id);
    members.iter().filter(going).flat_map(move |member| {
        let own = deployments.iter().find(|deployment| deployment.id == member.deployment);
        let targets = own.map(|own| own.template.targets.as_slice()).unwrap_or_default();
        targets.iter().map(move |target| (member, target))
    })
}

/// Tells which tasks come to load balancers, and which leave them.
pub fn tell(status: &mut ServiceStatus, members: &[Member], stops: &[String], teller: &Teller<'_>) {
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    let mut now: Vec<String> = Vec::new();
    let balanced = |(_, target): &(&Member, &Target)| !target.group.is_empty();
    for (member, target) in serving(&status.deployments, members, stops).filter(balanced) {
        if !status.registered.contains(&member.id) {
            *groups.entry(target.arn.clone()).or_default() += 1;
        }
        if !now.contains(&member.id) {
            now.push(member.id.clone());
        }
    }
    let gone = status.registered.iter().filter(|id| !now.contains(id)).count();
    let primary = status.deployments.iter().find(|deployment| deployment.is_primary());
    let known = primary.map(|primary| primary.template.targets.clone()).unwrap_or_default();
    status.registered = now;
    for (arn, count) in groups {
        teller.say(status, &format!("registered {count} targets in (target-group {arn})"));
    }
    for target in known.iter().filter(|target| gone > 0 && !target.group.is_empty()) {
        teller.say(status, &format!("deregistered {gone} targets in (target-group {})", target.arn));
    }
}

/// Brings the slices in line.
pub fn sync(service: &Service, status: &ServiceStatus, members: &[Member], stops: &[String]) -> Result<()> {
    let query = Query::of::<EndpointSlice>().namespace(service.namespace()).owner(service.uid());
    let old: Vec<EndpointSlice> = objects::list(&query)?;
    let new = slices(service, &status.deployments, members, stops);
    let mut writes = Vec::new();
    for slice in &new {
        match old.iter().find(|old| old.name() == slice.name()) {
            None => writes.push(Write::create(slice)?),
            Some(old) if old.endpoints != slice.endpoints => {
                let patch = json!({"endpoints": slice.endpoints});
                writes.push(Write::patch(old.reference(), &patch).if_uid(old.uid()));
            }
            Some(_) => {}
        }
    }
    let kept = |old: &&EndpointSlice| new.iter().any(|slice| slice.name() == old.name());
    writes.extend(old.iter().filter(|old| !kept(old)).map(|old| Write::delete(old.reference()).if_uid(old.uid())));
    for answer in objects::apply(&writes) {
        match answer {
            Err(error) if !error.is_not_found() && !error.is_already_exists() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The slices as they are to be, in the order of their names.
fn slices(service: &Service, deployments: &[Deployment], members: &[Member], stops: &[String]) -> Vec<EndpointSlice> {
    let mut groups: BTreeMap<Key<'_>, Vec<Endpoint>> = BTreeMap::new();
    for (member, target) in serving(deployments, members, stops) {
        // Slices have one family of addresses: the first, which every task has.
        let Some(address) = member.addresses.iter().find(|address| !address.contains(':')) else { continue };
        let conditions = EndpointConditions { ready: Some(true), serving: Some(true), terminating: Some(false) };
        let node_name = (!member.node.is_empty()).then(|| member.node.clone());
        // What has a name below that of its registry has that of its task.
        let target_ref = (!target.registry.is_empty()).then(|| pod(service, member));
        let endpoint =
            Endpoint { addresses: vec![address.clone()], conditions, node_name, target_ref, ..Endpoint::default() };
        let key = match target.registry.as_str() {
            "" => (TARGET_GROUP, target.group.as_str(), target.port),
            registry => (SERVICE, registry, target.port),
        };
        groups.entry(key).or_default().push(endpoint);
    }
    let parts = groups.iter().flat_map(|(key, all)| {
        all.chunks(MOST).enumerate().map(move |(number, part)| slice(service, *key, number, part))
    });
    parts.collect()
}

fn pod(service: &Service, member: &Member) -> TargetRef {
    let (namespace, name) = (service.namespace().to_owned(), member.id.clone());
    TargetRef { kind: "Pod".to_owned(), namespace, name, ..TargetRef::default() }
}

fn slice(service: &Service, key: Key<'_>, number: usize, endpoints: &[Endpoint]) -> EndpointSlice {
    let (label, group, port) = key;
    // No target group has a dot in its name.
    let of = if label == SERVICE { format!("names.{group}") } else { group.to_ascii_lowercase() };
    let mut metadata = ObjectMeta::named(service.namespace(), format!("{}-{of}-{port}-{number}", service.name()));
    metadata.labels.insert(label.to_owned(), group.to_owned());
    metadata.labels.insert(MANAGED_BY.to_owned(), "controller-ecs".to_owned());
    metadata.owner_references.push(service.controller_reference());
    EndpointSlice {
        metadata,
        address_type: "IPv4".to_owned(),
        ports: (port > 0)
            .then(|| EndpointPort { protocol: "TCP".to_owned(), port: Some(port), ..EndpointPort::default() })
            .into_iter()
            .collect(),
        endpoints: endpoints.to_vec(),
    }
}
