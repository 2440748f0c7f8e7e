//! Classic load balancers.

use gantry_sdk::{Value, json, merge};

use crate::World;
use crate::older::Older;

fn node(name: &str, id: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"providerID": format!("aws:///eu-west-1a/{id}")},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn service(more: Value) -> Value {
    let mut all = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default", "annotations": {}},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "gantry.dev/elb",
            "ports": [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "https", "port": 443, "nodePort": 30443}],
        },
    });
    merge::apply(&mut all, &more);
    all
}

fn annotated(annotations: &[(&str, &str)]) -> Value {
    let all = annotations.iter().map(|(key, value)| (format!("elb.gantry.dev/{key}"), json!(value)));
    json!({"metadata": {"annotations": all.collect::<gantry_sdk::serde_json::Map<_, _>>()}})
}

fn classic() -> World {
    let world = World::new(json!({"type": "classic"}));
    world.host.add_json(node("n1", "i-1"));
    world.host.add_json(node("n2", "i-2"));
    world
}

fn only(world: &World) -> Older {
    let all = world.aws.older();
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_values().next().unwrap()
}

fn to(listeners: &[(&str, &str, &str, &str)]) -> Vec<(String, (String, String, String))> {
    let own = |(port, protocol, to, certificate): &(&str, &str, &str, &str)| {
        ((*port).to_owned(), ((*protocol).to_owned(), (*to).to_owned(), (*certificate).to_owned()))
    };
    listeners.iter().map(own).collect()
}

#[test]
fn a_service_is_one_from_first_to_last() {
    let mut world = classic();
    world.host.add_json(service(json!({})));
    let made = world.settle();
    assert_eq!(made, ["CreateLoadBalancer", "ConfigureHealthCheck", "RegisterInstancesWithLoadBalancer"]);
    let one = only(&world);
    assert_eq!((one.scheme.as_str(), one.tags["gantry.dev/frontend"].as_str()), ("internal", "default/elb-web"));
    assert_eq!(
        one.listeners.into_iter().collect::<Vec<_>>(),
        to(&[("443", "TCP", "30443", ""), ("80", "TCP", "30080", "")])
    );
    assert_eq!(one.instances.into_iter().collect::<Vec<_>>(), ["i-1", "i-2"]);
    assert_eq!(one.check, ["TCP:30080", "10", "5", "2", "6"]);
    let hostname = world.get("Service", "web")["status"]["loadBalancer"]["ingress"][0]["hostname"].clone();
    assert!(hostname.as_str().unwrap().ends_with(".classic.example"), "{hostname}");
    assert_eq!(world.holds("elb-web", "TargetsHealthy").2, "2 of 2 targets");
    assert!(world.settle().is_empty());
    world.driver = world.driver.restart();
    assert!(world.settle().is_empty());
    // Nodes come and go.
    world.host.add_json(node("n3", "i-3"));
    assert_eq!(world.settle(), ["RegisterInstancesWithLoadBalancer"]);
    // Ports too: what changes about one is made anew, the others stay.
    let ports =
        json!([{"name": "http", "port": 80, "nodePort": 30081}, {"name": "https", "port": 443, "nodePort": 30443}]);
    world.host.add_json(service(json!({"spec": {"ports": ports}})));
    assert_eq!(world.settle(), ["DeleteLoadBalancerListeners", "CreateLoadBalancerListeners", "ConfigureHealthCheck"]);
    assert_eq!(only(&world).listeners["80"].1, "30081");
    // What others change.
    world.aws.edit_older(|one| {
        one.instances = ["i-1", "i-9"].map(str::to_owned).into();
        one.subnets = ["s1", "s9"].map(str::to_owned).into();
        one.listeners.insert("99".into(), ("TCP".into(), "1".into(), String::new()));
        one.check.clear();
    });
    let mut changes = world.settle();
    changes.sort();
    assert_eq!(
        changes,
        [
            "AttachLoadBalancerToSubnets",
            "ConfigureHealthCheck",
            "DeleteLoadBalancerListeners",
            "DeregisterInstancesFromLoadBalancer",
            "DetachLoadBalancerFromSubnets",
            "RegisterInstancesWithLoadBalancer"
        ]
    );
    assert!(world.settle().is_empty());
    world.host.add_json(service(json!({"spec": {"type": "ClusterIP"}})));
    assert_eq!(world.settle(), ["DeleteLoadBalancer"]);
    assert!(world.aws.older().is_empty());
    assert_eq!(world.get("Frontend", "elb-web"), Value::Null);
}

