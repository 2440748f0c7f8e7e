//! `controller-ecs` and AWS's APIs as `moto` has them: the component in the real engine makes signed requests to a `moto_server`
//! on loopback. Objects are those of `testing::Host`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a panic"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use gantry_contract::{Component, Controller, Stage};
use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{KindRef, ObjectRef, Value, json};
use gantry_tests::Moto;

const REGION: &str = "eu-west-1";

fn moto() -> Moto {
    Moto::start(REGION).unwrap()
}

/// The component, its requests signed for one of AWS's services, and a host that has its configuration.
fn world(moto: &Moto, service: &str) -> (World, impl Drop) {
    let plugins = std::env::var_os("GANTRY_PLUGINS")
        .map_or_else(|| std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugins"), PathBuf::from);
    let file = plugins.join("controller-ecs.wasm");
    let component = Component::read(&file).unwrap_or_else(|e| panic!("{e:#}; `cargo xtask build plugins` makes it"));
    let (endpoint, keys) = (moto.endpoint(), moto.keys());
    let sign = format!(
        "[[sign]]\nendpoint = {endpoint:?}\nservice = \"{service}\"\nregion = {REGION:?}\ncredentials-file = {keys:?}"
    );
    let curtain = Stage::set(component.http(endpoint.clone(), toml::from_str(&sign).unwrap())).unwrap();
    let host = Host::new();
    let option = if service == "monitoring" { "cloudwatch" } else { service };
    host.set_config(json!({"healthy-after-seconds": 1, "endpoints": {option: endpoint}}));
    host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ecs"}}));
    (World { driver: Driver::new(&host), host }, curtain)
}

struct World {
    host: Host,
    driver: Driver<Controller>,
}

fn object(kind: KindRef, name: &str) -> ObjectRef {
    ObjectRef { kind, namespace: "ecs".into(), name: name.into() }
}

impl World {
    /// Runs a task of one container with these members.
    fn task(&mut self, name: &str, members: Value) {
        let mut container = json!({"name": "web", "image": "i", "memory": 64});
        gantry_sdk::merge::apply(&mut container, &members);
        self.host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition",
            "metadata": {"name": format!("{name}.r1"), "namespace": "ecs"},
            "spec": {"family": name, "revision": 1, "containerDefinitions": [container]},
        }));
        let now = self.host.now();
        self.host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "Task",
            "metadata": {"name": name, "namespace": "ecs", "creationTimestamp": now},
            "spec": {"cluster": "default", "taskDefinition": format!("{name}.r1"), "desiredStatus": "RUNNING",
                "containers": [{"name": "web", "essential": true}]},
        }));
        self.driver.settle();
    }

    fn ecs(&self, kind: &str, name: &str) -> Value {
        self.host.get_json(&object(KindRef::new("ecs.gantry.dev", kind), name)).unwrap()
    }

    fn reason(&self, task: &str) -> String {
        self.ecs("Task", task)["status"]["stoppedReason"].as_str().unwrap_or_default().to_owned()
    }

    /// A value that was read.
    fn value(&self, secret: &str, key: &str) -> String {
        let secret = self.host.get_json(&object(KindRef::new("", "Secret"), secret)).expect("it was made");
        let bytes = base64::engine::general_purpose::STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn has_pod(&self, name: &str) -> bool {
        self.host.get_json(&object(KindRef::new("", "Pod"), name)).is_some()
    }
}

#[test]
fn parameters_of_systems_manager() {
    let moto = moto();
    moto.aws(&["ssm", "put-parameter", "--name", "/shop/db", "--type", "SecureString", "--value", "open sesame"])
        .unwrap();
    moto.aws(&["ssm", "put-parameter", "--name", "plain", "--type", "String", "--value", "x=y"]).unwrap();
    let (mut world, _curtain) = world(&moto, "ssm");
    let arn = format!("arn:aws:ssm:{REGION}:123456789012:parameter/shop/db");
    world.task("a", json!({"secrets": [{"name": "A", "valueFrom": arn}, {"name": "B", "valueFrom": "plain"}]}));
    assert_eq!((world.value("task-a", "0-0"), world.value("task-a", "0-1")), ("open sesame".into(), "x=y".into()));
    assert!(world.has_pod("a"));
    world.task("b", json!({"secrets": [{"name": "A", "valueFrom": "plain"}, {"name": "B", "valueFrom": "/none"}]}));
    assert!(
        world.reason("b").ends_with("unable to retrieve secrets from ssm: invalid parameters: /none"),
        "{}",
        world.reason("b")
    );
    assert!(!world.has_pod("b"));
}

