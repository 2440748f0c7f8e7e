//! Tasks over a host in memory: from their making to their end, whoever ends them, and what is kept of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use std::time::Duration;

use controller_ecs::controller::Ecs;
use controller_ecs::object::Task;
use controller_ecs::task::definition::TaskDefinition;
use gantry_sdk::api::Pod;
use gantry_sdk::testing::{Driver, Fault, Host, Verb};
use gantry_sdk::{Error, ObjectRef, Value, json};

const ID: &str = "0123456789abcdef";

struct World {
    host: Host,
    driver: Driver<Ecs>,
}

impl World {
    fn new(containers: Value) -> Self {
        Self::with(containers, |_| {})
    }

    /// The same, its host changed before the first pass.
    fn with(containers: Value, change: impl FnOnce(&Host)) -> Self {
        let host = Host::new();
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ecs"}}));
        host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition", "metadata": {"name": "web.r1", "namespace": "ecs"},
            "spec": {"family": "web", "revision": 1, "containerDefinitions": containers},
        }));
        host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "Task", "metadata": {"name": ID, "namespace": "ecs"},
            "spec": {"cluster": "default", "taskDefinition": "web.r1", "desiredStatus": "RUNNING",
                "containers": [{"name": "main", "cpu": "512", "essential": true}, {"name": "Side_Car", "essential": false}],
                "overrides": {"containerOverrides": [{"name": "main", "command": ["b"], "environment": [{"name": "A", "value": "2"}]}]}},
        }));
        change(&host);
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
fn a_pod_says_who_places_it_and_how() {
    let mut world = World::new(two());
    let mut other = world.host.get_json(&ObjectRef::of::<Task>("ecs", ID)).unwrap();
    other["metadata"] = json!({"name": "fedcba9876543210", "namespace": "ecs"});
    other["spec"]["group"] = json!("service:web");
    other["spec"]["node"] = json!("n7");
    other["spec"]["placementConstraints"] = json!([{"type": "distinctInstance"}]);
    other["spec"]["placementStrategy"] = json!([{"type": "spread", "field": "instanceId"}]);
    world.host.add_json(other);
    world.driver.settle();
    let pod = world.host.get_json(&ObjectRef::of::<Pod>("ecs", "fedcba9876543210")).unwrap();
    assert_eq!(pod["spec"]["schedulerName"], "ecs");
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let here = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n7"]}]}]);
    assert_eq!(pod.pointer(terms), Some(&here), "a task that was started on an instance goes there");
    assert!(pod["spec"]["nodeName"].is_null(), "if it has room");
    let said = pod["metadata"]["annotations"]["scheduling.ecs.gantry.dev/placement"].as_str().unwrap();
    let expected = json!({
        "cluster": "default", "group": "service:web", "constraints": [{"type": "distinctInstance"}],
        "strategy": [{"type": "spread", "field": "instanceId"}],
    });
    assert_eq!(gantry_sdk::serde_json::from_str::<Value>(said).unwrap(), expected);
    assert_eq!(pod["metadata"]["labels"], Value::Null, "pods of one service are alike");
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
fn a_task_ends_when_its_node_has_forgotten_its_pod() {
    for taken_away in [false, true] {
        let mut world = World::new(two());
        world.node("Running", &[("main", running()), ("container-1", running())]);
        world.host.edit::<Task>("ecs", ID, |task| task.spec.desired_status = "STOPPED".into());
        world.driver.settle();
        if taken_away {
            world.host.remove(&ObjectRef::of::<Task>("ecs", ID));
        }
        // The host takes the grace of a pod whose node is gone; nobody is left to say what became of its containers.
        let target = ObjectRef::of::<Pod>("ecs", ID);
        let mut pod = world.host.get_json(&target).unwrap();
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        world.host.add_json(pod);
        world.driver.settle();
        let kept = |world: &World| world.pod().is_some_and(|pod| pod["metadata"]["finalizers"][0].is_string());
        assert!(kept(&world), "a node may still end it");
        assert!(taken_away || world.status() == "STOPPING");
        world.driver.advance(Duration::from_secs(120));
        assert!(!kept(&world));
        assert!(taken_away || world.status() == "STOPPED");
    }
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
fn ports_are_chosen_before_there_is_a_pod() {
    let ports =
        json!([{"containerPort": 80}, {"containerPort": 81, "hostPort": 0}, {"containerPort": 82, "hostPort": 82}]);
    let world = World::new(json!([{"name": "main", "image": "i", "memory": 64, "portMappings": ports}]));
    let chosen: Vec<u64> = world.task().status.ports.iter().map(|port| u64::from(port.host_port)).collect();
    assert!(chosen.len() == 2 && chosen.iter().all(|port| (32768..61000).contains(port)), "{chosen:?}");
    let pod = world.pod().unwrap();
    let taken = pod["spec"]["containers"][0]["ports"].as_array().unwrap().iter().map(|port| port["hostPort"].as_u64());
    assert_eq!(taken.collect::<Vec<_>>(), [Some(chosen[0]), Some(chosen[1]), Some(82)]);
}

#[test]
fn a_secret_that_is_not_there_stops_the_task() {
    let secrets =
        json!([{"name": "main", "image": "i", "memory": 64, "secrets": [{"name": "A", "valueFrom": "db:key"}]}]);
    for (containers, want) in [
        (secrets, "ResourceInitializationError: unable to pull secrets or registry auth: secret \"db\" not found"),
        (two(), "CannotStartContainerError: secret \"db\" not found"),
    ] {
        let mut world = World::new(containers);
        let waiting =
            json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"db\" not found"}});
        world.node("Pending", &[("main", waiting)]);
        let status = world.task().status;
        assert_eq!((status.stop_code.as_str(), status.stopped_reason.as_str()), ("TaskFailedToStart", want));
    }
}

