//! Requests over a host in memory: who is let in, what shapes are taken, and what operations answer and store.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use api_ecs::dialect::Ecs;
use api_ecs::facts;
use api_ecs::object::{Cluster, Task};
use api_ecs::operations::SERVED;
use gantry_sdk::api::Node;
use gantry_sdk::objects::Write;
use gantry_sdk::testing::{Fault, Verb};
use gantry_sdk::{Config, Dialect, Error, Value, json};
use support::{Caller, container, prepared, with};

#[test]
fn only_who_signs_rightly_is_let_in() {
    let mut caller = Caller::new();
    caller.ok("ListClusters", json!({}));
    for (key, secret, off, want) in [
        ("AKIANOBODY", "secret", 0, "UnrecognizedClientException: The security token included"),
        ("AKIATEST", "wrong", 0, "InvalidSignatureException: The request signature we calculated"),
        (
            "AKIATEST",
            "secret",
            -1000,
            "InvalidSignatureException: Signature expired: 20251231T234320Z is now earlier than 20251231T234500Z",
        ),
        ("AKIATEST", "secret", 1000, "InvalidSignatureException: Signature not yet current"),
    ] {
        (caller.key, caller.secret, caller.off) = (key, secret, off);
        let said = caller.fault("ListClusters", json!({}));
        assert!(said.starts_with(want), "{said}");
    }
    (caller.key, caller.secret, caller.off) = ("AKIATEST", "secret", 0);
    // What was signed must be what came.
    for change in ["body", "target", "none", "half"] {
        let mut request = caller.signed("ListClusters", b"{}");
        match change {
            "body" => *request.body_mut() = b"{ }".to_vec(),
            "target" => drop(
                request
                    .headers_mut()
                    .insert("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListTasks".parse().unwrap()),
            ),
            "none" => drop(request.headers_mut().remove("authorization")),
            _ => {
                drop(request.headers_mut().insert(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIATEST/a/b/ecs/aws4_request".parse().unwrap(),
                ))
            }
        }
        let (code, answer) = caller.send(request);
        let kind = answer["__type"].as_str().unwrap();
        let want = match change {
            "none" => "MissingAuthenticationTokenException",
            "half" => "IncompleteSignatureException",
            _ => "InvalidSignatureException",
        };
        assert_eq!((code, kind), (400, want), "{change}");
    }
    // Whoever holds such a request could ask for another operation.
    let request = caller.signed_without(&["x-amz-target"], "ListClusters", b"{}");
    let (code, answer) = caller.send(request);
    assert_eq!((code, &answer["__type"]), (400, &json!("IncompleteSignatureException")), "{answer}");
    let request = caller.signed_without(&["content-type"], "ListClusters", b"{}");
    assert_eq!(caller.send(request).0, 200, "others need not be signed");
}

#[test]
fn where_access_keys_are_is_said_with_a_slash() {
    for (given, good) in [("a/b", true), ("b", false), ("/b", false), ("a/", false), ("a/b/c", false)] {
        let configured = Ecs::default().configure(Config::from(json!({"credentials": given})));
        assert_eq!(configured.is_ok(), good, "{given}: {configured:?}");
    }
}

#[test]
fn requests_have_the_shape_of_their_operation() {
    let mut caller = Caller::new();
    for (operation, input, want) in [
        ("Nothing", json!({}), "UnknownOperationException"),
        ("DescribeTasks", json!({}), "InvalidParameterException: tasks can not be blank."),
        ("DescribeTasks", json!({"tasks": "x"}), "SerializationException: tasks is of another type"),
        ("DescribeTasks", json!({"tasks": [1]}), "SerializationException: tasks.1.member is of another type"),
        (
            "RunTask",
            json!({"taskDefinition": "a", "launchType": "MOON"}),
            "InvalidParameterException: 1 validation error detected: Value 'MOON' at 'launchType'",
        ),
        (
            "CreateDaemon",
            json!({"capacityProviderArns": [], "daemonName": "a", "daemonTaskDefinitionArn": "a"}),
            "UnsupportedFeatureException: The operation CreateDaemon is not supported here.",
        ),
    ] {
        let said = caller.fault(operation, input);
        assert!(said.starts_with(want), "{said}");
    }
    let request = caller.signed("ListClusters", b"{");
    assert_eq!(caller.send(request).1["__type"], "SerializationException");
    assert!(SERVED.iter().all(|(name, _)| facts::is_operation(name)));
    assert!(facts::operations().count() > 60);
}

