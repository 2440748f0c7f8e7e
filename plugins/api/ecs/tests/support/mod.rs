//! A caller over a host in memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "a helper that fails fails its test; not every test needs all"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_ecs::dialect::Ecs;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use gantry_sdk::dialect::Call;
use gantry_sdk::dialect::http::{Request, Response};
use gantry_sdk::testing::Host;
use gantry_sdk::{Config, Dialect, Value, json, serde_json};

/// The time of all requests.
pub const NOW: u64 = 1_767_225_600_000;

/// Whoever asks.
pub struct Caller {
    pub dialect: Ecs,
    pub host: Host,
    pub key: &'static str,
    pub secret: &'static str,
    /// Of its clock, in seconds.
    pub off: i64,
    pub calls: u64,
}

impl Caller {
    pub fn new() -> Self {
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
        Self { dialect, host, key: "AKIATEST", secret: "secret", off: 0, calls: 0 }
    }

    pub fn signed(&self, operation: &str, body: &[u8]) -> Request<Vec<u8>> {
        self.signed_without(&[], operation, body)
    }

    /// The same with headers that are sent, and not among those that were signed.
    pub fn signed_without(&self, unsigned: &[&str], operation: &str, body: &[u8]) -> Request<Vec<u8>> {
        let time = i64::try_from(NOW / 1000).unwrap() + self.off;
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap());
        let identity = Credentials::new(self.key, self.secret, None, None, "test").into();
        let parameters = v4::SigningParams::builder().identity(&identity).region("us-east-1").name("ecs").time(time);
        let parameters = parameters.settings(SigningSettings::default()).build().unwrap().into();
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
        let known = headers.into_iter().filter(|(name, _)| !unsigned.contains(name));
        let signable = SignableRequest::new("POST", "https://localhost:1/", known, SignableBody::Bytes(body));
        let (instructions, _) = sign(signable.unwrap(), &parameters).unwrap().into_parts();
        let mut request = Request::post("/").header("host", "localhost:1");
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request.body(body.to_vec()).unwrap()
    }

    pub fn send(&mut self, request: Request<Vec<u8>>) -> (u16, Value) {
        self.calls += 1;
        let call = Call { now_ms: NOW, id: format!("{:032x}", self.calls) };
        let answer: Response<Vec<u8>> = self.dialect.handle(&call, request);
        assert!(
            answer.headers()["x-amzn-requestid"].len() == 36
                && answer.headers()["content-type"] == "application/x-amz-json-1.1"
        );
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    pub fn ask(&mut self, operation: &str, input: Value) -> (u16, Value) {
        let request = self.signed(operation, input.to_string().as_bytes());
        self.send(request)
    }

    pub fn ok(&mut self, operation: &str, input: Value) -> Value {
        let (code, answer) = self.ask(operation, input);
        assert_eq!(code, 200, "{operation}: {answer}");
        answer
    }

    pub fn fault(&mut self, operation: &str, input: Value) -> String {
        let (code, answer) = self.ask(operation, input);
        assert_eq!(code, 400, "{operation}: {answer}");
        format!("{}: {}", answer["__type"].as_str().unwrap(), answer["message"].as_str().unwrap())
    }
}

/// What the bundle gives `controller-ecs`: its endpoints, and where it may send requests.
pub fn granted(caller: &Caller, endpoints: Value, http: &[&str]) {
    caller.host.add_json(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Plugin", "metadata": {"name": "ours"},
        "spec": {"config": {"endpoints": endpoints}, "grants": {"http": http}},
        "status": {"kinds": ["tasks.ecs.gantry.dev", "services.ecs.gantry.dev"]},
    }));
}

/// A container.
pub fn container(name: &str) -> Value {
    json!({"name": name, "image": "web:1", "memory": 64})
}

/// A container with other members.
pub fn with(members: Value) -> Value {
    let mut container = container("a");
    container.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    container
}

/// A cluster, and a task definition `web` of one container `a`.
pub fn prepared() -> Caller {
    let mut caller = Caller::new();
    caller.ok("CreateCluster", json!({}));
    caller.ok("RegisterTaskDefinition", json!({"family": "web", "containerDefinitions": [container("a")]}));
    caller
}
