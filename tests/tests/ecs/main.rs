//! The stock bundle for Amazon ECS, with the real `aws` and real containers: who may ask, clusters, task definitions, tasks
//! from their start to their end, services, and answers that have no member which botocore does not know.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod aws;
mod capacity;
mod clouds;
mod containers;
mod metadata;
mod placement;
mod services;

use anyhow::{Context, Result, ensure};
use aws::Aws;
use gantry_tests::case::text;
use gantry_tests::manifests::IMAGE;
use gantry_tests::netns::ip;
use gantry_tests::stack::Options;
use gantry_tests::{Case, Suite};
use serde_json::{Value, json};

#[test]
fn aws_runs_and_stops_tasks() -> Result<()> {
    let mut suite = Suite::start_with("ecs", aws::bundle)?;
    let case = suite.case("ecs_keys")?;
    let aws = Aws::new(&case)?;
    strangers_are_turned_away(&case, &aws)?;
    clusters(&aws)?;
    definitions(&aws)?;
    a_task_runs_until_it_is_stopped(&case, &aws)?;
    tasks_end_by_themselves(&aws)?;
    what_is_not_there_is_said(&aws)?;
    lists_come_in_pages(&aws)?;
    members(&aws)?;
    aws.ok("delete-cluster --cluster blue")?;
    ensure!(aws.fail("delete-cluster --cluster blue")?.contains("ClusterNotFoundException"));
    suite.stop()
}

#[test]
fn containers_have_what_their_definition_says() -> Result<()> {
    in_a_cluster("ecs_containers", containers::have)
}

#[test]
fn containers_are_checked() -> Result<()> {
    in_a_cluster("ecs_health", containers::are_checked)
}

#[test]
fn containers_come_in_order() -> Result<()> {
    in_a_cluster("ecs_order", containers::come_in_order)
}

#[test]
fn containers_have_secrets() -> Result<()> {
    in_a_cluster("ecs_secrets", containers::have_secrets)
}

#[test]
fn containers_have_ports_of_the_node() -> Result<()> {
    in_a_cluster("ecs_ports", containers::have_ports)
}

#[test]
fn containers_hear_of_their_task() -> Result<()> {
    in_a_cluster("ecs_metadata", metadata::is_heard)?;
    // What that needs on the node goes with `gantry clean`.
    let links = ip("-o link")?;
    ensure!(!links.contains("gtlaa02"), "{links}");
    Ok(())
}

#[test]
fn services_keep_up_their_tasks() -> Result<()> {
    in_a_cluster("ecs_services", services::live)
}

#[test]
fn services_have_a_task_on_each_node() -> Result<()> {
    in_a_cluster("ecs_daemons", services::on_each_node)
}

#[test]
fn services_have_task_sets() -> Result<()> {
    in_a_cluster("ecs_sets", services::in_sets)
}

#[test]
fn services_are_balanced() -> Result<()> {
    in_a_cluster("ecs_balanced", services::balanced)
}

#[test]
fn services_are_found_by_name() -> Result<()> {
    with_a_cluster("ecs_names", |options| aws::bundle_with(options, "ecs.toml", services::NAMES), services::named)
}

#[test]
fn aws_keeps_secrets_and_raises_alarms() -> Result<()> {
    let mut moto = None;
    let mut suite = Suite::start_with("ecs_clouds", |options| {
        moto = Some(clouds::start(options)?);
        Ok(())
    })?;
    let moto = moto.context("no moto_server")?;
    let case = suite.case("ecs_clouds")?;
    let aws = Aws::new(&case)?;
    aws.ok("create-cluster --cluster-name blue")?;
    clouds::ask(&case, &aws, &moto)?;
    aws.ok("delete-cluster --cluster blue")?;
    suite.stop()
}

/// On a control plane of its own, with the cluster `blue` until the end.
fn in_a_cluster(name: &str, scenario: fn(&Case, &Aws) -> Result<()>) -> Result<()> {
    with_a_cluster(name, aws::bundle, scenario)
}

