//! What the controller asks AWS: alarms of deployments, and values of variables, which come into Secrets and nowhere else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use controller_ecs::controller::Ecs;
use controller_ecs::object::Task;
use controller_ecs::service::object::Service;
use gantry_sdk::api::Pod;
use gantry_sdk::http::{Request, Response};
use gantry_sdk::testing::{Driver, Fault, Host, Verb};
use gantry_sdk::{Error, KindRef, ObjectRef, Value, json, serde_json};

const AT: &str = "https://aws.example";

struct World {
    host: Host,
    driver: Driver<Ecs>,
}

fn target(request: &Request) -> &str {
    request.headers.iter().find(|(name, _)| name == "x-amz-target").map_or("", |(_, value)| value)
}

/// What AWS has: two parameters, a secret with members, and a file.
fn aws(request: &Request) -> gantry_sdk::Result<Response> {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let answer = |value: Value| Ok(Response::new(200, value.to_string()));
    match (target(request), asked["SecretId"].as_str().unwrap_or_default(), request.url.as_str()) {
        ("AmazonSSM.GetParameters", ..) => {
            assert_eq!(asked["WithDecryption"], true);
            let known = asked["Names"].as_array().unwrap().iter().filter(|name| *name != "none");
            let all: Vec<Value> =
                known.map(|name| json!({"Name": name, "Value": format!("value of {name}")})).collect();
            answer(json!({"Parameters": all, "InvalidParameters": []}))
        }
        ("secretsmanager.GetSecretValue", "arn:aws:secretsmanager:r:1:secret:db-1", _) => {
            let version = asked["VersionStage"].as_str().unwrap_or("AWSCURRENT");
            answer(json!({"SecretString": json!({"user": "me", "number": 7, "version": version}).to_string()}))
        }
        ("secretsmanager.GetSecretValue", "arn:aws:secretsmanager:r:1:secret:text-1", _) => {
            answer(json!({"SecretString": "only text"}))
        }
        ("secretsmanager.GetSecretValue", ..) => {
            let said = json!({"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find it."});
            Ok(Response::new(400, said.to_string()))
        }
        (_, _, "https://aws.example/bucket/lines.env") => {
            Ok(Response::new(200, "URL=\\\npostgres://u:pw@h/d?mode=x\n"))
        }
        (_, _, "https://aws.example/bucket/a/b.env") => Ok(Response::new(200, "# A note\nFROM_FILE=1\nGIVEN=no\n")),
        _ => Ok(Response::new(404, "<Error><Code>NoSuchKey</Code><Message>It is not there.</Message></Error>")),
    }
}

fn host(answer: impl Fn(&Request) -> gantry_sdk::Result<Response> + 'static) -> Host {
    let host = Host::new();
    host.set_config(json!({"endpoints": {"cloudwatch": AT, "s3": AT, "ssm": AT, "secretsmanager": AT}}));
    host.answer_http(answer);
    host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ecs"}}));
    host
}

impl World {
    /// A task of one container with these members.
    fn task(host: Host, members: Value) -> Self {
        let mut container = json!({"name": "web", "image": "i", "memory": 64});
        gantry_sdk::merge::apply(&mut container, &members);
        host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition", "metadata": {"name": "web.r1", "namespace": "ecs"},
            "spec": {"family": "web", "revision": 1, "containerDefinitions": [container]},
        }));
        let now = host.now();
        host.add_json(json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "Task",
            "metadata": {"name": "t", "namespace": "ecs", "creationTimestamp": now},
            "spec": {"cluster": "default", "taskDefinition": "web.r1", "desiredStatus": "RUNNING",
                "containers": [{"name": "web", "essential": true}]},
        }));
        let mut world = Self { driver: Driver::new(&host), host };
        world.driver.settle();
        world
    }

    fn seen(&self) -> Task {
        self.host.get::<Task>("ecs", "t").unwrap()
    }

    fn pod(&self) -> Option<Value> {
        self.host.get_json(&ObjectRef::of::<Pod>("ecs", "t"))
    }

    fn secret(&self, name: &str) -> Option<Value> {
        let kind = KindRef::new("", "Secret");
        self.host.get_json(&ObjectRef { kind, namespace: "ecs".into(), name: name.into() })
    }
}

fn secrets(from: &[&str]) -> Value {
    let one = |(n, from): (usize, &&str)| json!({"name": format!("V{n}"), "valueFrom": from});
    json!({"secrets": from.iter().enumerate().map(one).collect::<Vec<_>>()})
}

