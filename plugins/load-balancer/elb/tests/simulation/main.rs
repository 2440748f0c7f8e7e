//! Passes over Frontends and Services against a simulated AWS: everything is made once and found again, follows what changes on
//! either side, and goes in order; what is somebody else's stays.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failure here is a panic")]

mod aws;
mod certificates;
mod classic;
mod failures;
mod following;
mod listening;
mod making;
mod older;
mod refusing;
mod services;
mod xml;

use std::time::Duration;

use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{KindRef, ObjectRef, Value, json};
use load_balancer_elb::controller::Frontends;

use aws::Aws;

struct World {
    host: Host,
    aws: Aws,
    driver: Driver<Frontends>,
}

impl World {
    fn new(more: Value) -> Self {
        let host = Host::new();
        let mut config = json!({
            "cluster": "test", "endpoint": "http://elb.test", "subnets": ["s1", "s2"], "vpc": "vpc-1", "resync-seconds": 60,
        });
        gantry_sdk::merge::apply(&mut config, &more);
        host.set_config(config);
        let aws = Aws::serve(&host);
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
        let mut driver = Driver::new(&host);
        driver.settle();
        Self { host, aws, driver }
    }

    fn frontend(&self, name: &str, spec: Value) {
        self.annotated(name, spec, json!({}));
    }

    fn annotated(&self, name: &str, mut spec: Value, annotations: Value) {
        spec["class"] = json!("elb");
        self.host.add_json(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Frontend",
            "metadata": {"name": name, "namespace": "default", "annotations": annotations}, "spec": spec,
        }));
    }

    /// Replaces the spec, as somebody who edits it.
    fn edit(&self, name: &str, mut spec: Value) {
        spec["class"] = json!("elb");
        let mut object = self.get("Frontend", name);
        object["spec"] = spec;
        self.host.add_json(object);
    }

    fn slice(&self, addresses: &[&str]) {
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|at| json!({"addresses": [at], "conditions": {"ready": true}, "nodeName": "n1"}))
            .collect();
        self.host.add_json(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }));
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        self.host.get_json(&target(kind, name)).unwrap_or_default()
    }

    fn condition(&self, name: &str) -> (String, String, String) {
        self.holds(name, "Ready")
    }

    /// Status, reason and message of a condition of a Frontend.
    fn holds(&self, name: &str, condition: &str) -> (String, String, String) {
        let frontend = self.get("Frontend", name);
        let all = frontend["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|one| one["type"] == condition).cloned().unwrap_or_default();
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        // The API takes none without, and the simulated host has no schemas.
        assert!(found.is_null() || !text("message").is_empty(), "{found}");
        (text("status"), text("reason"), text("message"))
    }

    /// Deletes as a client does: what has finalizers stays, and says that it is going.
    fn delete(&self, kind: &str, name: &str) {
        gantry_sdk::objects::apply_one(gantry_sdk::objects::Write::delete(target(kind, name))).unwrap();
    }

    fn settle(&mut self) -> Vec<String> {
        self.driver.settle();
        self.driver.advance(Duration::from_secs(61));
        self.aws.take_changes()
    }

    fn count(&self, kind: &str) -> usize {
        self.aws.all(kind).len()
    }
}

fn target(kind: &str, name: &str) -> ObjectRef {
    let group = if kind == "Frontend" { "gantry.dev" } else { "" };
    ObjectRef { kind: KindRef::new(group, kind), namespace: "default".into(), name: name.into() }
}

fn slice(name: &str) -> ObjectRef {
    ObjectRef {
        kind: KindRef::new("discovery.k8s.io", "EndpointSlice"),
        namespace: "default".into(),
        name: name.into(),
    }
}

fn ports(ports: &[(u16, &str)]) -> Value {
    let ports: Vec<Value> =
        ports.iter().map(|(port, name)| json!({"name": name, "port": port, "nodePort": 30_000 + port})).collect();
    json!({"ports": ports, "backends": {"selector": {"matchLabels": {"kubernetes.io/service-name": "web"}}}})
}

fn backend(name: &str) -> Value {
    json!({"name": name, "selector": {"matchLabels": {"kubernetes.io/service-name": "web"}}, "port": "http"})
}

fn http(rules: Value) -> Value {
    json!({"http": {
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        "backends": [backend("a"), backend("b")], "rules": rules,
    }})
}
