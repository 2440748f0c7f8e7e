//! Health checks and orders of containers over a host in memory: what tasks say of themselves, and what services do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use std::time::Duration;

use controller_ecs::controller::Ecs;
use controller_ecs::object::Task;
use controller_ecs::service::object::Service;
use gantry_sdk::api::Pod;
use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{Value, json};

struct World {
    host: Host,
    driver: Driver<Ecs>,
}

impl World {
    /// A definition of these containers, and an object whose template or spec is that of its tasks.
    fn new(containers: &Value, object: impl FnOnce(Value) -> Value) -> Self {
        let host = Host::new();
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ecs"}}));
        host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition", "metadata": {"name": "web.r1", "namespace": "ecs"},
            "spec": {"family": "web", "revision": 1, "containerDefinitions": containers},
        }));
        let kept: Vec<Value> = containers.as_array().unwrap().iter().map(|c| json!({"name": c["name"]})).collect();
        host.add_json(object(json!({"cluster": "default", "taskDefinition": "web.r1", "containers": kept})));
        let mut world = Self { driver: Driver::new(&host), host };
        world.driver.settle();
        world
    }

    fn task(containers: &Value) -> Self {
        Self::new(containers, |mut spec| {
            spec["desiredStatus"] = json!("RUNNING");
            json!({"apiVersion": "ecs.gantry.dev/v1", "kind": "Task", "metadata": {"name": "t", "namespace": "ecs"}, "spec": spec})
        })
    }

    fn service(containers: &Value) -> Self {
        Self::service_with(containers, json!({}))
    }

    /// One with more in its spec.
    fn service_with(containers: &Value, more: Value) -> Self {
        Self::new(containers, |spec| {
            let mut service = json!({
                "apiVersion": "ecs.gantry.dev/v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ecs"},
                "spec": {"cluster": "default", "serviceName": "web", "desiredCount": 1, "deployment": {"id": "ecs-svc/1"},
                    "template": {"labels": {}, "spec": spec}},
            });
            gantry_sdk::merge::apply(&mut service["spec"], &more);
            service
        })
    }

    /// What nodes say of all pods: each container's state, and whether its probe is passed.
    fn nodes(&mut self, states: &[(&str, Value, bool)]) {
        let all: Vec<Value> =
            states.iter().map(|(name, state, ready)| json!({"name": name, "state": state, "ready": ready})).collect();
        for mut pod in self.host.all::<Pod>() {
            let leaving = pod.metadata.is_deleting();
            pod.spec.node_name = "n1".into();
            let status = match leaving {
                true => json!({"phase": "Failed"}),
                false => json!({"phase": "Running", "containerStatuses": all}),
            };
            pod.status = gantry_sdk::serde_json::from_value(status).unwrap();
            self.host.add(pod);
        }
        self.driver.settle();
        self.host.finish_deletions();
        self.driver.settle();
    }

    fn running(&self) -> Value {
        json!({"running": {"startedAt": self.host.now()}})
    }

    fn seen(&self) -> Service {
        self.host.get::<Service>("ecs", "web").unwrap()
    }

    fn said(&self, what: &str) -> bool {
        self.seen().status.events.iter().any(|event| event.message.contains(what))
    }
}

/// One that is checked every ten seconds, and fails after three.
fn checked() -> Value {
    json!([{"name": "web", "image": "i", "memory": 64, "healthCheck": {"command": ["CMD", "x"], "interval": 10}}])
}

#[test]
fn a_task_knows_how_it_is() {
    let mut world = World::task(&checked());
    let pod = world.host.all::<Pod>()[0].clone();
    assert_eq!(pod.spec.containers[0].other["readinessProbe"]["exec"]["command"], json!(["x"]));
    let health = |world: &World| {
        let status = world.host.get::<Task>("ecs", "t").unwrap().status;
        (status.health_status, status.containers[0].health_status.clone(), status.last_status)
    };
    let is = |word: &str| (word.to_owned(), word.to_owned(), "RUNNING".to_owned());
    let running = world.running();
    world.nodes(&[("web", running.clone(), false)]);
    assert_eq!(health(&world), is("UNKNOWN"));
    world.driver.advance(Duration::from_secs(44));
    assert_eq!(health(&world), is("UNKNOWN"), "three intervals have not passed since the first check");
    world.driver.advance(Duration::from_secs(2));
    assert_eq!(health(&world), is("UNHEALTHY"), "and it goes on: it is nobody's");
    world.nodes(&[("web", running.clone(), true)]);
    assert_eq!(health(&world), is("HEALTHY"));
    world.nodes(&[("web", running, false)]);
    assert_eq!(health(&world), is("UNHEALTHY"));
}

