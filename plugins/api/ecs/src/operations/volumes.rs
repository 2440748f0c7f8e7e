//! Volumes of a task definition, and where containers have them.

use gantry_sdk::{Value, json};

use super::linux;
use super::refused::refuse_volume;
use crate::fault::{Fault, Result};
use crate::names::identifier;
use crate::object::{items, text};

/// The volumes as they are shown again.
pub fn of_definition(request: &Value) -> Result<Vec<Value>> {
    let all = items(request, "volumes");
    let mut names: Vec<&str> = Vec::new();
    for volume in all {
        let name = text(volume, "name");
        identifier(name, "volume")?;
        if names.contains(&name) {
            return Err(Fault::client(format!("Volume.name contains duplicate value: {name}.")));
        }
        names.push(name);
        refuse_volume(volume, &format!("volumes[{name}]."))?;
        source(volume, name)?;
    }
    let shown =
        |volume: &Value| json!({"name": text(volume, "name"), "host": volume.get("host").unwrap_or(&json!({}))});
    Ok(all.iter().map(shown).collect())
}

/// A folder of the node, if it is one.
fn source(volume: &Value, name: &str) -> Result<()> {
    match volume.get("host").and_then(|host| host.get("sourcePath")).and_then(Value::as_str) {
        None => Ok(()),
        Some("") => Err(Fault::client("host.sourcePath should not be blank.")),
        Some(path) => absolute(path, &format!("volumes[{name}].host.sourcePath")),
    }
}

/// Where a container has which of them.
pub fn of_container(container: &Value, request: &Value, path: &str) -> Result<()> {
    let known = |list: &str, name: &str| items(request, list).iter().any(|one| text(one, "name") == name);
    let mut places: Vec<&str> = linux::places(container).collect();
    for point in items(container, "mountPoints") {
        let volume = text(point, "sourceVolume");
        if !known("volumes", volume) {
            return Err(Fault::client(format!("Unknown volume '{volume}'.")));
        }
        let place = text(point, "containerPath");
        if place.is_empty() {
            return Err(Fault::client(format!("{path}mountPoints.containerPath should not be null or empty.")));
        }
        absolute(place, &format!("{path}mountPoints.containerPath"))?;
        places.push(place);
    }
    let mut places: Vec<&str> = places.into_iter().map(|place| place.trim_end_matches('/')).collect();
    places.sort_unstable();
    if let Some([place, _]) = places.array_windows().find(|[one, two]| one == two) {
        return Err(Fault::client(format!("{path}mountPoints: there are two at {place}.")));
    }
    for from in items(container, "volumesFrom") {
        let source = text(from, "sourceContainer");
        if !known("containerDefinitions", source) {
            return Err(Fault::client(format!("{path}volumesFrom: Unknown container '{source}'.")));
        }
    }
    Ok(())
}

/// What a pod can have as a path.
pub fn absolute(path: &str, what: &str) -> Result<()> {
    if path.starts_with('/') && !path.contains(':') && !path.split('/').any(|part| part == "..") {
        return Ok(());
    }
    Err(Fault::client(format!("Invalid value {path:?} for {what}: give an absolute path without '..' and ':'.")))
}
