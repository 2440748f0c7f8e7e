//! Every stock plugin keeps the rules of its family twice: natively over the SDK's host in memory, and as the component
//! that users run, in the real engine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a panic")]

use std::path::PathBuf;

use api_ecs::dialect::Ecs as EcsApi;
use controller_ecs::controller::Ecs;
use controller_services::admission::Review as ServiceReview;
use controller_services::controller::Services;
use controller_workloads::admission::Review;
use controller_workloads::controller::Workloads;
use discovery_kubernetes::Names;
use gantry_contract::{Component, Given, balanced_node, guarded_node, named_node, requests, run};
use gantry_sdk::testing::suite;
use gantry_sdk::{Config, Value, json};
use load_balancer_ingress::Balancer as IngressBalancer;
use load_balancer_ingress::admission::Review as IngressReview;
use load_balancer_ingress::controller::Ingresses;
use load_balancer_nftables::Nftables;
use network_bridge::BridgeNetwork;
use network_policy::Policies;
use network_policy::admission::Review as PolicyReview;
use network_routes::RoutedNetwork;
use network_vxlan::OverlayNetwork;
use scheduler_ecs::Ecs as EcsScheduler;
use scheduler_kubernetes::Kubernetes;
use sink_file::Files;

/// Components that a test below runs. A stock plugin that is missing here fails `every_stock_plugin_is_here`.
const STOCK: &[&str] = &[
    "api-ecs",
    "controller-ecs",
    "controller-services",
    "controller-workloads",
    "discovery-cloudmap",
    "discovery-kubernetes",
    // Tried with AWS's API, in the tests of its own crate.
    "load-balancer-elb",
    "load-balancer-ingress",
    "load-balancer-nftables",
    "network-bridge",
    "network-policy",
    "network-routes",
    "network-vxlan",
    "scheduler-ecs",
    "scheduler-kubernetes",
    "sink-file",
];

/// Where `cargo xtask build plugins` puts components: `GANTRY_PLUGINS`, or `plugins` in this build's target folder.
fn plugins() -> PathBuf {
    std::env::var_os("GANTRY_PLUGINS")
        .map_or_else(|| std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugins"), PathBuf::from)
}

/// The component of a stock plugin. That it is missing is a failure, not a reason to skip.
fn component(name: &str) -> Component {
    let file = plugins().join(format!("{name}.wasm"));
    Component::read(&file).unwrap_or_else(|e| {
        panic!("{e:#}; `cargo xtask test` builds components, `cargo xtask build plugins` only them")
    })
}

fn given(objects: Vec<Value>) -> Given {
    Given { config: json!({}), objects }
}

/// A task, what it is made from, and a service of more of them.
fn task() -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ecs"}}),
        json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "TaskDefinition", "metadata": {"name": "web.r1", "namespace": "ecs"},
            "spec": {"family": "web", "revision": 1, "containerDefinitions": [{"name": "web", "image": "web:v1", "memory": 64}]},
        }),
        json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "Task", "metadata": {"name": "0123456789abcdef", "namespace": "ecs"},
            "spec": {"cluster": "default", "taskDefinition": "web.r1", "desiredStatus": "RUNNING"},
        }),
        json!({
            "apiVersion": "ecs.gantry.dev/v1", "kind": "Service", "metadata": {"name": "web.s0", "namespace": "ecs"},
            "spec": {"cluster": "default", "serviceName": "web", "desiredCount": 3, "deployment": {"id": "ecs-svc/1"},
                "template": {"labels": {}, "spec": {"cluster": "default", "taskDefinition": "web.r1"}}},
        }),
    ]
}

#[test]
fn ecs_natively() {
    suite::controller::<Ecs>(&Config::from(json!({})), &task());
    suite::dialect::<EcsApi>(&Config::from(json!({})), &[]);
}

#[test]
fn ecs_as_components() {
    run(component("controller-ecs"), &given(task())).unwrap();
    run(component("api-ecs"), &given(Vec::new())).unwrap();
}

/// A Deployment, defaults filled in as the host does it, in a namespace.
fn deployment() -> Vec<Value> {
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:v1"}], "restartPolicy": "Always"},
    });
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
            },
        }),
    ]
}

#[test]
fn workloads_natively() {
    suite::controller::<Workloads>(&Config::from(json!({})), &deployment());
    suite::admission::<Review>(&Config::from(json!({})), &requests(&deployment()));
}

#[test]
fn workloads_as_a_component() {
    run(component("controller-workloads"), &given(deployment())).unwrap();
}

/// A Service and a pod that serves it.
fn service() -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "web", "image": "web:v1"}]},
            "status": {
                "phase": "Running", "podIP": "10.64.0.2", "podIPs": [{"ip": "10.64.0.2"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "type": "NodePort", "selector": {"app": "web"}, "sessionAffinity": "None",
                "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster",
                "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
            },
        }),
    ]
}