#[test]
fn a_service_waits_for_health_and_replaces_what_is_not() {
    let mut world = World::service(&checked());
    let running = world.running();
    world.nodes(&[("web", running.clone(), false)]);
    world.driver.advance(Duration::from_secs(41));
    assert_eq!(world.seen().status.deployments[0].rollout_state, "IN_PROGRESS", "time alone says nothing");
    world.nodes(&[("web", running.clone(), true)]);
    assert_eq!(world.seen().status.deployments[0].rollout_state, "COMPLETED");
    let first = world.host.all::<Task>()[0].metadata.name.clone();
    world.nodes(&[("web", running, false)]);
    assert!(world.said(&format!("(service web) (task {first}) failed container health checks.")));
    assert!(world.said(&format!("has stopped 1 running tasks: (task {first}).")));
    let status = world.host.get::<Task>("ecs", &first).unwrap().status;
    assert_eq!(
        (status.stop_code.as_str(), status.stopped_reason.as_str(), status.health_status.as_str()),
        ("ServiceSchedulerInitiated", "Task failed container health checks", "UNHEALTHY")
    );
    let others = world.host.all::<Task>().into_iter().filter(|task| task.metadata.name != first).count();
    assert_eq!(others, 1, "another one is in its place");
    assert_eq!(world.seen().status.deployments[0].failed_tasks, 0, "it was well once");
}

#[test]
fn tasks_that_never_become_well_are_failures() {
    let mut world = World::service(&checked());
    for _ in 0..2 {
        let running = world.running();
        world.nodes(&[("web", running, false)]);
        world.driver.advance(Duration::from_secs(46));
        // It goes, and the next one has just begun.
        let running = world.running();
        world.nodes(&[("web", running, false)]);
    }
    assert_eq!(world.seen().status.deployments[0].failed_tasks, 2);
}

#[test]
fn failed_checks_are_looked_over_for_a_time() {
    let sets = json!([{"id": "ecs-svc/1", "scale": {"value": 100},
        "template": {"spec": {"cluster": "default", "taskDefinition": "web.r1", "containers": [{"name": "web"}]}}}]);
    for more in [json!({}), json!({"deploymentController": "EXTERNAL", "taskSets": sets})] {
        let mut more = more;
        more["healthCheckGracePeriodSeconds"] = json!(120);
        let mut world = World::service_with(&checked(), more);
        let running = world.running();
        world.nodes(&[("web", running, false)]);
        let first = world.host.all::<Task>()[0].metadata.name.clone();
        let gone = |world: &World| world.said(&format!("(task {first}) failed container health checks."));
        world.driver.advance(Duration::from_secs(60));
        let health = world.host.get::<Task>("ecs", &first).unwrap().status.health_status;
        assert_eq!((health.as_str(), gone(&world)), ("UNHEALTHY", false), "it shows, and is spared");
        world.driver.advance(Duration::from_secs(59));
        assert!(!gone(&world));
        // Nothing else wakes the service then.
        world.driver.advance(Duration::from_secs(1));
        assert!(gone(&world));
    }
}

#[test]
fn who_waits_for_another_in_vain_ends_its_task() {
    let containers = json!([
        {"name": "app", "image": "i", "memory": 64, "dependsOn": [{"containerName": "db", "condition": "SUCCESS"}]},
        {"name": "db", "image": "i", "memory": 64, "essential": false, "startTimeout": 20},
    ]);
    let waits =
        |reason: &str| json!({"waiting": {"reason": reason, "message": "container db must be succeeded first"}});
    for (state, reason, after, want) in [
        (json!({"terminated": {"exitCode": 1}}), "DependencyFailed", 0, "CannotStartContainerError: container db must"),
        (Value::Null, "WaitingForContainer", 21, "CannotStartContainerError: the container db, on which it depends"),
    ] {
        let mut world = World::task(&containers);
        let order = world.host.all::<Pod>()[0].metadata.annotations["gantry.dev/start-after"].clone();
        assert_eq!(order, r#"{"app":{"db":"succeeded"}}"#);
        let state = if state.is_null() { world.running() } else { state };
        world.nodes(&[("app", waits(reason), false), ("db", state, false)]);
        world.driver.advance(Duration::from_secs(after));
        let status = world.host.get::<Task>("ecs", "t").unwrap().status;
        assert_eq!(status.stop_code, "TaskFailedToStart", "{reason}");
        assert!(status.stopped_reason.starts_with(want), "{}", status.stopped_reason);
    }
}
