//! Which containers start after which. The node sees to it, by an annotation of the pod; how long they wait is seen here.

use std::collections::BTreeMap;
use std::time::Duration;

use ecs_common::containers::name_in_pod;
use gantry_sdk::api::Time;
use gantry_sdk::json;

use super::definition::{ContainerDefinition, DefinitionSpec};
use crate::object::ContainerState;

/// The node's word for it: containers, those before each, and what is waited for.
pub const ANNOTATION: &str = "gantry.dev/start-after";

/// Its value; none when no container waits for another.
pub fn annotation(definition: &DefinitionSpec) -> Option<String> {
    let all = &definition.container_definitions;
    let name = |name: &str| {
        let index = all.iter().position(|container| container.name == name)?;
        Some(name_in_pod(index, name))
    };
    let state = |condition: &str| match condition {
        "COMPLETE" => "ended",
        "SUCCESS" => "succeeded",
        "HEALTHY" => "ready",
        _ => "started",
    };
    let mut order: BTreeMap<String, BTreeMap<String, &str>> = BTreeMap::new();
    for container in all {
        // Whose volumes it has is there before it.
        let givers = container.volumes_from.iter().map(|from| (from.source_container.as_str(), "started"));
        let named = container.depends_on.iter().map(|on| (on.container_name.as_str(), state(&on.condition)));
        let linked = container.links.iter().map(|link| (link.split(':').next().unwrap_or_default(), "started"));
        // What it says of another comes last, and counts.
        for (before, state) in linked.chain(givers).chain(named) {
            if let (Some(after), Some(before)) = (name(&container.name), name(before)) {
                order.entry(after).or_default().insert(before, state);
            }
        }
    }
    (!order.is_empty()).then(|| json!(order).to_string())
}

/// Containers that wait for one which has run for longer than it may without coming to what they wait for.
fn waiting<'a>(
    definition: &'a DefinitionSpec,
    states: &'a [ContainerState],
) -> impl Iterator<Item = (&'a ContainerDefinition, &'a str, Time, u32)> {
    let state = |name: &str| states.iter().find(|state| state.name == name);
    let pending =
        move |container: &&ContainerDefinition| state(&container.name).is_some_and(|s| s.last_status == "PENDING");
    definition.container_definitions.iter().filter(pending).flat_map(move |container| {
        container.depends_on.iter().filter(|on| on.condition != "START").filter_map(move |on| {
            let before = definition.container_definitions.iter().find(|other| other.name == on.container_name)?;
            let running = state(&before.name).filter(|state| state.last_status == "RUNNING")?;
            let well = on.condition == "HEALTHY" && running.health_status == "HEALTHY";
            Some((container, before.name.as_str(), running.started_at?, before.start_timeout.filter(|_| !well)?))
        })
    })
}

/// Gives containers up that have waited for too long.
pub fn give_up(now: Time, definition: &DefinitionSpec, states: &mut [ContainerState]) {
    let late = waiting(definition, states).filter(|(.., since, most)| now.since(*since) >= seconds(*most));
    let late: Vec<(String, String)> = late
        .map(|(container, before, _, most)| {
            let reason = format!("the container {before}, on which it depends, was not ready within {most} seconds");
            (container.name.clone(), format!("CannotStartContainerError: {reason}"))
        })
        .collect();
    for (name, reason) in late {
        if let Some(state) = states.iter_mut().find(|state| state.name == name) {
            state.reason = reason;
        }
    }
}

/// In how long the next one will be given up.
pub fn late_in(now: Time, definition: &DefinitionSpec, states: &[ContainerState]) -> Option<Duration> {
    waiting(definition, states).map(|(.., since, most)| seconds(most).saturating_sub(now.since(since))).min()
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

#[cfg(test)]
mod tests {
    use gantry_sdk::serde_json::{Value, from_str, from_value};

    use super::*;

    fn definition() -> DefinitionSpec {
        from_value(json!({"containerDefinitions": [
            {"name": "App_1", "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}, {"containerName": "job", "condition": "COMPLETE"}]},
            {"name": "db", "dependsOn": [{"containerName": "job", "condition": "START"}], "startTimeout": 30},
            {"name": "job", "startTimeout": 60},
            {"name": "reads", "volumesFrom": [{"sourceContainer": "db"}], "links": ["job:work"]},
        ]}))
        .unwrap()
    }

    #[test]
    fn the_node_is_told_the_order() {
        let order: Value = from_str(&annotation(&definition()).unwrap()).unwrap();
        assert_eq!(
            order,
            json!({"container-0": {"db": "ready", "job": "ended"}, "db": {"job": "started"}, "reads": {"db": "started", "job": "started"}})
        );
        assert_eq!(annotation(&DefinitionSpec::default()), None);
    }

    #[test]
    fn who_waits_for_too_long_is_given_up() {
        let at = Time::from_millis(1_000_000);
        let state = |name: &str, last: &str, health: &str| ContainerState {
            name: name.to_owned(),
            last_status: last.to_owned(),
            health_status: health.to_owned(),
            started_at: (last == "RUNNING").then_some(at),
            ..ContainerState::default()
        };
        for (health, after, late, left) in [
            ("UNKNOWN", 29, false, Some(1)),
            ("UNKNOWN", 30, true, Some(0)),
            ("HEALTHY", 59, false, Some(1)),
            ("HEALTHY", 60, true, Some(0)),
        ] {
            let mut states =
                vec![state("App_1", "PENDING", ""), state("db", "RUNNING", health), state("job", "RUNNING", "")];
            let now = at.after(seconds(after));
            assert_eq!(late_in(now, &definition(), &states).map(|left| left.as_secs()), left, "{health} {after}");
            give_up(now, &definition(), &mut states);
            assert_eq!(!states[0].reason.is_empty(), late, "{health} {after}");
        }
    }
}
