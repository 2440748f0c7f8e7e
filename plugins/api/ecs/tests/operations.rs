//! Requests over a host in memory: who is let in, what shapes are taken, and what operations answer and store.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_ecs::dialect::Ecs;
use api_ecs::facts;
use api_ecs::operations::SERVED;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use gantry_sdk::dialect::Call;
use gantry_sdk::dialect::http::{Request, Response};
use gantry_sdk::testing::Host;
use gantry_sdk::{Config, Dialect, Value, json, serde_json};

const NOW: u64 = 1_767_225_600_000;

struct Caller {
    dialect: Ecs,
    _host: Host,
    key: &'static str,
    secret: &'static str,
    /// Of its clock, in seconds.
    off: i64,
    calls: u64,
}

impl Caller {
    fn new() -> Self {
        let host = Host::new();
        host.add_json(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ecs-access-keys", "namespace": "kube-system"},
            "data": {"AKIATEST": "c2VjcmV0"},
        }));
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ecs"}}));
        host.add_json(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "0-1-2"},
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}, "conditions": [{"type": "Ready", "status": "True"}]}}));
        let mut dialect = Ecs::default();
        dialect.configure(Config::from(json!({}))).unwrap();
        Self { dialect, _host: host, key: "AKIATEST", secret: "secret", off: 0, calls: 0 }
    }

    fn signed(&self, operation: &str, body: &[u8]) -> Request<Vec<u8>> {
        let time = i64::try_from(NOW / 1000).unwrap() + self.off;
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap());
        let identity = Credentials::new(self.key, self.secret, None, None, "test").into();
        let parameters = v4::SigningParams::builder().identity(&identity).region("us-east-1").name("ecs").time(time);
        let parameters = parameters.settings(SigningSettings::default()).build().unwrap().into();
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
        let signable =
            SignableRequest::new("POST", "https://localhost:1/", headers.into_iter(), SignableBody::Bytes(body));
        let (instructions, _) = sign(signable.unwrap(), &parameters).unwrap().into_parts();
        let mut request = Request::post("/").header("host", "localhost:1");
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request.body(body.to_vec()).unwrap()
    }

    fn send(&mut self, request: Request<Vec<u8>>) -> (u16, Value) {
        self.calls += 1;
        let call = Call { now_ms: NOW, id: format!("{:032x}", self.calls) };
        let answer: Response<Vec<u8>> = self.dialect.handle(&call, request);
        assert!(
            answer.headers()["x-amzn-requestid"].len() == 36
                && answer.headers()["content-type"] == "application/x-amz-json-1.1"
        );
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    fn ask(&mut self, operation: &str, input: Value) -> (u16, Value) {
        let request = self.signed(operation, input.to_string().as_bytes());
        self.send(request)
    }

    fn ok(&mut self, operation: &str, input: Value) -> Value {
        let (code, answer) = self.ask(operation, input);
        assert_eq!(code, 200, "{operation}: {answer}");
        answer
    }

    fn fault(&mut self, operation: &str, input: Value) -> String {
        let (code, answer) = self.ask(operation, input);
        assert_eq!(code, 400, "{operation}: {answer}");
        format!("{}: {}", answer["__type"].as_str().unwrap(), answer["message"].as_str().unwrap())
    }
}

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
            "CreateService",
            json!({"serviceName": "a"}),
            "UnsupportedFeatureException: The operation CreateService is not supported here.",
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
    assert!(caller.fault("CreateCluster", json!({"clusterName": "a b"})).starts_with("InvalidParameterException"));
    assert!(
        caller
            .fault("CreateCluster", json!({"capacityProviders": ["x"]}))
            .starts_with("ClientException: capacityProviders")
    );
    assert_eq!(caller.ok("DeleteCluster", json!({"cluster": arn}))["cluster"]["status"], "INACTIVE");
    assert!(caller.fault("DeleteCluster", json!({"cluster": arn})).starts_with("ClusterNotFoundException"));
}

#[test]
fn lists_are_walked_page_by_page() {
    let mut caller = Caller::new();
    for n in 0..5 {
        caller.ok("CreateCluster", json!({"clusterName": format!("c{n}")}));
    }
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut request = json!({"maxResults": 2});
        if token.is_string() {
            request["nextToken"] = token.clone();
        }
        let page = caller.ok("ListClusters", request);
        seen.extend(page["clusterArns"].as_array().unwrap().clone());
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(caller.fault("ListClusters", json!({"maxResults": 101})).starts_with("InvalidParameterException"));
}

fn container(name: &str) -> Value {
    json!({"name": name, "image": "web:1", "memory": 64})
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
            json!({"volumes": [{"name": "v"}], "containerDefinitions": [container("a")]}),
            "ClientException: volumes is not supported",
        ),
        (
            json!({"requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container("a")]}),
            "UnsupportedFeatureException",
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