/// The same with another bundle.
fn with_a_cluster(
    name: &str,
    bundle: fn(&mut Options) -> Result<()>,
    scenario: fn(&Case, &Aws) -> Result<()>,
) -> Result<()> {
    let mut suite = Suite::start_with(name, bundle)?;
    let case = suite.case(name)?;
    let aws = Aws::new(&case)?;
    aws.ok("create-cluster --cluster-name blue")?;
    scenario(&case, &aws)?;
    aws.ok("delete-cluster --cluster blue")?;
    suite.stop()
}

fn strangers_are_turned_away(case: &Case, aws: &Aws) -> Result<()> {
    for (aws, want) in [
        (aws.with_key("AKIANOBODY", "x"), "UnrecognizedClientException"),
        (aws.with_key(aws::KEY, "wrong"), "InvalidSignatureException"),
        (aws.in_region("eu-west-1"), "Credential should be scoped to a valid region"),
    ] {
        let said = aws.fail("list-clusters")?;
        ensure!(said.contains(want), "{said}");
    }
    // A key that is taken away opens nothing any more, and one that is given opens at once.
    case.line("-n kube-system delete secret ecs-access-keys")?;
    ensure!(aws.fail("list-clusters")?.contains("UnrecognizedClientException"));
    aws::key(case)?;
    ensure!(aws.ok("list-clusters")?["clusterArns"] == json!([]));
    Ok(())
}

fn clusters(aws: &Aws) -> Result<()> {
    ensure!(aws.fail("list-tasks")?.contains("ClusterNotFoundException"), "there is no cluster yet");
    let made = aws.ok("create-cluster --cluster-name blue --tags key=team,value=a")?;
    let arn = "arn:aws:ecs:us-east-1:000000000000:cluster/blue";
    ensure!(made["cluster"]["clusterArn"] == arn && made["cluster"]["status"] == "ACTIVE", "{made}");
    ensure!(aws.ok("create-cluster --cluster-name blue")?["cluster"]["clusterArn"] == arn, "twice is once");
    ensure!(aws.ok("list-clusters")?["clusterArns"] == json!([arn]));
    let seen = aws.ok("describe-clusters --clusters blue green --include TAGS")?;
    ensure!(seen["clusters"][0]["tags"] == json!([{"key": "team", "value": "a"}]), "{seen}");
    ensure!(seen["failures"][0]["reason"] == "MISSING", "{seen}");
    aws.ok(&format!("tag-resource --resource-arn {arn} --tags key=team,value=b key=x,value=y"))?;
    aws.ok(&format!("untag-resource --resource-arn {arn} --tag-keys x"))?;
    let tags = aws.ok(&format!("list-tags-for-resource --resource-arn {arn}"))?;
    ensure!(tags["tags"] == json!([{"key": "team", "value": "b"}]), "{tags}");
    let nodes = aws.ok("list-container-instances --cluster blue")?;
    let node = text(&nodes, "/containerInstanceArns/0");
    let seen = aws.ok(&format!("describe-container-instances --cluster blue --container-instances {node}"))?;
    ensure!(seen["containerInstances"][0]["status"] == "ACTIVE", "{seen}");
    Ok(())
}

fn container(words: &str) -> Value {
    json!({"name": "Main_1", "image": IMAGE, "memory": 64, "command": words.split(' ').collect::<Vec<_>>(), "stopTimeout": 2})
}

fn register(aws: &Aws, family: &str, containers: Value) -> Result<Value> {
    let input = json!({"family": family, "containerDefinitions": containers});
    aws.ok(&format!("register-task-definition --cli-input-json {input}"))
}

