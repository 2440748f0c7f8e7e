//! What containers hear of their task at an address of their node: their own, in the shapes that ECS's clients read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use api_ecs::object::Task;
use gantry_sdk::dialect::http::Request;
use gantry_sdk::dialect::{CALLER, Call, Caller as Pod, ContainerUsage, Usage};
use gantry_sdk::{Dialect, ObjectRef, Value, json, serde_json};
use support::{Caller, NOW};

/// A task of two containers that runs, and the pod that it is.
struct World {
    caller: Caller,
    pod: Pod,
}

impl World {
    fn new(definition: Value, run: Value) -> Self {
        let mut caller = Caller::new();
        caller.ok("CreateCluster", json!({}));
        let mut whole = json!({"family": "web", "containerDefinitions": [
            {"name": "main", "image": "web:1", "memory": 64, "cpu": 10, "dockerLabels": {"team": "a"},
                "portMappings": [{"containerPort": 80, "hostPort": 8080}],
                "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/x"}}},
            {"name": "Side_Car", "image": "side:2", "memory": 32, "essential": false},
        ]});
        whole.as_object_mut().unwrap().extend(definition.as_object().unwrap().clone());
        caller.ok("RegisterTaskDefinition", whole);
        let mut request = json!({"taskDefinition": "web", "tags": [{"key": "k", "value": "v"}]});
        request.as_object_mut().unwrap().extend(run.as_object().unwrap().clone());
        let run = caller.ok("RunTask", request);
        let arn = run["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
        let name = arn.rsplit('/').next().unwrap().to_owned();
        let used = |name: &str, id: &str, limit| ContainerUsage {
            name: name.into(),
            id: id.into(),
            cpu_nanoseconds: 5_000,
            memory_bytes: 4096,
            memory_limit_bytes: limit,
        };
        let containers = vec![used("container-1", "id-side", None), used("main", "id-main", Some(64 << 20))];
        let usage = Usage { at: "2026-01-01T00:00:00Z".into(), containers };
        let pod = Pod {
            address: "169.254.170.2:80".into(),
            namespace: "ecs".into(),
            name,
            uid: "u".into(),
            node: "n1".into(),
            usage: Some(usage),
        };
        let world = Self { caller, pod };
        world.status(
            json!({"lastStatus": "RUNNING", "node": "n1", "addresses": ["10.64.0.5", "fd00::5"], "containers": [
                {"name": "main", "lastStatus": "RUNNING", "runtimeId": "id-main", "imageDigest": "sha256:ab",
                    "startedAt": "2026-01-01T00:00:00Z", "healthStatus": "HEALTHY"},
                {"name": "Side_Car", "lastStatus": "PENDING"},
            ]}),
        );
        world
    }

    fn status(&self, status: Value) {
        let mut task = self.caller.host.get_json(&ObjectRef::of::<Task>("ecs", &self.pod.name)).unwrap();
        task["status"] = status;
        self.caller.host.add_json(task);
    }

    fn send(&mut self, method: &str, path: &str, said: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("host", "169.254.170.2").header(CALLER, said);
        let call = Call { now_ms: NOW, id: "0".repeat(32) };
        let answer = self.caller.dialect.handle(&call, request.body(Vec::new()).unwrap());
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    /// What the pod hears of a container of its own.
    fn get(&mut self, index: usize, what: &str) -> (u16, Value) {
        let (path, said) = (format!("/v4/{}-{index}{what}", self.pod.name), serde_json::to_string(&self.pod).unwrap());
        self.send("GET", &path, &said)
    }

    fn ok(&mut self, index: usize, what: &str) -> Value {
        let (code, answer) = self.get(index, what);
        assert_eq!(code, 200, "{what}: {answer}");
        answer
    }

    fn arn(&self) -> String {
        format!("arn:aws:ecs:us-east-1:000000000000:task/default/{}", self.pod.name)
    }
}

fn world() -> World {
    World::new(json!({}), json!({}))
}

