//! The controller on a host in memory: what users see, and what a crash must not break.

use std::time::Duration;

use gantry_sdk::api::{Resource, Service};
use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{ObjectRef, Value, json, merge};

use crate::controller::Ingresses;
use crate::object::{Frontend, Ingress, IngressClass};

/// A namespace, a node and the controller.
struct Cluster {
    host: Host,
    driver: Driver<Ingresses>,
}

impl Cluster {
    fn with(config: Value) -> Self {
        let host = Host::new();
        host.set_config(config);
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
        node(&host, "n1", "192.0.2.1", true);
        let driver = Driver::new(&host);
        let mut cluster = Self { host, driver };
        cluster.driver.settle();
        cluster
    }

    fn new() -> Self {
        Self::with(json!({}))
    }

    fn service(&self, name: &str, spec: Value) {
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80}]},
        });
        merge::apply(&mut service["spec"], &spec);
        self.host.add_json(service);
    }

    fn ingress(&self, spec: Value) {
        let mut ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "namespace": "default"}, "spec": {"ingressClassName": "gantry"},
        });
        merge::apply(&mut ingress["spec"], &spec);
        self.host.add_json(ingress);
    }

    fn frontend(&self) -> Option<Value> {
        self.host.get::<Frontend>("default", "ingress-web").map(|frontend| frontend.spec)
    }

    fn status(&self) -> Value {
        self.host.get::<Ingress>("default", "web").map(|ingress| ingress.status).unwrap_or_default()
    }

    fn reasons(&self) -> Vec<String> {
        self.host.events().into_iter().map(|event| event.reason).collect()
    }

    fn settle(&mut self) {
        self.driver.settle();
        self.driver.advance(Duration::from_secs(60));
    }
}

fn node(host: &Host, name: &str, address: &str, ready: bool) {
    let ready = if ready { "True" } else { "False" };
    host.add_json(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }));
}

fn to(service: &str, port: Value) -> Value {
    json!({"service": {"name": service, "port": port}})
}

fn rules() -> Value {
    json!([{"host": "a.example", "http": {"paths": [
        {"path": "/x", "pathType": "Exact", "backend": to("web", json!({"number": 80}))},
        {"path": "/y", "pathType": "ImplementationSpecific", "backend": to("api", json!({"name": "grpc"}))},
    ]}}])
}

#[test]
fn an_ingress_becomes_a_frontend() {
    let mut cluster = Cluster::new();
    cluster.service("web", json!({}));
    cluster.service("api", json!({"ports": [{"name": "grpc", "port": 9000, "appProtocol": "kubernetes.io/h2c"}]}));
    cluster.ingress(json!({"rules": rules(), "defaultBackend": to("web", json!({"number": 80}))}));
    cluster.settle();
    let forward = |name: &str| json!({"forward": [{"backend": name, "weight": 1}]});
    let host = json!([{"type": "Exact", "value": "a.example"}]);
    let backend = |name: &str, service: &str, port: &str, protocol: &str| {
        json!({
            "name": name, "selector": {"matchLabels": {"kubernetes.io/service-name": service}}, "port": port,
            "protocol": protocol, "balance": "RoundRobin",
        })
    };
    assert_eq!(
        cluster.frontend().unwrap(),
        json!({"class": "ingress", "http": {
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            "rules": [
                {"listeners": ["http"], "match": {"hosts": host, "paths": [{"type": "Exact", "value": "/x"}]}, "action": forward("web:80")},
                {"listeners": ["http"], "match": {"hosts": host, "paths": [{"type": "Prefix", "value": "/y"}]}, "action": forward("api:grpc")},
                {"listeners": ["http"], "match": {}, "action": forward("web:80")},
            ],
            "backends": [backend("api:grpc", "api", "grpc", "H2C"), backend("web:80", "web", "http", "HTTP")],
        }})
    );
    assert_eq!(cluster.status(), json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}));
    assert!(cluster.reasons().is_empty());
    // It goes with the class that it had.
    cluster.ingress(json!({"ingressClassName": "other", "rules": rules()}));
    cluster.settle();
    assert!(cluster.frontend().is_none());
}

