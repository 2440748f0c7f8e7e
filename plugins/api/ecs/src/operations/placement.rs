//! Constraints and strategies of placement, as requests give them. What they mean is the scheduler's to say; here they are
//! only held against the grammar and ECS's limits.

use ecs_common::placement::{Constraint, Strategy};
use gantry_sdk::{Value, json, serde_json};

use crate::fault::{Fault, Result};
use crate::object::items;

/// Constraints of a task, those of its definition counted in.
const MOST_CONSTRAINTS: usize = 10;
/// Strategies of a task.
const MOST_STRATEGIES: usize = 5;

/// Checks those of RegisterTaskDefinition, which knows `memberOf` only.
pub fn of_definition(request: &Value) -> Result<()> {
    let all: Vec<Constraint> = read(request, "placementConstraints")?;
    most(&all, "placementConstraints", MOST_CONSTRAINTS)?;
    match all.iter().find(|constraint| constraint.kind != "memberOf") {
        Some(other) => Err(Fault::client(format!("constraint.type '{}' is not supported.", other.kind))),
        None => check(&all),
    }
}

/// What a task gets: the definition's constraints with those of the request, and the request's strategies.
pub fn of_task(request: &Value, definition: &Value) -> Result<(Value, Value)> {
    let mut constraints: Vec<Constraint> = read(definition, "placementConstraints")?;
    let own: Vec<Constraint> = read(request, "placementConstraints")?;
    check(&own)?;
    constraints.extend(own);
    most(&constraints, "placementConstraints", MOST_CONSTRAINTS)?;
    let strategies: Vec<Strategy> = read(request, "placementStrategy")?;
    most(&strategies, "placementStrategy", MOST_STRATEGIES)?;
    strategies.iter().try_for_each(|strategy| strategy.rule().map(drop)).map_err(Fault::parameter)?;
    Ok((json!(constraints), json!(strategies)))
}

/// The same for the tasks of a service: without a strategy they are spread over zones, then over instances.
pub fn of_service(request: &Value, definition: &Value) -> Result<(Value, Value)> {
    let (constraints, strategy) = of_task(request, definition)?;
    let spread = |field: &str| json!({"type": "spread", "field": field});
    let usual = || json!([spread("attribute:ecs.availability-zone"), spread("instanceId")]);
    let none = strategy.as_array().is_none_or(Vec::is_empty);
    Ok((constraints, if none { usual() } else { strategy }))
}

fn check(constraints: &[Constraint]) -> Result<()> {
    constraints.iter().try_for_each(|constraint| constraint.limit().map(drop)).map_err(Fault::parameter)
}

fn read<T: serde::de::DeserializeOwned>(from: &Value, key: &str) -> Result<Vec<T>> {
    let one = |item: &Value| serde_json::from_value(item.clone());
    let all: std::result::Result<_, _> = items(from, key).iter().map(one).collect();
    all.map_err(|error| Fault::parameter(format!("{key}: {error}")))
}

fn most<T>(all: &[T], what: &str, most: usize) -> Result<()> {
    match all.len() > most {
        true => Err(Fault::parameter(format!("{what} cannot have more than {most} elements."))),
        false => Ok(()),
    }
}
