//! Task sets: what somebody else than ECS makes of a service's deployments.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use api_ecs::object::Service;
use gantry_sdk::{Value, json};
use support::{Caller, container, prepared};

fn merged(base: Value, members: &Value) -> Value {
    let mut base = base;
    base.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    base
}

fn named(members: Value) -> Value {
    merged(json!({"cluster": "default", "service": "web"}), &members)
}

/// A service `web` of four tasks, whose deployments are not ECS's.
fn external() -> Caller {
    let mut caller = prepared();
    let controller = json!({"type": "EXTERNAL"});
    let request = json!({"serviceName": "web", "desiredCount": 4, "deploymentController": controller, "placementStrategy": [{"type": "random"}]});
    let made = caller.ok("CreateService", request)["service"].clone();
    assert_eq!(
        (&made["deploymentController"], &made["deployments"], &made["taskSets"]),
        (&controller, &json!([]), &json!([]))
    );
    assert!(made.get("taskDefinition").is_none() && made.get("launchType").is_none(), "{made}");
    caller
}

fn create(caller: &mut Caller, members: Value) -> Value {
    let request = merged(named(json!({"taskDefinition": "web"})), &members);
    caller.ok("CreateTaskSet", request)["taskSet"].clone()
}

fn percent(value: f64) -> Value {
    json!({"value": value, "unit": "PERCENT"})
}

fn object(caller: &Caller) -> Service {
    caller.host.all::<Service>().remove(0)
}

#[test]
fn a_set_is_made_scaled_led_by_and_taken_away() {
    let mut caller = external();
    let tags = json!([{"key": "a", "value": "b"}]);
    let first =
        create(&mut caller, json!({"scale": percent(30.0), "externalId": "green", "tags": tags, "clientToken": "t"}));
    assert_eq!((&first["status"], &first["computedDesiredCount"]), (&json!("ACTIVE"), &json!(2)), "rounded up");
    assert_eq!((&first["externalId"], &first["stabilityStatus"]), (&json!("green"), &json!("STABILIZING")));
    let id = first["id"].as_str().unwrap().to_owned();
    let arn = format!("arn:aws:ecs:us-east-1:000000000000:task-set/default/web/{id}");
    assert_eq!(first["taskSetArn"], arn);
    let again =
        create(&mut caller, json!({"scale": percent(30.0), "externalId": "green", "tags": tags, "clientToken": "t"}));
    assert_eq!(again["id"], json!(id), "a token makes one");
    let other = named(json!({"taskDefinition": "web", "scale": percent(40.0), "clientToken": "t"}));
    let said = caller.fault("CreateTaskSet", other);
    assert_eq!(said, "InvalidParameterException: Creation of TaskSet was not idempotent.");
    let second = create(&mut caller, json!({}));
    assert_eq!((&second["scale"], &second["computedDesiredCount"]), (&percent(0.0), &json!(0)));
    let stored = object(&caller).spec["taskSets"][0].clone();
    assert_eq!(stored["template"]["spec"]["taskDefinition"], "web.r1");
    assert_eq!(stored["template"]["asked"]["placementStrategy"], json!([{"type": "random"}]), "as its service has it");
    let led = caller.ok("UpdateServicePrimaryTaskSet", named(json!({"primaryTaskSet": arn})))["taskSet"].clone();
    assert_eq!(led["status"], "PRIMARY");
    let known = json!({"id": id, "status": "PRIMARY", "desiredCount": 2, "runningCount": 2, "stability": "STEADY_STATE",
        "stabilityAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"});
    let name = object(&caller).metadata.name;
    caller.host.edit::<Service>("ecs", &name, |service| {
        service.status = json!({"status": "ACTIVE", "runningCount": 2, "deployments": [known]})
    });
    let seen = caller.ok("DescribeTaskSets", named(json!({"taskSets": [id, "ecs-svc/7"], "include": ["TAGS"]})));
    assert_eq!(seen["failures"][0], json!({"arn": arn.replace(&id, "ecs-svc/7"), "reason": "MISSING"}));
    let set = &seen["taskSets"][0];
    assert_eq!(
        (&set["stabilityStatus"], &set["runningCount"], &set["tags"]),
        (&json!("STEADY_STATE"), &json!(2), &tags)
    );
    let service = caller.ok("DescribeServices", json!({"services": ["web"]}))["services"][0].clone();
    assert_eq!((&service["taskDefinition"], &service["launchType"]), (&set["taskDefinition"], &json!("EC2")));
    assert_eq!(service["taskSets"].as_array().unwrap().len(), 2);
    let scaled = caller.ok("UpdateTaskSet", named(json!({"taskSet": id, "scale": percent(100.0)})))["taskSet"].clone();
    assert_eq!((&scaled["computedDesiredCount"], &scaled["stabilityStatus"]), (&json!(4), &json!("STABILIZING")));
    let said = caller.fault("DeleteTaskSet", named(json!({"taskSet": id})));
    assert_eq!(said, "InvalidParameterException: The task set cannot be deleted while it is scaled above 0.");
    caller.ok("UpdateTaskSet", named(json!({"taskSet": id, "scale": percent(0.0)})));
    let said = caller.fault("DeleteTaskSet", named(json!({"taskSet": id})));
    assert_eq!(said, "InvalidParameterException: The primary task set cannot be deleted unless it is forced.");
    let gone = caller.ok("DeleteTaskSet", named(json!({"taskSet": id, "force": true})))["taskSet"].clone();
    assert_eq!((&gone["status"], &gone["computedDesiredCount"]), (&json!("DRAINING"), &json!(0)));
    assert_eq!(
        caller.ok("DescribeTaskSets", named(json!({})))["taskSets"].as_array().unwrap().len(),
        2,
        "it has tasks"
    );
    let said = caller.fault("UpdateTaskSet", named(json!({"taskSet": id, "scale": percent(1.0)})));
    assert!(said.starts_with("TaskSetNotFoundException"), "{said}");
    caller
        .host
        .edit::<Service>("ecs", &name, |service| service.status = json!({"status": "ACTIVE", "deployments": []}));
    assert_eq!(caller.ok("DescribeTaskSets", named(json!({})))["taskSets"][0]["id"], second["id"]);
    let said = caller.fault("DeleteTaskSet", named(json!({"taskSet": id, "force": true})));
    assert!(said.starts_with("TaskSetNotFoundException"), "{said}");
}

