//! Health checks of containers, as readiness probes of the pod. The node does them, and says when one is passed and when so
//! many in a row have failed after that. That one was never passed is seen by the time in which it should have been.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/healthcheck.html>

use std::time::Duration;

use ecs_common::containers::name_in_pod;
use gantry_sdk::api::{Pod, Time};
use gantry_sdk::{Value, json};

use super::definition::{ContainerDefinition, DefinitionSpec, HealthCheck};
use crate::object::{ContainerState, TaskStatus};

const HEALTHY: &str = "HEALTHY";
const UNHEALTHY: &str = "UNHEALTHY";
const UNKNOWN: &str = "UNKNOWN";
/// The shell of `CMD-SHELL`.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl HealthCheck {
    fn interval(&self) -> u32 {
        self.interval.unwrap_or(30)
    }

    fn timeout(&self) -> u32 {
        self.timeout.unwrap_or(5)
    }

    fn retries(&self) -> u32 {
        self.retries.unwrap_or(3)
    }

    /// How long after its start a container that never passed has failed often enough: the first check that counts may be
    /// an interval after the start period, and each takes an interval, or as long as it may.
    fn patience(&self) -> Duration {
        let one = u64::from(self.interval().max(self.timeout()));
        let checks = one.saturating_mul(u64::from(self.retries()).saturating_add(1));
        Duration::from_secs(checks + u64::from(self.timeout()) + u64::from(self.start_period.unwrap_or(0)))
    }
}

/// The probe that does it.
pub fn probe(check: &HealthCheck) -> Value {
    let words = check.command.iter().map(String::as_str);
    let command: Vec<&str> = match check.command.first().map(String::as_str) {
        Some("CMD-SHELL") => SHELL.into_iter().chain(words.skip(1)).collect(),
        _ => words.skip(1).collect(),
    };
    json!({
        "exec": {"command": command}, "initialDelaySeconds": check.interval(), "periodSeconds": check.interval(),
        "timeoutSeconds": check.timeout(), "failureThreshold": check.retries(), "successThreshold": 1,
    })
}

/// Writes down how the containers and the task are.
pub fn note(now: Time, definition: &DefinitionSpec, pod: Option<&Pod>, status: &mut TaskStatus) {
    for (index, container) in definition.container_definitions.iter().enumerate() {
        let Some(check) = &container.health_check else { continue };
        let Some(state) = status.containers.iter_mut().find(|state| state.name == container.name) else { continue };
        let name = name_in_pod(index, &container.name);
        let seen = pod.and_then(|pod| pod.status.container_statuses.iter().find(|status| status.name == name));
        let word = health(now, check, state, seen.is_some_and(|seen| seen.ready));
        word.clone_into(&mut state.health_status);
    }
    let Some(word) = task(definition, &status.containers) else { return };
    word.clone_into(&mut status.health_status);
    let passes =
        |c: &ContainerDefinition| of(&status.containers, c).is_some_and(|state| state.health_status == HEALTHY);
    if essential(definition).filter(|c| c.health_check.is_some()).all(passes) {
        status.healthy_at.get_or_insert(now);
    }
}

fn essential(definition: &DefinitionSpec) -> impl Iterator<Item = &ContainerDefinition> {
    definition.container_definitions.iter().filter(|container| container.is_essential())
}

fn of<'a>(states: &'a [ContainerState], container: &ContainerDefinition) -> Option<&'a ContainerState> {
    states.iter().find(|state| state.name == container.name)
}

fn health(now: Time, check: &HealthCheck, state: &ContainerState, passes: bool) -> &'static str {
    let late = || state.started_at.is_some_and(|started| now.since(started) >= check.patience());
    match (state.last_status.as_str(), state.health_status.as_str()) {
        ("RUNNING", _) if passes => HEALTHY,
        ("RUNNING", HEALTHY | UNHEALTHY) => UNHEALTHY,
        ("RUNNING", _) if late() => UNHEALTHY,
        // What has ended is as it was.
        (_, HEALTHY) => HEALTHY,
        (_, UNHEALTHY) => UNHEALTHY,
        _ => UNKNOWN,
    }
}

/// That of the task is the worst of its essential containers'; none when none of them has a check.
fn task(definition: &DefinitionSpec, states: &[ContainerState]) -> Option<&'static str> {
    if !essential(definition).any(|container| container.health_check.is_some()) {
        return None;
    }
    let is = |word: &'static str| {
        move |c: &ContainerDefinition| of(states, c).map_or("", |state| state.health_status.as_str()) == word
    };
    Some(match (essential(definition).any(is(UNHEALTHY)), essential(definition).all(is(HEALTHY))) {
        (true, _) => UNHEALTHY,
        (false, true) => HEALTHY,
        (false, false) => UNKNOWN,
    })
}