#[test]
fn a_container_hears_of_itself() {
    let mut world = world();
    let mut seen = world.ok(0, "");
    let arn = seen["ContainerARN"].take();
    assert!(arn.as_str().unwrap().starts_with("arn:aws:ecs:us-east-1:000000000000:container/default/"));
    let described = world.caller.ok("DescribeTasks", json!({"tasks": [world.pod.name]}));
    assert_eq!(described["tasks"][0]["containers"][0]["containerArn"], arn, "it is the one of DescribeTasks");
    let want = json!({
        "DockerId": "id-main", "DockerName": "id-main", "Name": "main", "Image": "web:1", "ImageID": "sha256:ab",
        "Ports": [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 8080}],
        "Labels": {"team": "a", "com.amazonaws.ecs.cluster": "default", "com.amazonaws.ecs.container-name": "main",
            "com.amazonaws.ecs.task-arn": world.arn(), "com.amazonaws.ecs.task-definition-family": "web",
            "com.amazonaws.ecs.task-definition-version": "1"},
        "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING", "Limits": {"CPU": 10, "Memory": 64},
        "StartedAt": "2026-01-01T00:00:00Z", "Type": "NORMAL", "LogDriver": "awslogs", "LogOptions": {"awslogs-group": "/x"},
        "Health": {"status": "HEALTHY"}, "ContainerARN": null,
        "Networks": [{"NetworkMode": "bridge", "IPv4Addresses": ["10.64.0.5"], "IPv6Addresses": ["fd00::5"]}],
    });
    assert_eq!(seen, want);
    // The controller has not heard yet that it runs; its node has.
    let seen = world.ok(1, "/");
    assert_eq!(
        (&seen["Name"], &seen["DockerId"], &seen["KnownStatus"]),
        (&json!("Side_Car"), &json!("id-side"), &json!("RUNNING"))
    );
    for unknown in ["ImageID", "ExitCode", "StartedAt", "CreatedAt", "FinishedAt", "LogDriver", "Ports", "Health"] {
        assert!(seen.get(unknown).is_none(), "{unknown}: {seen}");
    }
}

#[test]
fn a_container_hears_of_its_task() {
    let mut world = world();
    let seen = world.ok(0, "/task");
    assert_eq!(seen["TaskARN"], world.arn());
    let (family, revision) = (&seen["Family"], &seen["Revision"]);
    assert_eq!((&seen["Cluster"], family, revision), (&json!("default"), &json!("web"), &json!("1")));
    let (desired, last) = (&seen["DesiredStatus"], &seen["KnownStatus"]);
    assert_eq!((desired, last, &seen["LaunchType"]), (&json!("RUNNING"), &json!("RUNNING"), &json!("EC2")));
    let names: Vec<&Value> = seen["Containers"].as_array().unwrap().iter().map(|one| &one["Name"]).collect();
    assert_eq!(names, ["main", "Side_Car"]);
    for unknown in ["Limits", "AvailabilityZone", "ServiceName", "PullStartedAt", "TaskTags", "ExecutionStoppedAt"] {
        assert!(seen.get(unknown).is_none(), "{unknown}: {seen}");
    }
    assert_eq!(world.ok(1, "/taskWithTags")["TaskTags"], json!({"k": "v"}));
    // What only some tasks have.
    world.caller.host.add_json(json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "uid": "0-1-2", "labels": {"topology.kubernetes.io/zone": "z1"}}}));
    world.status(
        json!({"lastStatus": "DEPROVISIONING", "desiredStatus": "STOPPED", "stoppingAt": "2026-01-01T00:01:00Z"}),
    );
    let seen = world.ok(0, "/task");
    assert_eq!((&seen["AvailabilityZone"], &seen["DesiredStatus"]), (&json!("z1"), &json!("STOPPED")));
    assert_eq!(seen["ExecutionStoppedAt"], "2026-01-01T00:01:00Z");
    let mut sized = World::new(
        json!({"cpu": "512", "memory": "256"}),
        json!({"overrides": {"memory": "300",
        "containerOverrides": [{"name": "main", "memory": 70}]}}),
    );
    let seen = sized.ok(0, "/task");
    assert_eq!(
        (&seen["Limits"], &seen["Containers"][0]["Limits"]),
        (&json!({"CPU": 0.5, "Memory": 300}), &json!({"CPU": 10, "Memory": 70}))
    );
}

