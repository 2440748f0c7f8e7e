//! The controller on a host in memory: what users see, and what a crash must not break.

mod allocation;
mod serving;

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_sdk::api::Resource;
use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{ObjectRef, Value, json, merge};

use crate::controller::Services;
use crate::object::{EndpointSlice, Endpoints, Frontend, IpAddress, NodePort, Service};

/// A namespace and some instances of the controller.
pub struct Cluster {
    pub host: Host,
    drivers: Vec<Driver<Services>>,
}

impl Cluster {
    /// With 13 addresses and 8 node ports.
    pub fn small(instances: usize) -> Self {
        Self::with(json!({"service-range": "10.96.0.0/28", "node-ports": "30000-30007"}), instances)
    }

    pub fn new() -> Self {
        Self::with(json!({}), 1)
    }

    pub fn with(config: Value, instances: usize) -> Self {
        let host = Host::new();
        host.set_config(config);
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
        let drivers = (0..instances).map(|_| Driver::new(&host)).collect();
        Self { host, drivers }
    }

    /// A Service `name` with one port and what `spec` says beyond that.
    pub fn add(&self, name: &str, spec: Value) {
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "type": "ClusterIP", "selector": {"app": name},
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}],
            },
        });
        merge::apply(&mut service["spec"], &spec);
        self.host.add_json(service);
    }

    /// Changes a Service as a user.
    pub fn patch(&self, name: &str, spec: Value) {
        let Some(mut service) = self.host.get_json(&ObjectRef::of::<Service>("default", name)) else { return };
        merge::apply(&mut service["spec"], &spec);
        self.host.add_json(service);
    }

    pub fn remove(&self, name: &str) {
        self.host.remove(&ObjectRef::of::<Service>("default", name));
    }

    /// A pod that serves `app`.
    pub fn pod(&self, name: &str, app: &str, address: &str, ready: bool) {
        let status = if ready { "True" } else { "False" };
        self.host.add_json(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
            "spec": {
                "nodeName": "n1",
                "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}],
            },
            "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": status}]},
        }));
    }

    /// One round of one instance.
    pub fn round(&mut self, instance: usize) {
        let count = self.drivers.len();
        self.drivers[instance % count].round();
    }

    /// A new instance in the place of one.
    pub fn restart(&mut self, instance: usize) {
        let count = self.drivers.len();
        self.drivers[instance % count] = Driver::new(&self.host);
    }

    /// Until no instance has anything to do, retries included.
    pub fn settle(&mut self) {
        for _ in 0..5 {
            self.host.advance(Duration::from_secs(20));
            for driver in &mut self.drivers {
                driver.settle();
            }
        }
    }

    pub fn service(&self, name: &str) -> Service {
        self.host.get("default", name).expect("the Service")
    }

    pub fn frontend(&self, name: &str) -> Option<Frontend> {
        self.host.get("default", &format!("service-{name}"))
    }

    pub fn slices(&self) -> Vec<EndpointSlice> {
        self.host.all()
    }

    pub fn endpoints(&self, name: &str) -> Option<Endpoints> {
        self.host.get("default", name)
    }

    pub fn addresses(&self) -> BTreeMap<String, IpAddress> {
        self.host.all::<IpAddress>().into_iter().map(|claim| (claim.name().to_owned(), claim)).collect()
    }

    pub fn node_ports(&self) -> BTreeMap<String, NodePort> {
        self.host.all::<NodePort>().into_iter().map(|claim| (claim.name().to_owned(), claim)).collect()
    }

    pub fn reasons(&self) -> Vec<String> {
        self.host.events().into_iter().map(|event| event.reason).collect()
    }
}
