//! Services as callers see them: what is taken, what is stored for the controller, and what is answered.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use api_ecs::object::{Cluster, Service, Task};
use gantry_sdk::testing::{Fault, Verb};
use gantry_sdk::{Error, Value, json};
use support::{Caller, container, granted, prepared};

fn merged(base: Value, members: &Value) -> Value {
    let mut base = base;
    base.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    base
}

fn create(caller: &mut Caller, members: Value) -> Value {
    let request = merged(json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2}), &members);
    caller.ok("CreateService", request)["service"].clone()
}

fn object(caller: &Caller) -> Service {
    caller.host.all::<Service>().remove(0)
}

/// What the controller would say of it.
fn status(caller: &Caller, status: Value) {
    let name = object(caller).metadata.name;
    caller.host.edit::<Service>("ecs", &name, |service| service.status = status);
}

/// The controller has begun the deployment that is wanted.
fn begun(caller: &Caller) {
    let service = object(caller);
    let deployment = json!({
        "id": service.spec["deployment"]["id"], "status": "PRIMARY", "template": service.spec["template"],
        "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
        "desiredCount": 2, "runningCount": 2, "rolloutState": "COMPLETED",
    });
    let event =
        json!({"id": "e", "createdAt": "2026-01-01T00:00:00Z", "message": "(service web) has reached a steady state."});
    status(
        caller,
        json!({"status": "ACTIVE", "seen": service.spec["deployment"]["id"], "deployments": [deployment],
        "runningCount": 2, "pendingCount": 0, "desiredCount": 2, "events": [event]}),
    );
}

fn describe(caller: &mut Caller) -> Value {
    caller.ok("DescribeServices", json!({"services": ["web"], "include": ["TAGS"]}))["services"][0].clone()
}

#[test]
fn a_service_is_made_once_and_seen() {
    let mut caller = prepared();
    let made = create(&mut caller, json!({"tags": [{"key": "a", "value": "b"}], "clientToken": "t"}));
    assert_eq!(made["serviceArn"], "arn:aws:ecs:us-east-1:000000000000:service/default/web");
    assert_eq!(made["taskDefinition"], "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1");
    assert_eq!(
        (&made["status"], &made["desiredCount"], &made["runningCount"]),
        (&json!("ACTIVE"), &json!(2), &json!(0))
    );
    let deployment = &made["deployments"][0];
    assert_eq!((&deployment["status"], &deployment["rolloutState"]), (&json!("PRIMARY"), &json!("IN_PROGRESS")));
    let id = deployment["id"].as_str().unwrap();
    assert!(id.starts_with("ecs-svc/") && id.len() == 27, "{id}");
    assert_eq!(made["deploymentConfiguration"]["maximumPercent"], 200);
    let again = create(&mut caller, json!({"tags": [{"key": "a", "value": "b"}], "clientToken": "t"}));
    assert_eq!(again["deployments"][0]["id"], json!(id));
    let other = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 3});
    let said = caller.fault("CreateService", other);
    assert_eq!(said, "InvalidParameterException: Creation of service was not idempotent.");
    begun(&caller);
    let seen = describe(&mut caller);
    assert_eq!((&seen["runningCount"], &seen["events"][0]["createdAt"]), (&json!(2), &json!(1_767_225_600.0)));
    assert_eq!(seen["tags"], json!([{"key": "a", "value": "b"}]));
    let arn = seen["serviceArn"].as_str().unwrap();
    let missing = caller.ok("DescribeServices", json!({"services": ["none", arn]}));
    assert_eq!(
        missing["failures"][0],
        json!({"arn": "arn:aws:ecs:us-east-1:000000000000:service/default/none", "reason": "MISSING"})
    );
    assert_eq!(missing["services"][0]["serviceName"], "web");
    assert_eq!(caller.ok("ListServices", json!({}))["serviceArns"], json!([arn]));
    assert_eq!(caller.ok("ListServices", json!({"schedulingStrategy": "DAEMON"}))["serviceArns"], json!([]));
    assert_eq!(caller.ok("DescribeClusters", json!({}))["clusters"][0]["activeServicesCount"], 1);
    caller.ok("TagResource", json!({"resourceArn": arn, "tags": [{"key": "c", "value": "d"}]}));
    assert_eq!(caller.ok("ListTagsForResource", json!({"resourceArn": arn}))["tags"].as_array().unwrap().len(), 2);
    let said = caller.fault("DeleteCluster", json!({"cluster": "default"}));
    assert!(said.starts_with("ClusterContainsServicesException"), "{said}");
}