#[test]
fn certificates_make_a_second_listener() {
    let mut cluster = Cluster::with(json!({"https-port": 8443, "redirect-to-https": true}));
    cluster.service("web", json!({}));
    let tls = json!([{"hosts": ["a.example"], "secretName": "cert"}, {"hosts": ["b.example"]}]);
    cluster.ingress(json!({"tls": tls, "rules": [{"host": "*.example", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": to("web", json!({"name": "http"}))}]}}]}));
    cluster.settle();
    let spec = cluster.frontend().unwrap();
    assert_eq!(
        spec["http"]["listeners"][1],
        json!({"name": "https", "port": 8443, "protocol": "HTTPS", "certificates": [{"hosts": ["a.example"], "secretName": "cert"}]})
    );
    let rules = spec["http"]["rules"].as_array().unwrap();
    assert_eq!(rules[0]["action"], json!({"redirect": {"status": 308, "protocol": "https", "port": "8443"}}));
    assert_eq!((&rules[0]["listeners"], &rules[1]["listeners"]), (&json!(["http"]), &json!(["https"])));
    assert_eq!(rules[1]["match"]["hosts"][0]["type"], "Wildcard");
}

#[test]
fn what_is_missing_is_said_and_answered() {
    let mut cluster = Cluster::new();
    cluster.ingress(json!({"rules": rules()}));
    cluster.settle();
    let action = |cluster: &Cluster, at: usize| cluster.frontend().unwrap()["http"]["rules"][at]["action"].clone();
    assert_eq!(action(&cluster, 0)["response"]["status"], 503);
    assert!(cluster.reasons().iter().all(|reason| reason == "ServiceNotFound") && !cluster.reasons().is_empty());
    cluster.service("api", json!({}));
    cluster.settle();
    assert!(cluster.reasons().contains(&"PortNotFound".to_owned()));
    cluster.service("web", json!({"type": "ExternalName", "ports": null}));
    cluster.settle();
    assert!(cluster.reasons().contains(&"BackendNotSupported".to_owned()));
    // It comes.
    cluster.service("web", json!({}));
    cluster.settle();
    assert_eq!(action(&cluster, 0), json!({"forward": [{"backend": "web:80", "weight": 1}]}));
    cluster.host.remove(&ObjectRef::of::<Service>("default", "web"));
    cluster.settle();
    assert_eq!(action(&cluster, 0)["response"]["status"], 503);
}

#[test]
fn nodes_that_are_ready_are_where_it_is_reached() {
    let mut cluster = Cluster::new();
    cluster.service("web", json!({}));
    cluster.ingress(json!({"defaultBackend": to("web", json!({"number": 80}))}));
    cluster.settle();
    node(&cluster.host, "n2", "192.0.2.2", true);
    cluster.settle();
    let both = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}]}});
    assert_eq!(cluster.status(), both);
    node(&cluster.host, "n1", "192.0.2.1", false);
    cluster.settle();
    assert_eq!(cluster.status(), json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}}));
}

#[test]
fn the_class_is_made_once_and_left_alone() {
    let mut cluster = Cluster::new();
    let class: IngressClass = cluster.host.get("", "gantry").unwrap();
    assert_eq!(class.spec.controller, "gantry.dev/ingress");
    assert_eq!(class.metadata.annotations["ingressclass.kubernetes.io/is-default-class"], "true");
    let mut changed = cluster.host.get_json(&class.reference()).unwrap();
    changed["metadata"]["annotations"] = json!({});
    cluster.host.add_json(changed);
    cluster.host.take_writes();
    cluster.settle();
    assert!(cluster.host.take_writes().is_empty());
    // Other classes of the same controller are served too.
    cluster.host.add_json(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "mine"},
        "spec": {"controller": "gantry.dev/ingress"},
    }));
    cluster.ingress(json!({"ingressClassName": "mine", "rules": rules()}));
    cluster.settle();
    assert!(cluster.frontend().is_some());
}
