//! Who serves a Service, and what load balancers are told.

use gantry_sdk::api::{Pod, Resource};
use gantry_sdk::{ObjectRef, json};

use super::Cluster;
use crate::object::{EndpointConditions, EndpointSlice, Service};

fn conditions(ready: bool, serving: bool, terminating: bool) -> EndpointConditions {
    EndpointConditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) }
}

fn of(slices: &[EndpointSlice]) -> Vec<(String, EndpointConditions)> {
    slices.iter().flat_map(|s| &s.endpoints).map(|e| (e.addresses[0].clone(), e.conditions)).collect()
}

#[test]
fn pods_come_go_and_fail() {
    let mut cluster = Cluster::new();
    cluster.host.add_json(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}},
    }));
    cluster.add("web", json!({}));
    cluster.settle();
    assert!(cluster.slices().is_empty());
    cluster.pod("a", "web", "10.0.0.1", true);
    cluster.pod("b", "web", "10.0.0.2", false);
    cluster.pod("c", "other", "10.0.0.3", true);
    cluster.pod("d", "web", "", false);
    cluster.settle();
    let slices = cluster.slices();
    assert_eq!(
        of(&slices),
        [("10.0.0.1".into(), conditions(true, true, false)), ("10.0.0.2".into(), conditions(false, false, false))]
    );
    assert_eq!((slices[0].ports[0].port, slices[0].ports[0].protocol.as_str()), (Some(8080), "TCP"));
    let first = &slices[0].endpoints[0];
    assert_eq!((first.zone.as_deref(), first.node_name.as_deref()), (Some("z1"), Some("n1")));
    let subsets = cluster.endpoints("web").expect("Endpoints").subsets;
    assert_eq!(
        (subsets[0].addresses[0].ip.as_str(), subsets[0].not_ready_addresses[0].ip.as_str()),
        ("10.0.0.1", "10.0.0.2")
    );
    // Going, and still answering.
    cluster.host.edit::<Pod>("default", "a", |pod| pod.metadata.deletion_timestamp = Some(cluster.host.now()));
    cluster.settle();
    assert_eq!(of(&cluster.slices())[0].1, conditions(false, true, true));
    cluster.host.remove(&ObjectRef::of::<Pod>("default", "a"));
    cluster.host.edit::<Pod>("default", "b", |pod| pod.status.phase = "Failed".into());
    cluster.settle();
    assert!(cluster.slices().is_empty());
}

#[test]
fn ports_may_have_names_and_pods_without_them_are_of_no_use_there() {
    let mut cluster = Cluster::new();
    cluster.add(
        "web",
        json!({"ports": [
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"},
            {"name": "other", "port": 81, "protocol": "TCP", "targetPort": "metrics"},
        ]}),
    );
    cluster.pod("a", "web", "10.0.0.1", true);
    cluster.settle();
    let slices = cluster.slices();
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].ports.iter().map(|p| (p.name.as_str(), p.port)).collect::<Vec<_>>(), [("http", Some(8080))]);
}

#[test]
fn unready_pods_are_published_on_request() {
    let mut cluster = Cluster::new();
    cluster.add("web", json!({"clusterIP": "None", "publishNotReadyAddresses": true}));
    cluster.pod("a", "web", "10.0.0.1", false);
    cluster.settle();
    assert_eq!(of(&cluster.slices()), [("10.0.0.1".into(), conditions(true, false, false))]);
    assert!(cluster.slices()[0].metadata.labels.contains_key("service.kubernetes.io/headless"));
}

