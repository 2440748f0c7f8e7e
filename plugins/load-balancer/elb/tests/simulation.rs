//! Passes over Frontends and Services against a simulated AWS: everything is made once and found again, follows what changes on
//! either side, and goes in order; what is somebody else's stays.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failure here is a panic")]

use std::time::Duration;

use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{KindRef, ObjectRef, Value, json};
use load_balancer_elb::controller::Frontends;
use load_balancer_elb::simulated::Aws;

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
        let group = if kind == "Frontend" { "gantry.dev" } else { "" };
        let target = ObjectRef { kind: KindRef::new(group, kind), namespace: "default".into(), name: name.into() };
        self.host.get_json(&target).unwrap_or_default()
    }

    fn condition(&self, name: &str) -> (String, String, String) {
        let frontend = self.get("Frontend", name);
        let all = frontend["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = all.iter().find(|one| one["type"] == "Ready").cloned().unwrap_or_default();
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
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
    world.host.edit_deletion("Frontend", "web");
    let order = world.settle();
    let at = |action: &str| order.iter().rposition(|one| one == action).unwrap();
    assert!(
        at("DeleteListener") < at("DeleteTargetGroup") && at("DeleteTargetGroup") < at("DeleteLoadBalancer"),
        "{order:?}"
    );
    assert_eq!((world.count("LoadBalancer"), world.count("TargetGroup")), (0, 0));
    assert_eq!(world.get("Frontend", "web"), Value::Null);
}

trait Deleting {
    fn edit_deletion(&self, kind: &str, name: &str);
}

impl Deleting for Host {
    /// Deletes as a client does: what has finalizers stays, and says that it is going.
    fn edit_deletion(&self, kind: &str, name: &str) {
        let group = if kind == "Frontend" { "gantry.dev" } else { "" };
        let target = ObjectRef { kind: KindRef::new(group, kind), namespace: "default".into(), name: name.into() };
        gantry_sdk::objects::apply_one(gantry_sdk::objects::Write::delete(target)).unwrap();
    }
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
fn what_others_change_is_set_right() {
    let mut world = World::new(json!({"security-groups": ["sg-1"]}));
    world.slice(&["10.0.0.1"]);
    world.annotated(
        "web",
        http(json!([{"match": {"methods": ["PUT"]}, "action": {"response": {"status": 405}}}])),
        json!({"elb.gantry.dev/health-check-path": "/ok"}),
    );
    world.settle();
    let set = |thing: &mut load_balancer_elb::simulated::Thing, key: &str, value: &str| {
        drop(thing.fields.insert(key.into(), value.into()))
    };
    world.aws.edit("LoadBalancer", |one| set(one, "Subnets.member.1", "s9"));
    world.aws.edit("LoadBalancer", |one| set(one, "SecurityGroups.member.1", "sg-9"));
    world.aws.edit("TargetGroup", |one| set(one, "HealthCheckPath", "/other"));
    world.aws.edit("TargetGroup", |one| one.targets.clear());
    world.aws.edit("Listener", |one| set(one, "DefaultActions.member.1.FixedResponseConfig.StatusCode", "500"));
    world.aws.edit("Rule", |one| set(one, "Actions.member.1.FixedResponseConfig.StatusCode", "500"));
    let changes = world.settle();
    for action in
        ["SetSubnets", "SetSecurityGroups", "ModifyTargetGroup", "RegisterTargets", "ModifyListener", "ModifyRule"]
    {
        assert!(changes.contains(&action.to_owned()), "{action}: {changes:?}");
    }
    assert!(world.settle().is_empty());
}

#[test]
fn what_is_not_tagged_is_not_touched() {
    let mut world = World::new(json!({}));
    world.slice(&["10.0.0.1"]);
    world.frontend("web", ports(&[(80, "http")]));
    world.settle();
    let name = world.aws.all("LoadBalancer")[0].fields["LoadBalancerName"].clone();
    // A neighbour whose name begins alike, and a listener that somebody put on the load balancer by hand.
    let similar = format!("{}zzzz", &name[..name.len() - 4]);
    world.aws.put(
        "LoadBalancer",
        "arn:other",
        &[("LoadBalancerArn", "arn:other"), ("LoadBalancerName", &similar), ("Type", "network")],
    );
    let arn = world.aws.all("LoadBalancer").iter().find(|one| one.fields["LoadBalancerName"] == name).unwrap().fields["LoadBalancerArn"].clone();
    world.aws.put(
        "Listener",
        "arn:l",
        &[("ListenerArn", "arn:l"), ("LoadBalancerArn", &arn), ("Port", "9000"), ("Protocol", "TCP")],
    );
    assert!(world.settle().is_empty());
    world.edit("web", ports(&[(80, "http"), (9000, "http")]));
    world.settle();
    let (_, reason, message) = world.condition("web");
    assert!(reason == "NameTaken" && message.contains("port 9000"), "{reason} {message}");
    world.host.edit_deletion("Frontend", "web");
    world.settle();
    let left = world.aws.all("LoadBalancer");
    assert_eq!(
        left.iter().map(|one| one.fields["LoadBalancerName"].clone()).collect::<Vec<_>>(),
        std::slice::from_ref(&similar)
    );
    // One that has the very name: nothing is made beside it, and the Frontend says so.
    world.aws.edit("LoadBalancer", |one| drop(one.fields.insert("LoadBalancerName".into(), name.clone())));
    world.frontend("web", ports(&[(80, "http")]));
    assert!(world.settle().is_empty());
    let (_, reason, message) = world.condition("web");
    assert!(reason == "NameTaken" && message.contains(&name), "{reason} {message}");
}

/// Every request fails once, or is carried out though its answer is lost: in the end there is one of each, and nothing is left.
#[test]
fn failures_double_nothing() {
    for (status, code) in [(400, "Throttling"), (503, "ServiceUnavailable"), (0, "")] {
        for action in ["CreateLoadBalancer", "CreateTargetGroup", "RegisterTargets", "CreateListener", "CreateRule"] {
            let mut world = World::new(json!({}));
            world.slice(&["10.0.0.1"]);
            world.frontend(
                "web",
                http(json!([{"match": {"methods": ["PUT"]}, "action": {"response": {"status": 405}}}])),
            );
            world.aws.fail(action, status, code);
            world.driver.settle();
            let errors = world.driver.take_errors();
            assert!(
                errors.iter().any(|(_, error)| error.retry == gantry_sdk::RetryHint::Backoff),
                "{action} {code} {errors:?}"
            );
            world.driver = world.driver.restart();
            world.settle();
            let count = |kind: &str| world.count(kind);
            assert_eq!(
                (count("LoadBalancer"), count("TargetGroup"), count("Listener"), count("Rule")),
                (1, 2, 1, 1),
                "{action} {code}"
            );
            assert!(world.settle().is_empty(), "{action} {code}");
            world.host.edit_deletion("Frontend", "web");
            world.aws.fail("DeleteTargetGroup", status, code);
            world.settle();
            world.settle();
            assert_eq!((world.count("LoadBalancer"), world.count("TargetGroup")), (0, 0), "{action} {code}");
        }
    }
}

#[test]
fn the_words_of_aws_reach_the_object() {
    let mut world = World::new(json!({}));
    world.aws.fail("CreateLoadBalancer", 400, "TooManyLoadBalancers");
    world.frontend("web", ports(&[(80, "http")]));
    world.driver.round();
    let (status, reason, message) = world.condition("web");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Refused"));
    assert!(message.contains("CreateLoadBalancer: TooManyLoadBalancers: as the test asked for"), "{message}");
    // It is tried again.
    world.settle();
    assert_eq!(world.condition("web").0, "True");
}

#[test]
fn nodes_are_targets_where_that_is_asked_for() {
    let mut world = World::new(json!({"target-type": "instance"}));
    let node = |name: &str, id: &str| {
        world.host.add_json(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"providerID": format!("aws:///eu-west-1a/{id}")},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }))
    };
    node("n1", "i-1");
    node("n2", "i-2");
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
    assert_eq!(world.get("Service", "web")["status"], json!({"loadBalancer": {"ingress": [{"hostname": name}]}}));
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
