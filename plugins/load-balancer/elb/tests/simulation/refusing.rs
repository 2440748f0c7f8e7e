//! What AWS does not have is made neither in part nor silently: nothing changes, and the Frontend says what can't be.
//! But what was open to more clients than are wanted now is closed.

use gantry_sdk::serde_json::Map;
use gantry_sdk::{Value, json, merge};

use crate::{World, http, ports};

/// Ports of these protocols at one number, and what more.
fn at_one_port(protocols: &[&str], more: Value) -> Value {
    let mut spec = ports(&[]);
    spec["ports"] =
        protocols.iter().map(|name| json!({"name": name.to_lowercase(), "port": 53, "protocol": name})).collect();
    merge::apply(&mut spec, &more);
    spec
}

fn with(mut spec: Value, more: Value) -> Value {
    merge::apply(&mut spec, &more);
    spec
}

#[test]
fn what_can_not_be_had_is_said() {
    let some = || ports(&[(80, "http")]);
    let ranges = || json!({"sourceRanges": ["192.0.2.0/24"]});
    let sticky = || json!({"sessionAffinity": {"type": "ClientIP"}});
    let rule = || http(json!([{"match": {}, "action": {"response": {"status": 404}}}]));
    let secure = || {
        let mut spec = rule();
        spec["http"]["listeners"][0]["protocol"] = json!("HTTPS");
        spec
    };
    let table = [
        (with(some(), ranges()), json!({}), "only clients of 192.0.2.0/24"),
        (with(rule(), ranges()), json!({}), "match.sources"),
        (with(rule(), sticky()), json!({}), "sessionAffinity is for ports"),
        (with(some(), sticky()), json!({"type": "alb"}), "session affinity by clients' addresses"),
        (with(some(), sticky()), json!({"certificates": "arn:a"}), "affinity and for TLS"),
        (some(), json!({"tls-ports": "80"}), "needs elb.gantry.dev/certificates"),
        (some(), json!({"tls-ports": "81", "certificates": "arn:a"}), "names 81, which is no port"),
        (at_one_port(&["UDP"], json!({})), json!({"certificates": "arn:a"}), "no port is of TCP"),
        (at_one_port(&["TCP", "UDP"], json!({})), json!({"certificates": "arn:a"}), "port 53 is of TCP_UDP"),
        (at_one_port(&["TCP", "UDP"], json!({})), json!({"type": "alb"}), "port 53 is of TCP and UDP"),
        (at_one_port(&["SCTP"], json!({})), json!({}), "port 53 is of SCTP"),
        (some(), json!({"health-check-interval-seconds": "5", "health-check-timeout-seconds": "5"}), "every 5 s"),
        (rule(), json!({"certificates": "arn:a"}), "no listener speaks HTTPS"),
        (secure(), json!({}), "listener http speaks HTTPS"),
        (rule(), json!({"target-type": "instance"}), "targets of the type ip"),
    ];
    for (spec, annotations, want) in table {
        let mut world = World::new(json!({}));
        let said = annotations.as_object().unwrap().iter();
        let annotations: Map<String, Value> =
            said.map(|(key, value)| (format!("elb.gantry.dev/{key}"), value.clone())).collect();
        let annotations = json!(annotations);
        world.annotated("web", spec.clone(), annotations.clone());
        assert!(world.settle().is_empty(), "{spec} {annotations}");
        let (status, reason, message) = world.condition("web");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Unsupported"), "{spec} {annotations}: {message}");
        assert!(message.contains(want), "{spec} {annotations}: {message}");
    }
}

#[test]
fn everybody_is_no_restriction() {
    let mut world = World::new(json!({}));
    world.frontend("web", with(ports(&[(80, "http")]), json!({"sourceRanges": ["192.0.2.0/24", "0.0.0.0/0"]})));
    world.settle();
    assert_eq!((world.condition("web").0.as_str(), world.count("LoadBalancer")), ("True", 1));
}

/// It was refused, and stayed as open as it was.
#[test]
fn what_was_open_to_all_is_closed_to_those_who_may_not() {
    let some = || ports(&[(80, "http"), (81, "http")]);
    let ranged = || with(some(), json!({"sourceRanges": ["192.0.2.0/24"]}));
    for (kind, action) in [("nlb", "DeleteListener"), ("classic", "DeleteLoadBalancerListeners")] {
        let mut world = World::new(json!({"type": kind}));
        let listening = |world: &World| {
            world.count("Listener") + world.aws.older().values().map(|one| one.listeners.len()).sum::<usize>()
        };
        world.frontend("web", some());
        world.settle();
        assert_eq!(listening(&world), 2, "{kind}");
        // AWS does not answer at first: that is no reason to leave it open.
        world.edit("web", ranged());
        world.aws.fail(action, 503, "ServiceUnavailable");
        let closed = world.settle();
        assert!(!closed.is_empty() && closed.iter().all(|one| one == action), "{kind}: {closed:?}");
        assert_eq!(listening(&world), 0, "{kind}");
        assert_eq!(world.count("LoadBalancer") + world.aws.older().len(), 1, "{kind}: its name stays");
        let (status, reason, message) = world.condition("web");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Unsupported"), "{kind}");
        assert!(message.contains("sourceRanges") && message.ends_with("nobody is let in"), "{kind}: {message}");
        // Neither an annotation that is wrong opens it, nor is anything done twice.
        let mut object = world.get("Frontend", "web");
        object["metadata"]["annotations"]["elb.gantry.dev/subnet"] = json!("s1");
        world.host.add_json(object);
        assert_eq!((world.settle(), listening(&world)), (Vec::new(), 0), "{kind}");
        let mut object = world.get("Frontend", "web");
        object["metadata"]["annotations"].as_object_mut().unwrap().remove("elb.gantry.dev/subnet");
        world.host.add_json(object);
        world.edit("web", some());
        world.settle();
        assert_eq!((listening(&world), world.condition("web").0.as_str()), (2, "True"), "{kind}");
    }
}

/// What is asked for of all clients, and can't be had, leaves alone what is there.
#[test]
fn what_is_for_all_stays_while_a_wish_can_not_be_had() {
    let mut world = World::new(json!({}));
    world.frontend("web", ports(&[(80, "http")]));
    world.settle();
    let mut spec = ports(&[(80, "http")]);
    spec["ports"][0]["protocol"] = json!("SCTP");
    world.edit("web", spec);
    assert_eq!((world.settle(), world.count("Listener")), (Vec::new(), 1));
    assert_eq!(world.condition("web").1, "Unsupported");
}