#[test]
fn a_task_that_can_not_begin_stops_and_says_why() {
    let refused = |host: &Host| {
        host.fail(Fault::on(Verb::Create).of::<Pod>().with(Error::invalid("spec.containers[0].env[0].name: no name")));
    };
    let unfounded = |host: &Host| host.remove(&ObjectRef::of::<TaskDefinition>("ecs", "web.r1"));
    for (world, want) in [
        (World::with(two(), refused), "spec.containers[0].env[0].name: no name"),
        (World::with(two(), unfounded), "There is no TaskDefinition web.r1"),
    ] {
        let status = world.task().status;
        assert_eq!(
            (status.last_status.as_str(), status.stop_code.as_str(), status.stopped_reason.as_str()),
            ("STOPPED", "TaskFailedToStart", want)
        );
        assert_eq!((status.desired_status.as_str(), status.stopped_at.is_some()), ("STOPPED", true));
        assert!(status.containers.iter().all(|container| container.last_status == "STOPPED"));
        assert!(world.pod().is_none());
    }
    let busy = |host: &Host| host.fail(Fault::on(Verb::Create).of::<Pod>().with(Error::unavailable("not now")));
    let mut world = World::with(two(), busy);
    world.driver.advance(Duration::from_secs(60));
    assert_eq!((world.status().as_str(), world.pod().is_some()), ("PROVISIONING", true), "what passes is waited for");
}

#[test]
fn a_task_goes_on_without_its_definition() {
    let mut world = World::new(two());
    world.node("Running", &[("main", running()), ("container-1", running())]);
    world.host.remove(&ObjectRef::of::<TaskDefinition>("ecs", "web.r1"));
    world.node("Running", &[("main", running()), ("container-1", ended(0))]);
    assert_eq!(world.status(), "RUNNING", "who is not essential may end");
    assert!(world.pod().unwrap()["metadata"]["deletionTimestamp"].is_null());
    world.node("Running", &[("main", ended(3)), ("container-1", ended(0))]);
    let status = world.task().status;
    assert_eq!(status.stop_code, "EssentialContainerExited");
    assert_eq!(status.containers.iter().map(|c| c.exit_code).collect::<Vec<_>>(), [Some(3), Some(0)]);
}

#[test]
fn nulls_say_nothing() {
    let nulls =
        json!([{"name": "main", "image": "i", "cpu": null, "memory": 64, "environment": null, "portMappings": null}]);
    let mut world = World::with(nulls, |host| {
        let target = ObjectRef::of::<Task>("ecs", ID);
        let mut task = host.get_json(&target).unwrap();
        task["spec"]["overrides"] =
            json!({"containerOverrides": [{"name": "main", "command": null, "environment": null}]});
        task["spec"]["stopCode"] = Value::Null;
        host.add_json(task);
    });
    world.node("Running", &[("main", running())]);
    assert_eq!(world.status(), "RUNNING");
    world.host.edit::<Task>("ecs", ID, |task| task.spec.desired_status = "STOPPED".into());
    world.driver.settle();
    assert_eq!(world.status(), "STOPPING");
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
