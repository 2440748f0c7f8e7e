//! What others do in AWS: what is ours is set right, what is theirs stays.

use gantry_sdk::serde_json::Map;
use gantry_sdk::{Value, json};

use crate::{World, http, ports};

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
    let set =
        |thing: &mut crate::aws::Thing, key: &str, value: &str| drop(thing.fields.insert(key.into(), value.into()));
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
    world.delete("Frontend", "web");
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

/// It is another class's now: AWS is cleaned, and the Frontend says nothing of what it had.
#[test]
fn a_frontend_that_changes_its_class_says_nothing_more() {
    let mut world = World::new(json!({}));
    world.frontend("web", ports(&[(80, "http")]));
    world.settle();
    let mut object = world.get("Frontend", "web");
    object["spec"]["class"] = json!("cluster");
    world.host.add_json(object);
    world.settle();
    let frontend = world.get("Frontend", "web");
    assert_eq!((world.count("LoadBalancer"), world.count("TargetGroup")), (0, 0));
    assert_eq!(frontend["status"]["conditions"], json!([]));
    assert_eq!((&frontend["metadata"]["finalizers"], &frontend["metadata"]["annotations"]), (&json!([]), &json!({})));
}

#[test]
fn targets_are_asked_as_annotations_say() {
    let said = [
        ("path", "/well", "HealthCheckPath"),
        ("port", "81", "HealthCheckPort"),
        ("interval-seconds", "20", "HealthCheckIntervalSeconds"),
        ("timeout-seconds", "7", "HealthCheckTimeoutSeconds"),
        ("healthy", "4", "HealthyThresholdCount"),
        ("unhealthy", "3", "UnhealthyThresholdCount"),
        ("codes", "200-299", "Matcher.HttpCode"),
    ];
    let key = |name: &str| format!("elb.gantry.dev/health-check-{name}");
    let mut world = World::new(json!({}));
    let annotations: Map<String, Value> = said.iter().map(|(name, value, _)| (key(name), json!(value))).collect();
    world.annotated("web", ports(&[(80, "http")]), json!(annotations));
    world.settle();
    let group = world.aws.all("TargetGroup").remove(0);
    assert!(group.has("HealthCheckProtocol", "HTTP"), "{group:?}");
    for (name, value, field) in said {
        assert!(group.has(field, value), "{name}: {group:?}");
    }
    assert!(world.settle().is_empty());
    // Each is followed.
    for (name, value, field) in [("healthy", "5", "HealthyThresholdCount"), ("codes", "200", "Matcher.HttpCode")] {
        let mut object = world.get("Frontend", "web");
        object["metadata"]["annotations"][key(name)] = json!(value);
        world.host.add_json(object);
        assert_eq!(world.settle(), ["ModifyTargetGroup"], "{name}");
        assert!(world.aws.all("TargetGroup")[0].has(field, value), "{name}");
    }
}