#[test]
fn tls_is_ended_with_one_certificate() {
    let mut world = classic();
    let with = |arn: &str| annotated(&[("certificates", arn), ("tls-ports", "https"), ("security-groups", "sg-1")]);
    world.host.add_json(service(with("arn:a")));
    world.settle();
    let one = only(&world);
    assert_eq!(
        one.listeners.into_iter().collect::<Vec<_>>(),
        to(&[("443", "SSL", "30443", "arn:a"), ("80", "TCP", "30080", "")])
    );
    assert_eq!(one.groups.into_iter().collect::<Vec<_>>(), ["sg-1"]);
    world.host.add_json(service(with("arn:b")));
    assert_eq!(world.settle(), ["SetLoadBalancerListenerSSLCertificate"]);
    assert!(world.settle().is_empty());
    world.host.add_json(service(json!({})));
    assert_eq!(world.settle(), ["DeleteLoadBalancerListeners", "CreateLoadBalancerListeners"]);
    assert_eq!(only(&world).listeners["443"].0, "TCP");
}

#[test]
fn another_kind_takes_its_place_and_leaves_nothing() {
    let mut world = classic();
    world.host.add_json(service(json!({})));
    world.settle();
    world.host.add_json(service(annotated(&[("type", "nlb"), ("target-type", "instance")])));
    let changes = world.settle();
    assert_eq!(
        (changes.first().unwrap().as_str(), changes.last().unwrap().as_str()),
        ("CreateLoadBalancer", "DeleteLoadBalancer")
    );
    assert_eq!((world.aws.older().len(), world.count("LoadBalancer"), world.count("TargetGroup")), (0, 1, 2));
    world.host.add_json(service(json!({})));
    world.settle();
    assert_eq!((world.aws.older().len(), world.count("LoadBalancer"), world.count("TargetGroup")), (1, 0, 0));
}

#[test]
fn what_a_classic_one_has_not_is_said() {
    let udp = json!({"spec": {"ports": [{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}]}});
    let table = [
        (udp, "is of UDP"),
        (json!({"spec": {"ports": [{"name": "http", "port": 80}]}}), "no node port"),
        (json!({"spec": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}}), "security groups alone"),
        (json!({"spec": {"sessionAffinity": "ClientIP"}}), "session affinity"),
        (annotated(&[("certificates", "a, b")]), "names 2 certificates"),
        (annotated(&[("health-check-codes", "200-299")]), "200 alone"),
        (annotated(&[("target-type", "ip")]), "leads to instances"),
    ];
    for (more, want) in table {
        let mut world = classic();
        world.host.add_json(service(more.clone()));
        assert!(world.settle().is_empty(), "{more}");
        let (_, reason, message) = world.condition("elb-web");
        assert!(reason == "Unsupported" && message.contains(want), "{more}: {reason} {message}");
    }
}

/// One of that name which somebody else made, and one that only begins so.
#[test]
fn what_is_not_tagged_stays() {
    let mut world = classic();
    world.host.add_json(service(json!({})));
    world.settle();
    let name = world.aws.older().into_keys().next().unwrap();
    world.aws.put_older(&format!("{}zzzz", &name[..name.len() - 4]), Older::default());
    world.host.add_json(service(json!({"spec": {"type": "ClusterIP"}})));
    world.settle();
    assert_eq!(world.aws.older().len(), 1);
    world.aws.put_older(&name, Older::default());
    world.host.add_json(service(json!({})));
    assert!(world.settle().is_empty());
    let (_, reason, message) = world.condition("elb-web");
    assert!(reason == "NameTaken" && message.contains(&name), "{reason} {message}");
}

#[test]
fn failures_double_nothing() {
    for (status, code) in [(400, "Throttling"), (0, "")] {
        for action in ["CreateLoadBalancer", "ConfigureHealthCheck", "RegisterInstancesWithLoadBalancer"] {
            let mut world = classic();
            world.host.add_json(service(json!({})));
            world.aws.fail(action, status, code);
            world.driver.settle();
            world.driver.take_errors();
            world.driver = world.driver.restart();
            world.settle();
            let one = only(&world);
            assert_eq!((one.instances.len(), one.check.len(), one.listeners.len()), (2, 5, 2), "{action} {code}");
            assert!(world.settle().is_empty(), "{action} {code}");
        }
    }
}