#[test]
fn a_container_hears_what_it_uses() {
    let mut world = world();
    let main = json!({
        "read": "2026-01-01T00:00:00Z", "id": "id-main", "name": "/id-main",
        "cpu_stats": {"cpu_usage": {"total_usage": 5000}}, "memory_stats": {"usage": 4096, "limit": 64 << 20},
    });
    assert_eq!(world.ok(0, "/stats"), main);
    let all = world.ok(0, "/task/stats");
    assert_eq!(all["id-main"], main);
    assert_eq!((&all["id-side"]["memory_stats"], all.as_object().unwrap().len()), (&json!({"usage": 4096}), 2));
    // Of one that does not run, and where the node says nothing.
    world.pod.usage.as_mut().unwrap().containers.remove(1);
    assert_eq!(world.ok(1, "/task/stats")["id-main"], Value::Null);
    world.pod.usage = None;
    assert_eq!(world.get(0, "/stats"), (500, json!("Unable to get container stats for: id-main")));
    assert_eq!(world.ok(0, "/task/stats"), json!({"id-main": null}));
}

#[test]
fn nobody_hears_of_another_task() {
    let mut world = world();
    let other = world.caller.ok("RunTask", json!({"taskDefinition": "web"}))["tasks"][0]["taskArn"].clone();
    let other = other.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let (own, said) = (world.pod.name.clone(), serde_json::to_string(&world.pod).unwrap());
    let not = |what: &str, id: &str| json!(format!("V4 {what} from v3 endpoint ID: {id}"));
    let task = "task metadata handler: unable to get task arn from request: unable to get task Arn";
    let container = "container metadata handler: unable to get container ID from request: unable to get docker ID";
    for id in [format!("{other}-0"), format!("{own}-2"), own.clone(), format!("{own}-00"), "bad".to_owned()] {
        assert_eq!(world.send("GET", &format!("/v4/{id}"), &said), (404, not(container, &id)), "{id}");
        assert_eq!(world.send("GET", &format!("/v4/{id}/task"), &said), (404, not(task, &id)), "{id}");
        for what in ["taskWithTags", "stats", "task/stats"] {
            let (code, words) = world.send("GET", &format!("/v4/{id}/{what}"), &said);
            assert!(
                code == 404 && words.as_str().unwrap().ends_with(&format!("endpoint ID: {id}")),
                "{id} {what}: {words}"
            );
        }
    }
    for (method, path, want) in [
        ("GET", "/", 404),
        ("GET", "/v3/x", 404),
        ("GET", &format!("/v4/{own}-0/credentials"), 404),
        ("POST", &format!("/v4/{own}-0"), 405),
    ] {
        assert_eq!(world.send(method, path, &said).0, want, "{method} {path}");
    }
    // A pod of that name elsewhere is none of ours, nor is one that comes when the task is over.
    let path = format!("/v4/{own}-0/task");
    let elsewhere = serde_json::to_string(&Pod { namespace: "team".into(), ..world.pod.clone() }).unwrap();
    assert_eq!(world.send("GET", &path, &elsewhere).0, 404);
    world.status(json!({"lastStatus": "STOPPED"}));
    assert_eq!(world.send("GET", &path, &said).0, 404);
}

#[test]
fn a_container_is_no_caller_of_the_api() {
    let mut world = world();
    let said = serde_json::to_string(&world.pod).unwrap();
    let mut signed = world.caller.signed("ListClusters", b"{}");
    signed.headers_mut().insert(CALLER, said.parse().unwrap());
    let call = Call { now_ms: NOW, id: "0".repeat(32) };
    assert_eq!(world.caller.dialect.handle(&call, signed).status(), 405, "even with a key");
    assert_eq!(world.send("GET", "/v4/x", "who knows").0, 500, "nobody is taken for somebody");
}
