//! Names that a service has of its own: a Service for each, whose EndpointSlices its tasks are. Discovery plugins give them.

use std::collections::BTreeMap;

use gantry_sdk::api::{ObjectMeta, Resource, Service as Named};
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{ObjectRef, Result, Value, json};

use super::object::{Service, ServiceStatus, Target};

/// Where a Service says what it is called: see `discovery-cloudmap`.
const NAMESPACE: &str = "servicediscovery.gantry.dev/namespace";
const NAME: &str = "servicediscovery.gantry.dev/service";

/// Those of all deployments that have tasks.
fn wanted(status: &ServiceStatus) -> BTreeMap<&str, &Target> {
    let all = status.deployments.iter().flat_map(|deployment| &deployment.template.targets);
    all.filter(|target| !target.namespace.is_empty()).map(|target| (target.registry.as_str(), target)).collect()
}

/// Makes those that are missing.
pub fn make(service: &Service, status: &ServiceStatus) -> Result<()> {
    let wanted = wanted(status);
    if wanted.is_empty() {
        return Ok(());
    }
    let there = there(service)?;
    let missing = wanted.values().filter(|target| !there.contains(&target.registry));
    for target in missing {
        match objects::apply_one(Write::create_json(&object(service, target))) {
            // Of another service: whoever asked for it was told, unless both did at once.
            Err(error) if error.is_already_exists() => {}
            answer => answer.map(drop)?,
        }
    }
    Ok(())
}

/// Takes those away that nobody is found by any more.
pub fn clear(service: &Service, status: &ServiceStatus) -> Result<()> {
    // Whoever never had one need not be looked for.
    let had = |status: &ServiceStatus| !wanted(status).is_empty();
    if !had(status) && !had(&service.status) {
        return Ok(());
    }
    let wanted = wanted(status);
    for name in there(service)?.iter().filter(|name| !wanted.contains_key(name.as_str())) {
        objects::settle(Write::delete(ObjectRef::of::<Named>(service.namespace(), name)))?;
    }
    Ok(())
}

fn there(service: &Service) -> Result<Vec<String>> {
    let query = Query::of::<Named>().namespace(service.namespace()).owner(service.uid());
    let rows: Vec<(String,)> = objects::rows(&query, ["/metadata/name"])?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

fn object(service: &Service, target: &Target) -> Value {
    let mut metadata = ObjectMeta::named(service.namespace(), &target.registry);
    metadata.annotations.insert(NAMESPACE.to_owned(), target.namespace.clone());
    metadata.annotations.insert(NAME.to_owned(), target.name.clone());
    metadata.owner_references.push(service.controller_reference());
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"clusterIP": "None", "ports": [{"port": target.port, "protocol": "TCP"}]}})
}
