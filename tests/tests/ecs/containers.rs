//! What containers of a task have, seen from inside them.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gantry_tests::Case;
use gantry_tests::case::text;
use gantry_tests::manifests::IMAGE;
use gantry_tests::traffic::who;
use serde_json::{Value, json};

use super::aws::{Aws, apply};

/// A container of the test image.
pub fn container(name: &str, words: &str, more: Value) -> Value {
    let command: Vec<&str> = words.split(' ').collect();
    let mut container = json!({"name": name, "image": IMAGE, "memory": 32, "command": command, "stopTimeout": 1});
    if let (Some(container), Value::Object(more)) = (container.as_object_mut(), more) {
        container.extend(more);
    }
    container
}

/// Runs a definition, which must answer as botocore knows it; gives the task's ARN.
pub fn run(aws: &Aws, definition: &Value) -> Result<String> {
    aws.strictly("RegisterTaskDefinition", definition)?;
    let family = text(definition, "/family");
    aws.strictly("DescribeTaskDefinition", &json!({"taskDefinition": family}))?;
    let run = aws.ok(&format!("run-task --cluster blue --task-definition {family}"))?;
    Ok(text(&run, "/tasks/0/taskArn"))
}

pub fn task(aws: &Aws, arn: &str) -> Result<Value> {
    Ok(aws.strictly("DescribeTasks", &json!({"cluster": "blue", "tasks": [arn]}))?["tasks"][0].clone())
}

/// A command in a container of the task.
pub fn inside(arn: &str, container: &str, words: &str) -> String {
    let id = arn.rsplit('/').next().unwrap_or_default();
    format!("-n ecs exec {id} -c {container} -- /web {words}")
}

pub fn stop(aws: &Aws, arn: &str) -> Result<()> {
    aws.ok(&format!("stop-task --cluster blue --task {arn}"))?;
    aws.ok(&format!("wait tasks-stopped --cluster blue --tasks {arn}")).map(drop)
}

/// Volumes, names, rights and memory.
pub fn have(case: &Case, aws: &Aws) -> Result<()> {
    let node = tempfile::tempdir()?;
    let folder = node.path().join("made");
    let mount = |volume: &str, path: &str| json!({"sourceVolume": volume, "containerPath": path});
    let main = json!({
        "mountPoints": [mount("Shared_1", "/shared"), mount("node", "/node")],
        "linuxParameters": {"sharedMemorySize": 8, "tmpfs": [{"containerPath": "/fast", "size": 4, "mountOptions": ["ro"]}],
            "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}},
        "hostname": "shop", "dnsServers": ["192.0.2.53"], "dnsSearchDomains": ["example.com"],
        "extraHosts": [{"hostname": "db", "ipAddress": "192.0.2.7"}], "dockerLabels": {"com.example.team": "a b"},
        "pseudoTerminal": true,
    });
    let others = json!({"essential": false, "volumesFrom": [{"sourceContainer": "main", "readOnly": true}]});
    let definition = json!({
        "family": "has", "volumes": [{"name": "Shared_1"}, {"name": "node", "host": {"sourcePath": folder}}],
        "containerDefinitions": [
            container("main", "sleep 1000", main),
            container("reads", "sleep 1000", others),
            // Without its input it would end at once.
            container("waits", "cat", json!({"interactive": true, "essential": false})),
        ],
    });
    let arn = run(aws, &definition)?;
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {arn}"))?;
    let does = |container: &str, words: &str| case.line(&inside(&arn, container, words));
    does("main", "write /shared/word said")?;
    does("main", "write /node/word kept")?;
    ensure!(does("reads", "cat /shared/word")?.trim() == "said", "one volume for both");
    let refused = case.fail(&inside(&arn, "reads", "touch /shared/other"))?;
    ensure!(refused.contains("Read-only"), "{refused}");
    ensure!(fs::read_to_string(folder.join("word")).context("a folder of the node")?.trim() == "kept");
    let mounts = does("main", "cat /proc/self/mounts")?;
    let mounted = |path: &str, what: &str| mounts.lines().any(|line| line.contains(path) && line.contains(what));
    ensure!(mounted(" /dev/shm tmpfs ", "size=8192k") && mounted(" /fast tmpfs ro", "size=4096k"), "{mounts}");
    ensure!(does("main", "cat /proc/1/status")?.contains("CapEff:\t0000000000080000"), "only SYS_PTRACE");
    ensure!(does("main", "cat /etc/hostname")?.trim() == "shop");
    ensure!(does("reads", "cat /etc/hosts")?.contains("192.0.2.7\tdb"));
    let resolver = does("main", "cat /etc/resolv.conf")?;
    ensure!(resolver.contains("nameserver 192.0.2.53") && resolver.contains("search example.com"), "{resolver}");
    ensure!(does("main", "ls /dev")?.contains("console") && !does("reads", "ls /dev")?.contains("console"));
    let id = arn.rsplit('/').next().unwrap_or_default();
    let pod = case.get(&format!("-n ecs pod {id}"))?;
    let labels = &pod["metadata"]["annotations"]["ecs.gantry.dev/docker-labels"];
    ensure!(*labels == r#"{"main":{"com.example.team":"a b"}}"#, "{labels}");
    let seen = task(aws, &arn)?;
    ensure!(seen["containers"][2]["lastStatus"] == "RUNNING", "its input is open: {seen}");
    stop(aws, &arn)?;
    ensure!(folder.join("word").exists(), "the node's folder is not the task's");
    Ok(())
}

/// A container that is well as long as there is a file `ok` in a folder of the node.
fn checked(name: &str, more: Value) -> Value {
    let check = json!({"command": ["CMD", "/web", "cat", "/data/ok"], "interval": 5, "timeout": 2, "retries": 1});
    let mut container = container(name, "sleep 1000", json!({"healthCheck": check}));
    container["mountPoints"] = json!([{"sourceVolume": "data", "containerPath": "/data"}]);
    if let (Some(container), Value::Object(more)) = (container.as_object_mut(), more) {
        container.extend(more);
    }
    container
}

pub fn until_task(case: &Case, aws: &Aws, arn: &str, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
    case.until(what, || {
        let seen = task(aws, arn)?;
        ensure!(good(&seen), "{seen}");
        Ok(seen)
    })
}

/// Health checks, of a task alone and of a service's.
pub fn are_checked(case: &Case, aws: &Aws) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ok = folder.path().join("ok");
    let volumes = json!([{"name": "data", "host": {"sourcePath": folder.path()}}]);
    let definition =
        json!({"family": "checked", "volumes": volumes, "containerDefinitions": [checked("main", json!({}))]});
    let arn = run(aws, &definition)?;
    let health = |word: &'static str| {
        move |seen: &Value| seen["healthStatus"] == word && seen["containers"][0]["healthStatus"] == word
    };
    let first = until_task(case, aws, &arn, "the task to run", |seen| seen["lastStatus"] == "RUNNING")?;
    ensure!(health("UNKNOWN")(&first), "nothing is known yet: {first}");
    let seen = until_task(case, aws, &arn, "the check to have failed", health("UNHEALTHY"))?;
    ensure!(seen["lastStatus"] == "RUNNING" && seen["desiredStatus"] == "RUNNING", "nobody ends it: {seen}");
    fs::write(&ok, "")?;
    until_task(case, aws, &arn, "the check to be passed", health("HEALTHY"))?;
    stop(aws, &arn)?;
    is_replaced(case, aws, &ok)
}