#[test]
fn a_cluster_is_made_seen_tagged_and_taken_away() {
    let mut caller = Caller::new();
    assert!(caller.fault("ListTasks", json!({})).starts_with("ClusterNotFoundException: Cluster not found."));
    let made = caller.ok("CreateCluster", json!({"clusterName": "Blue_1"}));
    let arn = made["cluster"]["clusterArn"].as_str().unwrap().to_owned();
    assert_eq!(arn, "arn:aws:ecs:us-east-1:000000000000:cluster/Blue_1");
    assert_eq!(made["cluster"]["registeredContainerInstancesCount"], 1);
    caller.ok(
        "TagResource",
        json!({"resourceArn": arn, "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}),
    );
    caller.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["b"]}));
    assert_eq!(
        caller.ok("ListTagsForResource", json!({"resourceArn": arn}))["tags"],
        json!([{"key": "a", "value": "1"}])
    );
    // Somebody else's tag between reading and writing is not lost: the write holds for what was read, and is made again.
    let conflict = || Fault::on(Verb::Patch).of::<Cluster>().with(Error::conflict("changed"));
    caller.host.fail(conflict().times(2));
    caller.host.take_writes();
    let tag = json!({"resourceArn": arn, "tags": [{"key": "c", "value": "3"}]});
    caller.ok("TagResource", tag.clone());
    let writes = caller.host.take_writes();
    let held = |write: &Write| matches!(write, Write::Patch(patch) if patch.require.resource_version.is_some());
    assert_eq!((writes.len(), writes.iter().all(held)), (3, true));
    let tags = caller.ok("ListTagsForResource", json!({"resourceArn": arn}))["tags"].clone();
    assert_eq!(tags, json!([{"key": "a", "value": "1"}, {"key": "c", "value": "3"}]));
    caller.host.fail(conflict().times(8));
    assert!(caller.fault("TagResource", tag).starts_with("ClientException: Too many concurrent attempts"));
    assert!(caller.fault("CreateCluster", json!({"clusterName": "a b"})).starts_with("InvalidParameterException"));
    assert!(
        caller
            .fault("CreateCluster", json!({"configuration": {"executeCommandConfiguration": {"logging": "NONE"}}}))
            .starts_with("ClientException: configuration")
    );
    assert_eq!(caller.ok("DeleteCluster", json!({"cluster": arn}))["cluster"]["status"], "INACTIVE");
    assert!(caller.fault("DeleteCluster", json!({"cluster": arn})).starts_with("ClusterNotFoundException"));
}

/// A cluster goes while somebody runs a task in it: either the one who deletes sees the task, or the one who runs it sees
/// that the cluster goes.
#[test]
fn a_cluster_that_goes_takes_no_tasks() {
    let mut caller = prepared();
    let leave = |caller: &Caller, leaving: Value| {
        caller.host.edit::<Cluster>("ecs", "default", |cluster| cluster.spec["leaving"] = leaving);
    };
    leave(&caller, json!(true));
    let refused = caller.fault("RunTask", json!({"taskDefinition": "web"}));
    assert!(refused.starts_with("ClusterNotFoundException"), "{refused}");
    assert_eq!(caller.ok("ListClusters", json!({}))["clusterArns"], json!([]));
    assert_eq!(caller.ok("DescribeClusters", json!({}))["failures"][0]["reason"], "MISSING");
    caller.ok("CreateCluster", json!({}));
    // Its second look at the cluster fails, after the task was made.
    caller.host.fail(Fault::on(Verb::Get).of::<Cluster>().skip(1).with(Error::not_found("gone")));
    let refused = caller.fault("RunTask", json!({"taskDefinition": "web"}));
    assert!(refused.starts_with("ClusterNotFoundException"), "{refused}");
    let tasks = caller.host.all::<Task>();
    assert_eq!(tasks.iter().map(|task| &task.spec["desiredStatus"]).collect::<Vec<_>>(), ["STOPPED"]);
    let refused = caller.fault("DeleteCluster", json!({"cluster": "default"}));
    assert!(refused.starts_with("ClusterContainsTasksException"), "{refused}");
    caller.host.edit::<Task>("ecs", &tasks[0].metadata.name, |task| task.status = json!({"lastStatus": "STOPPED"}));
    caller.ok("DeleteCluster", json!({"cluster": "default"}));
}