#[test]
fn secrets_of_secrets_manager() {
    let moto = moto();
    let made = moto
        .aws(&["secretsmanager", "create-secret", "--name", "db", "--secret-string", r#"{"user": "old"}"#])
        .unwrap();
    moto.aws(&[
        "secretsmanager",
        "put-secret-value",
        "--secret-id",
        "db",
        "--secret-string",
        r#"{"user": "new", "n": 1}"#,
    ])
    .unwrap();
    let (mut world, _curtain) = world(&moto, "secretsmanager");
    let arn = made["ARN"].as_str().unwrap();
    let from = ["", ":user::", ":user:AWSPREVIOUS:", ":n::"];
    let secrets: Vec<Value> = from
        .iter()
        .enumerate()
        .map(|(n, more)| json!({"name": format!("V{n}"), "valueFrom": format!("{arn}{more}")}))
        .collect();
    world.task("a", json!({"secrets": secrets}));
    let values: Vec<String> = (0..4).map(|n| world.value("task-a", &format!("0-{n}"))).collect();
    assert_eq!(values, [r#"{"user": "new", "n": 1}"#, "new", "old", "1"]);
    assert!(world.has_pod("a"));
    for (name, from, want) in [
        ("b", format!("{arn}:none::"), "retrieved secret from Secrets Manager did not contain json key none"),
        ("c", arn.replace(":secret:db", ":secret:none"), "ResourceNotFoundException: Secrets Manager can't find"),
    ] {
        world.task(name, json!({"secrets": [{"name": "A", "valueFrom": from}]}));
        let reason = world.reason(name);
        assert!(
            reason.starts_with("ResourceInitializationError: unable to pull secrets") && reason.contains(want),
            "{reason}"
        );
    }
}

#[test]
fn files_of_s3() {
    let moto = moto();
    fs::write(moto.folder().join("x.env"), "A=1\n# B=2\nC=with spaces \n").unwrap();
    let place = ["--create-bucket-configuration", "LocationConstraint=eu-west-1"];
    moto.aws(&[&["s3api", "create-bucket", "--bucket", "files"][..], &place[..]].concat()).unwrap();
    moto.aws(&["s3api", "put-object", "--bucket", "files", "--key", "a b/\u{e4}.env", "--body", "x.env"]).unwrap();
    let (mut world, _curtain) = world(&moto, "s3");
    let file = |key: &str| json!({"environmentFiles": [{"type": "s3", "value": format!("arn:aws:s3:::files/{key}")}]});
    world.task("a", file("a b/\u{e4}.env"));
    let value = |key: &str| world.value("task-a-files-0", key);
    assert_eq!((value("A"), value("C")), ("1".into(), "with spaces ".into()));
    assert!(world.has_pod("a"));
    world.task("b", file("none.env"));
    let want = "ResourceInitializationError: failed to download env files: arn:aws:s3:::files/none.env: NoSuchKey";
    assert!(world.reason("b").starts_with(want), "{}", world.reason("b"));
}

#[test]
fn alarms_of_cloudwatch() {
    let moto = moto();
    let alarm = [
        "cloudwatch",
        "put-metric-alarm",
        "--alarm-name",
        "errors",
        "--namespace",
        "n",
        "--metric-name",
        "m",
        "--period",
        "60",
        "--evaluation-periods",
        "1",
        "--statistic",
        "Sum",
        "--threshold",
        "1",
        "--comparison-operator",
        "GreaterThanThreshold",
    ];
    moto.aws(&alarm).unwrap();
    let state = |word: &str| {
        let words = ["--alarm-name", "errors", "--state-value", word, "--state-reason", "test"];
        moto.aws(&[&["cloudwatch", "set-alarm-state"][..], &words[..]].concat()).unwrap();
    };
    state("OK");
    let (mut world, _curtain) = world(&moto, "monitoring");
    world.host.add_json(json!({
        "apiVersion": "ecs.gantry.dev/v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ecs"},
        "spec": {"cluster": "default", "serviceName": "web", "desiredCount": 0, "deployment": {"id": "ecs-svc/1"},
            "deploymentConfiguration": {"alarms": {"alarmNames": ["errors", "none"], "enable": true, "rollback": true}},
            "template": {"labels": {}, "spec": {"cluster": "default", "taskDefinition": "web.r1"}}},
    }));
    world.driver.settle();
    let first = |world: &World| world.ecs("Service", "web")["status"]["deployments"][0].clone();
    assert_eq!(first(&world)["rolloutState"], "IN_PROGRESS", "it is watched for a minute");
    for _ in 0..5 {
        world.driver.advance(Duration::from_secs(15));
    }
    assert_eq!(first(&world)["rolloutState"], "COMPLETED");
    let events = world.ecs("Service", "web")["status"]["events"].to_string();
    assert!(events.contains("was unable to find these of its alarms: none."), "{events}");

    let update = |world: &World, id: &str| {
        let mut service = world.ecs("Service", "web");
        service["spec"]["deployment"]["id"] = json!(id);
        world.host.add_json(service);
    };
    update(&world, "ecs-svc/2");
    world.driver.settle();
    state("ALARM");
    world.driver.advance(Duration::from_secs(15));
    assert_eq!((&first(&world)["id"], &first(&world)["rollback"]), (&json!("ecs-svc/1"), &json!(true)));
    let record = world.ecs("Service", "web")["status"]["history"][0].clone();
    assert_eq!((&record["alarms"], &record["back"]), (&json!(["errors"]), &json!("ecs-svc/1")));
}