fn plain(base64: &Value) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn values_come_into_a_secret_of_the_task() {
    let db = "arn:aws:secretsmanager:r:1:secret:db-1";
    let from = [
        "/shop/db".to_owned(),
        "kept:key".to_owned(),
        format!("{db}:user::"),
        format!("{db}:number:AWSPREVIOUS:"),
        "arn:aws:secretsmanager:r:1:secret:text-1".to_owned(),
        format!("{db}:version:AWSPREVIOUS:"),
    ];
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    let mut members = secrets(&from);
    members["environmentFiles"] = json!([{"type": "s3", "value": "arn:aws:s3:::bucket/a/b.env"}]);
    members["environment"] = json!([{"name": "GIVEN", "value": "yes"}]);
    let host = host(aws);
    // The host dies after the values were written down, and before the pod is.
    host.fail(Fault::on(Verb::Create).skip(2));
    let mut world = World::task(host, members);
    assert_eq!(world.driver.take_errors().len(), 1);
    let asked = world.host.take_requests().len();
    assert_eq!(asked, 5, "one for all parameters, one for each secret, one for each file");
    world.driver.advance(Duration::from_secs(1));
    assert!(world.host.take_requests().is_empty(), "and no more");
    let (pod, secret) = (world.pod().unwrap(), world.secret("task-t").unwrap());
    let data = secret["data"].as_object().unwrap();
    let values: Vec<(&str, String)> = data.iter().map(|(key, value)| (key.as_str(), plain(value))).collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        values,
        [
            ("0-0", text("value of \"/shop/db\"")),
            ("0-2", text("me")),
            ("0-3", text("7")),
            ("0-4", text("only text")),
            ("0-5", text("AWSPREVIOUS")),
        ]
    );
    assert_eq!(secret["metadata"]["ownerReferences"][0]["kind"], "Task");
    let container = &pod["spec"]["containers"][0];
    let of = |name: &str, key: &str| json!({"secretKeyRef": {"name": name, "key": key}});
    assert_eq!(container["env"][0], json!({"name": "V0", "valueFrom": of("task-t", "0-0")}));
    assert_eq!(container["env"][1], json!({"name": "V1", "valueFrom": of("kept", "key")}));
    assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "task-t-files-0"}}]));
    assert_eq!(plain(&world.secret("task-t-files-0").unwrap()["data"]["FROM_FILE"]), "1");
    for said in [pod.to_string(), serde_json::to_string(&world.seen()).unwrap()] {
        assert!(!said.contains("value of") && !said.contains("only text"), "{said}");
    }

    world.host.edit::<Task>("ecs", "t", |task| task.spec.desired_status = "STOPPED".into());
    world.driver.settle();
    world.host.finish_deletions();
    world.driver.settle();
    assert_eq!(world.seen().status.last_status, "STOPPED");
    assert!(world.secret("task-t").is_none() && world.secret("task-t-files-0").is_none());
}

#[test]
fn what_can_not_be_had_stops_the_task() {
    let pull =
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: ";
    let db = "arn:aws:secretsmanager:r:1:secret:";
    let file =
        |name: &str| json!({"environmentFiles": [{"type": "s3", "value": format!("arn:aws:s3:::bucket/{name}.env")}]});
    let files = "ResourceInitializationError: failed to download env files: arn:aws:s3:::bucket/";
    for (members, want) in [
        (secrets(&["none", "a"]), format!("{pull}unable to retrieve secrets from ssm: invalid parameters: none")),
        (
            secrets(&[&format!("{db}none-1")]),
            format!(
                "{pull}unable to retrieve secret from asm: failed to fetch secret {db}none-1 from secrets manager: \
                 ResourceNotFoundException: Secrets Manager can't find it."
            ),
        ),
        (
            secrets(&[&format!("{db}db-1:password::")]),
            format!(
                "{pull}unable to retrieve secret from asm: failed to fetch secret {db}db-1 from secrets manager: InvalidSecret: \
                 retrieved secret from Secrets Manager did not contain json key password"
            ),
        ),
        (
            secrets(&[&format!("{db}text-1:password::")]),
            format!(
                "{pull}unable to retrieve secret from asm: failed to fetch secret {db}text-1 from secrets manager: InvalidSecret: \
                 it is not an object in JSON"
            ),
        ),
        (file("none"), format!("{files}none.env: NoSuchKey: It is not there.")),
        // Nothing of the line: it is the rest of a value.
        (file("lines"), format!("{files}lines.env: InvalidFile: line 2 has no name of a variable before its =")),
    ] {
        let world = World::task(host(aws), members);
        let status = world.seen().status;
        assert_eq!((status.stop_code.as_str(), status.stopped_reason.as_str()), ("TaskFailedToStart", want.as_str()));
        assert!(world.pod().is_none() && world.secret("task-t").is_none());
    }
}

#[test]
fn who_does_not_answer_is_asked_for_a_minute() {
    let silent = |_: &Request| Err(Error::unavailable("nobody answers"));
    let mut world = World::task(host(silent), secrets(&["a"]));
    world.driver.advance(Duration::from_secs(50));
    assert_eq!(world.seen().status.stop_code, "");
    world.host.answer_http(aws);
    world.driver.advance(Duration::from_secs(5));
    assert!(world.pod().is_some());

    let mut world = World::task(host(silent), secrets(&["a"]));
    world.driver.advance(Duration::from_secs(61));
    let reason = world.seen().status.stopped_reason;
    assert!(reason.ends_with("unable to retrieve secrets from ssm: nobody answers"), "{reason}");
    // What the bundle does not grant will not come.
    let denied = |_: &Request| Err(Error::forbidden("the bundle does not grant this endpoint"));
    let reason = World::task(host(denied), secrets(&["a"])).seen().status.stopped_reason;
    assert!(reason.ends_with("RequestError: the bundle does not grant this endpoint"), "{reason}");
}