#[test]
fn lists_are_walked_page_by_page() {
    let mut caller = Caller::new();
    for n in 0..5 {
        caller.ok("CreateCluster", json!({"clusterName": format!("c{n}")}));
    }
    let (mut seen, mut sizes, mut token) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let mut request = json!({"maxResults": 2});
        if token.is_string() {
            request["nextToken"] = token.clone();
        }
        let page = caller.ok("ListClusters", request);
        let arns = page["clusterArns"].as_array().unwrap().clone();
        sizes.push(arns.len());
        seen.extend(arns);
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    let all: Vec<Value> = (0..5).map(|n| json!(format!("arn:aws:ecs:us-east-1:000000000000:cluster/c{n}"))).collect();
    assert_eq!(seen, all);
    assert!(caller.fault("ListClusters", json!({"maxResults": 101})).starts_with("InvalidParameterException"));
}

#[test]
fn numbers_that_no_pod_can_have_are_refused_and_nulls_say_nothing() {
    let mut caller = prepared();
    let register = |container: Value| json!({"family": "x", "containerDefinitions": [container]});
    let run = |one: Value| {
        let mut one = one;
        one["name"] = json!("a");
        json!({"taskDefinition": "web", "overrides": {"containerOverrides": [one]}})
    };
    for key in ["cpu", "memory", "memoryReservation", "stopTimeout"] {
        for number in [json!(-1), json!(i64::MIN), json!(4_294_967_296_u64), json!(u64::MAX)] {
            let said = caller.fault("RegisterTaskDefinition", register(with(json!({key: number}))));
            let want = format!("ClientException: Invalid value {number} for containerDefinitions[a].{key}");
            assert!(said.starts_with(&want), "{said}");
            let said = caller.fault("RunTask", run(json!({key: number})));
            let want =
                format!("InvalidParameterException: Invalid value {number} for overrides.containerOverrides[a].{key}");
            assert!(said.starts_with(&want), "{said}");
        }
    }
    let port = json!({"containerPort": 80, "hostPort": -1});
    let input =
        json!({"family": "x", "networkMode": "host", "containerDefinitions": [with(json!({"portMappings": [port]}))]});
    assert!(
        caller.fault("RegisterTaskDefinition", input).starts_with("ClientException: Invalid value -1 for portMappings")
    );
    for size in ["-1", "5000000000", "many"] {
        let said = caller.fault("RunTask", json!({"taskDefinition": "web", "overrides": {"memory": size}}));
        assert!(said.starts_with("ClientException: Invalid 'memory' setting for task"), "{said}");
    }
    let nulls = with(
        json!({"cpu": null, "environment": null, "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": null}]}),
    );
    let made =
        caller.ok("RegisterTaskDefinition", register(nulls))["taskDefinition"]["containerDefinitions"][0].clone();
    let port = json!([{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]);
    assert_eq!((&made["cpu"], &made["environment"], &made["portMappings"]), (&json!(0), &json!([]), &port));
    let input = json!({"taskDefinition": "web", "overrides": null, "networkConfiguration": null, "tags": null, "clientToken": null});
    let arn = caller.ok("RunTask", input)["tasks"][0]["taskArn"].clone();
    let id = arn.as_str().unwrap().rsplit('/').next().unwrap();
    let spec = caller.host.get::<Task>("ecs", id).unwrap().spec;
    assert_eq!((&spec["overrides"], &spec["networkConfiguration"]), (&json!({}), &json!({})));
}

