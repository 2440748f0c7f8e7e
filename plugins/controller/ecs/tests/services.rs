//! Services over a host in memory: what their tasks are made of, what wakes them, and what is left of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use std::time::Duration;

use controller_ecs::controller::Ecs;
use controller_ecs::object::Task;
use controller_ecs::service::object::Service;
use gantry_sdk::api::{EndpointSlice, Node, Time};
use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{Config, Controller, Value, json};

struct World {
    host: Host,
    driver: Driver<Ecs>,
}

impl World {
    fn new(members: Value) -> Self {
        let host = Host::new();
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ecs"}}));
        host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition", "metadata": {"name": "web.r1", "namespace": "ecs"},
            "spec": {"family": "web", "revision": 1, "containerDefinitions": [{"name": "web", "image": "i", "memory": 64}]},
        }));
        for name in ["n1", "n2"] {
            host.add_json(node(name, false));
        }
        let mut spec = json!({
            "cluster": "default", "serviceName": "web", "desiredCount": 2, "tags": [{"key": "a", "value": "b"}],
            "deployment": {"id": "ecs-svc/1"},
            "template": {
                "labels": {"ecs.gantry.dev/family": "web"},
                "spec": {"cluster": "default", "taskDefinition": "web.r1", "propagateTags": "SERVICE",
                    "containers": [{"name": "web", "essential": true}], "placementStrategy": [{"type": "random"}]},
            },
        });
        spec.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let metadata = json!({"name": "web", "namespace": "ecs"});
        host.add_json(
            json!({"apiVersion": "ecs.gantry.dev/v1", "kind": "Service", "metadata": metadata, "spec": spec}),
        );
        let mut world = Self { driver: Driver::new(&host), host };
        world.driver.settle();
        world
    }

    fn tasks(&self) -> Vec<Task> {
        self.host.all::<Task>()
    }

    fn service(&self) -> Service {
        self.host.get::<Service>("ecs", "web").unwrap()
    }

    fn change(&mut self, change: impl FnOnce(&mut Service)) {
        self.host.edit::<Service>("ecs", "web", change);
        self.driver.settle();
    }

    /// All pods of tasks that are to run do.
    fn run(&mut self) {
        for mut pod in self.host.all::<gantry_sdk::api::Pod>() {
            if pod.metadata.is_deleting() {
                pod.status.phase = "Failed".into();
                pod.status.container_statuses.clear();
            } else {
                pod.spec.node_name = "n1".into();
                let ip = format!("10.0.0.{}", 1 + pod.metadata.name.bytes().map(u32::from).sum::<u32>() % 250);
                let status = json!({"phase": "Running", "podIPs": [{"ip": ip}], "containerStatuses": [{"name": "web", "state": {"running": {}}}]});
                pod.status = gantry_sdk::serde_json::from_value(status).unwrap();
            }
            self.host.add(pod);
        }
        self.driver.settle();
        self.host.finish_deletions();
        self.driver.settle();
    }
}

fn node(name: &str, cordoned: bool) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": cordoned},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

#[test]
fn tasks_are_what_the_template_says() {
    let mut world = World::new(json!({}));
    let tasks = world.tasks();
    assert_eq!(tasks.len(), 2);
    for task in &tasks {
        let own = world.host.get_json(&gantry_sdk::api::Resource::reference(task)).unwrap();
        let spec = &own["spec"];
        assert_eq!((&spec["startedBy"], &spec["group"]), (&json!("ecs-svc/1"), &json!("service:web")));
        assert_eq!(spec["tags"], json!([{"key": "a", "value": "b"}]), "the service's");
        assert_eq!(spec["placementStrategy"], json!([{"type": "random"}]), "as it was given");
        assert_eq!(own["metadata"]["labels"]["ecs.gantry.dev/family"], "web");
        assert_eq!((task.metadata.name.len(), task.metadata.owner_references[0].kind.as_str()), (32, "Service"));
    }
    world.run();
    let status = world.service().status;
    assert_eq!((status.running_count, status.steady, status.deployments.len()), (2, true, 1));
    assert_eq!(status.deployments[0].rollout_state, "IN_PROGRESS", "for forty seconds");
    world.driver.advance(Duration::from_secs(41));
    assert_eq!(world.service().status.deployments[0].rollout_state, "COMPLETED");
}