#[test]
fn what_the_controller_gets_is_a_task_without_what_each_has_of_its_own() {
    let mut caller = prepared();
    create(&mut caller, json!({"propagateTags": "SERVICE"}));
    let template = object(&caller).spec["template"].clone();
    let spec = template["spec"].as_object().unwrap();
    for own in ["startedBy", "group", "createdAt", "desiredStatus", "createdBy"] {
        assert!(!spec.contains_key(own), "{own}");
    }
    assert_eq!((&spec["taskDefinition"], &spec["propagateTags"]), (&json!("web.r1"), &json!("SERVICE")));
    assert_eq!(spec["containers"][0]["name"], "a");
    caller.ok("RunTask", json!({"taskDefinition": "web"}));
    let task = caller.host.all::<Task>().remove(0);
    assert_eq!(json!(task.metadata.labels), template["labels"], "found by the same labels");
}

#[test]
fn another_definition_is_another_deployment_and_another_count_is_not() {
    let mut caller = prepared();
    create(&mut caller, json!({}));
    begun(&caller);
    let first = object(&caller).spec["deployment"]["id"].clone();
    let scaled = caller.ok("UpdateService", json!({"service": "web", "desiredCount": 5}))["service"].clone();
    assert_eq!((&scaled["desiredCount"], scaled["deployments"].as_array().unwrap().len()), (&json!(5), 1));
    for same in [json!({"taskDefinition": "web:1"}), json!({"deploymentConfiguration": {"minimumHealthyPercent": 50}})]
    {
        caller.ok("UpdateService", merged(json!({"service": "web"}), &same));
        assert_eq!(object(&caller).spec["deployment"]["id"], first, "{same}");
    }
    assert_eq!(object(&caller).spec["deploymentConfiguration"]["minimumHealthyPercent"], 50);
    assert_eq!(object(&caller).spec["deploymentConfiguration"]["maximumPercent"], 200, "what is not said stays");
    caller.ok("RegisterTaskDefinition", json!({"family": "web", "containerDefinitions": [container("z")]}));
    let moved = caller.ok("UpdateService", json!({"service": "web", "taskDefinition": "web"}))["service"].clone();
    let states: Vec<&Value> = moved["deployments"].as_array().unwrap().iter().map(|d| &d["status"]).collect();
    assert_eq!(states, ["PRIMARY", "ACTIVE"], "before the controller has seen it");
    assert_eq!(moved["taskDefinition"], "arn:aws:ecs:us-east-1:000000000000:task-definition/web:2");
    let second = object(&caller).spec["deployment"]["id"].clone();
    assert_ne!(first, second);
    assert_eq!(object(&caller).spec["template"]["spec"]["containers"][0]["name"], "z");
    begun(&caller);
    caller.ok("DeregisterTaskDefinition", json!({"taskDefinition": "web:2"}));
    caller.ok("UpdateService", json!({"service": "web", "forceNewDeployment": true}));
    assert_ne!(object(&caller).spec["deployment"]["id"], second, "with the definition that it has");
    let said = caller.fault("UpdateService", json!({"service": "web", "taskDefinition": "web:2"}));
    assert_eq!(said, "ClientException: TaskDefinition is inactive");
}

/// After a rollback the last that was asked for is not what runs, and must not come back by the way.
#[test]
fn a_change_begins_from_what_came_back() {
    let mut caller = prepared();
    create(&mut caller, json!({}));
    begun(&caller);
    let good = object(&caller).status["deployments"][0].clone();
    caller.ok("RegisterTaskDefinition", json!({"family": "web", "containerDefinitions": [container("bad")]}));
    caller.ok("UpdateService", json!({"service": "web", "taskDefinition": "web:2"}));
    let seen = object(&caller).spec["deployment"]["id"].clone();
    status(&caller, json!({"status": "ACTIVE", "seen": seen, "deployments": [good]}));
    assert!(describe(&mut caller)["taskDefinition"].as_str().unwrap().ends_with("web:1"));
    caller.ok("UpdateService", json!({"service": "web", "desiredCount": 1}));
    assert_eq!(object(&caller).spec["deployment"]["id"], seen, "no new deployment");
    caller.ok("UpdateService", json!({"service": "web", "forceNewDeployment": true}));
    assert_eq!(object(&caller).spec["template"]["spec"]["taskDefinition"], "web.r1");
}