#[test]
fn a_task_that_is_stopped_while_it_waits_leaves_nothing_read() {
    let files_are_away = |request: &Request| match request.url.ends_with("b.env") {
        true => Err(Error::unavailable("nobody answers")),
        false => aws(request),
    };
    let mut members = secrets(&["a"]);
    members["environmentFiles"] = json!([{"type": "s3", "value": "arn:aws:s3:::bucket/a/b.env"}]);
    let mut world = World::task(host(files_are_away), members);
    assert!(world.secret("task-t").is_some() && world.pod().is_none());
    world.host.edit::<Task>("ecs", "t", |task| task.spec.desired_status = "STOPPED".into());
    world.driver.settle();
    assert_eq!(world.seen().status.last_status, "STOPPED");
    assert!(world.secret("task-t").is_none());
}

#[test]
fn an_alarm_ends_the_deployment_that_raised_it() {
    let raised = Rc::new(RefCell::new(false));
    let state = raised.clone();
    let away = Rc::new(RefCell::new(false));
    let silent = away.clone();
    let host = host(move |request| {
        assert_eq!(target(request), "GraniteServiceVersion20100801.DescribeAlarms");
        if *silent.borrow() {
            return Err(Error::unavailable("nobody answers"));
        }
        let word = if *state.borrow() { "ALARM" } else { "OK" };
        let alarm = json!({"AlarmName": "errors", "StateValue": word, "Period": 30, "EvaluationPeriods": 1});
        Ok(Response::new(200, json!({"MetricAlarms": [alarm], "CompositeAlarms": []}).to_string()))
    });
    host.add_json(json!({
        "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition", "metadata": {"name": "web.r1", "namespace": "ecs"},
        "spec": {"family": "web", "revision": 1, "containerDefinitions": [{"name": "web", "image": "i", "memory": 64}]},
    }));
    host.add_json(json!({
        "apiVersion": "ecs.gantry.dev/v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ecs"},
        "spec": {"cluster": "default", "serviceName": "web", "desiredCount": 0, "deployment": {"id": "ecs-svc/1"},
            "deploymentConfiguration": {"alarms": {"alarmNames": ["errors"], "enable": true, "rollback": true}},
            "template": {"labels": {}, "spec": {"cluster": "default", "taskDefinition": "web.r1"}}},
    }));
    let mut driver: Driver<Ecs> = Driver::new(&host);
    driver.settle();
    let seen = || host.get::<Service>("ecs", "web").unwrap().status;
    for _ in 0..4 {
        driver.advance(Duration::from_secs(15));
    }
    assert_eq!(seen().deployments[0].rollout_state, "COMPLETED");
    host.take_requests();
    driver.advance(Duration::from_secs(600));
    assert!(host.take_requests().is_empty(), "nobody asks when nothing is under way");
    host.edit::<Service>("ecs", "web", |service| service.spec.deployment.id = "ecs-svc/2".into());
    driver.settle();
    assert_eq!(host.take_requests().len(), 1, "no more often than it is time to");
    *raised.borrow_mut() = true;
    driver.advance(Duration::from_secs(15));
    let status = seen();
    assert_eq!((status.deployments[0].id.as_str(), status.deployments[0].rollback), ("ecs-svc/1", true));
    let said = |what: &str| status.events.iter().any(|event| event.message == what);
    assert!(said("(service web) (deployment ecs-svc/2) deployment failed: alarm detected."));
    assert!(said("(service web) rolling back to deployment ecs-svc/1."));
    assert_eq!(
        (status.history[0].alarms.clone(), status.history[0].back.as_str()),
        (vec!["errors".to_owned()], "ecs-svc/1")
    );
    // One that was raised before anybody could look is this deployment's doing all the same.
    *raised.borrow_mut() = false;
    for _ in 0..4 {
        driver.advance(Duration::from_secs(15));
    }
    *away.borrow_mut() = true;
    host.edit::<Service>("ecs", "web", |service| service.spec.deployment.id = "ecs-svc/3".into());
    driver.settle();
    driver.advance(Duration::from_secs(60));
    assert!(seen().deployments.iter().any(|d| d.id == "ecs-svc/3" && d.rollout_state == "IN_PROGRESS"));
    (*raised.borrow_mut(), *away.borrow_mut()) = (true, false);
    driver.advance(Duration::from_secs(15));
    assert!(
        seen().events.iter().any(|e| e.message.ends_with("(deployment ecs-svc/3) deployment failed: alarm detected."))
    );
}
