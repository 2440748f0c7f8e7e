//! Capacity providers, with the real `aws` over hollow nodes: tasks of RunTask and of services go to the nodes of their
//! Auto Scaling groups, by base and weight.

use anyhow::{Result, ensure};
use gantry_tests::case::text;
use gantry_tests::{Case, Suite};
use serde_json::{Value, json};

use crate::aws::{self, Aws};

/// Nodes with their groups; one has none.
const NODES: [(&str, &str); 3] = [("hollow-0", "g1"), ("hollow-1", "g2"), ("hollow-2", "")];

#[test]
fn capacity_providers_share_tasks_out() -> Result<()> {
    let mut suite = Suite::start_with("ecs_capacity", |options| {
        aws::bundle(options)?;
        options.images.clear();
        options.args.extend(["--no-node", "--hollow-nodes", "3"].map(Into::into));
        Ok(())
    })?;
    let case = suite.case("ecs_capacity")?;
    let aws = Aws::new(&case)?;
    prepare(&case, &aws)?;
    run_tasks(&aws)?;
    a_service(&case, &aws)?;
    taken_away(&case, &aws)?;
    suite.stop()
}

fn prepare(case: &Case, aws: &Aws) -> Result<()> {
    case.until("all nodes to be there", || {
        ensure!(case.names("nodes")?.len() == NODES.len());
        Ok(())
    })?;
    for (node, group) in NODES.iter().filter(|(_, group)| !group.is_empty()) {
        case.line(&format!("label node {node} ecs.gantry.dev/auto-scaling-group={group}"))?;
    }
    aws.ok("create-cluster --cluster-name blue")?;
    for (name, group) in [("one", "g1"), ("two", "g2")] {
        let provider = json!({"autoScalingGroupArn": group, "managedScaling": {"status": "DISABLED"}});
        let input = json!({"name": name, "autoScalingGroupProvider": provider, "tags": [{"key": "a", "value": "b"}]});
        aws.strictly("CreateCapacityProvider", &input)?;
    }
    let said = aws.fail("create-capacity-provider --name three --auto-scaling-group-provider autoScalingGroupArn=g3,managedScaling={status=ENABLED}")?;
    ensure!(said.contains("managedScaling.status ENABLED is not supported"), "{said}");
    let usual = json!([{"capacityProvider": "two", "weight": 1}]);
    let input =
        json!({"cluster": "blue", "capacityProviders": ["one", "two"], "defaultCapacityProviderStrategy": usual});
    aws.strictly("PutClusterCapacityProviders", &input)?;
    aws.strictly(
        "UpdateCapacityProvider",
        &json!({"name": "one", "autoScalingGroupProvider": {"managedDraining": "DISABLED"}}),
    )?;
    let seen = aws.strictly("DescribeCapacityProviders", &json!({"include": ["TAGS"]}))?;
    ensure!(seen["capacityProviders"].as_array().is_some_and(|all| all.len() == 2), "{seen}");
    let container = json!({"name": "main", "image": "gantry.local/web:1", "memory": 64});
    let input = json!({"family": "small", "containerDefinitions": [container]});
    aws.ok(&format!("register-task-definition --cli-input-json {input}")).map(drop)
}

/// Nodes of tasks, each with the provider that is shown, in the order of their names.
fn places(aws: &Aws, tasks: &[Value]) -> Result<Vec<(String, String)>> {
    let described = aws.strictly("DescribeTasks", &json!({"cluster": "blue", "tasks": tasks}))?;
    let mut places = Vec::new();
    for task in described["tasks"].as_array().into_iter().flatten() {
        let instances = json!({"cluster": "blue", "containerInstances": [task["containerInstanceArn"]]});
        let instance = aws.strictly("DescribeContainerInstances", &instances)?["containerInstances"][0].clone();
        let shown = text(task, "/capacityProviderName");
        ensure!(shown.is_empty() || shown == text(&instance, "/capacityProviderName"), "{task} {instance}");
        places.push((text(&instance, "/ec2InstanceId"), shown));
    }
    places.sort();
    Ok(places)
}

fn named(places: &[(&str, &str)]) -> Vec<(String, String)> {
    places.iter().map(|(node, provider)| ((*node).to_owned(), (*provider).to_owned())).collect()
}

