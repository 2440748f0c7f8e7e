//! From a Service to a load balancer, and back its name.

use gantry_sdk::{Value, json};

use crate::World;

#[test]
fn a_service_gets_a_frontend_and_its_name() {
    let mut world = World::new(json!({}));
    world.slice(&["10.0.0.1"]);
    let service = |kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "default", "annotations": {"elb.gantry.dev/scheme": "internet-facing", "other": "x"}},
            "spec": {"type": kind, "loadBalancerClass": "gantry.dev/elb", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]},
        })
    };
    world.host.add_json(service("LoadBalancer"));
    world.settle();
    let frontend = world.get("Frontend", "elb-web");
    let name = world.aws.all("LoadBalancer")[0].fields["DNSName"].clone();
    let annotations = json!({"elb.gantry.dev/scheme": "internet-facing", "gantry.dev/hostname": name});
    assert_eq!(frontend["metadata"]["annotations"], annotations);
    let status = world.get("Service", "web")["status"].clone();
    assert_eq!(status["loadBalancer"], json!({"ingress": [{"hostname": name}]}));
    assert_eq!(
        (&status["conditions"][0]["type"], &status["conditions"][0]["status"]),
        (&json!("LoadBalancerReady"), &json!("True"))
    );
    // Another scheme is another load balancer; the old one goes.
    let mut changed = world.get("Service", "web");
    changed["metadata"]["annotations"] = json!({});
    world.host.add_json(changed);
    world.settle();
    let left = world.aws.all("LoadBalancer");
    assert_eq!((left.len(), left[0].fields["Scheme"].as_str(), world.count("TargetGroup")), (1, "internal", 1));
    // Another type: everything goes, the name too.
    let mut changed = world.get("Service", "web");
    changed["spec"]["type"] = json!("ClusterIP");
    world.host.add_json(changed);
    world.settle();
    assert_eq!((world.count("LoadBalancer"), world.get("Frontend", "elb-web")), (0, Value::Null));
    assert_eq!(world.get("Service", "web")["status"]["loadBalancer"]["ingress"], json!([]));
    // One of another class is nobody's here.
    let mut other = service("LoadBalancer");
    other["metadata"]["name"] = json!("other");
    other["spec"]["loadBalancerClass"] = json!("somebody/else");
    world.host.add_json(other);
    assert!(world.settle().is_empty());
}

/// It was open to everybody, and nobody was told.
#[test]
fn what_a_service_can_not_have_is_said_at_the_service() {
    let mut world = World::new(json!({}));
    world.host.add_json(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "gantry.dev/elb", "loadBalancerSourceRanges": ["192.0.2.0/24"],
            "ports": [{"name": "http", "port": 80, "nodePort": 30080}],
        },
    }));
    assert!(world.settle().is_empty());
    let told = |world: &World| world.get("Service", "web")["status"]["conditions"][0].clone();
    let condition = told(&world);
    assert_eq!((&condition["type"], &condition["status"]), (&json!("LoadBalancerReady"), &json!("False")));
    assert!(condition["message"].as_str().unwrap().contains("192.0.2.0/24"), "{condition}");
    let warnings = |world: &World| {
        let events = world.host.events().into_iter();
        events.filter(|event| event.regarding.kind.kind == "Service" && event.reason == "Unsupported").count()
    };
    assert_eq!(warnings(&world), 1);
    world.settle();
    assert_eq!(warnings(&world), 1, "it is said once");
    // Clients that stay can be had.
    let mut service = world.get("Service", "web");
    service["spec"]["loadBalancerSourceRanges"] = json!([]);
    service["spec"]["sessionAffinity"] = json!("ClientIP");
    service["spec"]["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10800}});
    world.host.add_json(service);
    world.settle();
    assert_eq!(world.aws.all("TargetGroup")[0].attributes["stickiness.enabled"], "true");
    assert_eq!((told(&world)["status"].clone(), told(&world)["reason"].clone()), (json!("True"), json!("Active")));
    // Another type takes the condition along.
    let mut service = world.get("Service", "web");
    service["spec"]["type"] = json!("ClusterIP");
    world.host.add_json(service);
    world.settle();
    assert_eq!(world.get("Service", "web")["status"]["conditions"], json!([]));
}
