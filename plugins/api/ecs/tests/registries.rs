//! Service registries: which there are, which port is told, and who is found in a namespace.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use api_ecs::object::Service;
use gantry_sdk::api::Service as Named;
use gantry_sdk::testing::{Fault, Verb};
use gantry_sdk::{Error, Value, json};
use support::{Caller, prepared, with};

const ARN: &str = "arn:aws:servicediscovery:us-east-1:000000000000:service/shop";

fn merged(base: Value, members: &Value) -> Value {
    let mut base = base;
    base.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    base
}

/// The registry `shop` in the namespace `corp.local`, one that finds pods itself, and definitions of both networks.
fn registered() -> Caller {
    let mut caller = prepared();
    let service = |name: &str, spec: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "spec": spec, "metadata": {"name": name, "namespace": "ecs",
            "annotations": {"servicediscovery.gantry.dev/namespace": "corp.local"}}})
    };
    caller.host.add_json(service("shop", json!({"clusterIP": "None"})));
    caller.host.add_json(service("pods", json!({"selector": {"a": "b"}})));
    let port = with(json!({"portMappings": [{"containerPort": 8080, "hostPort": 8080}]}));
    for (family, mode) in [("own", "awsvpc"), ("shared", "bridge")] {
        let input = json!({"family": family, "networkMode": mode, "containerDefinitions": [port]});
        caller.ok("RegisterTaskDefinition", input);
    }
    caller
}

fn request(definition: &str, registry: Value) -> Value {
    let request =
        json!({"serviceName": "web", "taskDefinition": definition, "desiredCount": 1, "serviceRegistries": [registry]});
    match definition {
        "own" => merged(request, &json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}})),
        _ => request,
    }
}

#[test]
fn a_registry_is_a_service_without_a_selector() {
    let mut caller = registered();
    for (definition, registry, want) in [
        (
            "own",
            json!({"registryArn": ARN.replace("shop", "none")}),
            "InvalidParameterException: Service registry arn:aws:servicediscovery",
        ),
        (
            "own",
            json!({"registryArn": ARN.replace("us-east-1", "eu-west-1")}),
            "InvalidParameterException: Service registry \"arn:aws",
        ),
        ("own", json!({"registryArn": "shop"}), "InvalidParameterException: Service registry \"shop\" is not one of"),
        ("own", json!({"registryArn": ARN.replace("shop", "pods")}), "InvalidParameterException: Service registry arn"),
        ("own", json!({"registryArn": ARN, "port": 70_000}), "InvalidParameterException: The port 70000"),
        (
            "own",
            json!({"registryArn": ARN, "port": 80, "containerName": "a"}),
            "InvalidParameterException: A service registry can have",
        ),
        ("shared", json!({"registryArn": ARN}), "InvalidParameterException: When the network mode is bridge or host"),
        ("shared", json!({"registryArn": ARN, "port": 80}), "InvalidParameterException: The port 80"),
        (
            "shared",
            json!({"registryArn": ARN, "containerName": "z", "containerPort": 8080}),
            "InvalidParameterException: The container z does not exist",
        ),
    ] {
        let said = caller.fault("CreateService", request(definition, registry.clone()));
        assert!(said.starts_with(want), "{definition} {registry}: {said}");
    }
    let two =
        merged(request("own", json!({})), &json!({"serviceRegistries": [{"registryArn": ARN}, {"registryArn": ARN}]}));
    assert!(
        caller.fault("CreateService", two).starts_with("InvalidParameterException: serviceRegistries cannot have more")
    );
}

#[test]
fn tasks_are_registered_with_the_port_that_is_said() {
    for (definition, registry, port) in [
        ("own", json!({"registryArn": ARN}), 0),
        ("own", json!({"registryArn": ARN, "port": 81}), 81),
        ("shared", json!({"registryArn": ARN, "containerName": "a", "containerPort": 8080}), 8080),
    ] {
        let mut caller = registered();
        let made = caller.ok("CreateService", request(definition, registry.clone()))["service"].clone();
        assert_eq!(made["serviceRegistries"], json!([registry]));
        let service = caller.host.all::<Service>().remove(0);
        assert_eq!(service.spec["template"]["targets"], json!([{"registry": "shop", "arn": ARN, "port": port}]));
        let first = service.spec["deployment"].clone();
        caller.ok("UpdateService", json!({"service": "web", "serviceRegistries": []}));
        let service = caller.host.all::<Service>().remove(0);
        assert!(service.spec["deployment"] != first && service.spec["template"]["targets"] == json!([]));
    }
}

