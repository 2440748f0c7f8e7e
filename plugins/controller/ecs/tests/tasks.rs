//! Tasks over a host in memory: from their making to their end, whoever ends them, and what is kept of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use std::time::Duration;

use controller_ecs::controller::Ecs;
use controller_ecs::object::Task;
use gantry_sdk::api::Pod;
use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{ObjectRef, Value, json};

const ID: &str = "0123456789abcdef";

struct World {
    host: Host,
    driver: Driver<Ecs>,
}

impl World {
    fn new(containers: Value) -> Self {
        let host = Host::new();
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ecs"}}));
        host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition", "metadata": {"name": "web.r1", "namespace": "ecs"},
            "spec": {"family": "web", "revision": 1, "containerDefinitions": containers},
        }));
        host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "Task", "metadata": {"name": ID, "namespace": "ecs"},
            "spec": {"cluster": "default", "taskDefinition": "web.r1", "desiredStatus": "RUNNING",
                "overrides": {"containerOverrides": [{"name": "main", "command": ["b"], "environment": [{"name": "A", "value": "2"}]}]}},
        }));
        let mut world = Self { driver: Driver::new(&host), host };
        world.driver.settle();
        world
    }

    fn pod(&self) -> Option<Value> {
        self.host.get_json(&ObjectRef::of::<Pod>("ecs", ID))
    }

    fn task(&self) -> Task {
        self.host.get::<Task>("ecs", ID).unwrap()
    }

    /// What a node says of the pod.
    fn node(&mut self, phase: &str, states: &[(&str, Value)]) {
        let statuses: Vec<Value> = states
            .iter()
            .map(|(name, state)| json!({"name": name, "containerID": format!("containerd://{name}"), "state": state}))
            .collect();
        let mut pod = self.pod().unwrap();
        pod["spec"]["nodeName"] = json!("n1");
        pod["status"] = json!({"phase": phase, "containerStatuses": statuses, "podIPs": [{"ip": "10.0.0.1"}]});
        self.host.add_json(pod);
        self.driver.settle();
    }

    fn status(&self) -> String {
        self.task().status.last_status
    }
}

fn two() -> Value {
    json!([
        {"name": "main", "image": "i", "memory": 64, "cpu": 512, "command": ["a"], "entryPoint": ["/e"],
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}], "stopTimeout": 5},
        {"name": "Side_Car", "image": "i", "memoryReservation": 32, "essential": false},
    ])
}

fn running() -> Value {
    json!({"running": {}})
}

fn ended(code: i64) -> Value {
    json!({"terminated": {"exitCode": code, "reason": "Error"}})
}

#[test]
fn the_pod_is_what_definition_and_overrides_say() {
    let world = World::new(two());
    let pod = world.pod().unwrap();
    let (main, side) = (&pod["spec"]["containers"][0], &pod["spec"]["containers"][1]);
    assert_eq!((&main["command"], &main["args"]), (&json!(["/e"]), &json!(["b"])));
    assert_eq!(main["env"], json!([{"name": "B", "value": "$$(A)"}, {"name": "A", "value": "2"}]));
    assert_eq!(main["resources"], json!({"requests": {"cpu": "500m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}));
    assert_eq!((&side["name"], &side["resources"]["requests"]["memory"]), (&json!("container-1"), &json!("32Mi")));
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 5);
    assert_eq!(world.status(), "PROVISIONING");
}

#[test]
fn a_task_runs_when_all_its_containers_do_and_stops_as_its_caller_wants() {
    let mut world = World::new(two());
    world.node("Pending", &[("main", running())]);
    assert_eq!(world.status(), "PENDING");
    world.node("Running", &[("main", running()), ("container-1", running())]);
    assert_eq!((world.status().as_str(), world.task().status.started_at.is_some()), ("RUNNING", true));
    assert_eq!(world.task().status.containers[0].runtime_id, "main");
    world.host.edit::<Task>("ecs", ID, |task| {
        task.spec.desired_status = "STOPPED".into();
        task.spec.stopped_reason = "enough".into();
    });
    world.driver.settle();
    assert_eq!(world.status(), "STOPPING");
    assert!(world.pod().unwrap()["metadata"]["deletionTimestamp"].is_string());
    world.node("Failed", &[("main", ended(143)), ("container-1", ended(137))]);
    let status = world.task().status;
    assert_eq!(
        (status.last_status.as_str(), status.stop_code.as_str(), status.stopped_reason.as_str()),
        ("STOPPED", "UserInitiated", "enough")
    );
    assert_eq!(status.containers.iter().map(|c| c.exit_code).collect::<Vec<_>>(), [Some(143), Some(137)]);
    assert_eq!(
        world.pod().and_then(|pod| pod["metadata"]["finalizers"].get(0).cloned()),
        None,
        "nothing keeps the pod"
    );
    world.driver.advance(Duration::from_secs(3601));
    assert!(world.host.get::<Task>("ecs", ID).is_none(), "after an hour it is forgotten");
}

#[test]
fn the_end_of_an_essential_container_is_that_of_the_task() {
    let mut world = World::new(two());
    world.node("Running", &[("main", running()), ("container-1", ended(0))]);
    assert_eq!(world.status(), "RUNNING", "who is not essential may end");
    world.node("Running", &[("main", ended(3)), ("container-1", running())]);
    let status = world.task().status;
    assert_eq!((status.stop_code.as_str(), status.desired_status.as_str()), ("EssentialContainerExited", "STOPPED"));
    assert_eq!(status.containers[0].exit_code, Some(3));
}

#[test]
fn an_image_that_is_not_there_stops_the_task() {
    let mut world = World::new(two());
    let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "no such image"}});
    world.node("Pending", &[("main", waiting)]);
    let status = world.task().status;
    assert_eq!(
        (status.stop_code.as_str(), status.stopped_reason.as_str()),
        ("TaskFailedToStart", "CannotPullContainerError: no such image")
    );
    assert!(world.pod().unwrap()["metadata"]["deletionTimestamp"].is_string());
}

#[test]
fn a_task_that_is_taken_away_leaves_no_pod() {
    let mut world = World::new(two());
    world.node("Running", &[("main", running()), ("container-1", running())]);
    world.host.remove(&ObjectRef::of::<Task>("ecs", ID));
    world.driver.settle();
    if world.pod().is_some() {
        world.node("Failed", &[("main", ended(143)), ("container-1", ended(143))]);
        world.host.finish_deletions();
    }
    assert!(world.pod().is_none());
}