#[test]
fn what_can_not_be_is_refused() {
    let mut caller = external();
    caller.ok(
        "RegisterTaskDefinition",
        json!({"family": "own", "networkMode": "awsvpc", "containerDefinitions": [container("a")]}),
    );
    let controller = |kind: &str, more: Value| {
        merged(json!({"serviceName": "x", "desiredCount": 1, "deploymentController": {"type": kind}}), &more)
    };
    for (operation, request, want) in [
        (
            "CreateService",
            controller("EXTERNAL", json!({"taskDefinition": "web"})),
            "InvalidParameterException: TaskDefinition must be blank",
        ),
        (
            "CreateService",
            controller("EXTERNAL", json!({"launchType": "EC2"})),
            "InvalidParameterException: LaunchType must be blank",
        ),
        (
            "CreateService",
            controller("EXTERNAL", json!({"schedulingStrategy": "DAEMON", "desiredCount": null})),
            "InvalidParameterException: The daemon scheduling strategy is not supported",
        ),
        (
            "CreateService",
            controller("CODE_DEPLOY", json!({"taskDefinition": "web"})),
            "UnsupportedFeatureException: The deployment controller CODE_DEPLOY",
        ),
        (
            "UpdateService",
            json!({"service": "web", "taskDefinition": "web"}),
            "InvalidParameterException: Unable to update taskDefinition on services with an EXTERNAL",
        ),
        (
            "UpdateService",
            json!({"service": "web", "forceNewDeployment": true}),
            "InvalidParameterException: Unable to update forceNewDeployment",
        ),
        ("CreateTaskSet", named(json!({"taskDefinition": "none"})), "ClientException: TaskDefinition not found."),
        (
            "CreateTaskSet",
            named(json!({"taskDefinition": "own"})),
            "InvalidParameterException: Network Configuration must be provided",
        ),
        (
            "CreateTaskSet",
            named(json!({"taskDefinition": "web", "scale": percent(101.0)})),
            "InvalidParameterException: The scale of a task set must be",
        ),
        (
            "CreateTaskSet",
            named(json!({"taskDefinition": "web", "launchType": "FARGATE"})),
            "UnsupportedFeatureException: The launch type FARGATE",
        ),
        (
            "CreateTaskSet",
            named(json!({"taskDefinition": "web", "serviceRegistries": [{"registryArn": "r"}]})),
            "InvalidParameterException: Service registry \"r\" is not one of",
        ),
        (
            "CreateTaskSet",
            json!({"cluster": "default", "service": "none", "taskDefinition": "web"}),
            "ServiceNotFoundException",
        ),
        (
            "CreateTaskSet",
            json!({"cluster": "none", "service": "web", "taskDefinition": "web"}),
            "ClusterNotFoundException",
        ),
        ("UpdateTaskSet", named(json!({"taskSet": "ecs-svc/1", "scale": percent(1.0)})), "TaskSetNotFoundException"),
        ("UpdateTaskSet", named(json!({"taskSet": "ecs-svc/1"})), "InvalidParameterException: scale can not be blank."),
        ("UpdateServicePrimaryTaskSet", named(json!({"primaryTaskSet": "ecs-svc/1"})), "TaskSetNotFoundException"),
        (
            "DescribeTaskSets",
            named(json!({"taskSets": ["arn:aws:ecs:us-east-1:000000000000:service/default/web"]})),
            "InvalidParameterException: Invalid identifier",
        ),
    ] {
        let said = caller.fault(operation, request.clone());
        assert!(said.starts_with(want), "{operation} {request}: {said}");
    }
    for _ in 0..5 {
        create(&mut caller, json!({}));
    }
    let said = caller.fault("CreateTaskSet", named(json!({"taskDefinition": "web"})));
    assert!(said.starts_with("InvalidParameterException: 5 deployments exist on the service."), "{said}");
    caller.ok("UpdateService", json!({"service": "web", "desiredCount": 0, "forceNewDeployment": false}));
    caller.ok("DeleteService", json!({"service": "web"}));
    let said = caller.fault("CreateTaskSet", named(json!({"taskDefinition": "web"})));
    assert_eq!(said, "ServiceNotActiveException: Service was not ACTIVE.");
    caller.ok("CreateService", json!({"serviceName": "own", "taskDefinition": "web", "desiredCount": 1}));
    let said = caller.fault("CreateTaskSet", json!({"cluster": "default", "service": "own", "taskDefinition": "web"}));
    assert!(said.contains("only supports task set management on services configured to use external"), "{said}");
}
