//! Which containers come after which.

use std::collections::HashMap;

use gantry_sdk::Value;

use super::naming;
use crate::fault::{Fault, Result};
use crate::object::{items, text, texts};

/// Whether there is an order: no container comes after itself, and what others wait for can come.
pub fn check(containers: &[Value]) -> Result<()> {
    for container in containers {
        let all = items(container, "dependsOn");
        for (at, dependency) in all.iter().enumerate() {
            can_be(container, dependency, containers)?;
            let name = text(dependency, "containerName");
            // Of two conditions one would have no effect.
            if all.iter().take(at).any(|other| text(other, "containerName") == name) {
                let path = format!("containerDefinitions[{}].dependsOn", text(container, "name"));
                return Err(Fault::client(format!("{path}: The container '{name}' is named twice.")));
            }
        }
    }
    let mut left: HashMap<&str, Vec<&str>> =
        containers.iter().map(|container| (text(container, "name"), before(container))).collect();
    // What waits for nobody goes, until nobody is left or all wait.
    loop {
        let free: Vec<&str> = left.iter().filter(|(_, before)| before.is_empty()).map(|(name, _)| *name).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|name, _| !free.contains(name));
        left.values_mut().for_each(|before| before.retain(|name| !free.contains(name)));
    }
    let mut stuck: Vec<&str> = left.into_keys().collect();
    stuck.sort_unstable();
    match stuck.as_slice() {
        [] => Ok(()),
        names => {
            Err(Fault::client(format!("There is a cycle in the dependencies of the containers {}.", names.join(", "))))
        }
    }
}

/// Whether a condition can come true while the task runs.
fn can_be(container: &Value, dependency: &Value, containers: &[Value]) -> Result<()> {
    let name = text(dependency, "containerName");
    let path = format!("containerDefinitions[{}].dependsOn", text(container, "name"));
    let Some(before) = containers.iter().find(|other| text(other, "name") == name) else {
        return Err(Fault::client(format!("{path}: Unknown container '{name}'.")));
    };
    let essential = before.get("essential").and_then(Value::as_bool).unwrap_or(true);
    match text(dependency, "condition") {
        "COMPLETE" | "SUCCESS" if essential => Err(Fault::client(
            "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
        )),
        "HEALTHY" if before.get("healthCheck").is_none() => {
            Err(Fault::client(format!("{path}: The container '{name}' has no healthCheck, which HEALTHY needs.")))
        }
        _ => Ok(()),
    }
}

/// The containers before one: those that it waits for, those whose volumes it has, and those that it is linked to.
fn before(container: &Value) -> Vec<&str> {
    let named = items(container, "dependsOn").iter().map(|dependency| text(dependency, "containerName"));
    let volumes = items(container, "volumesFrom").iter().map(|from| text(from, "sourceContainer"));
    named.chain(volumes).chain(texts(container, "links").map(|link| naming::link(link).0)).collect()
}