#[test]
fn a_service_follows_its_count_and_replaces_what_ends() {
    let mut world = World::new(json!({}));
    world.run();
    world.change(|service| service.spec.desired_count = 3);
    world.run();
    assert_eq!(world.service().status.running_count, 3);
    let id = world.tasks()[0].metadata.name.clone();
    world.host.edit::<Task>("ecs", &id, |task| task.spec.desired_status = "STOPPED".into());
    world.driver.settle();
    world.run();
    world.run();
    let status = world.service().status;
    assert_eq!(
        (status.running_count, status.desired_count, status.deployments[0].failed_tasks),
        (3, 3, 0),
        "no failure"
    );
    world.change(|service| service.spec.desired_count = 1);
    let stopped: Vec<Task> =
        world.tasks().into_iter().filter(|task| task.spec.stop_code == "ServiceSchedulerInitiated").collect();
    assert_eq!(stopped.len(), 2);
    assert_eq!(stopped[0].spec.stopped_reason, "Scaling activity initiated by (deployment ecs-svc/1)");
    world.run();
    assert_eq!(world.service().status.running_count, 1);
    let events = world.service().status.events;
    assert!(events.iter().any(|event| event.message.starts_with("(service web) has stopped 2 running tasks: (task ")));
    assert_eq!(events[0].message, "(service web) has reached a steady state.");
}

#[test]
fn a_deleted_service_is_seen_for_an_hour() {
    let mut world = World::new(json!({}));
    world.run();
    world.change(|service| service.spec.deleted_at = Some(Time::from_millis(1)));
    assert_eq!(world.service().status.status, "DRAINING");
    world.run();
    assert_eq!(world.service().status.status, "INACTIVE");
    assert!(world.tasks().iter().all(|task| task.status.last_status == "STOPPED"));
    world.driver.advance(Duration::from_secs(3601));
    assert!(world.host.get::<Service>("ecs", "web").is_none());
}

#[test]
fn a_daemon_is_on_each_node_that_takes_tasks() {
    let mut world = World::new(json!({"schedulingStrategy": "DAEMON"}));
    let nodes = |world: &World| {
        let live = world.tasks().into_iter().filter(|task| task.spec.desired_status != "STOPPED");
        let mut nodes: Vec<String> = live.map(|task| task.spec.node).collect();
        nodes.sort();
        nodes
    };
    assert_eq!(nodes(&world), ["n1", "n2"]);
    world.host.add_json(node("n3", false));
    world.driver.settle();
    assert_eq!(nodes(&world), ["n1", "n2", "n3"]);
    world.host.edit::<Node>("", "n1", |node| node.spec.unschedulable = true);
    world.driver.settle();
    assert_eq!(nodes(&world), ["n2", "n3"]);
    let pod = &world.host.all::<gantry_sdk::api::Pod>()[0];
    let affinity = pod.spec.affinity.as_ref().unwrap().node_affinity.as_ref().unwrap();
    assert!(format!("{affinity:?}").contains("metadata.name"), "{affinity:?}");
}

#[test]
fn what_fits_nowhere_is_told() {
    let mut world = World::new(json!({"desiredCount": 1}));
    let mut pod = world.host.all::<gantry_sdk::api::Pod>().remove(0);
    let tried = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available: 2 Insufficient memory."}]});
    pod.status = gantry_sdk::serde_json::from_value(tried).unwrap();
    world.host.add(pod);
    world.driver.settle();
    let said = world.service().status.events[0].message.clone();
    assert_eq!(
        said,
        "(service web) was unable to place a task because no container instance met all of its requirements. Reason: 0/2 nodes are available: 2 Insufficient memory."
    );
    world.run();
    assert_eq!(world.service().status.running_count, 1);
}

#[test]
fn how_long_a_task_must_run_is_configured() {
    let mut ecs = Ecs::default();
    assert!(ecs.configure(Config::from(json!({"healthy-after-seconds": 5}))).is_ok());
    assert!(ecs.configure(Config::from(json!({"healthy-after": 5}))).is_err());
}

#[test]
fn tasks_that_run_serve_their_target_group() {
    let target = json!({"group": "shop", "arn": "arn:shop", "port": 8080});
    let spec =
        json!({"cluster": "default", "taskDefinition": "web.r1", "containers": [{"name": "web", "essential": true}]});
    let mut world = World::new(json!({"template": {"labels": {}, "spec": spec, "targets": [target]}}));
    assert_eq!(world.host.all::<EndpointSlice>(), [], "none runs yet");
    world.run();
    let slices = world.host.all::<EndpointSlice>();
    assert_eq!((slices.len(), slices[0].endpoints.len(), slices[0].ports[0].port), (1, 2, Some(8080)));
    assert_eq!(slices[0].metadata.labels["ecs.gantry.dev/target-group"], "shop");
    assert!(
        slices[0]
            .endpoints
            .iter()
            .all(|one| one.addresses[0].starts_with("10.0.0.") && one.node_name.as_deref() == Some("n1"))
    );
    let said = |world: &World, what: &str| world.service().status.events.iter().any(|event| event.message == what);
    assert!(said(&world, "(service web) registered 2 targets in (target-group arn:shop)"));
    world.change(|service| service.spec.desired_count = 1);
    assert_eq!(world.host.all::<EndpointSlice>()[0].endpoints.len(), 1, "before the other has stopped");
    assert!(said(&world, "(service web) deregistered 1 targets in (target-group arn:shop)"));
    world.change(|service| service.spec.deleted_at = Some(Time::from_millis(1)));
    assert_eq!(world.host.all::<EndpointSlice>(), []);
}