fn run(aws: &Aws, more: Value) -> Result<Vec<(String, String)>> {
    let mut input = json!({"cluster": "blue", "taskDefinition": "small"});
    more.as_object().into_iter().flatten().for_each(|(key, value)| input[key] = value.clone());
    let made = aws.strictly("RunTask", &input)?;
    let arns: Vec<Value> = made["tasks"].as_array().into_iter().flatten().map(|task| task["taskArn"].clone()).collect();
    let names: Vec<&str> = arns.iter().filter_map(Value::as_str).collect();
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {}", names.join(" ")))?;
    places(aws, &arns)
}

fn run_tasks(aws: &Aws) -> Result<()> {
    let mix = json!([{"capacityProvider": "one", "base": 1, "weight": 1}, {"capacityProvider": "two", "weight": 2}]);
    let on = run(aws, json!({"count": 4, "capacityProviderStrategy": mix}))?;
    let (one, two) = (("hollow-0", "one"), ("hollow-1", "two"));
    ensure!(on == named(&[one, one, two, two]), "{on:?}");
    let on = run(aws, json!({"count": 2}))?;
    ensure!(on == named(&[two, two]), "the cluster's own strategy: {on:?}");
    let constraint = json!([{"type": "memberOf", "expression": "ec2InstanceId == hollow-2"}]);
    let on = run(aws, json!({"launchType": "EC2", "placementConstraints": constraint}))?;
    ensure!(on == named(&[("hollow-2", "")]), "with a launch type any node will do: {on:?}");
    let said = aws.fail("run-task --cluster blue --task-definition small --capacity-provider-strategy capacityProvider=FARGATE,weight=1")?;
    ensure!(said.contains("UnsupportedFeatureException"), "{said}");
    let said = aws.fail("put-cluster-capacity-providers --cluster blue --capacity-providers two --default-capacity-provider-strategy capacityProvider=two,weight=1")?;
    ensure!(said.contains("ResourceInUseException"), "{said}");
    Ok(())
}

fn service_places(aws: &Aws, name: &str) -> Result<Vec<(String, String)>> {
    let tasks = aws.ok(&format!("list-tasks --cluster blue --service-name {name}"))?["taskArns"].clone();
    places(aws, tasks.as_array().map(Vec::as_slice).unwrap_or_default())
}

fn a_service(case: &Case, aws: &Aws) -> Result<()> {
    let mix = json!([{"capacityProvider": "one", "base": 2}, {"capacityProvider": "two", "weight": 1}]);
    let input = json!({"cluster": "blue", "serviceName": "web", "taskDefinition": "small", "desiredCount": 3, "capacityProviderStrategy": mix});
    let made = aws.strictly("CreateService", &input)?;
    ensure!(
        made["service"]["capacityProviderStrategy"][0]["base"] == 2 && made["service"]["launchType"].is_null(),
        "{made}"
    );
    aws.ok("wait services-stable --cluster blue --services web")?;
    let (one, two) = (("hollow-0", "one"), ("hollow-1", "two"));
    let on = service_places(aws, "web")?;
    ensure!(on == named(&[one, one, two]), "{on:?}");
    // Another strategy, and a deployment that brings all of it there.
    aws.ok("update-service --cluster blue --service web --capacity-provider-strategy capacityProvider=two,weight=1 --force-new-deployment")?;
    aws.ok("wait services-stable --cluster blue --services web")?;
    case.until("all of the service to have moved", || {
        let on = service_places(aws, "web")?;
        ensure!(on == named(&[two, two, two]), "{on:?}");
        Ok(())
    })?;
    aws.ok("delete-service --cluster blue --service web --force")?;
    aws.ok("wait services-inactive --cluster blue --services web").map(drop)
}

/// Nothing of the providers is left, and the cluster has none.
fn taken_away(case: &Case, aws: &Aws) -> Result<()> {
    let said = aws.fail("delete-capacity-provider --capacity-provider one")?;
    ensure!(said.contains("in use by a cluster"), "{said}");
    let tasks = aws.ok("list-tasks --cluster blue")?["taskArns"].clone();
    for task in tasks.as_array().into_iter().flatten().filter_map(Value::as_str) {
        aws.ok(&format!("stop-task --cluster blue --task {task}"))?;
    }
    let none = json!({"cluster": "blue", "capacityProviders": [], "defaultCapacityProviderStrategy": []});
    case.until("the providers to be free", || aws.strictly("PutClusterCapacityProviders", &none))?;
    let gone = aws.strictly("DeleteCapacityProvider", &json!({"capacityProvider": "one"}))?;
    ensure!(gone["capacityProvider"]["status"] == "INACTIVE", "{gone}");
    aws.ok("delete-capacity-provider --capacity-provider two").map(drop)
}