#[test]
fn headless_services_and_names_have_no_frontend() {
    let mut cluster = Cluster::new();
    cluster.add("peers", json!({"clusterIP": "None"}));
    cluster
        .add("name", json!({"type": "ExternalName", "externalName": "example.com", "selector": null, "ports": null}));
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p-0", "namespace": "default", "labels": {"app": "peers"}},
        "spec": {"hostname": "p-0", "subdomain": "peers", "containers": []},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    });
    cluster.host.add_json(pod.clone());
    pod["metadata"]["name"] = json!("p-1");
    pod["spec"]["subdomain"] = json!("elsewhere");
    cluster.host.add_json(pod);
    cluster.settle();
    assert!(cluster.frontend("peers").is_none() && cluster.frontend("name").is_none());
    assert!(cluster.addresses().is_empty());
    let names: Vec<_> = cluster.slices()[0].endpoints.iter().map(|e| e.hostname.clone()).collect();
    assert_eq!(names, [Some("p-0".to_owned()), None]);
    assert_eq!(cluster.service("peers").spec.cluster_ips, ["None"]);
    // From a virtual address to a name.
    cluster.add("web", json!({}));
    cluster.settle();
    assert!(cluster.frontend("web").is_some());
    cluster.patch("web", json!({"type": "ExternalName", "externalName": "example.com"}));
    cluster.settle();
    let web = cluster.service("web");
    assert_eq!((web.spec.cluster_ip.as_str(), web.spec.cluster_ips.len()), ("", 0));
    assert!(cluster.frontend("web").is_none() && cluster.endpoints("web").is_none() && cluster.addresses().is_empty());
}

#[test]
fn endpoints_by_hand_serve_a_service_without_selector() {
    let mut cluster = Cluster::new();
    cluster.add("db", json!({"selector": null}));
    cluster.host.add_json(json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "notReadyAddresses": [{"ip": "192.0.2.2"}], "ports": [{"port": 5432}]}],
    }));
    cluster.settle();
    let slices = cluster.slices();
    let ready: Vec<_> =
        slices[0].endpoints.iter().map(|e| (e.addresses[0].as_str(), e.conditions.is_ready())).collect();
    assert_eq!(ready, [("192.0.2.1", true), ("192.0.2.2", false)]);
    assert_eq!(
        slices[0].metadata.labels["endpointslice.kubernetes.io/managed-by"],
        "endpointslicemirroring-controller.k8s.io"
    );
    cluster.host.remove(&ObjectRef::of::<crate::object::Endpoints>("default", "db"));
    cluster.settle();
    assert!(cluster.slices().is_empty());
}

#[test]
fn a_frontend_says_what_the_service_says() {
    let mut cluster = Cluster::new();
    cluster.add(
        "web",
        json!({
            "type": "LoadBalancer", "externalIPs": ["192.0.2.9"], "sessionAffinity": "ClientIP",
            "externalTrafficPolicy": "Local",
        }),
    );
    cluster.settle();
    let service = cluster.service("web");
    let frontend = cluster.frontend("web").expect("a Frontend");
    assert!(frontend.metadata.is_controlled_by(service.uid()));
    assert_eq!(frontend.spec["class"], "cluster");
    assert_eq!(frontend.spec["externalAddresses"], json!(["192.0.2.9"]));
    assert_eq!(frontend.spec["sessionAffinity"], json!({"type": "ClientIP", "timeoutSeconds": 10_800}));
    assert_eq!(frontend.spec["trafficPolicy"], json!({"internal": "Cluster", "external": "Local"}));
    assert_eq!(frontend.spec["ports"][0]["nodePort"], json!(service.spec.ports[0].node_port));
    assert!(service.spec.health_check_node_port >= 30_000);
    assert_eq!(frontend.spec["healthNodePort"], json!(service.spec.health_check_node_port));
    assert_eq!(frontend.spec["backends"]["selector"]["matchLabels"], json!({"kubernetes.io/service-name": "web"}));
    cluster.host.take_writes();
    cluster.restart(0);
    cluster.settle();
    assert_eq!(cluster.host.take_writes(), [], "a second pass changes nothing");
}

#[test]
fn the_api_has_a_service_where_it_is_known() {
    let mut cluster = Cluster::with(json!({"api": "192.0.2.1:6443"}), 1);
    cluster.settle();
    let service: Service = cluster.service("kubernetes");
    assert_eq!(service.spec.cluster_ip, "10.96.0.1");
    assert_eq!(of(&cluster.slices())[0].0, "192.0.2.1");
    assert!(cluster.frontend("kubernetes").is_some());
}

