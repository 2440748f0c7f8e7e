//! Capacity providers, and how tasks are shared among them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use api_ecs::object::{Cluster, Service, Task};
use gantry_sdk::testing::{Fault, Verb};
use gantry_sdk::{Error, Value, json};
use support::{Caller, prepared};

fn provider(name: &str, group: &str) -> Value {
    json!({"name": name, "autoScalingGroupProvider": {"autoScalingGroupArn": group}})
}

fn strategy(of: &[(&str, u64, u64)]) -> Value {
    of.iter().map(|(name, base, weight)| json!({"capacityProvider": name, "base": base, "weight": weight})).collect()
}

/// A cluster with the providers `one` and `two`, the nodes of the groups `g1` and `g2`.
fn provided() -> Caller {
    let mut caller = prepared();
    caller.ok("CreateCapacityProvider", provider("one", "g1"));
    let arn = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:0-1:autoScalingGroupName/g2";
    caller.ok("CreateCapacityProvider", provider("two", arn));
    associate(&mut caller, json!(["one", "two"]), json!([]));
    caller
}

fn associate(caller: &mut Caller, providers: Value, usual: Value) -> Value {
    let request =
        json!({"cluster": "default", "capacityProviders": providers, "defaultCapacityProviderStrategy": usual});
    caller.ok("PutClusterCapacityProviders", request)["cluster"].clone()
}

#[test]
fn a_provider_is_made_seen_tagged_and_taken_away() {
    let mut caller = provided();
    let seen = caller.ok("DescribeCapacityProviders", json!({"capacityProviders": ["two", "none", "FARGATE"]}));
    let two = &seen["capacityProviders"][0];
    assert_eq!(two["capacityProviderArn"], "arn:aws:ecs:us-east-1:000000000000:capacity-provider/two");
    assert_eq!((&two["status"], &two["type"]), (&json!("ACTIVE"), &json!("EC2_AUTOSCALING")));
    assert_eq!(two["autoScalingGroupProvider"]["managedScaling"]["status"], "DISABLED");
    assert!(two["autoScalingGroupProvider"]["autoScalingGroupArn"].as_str().unwrap().ends_with("/g2"));
    let missing: Vec<&Value> = seen["failures"].as_array().unwrap().iter().map(|f| &f["reason"]).collect();
    assert_eq!(missing, ["MISSING", "MISSING"]);
    let arn = two["capacityProviderArn"].clone();
    caller.ok("TagResource", json!({"resourceArn": arn, "tags": [{"key": "a", "value": "b"}]}));
    let tagged = caller.ok("DescribeCapacityProviders", json!({"capacityProviders": [arn], "include": ["TAGS"]}));
    assert_eq!(tagged["capacityProviders"][0]["tags"], json!([{"key": "a", "value": "b"}]));
    let page = caller.ok("DescribeCapacityProviders", json!({"maxResults": 1}));
    assert!(page["nextToken"].is_string() && page["capacityProviders"].as_array().unwrap().len() == 1);
    caller.ok("CreateCluster", json!({"clusterName": "other"}));
    let others = caller.ok("DescribeCapacityProviders", json!({"cluster": "other"}));
    assert_eq!(others["capacityProviders"], json!([]));
    let same = json!({"name": "one", "autoScalingGroupProvider": {"managedScaling": {"status": "DISABLED"}}});
    assert_eq!(caller.ok("UpdateCapacityProvider", same)["capacityProvider"]["updateStatus"], "UPDATE_COMPLETE");
    let said = caller.fault("DeleteCapacityProvider", json!({"capacityProvider": "one"}));
    assert!(said.starts_with("ClientException: The specified capacity provider is in use"), "{said}");
    associate(&mut caller, json!(["two"]), json!([]));
    let gone = caller.ok("DeleteCapacityProvider", json!({"capacityProvider": "one"}))["capacityProvider"].clone();
    assert_eq!((&gone["status"], &gone["updateStatus"]), (&json!("INACTIVE"), &json!("DELETE_COMPLETE")));
    let said = caller.fault("DeleteCapacityProvider", json!({"capacityProvider": "one"}));
    assert!(said.starts_with("InvalidParameterException: The specified capacity provider does not exist"), "{said}");
}

