//! What containers hear of their own task, and nobody else.

use anyhow::{Context, Result, ensure};
use gantry_tests::Case;
use gantry_tests::case::text;
use gantry_tests::netns::ip;
use serde_json::{Value, json};

use super::aws::Aws;
use super::containers::{container, inside, run, stop};

const AT: &str = "169.254.170.2:80";
const VARIABLE: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// What a container hears at a path.
fn hears(case: &Case, arn: &str, name: &str, path: &str) -> Result<Value> {
    let said = case.line(&inside(arn, name, &format!("get {AT} {path}")))?;
    serde_json::from_str(&said).with_context(|| format!("{path}: {said}"))
}

/// Where a container is told to ask, as a path.
fn told(case: &Case, arn: &str, name: &str) -> Result<Option<String>> {
    let environment = case.line(&inside(arn, name, "env"))?;
    let uri = environment.lines().find_map(|line| line.strip_prefix(VARIABLE)?.strip_prefix("=http://169.254.170.2"));
    Ok(uri.map(str::to_owned))
}

/// Two tasks, each of itself; and one on the node's own network, which can't be told apart.
pub fn is_heard(case: &Case, aws: &Aws) -> Result<()> {
    let side = container("Side_Car", "sleep 1000", json!({"essential": false}));
    let main = container("main", "sleep 1000", json!({"cpu": 16, "portMappings": [{"containerPort": 8080}]}));
    let definition = json!({"family": "asks", "containerDefinitions": [main, side]});
    let arns = [run(aws, &definition)?, {
        let run = aws.ok("run-task --cluster blue --task-definition asks --tags key=k,value=v")?;
        text(&run, "/tasks/0/taskArn")
    }];
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {}", arns.join(" ")))?;
    let mut paths = Vec::new();
    for arn in &arns {
        let path = told(case, arn, "main")?.context("a container is told where to ask")?;
        hears_of_itself(case, arn, &path)?;
        paths.push(path);
    }
    let (first, second) = (&paths[0], &paths[1]);
    ensure!(hears(case, &arns[1], "main", &format!("{second}/taskWithTags"))?["TaskTags"] == json!({"k": "v"}));
    let refused = hears(case, &arns[1], "main", &format!("{first}/task"))?;
    ensure!(refused.as_str().is_some_and(|words| words.contains("unable to get task Arn")), "{refused}");
    arns.iter().try_for_each(|arn| stop(aws, arn))?;
    let main = container("main", "sleep 1000", json!({}));
    let on_node = json!({"family": "host", "networkMode": "host", "containerDefinitions": [main]});
    let arn = run(aws, &on_node)?;
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {arn}"))?;
    ensure!(told(case, &arn, "main")?.is_none(), "a task on the node's network is not told to ask");
    let said = case.line(&inside(&arn, "main", &format!("get {AT} {first}/task")))?;
    ensure!(said.contains("pods with hostNetwork"), "{said}");
    stop(aws, &arn)?;
    ensure!(ip("-br -4 address")?.contains("169.254.170.2/32"), "the address is the node's while it is there");
    Ok(())
}

fn hears_of_itself(case: &Case, arn: &str, path: &str) -> Result<()> {
    let task = hears(case, arn, "main", &format!("{path}/task"))?;
    ensure!(task["TaskARN"] == arn && task["Family"] == "asks" && task["KnownStatus"] == "RUNNING", "{task}");
    ensure!(task["Containers"].as_array().is_some_and(|all| all.len() == 2), "{task}");
    let main = hears(case, arn, "main", path)?;
    let address = text(&main, "/Networks/0/IPv4Addresses/0");
    ensure!(main["Name"] == "main" && main["Limits"] == json!({"CPU": 16, "Memory": 32}), "{main}");
    ensure!(case.line(&inside(arn, "main", "cat /etc/hosts"))?.contains(&address), "{main}");
    // The other one has a path of its own, and sees the same task.
    let other = told(case, arn, "container-1")?.context("every container is told where to ask")?;
    ensure!(other != path && hears(case, arn, "container-1", &other)?["Name"] == "Side_Car", "{other}");
    let stats = hears(case, arn, "main", &format!("{path}/stats"))?;
    let cpu = stats.pointer("/cpu_stats/cpu_usage/total_usage").and_then(Value::as_u64);
    ensure!(cpu.is_some_and(|nanoseconds| nanoseconds > 0) && stats["id"] == main["DockerId"], "{stats}");
    let memory = &stats["memory_stats"];
    ensure!(memory["limit"] == 32 << 20 && memory["usage"].as_u64().is_some_and(|bytes| bytes > 0), "{stats}");
    let all = hears(case, arn, "main", &format!("{path}/task/stats"))?;
    ensure!(all[text(&main, "/DockerId")]["cpu_stats"].is_object(), "{all}");
    Ok(())
}
