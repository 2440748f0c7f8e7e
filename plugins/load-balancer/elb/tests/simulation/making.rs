//! What Frontends come to.

use gantry_sdk::{Value, json};

use crate::{World, http, ports};

#[test]
fn ports_become_a_network_load_balancer_and_follow() {
    let mut world = World::new(json!({}));
    world.slice(&["10.0.0.1", "10.0.0.2"]);
    world.frontend("web", ports(&[(80, "http")]));
    let made = world.settle();
    assert_eq!(made, ["CreateLoadBalancer", "CreateTargetGroup", "RegisterTargets", "CreateListener"]);
    let balancer = world.aws.all("LoadBalancer").remove(0);
    assert_eq!((balancer.fields["Type"].as_str(), balancer.fields["Scheme"].as_str()), ("network", "internal"));
    for kind in ["LoadBalancer", "TargetGroup", "Listener"] {
        let tags = &world.aws.all(kind)[0].tags;
        assert_eq!(
            (tags["gantry.dev/cluster"].as_str(), tags["gantry.dev/frontend"].as_str()),
            ("test", "default/web"),
            "{kind}"
        );
    }
    let frontend = world.get("Frontend", "web");
    assert_eq!(frontend["metadata"]["finalizers"], json!(["gantry.dev/elb"]));
    assert_eq!(frontend["metadata"]["annotations"]["gantry.dev/hostname"], json!(balancer.fields["DNSName"]));
    assert_eq!(world.condition("web").0, "True");
    // A second look changes nothing, nor does a new instance.
    assert!(world.settle().is_empty());
    world.driver = world.driver.restart();
    assert!(world.settle().is_empty());
    // Backends come and go.
    world.slice(&["10.0.0.2", "10.0.0.3"]);
    assert_eq!(world.settle(), ["RegisterTargets", "DeregisterTargets"]);
    let targets: Vec<(String, String)> = world.aws.all("TargetGroup").remove(0).targets;
    assert_eq!(targets, [("10.0.0.2".into(), "8080".into()), ("10.0.0.3".into(), "8080".into())]);
    // Ports too.
    world.edit("web", ports(&[(81, "http"), (82, "http")]));
    let changes = world.settle();
    assert!(
        changes.contains(&"DeleteListener".to_owned()) && !changes.contains(&"CreateLoadBalancer".to_owned()),
        "{changes:?}"
    );
    assert_eq!((world.count("LoadBalancer"), world.count("Listener"), world.count("TargetGroup")), (1, 2, 2));
    // And all of it.
    world.delete("Frontend", "web");
    let order = world.settle();
    let at = |action: &str| order.iter().rposition(|one| one == action).unwrap();
    assert!(
        at("DeleteListener") < at("DeleteLoadBalancer") && at("DeleteLoadBalancer") < at("DeleteTargetGroup"),
        "{order:?}"
    );
    assert_eq!((world.count("LoadBalancer"), world.count("TargetGroup")), (0, 0));
    assert_eq!(world.get("Frontend", "web"), Value::Null);
}

#[test]
fn rules_become_those_of_an_application_load_balancer() {
    let mut world = World::new(json!({}));
    world.slice(&["10.0.0.1"]);
    let forward = |name: &str| json!({"forward": [{"backend": name, "weight": 1}]});
    let rules = json!([
        {"match": {"paths": [{"type": "Exact", "value": "/x"}]}, "action": forward("a")},
        {"match": {"hosts": [{"type": "Exact", "value": "b.example"}]},
         "action": {"forward": [{"backend": "a", "weight": 1}, {"backend": "b", "weight": 3}]}},
        {"match": {"methods": ["PUT"]}, "action": {"response": {"status": 405, "contentType": "text/plain", "body": "no"}}},
        {"match": {"queries": [{"name": "old"}]}, "action": {"redirect": {"status": 301, "protocol": "https"}}},
        {"match": {"headers": [{"name": "x-a", "values": ["1"]}], "sources": ["10.0.0.0/8"]}, "action": forward("b")},
        {"match": {}, "action": forward("b")},
    ]);
    world.frontend("web", http(rules.clone()));
    let made = world.settle();
    assert_eq!(made.iter().filter(|action| *action == "CreateRule").count(), 5, "{made:?}");
    assert!(world.settle().is_empty(), "what AWS says is what was wanted");
    let weights: Vec<String> = world
        .aws
        .all("Rule")
        .iter()
        .flat_map(|rule| rule.fields.clone())
        .filter(|(key, _)| key.ends_with("Weight"))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(weights.len(), 2);
    // One less, and another in its place: the rules after it move up.
    let fewer = json!([rules[0], rules[2], rules[5]]);
    world.edit("web", http(fewer));
    let changes = world.settle();
    assert_eq!(changes, ["ModifyRule", "DeleteRule", "DeleteRule", "DeleteRule"]);
    assert!(world.settle().is_empty());
    // What AWS can't do: nothing is changed, and the object says why.
    world.edit("web", http(json!([{"match": {}, "action": {"redirect": {"status": 308}}}])));
    assert!(world.settle().is_empty());
    let (status, reason, message) = world.condition("web");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Unsupported"));
    assert!(message.contains("308"), "{message}");
}

#[test]
fn nodes_are_targets_where_that_is_asked_for() {
    let mut world = World::new(json!({"target-type": "instance"}));
    let node = |name: &str, id: &str, labels: Value| {
        world.host.add_json(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {"providerID": format!("aws:///eu-west-1a/{id}")},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }))
    };
    node("n1", "i-1", json!({}));
    node("n2", "i-2", json!({}));
    node("n3", "i-3", json!({"node.kubernetes.io/exclude-from-external-load-balancers": ""}));
    world.slice(&["10.0.0.1"]);
    let mut spec = ports(&[(80, "http")]);
    world.frontend("web", spec.clone());
    world.settle();
    let targets = |world: &World| world.aws.all("TargetGroup").remove(0).targets;
    assert_eq!(targets(&world), [("i-1".into(), "30080".into()), ("i-2".into(), "30080".into())]);
    spec["trafficPolicy"] = json!({"external": "Local"});
    world.edit("web", spec);
    world.settle();
    assert_eq!(targets(&world), [("i-1".into(), "30080".into())]);
}

#[test]
fn more_than_a_hundred_targets_are_registered_in_parts() {
    let mut world = World::new(json!({}));
    let addresses: Vec<String> = (0..250).map(|n| format!("10.0.{}.{}", n / 200, n % 200)).collect();
    world.slice(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    world.frontend("web", ports(&[(80, "http")]));
    let changes = world.settle();
    assert_eq!(changes.iter().filter(|action| *action == "RegisterTargets").count(), 3);
    assert_eq!(world.aws.all("TargetGroup")[0].targets.len(), 250);
}
