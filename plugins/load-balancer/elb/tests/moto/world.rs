//! Objects, and the controller over them.

use std::time::Duration;

use gantry_contract::Controller;
use gantry_sdk::objects::{self, Write};
use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{KindRef, ObjectRef, Value, json};

use crate::moto::Moto;

pub fn config(moto: &Moto) -> Value {
    let subnets = moto.aws(&["ec2", "describe-subnets"])["Subnets"].as_array().cloned().unwrap();
    let ids: Vec<&Value> = subnets.iter().map(|subnet| &subnet["SubnetId"]).take(2).collect();
    json!({
        "cluster": "test", "endpoint": moto.0.endpoint(), "subnets": ids, "vpc": subnets[0]["VpcId"], "resync-seconds": 60,
    })
}

pub fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
}

pub fn slice(addresses: &[&str]) -> Value {
    let endpoints: Vec<Value> =
        addresses.iter().map(|at| json!({"addresses": [at], "conditions": {"ready": true}})).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

pub struct World<'a> {
    moto: &'a Moto,
    pub host: Host,
    pub driver: Option<Driver<Controller>>,
}

impl<'a> World<'a> {
    pub fn new(moto: &'a Moto) -> Self {
        let host = Host::new();
        host.set_config(config(moto));
        host.add_json(namespace());
        let driver = Some(Driver::new(&host));
        Self { moto, host, driver }
    }

    pub fn slice(&self, addresses: &[&str]) {
        self.host.add_json(slice(addresses));
    }

    pub fn put(&self, kind: &str, name: &str, spec: Value) {
        let api = if kind == "Frontend" { "gantry.dev/v1alpha1" } else { "v1" };
        let mut object = self.host.get_json(&target(kind, name)).unwrap_or_else(
            || json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}}),
        );
        object["spec"] = spec;
        self.host.add_json(object);
    }

    pub fn annotate(&self, kind: &str, name: &str, annotations: Value) {
        let mut object = self.host.get_json(&target(kind, name)).unwrap();
        object["metadata"]["annotations"] = annotations;
        self.host.add_json(object);
    }

    pub fn delete(&self, kind: &str, name: &str) {
        objects::apply_one(Write::delete(target(kind, name))).unwrap();
    }

    pub fn settle(&mut self) {
        let driver = self.driver.as_mut().unwrap();
        driver.settle();
        driver.advance(Duration::from_secs(61));
        assert_eq!(driver.take_errors(), [], "{}", self.moto.0.log());
    }

    /// A new instance of the plugin, whose memory is gone.
    pub fn restart(&mut self) {
        self.driver = self.driver.take().map(Driver::restart);
    }

    pub fn targets(&self) -> Vec<String> {
        let mut all = Vec::new();
        for group in self.moto.list("describe-target-groups", "TargetGroups", &[]) {
            let arn = group["TargetGroupArn"].as_str().unwrap();
            for one in
                self.moto.list("describe-target-health", "TargetHealthDescriptions", &["--target-group-arn", arn])
            {
                all.push(format!("{}:{}", one["Target"]["Id"].as_str().unwrap(), one["Target"]["Port"]));
            }
        }
        all.sort();
        all
    }

    pub fn listeners(&self, balancer: &Value) -> Vec<Value> {
        let arn = balancer["LoadBalancerArn"].as_str().unwrap();
        self.moto.list("describe-listeners", "Listeners", &["--load-balancer-arn", arn])
    }
}

pub fn target(kind: &str, name: &str) -> ObjectRef {
    let group = if kind == "Frontend" { "gantry.dev" } else { "" };
    ObjectRef { kind: KindRef::new(group, kind), namespace: "default".into(), name: name.into() }
}

pub fn ports(ports: &[u16]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|port| json!({"name": "http", "port": port})).collect();
    json!({"class": "elb", "ports": ports, "backends": {"selector": {"matchLabels": {"kubernetes.io/service-name": "web"}}}})
}