#[test]
fn what_would_start_machines_is_refused_by_its_name() {
    let mut caller = provided();
    let with = |change: Value| {
        let mut of = json!({"autoScalingGroupArn": "g3"});
        of.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"name": "three", "autoScalingGroupProvider": of})
    };
    for (request, want) in [
        (
            with(json!({"managedScaling": {"status": "ENABLED"}})),
            "ClientException: autoScalingGroupProvider.managedScaling.status ENABLED is not supported",
        ),
        (
            with(json!({"managedDraining": "ENABLED"})),
            "ClientException: autoScalingGroupProvider.managedDraining ENABLED",
        ),
        (
            with(json!({"managedTerminationProtection": "ENABLED"})),
            "ClientException: autoScalingGroupProvider.managedTerminationProtection ENABLED",
        ),
        (
            with(json!({"autoScalingGroupArn": "a b"})),
            "InvalidParameterException: The Auto Scaling group \"a b\" is not valid",
        ),
        (
            with(json!({"autoScalingGroupArn": "arn:aws:autoscaling:x"})),
            "InvalidParameterException: The Auto Scaling group",
        ),
        (
            with(json!({"autoScalingGroupArn": "g1"})),
            "InvalidParameterException: The specified Auto Scaling group is already",
        ),
        (json!({"name": "three"}), "InvalidParameterException: autoScalingGroupProvider can not be blank."),
        (
            json!({"name": "three", "managedInstancesProvider": {"infrastructureRoleArn": "r", "instanceLaunchTemplate": {"ec2InstanceProfileArn": "p", "networkConfiguration": {}}}}),
            "ClientException: managedInstancesProvider is not supported",
        ),
        (provider("Fargate-1", "g3"), "InvalidParameterException: The capacity provider name"),
        (provider("a b", "g3"), "InvalidParameterException: Invalid capacity provider name"),
        (provider("one", "g1"), "ClientException: The specified capacity provider already exists"),
    ] {
        let said = caller.fault("CreateCapacityProvider", request.clone());
        assert!(said.starts_with(want), "{request}: {said}");
    }
    let scaled = json!({"name": "one", "autoScalingGroupProvider": {"managedScaling": {"status": "ENABLED"}}});
    assert!(caller.fault("UpdateCapacityProvider", scaled).starts_with("ClientException"));
    assert!(caller.fault("UpdateCapacityProvider", json!({"name": "none"})).starts_with("InvalidParameterException"));
}

#[test]
fn a_strategy_is_of_the_clusters_providers() {
    let mut caller = provided();
    let run = |of: Value| json!({"taskDefinition": "web", "capacityProviderStrategy": of});
    let many: Vec<(&str, u64, u64)> = vec![("one", 0, 1); 21];
    for (request, want) in [
        (
            run(strategy(&[("none", 0, 1)])),
            "InvalidParameterException: The capacity provider strategy cannot contain the capacity provider none",
        ),
        (run(strategy(&[("FARGATE", 0, 1)])), "UnsupportedFeatureException: The capacity provider FARGATE"),
        (run(strategy(&[("one", 0, 0)])), "InvalidParameterException: There are no capacity providers with a weight"),
        (
            run(strategy(&[("one", 1, 1), ("two", 1, 1)])),
            "InvalidParameterException: Only one capacity provider in a strategy can have a base",
        ),
        (
            run(strategy(&[("one", 0, 1), ("one", 0, 1)])),
            "InvalidParameterException: A capacity provider strategy can't have",
        ),
        (
            run(strategy(&[("one", 0, 1001)])),
            "InvalidParameterException: The weight of the capacity provider one must be",
        ),
        (
            run(strategy(&[("one", 100_001, 1)])),
            "InvalidParameterException: The base of the capacity provider one must be",
        ),
        (run(strategy(&many)), "InvalidParameterException: A capacity provider strategy can have 20"),
        (
            json!({"taskDefinition": "web", "launchType": "EC2", "capacityProviderStrategy": strategy(&[("one", 0, 1)])}),
            "InvalidParameterException: Specifying both a launch type and capacity provider strategy",
        ),
    ] {
        let said = caller.fault("RunTask", request.clone());
        assert!(said.starts_with(want), "{request}: {said}");
    }
    for (providers, usual, want) in [
        (json!(["none"]), json!([]), "InvalidParameterException: The specified capacity provider none was not found"),
        (json!(["FARGATE"]), json!([]), "UnsupportedFeatureException"),
        (
            json!(["one"]),
            strategy(&[("two", 0, 1)]),
            "InvalidParameterException: The capacity provider strategy cannot contain",
        ),
    ] {
        let request =
            json!({"cluster": "default", "capacityProviders": providers, "defaultCapacityProviderStrategy": usual});
        let said = caller.fault("PutClusterCapacityProviders", request);
        assert!(said.starts_with(want), "{said}");
    }
    associate(&mut caller, json!(["one", "two"]), strategy(&[("one", 0, 0)]));
    let said = caller.fault("RunTask", json!({"taskDefinition": "web"}));
    assert!(said.contains("defined in the default capacity provider strategy"), "{said}");
}