fn is_replaced(case: &Case, aws: &Aws, ok: &Path) -> Result<()> {
    aws.ok("create-service --cluster blue --service-name well --task-definition checked --desired-count 1")?;
    let service =
        || -> Result<Value> { Ok(aws.ok("describe-services --cluster blue --services well")?["services"][0].clone()) };
    let until = |what: &str, good: &dyn Fn(&Value) -> bool| {
        case.until(what, || {
            let seen = service()?;
            ensure!(good(&seen), "{seen}");
            Ok(seen)
        })
    };
    let only =
        || -> Result<String> { Ok(text(&aws.ok("list-tasks --cluster blue --service-name well")?, "/taskArns/0")) };
    until("the deployment to be complete", &|seen| seen["deployments"][0]["rolloutState"] == "COMPLETED")?;
    let first = only()?;
    ensure!(task(aws, &first)?["healthStatus"] == "HEALTHY", "it is complete when it is well");
    fs::remove_file(ok)?;
    let id = first.rsplit('/').next().unwrap_or_default();
    let event = format!("(service well) (task {id}) failed container health checks.");
    let told = |seen: &Value| seen["events"].as_array().is_some_and(|all| all.iter().any(|e| e["message"] == event));
    until("the failed check to be told", &told)?;
    fs::write(ok, "")?;
    let stopped = until_task(case, aws, &first, "the task to stop", |seen| seen["lastStatus"] == "STOPPED")?;
    ensure!(stopped["stoppedReason"] == "Task failed container health checks", "{stopped}");
    ensure!(stopped["healthStatus"] == "UNHEALTHY", "{stopped}");
    case.until("another task that is well", || {
        let arn = only()?;
        ensure!(arn != first && task(aws, &arn)?["healthStatus"] == "HEALTHY", "{arn}");
        Ok(())
    })?;
    aws.ok("delete-service --cluster blue --service well --force")?;
    aws.ok("wait services-inactive --cluster blue --services well").map(drop)
}