/// As DeleteTaskDefinitions has it.
fn leave(world: &World, name: &str) {
    world.host.edit::<controller_ecs::definition::Revision>("ecs", name, |definition| {
        definition.metadata.labels.insert("ecs.gantry.dev/family".into(), "web".into());
        definition.spec.status = "DELETE_IN_PROGRESS".into();
        definition.spec.delete_requested_at = Some(Time::from_millis(0));
    });
}

#[test]
fn a_definition_goes_with_the_last_that_is_made_from_it() {
    let mut world = World::new(json!({}));
    let there = |world: &World| world.host.get::<controller_ecs::definition::Revision>("ecs", "web.r1").is_some();
    leave(&world, "web.r1");
    world.driver.advance(Duration::from_secs(300));
    assert!(there(&world), "it is the last of its family, and in use");
    world.host.add_json(json!({
        "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition",
        "metadata": {"name": "web.r2", "namespace": "ecs", "labels": {"ecs.gantry.dev/family": "web"}},
        "spec": {"family": "web", "revision": 2, "status": "ACTIVE", "containerDefinitions": [{"name": "web", "image": "i"}]},
    }));
    world.driver.advance(Duration::from_secs(300));
    assert!(there(&world), "a service has tasks of it");
    world.change(|service| service.spec.deleted_at = Some(Time::from_millis(1)));
    world.run();
    world.driver.advance(Duration::from_secs(300));
    assert_eq!(world.service().status.status, "INACTIVE");
    assert!(!there(&world));
    assert!(world.host.get::<controller_ecs::definition::Revision>("ecs", "web.r2").is_some());
}

#[test]
fn tasks_are_shared_among_capacity_providers() {
    let share = |name: &str, base: u64, weight: u64| json!({"capacityProvider": name, "base": base, "weight": weight, "group": format!("g-{name}")});
    let mut world =
        World::new(json!({"desiredCount": 5, "capacityProviders": [share("one", 1, 1), share("two", 0, 3)]}));
    let of = |world: &World, group: &str| {
        let pods = world.host.all::<gantry_sdk::api::Pod>();
        let live = pods.iter().filter(|pod| !pod.metadata.is_deleting());
        live.filter(|pod| json!(pod.spec)["nodeSelector"]["ecs.gantry.dev/auto-scaling-group"] == group).count()
    };
    assert_eq!((of(&world, "g-one"), of(&world, "g-two")), (2, 3));
    world.run();
    assert!(world.service().status.history[0].revision["capacityProviders"][0]["capacityProvider"] == "one");
    // What is said later is true of the tasks that come then.
    let two = share("two", 0, 1);
    world.change(|service| {
        service.spec.capacity_providers = vec![gantry_sdk::serde_json::from_value(two).unwrap()];
        service.spec.desired_count = 7;
    });
    assert_eq!((of(&world, "g-one"), of(&world, "g-two")), (2, 5));
}

/// A set of so many percent, of the definition that the world has.
fn set(id: &str, percent: f64) -> Value {
    let template = json!({"labels": {}, "spec": {"cluster": "default", "taskDefinition": "web.r1", "containers": [{"name": "web", "essential": true}]}});
    json!({"id": id, "template": template, "scale": {"value": percent, "unit": "PERCENT"}})
}

fn sets(world: &mut World, all: Value, primary: &str) {
    world.change(|service| {
        service.spec.task_sets = gantry_sdk::serde_json::from_value(all).unwrap();
        service.spec.primary_task_set = primary.into();
    });
}