#[test]
fn a_network_goes_with_its_mode() {
    let mut caller = prepared();
    let own = json!({"family": "own", "networkMode": "awsvpc", "containerDefinitions": [container("a")]});
    caller.ok("RegisterTaskDefinition", own);
    let network = json!({"awsvpcConfiguration": {"subnets": ["s"]}});
    create(&mut caller, json!({"taskDefinition": "own", "networkConfiguration": network}));
    begun(&caller);
    assert_eq!(describe(&mut caller)["deployments"][0]["networkConfiguration"], network);
    let said = caller.fault("UpdateService", json!({"service": "web", "taskDefinition": "web"}));
    assert!(said.starts_with("InvalidParameterException: Network Configuration is not valid"), "{said}");
    let other = json!({"awsvpcConfiguration": {"subnets": ["t"], "assignPublicIp": "DISABLED"}});
    caller.ok("UpdateService", json!({"service": "web", "networkConfiguration": other}));
    assert_eq!(object(&caller).spec["template"]["spec"]["networkConfiguration"], other);
    begun(&caller);
    caller.ok("UpdateService", json!({"service": "web", "networkConfiguration": network}));
    let stored = object(&caller).spec["template"]["spec"]["networkConfiguration"].clone();
    assert_eq!(stored, network, "nothing of the one before is left");
}

#[test]
fn a_deleted_service_drains_and_its_name_is_free_after() {
    let mut caller = prepared();
    create(&mut caller, json!({}));
    begun(&caller);
    let said = caller.fault("DeleteService", json!({"service": "web"}));
    assert_eq!(said, "InvalidParameterException: The service cannot be stopped while it is scaled above 0.");
    let gone = caller.ok("DeleteService", json!({"service": "web", "force": true}));
    assert_eq!((&gone["service"]["status"], &gone["service"]["desiredCount"]), (&json!("DRAINING"), &json!(0)));
    assert!(
        caller
            .fault("UpdateService", json!({"service": "web"}))
            .starts_with("ServiceNotActiveException: Service was not ACTIVE.")
    );
    let again = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1});
    let said = caller.fault("CreateService", again);
    assert_eq!(said, "InvalidParameterException: Unable to Start a service that is still Draining.");
    status(&caller, json!({"status": "INACTIVE", "events": []}));
    assert_eq!(describe(&mut caller)["status"], "INACTIVE");
    assert_eq!(caller.ok("ListServices", json!({}))["serviceArns"], json!([]));
    assert!(caller.fault("DeleteService", json!({"service": "web"})).starts_with("ServiceNotFoundException"));
    assert_eq!(create(&mut caller, json!({}))["status"], "ACTIVE");
    for operation in ["UpdateService", "DeleteService"] {
        let said = caller.fault(operation, json!({"service": "none"}));
        assert_eq!(said, "ServiceNotFoundException: Service not found.", "{operation}");
    }
}

#[test]
fn a_cluster_that_goes_takes_no_services() {
    let mut caller = prepared();
    caller.host.fail(Fault::on(Verb::Get).of::<Cluster>().skip(1).with(Error::not_found("gone")));
    let request = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2});
    assert!(caller.fault("CreateService", request).starts_with("ClusterNotFoundException"));
    assert!(object(&caller).spec["deletedAt"].is_string());
}

#[test]
fn tasks_are_listed_by_their_service() {
    let mut caller = prepared();
    create(&mut caller, json!({}));
    for group in ["service:web", "service:other"] {
        let id = format!("{:032x}", group.len());
        let template = object(&caller).spec["template"].clone();
        let spec = merged(template["spec"].clone(), &json!({"group": group, "desiredStatus": "RUNNING"}));
        caller.host.add_json(json!({"apiVersion": "ecs.gantry.dev/v1", "kind": "Task",
            "metadata": {"name": id, "namespace": "ecs", "labels": template["labels"]}, "spec": spec}));
    }
    assert_eq!(caller.ok("ListTasks", json!({"serviceName": "web"}))["taskArns"].as_array().unwrap().len(), 1);
    assert_eq!(caller.ok("ListTasks", json!({}))["taskArns"].as_array().unwrap().len(), 2);
    assert!(caller.fault("ListTasks", json!({"serviceName": "none"})).starts_with("ServiceNotFoundException"));
    let said = caller.fault("RunTask", json!({"taskDefinition": "web", "group": "service:web"}));
    assert!(said.starts_with("InvalidParameterException: Invalid namespace for group"), "{said}");
}

