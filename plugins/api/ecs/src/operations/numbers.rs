//! Numbers that ECS takes, and a pod can have.

use gantry_sdk::Value;

use crate::fault::{Fault, Result};
use crate::object::{items, text};

/// Of a container, in definitions and in overrides.
const CONTAINER: &[&str] = &["cpu", "memory", "memoryReservation", "startTimeout", "stopTimeout"];
/// Integers of ECS's API have 32 bits.
const LARGEST: i64 = 0x7fff_ffff;

/// Finds what is wrong with the numbers of a container: the words, which each operation says under its own code.
pub fn container(given: &Value, path: &str) -> std::result::Result<(), String> {
    whole(given, CONTAINER, path)
}

/// The same of any numbers.
pub fn whole(given: &Value, names: &[&str], path: &str) -> std::result::Result<(), String> {
    let wrong = |value: &Value| value.as_i64().is_none_or(|number| !(0..=LARGEST).contains(&number));
    let found = names.iter().find_map(|name| given.get(*name).filter(|value| wrong(value)).map(|value| (name, value)));
    match found {
        Some((name, value)) => Err(format!("Invalid value {value} for {path}{name}: give one from 0 to {LARGEST}.")),
        None => Ok(()),
    }
}

/// Whether cpu and memory of a task, which are texts, are numbers.
pub fn task(given: &Value) -> Result<()> {
    let wrong = |size: &&&str| !text(given, size).is_empty() && text(given, size).parse::<u32>().is_err();
    match ["cpu", "memory"].iter().find(wrong) {
        Some(size) => {
            Err(Fault::client(format!("Invalid '{size}' setting for task: {}. Give a number.", text(given, size))))
        }
        None => Ok(()),
    }
}

/// Whether a task has the CPU units that its containers are to have.
pub fn shares(definition: &Value) -> Result<()> {
    let Ok(whole) = text(definition, "cpu").parse::<u64>() else { return Ok(()) };
    let own = |container: &Value| container.get("cpu").and_then(Value::as_u64).unwrap_or(0);
    let parts = items(definition, "containerDefinitions").iter().map(own).fold(0, u64::saturating_add);
    if parts > whole {
        return Err(Fault::client(format!(
            "Invalid 'cpu' setting for task: its containers have {parts} CPU units together, and it has {whole}."
        )));
    }
    Ok(())
}
