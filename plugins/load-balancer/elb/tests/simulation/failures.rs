//! Requests that fail.

use gantry_sdk::json;

use crate::{World, http, ports};

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
            world.delete("Frontend", "web");
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

/// AWS lets go of a target group some time after the load balancer that used it.
#[test]
fn what_fails_while_removing_is_said_and_tried_again() {
    for action in ["DeleteListener", "DeleteLoadBalancer", "DeleteTargetGroup"] {
        for (code, reason) in [("ResourceInUse", "Unavailable"), ("AccessDenied", "Refused")] {
            let mut world = World::new(json!({}));
            world.frontend("web", ports(&[(80, "http")]));
            world.settle();
            world.aws.fail(action, 400, code);
            world.delete("Frontend", "web");
            world.driver.round();
            let (status, said, message) = world.condition("web");
            assert_eq!((status.as_str(), said.as_str()), ("False", reason), "{action} {code}: {message}");
            assert!(message.contains(&format!("{action}: {code}")), "{message}");
            world.settle();
            assert_eq!((world.count("LoadBalancer"), world.count("TargetGroup")), (0, 0), "{action} {code}");
            assert_eq!(world.get("Frontend", "web"), gantry_sdk::Value::Null, "{action} {code}");
        }
    }
}

/// What AWS knew of the targets when it answered last is not what is so now.
#[test]
fn health_is_not_older_than_the_answer() {
    let mut world = World::new(json!({}));
    world.slice(&["10.0.0.1", "10.0.0.2"]);
    world.frontend("web", ports(&[(80, "http")]));
    world.settle();
    let healthy = |world: &World| world.holds("web", "TargetsHealthy");
    assert_eq!(healthy(&world), ("True".into(), "Healthy".into(), "2 of 2 targets".into()));
    world.aws.edit("TargetGroup", |one| one.health = "unhealthy".into());
    world.settle();
    assert_eq!(healthy(&world), ("False".into(), "Unhealthy".into(), "0 of 2 targets".into()));
    // Those that are about to go say nothing of those that stay.
    world.aws.edit("TargetGroup", |one| one.health = "healthy".into());
    world.slice(&["10.0.0.2"]);
    world.settle();
    assert_eq!(healthy(&world).2, "1 of 1 targets");
    world.aws.fail("DescribeTargetHealth", 403, "AccessDenied");
    world.slice(&["10.0.0.2", "10.0.0.3"]);
    world.driver.round();
    assert_eq!((healthy(&world).0.as_str(), world.condition("web").0.as_str()), ("Unknown", "False"));
    world.settle();
    assert_eq!((healthy(&world).0.as_str(), world.condition("web").0.as_str()), ("True", "True"));
}

/// Impaired is not out of service.
#[test]
fn an_impaired_load_balancer_is_ready() {
    for (state, ready) in
        [("active", "True"), ("active_impaired", "True"), ("provisioning", "False"), ("failed", "False")]
    {
        let mut world = World::new(json!({}));
        world.frontend("web", ports(&[(80, "http")]));
        world.settle();
        world.aws.pretend(state);
        world.settle();
        assert_eq!(world.condition("web").0, ready, "{state}");
    }
}