#[test]
fn what_can_not_be_is_refused() {
    let mut caller = prepared();
    let daemon = |members: Value| merged(json!({"schedulingStrategy": "DAEMON", "desiredCount": null}), &members);
    for (change, want) in [
        (json!({"serviceName": "a b"}), "InvalidParameterException: Invalid service name"),
        (json!({"desiredCount": null}), "InvalidParameterException: desiredCount can not be blank."),
        (json!({"desiredCount": -1}), "InvalidParameterException: desiredCount must be between 0"),
        (json!({"taskDefinition": null}), "InvalidParameterException: taskDefinition can not be blank."),
        (json!({"taskDefinition": "none"}), "ClientException: TaskDefinition not found."),
        (json!({"cluster": "none"}), "ClusterNotFoundException"),
        (json!({"launchType": "FARGATE"}), "UnsupportedFeatureException: The launch type FARGATE"),
        (
            json!({"deploymentController": {"type": "CODE_DEPLOY"}}),
            "UnsupportedFeatureException: The deployment controller CODE_DEPLOY",
        ),
        (
            json!({"vpcLatticeConfigurations": [{"roleArn": "r", "targetGroupArn": "t", "portName": "p"}]}),
            "ClientException: vpcLatticeConfigurations is not supported",
        ),
        (
            json!({"healthCheckGracePeriodSeconds": -1}),
            "InvalidParameterException: Invalid value -1 for healthCheckGracePeriodSeconds: give one from 0 to 2147483647.",
        ),
        (
            json!({"availabilityZoneRebalancing": "ENABLED"}),
            "ClientException: availabilityZoneRebalancing ENABLED is not supported",
        ),
        (
            json!({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}),
            "ClientException: deploymentConfiguration.strategy BLUE_GREEN is not supported",
        ),
        (
            json!({"deploymentConfiguration": {"alarms": {"alarmNames": ["a"], "enable": true, "rollback": true}}}),
            "ClientException: deploymentConfiguration.alarms is not supported: it needs controller-ecs with an endpoint of Amazon \
             CloudWatch (endpoints.cloudwatch) in the bundle, which this control plane does not have.",
        ),
        (
            json!({"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}}),
            "InvalidParameterException: Both maximumPercent and minimumHealthyPercent cannot be 100",
        ),
        (
            json!({"deploymentConfiguration": {"maximumPercent": 50}}),
            "InvalidParameterException: minimumHealthyPercent must be at most 100",
        ),
        (
            daemon(json!({"desiredCount": 1})),
            "InvalidParameterException: The daemon scheduling strategy does not support a desired count",
        ),
        (
            daemon(json!({"deploymentConfiguration": {"maximumPercent": 200}})),
            "InvalidParameterException: The maximumPercent of a service",
        ),
    ] {
        let request = merged(json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2}), &change);
        let said = caller.fault("CreateService", request);
        assert!(said.starts_with(want), "{change}: {said}");
    }
    let quiet = json!({"deploymentConfiguration": {"alarms": {"alarmNames": [], "enable": false, "rollback": false}, "strategy": "ROLLING"}});
    let made = create(&mut caller, daemon(quiet));
    assert_eq!(
        (&made["schedulingStrategy"], &made["deploymentConfiguration"]["minimumHealthyPercent"]),
        (&json!("DAEMON"), &json!(0))
    );
    assert_eq!(made["desiredCount"], 1, "nobody who waits takes it for steady before it has begun");
    caller.ok("DeleteService", json!({"service": "web"}));
}