#[test]
fn what_would_have_no_effect_is_refused_by_its_name() {
    let mut caller = prepared();
    let log = |log: Value| with(json!({"logConfiguration": log}));
    for (container, member) in [
        (with(json!({"versionConsistency": "enabled"})), "containerDefinitions[a].versionConsistency enabled"),
        (
            log(json!({"logDriver": "awslogs", "secretOptions": [{"name": "a", "valueFrom": "b"}]})),
            "containerDefinitions[a].logConfiguration.secretOptions",
        ),
        (
            with(json!({"portMappings": [{"containerPort": 80, "hostPort": 80, "appProtocol": "grpc"}]})),
            "portMappings.appProtocol",
        ),
        (with(json!({"portMappings": [{"containerPortRange": "80-81"}]})), "portMappings.containerPortRange"),
    ] {
        let said = caller.fault("RegisterTaskDefinition", json!({"family": "x", "containerDefinitions": [container]}));
        assert!(said.starts_with(&format!("ClientException: {member} is not supported")), "{said}");
    }
    for (operation, input, member) in [
        ("RunTask", json!({"enableECSManagedTags": true}), "enableECSManagedTags"),
        ("RunTask", json!({"referenceId": "a"}), "referenceId"),
        ("RunTask", json!({"propagateTags": "SERVICE"}), "propagateTags SERVICE"),
        ("ListTasks", json!({"daemonName": "a"}), "daemonName"),
    ] {
        let mut input = input;
        input["taskDefinition"] = json!("web");
        let said = caller.fault(operation, input);
        assert!(said.starts_with(&format!("ClientException: {member} is not supported")), "{said}");
    }
    // What clients send for nothing is nothing.
    let quiet = log(json!({"logDriver": "awslogs", "options": {"awslogs-group": "g"}, "secretOptions": []}));
    let input = json!({"family": "y", "enableFaultInjection": false, "containerDefinitions": [quiet, {"name": "b", "image": "i", "memory": 6, "versionConsistency": "disabled"}]});
    caller.ok("RegisterTaskDefinition", input);
    caller.ok("RunTask", json!({"taskDefinition": "web", "enableECSManagedTags": false, "propagateTags": "NONE"}));
}

#[test]
fn a_token_stands_for_one_request() {
    let mut caller = prepared();
    caller.ok("RegisterTaskDefinition", json!({"family": "other", "containerDefinitions": [container("a")]}));
    let token = |members: Value| {
        let mut request = json!({"taskDefinition": "web", "clientToken": "t"});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        request
    };
    let once = caller.ok("RunTask", token(json!({})))["tasks"][0]["taskArn"].clone();
    for same in [
        json!({}),
        json!({"count": 1, "cluster": "default", "startedBy": null}),
        json!({"taskDefinition": "web:1"}),
        json!({"taskDefinition": "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1"}),
    ] {
        assert_eq!(caller.ok("RunTask", token(same))["tasks"][0]["taskArn"], once);
    }
    for other in [
        json!({"count": 2}),
        json!({"startedBy": "me"}),
        json!({"taskDefinition": "other"}),
        json!({"overrides": {"containerOverrides": [{"name": "a", "command": ["x"]}]}}),
    ] {
        let said = caller.fault("RunTask", token(other));
        assert!(said.starts_with("ConflictException: The clientToken is that of another request"), "{said}");
        assert!(said.contains(once.as_str().unwrap()), "{said}");
    }
    assert_eq!(caller.ok("ListTasks", json!({}))["taskArns"], json!([once]), "and nothing more was made");
}

#[test]
fn nodes_are_read_once_for_all_tasks() {
    let mut caller = prepared();
    let run = caller.ok("RunTask", json!({"taskDefinition": "web", "count": 3}));
    let arns: Vec<&str> =
        run["tasks"].as_array().unwrap().iter().map(|task| task["taskArn"].as_str().unwrap()).collect();
    let fault = |caller: &Caller, skip: u32| {
        caller.host.fail(Fault::on(Verb::List).of::<Node>().skip(skip).with(Error::unavailable("no nodes today")));
    };
    for arn in &arns {
        let id = arn.rsplit('/').next().unwrap();
        caller.host.edit::<Task>("ecs", id, |task| task.status = json!({"lastStatus": "RUNNING", "node": "n1"}));
    }
    fault(&caller, 1);
    let seen = caller.ok("DescribeTasks", json!({"tasks": arns}));
    for task in seen["tasks"].as_array().unwrap() {
        assert_eq!(task["containerInstanceArn"], "arn:aws:ecs:us-east-1:000000000000:container-instance/default/012");
    }
    let (code, answer) = caller.ask("DescribeTasks", json!({"tasks": arns}));
    assert_eq!((code, &answer["__type"]), (500, &json!("ServerException")), "what fails is said: {answer}");
}