#[test]
fn tasks_are_shared_by_base_and_weight() {
    let mut caller = provided();
    let names = |ran: &Value| -> Vec<String> {
        let all = ran["tasks"].as_array().unwrap().iter();
        all.map(|task| task["capacityProviderName"].as_str().unwrap_or("-").to_owned()).collect()
    };
    let mix = strategy(&[("one", 1, 1), ("two", 0, 2)]);
    let ran = caller.ok(
        "RunTask",
        json!({"taskDefinition": "web", "count": 4, "capacityProviderStrategy": mix, "clientToken": "t"}),
    );
    assert_eq!(names(&ran), ["one", "two", "one", "two"]);
    assert_eq!(ran["tasks"][0]["launchType"], "EC2");
    let again = caller.ok(
        "RunTask",
        json!({"taskDefinition": "web", "count": 4, "capacityProviderStrategy": mix, "clientToken": "t"}),
    );
    assert_eq!(names(&again), names(&ran));
    let groups: Vec<Value> =
        caller.host.all::<Task>().iter().map(|task| task.spec["autoScalingGroup"].clone()).collect();
    assert_eq!(groups.iter().filter(|group| **group == "g1").count(), 2, "{groups:?}");
    let cluster = associate(&mut caller, json!(["one", "two"]), strategy(&[("two", 0, 1)]));
    assert_eq!(cluster["defaultCapacityProviderStrategy"], strategy(&[("two", 0, 1)]));
    assert_eq!(names(&caller.ok("RunTask", json!({"taskDefinition": "web"}))), ["two"]);
    assert_eq!(names(&caller.ok("RunTask", json!({"taskDefinition": "web", "launchType": "EC2"}))), ["-"]);
    assert_eq!(names(&caller.ok("StartTask", json!({"taskDefinition": "web", "containerInstances": ["012"]}))), ["-"]);
    let request = json!({"cluster": "default", "capacityProviders": ["two"], "defaultCapacityProviderStrategy": []});
    let said = caller.fault("PutClusterCapacityProviders", request);
    assert!(said.starts_with("ResourceInUseException: The specified capacity provider one is in use"), "{said}");
}

#[test]
fn a_node_is_of_the_provider_whose_group_it_has() {
    let mut caller = provided();
    let asked = json!({"containerInstances": ["012"]});
    let name = |caller: &mut Caller| {
        caller.ok("DescribeContainerInstances", asked.clone())["containerInstances"][0]["capacityProviderName"].clone()
    };
    assert_eq!(name(&mut caller), Value::Null);
    caller.host.edit::<gantry_sdk::api::Node>("", "n1", |node| {
        node.metadata.labels.insert("ecs.gantry.dev/auto-scaling-group".into(), "g2".into());
    });
    assert_eq!(name(&mut caller), "two");
    associate(&mut caller, json!(["one"]), json!([]));
    assert_eq!(name(&mut caller), Value::Null, "it is none of this cluster");
}

#[test]
fn a_provider_of_a_set_without_tasks_stays() {
    let mut caller = provided();
    let external = json!({"serviceName": "web", "desiredCount": 1, "deploymentController": {"type": "EXTERNAL"}});
    caller.ok("CreateService", external);
    let set = json!({"cluster": "default", "service": "web", "taskDefinition": "web", "capacityProviderStrategy": strategy(&[("two", 0, 1)])});
    caller.ok("CreateTaskSet", set);
    let request = json!({"cluster": "default", "capacityProviders": ["one"], "defaultCapacityProviderStrategy": []});
    let said = caller.fault("PutClusterCapacityProviders", request);
    assert!(said.starts_with("ResourceInUseException: The specified capacity provider two is in use"), "{said}");
}