#[test]
fn what_became_of_deployments_is_told() {
    let mut caller = prepared();
    create(
        &mut caller,
        json!({"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}),
    );
    begun(&caller);
    let moment = "2026-01-01T00:00:00Z";
    let history = json!([
        {"id": "ecs-svc/2", "status": "ROLLBACK_SUCCESSFUL", "reason": "r", "createdAt": moment, "startedAt": moment,
            "finishedAt": moment, "source": "ecs-svc/1", "back": "ecs-svc/1", "backAt": moment, "failures": 3},
        {"id": "ecs-svc/1", "status": "SUCCESSFUL", "createdAt": moment, "startedAt": moment, "finishedAt": moment, "failures": 0},
    ]);
    let known = merged(object(&caller).status, &json!({"history": history}));
    status(&caller, known);
    let listed = caller.ok("ListServiceDeployments", json!({"service": "web"}))["serviceDeployments"].clone();
    let arn = "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/2";
    assert_eq!((&listed[0]["serviceDeploymentArn"], &listed[0]["statusReason"]), (&json!(arn), &json!("r")));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let good = json!({"service": "web", "status": ["SUCCESSFUL"]});
    assert_eq!(caller.ok("ListServiceDeployments", good)["serviceDeployments"].as_array().unwrap().len(), 1);
    let late = json!({"service": "web", "createdAt": {"after": 1_767_225_600.0}});
    assert_eq!(caller.ok("ListServiceDeployments", late)["serviceDeployments"], json!([]));
    let none = arn.replace("web/2", "web/3");
    let seen = caller.ok("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn, none]}));
    assert_eq!(seen["failures"][0], json!({"arn": none, "reason": "MISSING"}));
    let one = &seen["serviceDeployments"][0];
    assert_eq!(one["deploymentCircuitBreaker"], json!({"status": "TRIGGERED", "failureCount": 3, "threshold": 3}));
    assert_eq!(
        one["rollback"]["serviceRevisionArn"],
        "arn:aws:ecs:us-east-1:000000000000:service-revision/default/web/1"
    );
    let said = caller.fault("DescribeServiceDeployments", json!({"serviceDeploymentArns": ["x"]}));
    assert!(said.starts_with("InvalidParameterException: Invalid identifier"), "{said}");
}

#[test]
fn a_target_group_is_what_a_frontend_selects() {
    let mut caller = prepared();
    let ports = merged(container("a"), &json!({"portMappings": [{"containerPort": 8080, "hostPort": 8080}]}));
    caller.ok("RegisterTaskDefinition", json!({"family": "web", "containerDefinitions": [ports]}));
    let arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/shop/0123456789abcdef";
    let balancer = |change: Value| {
        let one = merged(json!({"targetGroupArn": arn, "containerName": "a", "containerPort": 8080}), &change);
        json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "loadBalancers": [one]})
    };
    let said = caller.fault("CreateService", balancer(json!({})));
    assert!(said.ends_with("does not have an associated load balancer."), "{said}");
    let selector = json!({"matchLabels": {"ecs.gantry.dev/target-group": "shop"}});
    caller.host.add_json(json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Frontend", "metadata": {"name": "shop", "namespace": "ecs"},
        "spec": {"class": "cluster", "ports": [{"port": 80}], "backends": {"selector": selector}}}));
    for (change, want) in [
        (
            json!({"containerName": "z"}),
            "InvalidParameterException: The container z does not exist in the task definition.",
        ),
        (
            json!({"containerPort": 1}),
            "InvalidParameterException: The container a did not have a container port 1 defined.",
        ),
        (
            json!({"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:000000000000:targetgroup/shop/0"}),
            "InvalidParameterException: Target group",
        ),
        (json!({"loadBalancerName": "classic"}), "ClientException: loadBalancers.loadBalancerName is not supported"),
    ] {
        let said = caller.fault("CreateService", balancer(change));
        assert!(said.starts_with(want), "{said}");
    }
    let made = caller.ok("CreateService", balancer(json!({})))["service"].clone();
    assert_eq!(made["loadBalancers"][0]["targetGroupArn"], arn);
    let targets = object(&caller).spec["template"]["targets"].clone();
    assert_eq!(targets, json!([{"group": "shop", "arn": arn, "port": 8080}]));
    begun(&caller);
    let first = object(&caller).spec["deployment"].clone();
    caller.ok("UpdateService", json!({"service": "web", "loadBalancers": []}));
    assert_ne!(object(&caller).spec["deployment"], first, "another deployment");
    assert_eq!(object(&caller).spec["template"]["targets"], json!([]));
}