#[test]
fn revisions_count_up_and_are_never_used_again() {
    let mut caller = Caller::new();
    let register = |caller: &mut Caller| {
        caller.ok("RegisterTaskDefinition", json!({"family": "Web", "containerDefinitions": [container("a")]}))
    };
    assert_eq!(register(&mut caller)["taskDefinition"]["revision"], 1);
    let second = register(&mut caller);
    assert_eq!(
        second["taskDefinition"]["taskDefinitionArn"],
        "arn:aws:ecs:us-east-1:000000000000:task-definition/Web:2"
    );
    assert_eq!(second["taskDefinition"]["containerDefinitions"][0]["essential"], true);
    let gone = caller.ok("DeregisterTaskDefinition", json!({"taskDefinition": "Web:2"}));
    assert_eq!(
        (gone["taskDefinition"]["status"].as_str(), gone["taskDefinition"]["deregisteredAt"].as_f64()),
        (Some("INACTIVE"), Some(1_767_225_600.0))
    );
    assert_eq!(caller.ok("DescribeTaskDefinition", json!({"taskDefinition": "Web"}))["taskDefinition"]["revision"], 1);
    assert_eq!(register(&mut caller)["taskDefinition"]["revision"], 3);
    let listed = caller.ok("ListTaskDefinitions", json!({"sort": "DESC"}));
    assert!(listed["taskDefinitionArns"][0].as_str().unwrap().ends_with("Web:3"));
    for (change, want) in [
        (json!({"containerDefinitions": []}), "ClientException: Container list"),
        (
            json!({"containerDefinitions": [container("a"), container("a")]}),
            "ClientException: Container.name contains duplicate",
        ),
        (
            json!({"containerDefinitions": [{"name": "a", "image": "x"}]}),
            "ClientException: Invalid setting for container. At least one of",
        ),
        (
            json!({"volumes": [{"name": "v"}, {"name": "v"}], "containerDefinitions": [container("a")]}),
            "ClientException: Volume.name contains duplicate value: v.",
        ),
        (
            json!({"requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container("a")]}),
            "UnsupportedFeatureException",
        ),
        (
            json!({"enableFaultInjection": true, "containerDefinitions": [container("a")]}),
            "ClientException: enableFaultInjection is not supported",
        ),
        (
            json!({"cpu": "256", "containerDefinitions": [with(json!({"cpu": 200})), with(json!({"name": "b", "cpu": 57}))]}),
            "ClientException: Invalid 'cpu' setting for task: its containers have 257 CPU units together, and it has 256.",
        ),
        (json!({"family": "a b", "containerDefinitions": [container("a")]}), "InvalidParameterException"),
    ] {
        let mut input = change.clone();
        input["family"] = change.get("family").cloned().unwrap_or_else(|| json!("x"));
        let said = caller.fault("RegisterTaskDefinition", input);
        assert!(said.starts_with(want), "{said}");
    }
}

#[test]
fn a_task_is_made_seen_and_told_to_stop() {
    let mut caller = Caller::new();
    caller.ok("CreateCluster", json!({}));
    caller.ok(
        "RegisterTaskDefinition",
        json!({"family": "web", "containerDefinitions": [container("a"), container("b")]}),
    );
    let run = caller.ok("RunTask", json!({"taskDefinition": "web", "count": 2, "startedBy": "me"}));
    assert_eq!(run["tasks"].as_array().unwrap().len(), 2);
    let arn = run["tasks"][0]["taskArn"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:ecs:us-east-1:000000000000:task/default/") && arn.len() == 80, "{arn}");
    let seen = caller.ok("DescribeTasks", json!({"tasks": [arn, "absent"]}));
    let task = &seen["tasks"][0];
    assert_eq!(
        (&task["lastStatus"], &task["desiredStatus"], &task["memory"], &task["group"]),
        (&json!("PROVISIONING"), &json!("RUNNING"), &json!("128"), &json!("family:web"))
    );
    assert_eq!(task["createdAt"], 1_767_225_600.0);
    assert_eq!(
        seen["failures"][0],
        json!({"arn": "arn:aws:ecs:us-east-1:000000000000:task/default/absent", "reason": "MISSING"})
    );
    assert_eq!(caller.ok("ListTasks", json!({"startedBy": "me"}))["taskArns"].as_array().unwrap().len(), 2);
    assert!(caller.fault("DeleteCluster", json!({"cluster": "default"})).starts_with("ClusterContainsTasksException"));
    let stopped = caller.ok("StopTask", json!({"task": arn, "reason": "enough"}));
    assert_eq!(
        (&stopped["task"]["stoppedReason"], &stopped["task"]["stopCode"]),
        (&json!("enough"), &json!("UserInitiated"))
    );
    assert_eq!(caller.ok("ListTasks", json!({}))["taskArns"].as_array().unwrap().len(), 1);
    let once =
        caller.ok("RunTask", json!({"taskDefinition": "web", "clientToken": "t"}))["tasks"][0]["taskArn"].clone();
    assert_eq!(caller.ok("RunTask", json!({"taskDefinition": "web", "clientToken": "t"}))["tasks"][0]["taskArn"], once);
    for (input, want) in [
        (json!({"taskDefinition": "none"}), "ClientException: TaskDefinition not found."),
        (json!({"taskDefinition": "web", "count": 0}), "InvalidParameterException: count"),
        (json!({"taskDefinition": "web", "launchType": "FARGATE"}), "UnsupportedFeatureException"),
        (json!({"taskDefinition": "web", "cluster": "none"}), "ClusterNotFoundException"),
        (
            json!({"taskDefinition": "web", "overrides": {"containerOverrides": [{"name": "z"}]}}),
            "InvalidParameterException: Override for container named z",
        ),
        (json!({"taskDefinition": "web", "enableExecuteCommand": true}), "ClientException: enableExecuteCommand"),
    ] {
        let said = caller.fault("RunTask", input);
        assert!(said.starts_with(want), "{said}");
    }
    assert!(
        caller
            .fault("StopTask", json!({"task": "absent"}))
            .starts_with("InvalidParameterException: The referenced task was not found.")
    );
}

#[test]
fn what_vanishes_meanwhile_is_not_there() {
    let mut caller = prepared();
    let web = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 0});
    caller.ok("CreateService", web);
    let task = caller.ok("RunTask", json!({"taskDefinition": "web"}))["tasks"][0]["taskArn"].clone();
    let gone = [Error::not_found("gone"), Error::conflict("another of its name")];
    for (operation, input, want) in [
        ("DeleteService", json!({"service": "web"}), "ServiceNotFoundException: Service not found."),
        (
            "UpdateService",
            json!({"service": "web", "desiredCount": 1}),
            "ClientException: Too many concurrent attempts",
        ),
        ("StopTask", json!({"task": task}), "InvalidParameterException: The referenced task was not found."),
        (
            "DeregisterTaskDefinition",
            json!({"taskDefinition": "web:1"}),
            "ClientException: The specified task definition does not exist.",
        ),
        ("DeleteCluster", json!({"cluster": "default"}), "ClusterNotFoundException: Cluster not found."),
        (
            "PutAttributes",
            json!({"attributes": [{"name": "a", "value": "b", "targetId": "012"}]}),
            "TargetNotFoundException: Unable to find target",
        ),
    ] {
        for error in &gone {
            // What looks again does so until it has looked often enough.
            let times = if operation == "UpdateService" { 8 } else { 1 };
            caller.host.fail(Fault::on(Verb::Patch).times(times).with(error.clone()));
            let said = caller.fault(operation, input.clone());
            assert!(said.starts_with(want), "{operation}: {said}");
        }
    }
}