/// A definition with the port `http`, and a service that is found by it.
fn connected(change: Value, service: Value) -> Value {
    let one = merged(json!({"portName": "http"}), &service);
    let connect = merged(json!({"enabled": true, "namespace": "corp.local", "services": [one]}), &change);
    json!({"serviceName": "web", "taskDefinition": "http", "desiredCount": 1, "serviceConnectConfiguration": connect})
}

fn with_http() -> Caller {
    let mut caller = registered();
    let port = with(json!({"portMappings": [{"name": "http", "containerPort": 8080, "hostPort": 8080}]}));
    caller.ok("RegisterTaskDefinition", json!({"family": "http", "containerDefinitions": [port]}));
    caller
}

#[test]
fn service_connect_gives_names_and_no_proxy() {
    let mut caller = with_http();
    let none = json!({});
    let alias = |of: Value| json!({"clientAliases": [of]});
    for (change, service, want) in [
        (
            json!({"namespace": ""}),
            none.clone(),
            "InvalidParameterException: The Service Connect namespace \"\" is not",
        ),
        (
            json!({"logConfiguration": {"logDriver": "awslogs"}}),
            none.clone(),
            "ClientException: serviceConnectConfiguration.logConfiguration",
        ),
        (none.clone(), json!({"portName": "other"}), "InvalidParameterException: The portName other is not that"),
        (none.clone(), json!({"discoveryName": "a.b"}), "InvalidParameterException: The discoveryName \"a.b\" is not"),
        (
            none.clone(),
            json!({"ingressPortOverride": 99}),
            "ClientException: serviceConnectConfiguration.services.ingressPortOverride",
        ),
        (
            none.clone(),
            json!({"timeout": {"idleTimeoutSeconds": 1}}),
            "ClientException: serviceConnectConfiguration.services.timeout",
        ),
        (
            none.clone(),
            alias(json!({"port": 80})),
            "ClientException: The port of a client alias must be the container's, 8080",
        ),
        (
            none.clone(),
            alias(json!({"port": 8080, "dnsName": "web"})),
            "ClientException: The dnsName web of a client alias",
        ),
    ] {
        let said = caller.fault("CreateService", connected(change.clone(), service.clone()));
        assert!(said.starts_with(want), "{change} {service}: {said}");
    }
    let full = json!({"discoveryName": "shop", "clientAliases": [{"port": 8080, "dnsName": "shop.corp.local"}]});
    let made = caller.ok("CreateService", connected(none.clone(), full))["service"].clone();
    let deployment = &made["deployments"][0];
    assert_eq!(deployment["serviceConnectConfiguration"]["namespace"], "corp.local");
    assert_eq!(deployment["serviceConnectResources"][0]["discoveryName"], "shop");
    let target = caller.host.all::<Service>().remove(0).spec["template"]["targets"][0].clone();
    assert_eq!(
        (&target["name"], &target["namespace"], &target["port"]),
        (&json!("shop"), &json!("corp.local"), &json!(8080))
    );
    // Its name was reserved before anybody made a task.
    let other = merged(connected(none.clone(), json!({"discoveryName": "shop"})), &json!({"serviceName": "other"}));
    let said = caller.fault("CreateService", other);
    assert!(said.starts_with("InvalidParameterException: The discoveryName shop is that of another service"), "{said}");
    // As the controller makes it: nobody else may have the name.
    let owner = caller.host.all::<Service>().remove(0).metadata.name;
    caller.host.add_json(json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "None"}, "metadata": {
        "name": target["registry"], "namespace": "ecs", "annotations": {"servicediscovery.gantry.dev/namespace": "corp.local"},
        "ownerReferences": [{"apiVersion": "ecs.gantry.dev/v1", "kind": "Service", "name": owner, "uid": "u"}]}}));
    let other = merged(connected(none.clone(), json!({"discoveryName": "shop"})), &json!({"serviceName": "other"}));
    let said = caller.fault("CreateService", other);
    assert!(said.starts_with("InvalidParameterException: The discoveryName shop is that of another service"), "{said}");
    caller.ok("UpdateService", json!({"service": "web", "forceNewDeployment": true}));
    assert_eq!(
        caller.ok("ListServicesByNamespace", json!({"namespace": "corp.local"}))["serviceArns"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    caller.ok("UpdateService", json!({"service": "web", "serviceConnectConfiguration": {"enabled": false}}));
    assert_eq!(caller.host.all::<Service>().remove(0).spec["template"]["targets"], json!([]));
}

#[test]
fn a_cluster_says_where_names_are() {
    let mut caller = with_http();
    let usual = json!({"namespace": "arn:aws:servicediscovery:us-east-1:000000000000:namespace/cluster.local"});
    let updated =
        caller.ok("UpdateCluster", json!({"cluster": "default", "serviceConnectDefaults": usual}))["cluster"].clone();
    assert_eq!(updated["serviceConnectDefaults"], usual);
    let named =
        |caller: &Caller| caller.host.all::<Service>().remove(0).spec["template"]["targets"][0]["namespace"].clone();
    let mut request = connected(json!({}), json!({}));
    request["serviceConnectConfiguration"].as_object_mut().unwrap().remove("namespace");
    caller.ok("CreateService", request);
    assert_eq!(named(&caller), "cluster.local");
    let own = connected(json!({}), json!({}))["serviceConnectConfiguration"].clone();
    caller.ok("UpdateService", json!({"service": "web", "serviceConnectConfiguration": own}));
    assert_eq!(named(&caller), "corp.local", "what a service says itself comes first");
    caller.ok("UpdateCluster", json!({"cluster": "default", "serviceConnectDefaults": {"namespace": ""}}));
    assert!(caller.ok("DescribeClusters", json!({}))["clusters"][0].get("serviceConnectDefaults").is_none());
}

#[test]
fn services_are_listed_by_the_namespace_of_their_names() {
    let mut caller = registered();
    caller.ok("CreateService", request("own", json!({"registryArn": ARN})));
    caller.ok("CreateService", json!({"serviceName": "other", "taskDefinition": "web", "desiredCount": 1}));
    caller.ok(
        "CreateService",
        json!({"serviceName": "sets", "desiredCount": 1, "deploymentController": {"type": "EXTERNAL"}}),
    );
    let network = json!({"awsvpcConfiguration": {"subnets": ["s"]}});
    let set = json!({"cluster": "default", "service": "sets", "taskDefinition": "own", "networkConfiguration": network, "serviceRegistries": [{"registryArn": ARN}]});
    assert_eq!(caller.ok("CreateTaskSet", set)["taskSet"]["serviceRegistries"][0]["registryArn"], ARN);
    let arn = |name: &str| format!("arn:aws:ecs:us-east-1:000000000000:service/default/{name}");
    for namespace in ["corp.local", "arn:aws:servicediscovery:us-east-1:000000000000:namespace/corp.local"] {
        let listed = caller.ok("ListServicesByNamespace", json!({"namespace": namespace}));
        assert_eq!(listed["serviceArns"], json!([arn("sets"), arn("web")]));
    }
    for namespace in ["other.local", ""] {
        let said = caller.fault("ListServicesByNamespace", json!({"namespace": namespace}));
        assert_eq!(said, "NamespaceNotFoundException: The specified namespace was not found.");
    }
}

#[test]
fn a_name_is_one_services_however_many_ask_at_once() {
    let mut caller = with_http();
    let named = |service: &str| {
        merged(connected(json!({}), json!({"discoveryName": "shop"})), &json!({"serviceName": service}))
    };
    // Two look at once: to the second the name is still free, and it comes too late.
    caller.ok("CreateService", named("one"));
    caller.host.fail(Fault::on(Verb::Get).of::<Named>().with(Error::not_found("not yet")));
    let said = caller.fault("CreateService", named("two"));
    assert!(said.starts_with("InvalidParameterException: The discoveryName shop is that of another service"), "{said}");
    let registry = caller.host.all::<Named>().remove(0);
    assert_eq!((registry.spec.cluster_ip.as_str(), registry.metadata.owner_references.len()), ("None", 0));
    // Reserved for a service that did not come: free after a minute, and not before.
    let reserved = |seconds: u64| {
        let made = gantry_sdk::api::Time::from_millis(support::NOW - seconds * 1000);
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "None"}, "metadata": {
            "name": registry.metadata.name, "namespace": "ecs", "creationTimestamp": made,
            "annotations": {"ecs.gantry.dev/reserved-by": "gone.s0"}}})
    };
    caller.host.add_json(reserved(30));
    assert!(caller.fault("CreateService", named("three")).contains("is that of another service"));
    caller.host.add_json(reserved(90));
    caller.ok("CreateService", named("three"));
    let by = caller.host.all::<Named>().remove(0).metadata.annotations["ecs.gantry.dev/reserved-by"].clone();
    assert!(by.starts_with("three."), "{by}");
}