/// In how long the next container that has not passed yet will have failed.
pub fn verdict_in(now: Time, definition: &DefinitionSpec, status: &TaskStatus) -> Option<Duration> {
    let left = |container: &ContainerDefinition| {
        let check = container.health_check.as_ref()?;
        let state =
            of(&status.containers, container).filter(|s| s.last_status == "RUNNING" && s.health_status == UNKNOWN)?;
        Some(check.patience().saturating_sub(now.since(state.started_at?)))
    };
    definition.container_definitions.iter().filter_map(left).min()
}

#[cfg(test)]
mod tests {
    use gantry_sdk::serde_json::from_value;

    use super::*;

    #[test]
    fn probes_do_what_checks_say() {
        for (check, command, numbers) in [
            (json!({"command": ["CMD", "/web", "cat", "/ok"]}), json!(["/web", "cat", "/ok"]), (30, 5, 3)),
            (
                json!({"command": ["CMD-SHELL", "true || exit 1"], "interval": 5, "timeout": 2, "retries": 1, "startPeriod": 60}),
                json!(["/bin/sh", "-c", "true || exit 1"]),
                (5, 2, 1),
            ),
        ] {
            let check: HealthCheck = from_value(check).unwrap();
            let (interval, timeout, retries) = numbers;
            let want = json!({
                "exec": {"command": command}, "initialDelaySeconds": interval, "periodSeconds": interval,
                "timeoutSeconds": timeout, "failureThreshold": retries, "successThreshold": 1,
            });
            assert_eq!(probe(&check), want);
        }
    }

    #[test]
    fn health_is_unknown_until_there_is_a_verdict() {
        let check: HealthCheck =
            from_value(json!({"interval": 10, "timeout": 5, "retries": 2, "startPeriod": 60})).unwrap();
        let at = Time::from_millis(1_000_000);
        for (last, before, passes, after, want) in [
            ("PENDING", "", false, 0, UNKNOWN),
            ("RUNNING", "", false, 0, UNKNOWN),
            ("RUNNING", UNKNOWN, false, 94, UNKNOWN),
            ("RUNNING", UNKNOWN, false, 95, UNHEALTHY),
            ("RUNNING", UNKNOWN, true, 12, HEALTHY),
            ("RUNNING", HEALTHY, false, 50, UNHEALTHY),
            ("RUNNING", UNHEALTHY, false, 51, UNHEALTHY),
            ("RUNNING", UNHEALTHY, true, 60, HEALTHY),
            ("STOPPED", HEALTHY, false, 60, HEALTHY),
            ("STOPPED", UNKNOWN, false, 600, UNKNOWN),
        ] {
            let state = ContainerState {
                last_status: last.to_owned(),
                health_status: before.to_owned(),
                started_at: Some(at),
                ..ContainerState::default()
            };
            let now = at.after(Duration::from_secs(after));
            assert_eq!(health(now, &check, &state, passes), want, "{last} {before} {passes} {after}");
        }
    }

    #[test]
    fn a_task_is_as_well_as_its_essential_containers() {
        let (check, side) = (json!({"command": ["CMD", "x"]}), json!(false));
        for (states, with, want) in [
            ([HEALTHY, HEALTHY, UNHEALTHY], 3, Some(HEALTHY)),
            ([HEALTHY, UNKNOWN, HEALTHY], 3, Some(UNKNOWN)),
            ([UNHEALTHY, UNKNOWN, HEALTHY], 3, Some(UNHEALTHY)),
            // One without a check is never known to be well.
            ([HEALTHY, "", ""], 1, Some(UNKNOWN)),
            (["", "", ""], 0, None),
        ] {
            let container = |index: usize| {
                let check = if index < with { check.clone() } else { Value::Null };
                json!({"name": index.to_string(), "healthCheck": check, "essential": if index == 2 { side.clone() } else { json!(true) }})
            };
            let containers: Vec<Value> = (0..3).map(container).collect();
            let definition: DefinitionSpec = from_value(json!({"containerDefinitions": containers})).unwrap();
            let state = |(index, word): (usize, &&str)| ContainerState {
                name: index.to_string(),
                health_status: (*word).to_owned(),
                ..ContainerState::default()
            };
            let states: Vec<ContainerState> = states.iter().enumerate().map(state).collect();
            assert_eq!(task(&definition, &states), want);
        }
    }
}