#[test]
fn a_deployment_is_stopped_while_it_goes_on() {
    let mut caller = prepared();
    create(&mut caller, json!({}));
    let id = object(&caller).spec["deployment"]["id"].as_str().unwrap().to_owned();
    let arn = |kind: &str| {
        let digits = id.trim_start_matches("ecs-svc/");
        format!("arn:aws:ecs:us-east-1:000000000000:{kind}/default/web/{digits}")
    };
    let state = |caller: &mut Caller| {
        let listed = caller.ok("ListServiceDeployments", json!({"service": "web"}));
        listed["serviceDeployments"][0]["status"].as_str().unwrap().to_owned()
    };
    let stop = json!({"serviceDeploymentArn": arn("service-deployment")});
    assert_eq!(state(&mut caller), "PENDING", "before the controller has seen it");
    assert_eq!(describe(&mut caller)["currentServiceDeployment"], arn("service-deployment"));
    let said = caller.fault("StopServiceDeployment", stop.clone());
    assert!(said.starts_with("ClientException: There is no earlier service revision"), "{said}");
    let record = json!({"id": id, "status": "IN_PROGRESS", "source": "ecs-svc/1", "createdAt": "2026-01-01T00:00:00Z"});
    let history = |record: &Value| json!({"status": "ACTIVE", "seen": id, "history": [record]});
    status(&caller, history(&record));
    assert_eq!(caller.ok("StopServiceDeployment", stop.clone()), stop, "going back is what is meant");
    assert_eq!(object(&caller).spec["stop"], json!({"deployment": id, "rollback": true}));
    assert_eq!(state(&mut caller), "ROLLBACK_REQUESTED");
    caller.ok("StopServiceDeployment", stop.clone());
    status(&caller, history(&merged(record.clone(), &json!({"status": "ROLLBACK_SUCCESSFUL"}))));
    let said = caller.fault("StopServiceDeployment", stop);
    assert!(said.starts_with("ConflictException: The service deployment is ROLLBACK_SUCCESSFUL"), "{said}");
    assert!(describe(&mut caller).get("currentServiceDeployment").is_none());
    for (given, want) in [
        (
            format!("{}9", arn("service-deployment")),
            "ServiceDeploymentNotFoundException: The service deployment was not found.",
        ),
        (
            arn("service-deployment").replace("/web/", "/none/"),
            "ServiceDeploymentNotFoundException: The service deployment was not found.",
        ),
        (arn("service-revision"), "InvalidParameterException: Invalid identifier"),
    ] {
        let said = caller.fault("StopServiceDeployment", json!({"serviceDeploymentArn": given}));
        assert!(said.starts_with(want), "{said}");
    }
}

#[test]
fn a_revision_is_what_a_deployment_was_made_from() {
    let mut caller = prepared();
    create(&mut caller, json!({}));
    let digits = object(&caller).spec["deployment"]["id"].as_str().unwrap().trim_start_matches("ecs-svc/").to_owned();
    let arn = |digits: &str| format!("arn:aws:ecs:us-east-1:000000000000:service-revision/default/web/{digits}");
    let (mine, none) = (arn(&digits), arn("7"));
    let seen = caller.ok("DescribeServiceRevisions", json!({"serviceRevisionArns": [mine, none]}));
    assert_eq!(seen["failures"], json!([{"arn": none, "reason": "MISSING"}]));
    let revision = &seen["serviceRevisions"][0];
    assert_eq!(revision["serviceRevisionArn"], mine);
    assert_eq!(revision["taskDefinition"], "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1");
    assert_eq!(revision["containerImages"], json!([{"containerName": "a", "image": "web:1"}]));
    let kept = json!({"family": "web", "revision": 4, "containerImages": [], "asked": {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}}});
    let record =
        json!({"id": "ecs-svc/7", "status": "SUCCESSFUL", "revision": kept, "createdAt": "2026-01-01T00:00:00Z"});
    status(&caller, json!({"status": "ACTIVE", "seen": format!("ecs-svc/{digits}"), "history": [record]}));
    let seen =
        caller.ok("DescribeServiceRevisions", json!({"serviceRevisionArns": [none]}))["serviceRevisions"][0].clone();
    assert!(
        seen["taskDefinition"].as_str().unwrap().ends_with("web:4") && seen["createdAt"] == 1_767_225_600.0,
        "{seen}"
    );
    assert_eq!(seen["networkConfiguration"]["awsvpcConfiguration"]["subnets"], json!(["s"]));
    for given in [json!([]), json!(vec![mine; 21])] {
        let said = caller.fault("DescribeServiceRevisions", json!({"serviceRevisionArns": given}));
        assert_eq!(said, "InvalidParameterException: serviceRevisionArns must have 1 to 20 elements.");
    }
}

