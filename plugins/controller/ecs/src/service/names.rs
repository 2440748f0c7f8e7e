//! Names that a service has of its own: a Service for each, whose EndpointSlices its tasks are. Discovery plugins give them.

use std::collections::BTreeMap;

use ecs_common::connect::{self, RESERVED_AT, RESERVED_BY};
use gantry_sdk::api::{Resource, Service as Named};
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{Error, ObjectRef, Result, Value, json};

use super::object::{Service, ServiceStatus, Target};

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
            // It was reserved for this service, when somebody asked for it.
            Err(error) if error.is_already_exists() => adopt(service, &target.registry)?,
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

/// Takes over a name that was reserved for the service. That of another one stays as it is.
fn adopt(service: &Service, registry: &str) -> Result<()> {
    let Some(there) = objects::get::<Named>(&ObjectRef::of::<Named>(service.namespace(), registry))? else {
        return Err(Error::conflict(format!("the name {registry} was taken away meanwhile")));
    };
    let by = there.metadata.annotations.get(RESERVED_BY).map(String::as_str);
    if !there.metadata.owner_references.is_empty() || by != Some(service.name()) {
        return Ok(());
    }
    let owners = [service.controller_reference()];
    let patch = json!({"metadata": {"ownerReferences": owners, "annotations": {RESERVED_AT: null, RESERVED_BY: null}}});
    let write = Write::patch(there.reference(), &patch).if_uid(there.uid());
    objects::apply_one(write.if_version(&there.metadata.resource_version)).map(drop)
}

fn object(service: &Service, target: &Target) -> Value {
    let names = (target.name.as_str(), target.namespace.as_str());
    let mut object = connect::service(service.namespace(), &target.registry, names, target.port.into());
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("ownerReferences".to_owned(), json!([service.controller_reference()]));
    }
    object
}