#[test]
fn services_natively() {
    suite::controller::<Services>(&Config::from(json!({})), &service());
    suite::admission::<ServiceReview>(&Config::from(json!({})), &requests(&service()));
}

#[test]
fn services_as_a_component() {
    run(component("controller-services"), &given(service())).unwrap();
}

/// A Service with an address, and a headless one with two endpoints of which one is ready.
fn named() -> Vec<Value> {
    let service = |name: &str, address: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        })
    };
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": "peers-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "peers"},
        },
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": ["10.64.0.7"], "conditions": {"ready": true}, "hostname": "peer-0"},
            {"addresses": ["10.64.0.8"], "conditions": {"ready": false}},
        ],
    });
    vec![service("web", "10.96.0.7"), service("peers", "None"), slice]
}

#[test]
fn names_natively() {
    suite::discovery::<Names>(&Config::from(json!({})), &named_node(), &named());
}

#[test]
fn names_as_a_component() {
    run(component("discovery-kubernetes"), &given(named())).unwrap();
}

/// All that `discovery-cloudmap` can do.
fn instances() -> Value {
    json!({"namespaces": [{"name": "corp.local", "all": true}], "consul": {"all": true}})
}

#[test]
fn instances_natively() {
    suite::discovery::<discovery_cloudmap::Names>(&Config::from(instances()), &named_node(), &named());
}

#[test]
fn instances_as_a_component() {
    run(component("discovery-cloudmap"), &Given { config: instances(), objects: named() }).unwrap();
}

#[test]
fn nftables_natively() {
    suite::load_balancer::<Nftables>(&Config::from(json!({})), &balanced_node());
}

#[test]
fn nftables_as_a_component() {
    run(component("load-balancer-nftables"), &given(Vec::new())).unwrap();
}

/// An Ingress of the default class, with what it leads to.
fn ingress() -> Vec<Value> {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let mut all = service();
    all.extend([
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "ingressClassName": "gantry", "tls": [{"hosts": ["a.example"], "secretName": "cert"}],
                "rules": [{"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
            },
        }),
    ]);
    all
}

#[test]
fn ingress_natively() {
    suite::controller::<Ingresses>(&Config::from(json!({})), &ingress());
    suite::admission::<IngressReview>(&Config::from(json!({})), &requests(&ingress()));
    suite::load_balancer::<IngressBalancer>(&Config::from(json!({})), &balanced_node());
}

#[test]
fn ingress_as_a_component() {
    run(component("load-balancer-ingress"), &given(ingress())).unwrap();
}

#[test]
fn scheduler_natively() {
    suite::scheduler::<Kubernetes>(&Config::from(json!({})), &suite::history());
    suite::scheduler::<EcsScheduler>(&Config::from(json!({})), &suite::history());
}

#[test]
fn scheduler_as_a_component() {
    run(component("scheduler-kubernetes"), &given(Vec::new())).unwrap();
    run(component("scheduler-ecs"), &given(Vec::new())).unwrap();
}

#[test]
fn bridge_natively() {
    suite::network::<BridgeNetwork>(&Config::from(json!({})), &suite::node());
}

#[test]
fn bridge_as_a_component() {
    run(component("network-bridge"), &given(Vec::new())).unwrap();
}

/// A NetworkPolicy that leaves out what it can.
fn network_policy() -> Vec<Value> {
    vec![json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}],
        },
    })]
}

#[test]
fn policy_natively() {
    suite::network_policy::<Policies>(&Config::from(json!({})), &guarded_node());
    suite::admission::<PolicyReview>(&Config::from(json!({})), &requests(&network_policy()));
}

#[test]
fn policy_as_a_component() {
    run(component("network-policy"), &given(network_policy())).unwrap();
}

#[test]
fn routes_natively() {
    suite::network::<RoutedNetwork>(&Config::from(json!({})), &suite::node());
}

#[test]
fn routes_as_a_component() {
    run(component("network-routes"), &given(Vec::new())).unwrap();
}

#[test]
fn vxlan_natively() {
    suite::network::<OverlayNetwork>(&Config::from(json!({})), &suite::node());
}

#[test]
fn vxlan_as_a_component() {
    run(component("network-vxlan"), &given(Vec::new())).unwrap();
}

#[test]
fn files_natively() {
    let records = tempfile::tempdir().unwrap();
    suite::sink::<Files>(&Config::from(json!({"directory": records.path()})));
}

#[test]
fn files_as_a_component() {
    let records = tempfile::tempdir().unwrap();
    run(component("sink-file").directory("records", records.path()), &given(Vec::new())).unwrap();
    assert!(records.path().read_dir().unwrap().next().is_some(), "its records are on this machine's disk");
}

#[test]
fn every_stock_plugin_is_here() {
    let files = plugins().read_dir().unwrap_or_else(|e| panic!("{}: {e}", plugins().display()));
    let names = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "wasm"));
    let mut names: Vec<String> = names.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, STOCK, "give a new plugin a test of its component here");
}
