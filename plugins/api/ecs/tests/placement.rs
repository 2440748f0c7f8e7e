//! Where tasks may go: what is checked and kept of it, attributes of instances, instances that are named or drained.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use gantry_sdk::{ObjectRef, Value, json};
use support::Caller;

fn placing(caller: &mut Caller) {
    caller.ok("CreateCluster", json!({"clusterName": "blue"}));
    let containers = json!([{"name": "main", "image": "i", "memory": 64}]);
    let near = json!([{"type": "memberOf", "expression": "attribute:stack == prod"}]);
    let input = json!({"family": "web", "containerDefinitions": containers, "placementConstraints": near});
    let made = caller.ok("RegisterTaskDefinition", input);
    assert_eq!(made["taskDefinition"]["placementConstraints"], near);
}

fn task(caller: &Caller, arn: &Value) -> Value {
    let id = arn.as_str().unwrap().rsplit('/').next().unwrap();
    caller.host.get_json(&ObjectRef::of::<api_ecs::object::Task>("ecs", id)).unwrap()
}

#[test]
fn wishes_about_the_place_are_checked_and_kept() {
    let mut caller = Caller::new();
    placing(&mut caller);
    let distinct = json!({"type": "distinctInstance"});
    let strategy = json!([{"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "random"}]);
    let run = |constraints: Value, strategy: Value| json!({"cluster": "blue", "taskDefinition": "web", "placementConstraints": constraints, "placementStrategy": strategy});
    let made = caller.ok("RunTask", run(json!([distinct]), strategy.clone()));
    let spec = task(&caller, &made["tasks"][0]["taskArn"])["spec"].clone();
    assert_eq!(spec["placementStrategy"], strategy);
    assert_eq!(spec["placementConstraints"][0]["expression"], "attribute:stack == prod", "the definition's too");
    assert_eq!(spec["placementConstraints"][1], distinct);
    for (constraints, strategy, want) in [
        (json!([{"type": "memberOf", "expression": "a b"}]), json!([]), "unknown subject \"a\" at position 0"),
        (json!([{"type": "memberOf"}]), json!([]), "memberOf expression should be specified"),
        (json!(vec![&distinct; 10]), json!([]), "placementConstraints cannot have more than 10"),
        (json!([]), json!([{"type": "spread"}]), "is not valid for the placement strategy spread"),
        (json!([]), json!(vec![json!({"type": "random"}); 6]), "placementStrategy cannot have more than 5"),
    ] {
        let said = caller.fault("RunTask", run(constraints, strategy));
        assert!(said.starts_with("InvalidParameterException") && said.contains(want), "{said}");
    }
    for (constraint, want) in [
        (distinct, "Member must satisfy enum value set: [memberOf]"),
        (json!({"type": "memberOf", "expression": "registeredAt > 2018-01-01"}), "registeredAt is for filters"),
    ] {
        let input = json!({"family": "x", "containerDefinitions": [{"name": "a", "image": "i", "memory": 64}],
            "placementConstraints": [constraint]});
        let (_, answer) = caller.ask("RegisterTaskDefinition", input);
        assert!(answer.to_string().contains(want), "{answer}");
    }
}

#[test]
fn attributes_are_labels_of_nodes() {
    let mut caller = Caller::new();
    placing(&mut caller);
    let node = "arn:aws:ecs:us-east-1:000000000000:container-instance/blue/012";
    let attribute = |value: Value| json!({"cluster": "blue", "attributes": [value]});
    let put =
        attribute(json!({"name": "stack", "value": "prod", "targetId": "012", "targetType": "container-instance"}));
    caller.ok("PutAttributes", put);
    let kept = caller.host.get_json(&ObjectRef::of::<gantry_sdk::api::Node>("", "n1")).unwrap();
    assert_eq!(kept["metadata"]["labels"], json!({"stack": "prod"}));
    let list = json!({"cluster": "blue", "targetType": "container-instance", "attributeName": "stack"});
    let listed = caller.ok("ListAttributes", list.clone());
    assert_eq!(listed["attributes"], json!([{"name": "stack", "value": "prod", "targetId": node}]));
    for (filter, count) in
        [("attribute:stack == prod", 1), ("attribute:stack != prod", 0), ("agentConnected == true", 1)]
    {
        let found = caller.ok("ListContainerInstances", json!({"cluster": "blue", "filter": filter}));
        assert_eq!(found["containerInstanceArns"].as_array().unwrap().len(), count, "{filter}");
    }
    caller.ok("DeleteAttributes", attribute(json!({"name": "stack", "targetId": node})));
    assert_eq!(caller.ok("ListAttributes", list)["attributes"], json!([]));
    for (value, want) in [
        (json!({"name": "a", "value": "b", "targetId": "999"}), "TargetNotFoundException"),
        (json!({"name": "a", "value": "b"}), "InvalidParameterException: A target ID"),
        (json!({"name": "ecs.os-type", "value": "b", "targetId": "012"}), "are reserved"),
        (json!({"name": "a", "value": "b c", "targetId": "012"}), "Invalid value \"b c\""),
    ] {
        let said = caller.fault("PutAttributes", attribute(value));
        assert!(said.contains(want), "{said}");
    }
    let said = caller.fault("ListContainerInstances", json!({"cluster": "blue", "filter": "attribute:a"}));
    assert!(said.contains("an operator is expected at position 11"), "{said}");
}

#[test]
fn tasks_start_on_named_instances_that_are_not_drained() {
    let mut caller = Caller::new();
    placing(&mut caller);
    let start = json!({"cluster": "blue", "taskDefinition": "web", "containerInstances": ["012", "999"]});
    let made = caller.ok("StartTask", start.clone());
    assert_eq!(task(&caller, &made["tasks"][0]["taskArn"])["spec"]["node"], "n1");
    let missing =
        json!([{"arn": "arn:aws:ecs:us-east-1:000000000000:container-instance/blue/999", "reason": "MISSING"}]);
    assert_eq!(made["failures"], missing);
    let state = |status: &str| json!({"cluster": "blue", "containerInstances": ["012"], "status": status});
    let drained = caller.ok("UpdateContainerInstancesState", state("DRAINING"));
    assert_eq!(drained["containerInstances"][0]["status"], "DRAINING");
    let made = caller.ok("StartTask", start.clone());
    assert_eq!((made["tasks"].clone(), &made["failures"][0]["reason"]), (json!([]), &json!("INACTIVE")));
    caller.ok("UpdateContainerInstancesState", state("ACTIVE"));
    let ready = |caller: &Caller, status: &str| {
        let mut node = caller.host.get_json(&ObjectRef::of::<gantry_sdk::api::Node>("", "n1")).unwrap();
        node["status"]["conditions"] = json!([{"type": "Ready", "status": status}]);
        caller.host.add_json(node);
    };
    ready(&caller, "Unknown");
    let made = caller.ok("StartTask", start.clone());
    assert_eq!((made["tasks"].clone(), &made["failures"][0]["reason"]), (json!([]), &json!("AGENT")));
    ready(&caller, "True");
    assert_eq!(caller.ok("StartTask", start)["tasks"].as_array().unwrap().len(), 1);
    let none = json!({"cluster": "blue", "taskDefinition": "web", "containerInstances": []});
    assert!(caller.fault("StartTask", none).contains("between 1 and 10"));
}