#[test]
fn the_time_of_grace_is_the_services_and_no_reason_for_a_deployment() {
    let mut caller = prepared();
    let made = create(&mut caller, json!({"healthCheckGracePeriodSeconds": 30}));
    assert_eq!(made["healthCheckGracePeriodSeconds"], 30);
    let deployment = made["deployments"][0]["id"].clone();
    begun(&caller);
    for (given, want) in [(json!({"healthCheckGracePeriodSeconds": 60}), 60), (json!({"desiredCount": 3}), 60)] {
        let changed = caller.ok("UpdateService", merged(json!({"service": "web"}), &given))["service"].clone();
        assert_eq!(
            (&changed["healthCheckGracePeriodSeconds"], &changed["deployments"][0]["id"]),
            (&json!(want), &deployment)
        );
        assert_eq!(describe(&mut caller)["healthCheckGracePeriodSeconds"], want);
    }
    assert_eq!(object(&caller).spec["healthCheckGracePeriodSeconds"], 60);
}

fn watched(names: Value) -> Value {
    json!({"deploymentConfiguration": {"alarms": {"alarmNames": names, "enable": true, "rollback": true}}})
}

#[test]
fn alarms_are_taken_where_somebody_may_ask_how_they_are() {
    let mut caller = prepared();
    let web = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1});
    granted(&caller, json!({"cloudwatch": "https://cw.example:443/"}), &["https://other.example"]);
    let said = caller.fault("CreateService", merged(web.clone(), &watched(json!(["a"]))));
    assert!(said.contains("the grant to ask Amazon CloudWatch (grants.http of https://cw.example)"), "{said}");
    granted(&caller, json!({"cloudwatch": "https://cw.example:443/"}), &["https://cw.example"]);
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let external =
        merged(watched(json!(["a"])), &json!({"deploymentController": {"type": "EXTERNAL"}, "taskDefinition": null}));
    for (change, want) in [
        (watched(json!([])), "Deployment alarms are enabled, and alarmNames can not be blank."),
        (watched(json!(many)), "alarmNames cannot have more than 100 elements."),
        (watched(json!([""])), "Invalid alarm name"),
        (external, "Deployment alarms are not supported on services with an EXTERNAL deployment controller."),
    ] {
        let said = caller.fault("CreateService", merged(web.clone(), &change));
        assert!(said.starts_with(&format!("InvalidParameterException: {want}")), "{said}");
    }
    let made = create(&mut caller, watched(json!(["a", "b"])));
    let alarms = watched(json!(["a", "b"]))["deploymentConfiguration"]["alarms"].clone();
    assert_eq!(made["deploymentConfiguration"]["alarms"], alarms);
    begun(&caller);
    let id = object(&caller).spec["deployment"]["id"].clone();
    for (record, want) in [
        (json!({}), json!({"status": "MONITORING", "triggeredAlarmNames": []})),
        (json!({"unwatched": true}), json!({"status": "DISABLED", "triggeredAlarmNames": []})),
        (json!({"alarms": ["b"]}), json!({"status": "TRIGGERED", "triggeredAlarmNames": ["b"]})),
        (
            json!({"finishedAt": "2026-01-01T00:01:00Z"}),
            json!({"status": "MONITORING_COMPLETE", "triggeredAlarmNames": []}),
        ),
    ] {
        let record = merged(json!({"id": id, "status": "IN_PROGRESS", "createdAt": "2026-01-01T00:00:00Z"}), &record);
        status(&caller, json!({"seen": id, "history": [record]}));
        let listed = caller.ok("ListServiceDeployments", json!({"service": "web"}));
        let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
        let seen = caller.ok("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}));
        let want = merged(want, &json!({"alarmNames": ["a", "b"]}));
        assert_eq!(seen["serviceDeployments"][0]["alarms"], want);
    }
    let off = json!({"alarmNames": [], "enable": false, "rollback": false});
    let change = json!({"service": "web", "deploymentConfiguration": {"alarms": off}});
    let changed = caller.ok("UpdateService", change)["service"].clone();
    assert_eq!(changed["deploymentConfiguration"]["alarms"], off);
}
