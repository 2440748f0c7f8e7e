//! Statuses, by table.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::agent::instance::{End, Life};
use crate::agent::planner::{Busy, View, plan};
use crate::agent::testing::{UID, desired};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The status of a pod of which this is seen: (container, attempt, exit code or still running).
fn status_of(spec: Value, before: Value, seen: &[(&str, u32, Option<i32>)], torn_down: bool) -> Value {
    let desired = desired(UID, spec, before);
    let mut health = HashMap::new();
    let instances: Vec<Instance> = seen
        .iter()
        .map(|(name, attempt, code)| {
            let mut instance = Instance::new(&desired.key, desired.unit(name).unwrap(), *attempt, 0);
            instance.started = Some(at(10));
            instance.life = match code {
                Some(code) => {
                    let (reason, message) = ("Error".to_owned(), String::new());
                    Life::Ended(End { code: *code, at: at(20), reason, message })
                }
                None => Life::Running,
            };
            let up = Health { started: true, hooked: true, ready: true, doom: None };
            health.insert(instance.id.clone(), up);
            instance
        })
        .collect();
    let plan = plan(&View {
        pod: "p",
        units: &desired.units,
        policy: desired.policy,
        instances: &instances,
        health: &health,
        busy: &Busy::default(),
        holds: &HashMap::new(),
        prepared: true,
        torn_down,
        stop: torn_down,
        now: at(100),
    });
    super::status(&Seen {
        desired: &desired,
        instances: &instances,
        health: &health,
        plan: &plan,
        prepared: true,
        torn_down,
        addresses: &[[10, 0, 0, 1].into()],
        host: &[[192, 0, 2, 1].into()],
        started: at(5),
        verdict: None,
        runtime: "containerd",
        now: at(100),
    })
}

#[test]
fn phases_follow_containers() {
    let two = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]});
    for (policy, seen, torn_down, want) in [
        ("Always", &[][..], false, "Pending"),
        ("Always", &[("a", 0, None)], false, "Pending"),
        ("Always", &[("a", 0, None), ("b", 0, None)], false, "Running"),
        ("Always", &[("a", 0, Some(1)), ("b", 0, Some(1))], false, "Running"),
        ("Never", &[("a", 0, Some(0)), ("b", 0, None)], false, "Running"),
        ("Never", &[("a", 0, Some(0)), ("b", 0, Some(0))], false, "Running"),
        ("Never", &[("a", 0, Some(0)), ("b", 0, Some(0))], true, "Succeeded"),
        ("Never", &[("a", 0, Some(0)), ("b", 0, Some(2))], true, "Failed"),
        ("Always", &[("a", 0, Some(0)), ("b", 0, Some(143))], true, "Failed"),
        ("Always", &[("a", 0, Some(0)), ("b", 0, Some(0))], true, "Succeeded"),
    ] {
        assert_eq!(status_of(two(policy), json!({}), seen, torn_down)["phase"], want, "{policy} {seen:?}");
    }
}

#[test]
fn what_was_shown_before_is_kept() {
    let first = status_of(json!({}), json!({"qosClass": "Burstable"}), &[("c", 0, None)], false);
    assert_eq!(first["qosClass"], "Burstable");
    assert_eq!(status_of(json!({}), first.clone(), &[("c", 0, None)], false), first, "nothing changed");
    let gate = json!({"type": "example.com/x", "status": "True"});
    let mut before = first.clone();
    before["conditions"].as_array_mut().unwrap().push(gate.clone());
    let second = status_of(json!({}), before, &[("c", 0, Some(0))], true);
    assert!(second["conditions"].as_array().unwrap().contains(&gate));
    assert_eq!(second["startTime"], first["startTime"]);
}

#[test]
fn unready_containers_are_named() {
    let spec = json!({"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]});
    let status = status_of(spec, json!({}), &[("i", 0, None)], false);
    let condition =
        |type_: &str| status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == type_).unwrap().clone();
    assert_eq!(condition("Initialized")["message"], "containers with incomplete status: [i]");
    assert_eq!(condition("Ready")["message"], "containers with unready status: [c]");
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
}