fn definitions(aws: &Aws) -> Result<()> {
    let first = register(aws, "sleeps", json!([container("sleep 1000")]))?;
    let second = register(
        aws,
        "sleeps",
        json!([container("sleep 1000"), {"name": "side", "image": IMAGE, "memory": 32, "essential": false, "command": ["sleep", "1000"]}]),
    )?;
    ensure!(first["taskDefinition"]["revision"] == 1 && second["taskDefinition"]["revision"] == 2, "{second}");
    let last = aws.ok("describe-task-definition --task-definition sleeps")?;
    ensure!(last["taskDefinition"]["revision"] == 2 && last["taskDefinition"]["status"] == "ACTIVE", "{last}");
    aws.ok("deregister-task-definition --task-definition sleeps:1")?;
    let active = aws.ok("list-task-definitions --family-prefix sleeps")?;
    ensure!(active["taskDefinitionArns"].as_array().is_some_and(|all| all.len() == 1), "{active}");
    ensure!(aws.ok("list-task-definition-families")?["families"] == json!(["sleeps"]));
    let said = aws.fail("run-task --cluster blue --task-definition sleeps:1")?;
    ensure!(said.contains("ClientException") && said.contains("inactive"), "{said}");
    let volume = json!({"name": "x", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}});
    let volumes = json!({"family": "v", "containerDefinitions": [container("id")], "volumes": [volume]});
    let said = aws.fail(&format!("register-task-definition --cli-input-json {volumes}"))?;
    ensure!(said.contains("ClientException") && said.contains("a storage plugin for EFS"), "{said}");
    Ok(())
}

fn a_task_runs_until_it_is_stopped(case: &Case, aws: &Aws) -> Result<()> {
    let run = aws.ok("run-task --cluster blue --task-definition sleeps --started-by me --tags key=a,value=b")?;
    let arn = text(&run, "/tasks/0/taskArn");
    ensure!(run["failures"] == json!([]) && run["tasks"][0]["lastStatus"] == "PROVISIONING", "{run}");
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {arn}"))?;
    let seen = aws.ok(&format!("describe-tasks --cluster blue --tasks {arn} --include TAGS"))?;
    let task = &seen["tasks"][0];
    ensure!(task["group"] == "family:sleeps" && task["startedBy"] == "me" && task["tags"][0]["key"] == "a", "{task}");
    ensure!(
        task["containers"].as_array().is_some_and(|all| all.iter().all(|c| c["lastStatus"] == "RUNNING")),
        "{task}"
    );
    ensure!(task["containers"][0]["runtimeId"].is_string() && task["containerInstanceArn"].is_string(), "{task}");
    let id = arn.rsplit('/').next().unwrap_or_default();
    case.line(&format!("-n ecs wait pod/{id} --for=condition=Ready --timeout=60s"))?;
    ensure!(aws.ok("list-tasks --cluster blue --family sleeps")?["taskArns"] == json!([arn]));
    ensure!(aws.fail("delete-cluster --cluster blue")?.contains("ClusterContainsTasksException"));
    let stopped = aws.ok(&format!("stop-task --cluster blue --task {id} --reason enough"))?;
    ensure!(stopped["task"]["desiredStatus"] == "STOPPED", "{stopped}");
    aws.ok(&format!("wait tasks-stopped --cluster blue --tasks {arn}"))?;
    let seen = aws.ok(&format!("describe-tasks --cluster blue --tasks {arn}"))?;
    let task = &seen["tasks"][0];
    ensure!(task["stopCode"] == "UserInitiated" && task["stoppedReason"] == "enough", "{task}");
    ensure!(task["containers"][0]["exitCode"].as_i64().is_some_and(|code| code == 137 || code == 143), "{task}");
    case.until("the pod of the stopped task to go", || {
        ensure!(case.line(&format!("-n ecs get pod {id} --ignore-not-found"))?.is_empty());
        Ok(())
    })
}