/// Which containers come after which, and what follows when they can't.
pub fn come_in_order(case: &Case, aws: &Aws) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let volumes = json!([{"name": "data", "host": {"sourcePath": folder.path()}}]);
    let on = |name: &str, condition: &str| json!({"containerName": name, "condition": condition});
    let job = |words: &str| {
        let mount = json!([{"sourceVolume": "data", "containerPath": "/data"}]);
        container("Job_1", words, json!({"essential": false, "mountPoints": mount}))
    };
    let app = |on: Value| container("app", "sleep 1000", json!({"dependsOn": on}));
    // In the wrong order: what they depend on decides.
    let all = json!([
        app(json!([on("db", "HEALTHY"), on("Job_1", "SUCCESS")])),
        checked("db", json!({"dependsOn": [on("Job_1", "COMPLETE")]})),
        job("write /data/ok done"),
    ]);
    let arn = run(aws, &json!({"family": "ordered", "volumes": volumes, "containerDefinitions": all}))?;
    let last = |seen: &Value, index: usize| text(seen, &format!("/containers/{index}/lastStatus"));
    until_task(case, aws, &arn, "the job to be done, and the next to begin", |seen| {
        last(seen, 2) == "STOPPED" && last(seen, 1) == "RUNNING" && last(seen, 0) == "PENDING"
    })?;
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {arn}"))?;
    ensure!(task(aws, &arn)?["containers"][1]["healthStatus"] == "HEALTHY");
    stop(aws, &arn)?;
    fs::remove_file(folder.path().join("ok"))?;
    for (family, containers, want) in [
        ("fails", json!([app(json!([on("Job_1", "SUCCESS")])), job("exit 3")]), "ended with exit code 3"),
        (
            "late",
            json!([app(json!([on("db", "HEALTHY")])), checked("db", json!({"startTimeout": 3}))]),
            "was not ready within 3 seconds",
        ),
    ] {
        let arn = run(aws, &json!({"family": family, "volumes": volumes, "containerDefinitions": containers}))?;
        let seen = until_task(case, aws, &arn, "the task to stop", |seen| seen["lastStatus"] == "STOPPED")?;
        ensure!(seen["stopCode"] == "TaskFailedToStart" && text(&seen, "/stoppedReason").contains(want), "{seen}");
        ensure!(seen["containers"][0]["runtimeId"].is_null(), "it never began: {seen}");
    }
    Ok(())
}

/// Variables that Secrets have.
pub fn have_secrets(case: &Case, aws: &Aws) -> Result<()> {
    let secrets = json!([{"name": "PASSWORD", "valueFrom": "shop-db:password"}]);
    let definition = json!({"family": "secret", "containerDefinitions": [container("main", "sleep 1000", json!({"secrets": secrets}))]});
    let arn = run(aws, &definition)?;
    let seen = until_task(case, aws, &arn, "the task to stop", |seen| seen["lastStatus"] == "STOPPED")?;
    let reason = text(&seen, "/stoppedReason");
    ensure!(
        reason.starts_with("ResourceInitializationError: unable to pull secrets") && reason.contains("shop-db"),
        "{seen}"
    );
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-db", "namespace": "ecs"},
        "stringData": {"password": "open sesame"}});
    apply(case, "ecs", &secret)?;
    let run = aws.ok("run-task --cluster blue --task-definition secret")?;
    let arn = text(&run, "/tasks/0/taskArn");
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {arn}"))?;
    let environment = case.line(&inside(&arn, "main", "env"))?;
    ensure!(environment.contains("PASSWORD=open sesame"), "{environment}");
    let shown = aws.ok("describe-task-definition --task-definition secret")?;
    ensure!(!shown.to_string().contains("sesame"), "{shown}");
    case.line("-n ecs delete secret shop-db")?;
    stop(aws, &arn)
}

/// Ports of the node that nobody named, each task's own.
pub fn have_ports(case: &Case, aws: &Aws) -> Result<()> {
    let serves = container("main", "serve 8080", json!({"portMappings": [{"containerPort": 8080}]}));
    let arns = [run(aws, &json!({"family": "ports", "containerDefinitions": [serves]}))?, {
        let run = aws.ok("run-task --cluster blue --task-definition ports")?;
        text(&run, "/tasks/0/taskArn")
    }];
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {}", arns.join(" ")))?;
    let node = case.get("nodes")?;
    let addresses = node["items"][0]["status"]["addresses"].as_array().context("a node has addresses")?;
    let address = addresses.iter().find(|address| address["type"] == "InternalIP").context("one of its own")?;
    let address: IpAddr = text(address, "/address").parse()?;
    let mut ports = Vec::new();
    for arn in &arns {
        let seen = task(aws, arn)?;
        let port = seen["containers"][0]["networkBindings"][0]["hostPort"].as_u64().context("a port")?;
        let at = SocketAddr::new(address, u16::try_from(port)?);
        let answer = case.until("an answer at the port", || who(at))?;
        ensure!(arn.ends_with(&answer) && (32768..61000).contains(&port) && !ports.contains(&port), "{answer}: {seen}");
        ports.push(port);
    }
    arns.iter().try_for_each(|arn| stop(aws, arn))
}