#[test]
fn a_service_has_a_strategy_in_the_place_of_a_launch_type() {
    let mut caller = provided();
    let mix = strategy(&[("one", 1, 0), ("two", 0, 1)]);
    let request =
        json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "capacityProviderStrategy": mix});
    let made = caller.ok("CreateService", request)["service"].clone();
    assert_eq!((&made["capacityProviderStrategy"], made.get("launchType")), (&mix, None));
    assert_eq!(made["deployments"][0]["capacityProviderStrategy"], mix);
    let stored = |caller: &Caller| caller.host.all::<Service>().remove(0).spec;
    assert_eq!(
        stored(&caller)["capacityProviders"][1],
        json!({"capacityProvider": "two", "base": 0, "weight": 1, "group": "g2"})
    );
    let first = stored(&caller)["deployment"].clone();
    let request = json!({"cluster": "default", "capacityProviders": ["one"], "defaultCapacityProviderStrategy": []});
    assert!(caller.fault("PutClusterCapacityProviders", request).starts_with("ResourceInUseException"));
    let other = strategy(&[("two", 0, 1)]);
    let updated =
        caller.ok("UpdateService", json!({"service": "web", "capacityProviderStrategy": other}))["service"].clone();
    assert_eq!(updated["capacityProviderStrategy"], other);
    assert_eq!(stored(&caller)["deployment"], first, "no new deployment");
    let back = caller.ok("UpdateService", json!({"service": "web", "capacityProviderStrategy": []}))["service"].clone();
    assert_eq!((back.get("capacityProviderStrategy"), &back["launchType"]), (None, &json!("EC2")));
    let daemon = json!({"serviceName": "each", "taskDefinition": "web", "schedulingStrategy": "DAEMON", "capacityProviderStrategy": other});
    let said = caller.fault("CreateService", daemon);
    assert!(
        said.starts_with("InvalidParameterException: The daemon scheduling strategy does not support a capacity"),
        "{said}"
    );
}

#[test]
fn two_who_change_a_cluster_do_not_undo_each_other() {
    let mut caller = provided();
    let conflict = || Fault::on(Verb::Patch).of::<Cluster>().with(Error::conflict("changed"));
    caller.host.fail(conflict().times(2));
    let made = associate(&mut caller, json!(["two"]), json!([]));
    assert_eq!(made["capacityProviders"], json!(["two"]), "and is looked at anew");
    caller.host.fail(conflict().times(8));
    let all = json!({"cluster": "default", "capacityProviders": [], "defaultCapacityProviderStrategy": []});
    let said = caller.fault("PutClusterCapacityProviders", all);
    assert!(said.starts_with("UpdateInProgressException"), "{said}");
}

#[test]
fn a_strategy_that_came_back_is_the_one_that_is_seen() {
    let mut caller = provided();
    let create = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1,
        "capacityProviderStrategy": strategy(&[("one", 0, 1)])});
    caller.ok("CreateService", create);
    let object = |caller: &Caller| caller.host.all::<Service>().remove(0);
    let first = object(&caller);
    let update =
        json!({"service": "web", "forceNewDeployment": true, "capacityProviderStrategy": strategy(&[("two", 0, 1)])});
    caller.ok("UpdateService", update);
    // The second failed, and the first is back.
    let seen = object(&caller).spec["deployment"]["id"].clone();
    let back = json!({"id": first.spec["deployment"]["id"], "status": "PRIMARY", "template": first.spec["template"],
        "capacityProviders": first.spec["capacityProviders"]});
    let name = first.metadata.name.clone();
    caller.host.edit::<Service>("ecs", &name, |service| service.status = json!({"seen": seen, "deployments": [back]}));
    let shown =
        |caller: &mut Caller| caller.ok("DescribeServices", json!({"services": ["web"]}))["services"][0].clone();
    let service = shown(&mut caller);
    for of in [&service, &service["deployments"][0]] {
        assert_eq!(of["capacityProviderStrategy"][0]["capacityProvider"], "one", "{of}");
    }
    let said = caller.fault(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": ["two"], "defaultCapacityProviderStrategy": []}),
    );
    assert!(said.starts_with("ResourceInUseException"), "{said}");
    // The next one goes on from there.
    caller.ok("UpdateService", json!({"service": "web", "forceNewDeployment": true}));
    assert_eq!(object(&caller).spec["capacityProviders"][0]["capacityProvider"], "one");
}