/// By an exit, by an image that is not there, and by a pod that the host does not take.
fn tasks_end_by_themselves(aws: &Aws) -> Result<()> {
    register(
        aws,
        "exits",
        json!([container("exit 3"), {"name": "side", "image": IMAGE, "memory": 32, "essential": false, "command": ["sleep", "1000"], "stopTimeout": 1}]),
    )?;
    register(aws, "absent", json!([{"name": "main", "image": "gantry.local/none:1", "memory": 64}]))?;
    let narrow = json!({"cpu": "1", "containerOverrides": [{"name": "Main_1", "cpu": 512}]});
    let narrow = format!("exits --overrides {narrow}");
    for (family, code, reason) in [
        ("exits", "EssentialContainerExited", "Essential container in task exited"),
        ("absent", "TaskFailedToStart", "CannotPullContainerError"),
        (narrow.as_str(), "TaskFailedToStart", "must be less than or equal to cpu limit"),
    ] {
        let run = aws.ok(&format!("run-task --cluster blue --task-definition {family}"))?;
        let arn = text(&run, "/tasks/0/taskArn");
        aws.ok(&format!("wait tasks-stopped --cluster blue --tasks {arn}"))?;
        let task = aws.ok(&format!("describe-tasks --cluster blue --tasks {arn}"))?["tasks"][0].clone();
        ensure!(task["stopCode"] == code && text(&task, "/stoppedReason").contains(reason), "{task}");
        if family == "exits" {
            ensure!(task["containers"][0]["exitCode"] == 3, "{task}");
            ensure!(task["containers"][1]["exitCode"].is_i64(), "its companion's end is known too: {task}");
        }
    }
    Ok(())
}

fn what_is_not_there_is_said(aws: &Aws) -> Result<()> {
    for (line, want) in [
        ("run-task --cluster blue --task-definition nothing", "TaskDefinition not found"),
        ("run-task --cluster blue --task-definition sleeps --launch-type FARGATE", "UnsupportedFeatureException"),
        ("run-task --cluster blue --task-definition sleeps --count 11", "InvalidParameterException"),
        ("stop-task --cluster blue --task 00000000000000000000000000000000", "The referenced task was not found"),
        ("describe-task-definition --task-definition nothing", "Unable to describe task definition"),
        ("describe-task-sets --cluster blue --service nothing", "ServiceNotFoundException"),
        ("get-task-protection --cluster blue", "UnsupportedFeatureException"),
        ("create-cluster --cluster-name red --capacity-providers nothing", "was not found"),
        ("put-account-setting --name serviceLongArnFormat --value disabled", "ClientException"),
        ("discover-poll-endpoint", "AccessDeniedException"),
        ("delete-task-definitions --task-definitions sleeps", "family:revision"),
        ("list-clusters --next-token =", "InvalidParameterException"),
    ] {
        let said = aws.fail(line)?;
        ensure!(said.contains(want), "{line}: {said}");
    }
    let gone = aws.ok("describe-tasks --cluster blue --tasks 00000000000000000000000000000000")?;
    ensure!(gone["failures"][0]["reason"] == "MISSING", "{gone}");
    Ok(())
}

/// `aws` follows tokens by itself.
fn lists_come_in_pages(aws: &Aws) -> Result<()> {
    let all = aws.ok("list-tasks --cluster blue --desired-status STOPPED --page-size 1")?;
    let stopped = all["taskArns"].as_array().map_or(0, Vec::len);
    ensure!(stopped == 4, "one that was stopped, and three that ended by themselves: {all}");
    Ok(())
}