#[test]
fn task_sets_have_their_parts_side_by_side() {
    let mut world = World::new(json!({"deploymentController": "EXTERNAL", "desiredCount": 5, "template": {}}));
    assert!(world.tasks().is_empty() && world.service().status.seen == "ecs-svc/1");
    let (blue, green) = ("ecs-svc/7", "ecs-svc/8");
    sets(&mut world, json!([set(blue, 100.0), set(green, 30.0)]), blue);
    let of = |world: &World, id: &str| {
        let live = world.tasks().into_iter().filter(|task| task.spec.desired_status != "STOPPED");
        live.filter(|task| started_by(world, &task.metadata.name) == id).count()
    };
    assert_eq!((of(&world, blue), of(&world, green)), (5, 2), "rounded up");
    let known = |world: &World, id: &str| world.service().status.deployments.iter().find(|d| d.id == id).cloned();
    assert_eq!(known(&world, blue).unwrap().stability, "STABILIZING");
    world.run();
    let status = world.service().status;
    assert_eq!((status.running_count, status.desired_count, status.steady), (7, 5, true), "{status:?}");
    let (one, two) = (known(&world, blue).unwrap(), known(&world, green).unwrap());
    assert_eq!((one.status.as_str(), two.status.as_str()), ("PRIMARY", "ACTIVE"));
    assert_eq!((one.stability.as_str(), two.stability.as_str()), ("STEADY_STATE", "STEADY_STATE"));
    assert!(
        status.events.iter().any(|e| e.message.starts_with("(service web, taskSet ecs-svc/8) has started 2 tasks"))
    );
    // Another one leads, and the first is scaled down: nothing else moves.
    sets(&mut world, json!([set(blue, 0.0), set(green, 100.0)]), green);
    assert_eq!((of(&world, blue), of(&world, green)), (0, 5));
    world.run();
    assert_eq!(known(&world, green).unwrap().status, "PRIMARY");
    // A node that drains is no place to be steady on.
    world.host.add_json(node("n1", true));
    world.driver.settle();
    assert_eq!(known(&world, green).unwrap().stability, "STABILIZING");
    world.host.add_json(node("n1", false));
    world.driver.settle();
    let mut gone = set(blue, 0.0);
    gone["deletedAt"] = json!("2026-01-01T00:00:00Z");
    sets(&mut world, json!([gone, set(green, 100.0)]), green);
    assert!(known(&world, blue).is_none() && known(&world, green).unwrap().stability == "STEADY_STATE");
    world.change(|service| service.spec.deleted_at = Some(Time::from_millis(1)));
    world.run();
    assert_eq!(world.service().status.status, "INACTIVE");
}

fn started_by(world: &World, name: &str) -> String {
    let task = world.host.get_json(&gantry_sdk::ObjectRef::of::<Task>("ecs", name)).unwrap();
    task["spec"]["startedBy"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn tasks_are_found_by_the_name_of_their_registry() {
    let template = json!({
        "labels": {}, "spec": {"cluster": "default", "taskDefinition": "web.r1", "containers": [{"name": "web", "essential": true}]},
        "targets": [{"registry": "shop", "arn": "r", "port": 0}, {"group": "shop", "arn": "g", "port": 80}],
    });
    let mut world = World::new(json!({"template": template}));
    world.run();
    let slices = world.host.all::<EndpointSlice>();
    let of = |label: &str| {
        slices.iter().find(|slice| slice.metadata.labels.get(label).is_some_and(|is| is == "shop")).unwrap()
    };
    let (named, balanced) = (of("kubernetes.io/service-name"), of("ecs.gantry.dev/target-group"));
    assert!(named.ports.is_empty() && named.endpoints.len() == 2 && balanced.ports[0].port == Some(80));
    let pods: Vec<String> = named.endpoints.iter().map(|of| of.target_ref.clone().unwrap().name).collect();
    assert!(world.tasks().iter().all(|task| pods.contains(&task.metadata.name)), "{pods:?}");
    let told = world.service().status.events.iter().filter(|event| event.message.contains("registered")).count();
    assert_eq!(told, 1, "only load balancers are told of");
    world.change(|service| service.spec.deleted_at = Some(Time::from_millis(1)));
    assert!(world.host.all::<EndpointSlice>().is_empty());
}

#[test]
fn names_of_a_service_are_made_and_go_with_it() {
    let target = json!({"registry": "connect-1", "arn": "r", "port": 80, "name": "shop", "namespace": "corp.local"});
    let template = |targets: Value| {
        json!({"labels": {}, "targets": targets,
            "spec": {"cluster": "default", "taskDefinition": "web.r1", "containers": [{"name": "web", "essential": true}]}})
    };
    let mut world = World::new(json!({"template": template(json!([target]))}));
    let names = |world: &World| world.host.all::<gantry_sdk::api::Service>();
    let made = names(&world).remove(0);
    assert_eq!(made.metadata.annotations["servicediscovery.gantry.dev/namespace"], "corp.local");
    assert_eq!(made.metadata.annotations["servicediscovery.gantry.dev/service"], "shop");
    assert_eq!((made.spec.cluster_ip.as_str(), made.metadata.owner_references[0].name.as_str()), ("None", "web"));
    world.run();
    let found = world.host.all::<EndpointSlice>();
    assert!(found.len() == 1 && found[0].endpoints.len() == 2 && found[0].ports[0].port == Some(80));
    let plain = template(json!([]));
    world.change(|service| {
        service.spec.deployment.id = "ecs-svc/2".into();
        service.spec.template = gantry_sdk::serde_json::from_value(plain).unwrap();
    });
    assert_eq!(names(&world).len(), 1, "tasks of the deployment before are still found");
    for _ in 0..4 {
        world.run();
        world.driver.advance(Duration::from_secs(60));
    }
    assert!(names(&world).is_empty());
}