#[test]
fn what_load_balancers_outside_say_is_passed_on() {
    let mut cluster = Cluster::new();
    cluster.add(
        "web",
        json!({
            "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
            "loadBalancerSourceRanges": ["198.51.100.0/24"],
        }),
    );
    let ingress = json!([
        {"ip": "192.0.2.8"}, {"ip": "192.0.2.7", "ipMode": "VIP"}, {"ip": "192.0.2.6", "ipMode": "Proxy"},
        {"hostname": "lb.example.com"},
    ]);
    cluster.host.edit::<Service>("default", "web", |web| {
        web.status.load_balancer.ingress = gantry_sdk::serde_json::from_value(ingress.clone()).expect("addresses");
    });
    cluster.settle();
    let spec = cluster.frontend("web").expect("a Frontend").spec;
    assert_eq!(spec["balancedAddresses"], json!(["192.0.2.7", "192.0.2.8"]));
    assert_eq!((&spec["sourceRanges"], &spec["externalAddresses"]), (&json!(["198.51.100.0/24"]), &json!([])));
    assert!(spec["ports"][0]["nodePort"] == 0 && spec.get("healthNodePort").is_none(), "{spec}");
    assert!(cluster.node_ports().is_empty());
    // A port that is asked for is given all the same.
    cluster.patch("web", json!({"ports": [{"port": 80, "protocol": "TCP", "nodePort": 30_123}]}));
    cluster.settle();
    assert_eq!(cluster.frontend("web").expect("a Frontend").spec["ports"][0]["nodePort"], 30_123);
    // Another type has none of all that.
    cluster.patch("web", json!({"type": "ClusterIP"}));
    cluster.settle();
    let (service, spec) = (cluster.service("web"), cluster.frontend("web").expect("a Frontend").spec);
    assert!(spec.get("balancedAddresses").is_none() && spec["ports"][0]["nodePort"] == 0, "{spec}");
    assert!(service.spec.allocate_load_balancer_node_ports.is_none() && cluster.node_ports().is_empty());
}

#[test]
fn endpoints_are_hinted_at_zones_on_request() {
    let mut cluster = Cluster::new();
    for (node, zone) in [("n1", "z1"), ("n2", "z2")] {
        cluster.host.add_json(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": node, "labels": {"topology.kubernetes.io/zone": zone}},
            "status": {"allocatable": {"cpu": "2"}, "conditions": [{"type": "Ready", "status": "True"}]},
        }));
    }
    cluster.add("web", json!({}));
    for n in 0..4 {
        cluster.pod(&format!("p{n}"), "web", &format!("10.0.0.{n}"), true);
    }
    cluster.settle();
    let hints = |cluster: &Cluster| -> Vec<String> {
        let slices = cluster.slices();
        let zone =
            |hints: &crate::object::EndpointHints| hints.for_zones.iter().map(|zone| zone.name.clone()).collect();
        slices.iter().flat_map(|s| &s.endpoints).map(|e| e.hints.as_ref().map(zone).unwrap_or_default()).collect()
    };
    assert_eq!(hints(&cluster), ["", "", "", ""]);
    // All pods are on n1: half of them serve the other zone.
    cluster.host.edit::<Service>("default", "web", |web| {
        web.metadata.annotations.insert("service.kubernetes.io/topology-mode".into(), "Auto".into());
    });
    cluster.settle();
    let mut found = hints(&cluster);
    found.sort();
    assert_eq!(found, ["z1", "z1", "z2", "z2"]);
    cluster.host.take_writes();
    cluster.restart(0);
    cluster.settle();
    assert_eq!(cluster.host.take_writes(), [], "a second pass changes nothing");
    // Nobody knows any more where one node is.
    cluster.host.edit::<gantry_sdk::api::Node>("", "n2", |node| node.metadata.labels.clear());
    cluster.settle();
    assert_eq!(hints(&cluster), ["", "", "", ""]);
    cluster.host.edit::<Service>("default", "web", |web| web.metadata.annotations.clear());
    cluster.patch("web", json!({"trafficDistribution": "PreferClose"}));
    cluster.settle();
    assert_eq!(hints(&cluster), ["z1", "z1", "z1", "z1"]);
}