/// Every answer of an operation that is served, as botocore's model has it.
fn members(aws: &Aws) -> Result<()> {
    let tasks = aws.ok("list-tasks --cluster blue --desired-status STOPPED")?["taskArns"].clone();
    let nodes = aws.ok("list-container-instances --cluster blue")?["containerInstanceArns"].clone();
    let cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/blue";
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    for (operation, input) in [
        ("CreateCluster", json!({"clusterName": "green"})),
        ("DescribeClusters", json!({"clusters": ["blue"], "include": ["TAGS", "SETTINGS"]})),
        ("ListClusters", json!({"maxResults": 1})),
        ("DeleteCluster", json!({"cluster": "green"})),
        (
            "RegisterTaskDefinition",
            json!({"family": "wide", "networkMode": "awsvpc", "cpu": "256", "memory": "128", "containerDefinitions": [
            {"name": "a", "image": IMAGE, "portMappings": [{"containerPort": 8080}], "command": ["sleep", "1"], "environment": [{"name": "A", "value": "$(B)"}]}]}),
        ),
        ("DescribeTaskDefinition", json!({"taskDefinition": "wide", "include": ["TAGS"]})),
        ("ListTaskDefinitions", json!({"sort": "DESC"})),
        ("ListTaskDefinitionFamilies", json!({"status": "ALL"})),
        (
            "RunTask",
            json!({"cluster": "blue", "taskDefinition": "wide", "networkConfiguration": network, "clientToken": "one"}),
        ),
        ("DescribeTasks", json!({"cluster": "blue", "tasks": tasks, "include": ["TAGS"]})),
        ("ListTasks", json!({"cluster": "blue"})),
        ("StopTask", json!({"cluster": "blue", "task": tasks[0]})),
        ("ListContainerInstances", json!({"cluster": "blue"})),
        ("DescribeContainerInstances", json!({"cluster": "blue", "containerInstances": nodes})),
        (
            "PutAttributes",
            json!({"cluster": "blue", "attributes": [{"name": "stack", "value": "prod", "targetId": nodes[0]}]}),
        ),
        ("ListAttributes", json!({"cluster": "blue", "targetType": "container-instance"})),
        ("DeleteAttributes", json!({"cluster": "blue", "attributes": [{"name": "stack", "targetId": nodes[0]}]})),
        (
            "UpdateContainerInstancesState",
            json!({"cluster": "blue", "containerInstances": nodes, "status": "DRAINING"}),
        ),
        ("UpdateContainerInstancesState", json!({"cluster": "blue", "containerInstances": nodes, "status": "ACTIVE"})),
        ("StartTask", json!({"cluster": "blue", "taskDefinition": "sleeps", "containerInstances": nodes})),
        ("TagResource", json!({"resourceArn": cluster, "tags": [{"key": "k", "value": "v"}]})),
        ("UntagResource", json!({"resourceArn": cluster, "tagKeys": ["k"]})),
        ("ListTagsForResource", json!({"resourceArn": cluster})),
        ("DeregisterTaskDefinition", json!({"taskDefinition": "wide:1"})),
        ("DeleteTaskDefinitions", json!({"taskDefinitions": ["wide:1", "wide:9"]})),
        ("UpdateCluster", json!({"cluster": "blue"})),
        (
            "UpdateClusterSettings",
            json!({"cluster": "blue", "settings": [{"name": "containerInsights", "value": "disabled"}]}),
        ),
        ("PutAccountSetting", json!({"name": "taskLongArnFormat", "value": "enabled"})),
        ("PutAccountSettingDefault", json!({"name": "containerInsights", "value": "disabled"})),
        ("ListAccountSettings", json!({"effectiveSettings": true})),
        ("DeleteAccountSetting", json!({"name": "taskLongArnFormat"})),
    ] {
        aws.strictly(operation, &input)?;
    }
    let again =
        aws.strictly("RunTask", &json!({"cluster": "blue", "taskDefinition": "sleeps", "clientToken": "two"}))?;
    let twice =
        aws.strictly("RunTask", &json!({"cluster": "blue", "taskDefinition": "sleeps", "clientToken": "two"}))?;
    ensure!(text(&again, "/tasks/0/taskArn") == text(&twice, "/tasks/0/taskArn"), "a token makes one task");
    let said = aws.fail("run-task --cluster blue --task-definition sleeps --count 2 --client-token two")?;
    ensure!(said.contains("ConflictException"), "{said}");
    let running = aws.ok("list-tasks --cluster blue")?;
    for arn in running["taskArns"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        aws.ok(&format!("stop-task --cluster blue --task {arn}"))?;
        aws.ok(&format!("wait tasks-stopped --cluster blue --tasks {arn}"))?;
    }
    Ok(())
}
